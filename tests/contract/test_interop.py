"""Servers of public SDKs and the official example server, scanned over each of their transports.

What each has to do is in ``tests/interop/expect.toml``. Those that take long to build are left to
``scripts/interop.sh``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from interop import servers
from mcp_sandbox.sandbox import Engine
from support.front_door import QUICK
from support.scanning import Scanner, shown

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EXPECTED = servers.expected()
WAYS = {
    f"{name} {transport}": (name, transport)
    for name, one in EXPECTED.items()
    for transport in one.transports
    if transport not in one.by_hand
}
EXAMPLE = "everything"
EXAMPLE_WAYS = {
    f"{EXAMPLE} {transport}": (EXAMPLE, argument)
    for transport, argument in (("stdio", "stdio"), ("http", "streamableHttp"), ("sse", "sse"))
}
OPTIONS = (*QUICK, *servers.OPTIONS)

Report = dict[str, Any]


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    scanner: Scanner,
    engine: Engine,
) -> Iterator[dict[str, Future[Report]]]:
    """The scans that a selected test asks for, two at a time; images go with the module."""
    cache = request.config.cache.mkdir("interop")
    tag = secrets.token_hex(4)
    built: set[str] = set()

    def scan(name: str, argument: str) -> Report:
        folder = tmp_path_factory.mktemp(name) / "own"
        words = (*OPTIONS, "--image", f"mcp-sandbox-test-{name}:{tag}", "--", argument)
        done = scanner.run(folder, ["scan"], words)
        assert done.code in {0, 1}, done.err
        return done.report

    def build(name: str) -> None:
        servers.build(name, f"mcp-sandbox-test-{name}:{tag}", cache)
        built.add(name)

    asked = _asked(request)
    wanted = {way: one for way, one in {**WAYS, **EXAMPLE_WAYS}.items() if way in asked}
    try:
        for name in dict.fromkeys(name for name, _ in wanted.values()):
            build(name)
        with ThreadPoolExecutor(2) as pool:
            yield {way: pool.submit(scan, *one) for way, one in wanted.items()}
    finally:
        for name in built:
            engine.api.remove_image(f"mcp-sandbox-test-{name}:{tag}", force=True)


def _asked(request: pytest.FixtureRequest) -> set[str | None]:
    items = [item for item in request.session.items if item.path == request.path]
    return {call.params.get("way") for item in items if (call := getattr(item, "callspec", None))}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_of_an_sdk_is_started_listed_and_called(
    way: str, reports: dict[str, Future[Report]]
):
    name, transport = WAYS[way]
    report = reports[way].result()
    assert servers.wrong(EXPECTED[name], transport, report) == [], shown(report)


CALLED = frozenset(
    [
        *("echo", "get-annotated-message", "get-env", "get-resource-links"),
        *("get-resource-reference", "get-roots-list", "get-structured-content", "get-sum"),
        *("get-tiny-image", "toggle-simulated-logging", "toggle-subscriber-updates"),
        *("trigger-elicitation-request", "trigger-sampling-request"),
    ]
)
OTHERWISE = {
    "gzip-file-as-resource": "needs network",
    # It takes as long as it is told to, ten seconds at least by default.
    "trigger-long-running-operation": "crashed",
    # It wants an answer to its elicitation, which is declined.
    "simulate-research-query": "refused",
}


@pytest.mark.parametrize("way", EXAMPLE_WAYS)
def test_the_official_example_is_listed_and_called(way: str, reports: dict[str, Future[Report]]):
    report = reports[way].result()
    tools = {name: one["outcome"] for name, one in report["coverage"]["tools"].items()}
    assert tools == dict.fromkeys(CALLED, "called") | OTHERWISE, shown(report)
    assert report["coverage"]["missing"] == []


@pytest.mark.parametrize("way", EXAMPLE_WAYS)
def test_above_a_note_nothing_is_said_of_it_but_what_is_so(
    way: str, reports: dict[str, Future[Report]]
):
    """Over HTTP it answers every page of the web, whatever host it was asked for."""
    report = reports[way].result()
    above = {(one["rule"], one["subject"]) for one in report["findings"] if one["class"] != "note"}
    so = set() if way == f"{EXAMPLE} stdio" else {(rule, "server") for rule in servers.EXAMPLE_SO}
    assert above == so, shown(report)


@pytest.mark.parametrize("way", EXAMPLE_WAYS)
def test_the_official_example_is_talked_to_over_that_transport(
    way: str, reports: dict[str, Future[Report]]
):
    transport = way.partition(" ")[2]
    for session in reports[way].result()["observations"]["sessions"]:
        seen = session["transcript"]
        place = (seen["http"] or {}).get("place") or {"transport": "stdio"}
        assert place["transport"] == transport
        assert seen["breaches"] == [], session["evidence"]
        assert seen["version"] == ("2025-11-25" if seen["era"] == "handshake" else "")


# --- what the comparison sees ---------------------------------------------------------------------


def sample() -> Report:
    """A report as it should be, in as far as the comparison looks at it."""
    transcript = {
        "http": None,
        "era": "handshake",
        "version": "2025-11-25",
        "breaches": [],
        "server_info": {"name": "python-old"},
    }
    return {
        "coverage": {
            "missing": [],
            "tools": {name: {"outcome": "called"} for name in servers.TOOLS},
        },
        "observations": {"sessions": [{"evidence": "1-main", "transcript": transcript}]},
        "findings": [{"class": "note", "rule": "hang", "subject": "server"}],
    }


ONE = replace(
    EXPECTED["python-old"],
    versions={"handshake": "2025-11-25", "stateless": {"http": "2026-07-28"}},
    findings=frozenset({"http-cors"}),
)


def _first(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report["observations"]["sessions"][0]["transcript"]
    return found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report["coverage"]["missing"].append("tools"),
        lambda report: report["coverage"]["tools"].pop("add"),
        lambda report: report["coverage"]["tools"]["add"].update(outcome="refused"),
        lambda report: _first(report).update(version="2025-06-18"),
        lambda report: _first(report).update(version=""),
        lambda report: _first(report).update(breaches=[{"kind": "not-json"}]),
        lambda report: _first(report).update(http={"place": {"transport": "http"}}),
        lambda report: _first(report).update(server_info={"name": "another"}),
        lambda report: report["findings"][0].update({"class": "medium"}),
    ],
)
def test_a_difference_is_told(spoil: Callable[[Report], object]):
    assert servers.wrong(ONE, "stdio", sample()) == []
    assert len(servers.wrong(ONE, "http", sample())) == 3  # transport, versions, findings
    report = sample()
    spoil(report)
    assert servers.wrong(ONE, "stdio", report) != []
