"""The one wrapper around subprocesses: a list of arguments, and a bound on everything else.

A child gets an allow-listed environment, its standard input from bytes or an iterator, a deadline,
and a process group of its own. Of its output the end is kept; standard output can go to a file
instead, up to a bound. The whole group is killed at the deadline, at that bound, on an exception
(an interrupt too), and when the child has gone but left survivors that hold its output open.
POSIX only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mcp_sandbox import interrupts

ALLOWED_ENVIRONMENT: tuple[str, ...] = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
"""The only variables that a child may take from our own environment unasked."""

_CHUNK = 64 * 2**10
_TICK = 0.1
_GRACE = 1.0
_REAP = 5.0


@dataclass(frozen=True)
class ProcessResult:
    """What a child did. ``stdout`` and ``stderr`` hold the end of what it wrote."""

    argv: tuple[str, ...]
    exit_code: int | None
    """Negative for a signal, as ``subprocess`` has it; ``None`` only if it could not be reaped."""
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int
    timed_out: bool
    """The deadline passed and the group was killed."""
    seconds: float
    overflowed: bool = False
    """It wrote more than its spool may hold, and the group was killed."""

    @property
    def succeeded(self) -> bool:
        """It ended by itself, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out and not self.overflowed


def allowed_environment(
    source: Mapping[str, str], *, extra: Sequence[str] = (), **fixed: str
) -> dict[str, str]:
    """A child's environment: allow-listed names and ``extra`` of ``source``, then ``fixed``."""
    names = (*ALLOWED_ENVIRONMENT, *extra)
    return {name: source[name] for name in names if name in source} | fixed


class _End:
    """The last ``limit`` bytes of a stream and its length."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept = bytearray()
        self.total = 0

    @property
    def full(self) -> bool:
        return False

    def add(self, data: bytes) -> None:
        self.total += len(data)
        self.kept += data
        if len(self.kept) > 2 * self.limit:
            del self.kept[: -self.limit or None]

    def value(self) -> bytes:
        return bytes(self.kept[-self.limit :]) if self.limit else b""


class _Spooled(_End):
    """Like ``_End``, and all of it goes to ``file`` until that holds ``most`` bytes."""

    def __init__(self, limit: int, file: BinaryIO, most: int) -> None:
        super().__init__(limit)
        self.file = file
        self.most = most

    @property
    def full(self) -> bool:
        return self.total > self.most

    def add(self, data: bytes) -> None:
        room = self.most - self.total
        super().add(data)
        if room > 0:
            self.file.write(data[:room])


class _Feed:
    """Standard input, a chunk at a time; ``pending`` is empty once all of it is written."""

    def __init__(self, stdin: bytes | Iterable[bytes]) -> None:
        chunks = [stdin] if isinstance(stdin, bytes) else stdin
        self._chunks: Iterator[bytes] = iter(chunks)
        self.pending = memoryview(b"")
        self.advance(0)

    def advance(self, written: int) -> None:
        self.pending = self.pending[written:]
        while not self.pending:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self.pending = memoryview(chunk)


_alive: set[subprocess.Popen[bytes]] = set()
"""Children of whichever thread."""


def end_all() -> None:
    """Kill the group of every child there is: whoever waits for one in another thread goes on."""
    for process in tuple(_alive):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout: float,
    stdin: bytes | Iterable[bytes] = b"",
    keep: int = 64 * 2**10,
    cwd: Path | None = None,
    spool: BinaryIO | None = None,
    spool_bytes: int = 0,
    niceness: int = 0,
) -> ProcessResult:
    """Run ``argv`` to its end or for ``timeout`` seconds; keep the last ``keep`` bytes per stream.

    ``environment`` is all that the child gets (see ``allowed_environment``). Standard output goes
    to ``spool`` too, where there is one; a child that writes more than ``spool_bytes`` there is
    killed. ``niceness``: how much it stands back, 0 to 19 (setpriority(2)). Raises ``OSError`` when
    the program cannot be started or the spool not written, and whatever the ``stdin`` iterator
    raises, after the child's group was killed.
    """
    began = time.monotonic()
    out = _End(keep) if spool is None else _Spooled(keep, spool, spool_bytes)
    err = _End(keep)
    timed_out = False
    process: subprocess.Popen[bytes] | None = None
    try:
        with interrupts.held():
            process = subprocess.Popen(  # noqa: S603 - a list, never a shell
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )
        _alive.add(process)
        if niceness:
            _stand_back(process, niceness)
        timed_out = _converse(process, stdin, out, err, began + timeout)
    finally:
        if process is not None:
            _end(process)
            _alive.discard(process)
    return ProcessResult(
        argv=tuple(argv),
        exit_code=process.returncode,
        stdout=out.value(),
        stderr=err.value(),
        stdout_bytes=out.total,
        stderr_bytes=err.total,
        timed_out=timed_out,
        seconds=time.monotonic() - began,
        overflowed=out.full,
    )


def _stand_back(process: subprocess.Popen[bytes], niceness: int) -> None:
    """Of the group, so that the threads which it has started by now stand back too."""
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, process.pid, niceness)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group, close the pipes, reap the child."""
    with interrupts.held():
        # The group is ours until its leader is reaped: only then may its number be used again.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_REAP)


def _converse(
    process: subprocess.Popen[bytes],
    stdin: bytes | Iterable[bytes],
    out: _End,
    err: _End,
    deadline: float,
) -> bool:
    """Feed and drain until the child has ended; returns whether the deadline came first."""
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for, for all three
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    feed = _Feed(stdin)
    with selectors.DefaultSelector() as selector:
        for pipe, sink in ((process.stdout, out), (process.stderr, err)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, sink)
        if feed.pending:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, feed)
        else:
            process.stdin.close()
        gone_at: float | None = None
        while True:
            now = time.monotonic()
            if now >= deadline:
                return True
            if gone_at is None and _has_ended(process.pid):
                gone_at = now
            readers = [key for key in selector.get_map().values() if key.data is not feed]
            done = gone_at is not None and (not readers or now - gone_at >= _GRACE)
            if done or out.full:
                return False
            for key, _ in selector.select(min(_TICK, deadline - now)):
                step = _write if key.data is feed else _read
                if step(key.fd, key.data):
                    selector.unregister(key.fileobj)
                    if key.data is feed:
                        process.stdin.close()


def _has_ended(pid: int) -> bool:
    """Whether the child is a zombie; it is not reaped, so that its group's number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _write(descriptor: int, feed: _Feed) -> bool:
    try:
        feed.advance(os.write(descriptor, feed.pending[:_CHUNK]))
    except BlockingIOError:
        return False
    except BrokenPipeError:
        return True
    return not feed.pending


def _read(descriptor: int, sink: _End) -> bool:
    try:
        data = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    sink.add(data)
    return not data
