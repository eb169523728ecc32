"""How a server ends, and is ended: the same for one under the tracer as for one without.

A container ends with its first process. That is the server, or the tracer with the server as its
child; then the engine's signals would reach the wrong process, and processes that outlive the
server would keep the tracer, and so the container. So the trace tells when the server itself has
ended, and a helper in its process namespace sends the signals: when all but the tracer is gone, the
tracer writes its last line and passes the server's exit code on.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Iterator

import docker.errors

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import StopStage, Tracing
from mcp_sandbox.sandbox import witnesses as see
from mcp_sandbox.sandbox.engine import TROUBLE
from mcp_sandbox.sandbox.helper import End, HelperResult, run_helper
from mcp_sandbox.sandbox.launch import Pod

POLL = 0.05
LAST_LINE = 0.3
"""Seconds that the tracer takes at most to end after the server, when nothing else is left."""


class Ending:
    """Watches for the end of one server, and brings it about."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._engine = pod.kit.engine
        self.survivors: tuple[str, ...] = ()
        """Command lines of what was left when the server's own process had ended."""
        self._over = threading.Event()
        self._reaper: threading.Thread | None = None
        if pod.ties.tracing is Tracing.INSIDE:
            self._reaper = threading.Thread(target=self._reap, name="mcp-sandbox-reap", daemon=True)
            self._reaper.start()

    def close(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._reaper is not None:
            self._reaper.join()

    def running(self) -> bool:
        """Whether the server still runs; where that is unknown the steps that follow find out."""
        return not self._server_ended(0) and self._container_runs()

    def stop(self, grace: float, *, stdio: bool = True) -> StopStage:
        """Close its input, then ask, then kill, ``grace`` seconds each; returns what it took.

        A server that nobody speaks to over ``stdio`` is asked at once.
        """
        with contextlib.suppress(OSError):
            self._pod.stream.close_write()
        stage = StopStage.STDIN_CLOSED
        if not self.gone_within(grace if stdio else 0):
            stage = StopStage.TERMINATED
            self._signal(End.ASK)
            if not self.gone_within(grace):
                stage = StopStage.KILLED
                self._signal(End.KILL)
        self.over_within(grace)
        return stage

    def gone_within(self, seconds: float) -> bool:
        """Whether the server itself ends in time."""
        deadline = time.monotonic() + seconds
        while self._container_runs():
            rest = deadline - time.monotonic()
            if self._server_ended(max(0.0, min(rest, POLL))):
                return True
            if rest <= 0:
                return False
            if self._reaper is None:
                time.sleep(POLL)
        return True

    def over_within(self, seconds: float) -> bool:
        """Whether the whole container ends in time; what is left of it after that is killed."""
        if self._reaper is not None:
            self._reaper.join(seconds + LAST_LINE)
        if self._container_gone(seconds):
            return True
        with contextlib.suppress(*TROUBLE):  # it may have gone this very moment
            self._engine.api.kill(self._pod.id, "SIGKILL")
        return self._container_gone(seconds)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read meanwhile, throwing standard output away.

        The engine does not let a server go, nor answer the request to kill it, before its output
        is taken.
        """
        over = threading.Event()

        def read() -> None:
            while not over.is_set() and not self._pod.stream.ended:
                self.read(POLL)

        thread = threading.Thread(target=read, name="mcp-sandbox-drain")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def read(self, seconds: float) -> None:
        """Take what comes within that time."""
        if select.select([self._pod.stream], [], [], seconds)[0]:
            self._pod.stream.recv()

    def drained(self, seconds: float) -> str:
        """Wait for the end of the output; returns why it was not seen."""
        stream = self._pod.stream
        deadline = time.monotonic() + seconds
        while not stream.ended and (rest := deadline - time.monotonic()) > 0:
            self.read(rest)
        return stream.broken if stream.ended else "the end of the output was not seen"

    def _server_ended(self, within: float) -> bool:
        """By the trace; never for a server that is the first process of its container."""
        watch = self._pod.watch
        return self._reaper is not None and watch is not None and watch.server_ended(within)

    def _container_runs(self) -> bool:
        try:
            state = self._engine.api.inspect_container(self._pod.id)["State"]
        except docker.errors.NotFound:
            return False
        except TROUBLE:
            return True
        return bool(state.get("Running"))

    def _container_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._container_runs():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)
        return True

    def _signal(self, end: End) -> None:
        if self._reaper is not None:
            self._helped(end)
            return
        with contextlib.suppress(*TROUBLE):  # it may have gone this very moment
            self._engine.api.kill(self._pod.id, "SIGTERM" if end is End.ASK else "SIGKILL")

    def _helped(self, end: End) -> HelperResult:
        main = self._pod.watch.trace.main if self._pod.watch is not None else 0
        spec = self._pod.kit.helper(self._pod.id, end=end, main=main)
        return run_helper(self._engine, spec, limit=0)

    def _reap(self) -> None:
        """End what outlives the server, as the kernel does where that is the first process."""
        watch = self._pod.watch
        while watch is not None and not watch.server_ended(1.0):
            if self._over.is_set() or watch.over:
                return
        if watch is None or watch.trace_ended(LAST_LINE):
            return
        try:
            found = self._helped(End.KILL).processes
        except EngineFailed:
            return  # the run is broken off; otherwise the trace has no end, and that is said
        rows = [(pid, line) for pid, line in see.proc_rows(found) if pid != 1]
        self.survivors = see.command_lines(rows)
