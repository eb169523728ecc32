"""What a server did, place by place: from the records of its main sessions, without what differs.

A value is told where it belongs. What shows unprompted is not told again for each tool; what a call
had named is ``<argument>``; and what only follows another tool's call, and is that one's, is a late
effect of it. The order of the calls is the same in every run, their timing is not: nothing here
depends on how late an effect came, as far as it can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcp_sandbox import deeds, hostnames
from mcp_sandbox.baseline import normalise
from mcp_sandbox.baseline.named import Named
from mcp_sandbox.baseline.places import OK, OURS, REFUSED, Places
from mcp_sandbox.model import (
    Act,
    Call,
    CallStatus,
    KernelEvent,
    Network,
    Session,
    SinkEvent,
    SinkKind,
    Window,
)
from mcp_sandbox.model.locked import ARGUMENT, BEHAVIOURS, IDLE, START, Behaviour, Part, Sighting

ENDPOINTS, PROGRAMS, WRITES, READS = (
    one.value for one in (Part.ENDPOINT, Part.PROGRAM, Part.WRITE, Part.READ)
)
MOST_VALUES = 200
"""Values of one subject and field; with more of them a lock is nothing that anybody could review.
"""
_CONNECTIONS = frozenset({SinkKind.HTTP, SinkKind.TLS, SinkKind.TCP, SinkKind.ALLOWED})
_DATAGRAMS = frozenset({SinkKind.UDP, SinkKind.QUIC})
_CHANGES = frozenset({Act.WRITE, Act.MKDIR, Act.MKNOD, Act.UNLINK, Act.CHMOD})
_ANSWERED = frozenset({CallStatus.RESULT, CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR})
_DONE = frozenset({OK, *REFUSED})
_NAME_CACHE = "/nscd/socket"


@dataclass(frozen=True)
class Observed:
    """What was done, by subject, with the first sighting of each."""

    behaviour: dict[str, Behaviour]
    seen: dict[tuple[str, str, str], Sighting]
    normalised: tuple[str, ...] = ()
    crowded: tuple[str, ...] = ()
    """``SUBJECT (FIELD)`` with more values than a lock takes."""


@dataclass(frozen=True)
class _Seen:
    """One value in one window of one session."""

    part: str
    value: str
    plain: str
    """The value without ``<argument>``."""
    session: int
    window: Window
    call: int
    early: bool
    """Before the first call of its session."""
    sighting: Sighting


def observe(sessions: Sequence[Session], planted: frozenset[str], working_dir: str) -> Observed:
    """The behaviour of a server over its main sessions. ``planted``: absolute paths."""
    places = Places(working_dir, [e for one in sessions for e in one.container.kernel])
    seen: list[_Seen] = []
    for number, session in enumerate(sessions):
        seen += _Reader(number, session, places, planted).read()
    seen = _plain_where_known(seen)
    told = _attributed(seen, sessions)
    return _gathered(told)


# --- reading the records --------------------------------------------------------------------------


class _Reader:
    """Reads the records of one session."""

    def __init__(
        self, number: int, session: Session, places: Places, planted: frozenset[str]
    ) -> None:
        self._number = number
        self._session = session
        self._places = places
        self._planted = planted
        self._calls = {call.number: call for call in session.transcript.calls}
        self._named = Named(session.transcript.calls)

    def read(self) -> Iterator[_Seen]:
        container = self._session.container
        first = _first_call(container.kernel)
        for event in container.kernel:
            for part, plain, value in self._kernel(event):
                yield self._seen(part, plain, value, event, early=event.line < first)
        first = _first_call(container.sink)
        for arrived in container.sink:
            for plain, value in self._sink(arrived):
                yield self._seen(ENDPOINTS, plain, value, arrived, early=arrived.line < first)

    def _seen(
        self, part: str, plain: str, value: str, event: KernelEvent | SinkEvent, *, early: bool
    ) -> _Seen:
        call = self._calls.get(event.call)
        kernel = (event,) if isinstance(event, KernelEvent) else ()
        sink = (event,) if isinstance(event, SinkEvent) else ()
        return _Seen(
            part=part,
            value=value,
            plain=plain,
            session=self._number,
            window=event.window,
            call=event.call,
            early=early,
            sighting=Sighting(self._session, call, kernel, sink),
        )

    def _so_far(self, event: KernelEvent | SinkEvent) -> int:
        """The number of the last call before the end of the event's window."""
        if event.window is Window.CALL:
            return event.call
        return max(self._calls, default=0) if event.window is not Window.START else 0

    def _kernel(self, event: KernelEvent) -> Iterator[tuple[str, str, str]]:
        """(part, plain value, value) of one kernel event."""
        number = self._so_far(event)
        if event.act is Act.EXEC:
            if event.result == OK and not event.object.startswith(OURS):
                name = normalise.path(deeds.program(event))
                named = self._named.program(number, deeds.program(event))
                yield PROGRAMS, name, ARGUMENT if named else name
        elif event.act is Act.OPEN:
            if event.result in _DONE and self._places.is_read(event.object, event.detail):
                yield READS, *self._path(number, event.object)
        elif event.act in _CHANGES | {Act.RENAME, Act.LINK}:
            if event.result not in _DONE:
                return
            names = [event.object] if event.act is not Act.LINK else []
            names += [event.detail] if event.act in {Act.RENAME, Act.LINK} else []
            for name in names:
                if self._places.is_write(name):
                    yield WRITES, *self._path(number, name)
        elif event.act in {Act.CONNECT, Act.SEND}:
            yield from self._connected(event, number)

    def _path(self, number: int, path: str) -> tuple[str, str]:
        normal = _resolved(path)
        value = self._named.path(number, normal, self._planted) if number else normal
        return normalise.path(normal), normalise.path(value)

    def _connected(self, event: KernelEvent, number: int) -> Iterator[tuple[str, str, str]]:
        """What the sink does not see: sockets of the machine, and all where there is no sink."""
        if event.object.startswith("unix:"):
            name = event.object.removeprefix("unix:")
            if name.endswith(_NAME_CACHE) or name.startswith(OURS) or not name.strip("@"):
                return
            shown = f"unix:{normalise.path(name)}"
            yield ENDPOINTS, shown, shown
            return
        address, port = hostnames.split_port(event.object)
        if not address or not port:
            return
        local = _is_loopback(address)
        if self._session.container.network is Network.SINK and not local:
            return
        if local:
            shown = normalise.local_endpoint(deeds.endpoint(address, port))
        else:
            shown = deeds.endpoint(address, port, datagrams=event.detail == "UDP")
        named = self._named.host(number, address) or (
            local and self._named.host(number, "localhost")
        )
        yield ENDPOINTS, shown, ARGUMENT if named else shown

    def _sink(self, event: SinkEvent) -> Iterator[tuple[str, str]]:
        """(plain value, value) of what arrived at the sink."""
        if event.kind is SinkKind.TAMPER:
            return
        host = hostnames.canonical(event.host)
        if not host or host.endswith((".arpa", ".localhost")) or host == "localhost":
            return
        port = event.port if event.kind in _CONNECTIONS | _DATAGRAMS else 0
        shown = deeds.endpoint(host, port, datagrams=event.kind in _DATAGRAMS)
        named = self._named.host(self._so_far(event), host)
        yield shown, ARGUMENT if named else shown


def _first_call(events: Sequence[KernelEvent] | Sequence[SinkEvent]) -> int:
    """The line of the first event that belongs to a call; beyond all where none does."""
    lines = [event.line for event in events if event.window is Window.CALL]
    return min(lines, default=max((event.line for event in events), default=0) + 1)


def _resolved(path: str) -> str:
    """Without ``..`` and double slashes, which a refused path may still hold."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in {"::1", "0.0.0.0", "::"}  # noqa: S104 - compared


# --- whose it is ----------------------------------------------------------------------------------

_Key = tuple[str, str]
"""Field of ``Behaviour`` and value."""


def _subject(one: _Seen) -> str:
    call = one.sighting.call
    if one.window is Window.CALL and call is not None:
        return f"{call.kind.value}/{call.target}"
    return START if one.window in {Window.START, Window.LISTING} else IDLE


def _plain_where_known(seen: list[_Seen]) -> list[_Seen]:
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
    seen: Sequence[_Seen], sessions: Sequence[Session]
) -> dict[str, dict[_Key, Sighting]]:
    """Subject -> value -> the first time."""
    told: dict[str, dict[_Key, Sighting]] = {START: {}, IDLE: {}}
    for one in seen:
        if one.window is Window.START or (one.window is Window.LISTING and one.early):
            told[START].setdefault((one.part, one.value), one.sighting)
        elif one.window is Window.IDLE and one.early:
            told[IDLE].setdefault((one.part, one.value), one.sighting)
    in_calls = [one for one in seen if one.window is Window.CALL and one.sighting.call]
    late = _late(in_calls, sessions)
    of_tools: dict[str, dict[_Key, Sighting]] = {}
    for one in in_calls:
        if (one.session, one.call, one.part, one.value) not in late:
            of_tools.setdefault(_subject(one), {}).setdefault((one.part, one.value), one.sighting)
    known = {key for values in of_tools.values() for key in values}
    for one in seen:
        key = one.part, one.value
        # After the calls: what some tool does as well, or what a call named, was begun by one.
        if one.window is Window.CALL or one.early or key in known or ARGUMENT in one.value:
            continue
        told[_subject(one)].setdefault(key, one.sighting)
    told[IDLE] = {key: one for key, one in told[IDLE].items() if key not in told[START]}
    unprompted = told[START].keys() | told[IDLE].keys()
    for subject, values in of_tools.items():
        told[subject] = {key: one for key, one in values.items() if key not in unprompted}
    return told


def _late(in_calls: Sequence[_Seen], sessions: Sequence[Session]) -> set[tuple[int, int, str, str]]:
    """(session, call, field, value) of late effects of the call before, to another tool."""
    calls: list[dict[int, Call]] = [
        {call.number: call for call in session.transcript.calls} for session in sessions
    ]

    def follows_another(session: int, number: int) -> bool:
        before, now = calls[session].get(number - 1), calls[session][number]
        return before is not None and (before.kind, before.target) != (now.kind, now.target)

    windows = {(one.session, one.call, one.part, one.value) for one in in_calls}
    own: dict[str, set[_Key]] = {}
    anyhow: dict[str, set[_Key]] = {}
    for one in in_calls:
        anyhow.setdefault(_subject(one), set()).add((one.part, one.value))
        if not follows_another(one.session, one.call):
            own.setdefault(_subject(one), set()).add((one.part, one.value))
    found = set()
    for one in in_calls:
        key = one.part, one.value
        if not follows_another(one.session, one.call) or key in own.get(_subject(one), ()):
            continue
        before = calls[one.session][one.call - 1]
        subject = f"{before.kind.value}/{before.target}"
        if key not in own.get(subject, anyhow.get(subject, set())):
            continue
        # A call that did it in its own time, and was answered, is done with it.
        missed = (one.session, one.call - 1, *key) not in windows
        if missed or before.status not in _ANSWERED:
            found.add((one.session, one.call, *key))
    return found


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
