"""What GitHub's code scanning needs of a SARIF file and no public validator checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

MAX_RESULTS = 5_000
MAX_RULES = 25_000
MAX_RUNS = 20
MAX_TAGS = 10
MAX_MESSAGE = 1_000
MAX_TEXT = 1_024
LEVELS = {"error", "warning", "note"}
LINE_HASH = re.compile(r"[0-9a-f]{1,16}:[1-9][0-9]*")


def lint(document: dict[str, Any]) -> list[str]:
    """One sentence for each thing that GitHub would refuse, drop or misread."""
    return list(_document(document))


def lint_complete(document: dict[str, Any]) -> list[str]:
    """The same for a file that is not uploaded, and may hold what GitHub does not know."""
    return [one for one in lint(document) if not one.endswith(_UPLOADED_ONLY)]


def _document(document: dict[str, Any]) -> Iterator[str]:
    runs = document["runs"]
    if len(runs) > MAX_RUNS:
        yield f"{len(runs)} runs"
    categories = [
        (run["tool"]["driver"]["name"], run.get("automationDetails", {}).get("id")) for run in runs
    ]
    yield from (f"duplicate category {one}" for one in set(categories) if categories.count(one) > 1)
    for run in runs:
        yield from _run(run)


def _run(run: dict[str, Any]) -> Iterator[str]:
    if not run.get("automationDetails", {}).get("id", "").endswith("/"):
        yield "the category has no slash at its end"
    if any(one.get("executionSuccessful") is not True for one in run.get("invocations", [])):
        yield "an invocation failed: the upload will too"
    rules = run["tool"]["driver"].get("rules", [])
    if len(rules) > MAX_RULES:
        yield f"{len(rules)} rules"
    ids = [rule["id"] for rule in rules]
    if len(set(ids)) != len(ids):
        yield "duplicate rule id"
    for rule in rules:
        yield from (f"{rule['id']}: {text}" for text in _rule(rule))
    results = run.get("results", [])
    if len(results) > MAX_RESULTS:
        yield f"{len(results)} results"
    for number, result in enumerate(results):
        yield from (f"result {number}: {text}" for text in _result(result, ids))
    keys = [_identity(result) for result in results]
    if len(set(keys)) != len(keys):
        yield "two results of one rule on one line"


def _rule(rule: dict[str, Any]) -> Iterator[str]:
    for field in ("name", "shortDescription", "fullDescription", "help", "helpUri"):
        if not rule.get(field):
            yield f"no {field}"
    for field in ("shortDescription", "fullDescription"):
        if len(rule.get(field, {}).get("text", "")) > MAX_TEXT:
            yield f"{field} is too long"
    if rule.get("defaultConfiguration", {}).get("level") not in LEVELS:
        yield "no default level"
    properties = rule.get("properties", {})
    if "security-severity" in properties and not _is_severity(properties["security-severity"]):
        yield f"security-severity {properties['security-severity']!r}"
    tags = properties.get("tags", [])
    if len(tags) > MAX_TAGS:
        yield f"{len(tags)} tags"
    if "security" not in tags:
        yield "not tagged as security"


def _is_severity(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,2}\.[0-9]", value):
        return False
    return 0 < float(value) <= 10


def _result(result: dict[str, Any], ids: list[str]) -> Iterator[str]:
    if result["ruleId"] not in ids or ids[result["ruleIndex"]] != result["ruleId"]:
        yield "ruleId and ruleIndex name no listed rule"
    if result.get("level") not in LEVELS:
        yield "no explicit level"
    yield from (f"{key} makes an open alert" for key in _IGNORED if key in result)
    if result.get("kind", "fail") != "fail":
        yield "a result that did not fail"
    text = result["message"]["text"]
    if not text.strip() or len(text) > MAX_MESSAGE:
        yield f"a message of {len(text)} characters"
    if len(result["locations"]) != 1:
        yield f"{len(result['locations'])} locations"
        return
    physical = result["locations"][0]["physicalLocation"]
    if physical["region"].get("startLine", 0) < 1:
        yield "no line"
    yield from _uri(physical["artifactLocation"]["uri"])
    line_hash = result.get("partialFingerprints", {}).get("primaryLocationLineHash", "0:1")
    if not LINE_HASH.fullmatch(line_hash):
        yield f"line hash {line_hash!r}"


_UPLOADED_ONLY = (
    "makes an open alert",
    "the upload will too",
    "two results of one rule on one line",
)
_IGNORED = ("suppressions", "baselineState")


def _uri(uri: str) -> Iterator[str]:
    split = urlsplit(uri)
    if split.scheme or split.netloc or split.query or split.fragment or uri.startswith("/"):
        yield f"{uri!r} is not relative"
    if not uri.isascii() or not uri.isprintable() or " " in uri:
        yield f"{uri!r} is not percent-encoded"
    if ".." in unquote(uri, errors="replace").split("/"):
        yield f"{uri!r} leaves the checkout"


def _identity(result: dict[str, Any]) -> tuple[str, str, int]:
    physical = result["locations"][0]["physicalLocation"] if result["locations"] else {}
    region = physical.get("region", {})
    uri = physical.get("artifactLocation", {}).get("uri", "")
    return result["ruleId"], uri, region.get("startLine", 0)
