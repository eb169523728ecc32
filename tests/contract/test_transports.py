"""One server over every transport: found by itself, tested as well, and told the same of."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts
from support.front_door import Done
from support.on_engine import ROOT
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

WAYS = {
    "stdio": ((), None),
    "http": (("--env", "MCP_TRANSPORT=http"), "/mcp"),
    "sse": (("--env", "MCP_TRANSPORT=sse"), "/sse"),
}


@pytest.fixture(scope="module")
def image(store: Any) -> ImageFacts:
    """The server with holes: a test of what is found needs something to find."""
    folder = ROOT / "examples" / "vulnerable-server"
    made: ImageFacts = store.build(
        folder, dockerfile=None, network="default", timeout=600, environment=os.environ
    )
    return made


@pytest.fixture(scope="module")
def scans(
    tmp_path_factory: pytest.TempPathFactory, scanner: Scanner, image: ImageFacts
) -> dict[str, Done]:
    """A scan by each way; which it is the scanner has to find out."""
    words = {way: (*options, "--image", image.id) for way, (options, _) in WAYS.items()}
    return scanner.scans(words, tmp_path_factory.mktemp("ways"))


def told(done: Done) -> set[tuple[str, str, str]]:
    """What is reported, as (rule, class, subject)."""
    return {
        (one["rule"], one["class"], one["subject"])
        for one in done.report["findings"]
        if one["class"] != "note"
    }


@pytest.mark.parametrize("way", WAYS)
def test_the_transport_is_found(way: str, scans: dict[str, Done]):
    report = scans[way].report
    assert report["verdict"] == "fail", shown(report)
    assert report["coverage"]["missing"] == [], shown(report)
    path = WAYS[way][1]
    for session in report["observations"]["sessions"]:
        seen = session["transcript"]["http"]
        if path is None:
            assert seen is None
        else:
            assert (seen["place"]["transport"], seen["place"]["path"]) == (way, path)
            assert seen["place"]["port"] == 3123


@pytest.mark.parametrize("way", ["http", "sse"])
def test_the_findings_are_those_of_stdio(way: str, scans: dict[str, Done]):
    assert told(scans[way]) == told(scans["stdio"]), shown(scans[way].report)


@pytest.mark.parametrize("way", ["http", "sse"])
def test_the_official_sdk_keeps_other_sites_out(way: str, scans: dict[str, Done]):
    """It checks ``Host`` and ``Origin`` of a server on loopback, and makes ids that are random."""
    report = scans[way].report
    (checks,) = report["observations"]["http"]
    answers = {one["question"]: one for one in checks["answers"]}
    assert answers["ordinary"]["result"]
    assert answers["foreign-host"]["status"] == 421
    assert answers["foreign-origin"]["status"] == 403
    assert answers["text-plain"]["status"] == 400
    assert len(set(checks["sessions"])) == 5
    rules = {one["rule"]: one["class"] for one in report["findings"]}
    told = {rule: class_ for rule, class_ in rules.items() if rule.startswith("http-")}
    assert set(told.values()) <= {"note"}, shown(report)


@pytest.mark.parametrize("way", WAYS)
def test_every_tool_is_called(way: str, scans: dict[str, Done]):
    tools = scans[way].report["coverage"]["tools"]
    assert {one["outcome"] for one in tools.values()} == {"called"}
    assert set(tools) == set(scans["stdio"].report["coverage"]["tools"])
