"""Sessions with a server that refuses, in words, what its schemas admit: it is asked again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import (
    Call,
    CallStatus,
    CanaryHit,
    ContainerFacts,
    Era,
    Identity,
    ItemKind,
    Listing,
    Moment,
    Relaxation,
    Session,
    Transcript,
)
from mcp_sandbox.probe.inputs import Targets
from mcp_sandbox.probe.plan import MORE_REPAIRS, REPAIRS, Order, Plan, Turn
from mcp_sandbox.probe.repairing import accepted_in
from mcp_sandbox.probe.session import run
from mcp_sandbox.rules.evasion import differences
from support.stream import PipeStream

SERVER = Path(__file__).parents[2] / "servers" / "strict" / "server.py"
PLAN = Plan("main", Era.HANDSHAKE, Identity("repair-test", "1"), Targets(seed=1), max_calls=400)


def hold(*options: str, find: Any = lambda _: (), **changes: Any) -> Transcript:
    """One session with the strict server."""
    with subprocess.Popen(
        [sys.executable, SERVER, *options],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return run(
                PipeStream(process),
                replace(PLAN, **changes),
                find=find,
                mask=lambda _: "masked",
                record=lambda *_: None,
            )
        finally:
            process.kill()


HIT = CanaryHit("env:TOKEN", "plain")


def session_of(transcript: Transcript) -> Session:
    """The transcript with nothing seen around it."""
    facts = ContainerFacts(relaxation=Relaxation.NONE, user="", command_line=())
    return Session(transcript, facts)


def ordinary(transcript: Transcript) -> list[Call]:
    return [call for call in transcript.calls if call.family == "valid"]


def repaired(transcript: Transcript) -> list[Call]:
    return [call for call in ordinary(transcript) if call.payload]


@pytest.fixture(scope="module")
def held() -> Transcript:
    return hold()


def test_every_tool_that_says_what_it_lacks_takes_an_ordinary_call(held: Transcript) -> None:
    plain = {one.target for one in ordinary(held) if not one.payload and _took(one)}
    taken = {one.target for one in ordinary(held) if _took(one)}
    asked_again = {"clean", "scrape", "get_note", "list_logs", "paint", "remove_note"}
    assert plain == {"create_note", "add_paths"}
    assert taken == plain | asked_again


def test_a_tool_that_wants_a_real_key_is_not_asked_again(held: Transcript) -> None:
    assert "unlock" not in {one.target for one in repaired(held)}


def test_what_was_taken_is_not_asked_again_and_no_more_than_the_reserve_is(
    held: Transcript,
) -> None:
    for name in {one.target for one in repaired(held)}:
        again = [one for one in repaired(held) if one.target == name]
        assert len(again) <= REPAIRS + MORE_REPAIRS
        assert [one.payload for one in again] == [f"repaired-{n + 1}" for n in range(len(again))]
        assert not any(map(_took, again[:-1]))


def test_ids_of_the_server_are_told_from_words_of_ours(held: Transcript) -> None:
    learned = {one.target: one.learned for one in repaired(held) if _took(one)}
    assert learned["get_note"] == ("n-1-7f3a",)
    assert learned["list_logs"] == ("quiet",)
    assert learned["scrape"] == ()


def test_hostile_input_begins_with_arguments_that_the_tool_takes(held: Transcript) -> None:
    hostile = [one for one in held.calls if one.target == "clean" and one.family != "valid"]
    around = [one.arguments for one in hostile if one.parameter == "/label"]
    assert around
    assert all(one["force"] is True for one in around)
    noted = [one for one in held.calls if one.target == "get_note" and one.family != "valid"]
    assert {one.learned for one in noted} == {("n-1-7f3a",)}


def test_what_others_need_is_made_first_and_taken_away_last(held: Transcript) -> None:
    named = list(dict.fromkeys(one.target for one in ordinary(held)))
    assert (named[0], named[-1]) == ("create_note", "remove_note")
    hostile = list(dict.fromkeys(one.target for one in held.calls if one.family != "valid"))
    listed = [item["name"] for one in held.listings[:1] for item in one.items]
    assert hostile == [name for name in listed if name in hostile]
    assert named != listed


def test_two_runs_of_a_deterministic_server_make_the_same_calls(held: Transcript) -> None:
    assert [_sent(one) for one in hold().calls] == [_sent(one) for one in held.calls]


def test_ids_that_differ_by_run_are_no_evasion() -> None:
    sessions = [session_of(hold("--random")), session_of(hold("--random"))]
    one, other = (repaired(session.transcript) for session in sessions)
    assert [call.arguments for call in one] != [call.arguments for call in other]
    assert differences(sessions[:1], sessions[1:]) == ()


def test_a_refusal_in_one_run_alone_hides_nothing_that_follows() -> None:
    main = hold()
    other = replace(
        main, calls=tuple(one for one in main.calls if not one.payload.startswith("repaired"))
    )
    last = other.calls[-1]
    changed = replace(last, reply='{"content": [{"type": "text", "text": "Nobody is watching"}]}')
    other = replace(other, calls=(*other.calls[:-1], changed))
    found = differences([session_of(main)], [session_of(other)])
    assert [one.subject for one in found] == [f"tools/{last.target}"]


def test_repairs_count_and_are_a_part_of_all_calls_at_most() -> None:
    transcript = hold(max_calls=20)
    assert len(transcript.calls) <= 20
    assert 0 < len(repaired(transcript)) <= 2


def test_a_reply_with_a_planted_secret_teaches_nothing() -> None:
    transcript = hold(find=lambda raw: (HIT,) if b"Note ID" in raw else ())
    assert not any(_took(one) for one in ordinary(transcript) if one.target == "get_note")


def test_a_session_goes_on_after_a_repair_that_ended_the_server() -> None:
    first = hold("--dies-on-repair")
    assert first.calls[-1].payload.startswith("repaired")
    assert first.resume_at is not None
    second = hold(start_at=first.resume_at, bases=accepted_in(first.calls))
    whole = hold()
    hostile = [_place(one) for one in whole.calls if one.family != "valid"]
    assert [_place(one) for one in second.calls if one.family != "valid"] == hostile


# --- positions ------------------------------------------------------------------------------------


def turns(plan: Plan, answers: dict[str, CallStatus]) -> list[Turn]:
    """All turns, where tools answer always so; the others with a result."""
    tools = ({"name": name, "inputSchema": SCHEMA} for name in ("one", "two", "three"))
    order = Order(plan, [Listing(ItemKind.TOOLS, Moment.BEFORE, tuple(tools), "complete", "")])
    made: list[Turn] = []
    for turn in order:
        made.append(turn)
        if turn.item is not None and turn.item.family == "valid":
            status = answers.get(turn.item.target, CallStatus.RESULT)
            body = {"content": [{"type": "text", "text": f"b or c is required, {len(made)}"}]}
            order.heard(turn.item, status, body, clean=True)
    return made


SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in "abc"},
    "required": ["a"],
}


def calls(made: Sequence[Turn]) -> list[Any]:
    return [(one.position, one.item) for one in made if one.item and not one.item.payload]


@pytest.mark.parametrize("refusing", [("one",), ("two", "three"), ("one", "two", "three")])
def test_positions_of_other_calls_do_not_depend_on_what_is_refused(refusing: tuple[str]) -> None:
    plain = turns(PLAN, {})
    refused = turns(PLAN, dict.fromkeys(refusing, CallStatus.TOOL_ERROR))
    hostile = [
        [
            (one.position, one.item.target, one.item.nonce)
            for one in made
            if one.item and one.item.nonce
        ]
        for made in (plain, refused)
    ]
    assert hostile[0] == hostile[1]
    positions = [one.position for one in refused if one.item is not None]
    assert positions == sorted(set(positions))
    assert any(one.item and one.item.payload.startswith("repaired") for one in refused)


def test_a_call_that_is_not_answered_ends_the_repairs_of_its_tool() -> None:
    tools = ({"name": name, "inputSchema": SCHEMA} for name in ("one", "two"))
    order = Order(PLAN, [Listing(ItemKind.TOOLS, Moment.BEFORE, tuple(tools), "complete", "")])
    again = []
    for turn in order:
        if turn.item is None or turn.item.family != "valid":
            continue
        if turn.item.payload:
            again.append(turn.item.target)
            order.heard(turn.item, CallStatus.TIMEOUT, None, clean=True)
        else:
            body = {"content": [{"type": "text", "text": "b is required"}]}
            order.heard(turn.item, CallStatus.TOOL_ERROR, body, clean=True)
    assert again == ["one", "two"]


def _took(call: Call) -> bool:
    return call.status is CallStatus.RESULT


def _sent(call: Call) -> tuple[str, str, Any]:
    return call.target, call.payload, call.arguments


def _place(call: Call) -> tuple[str, str, str, str]:
    return call.target, call.parameter, call.family, call.payload
