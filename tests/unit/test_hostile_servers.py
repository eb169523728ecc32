"""Our prober against every server of the corpus, as real processes over pipes.

``expect.toml`` beside the hostile server says what has to come out for each of its modes.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from mcp_sandbox.model import BreachKind, CallStatus, SessionEnd
from support import corpus
from support.corpus import Outcome

EXPECT = {
    mode: expect for mode, expect in corpus.expectations().items() if not expect.get("sandbox")
}
KEYS = {
    *("shows", "lacks", "exit", "watch", "left"),
    *(
        "end",
        "breaches",
        "may",
        "tools",
        "listing",
        "changed",
        "call",
        "memory",
        "stored",
        "plan",
        "sandbox",
    ),
}
PLAN: dict[str, Any] = {
    "era": "handshake",
    "start_timeout": 30.0,
    "call_timeout": 30.0,
    "session_timeout": 45.0,
    "max_calls": 8,
}
"""Patient, so that only a mode whose outcome is a timeout (``plan`` in its table) waits for one."""
ONLY_HTTP = {
    *(BreachKind.HTTP_BROKEN, BreachKind.REDIRECTED, BreachKind.ENCODED_BODY),
    *(BreachKind.CONTENT_TYPE, BreachKind.UNKNOWN_EVENT, BreachKind.FOREIGN_ENDPOINT),
}
"""Made by the peers of ``probe/http``."""
MEMORY_MIB = 48
STORED_MIB = 1
"""What one session of a few calls may take in a report, whatever the server sent."""
GOOD = {
    "good": (corpus.python(corpus.GOOD), "handshake"),
    "stateless": (corpus.python(corpus.STATELESS), "stateless"),
    "dual-handshake": (corpus.python(corpus.STATELESS, "dual"), "handshake"),
    "dual-stateless": (corpus.python(corpus.STATELESS, "dual"), "stateless"),
}


def job(name: str) -> corpus.Job:
    """The session with one mode, or with one of the honest servers."""
    if name in GOOD:
        command, era = GOOD[name]
        plan = PLAN | {"era": era, "max_calls": 100}
    else:
        command = corpus.hostile(name)
        era = "stateless" if name.startswith("stateless-") else "handshake"
        plan = PLAN | {"era": era} | EXPECT[name].get("plan", {})
    return {"id": name, "kind": "probe", "command": command, "plan": plan}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """What our prober made of each server that a selected test asks for."""
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and "name" in getattr(item, "fixturenames", ())
    }
    return corpus.run(job(name) for name in sorted(wanted))


def test_every_expectation_uses_the_words_of_the_model() -> None:
    for name, expect in corpus.expectations().items():
        assert expect.keys() <= KEYS, name
        SessionEnd(expect.get("end", "completed"))
        for kind in expect.get("breaches", []) + expect.get("may", []):
            BreachKind(kind)
        if expect.get("call"):
            CallStatus(expect["call"])


def test_every_breach_that_the_model_names_is_made_by_some_mode() -> None:
    made = {kind for expect in EXPECT.values() for kind in expect.get("breaches", [])}
    assert made == set(BreachKind) - ONLY_HTTP


def test_every_end_that_a_server_can_bring_about_is_reached_by_some_mode() -> None:
    reached = {expect.get("end", "completed") for expect in EXPECT.values()}
    assert reached == set(SessionEnd) - {SessionEnd.BROKEN_OFF}


@pytest.mark.parametrize("name", EXPECT)
def test_prober_survives_and_says_what_it_saw(name: str, outcomes: dict[str, Outcome]) -> None:
    expect, seen = EXPECT[name], outcomes[name]
    assert "error" not in seen, seen["error"]
    assert seen["end"] == expect.get("end", "completed"), seen

    breaches, must = set(seen["breaches"]), set(expect.get("breaches", []))
    assert must <= breaches, seen
    assert breaches <= must | set(expect.get("may", [])), seen["samples"]

    listings = [one for one in seen["listings"] if one[0] == "tools"]
    assert (listings[0][2] if listings else -1) == expect.get("tools", 2), seen
    if listings:
        assert re.fullmatch(expect.get("listing", "complete"), listings[0][3])
    if listings[1:]:
        assert (listings[0][4] != listings[1][4]) == expect.get("changed", False)

    statuses = {status for _, status in seen["calls"]}
    call = expect.get("call", "result")
    assert call in statuses if call else not statuses, seen["calls"]

    assert seen["alive"] == 0
    assert seen["stored"] < expect.get("stored", STORED_MIB) * 2**20
    assert seen["peak"] < expect.get("memory", MEMORY_MIB) * 2**20


@pytest.mark.parametrize("name", GOOD)
def test_prober_finds_no_fault_with_honest_servers(name: str, outcomes: dict[str, Outcome]) -> None:
    seen = outcomes[name]
    assert "error" not in seen, seen["error"]
    assert (seen["end"], seen["breaches"], seen["not_called"]) == ("completed", {}, {})
    assert seen["version"] == ("2026-07-28" if GOOD[name][1] == "stateless" else "2025-11-25")
    counts = {(kind, moment): (count, state) for kind, moment, count, state, _ in seen["listings"]}
    assert {count for count, _ in counts.values()} == {1, 3}
    assert {state for _, state in counts.values()} == {"complete"}
    called = {target for target, status in seen["calls"] if status == "result"}
    assert {"echo", "add", "upper", "greet", "note://welcome"} <= called
    assert seen["alive"] == 0
