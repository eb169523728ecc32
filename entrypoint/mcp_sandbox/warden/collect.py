"""The tracer's record: copied from a FIFO that nobody else can name any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
import time
from pathlib import Path

BLOCK = 256 * 2**10
OPEN_SECONDS = 15.0
"""How long the tracer and the gate may take to open their ends."""
GRACE = 1.0
"""Seconds that the tracer has to close its end once we are told to finish."""
_F_SETPIPE_SZ = 1031
_PIPE = 2**20


class NotCollected(Exception):
    """The FIFOs could not be opened, or nobody opened their other ends."""


def _open(path: Path, flags: int, until: float) -> int:
    """Open a FIFO once its other end is open. Raises ``NotCollected``."""
    opened: list[int | OSError] = []

    def wait() -> None:
        try:
            opened.append(os.open(path, flags | os.O_CLOEXEC))
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=wait, name=f"open {path.name}", daemon=True)
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    if not opened:
        raise NotCollected(f"nobody opened the other end of {path.name} in time")
    if isinstance(opened[0], OSError):
        raise NotCollected(f"{path.name}: {opened[0].strerror}") from opened[0]
    return opened[0]


class Collector:
    """Both FIFOs of one server. Made in this order: opened, unlinked, then ``start``.

    Opening waits for the other ends: until the tracer has its end of ``log`` and the gate its end
    of ``go``, their names must not go away. Afterwards no path leads to either.
    """

    def __init__(self, folder: Path, *, seconds: float = OPEN_SECONDS) -> None:
        """Raises ``NotCollected``."""
        until = time.monotonic() + seconds
        self._log = _open(folder / "log", os.O_RDONLY, until)
        self._go = _open(folder / "go", os.O_WRONLY, until)
        try:
            for name in ("log", "go"):
                (folder / name).unlink()
        except OSError as error:
            raise NotCollected(f"a FIFO could not be removed: {error.strerror}") from error
        # A larger pipe makes the tracer, and so the server, wait less often; some kernels refuse.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self._log, _F_SETPIPE_SZ, _PIPE)
        os.set_blocking(self._log, False)
        self.bytes = 0
        self.ended = False
        self.fault = ""
        self._finishing = threading.Event()
        self._thread: threading.Thread | None = None

    def go(self) -> None:
        """Open the gate, once. Raises ``NotCollected`` when nobody waits at it any more."""
        if self._go < 0:
            return
        try:
            os.write(self._go, b"\n")
        except OSError as error:
            raise NotCollected(f"the gate: {error.strerror}") from error
        finally:
            os.close(self._go)
            self._go = -1

    def start(self, target: int) -> None:
        """Copy to the descriptor ``target`` from now on, as fast as it takes the bytes."""
        self._thread = threading.Thread(
            target=self._copy, args=(target,), name="trace", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the copying still goes on."""
        return self._thread is not None and self._thread.is_alive()

    def finish(self, seconds: float) -> bool:
        """Copy what is there; false when the reader took longer than ``seconds``."""
        self._finishing.set()
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def _copy(self, target: int) -> None:
        waiter = select.poll()
        waiter.register(self._log, select.POLLIN)
        last = 0.0
        while True:
            events = waiter.poll(100)
            if events:
                try:
                    data = os.read(self._log, BLOCK)
                except BlockingIOError:
                    continue
                if not data:
                    self.ended = True
                    return
                self.bytes += len(data)
                view = memoryview(data)
                try:
                    while view:
                        view = view[os.write(target, view) :]
                except OSError as error:
                    self.fault = f"the trace could not be handed on: {error.strerror}"
                    return
            elif self._finishing.is_set():
                last = last or time.monotonic() + GRACE
                if time.monotonic() >= last:
                    return
