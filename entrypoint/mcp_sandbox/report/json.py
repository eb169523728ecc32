r"""``report.json``: the whole report, written canonically and read back strictly.

Written: sorted keys, two-space indent, ASCII only (everything else as ``\u`` escapes, so that the
file can be printed on a terminal), one newline at the end. Two equal reports give equal bytes.
Three things JSON cannot carry are written visibly and do not come back as they were: a lone
surrogate becomes the six characters of its escape, ``NaN`` and the infinities become strings, and
what a peer nested deeper than ``MAX_DEPTH`` becomes one sentence. A whole number is written without
a fraction, whatever its Python type.

Read: at most ``MAX_BYTES``, this schema version only, no unknown key, no coercion.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mcp_sandbox import model
from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.model import answer, http, launch, locked, oauth, transport
from mcp_sandbox.model.answer import SCHEMA_VERSION, VOLATILE, Report

MAX_BYTES = 256 * 2**20
"""The largest ``report.json`` that ``load`` takes."""

MAX_DEPTH = 100
"""Levels of nesting, counted from the top of the report; pydantic's reader stops near 200."""

TOO_DEEP = "left out: nested too deep"

_EXACT_INTEGERS = 2**53
_ENDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def dump(report: Report) -> bytes:
    """The canonical bytes of a report."""
    return canonical(_adapter().dump_python(report, mode="python", by_alias=True))


def load(data: bytes) -> Report:
    """The report that ``dump`` wrote.

    Raises ``ReportUnreadable``, with one sentence that names what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise ReportUnreadable(f"The report is larger than {MAX_BYTES // 2**20} MiB.")
    _check_version(data)
    try:
        return _adapter().validate_json(
            data, strict=True, extra="forbid", by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise ReportUnreadable(_sentence(error)) from error


def drop_volatile(document: Any) -> Any:
    """A parsed ``report.json`` without what may differ between two runs of one image.

    The argument is left as it is. Paths are those of ``answer.VOLATILE``.
    """
    kept = document
    for path in VOLATILE:
        kept = _without(kept, path.split("."))
    return kept


def comparable(report: Report) -> bytes:
    """Canonical bytes without the volatile fields: equal for two runs of one image."""
    return canonical(drop_volatile(json.loads(dump(report))))


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``report.json``, from the types and docstrings of our facts.

    ``x-volatile`` lists the paths of the fields that may differ between two runs of one image.
    """
    body = _adapter().json_schema(mode="serialization", by_alias=True)
    for name, definition in (*body["$defs"].items(), ("Report", body)):
        if "properties" not in definition:
            continue
        definition["additionalProperties"] = False
        definition["required"] = list(definition["properties"])
        for field, text in _field_docs().get(name, {}).items():
            definition["properties"][field]["description"] = text
        for field in definition["properties"].values():
            field.pop("title", None)
    body["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": "The report of mcp-sandbox",
        "x-volatile": list(VOLATILE),
    }


def canonical(document: Any) -> bytes:
    """A JSON value as the module's docstring has it."""
    text = json.dumps(_plain(document), indent=2, sort_keys=True, allow_nan=False)
    # DEL is the one control character that the standard library leaves as it is.
    return (text.replace("\x7f", "\\u007f") + "\n").encode("ascii")


def _plain(value: Any, depth: int = 0) -> Any:
    """Only what JSON can carry; see the module's docstring for what is changed."""
    if isinstance(value, str | date):  # the enums of the model among them
        return str(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return _number(value)
    if value is None or isinstance(value, int):
        return value
    if depth == MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    return [_plain(item, depth + 1) for item in value]


def _number(value: float) -> float | int | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return _ENDS[value]
    return int(value) if value.is_integer() and abs(value) < _EXACT_INTEGERS else value


def _check_version(data: bytes) -> None:
    """Refuse another schema version before anything else: its fields may mean something else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReportUnreadable("The report is not whole JSON: it may be truncated.") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportUnreadable("The file is JSON, but not a report: it has no schema_version.")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ReportUnreadable(
            f"The report has schema version {str(version)[:20]}, this program reads "
            f"version {SCHEMA_VERSION}."
        )


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200]
    return f"The report is damaged at {where or 'its top'}: {first['msg'][:200]}."


def _without(node: Any, steps: list[str]) -> Any:
    name, *rest = steps
    key = name.removesuffix("[]")
    if not isinstance(node, dict) or key not in node:
        return node
    if not rest:
        return {other: item for other, item in node.items() if other != key}
    child = node[key]
    if name.endswith("[]"):
        if not isinstance(child, list):  # a list that is optional
            return node
        return {**node, key: [_without(item, rest) for item in child]}
    return {**node, key: _without(child, rest)}


@cache
def _field_docs() -> dict[str, dict[str, str]]:
    """Class -> field -> the string that stands below the field in its source."""
    found: dict[str, dict[str, str]] = {}
    modules = (model, launch, transport, http, oauth, locked, answer)
    sources = (inspect.getsource(module) for module in modules)
    for node in (node for source in sources for node in ast.parse(source).body):
        if not isinstance(node, ast.ClassDef):
            continue
        for statement, below in zip(node.body, node.body[1:], strict=False):
            match statement, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=field)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found.setdefault(node.name, {})[field.rstrip("_")] = inspect.cleandoc(text)
    return found
