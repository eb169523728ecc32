"""What a server did, place by place: from the records of its main sessions, without what differs.

A value is told where it belongs. What shows unprompted is not told again for each tool; what a call
had named is ``<argument>``; and what only follows another tool's call, and is that one's, is a late
effect of it. The order of the calls is the same in every run, their timing is not: nothing here
depends on how late an effect came, as far as it can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mcp_sandbox.baseline import normalise
from mcp_sandbox.baseline.places import Places
from mcp_sandbox.baseline.records import ENDPOINTS, PROGRAMS, READS, WRITES, Reader, Seen
from mcp_sandbox.model import (
    Call,
    CallStatus,
    Session,
    Window,
)
from mcp_sandbox.model.locked import ARGUMENT, BEHAVIOURS, IDLE, START, Behaviour, Sighting

MOST_VALUES = 200
"""Values of one subject and field; with more of them a lock is nothing that anybody could review.
"""
_ANSWERED = frozenset({CallStatus.RESULT, CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR})


@dataclass(frozen=True)
class Observed:
    """What was done, by subject, with the first sighting of each."""

    behaviour: dict[str, Behaviour]
    seen: dict[tuple[str, str, str], Sighting]
    normalised: tuple[str, ...] = ()
    crowded: tuple[str, ...] = ()
    """``SUBJECT (FIELD)`` with more values than a lock takes."""


def observe(
    sessions: Sequence[Session],
    beside: Sequence[Session],
    planted: frozenset[str],
    working_dir: str,
) -> Observed:
    """The behaviour of a server over its main sessions.

    ``beside``: sessions with the same calls, whose records tell what does not belong to a call.
    ``planted``: absolute paths.
    """
    places = Places(working_dir, [e for one in sessions for e in one.container.kernel])
    seen: list[Seen] = []
    for number, session in enumerate(sessions):
        seen += Reader(number, session, places, planted).read()
    again: list[Seen] = []
    for number, session in enumerate(beside):
        again += Reader(number, session, places, planted).read()
    seen = _plain_where_known(seen)
    told = _attributed(seen, sessions, _floating(seen, sessions, again, beside))
    return _gathered(told)


# --- whose it is ----------------------------------------------------------------------------------

_Key = tuple[str, str]
"""Field of ``Behaviour`` and value."""
_Asked = tuple[str, str, str, str, str]
"""What a call was: kind, target, parameter, family, payload. Equal over sessions."""


def _subject(one: Seen) -> str:
    call = one.sighting.call
    if one.window is Window.CALL and call is not None:
        return f"{call.kind.value}/{normalise.writable(call.target)}"
    return START if one.window in {Window.START, Window.LISTING} else IDLE


def _plain_where_known(seen: list[Seen]) -> list[Seen]:
    """What a place does unnamed too, is its own there, whatever later inputs name."""
    own = {
        (subject, one.part, one.plain)
        for one in seen
        if one.value == one.plain
        for subject in (_subject(one),)
    }
    unprompted = {(part, plain) for where, part, plain in own if where in {START, IDLE}}
    return [
        replace(one, value=one.plain)
        if (_subject(one), one.part, one.plain) in own or (one.part, one.plain) in unprompted
        else one
        for one in seen
    ]


def _attributed(
    seen: Sequence[Seen], sessions: Sequence[Session], floating: frozenset[_Key]
) -> dict[str, dict[_Key, Sighting]]:
    """Subject -> value -> the first time. ``floating``: what comes in its own time."""
    told: dict[str, dict[_Key, Sighting]] = {START: {}, IDLE: {}}
    in_calls = []
    for one in seen:
        floats = (one.part, one.plain) in floating and one.value != ARGUMENT
        if one.window is Window.CALL and not floats:
            in_calls.append(one)
        elif one.window is Window.CALL:
            told[IDLE].setdefault((one.part, one.value), one.sighting)
        elif one.early:
            told[_subject(one)].setdefault((one.part, one.value), one.sighting)
    late = _late(in_calls, sessions)
    of_tools: dict[str, dict[_Key, Sighting]] = {}
    for one in in_calls:
        if (one.session, one.call, one.part, one.plain) not in late:
            of_tools.setdefault(_subject(one), {}).setdefault((one.part, one.value), one.sighting)
    in_some_call = {(one.part, name) for one in in_calls for name in (one.plain, one.value)}
    in_some_call |= {(part, ARGUMENT) for part in BEHAVIOURS}
    for one in seen:
        key = one.part, one.value
        # After the calls: what some tool does as well, or what a call named, was begun by one.
        begun = (one.part, one.plain) in in_some_call or key in in_some_call
        if one.window is not Window.CALL and not one.early and not begun:
            told[_subject(one)].setdefault(key, one.sighting)
    told[IDLE] = {key: one for key, one in told[IDLE].items() if key not in told[START]}
    unprompted = told[START].keys() | told[IDLE].keys()
    for subject, values in of_tools.items():
        told[subject] = {key: one for key, one in values.items() if key not in unprompted}
    return told


def _floating(
    seen: Sequence[Seen],
    sessions: Sequence[Session],
    again: Sequence[Seen],
    beside: Sequence[Session],
) -> frozenset[_Key]:
    """What came with a call that it did not come with when the same was asked again.

    A timer of the server's does not know of calls: which one it falls into differs by run.
    """
    here, there = _with_calls(seen, sessions), _with_calls(again, beside)
    return frozenset(
        key
        for key, calls in here.items()
        if key in there and 2 * sum(bool(one & there[key][0]) for one in calls[1]) < len(calls[1])
    )


def _with_calls(
    seen: Sequence[Seen], sessions: Sequence[Session]
) -> dict[_Key, tuple[set[_Asked], list[set[_Asked]]]]:
    """Value -> all that was asked when it came, and for each time what was asked then or before."""
    calls = [{call.number: call for call in one.transcript.calls} for one in sessions]
    found: dict[_Key, dict[tuple[int, int], set[_Asked]]] = {}
    for one in seen:
        if one.window is not Window.CALL:
            continue
        asked = {
            (call.kind.value, call.target, call.parameter, call.family, call.payload)
            for number in (one.call, one.call - 1)
            if (call := calls[one.session].get(number)) is not None
        }
        found.setdefault((one.part, one.plain), {})[one.session, one.call] = asked
    return {
        key: (set().union(*times.values()), list(times.values())) for key, times in found.items()
    }


def _late(in_calls: Sequence[Seen], sessions: Sequence[Session]) -> set[tuple[int, int, str, str]]:
    """(session, call, field, value) of late effects of the call before, to another tool."""
    calls: list[dict[int, Call]] = [
        {call.number: call for call in session.transcript.calls} for session in sessions
    ]

    def follows_another(session: int, number: int) -> bool:
        before, now = calls[session].get(number - 1), calls[session][number]
        return before is not None and (before.kind, before.target) != (now.kind, now.target)

    windows = {(one.session, one.call, one.part, one.plain) for one in in_calls}
    own: dict[str, set[_Key]] = {}
    anyhow: dict[str, set[_Key]] = {}
    for one in in_calls:
        anyhow.setdefault(_subject(one), set()).add((one.part, one.plain))
        if not follows_another(one.session, one.call):
            own.setdefault(_subject(one), set()).add((one.part, one.plain))
    found = set()
    for one in in_calls:
        key = one.part, one.plain
        if not follows_another(one.session, one.call) or key in own.get(_subject(one), ()):
            continue
        before = calls[one.session][one.call - 1]
        subject = f"{before.kind.value}/{normalise.writable(before.target)}"
        if key not in own.get(subject, anyhow.get(subject, set())):
            continue
        # A call that did it in its own time, and was answered, is done with it.
        missed = (one.session, one.call - 1, *key) not in windows
        if missed or before.status not in _ANSWERED:
            found.add((one.session, one.call, *key))
    # Of two that may each be the other's, neither is taken away: nothing that was done goes unsaid.
    kept = {(part, plain) for _, _, part, plain in windows - found}
    return {one for one in found if one[2:] in kept}


# --- gathering ------------------------------------------------------------------------------------


def _gathered(told: dict[str, dict[_Key, Sighting]]) -> Observed:
    behaviour: dict[str, Behaviour] = {}
    seen: dict[tuple[str, str, str], Sighting] = {}
    crowded: list[str] = []
    common: dict[str, set[str]] = {part: set() for part in BEHAVIOURS}
    gathering: dict[str, Callable[[set[str]], dict[str, str]]] = {
        ENDPOINTS: _endpoints,
        PROGRAMS: _as_they_are,
        WRITES: normalise.gathered,
        READS: normalise.gathered,
    }
    for subject in sorted(told, key=lambda one: (one not in {START, IDLE}, one != START, one)):
        fields: dict[str, tuple[str, ...]] = {}
        for part in BEHAVIOURS:
            values = {value for kind, value in told[subject] if kind == part}
            shown = gathering[part](values)
            kept = {
                value: now
                for value, now in shown.items()
                if subject == START or not _covered(now, common[part])
            }
            for value in sorted(kept):
                seen.setdefault((subject, part, kept[value]), told[subject][part, value])
            fields[part] = tuple(sorted(set(kept.values())))
            if len(fields[part]) > MOST_VALUES:
                crowded.append(f"{subject} ({part})")
            if subject in {START, IDLE}:
                common[part] |= set(fields[part])
        if any(fields.values()):
            behaviour[subject] = Behaviour(**fields)
    shown_values = [value for _, _, value in seen]
    any_part = any(normalise.ANY in value for value in shown_values)
    said = (PARTS_SAID,) if any_part else ()
    return Observed(dict(sorted(behaviour.items())), seen, said, tuple(crowded))


PARTS_SAID = (
    "Paths: * stands for numbers, identifiers and random names, and for the entries of a folder "
    "with many."
)


def _covered(value: str, common: set[str]) -> bool:
    """It shows unprompted already: itself, as a name that is also connected to, or by a folder."""
    if value in common:
        return True
    folder = value
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if f"{folder}/{normalise.ANY}" in common:
            return True
    return ":" not in value and any(one.startswith(f"{value}:") for one in common)


def _endpoints(values: set[str]) -> dict[str, str]:
    """Without names that were looked up to be connected to."""
    connected = {value.rpartition(":")[0].strip("[]") for value in values if ":" in value}
    return {value: value for value in values if value not in connected}


def _as_they_are(values: set[str]) -> dict[str, str]:
    return {value: value for value in values}
