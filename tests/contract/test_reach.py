"""Servers that are reached in more ways than one, or by nobody without a token, in containers."""

from __future__ import annotations

from typing import Any

import pytest

from support.front_door import Done
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

ENTRY = 'ENTRYPOINT ["python3", "-B", "/srv/servers/reach/server.py"]\n'
SHORT = ("--max-calls", "60", "--start-timeout", "6")
TOKEN = ("--http-header", "Authorization=Bearer let-me-in")
WAYS: dict[str, tuple[str, ...]] = {
    "both": (*SHORT,),
    "any-token": (*SHORT, "--transport", "http", "--fail-on", "critical"),
    "token": (*SHORT, *TOKEN),
}


@pytest.fixture(scope="module")
def scans(
    build: Any, scanner: Scanner, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Done]:
    image = build(WITH_PYTHON + ENTRY, CORPUS_FILES).id
    words = {way: (*options, "--image", image, "--", way) for way, options in WAYS.items()}
    return scanner.scans(words, tmp_path_factory.mktemp("ways"))


def found(done: Done, rule: str) -> list[dict[str, Any]]:
    return [one for one in done.report["findings"] if one["rule"] == rule]


def test_a_server_that_speaks_both_has_a_session_over_both(scans: dict[str, Done]):
    report = scans["both"].report
    reached = report["observations"]["reached"]
    assert (reached["transport"], reached["place"]) == ("stdio", None), shown(report)
    also = [(one["transport"], one["path"]) for one in reached["also"]]
    assert also == [("http", "/mcp"), ("sse", "/sse")]
    assert 0 < reached["seconds"] < 60
    sessions = [one["transcript"] for one in report["observations"]["sessions"]]
    over = [one for one in sessions if one["role"] == "transport"]
    assert [one["http"]["place"] for one in over] == reached["also"]
    for one in over:
        assert {call["target"] for call in one["calls"]} == {"echo", "reset"}
        assert {call["family"] for call in one["calls"]} == {"valid"}
    assert {one["http"] for one in sessions if one["role"] == "main"} == {None}
    assert report["coverage"]["missing"] == []
    assert "spoken to over standard streams" in scans["both"].out
    assert "also over streamable HTTP (port 3124, /mcp) and over" in scans["both"].out


def test_a_tool_of_one_transport_is_a_finding_with_both_sides(scans: dict[str, Done]):
    (one,) = found(scans["both"], "transport-dependent")
    assert (one["subject"], one["class"]) == ("tools/reset", "medium")
    assert "listed over streamable HTTP and not over the standard streams" in one["message"]


def test_a_server_that_wants_a_token_is_inconclusive_and_says_the_way_out(scans: dict[str, Done]):
    done = scans["any-token"]
    assert (done.code, done.report["verdict"]) == (3, "inconclusive"), done.err
    assert "answers only whom it knows" in done.sentence
    assert "port 3124, /mcp: status 401" in done.sentence
    assert "--http-header" in done.way_out
    facts = done.report["observations"]["oauth"]
    assert (facts["status"], facts["path"]) == (401, "/mcp")
    assert [one["accepted"] for one in facts["invented"]] == [True, True]
    assert "https://login.example" in facts["elsewhere"]
    rules = {one["rule"] for one in done.report["findings"]}
    for one in found(done, "token-not-checked"):
        for place in one["seen"]:
            name, _, line = place.rpartition(":")
            assert len((done.folder / name).read_text().splitlines()) >= int(line)
        assert len(one["seen"]) == 2
    assert {
        "oauth-broad-scope",
        "oauth-insecure-url",
        "oauth-issuer-mismatch",
        "oauth-resource-mismatch",
        "oauth-without-pkce",
        "token-not-checked",
    } <= rules


def test_with_a_token_it_is_tested(scans: dict[str, Done]):
    report = scans["token"].report
    assert report["observations"]["reached"]["transport"] == "http", shown(report)
    assert set(report["coverage"]["tools"]) == {"echo", "reset"}
    assert report["coverage"]["missing"] == []
    facts = report["observations"]["oauth"]
    assert facts["status"] == 401
    assert [one["accepted"] for one in facts["invented"]] == [False, False]
    assert found(scans["token"], "token-not-checked") == []
    for path in scans["token"].folder.rglob("*"):
        # The kernel's record has what the server read, as docs/launch.md says.
        if path.is_file() and path.suffix != ".trace":
            assert b"let-me-in" not in path.read_bytes(), path
