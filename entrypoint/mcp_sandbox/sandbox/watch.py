"""What comes from a warden: its events, and the bytes of the kernel trace that it passes on.

The warden speaks JSON lines on standard output and passes the trace on on standard error; a thread
takes both, so that neither ever waits for the conversation with the server. The trace goes to a
file without a name, events to memory, both up to a bound. What is beyond a bound, missing or out of
order makes a witness incomplete and is said.
"""

from __future__ import annotations

import contextlib
import json
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import COMPLETE, NOT_USED, Listener, SinkKind, Witness
from mcp_sandbox.sandbox.spool import Trace
from mcp_sandbox.sandbox.stream import AttachedStream

MAX_EVENTS = 50_000
MAX_EVENT_BYTES = 64 * 2**20
MAX_LINE = 80 * 2**10
READY_TIMEOUT = 20.0
"""Seconds until the warden has set everything up."""
OPENED_TIMEOUT = 10.0
"""Seconds until the gate has become the server, or could not."""
END_TIMEOUT = 20.0
"""Seconds until the warden has drained the trace and said so: longer than all that it may wait
for itself, so that what it could not do it says."""
PINGS = 3
_TICK = 0.2
_KINDS = frozenset(SinkKind)

Event = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """What the warden of one server recorded."""

    trace: IO[bytes]
    """A file without a name, at its beginning; empty when nothing was traced. Whoever is done with
    it may close it; leaving the sandbox closes it too."""
    events: tuple[Event, ...] = ()
    """The warden's objects of the sink's kinds, in order."""
    clock: float = 0.0
    """Seconds to add to the engine's time to get ours; 0 where both agree within a round trip."""
    trace_bytes: int = 0


_REFUSALS = frozenset(f"exited with {code}" for code in (125, 126, 127))
"""How the gate ends when there is nothing that it could become. A program that the kernel then
refuses has been started as far as any engine is concerned, and has failed."""


class Opened(StrEnum):
    """What became of a gate that was opened."""

    SERVER = "server"
    """It has become the server."""
    REFUSED = "refused"
    """It exited: there is no such program, or it may not be executed."""
    UNKNOWN = "unknown"


@dataclass
class _Said:
    """What the warden has said so far. Guarded by the condition of its ``Watch``."""

    events: list[Event] = field(default_factory=list)
    event_bytes: int = 0
    dropped: int = 0
    next: int = 1
    gap: bool = False
    ready: Event | None = None
    trace_end: Event | None = None
    end: Event | None = None
    clocks: dict[int, float] = field(default_factory=dict)
    sockets: dict[int, tuple[Listener, ...]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    over: bool = False
    """Its streams have ended."""


class Watch:
    """One warden that was attached to before its container started. Owns its streams."""

    def __init__(self, stream: AttachedStream, trace: Trace, *, sink: bool, collect: bool) -> None:
        self.trace = trace
        self._stream = stream
        self._sink = sink
        self._collect = collect
        self._said = _Said()
        self._changed = threading.Condition()
        self._line = bytearray()
        self._clock = 0.0
        self._asked = 0
        self._thread = threading.Thread(target=self._read, name="mcp-sandbox-watch", daemon=True)
        self._thread.start()

    # --- what the sandbox asks ---

    def ready(self, within: float = READY_TIMEOUT) -> None:
        """Wait until everything but the gate is in place. Raises ``EngineFailed``."""
        if not self._until(lambda said: said.ready is not None, within):
            raise EngineFailed(f"What watches the server could not be set up: {self._why()}.")

    def calibrate(self) -> None:
        """Learn how far the engine's clock is from ours. Raises ``EngineFailed``."""
        best: tuple[float, float] | None = None
        for number in range(1, PINGS + 1):
            before = time.time()
            self._send({"do": "clock", "id": number})
            if not self._until(lambda said, n=number: n in said.clocks, END_TIMEOUT):  # type: ignore[misc]
                raise EngineFailed(f"The warden does not answer: {self._why()}.")
            after, at = time.time(), self._said.clocks[number]
            offset = 0.0 if before <= at <= after else (before + after) / 2 - at
            if best is None or after - before < best[0]:
                best = (after - before, offset)
            if not offset:
                break
        self._clock = best[1] if best else 0.0

    def go(self, within: float = OPENED_TIMEOUT) -> Opened:
        """Open the gate; returns what became of it. Raises ``EngineFailed``."""
        self._send({"do": "go"})
        self._until(lambda _: self.trace.execs > 0 or bool(self.trace.exit), within)
        if self.trace.execs > 0 or (self.trace.exit and self.trace.exit not in _REFUSALS):
            return Opened.SERVER
        return Opened.REFUSED if self.trace.exit else Opened.UNKNOWN

    def listeners(self) -> tuple[Listener, ...]:
        """What listens in the server's network but the sink itself. Raises ``EngineFailed``."""
        self._asked += 1
        number = self._asked
        self._send({"do": "sockets", "id": number})
        if not self._until(lambda said: number in said.sockets, END_TIMEOUT):
            raise EngineFailed(f"The warden does not answer: {self._why()}.")
        return self._said.sockets[number]

    def server_ended(self, within: float) -> bool:
        """Whether the server's own process has ended, in time, as the trace tells."""
        return self._until(lambda _: bool(self.trace.exit), within)

    def trace_ended(self, within: float) -> bool:
        """Whether the tracer itself has ended, in time."""
        return self._until(lambda said: said.trace_end is not None, within)

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._said.over

    def finish(self, within: float = END_TIMEOUT) -> None:
        """Have the warden drain what is there and end. What it does not manage is told."""
        with contextlib.suppress(EngineFailed):
            self._send({"do": "finish"})
        self._until(lambda said: said.over, within)
        self.close()

    def close(self) -> None:
        """Give the streams up."""
        with self._changed:
            self._said.over = True
        self._thread.join()
        self._stream.close()

    # --- what it has ---

    @property
    def recorded(self) -> Recorded:
        """All of it, after ``finish``."""
        self.trace.file.seek(0)
        events = tuple(self._said.events)
        return Recorded(self.trace.file, events, self._clock, self.trace.total - self.trace.dropped)

    @property
    def witnesses(self) -> dict[str, str]:
        """``complete``, ``not used``, or why not, of the trace and of the sink."""
        common = self._common_trouble()
        return {
            Witness.TRACE: (common or self._trace_trouble() or COMPLETE)
            if self._collect
            else NOT_USED,
            Witness.SINK: (common or self._sink_trouble() or COMPLETE) if self._sink else NOT_USED,
        }

    def _common_trouble(self) -> str:
        said = self._said
        if said.trouble:
            return "; ".join(said.trouble)
        if said.gap:
            return "the warden's events are not all there"
        return "" if said.end is not None else "the warden ended before it was done"

    def _trace_trouble(self) -> str:
        end = self._said.trace_end
        if end is None or end.get("ended") is not True:
            return "the end of the trace was not seen"
        if end.get("dropped") != 0 or end.get("bytes") != self.trace.total:
            return "bytes of the trace were lost on the way"
        if self.trace.dropped:
            return f"{self.trace.dropped} bytes at the end of the trace were not kept"
        return "" if self.trace.exit else "the trace breaks off before the server's end"

    def _sink_trouble(self) -> str:
        said = self._said
        if said.full:
            return "; ".join(said.full)
        if said.dropped:
            return f"{said.dropped} events of the sink were not kept"
        if said.ready is None or said.ready.get("sink") is not True:
            return "the sink was not there"
        return ""

    def _why(self) -> str:
        with self._changed:
            trouble = "; ".join(self._said.trouble)
            return trouble or ("it ended" if self._said.over else "it takes too long")

    # --- the thread ---

    def _read(self) -> None:
        while True:
            with self._changed:
                if self._said.over:
                    return
            if not select.select([self._stream], [], [], _TICK)[0]:
                continue
            data = self._stream.recv()  # standard error goes to the trace by itself
            with self._changed:
                if data == b"":
                    self._said.over = True
                    if self._stream.broken:
                        self._trouble(self._stream.broken)
                elif data:
                    self._lines(data)
                self._changed.notify_all()

    def _lines(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._event(bytes(self._line) + part)
            self._line.clear()
        self._line += rest
        if len(self._line) > MAX_LINE:
            self._line.clear()
            self._trouble("the warden said something that is too long")

    def _event(self, line: bytes) -> None:  # noqa: C901 - one branch for each kind
        said = self._said
        try:
            event = json.loads(line)
            number, kind, at = int(event["seq"]), str(event["event"]), float(event["at"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self._trouble(f"the warden said {line[:200].decode('ascii', 'backslashreplace')!r}")
            return
        said.gap = said.gap or number != said.next
        said.next = number + 1
        if kind in _KINDS:
            said.event_bytes += len(line)
            if len(said.events) < MAX_EVENTS and said.event_bytes <= MAX_EVENT_BYTES:
                said.events.append(event)
            else:
                said.dropped += 1
        elif kind == "ready":
            said.ready = event
        elif kind == "trace-end":
            said.trace_end = event
        elif kind == "end":
            said.end = event
        elif kind == "clock":
            if isinstance(event.get("id"), int) and event["id"] <= PINGS:
                said.clocks[event["id"]] = at
        elif kind == "sockets":
            said.sockets = {event["id"]: tuple(Listener(*row) for row in event["listening"])}
        elif kind == "full":
            said.full = [*said.full, str(event.get("text", ""))[:500]][-8:]
        else:
            self._trouble(str(event.get("text", kind))[:500])

    def _trouble(self, text: str) -> None:
        if len(self._said.trouble) < 8:  # noqa: PLR2004 - the first ones tell most
            self._said.trouble.append(text)

    def _until(self, over: Callable[[_Said], bool], within: float) -> bool:
        deadline = time.monotonic() + within
        with self._changed:
            while not over(self._said):
                rest = deadline - time.monotonic()
                if rest <= 0 or self._said.over:
                    return over(self._said)
                self._changed.wait(rest)
            return True

    def _send(self, command: dict[str, Any]) -> None:
        rest = memoryview(json.dumps(command).encode("ascii") + b"\n")
        deadline = time.monotonic() + END_TIMEOUT
        while rest:
            if time.monotonic() > deadline:
                raise EngineFailed("The warden takes no command.")
            try:
                sent = self._stream.send(rest)
            except BrokenPipeError as error:
                raise EngineFailed(f"The warden is gone: {self._why()}.") from error
            if not sent:
                select.select([], [self._stream], [], _TICK)
            rest = rest[sent:]
