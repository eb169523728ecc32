"""What kernel and sink recorded of one session, brought to the calls that it belongs to.

Calls are sequential, so time decides: something belongs to what the probe began last. The raw
records go to the evidence folder, planted secrets masked; what is alike within a window is kept
once, with a count and the line of the first.
"""

from __future__ import annotations

import json
import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import IO, Any, NamedTuple

from mcp_sandbox import trace
from mcp_sandbox.model import (
    COMPLETE,
    OPAQUE,
    Act,
    CanaryHit,
    ContainerFacts,
    KernelEvent,
    SinkEvent,
    SinkKind,
    Tracing,
    Window,
    Witness,
)
from mcp_sandbox.planted import Matcher
from mcp_sandbox.probe.session import Mark
from mcp_sandbox.sandbox import Recorded

MAX_LOUD = 20_000
"""Different events of one session that are kept; beyond it the record is not complete."""
MAX_QUIET = 5_000
"""Different events that are kept of each sort which start-up makes by the thousand: ordinary files
that are opened; new processes, their ends, and what comes with every name."""
MAX_TEXT = 1_024
SINK_TEXT = 4_096
BLOCK = 2**20

Write = Callable[[bytes], None]
Files = Callable[[str], AbstractContextManager[Write]]
"""Opens the evidence file of the session with this ending."""

_SINK_KINDS = {kind.value: kind for kind in SinkKind}
_QUIET_ACTS = frozenset({Act.FORK, Act.EXIT})
_LOOKED_UP = frozenset(
    f"/etc/{name}"
    for name in ("hosts", "host.conf", "resolv.conf", "nsswitch.conf", "gai.conf", "services")
)
_NAME_CACHE = "unix:/var/run/nscd/socket"
_NOTABLE = ("/proc/", "/dev/", "/run/", "/var/run/", "/sys/", "/etc/")


def opaque(container: ContainerFacts) -> bool:
    """Whether the inner tracer was shown nothing of some program; an outer one would be."""
    return container.witnesses.get(Witness.TRACE, "").startswith(OPAQUE)


class Windows:
    """Says what the probe was doing at a time of the engine's clock."""

    def __init__(self, marks: Sequence[Mark], clock: float) -> None:
        """``clock``: seconds to add to the engine's time to get ours."""
        self._marks = marks
        self._times = [mark.at - clock for mark in marks]

    def at(self, time: float) -> tuple[Window, int]:
        """The window, and the number of the call in it."""
        mark = self._marks[max(0, bisect_right(self._times, time) - 1)]
        return mark.window, mark.call


def witnessed(
    container: ContainerFacts,
    recorded: Recorded,
    marks: Sequence[Mark],
    *,
    matcher: Matcher,
    files: Files,
    bait: frozenset[str] = frozenset(),
) -> ContainerFacts:
    """The container's facts with what kernel and sink recorded. ``bait``: planted paths.

    Raises ``OutputFailed``.
    """
    windows = Windows(marks, recorded.clock)
    witnesses = dict(container.witnesses)
    kernel: tuple[KernelEvent, ...] = ()
    if container.tracing is not Tracing.NONE:
        book = _Book(windows, matcher, bait)
        with files("trace") as write:
            why = _read(recorded.trace, container.tracing, book, matcher, write)
        kernel = book.events()
        if witnesses[Witness.TRACE] == COMPLETE:
            witnesses[Witness.TRACE] = why or book.why or COMPLETE
    sink: tuple[SinkEvent, ...] = ()
    if recorded.events:
        with files("sink.jsonl") as write:
            sink = _sink(recorded.events, windows, matcher, write)
    if container.tmpfs:
        with files("files.jsonl") as write:
            for entry in container.tmpfs:
                write(json.dumps(asdict(entry)).encode() + b"\n")
    return replace(container, kernel=kernel, sink=sink, witnesses=witnesses)


# --- the kernel's record --------------------------------------------------------------------------


def _read(file: IO[bytes], tracing: Tracing, book: _Book, matcher: Matcher, write: Write) -> str:
    """Read the trace into the book and the evidence file; returns why it is not complete."""
    reader = trace.Reader(tracing)
    for block in _blocks(file):
        for event in reader.feed(block):
            book.add(event)
        write(_masked_lines(block, matcher) if matcher.find(block) else block)
    ended = reader.close()
    return f"{OPAQUE}: {ended.why}" if ended.opaque else ended.why


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The file in blocks of whole lines; a line without an end does not grow one for ever."""
    rest = b""
    while data := file.read(BLOCK):
        whole, newline, tail = (rest + data).rpartition(b"\n")
        if newline:
            yield whole + newline
            rest = tail
        elif len(tail) > 4 * BLOCK:
            yield tail
            rest = b""
        else:
            rest = tail
    if rest:
        yield rest


def _masked_lines(block: bytes, matcher: Matcher) -> bytes:
    return b"\n".join(
        matcher.mask(line.decode("utf-8", "replace")).replace("\n", " ").encode()
        if matcher.find(line)
        else line
        for line in block.split(b"\n")
    )


class _Content(NamedTuple):
    """What makes two events alike."""

    act: Act
    thing: str
    result: str
    window: Window
    call: int
    program: str
    detail: str


class _Book:
    """Events by content. A flood of different ones fills it and is said, never kept in part."""

    def __init__(self, windows: Windows, matcher: Matcher, bait: frozenset[str]) -> None:
        self._bait = bait
        self._windows = windows
        self._matcher = matcher
        self._found: dict[_Content, list[int]] = {}
        self._loud = 0
        self._quiet = Counter[bool]()
        self.why = ""

    def add(self, event: trace.Event) -> None:
        """Take one event."""
        window, call = self._windows.at(event.at)
        detail = _detail(event)
        key = _Content(event.act, event.object, event.result, window, call, event.program, detail)
        known = self._found.get(key)
        if known is not None:
            known[0] += 1
            return
        if event.object not in self._bait and _quiet(event):
            opens = event.act is Act.OPEN
            self._quiet[opens] += 1
            if self._quiet[opens] > MAX_QUIET:
                return
        else:
            self._loud += 1
            if self._loud > MAX_LOUD:
                self.why = f"there were more than {MAX_LOUD} different events"
                return
        self._found[key] = [1, event.line]

    def events(self) -> tuple[KernelEvent, ...]:
        """What was taken, in order of the trace."""
        made = [self._event(one, count, line) for one, (count, line) in self._found.items()]
        return tuple(sorted(made, key=lambda one: one.line))

    def _event(self, one: _Content, count: int, line: int) -> KernelEvent:
        canaries = _found_in(self._matcher, one.thing, one.detail)
        mask = self._matcher.mask if canaries else str
        return KernelEvent(
            act=one.act,
            object=mask(one.thing)[:MAX_TEXT],
            result=one.result,
            window=one.window,
            call=one.call,
            program=one.program[:MAX_TEXT],
            detail=mask(one.detail)[:MAX_TEXT],
            count=count,
            line=line,
            canaries=canaries,
        )


def _detail(event: trace.Event) -> str:
    """Arguments; the new name of a rename or link; flags and the name as it was asked for."""
    if event.argv:
        return shlex.join(event.argv)
    if event.act in {Act.RENAME, Act.LINK}:
        return event.other
    if event.act in {Act.OPEN, Act.WRITE}:
        return " ".join(filter(None, (event.other, event.detail)))
    return event.detail or event.other


def _quiet(event: trace.Event) -> bool:
    """Reading an ordinary file, processes that come and go, what a C library does for every name.

    Start-ups have thousands of the first two, a server that connects in each call has of the last.
    """
    thing = event.object
    if event.act in _QUIET_ACTS:
        return event.result == "ok"
    if event.act is Act.OPEN:
        return thing in _LOOKED_UP or not (thing.startswith(_NOTABLE) or "/." in thing)
    if event.act is Act.CONNECT:
        # A datagram socket without a port sends nothing: it sorts the addresses of a name.
        return thing == _NAME_CACHE or thing.endswith(":0")
    return event.act in {Act.BIND, Act.SEND} and thing == "netlink"


def _found_in(matcher: Matcher, *texts: str) -> tuple[CanaryHit, ...]:
    return matcher.find("\n".join(texts).encode("utf-8", "surrogatepass"))


# --- the sink -------------------------------------------------------------------------------------


def _sink(
    events: Sequence[dict[str, Any]], windows: Windows, matcher: Matcher, write: Write
) -> tuple[SinkEvent, ...]:
    """What arrived, once per window and content; every single one goes to the file."""
    taken = [
        (raw, _sink_event(kind, raw, *windows.at(float(raw["at"])), matcher))
        for raw in events
        if (kind := _SINK_KINDS.get(str(raw.get("event")))) is not None
    ]
    together = _told_in_pieces(taken, matcher)
    found: dict[SinkEvent, tuple[int, int]] = {}
    for line, (raw, event) in enumerate(taken, start=1):
        event = together.get(line, event)  # noqa: PLW2901
        masked = {
            key: matcher.mask(value) if event.canaries and isinstance(value, str) else value
            for key, value in raw.items()
        }
        write(json.dumps({"window": event.window, "call": event.call, **masked}).encode() + b"\n")
        count, first = found.get(event, (0, line))
        found[event] = count + 1, first
    return tuple(replace(event, count=count, line=first) for event, (count, first) in found.items())


def _told_in_pieces(
    taken: Sequence[tuple[dict[str, Any], SinkEvent]], matcher: Matcher
) -> dict[int, SinkEvent]:
    """Secrets cut over several questions for names: line of the last question -> that event.

    Looked for within each call first, so that the secret is told where it was sent, then over all.
    """
    asked = [
        (line, str(raw.get("name", "")), event)
        for line, (raw, event) in enumerate(taken, start=1)
        if event.kind is SinkKind.DNS
    ]
    seen = {hit.place for _, event in taken for hit in event.canaries}
    windows = dict.fromkeys((event.window, event.call) for _, _, event in asked)
    groups = [[one for one in asked if (one[2].window, one[2].call) == key] for key in windows]
    found: dict[int, SinkEvent] = {}
    for group in [*groups, asked] if len(groups) > 1 else groups:
        hits = matcher.find_in_names(name for _, name, _ in group)
        fresh = tuple(hit for hit in hits if hit.place not in seen)
        if fresh:
            line, _, event = group[-1]
            found[line] = replace(event, canaries=event.canaries + fresh)
            seen |= {hit.place for hit in fresh}
    return found


def _sink_event(
    kind: SinkKind, raw: dict[str, Any], window: Window, call: int, matcher: Matcher
) -> SinkEvent:
    """One event of the warden, whose fields may be missing but never of another type."""
    host = str(raw.get("name") if kind is SinkKind.DNS else raw.get("host", ""))
    first = str(raw.get("first", ""))
    if kind is SinkKind.DNS:
        text = str(raw.get("type", ""))
    elif kind is SinkKind.TLS:
        text = ", ".join(str(one) for one in raw.get("alpn") or ())
    else:
        text = first or str(raw.get("text", ""))
    # The warden writes a byte as the character of that number.
    content = bytes.fromhex(first) if first else text.encode("latin-1", "replace")
    seen = (host.encode("utf-8", "replace"), content)
    canaries = tuple(dict.fromkeys(hit for part in seen if part for hit in matcher.find(part)))
    mask = matcher.mask if canaries else str
    return SinkEvent(
        kind=kind,
        host=mask(host)[:MAX_TEXT],
        port=int(raw.get("port") or 0),
        text=mask(text)[:SINK_TEXT],
        size=int(raw.get("size") or raw.get("sent") or 0),
        address=str(raw.get("answer" if kind is SinkKind.DNS else "address") or "")[:MAX_TEXT],
        tls=bool(raw.get("tls")),
        window=window,
        call=call,
        canaries=canaries,
    )
