"""The reader of a trace: joins halves, knows the processes, says what is missing.

Memory does not grow with the trace: halves of calls, processes, samples and remembered records
have bounds, and what goes over one is reported as lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mcp_sandbox.model import Act, Tracing
from mcp_sandbox.trace.calls import FORKS, HANDLERS, read_call
from mcp_sandbox.trace.events import UNKNOWN, Completeness, Event
from mcp_sandbox.trace.halves import Half, Halves, Losses
from mcp_sandbox.trace.processes import Process, Processes
from mcp_sandbox.trace.record import Call, Kind, Unreadable, cut
from mcp_sandbox.trace.text import join

GATE = "/tracer/gate"
"""How the path of the program ends that waits for the word to start the server."""

LONGEST_LINE = 64 * 2**10
MOST_OPAQUE = 32
REMEMBERED = 4_096
"""Records whose reading is remembered: a server does the same things again and again."""
LONGEST_REMEMBERED = 512

_LINE = re.compile(rb"([0-9]{1,10}) +([0-9]{1,12}\.[0-9]{6}) (.+)", re.DOTALL)
_BEGUN = re.compile(rb" ?<(?:unfinished|detached|pid changed to [0-9]{1,10}) \.\.\.>\Z")
_RESUMED = re.compile(rb"<\.\.\. ([a-z0-9_?]+) resumed>(.*)", re.DOTALL)
_ENDED = re.compile(
    rb"\+\+\+ (exited with ([0-9]{1,3})|killed by (SIG[A-Z0-9_+]{1,16})(?: \(core dumped\))?) "
    rb"\+\+\+"
)
_SUPERSEDED = re.compile(rb"\+\+\+ superseded by execve in pid ([0-9]{1,10}) \+\+\+")
_SILENT = re.compile(rb"--- .* ---|\[ Process PID=[0-9]+ runs in .* mode\. \]", re.DOTALL)
_CALLED = re.compile(rb"[a-z0-9_?]+\(")

_NEW = Call(None, "", "")
"""Not a reading: a record that is not remembered."""
_TWO_PATHS = frozenset((Act.RENAME, Act.LINK))


def _sample(text: bytes) -> str:
    return text[:80].decode("ascii", "backslashreplace")


class Reader:
    """Reads a trace piece by piece, as it comes. ``feed`` and ``close`` never raise."""

    def __init__(self, tracing: Tracing = Tracing.INSIDE) -> None:
        """``tracing`` says where a trace has to begin: at the gate, or with the server itself."""
        self._inside = tracing is Tracing.INSIDE
        self._gate_seen = not self._inside
        self._began = False
        self._first = 0
        self._exit = ""
        self._lines = 0
        self._bytes = 0
        self._rest = b""
        self._skipping = False
        self._halves = Halves()
        self._superseded: set[int] = set()
        self._remembered: dict[bytes, Call | None] = {}
        self._opaque: dict[str, None] = {}
        self._losses = Losses()
        self._processes = Processes()

    def feed(self, data: bytes) -> list[Event]:
        """The events of the lines that ``data`` completes, in the order in which they came back."""
        self._bytes += len(data)
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        events: list[Event] = []
        if self._skipping and lines:
            self._skipping = False
            del lines[0]
        for line in lines:
            self._lines += 1
            self._line(line, events)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > LONGEST_LINE:
            self._lines += 1
            self._too_long(self._rest)
            self._skipping, self._rest = True, b""
        return events

    def close(self) -> Completeness:
        """What was there of the trace. A last line without its end is lost."""
        if self._rest:
            self._lines += 1
            self._lose("the last line is cut off")
            self._rest = b""
        lost = self._losses.told()
        if self._processes.refused:
            lost = (*lost, f"{self._processes.refused} processes too many to follow")
        return Completeness(
            began=self._began,
            ended=bool(self._exit),
            exit=self._exit,
            lines=self._lines,
            bytes=self._bytes,
            opaque=tuple(self._opaque),
            lost=lost,
        )

    # --- lines ------------------------------------------------------------------------------------

    def _line(self, line: bytes, events: list[Event]) -> None:
        if len(line) > LONGEST_LINE:
            self._too_long(line)
            return
        found = _LINE.fullmatch(line)
        if found is None:
            self._lose(_sample(line))
            return
        number, time, record = found.groups()
        call = self._remembered.get(record, _NEW)
        if call is None:
            return
        if call is not _NEW:
            self._done(self._lines, float(time), int(number), call, events)
            return
        task = int(number)
        self._first = self._first or task
        if record[:1] in b"<+-[":
            self._note(float(time), task, record, events)
        elif record.endswith(b" ...>") and (begun := _BEGUN.search(record, len(record) - 40)):
            self._begun(task, float(time), record[: begun.start()])
        else:
            self._record(self._lines, float(time), task, record, events)

    def _note(self, at: float, task: int, record: bytes, events: list[Event]) -> None:
        """A line that is no call: a second half, an end, a signal."""
        if found := _RESUMED.fullmatch(record):
            self._resumed(task, found[1], found[2], events)
        elif found := _ENDED.fullmatch(record):
            self._ended(at, task, found, events)
        elif found := _SUPERSEDED.fullmatch(record):
            self._moved(task, int(found[1]), events)
        elif not _SILENT.fullmatch(record):
            self._lose(_sample(record))

    def _record(self, line: int, at: float, task: int, record: bytes, events: list[Event]) -> None:
        """A whole record that is not remembered: read it, and remember how it read."""
        try:
            call = read_call(record)
        except Unreadable as failure:
            # Before the server there is only the gate, and it may be caught in mid-call.
            if self._began:
                self._lose(str(failure))
            return
        if call is None and not _CALLED.match(record):
            self._lose(_sample(record))
            return
        if len(record) <= LONGEST_REMEMBERED:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[record] = call
        if call is not None:
            self._done(line, at, task, call, events)

    def _begun(self, task: int, at: float, text: bytes) -> None:
        """The first half of a call: kept until it comes back."""
        name = text[: text.find(b"(")]
        if name not in HANDLERS:
            return
        if name in FORKS:
            self._processes.forking(self._processes.of(task), thread=b"CLONE_THREAD" in text)
        if not self._halves.keep(task, Half(self._lines, at, text)):
            self._lose("too many calls at once")

    def _resumed(self, task: int, name: bytes, rest: bytes, events: list[Event]) -> None:
        """The second half of a call."""
        if name not in HANDLERS:
            return
        half = self._halves.take(task)
        if half is not None and half.text.startswith(name + b"("):
            self._record(half.line, half.at, task, half.text + rest, events)
        elif half is None and task in self._superseded and name.startswith(b"execve"):
            self._superseded.discard(task)
        elif self._began:
            self._lose("a call came back that had not begun")

    def _moved(self, task: int, thread: int, events: list[Event]) -> None:
        """A thread executed a program and goes on under the number of its process."""
        half = self._halves.take(thread)
        self._halves.take(task)
        self._processes.moved(task, thread)
        if half is not None and half.text.startswith(b"execve"):
            # The result that follows under the old number is not that of the exec: it went well.
            self._superseded.add(task)
            self._record(half.line, half.at, task, half.text + b") = 0", events)
        elif self._began:
            self._lose("a thread executed a program that is not in the trace")

    def _ended(self, at: float, task: int, found: re.Match[bytes], events: list[Event]) -> None:
        self._halves.take(task)
        self._superseded.discard(task)
        process = self._processes.ended(task)
        if task == self._first:
            self._exit = found[1].decode()
        if process is not None and self._began:
            act, what = (Act.EXIT, found[2]) if found[2] else (Act.SIGNAL, found[3])
            events.append(Event(self._lines, at, task, act, what.decode(), "ok", process.program))

    # --- calls ------------------------------------------------------------------------------------

    def _done(self, line: int, at: float, task: int, call: Call, events: list[Event]) -> None:
        """A call that came back: what it does to the processes, and its event."""
        process = self._processes.of(task)
        if call.folder:
            process.folder = call.folder
        if call.relative:
            call = self._joined(process, call)
        program, name = process.program, call.object
        if call.kind is not Kind.PLAIN:
            told = self._changed(process, task, call)
            if told is None:
                return
            name = told
        if not self._began or call.act is None:
            return
        if call.opaque and len(self._opaque) < MOST_OPAQUE:
            self._opaque.setdefault(program or UNKNOWN)
        if name.startswith("/proc/"):
            name = self._own(process, name)
        result, argv, detail, other = call.result, call.argv, call.detail, call.other
        events.append(Event(line, at, task, call.act, name, result, program, argv, detail, other))
        for further in call.more:
            self._done(line, at, task, further, events)

    def _changed(self, process: Process, task: int, call: Call) -> str | None:
        """What a call does to the processes. Its object, or None when there is nothing to tell."""
        told: str | None = call.object
        if call.kind is Kind.FOLDER:
            process.folder, told = call.object, None
        elif call.kind is Kind.TARGET:
            told = self._target(process, call)
        elif call.kind is Kind.EXEC:
            told = told if self._executed(process, task, call) else None
        else:
            self._forked(process, call)
            told = None if call.thread else told
        return told

    @staticmethod
    def _joined(process: Process, call: Call) -> Call:
        """The names of a call as seen from the folder of its process."""
        name = call.object if call.object == UNKNOWN else join(process.folder, call.object)
        other = call.other
        if call.act in _TWO_PATHS and other != UNKNOWN:
            other = join(process.folder, other)
        asked = call.detail or (call.object if name != call.object else "")
        return call._replace(object=cut(name), other=cut(other), detail=cut(asked))

    def _own(self, process: Process, name: str) -> str:
        """A process's own entries under ``self``: its number says nothing and is never the same."""
        own = process.inner
        if not own and (self._inside or process.pid == self._first):
            own = process.pid if self._inside else 1
        prefix = f"/proc/{own}/"
        return f"/proc/self/{name[len(prefix) :]}" if name.startswith(prefix) else name

    def _executed(self, process: Process, task: int, call: Call) -> bool:
        """Whether to tell of an exec. The process runs another program if it went well."""
        if call.result != "ok":
            return True
        process.program, process.executed = call.object, True
        if self._began or task != self._first:
            return True
        self._began = self._gate_seen
        # An unreadable loader hides even the gate from the tracer; it is the first all the same.
        self._gate_seen = self._gate_seen or call.object.endswith(GATE) or call.object == UNKNOWN
        return self._began

    def _forked(self, process: Process, call: Call) -> None:
        """Take in the child, if the record has the number that the tracer knows it by."""
        if self._inside or call.translated:
            self._processes.forked(process, call.number, call.inner, thread=call.thread)
        else:
            self._processes.forking(process, thread=call.thread)

    def _target(self, process: Process, call: Call) -> str:
        """Whom a ``kill`` or ``ptrace`` is aimed at, as seen from the process that does it."""
        number = call.number
        if number == 1 and self._inside:
            return "tracer"
        if (self._inside or call.translated) and number not in (0, -1):
            aim = self._processes.known(abs(number))
            if aim is process:
                return "self"
            if aim is not None and aim.descends_from(process):
                return "child"
        return f"pid {number}"

    # --- what is missing --------------------------------------------------------------------------

    def _lose(self, what: str) -> None:
        self._losses.add(self._lines, what)

    def _too_long(self, line: bytes) -> None:
        """A line that is too long matters unless its call does not."""
        found = _LINE.match(line[:LONGEST_LINE])
        record = found[3] if found else b""
        name = (
            resumed[1]
            if (resumed := _RESUMED.match(record))
            else record[: max(record.find(b"("), 0)]
        )
        if not name or name in HANDLERS:
            self._lose("a line is too long")


def read(chunks: Iterable[bytes], tracing: Tracing = Tracing.INSIDE) -> Iterator[Event]:
    """The events of a whole trace. For its completeness use a ``Reader``."""
    reader = Reader(tracing)
    for chunk in chunks:
        yield from reader.feed(chunk)
