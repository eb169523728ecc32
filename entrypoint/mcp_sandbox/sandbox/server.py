"""One running server container: its streams, and the way it is ended.

``finish`` takes the witnesses in an order that loses none: while the server lives (and is frozen,
so that nothing moves meanwhile) its processes, counters and memory folders; then it is ended, in
three bounded steps; then its exit, its changes and the rest of its output are read, and it is
removed. A witness that could not be had says why.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker.errors

from mcp_sandbox.errors import EngineFailed, ServerNotStarted
from mcp_sandbox.model import (
    COMPLETE,
    CanaryHit,
    CgroupCounters,
    ContainerFacts,
    FileChange,
    Relaxation,
    StopStage,
    TmpfsEntry,
    Witness,
)
from mcp_sandbox.sandbox import spec as spec_
from mcp_sandbox.sandbox import witnesses as see
from mcp_sandbox.sandbox.engine import TROUBLE, Engine, explain
from mcp_sandbox.sandbox.helper import HelperResult, HelperSpec, run_helper
from mcp_sandbox.sandbox.stream import AttachedStream, open_attached

_POLL = 0.05
_EXIT_LAG = 1.0


def nothing_planted(_: bytes) -> tuple[CanaryHit, ...]:
    """The ``find`` of a run without planted secrets."""
    return ()


def as_it_is(text: str) -> str:
    """The ``mask`` of a run without planted secrets."""
    return text


class Server:
    """A started container. Made by ``Sandbox.start``."""

    def __init__(
        self,
        engine: Engine,
        spec: spec_.ServerSpec,
        *,
        name: str,
        relaxation: Relaxation,
        helper: Callable[[str, tuple[str, ...]], HelperSpec],
    ) -> None:
        """Create, attach, start. Raises ``ServerNotStarted`` when the engine cannot start it."""
        self._engine = engine
        self._spec = spec
        self._relaxation = relaxation
        self._helper = helper
        self._at_start: tuple[str, ...] = ()
        self._facts: ContainerFacts | None = None
        with engine.guard("The server's container cannot be created"):
            created = engine.made(
                lambda: engine.api.create_container_from_config(spec_.body(spec), name=name)
            )
            self.id = str(created["Id"])
        try:
            with engine.guard("The server's container cannot be attached to"):
                self.stream: AttachedStream = open_attached(
                    engine, self.id, stdin=True, stderr_bytes=spec.limits.log_bytes
                )
            self._start()
        except BaseException:
            engine.remove_container(self.id)
            raise

    def _start(self) -> None:
        try:
            with self._engine.guard("The server's container cannot be started"):
                try:
                    self._engine.api.start(self.id)
                except docker.errors.APIError as error:
                    raise ServerNotStarted(
                        "The engine could not start the server.", detail=explain(error)
                    ) from error
        except BaseException:
            self.stream.close()
            raise

    @property
    def command_line(self) -> tuple[str, ...]:
        """The ``docker run`` that starts the same by hand, without what was planted."""
        return spec_.command_line(self._spec)

    def alive(self) -> bool:
        """Whether it still runs. Raises ``EngineFailed``."""
        return bool(self._state().get("Running"))

    def processes(self) -> tuple[str, ...]:
        """Command lines, the first process first, the others sorted; empty when it has exited.

        The first call's answer becomes ``processes_at_start``. Raises ``EngineFailed`` when neither
        the engine (which needs ``ps`` on its machine) nor the helper can tell.
        """
        found, why = self._top(None)
        if why and self.alive():
            raise EngineFailed(f"The server's processes cannot be listed: {why}.")
        self._at_start = self._at_start or found
        return found

    def finish(
        self,
        *,
        grace: float = 2.0,
        find: see.Find = nothing_planted,
        mask: see.Mask = as_it_is,
        processes_at_start: tuple[str, ...] | None = None,
    ) -> ContainerFacts:
        """Collect the witnesses, end the server, remove it. ``grace`` seconds per step.

        ``find`` sees every byte that was kept of standard error and of the memory folders; ``mask``
        is applied to all text before it is cut. A second call returns the same facts. Raises
        ``EngineFailed`` only when the container could not be removed.
        """
        if self._facts is not None:
            return self._facts
        said: dict[str, str] = dict.fromkeys(Witness, "not reached")
        try:
            self._facts = self._collect(said, grace, find, mask, processes_at_start)
        finally:
            self.stream.close()
            self._engine.remove_container(self.id)
        return self._facts

    # --- witnesses ---

    def _collect(
        self,
        said: dict[str, str],
        grace: float,
        find: see.Find,
        mask: see.Mask,
        processes_at_start: tuple[str, ...] | None,
    ) -> ContainerFacts:
        at_end: tuple[str, ...] = ()
        counters = CgroupCounters()
        entries: tuple[TmpfsEntry, ...] = ()
        hits: tuple[tuple[str, CanaryHit], ...] = ()
        running = self._running_or_unknown()
        if running and self.stream.ended:
            running = not self._gone_within(_EXIT_LAG)  # its end is seen here before the engine's
        if running:
            with self._frozen():
                result = run_helper(
                    self._engine,
                    self._helper(self.id, self._folders),
                    limit=self._spec.limits.tmpfs * 2 + 8 * 2**20,
                )
                at_end, why = self._top(result)
                said[Witness.TOP] = why or COMPLETE
                counters, said[Witness.CGROUP] = self._counters(result)
            entries, hits, why = see.tmpfs_entries(result.archive, find, mask)
            said[Witness.TMPFS] = result.trouble or result.archive_trouble or why or COMPLETE
        else:
            gone = "the server had exited before"
            said[Witness.TOP] = said[Witness.CGROUP] = said[Witness.TMPFS] = gone
        stop = StopStage.EXITED
        if running:
            with self._reading():
                stop = self._stop(grace)
        drained = self._drained(grace)
        changed, said[Witness.DIFF] = self._diff(mask)
        state, said[Witness.INSPECT] = self._last_state()
        stderr = self.stream.stderr
        head, tail = stderr.parts()
        said[Witness.LOGS] = drained or (
            f"{stderr.lost} bytes in the middle of standard error were not kept"
            if stderr.lost
            else COMPLETE
        )
        seen = dict.fromkeys(itertools.chain.from_iterable(map(find, stderr.windows())))
        at_start = self._at_start if processes_at_start is None else processes_at_start
        return ContainerFacts(
            relaxation=self._relaxation,
            user=self._spec.user or "0:0",
            command_line=self.command_line,
            exit_code=int(state["ExitCode"]) if state else None,
            oom_killed=bool(state.get("OOMKilled")) or bool(counters.oom_kills),
            stop=stop,
            stderr=see.stderr_text(head, tail, stderr.dropped, mask),
            stderr_bytes=stderr.total,
            stderr_canaries=tuple(seen),
            processes_at_start=tuple(mask(line) for line in at_start),
            processes_at_end=tuple(mask(line) for line in at_end),
            changes=changed,
            cgroup=counters,
            tmpfs=entries,
            tmpfs_canaries=hits,
            witnesses={str(name): text for name, text in said.items()},
        )

    @property
    def _folders(self) -> tuple[str, ...]:
        """The writable folders in memory."""
        return ("/tmp", "/dev/shm", *self._spec.tmpfs)  # noqa: S108 - the server's

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """Stop the server's clock, so that the witnesses agree; an engine without it goes on."""
        try:
            self._engine.api.pause(self.id)
        except TROUBLE:
            yield
            return
        try:
            yield
        finally:
            with contextlib.suppress(*TROUBLE):
                self._engine.api.unpause(self.id)

    def _top(self, result: HelperResult | None) -> tuple[tuple[str, ...], str]:
        """Command lines by the engine, else by the helper; and why there are none."""
        try:
            answer = self._engine.api.top(self.id, ps_args="-eo pid,args")
            return see.command_lines(see.top_rows(answer)), ""
        except (*TROUBLE, ValueError) as error:
            why = f"the engine cannot list them ({explain(error)})"
        if result is None:
            result = run_helper(self._engine, self._helper(self.id, ()), limit=0)
        if not result.processes:
            return (), f"{why}; {result.trouble or 'the helper saw none'}"
        return see.command_lines(see.proc_rows(result.processes)), ""

    def _counters(self, result: HelperResult) -> tuple[CgroupCounters, str]:
        stats: dict[str, Any] = {}
        why = ""
        try:
            stats = self._engine.api.stats(self.id, stream=False, one_shot=True)
        except (*TROUBLE, ValueError) as error:
            why = f"the engine gives no statistics ({explain(error)})"
        counters = see.counters(stats, result.cgroup)
        if not result.cgroup:
            missing = result.trouble or "the helper saw no counter"
            return counters, f"only from the engine's statistics: {missing}" if stats else why
        return counters, COMPLETE

    def _diff(self, mask: see.Mask) -> tuple[tuple[FileChange, ...], str]:
        try:
            found = see.changes(self._engine.api.diff(self.id), self._folders)
        except (*TROUBLE, ValueError, KeyError) as error:
            return (), f"the engine cannot tell ({explain(error)})"
        kept = tuple(FileChange(one.kind, mask(one.path)) for one in found[: see.MAX_CHANGES])
        return kept, COMPLETE if len(kept) == len(found) else f"{len(found)} changes"

    # --- the end ---

    def _state(self) -> dict[str, Any]:
        with self._engine.guard("The server's container cannot be inspected"):
            state: dict[str, Any] = self._engine.api.inspect_container(self.id)["State"]
            return state

    def _running_or_unknown(self) -> bool:
        try:
            return bool(self._engine.api.inspect_container(self.id)["State"].get("Running"))
        except TROUBLE:
            return True  # the steps that follow find out, and say so

    def _last_state(self) -> tuple[dict[str, Any], str]:
        try:
            state: dict[str, Any] = self._engine.api.inspect_container(self.id)["State"]
        except TROUBLE as error:
            return {}, f"the engine cannot tell ({explain(error)})"
        return state, "the server still runs" if state.get("Running") else COMPLETE

    def _stop(self, grace: float) -> StopStage:
        """Close its input, then ask, then kill."""
        with contextlib.suppress(OSError):
            self.stream.close_write()
        if self._gone_within(grace):
            return StopStage.STDIN_CLOSED
        for signal, stage in (("SIGTERM", StopStage.TERMINATED), ("SIGKILL", StopStage.KILLED)):
            with contextlib.suppress(*TROUBLE):  # it may have gone this very moment
                self._engine.api.kill(self.id, signal)
            if self._gone_within(grace):
                return stage
        return StopStage.KILLED

    def _gone_within(self, seconds: float) -> bool:
        """Whether it exits in time."""
        deadline = time.monotonic() + seconds
        while self._running_or_unknown():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def _drained(self, seconds: float) -> str:
        """Wait for the end of the output; returns why it was not seen."""
        deadline = time.monotonic() + seconds
        while not self.stream.ended and (rest := deadline - time.monotonic()) > 0:
            self._read(rest)
        return self.stream.broken if self.stream.ended else "the end of the output was not seen"

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Read meanwhile, throwing standard output away.

        The engine does not let a server go, nor answer the request to kill it, before its output
        is taken.
        """
        over = threading.Event()

        def read() -> None:
            while not over.is_set() and not self.stream.ended:
                self._read(_POLL)

        thread = threading.Thread(target=read, name="mcp-sandbox-drain")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _read(self, seconds: float) -> None:
        if select.select([self.stream], [], [], seconds)[0]:
            self.stream.recv()
