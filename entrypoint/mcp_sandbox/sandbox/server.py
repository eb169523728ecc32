"""One running server container: its streams, and the way it is ended.

``finish`` takes the witnesses in an order that loses none: while the server lives (and is frozen,
so that nothing moves meanwhile) its processes, counters and memory folders; then it is ended, in
three bounded steps; then its exit, its changes and the rest of its output are read, and it is
removed. A witness that could not be had says why.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import (
    COMPLETE,
    NOT_USED,
    CanaryHit,
    CgroupCounters,
    Connection,
    ContainerFacts,
    FileChange,
    Listener,
    Relaxation,
    StopStage,
    TmpfsEntry,
    Tracing,
    Witness,
)
from mcp_sandbox.sandbox import spec as spec_
from mcp_sandbox.sandbox import witnesses as see
from mcp_sandbox.sandbox.ending import Ending
from mcp_sandbox.sandbox.engine import TROUBLE, explain
from mcp_sandbox.sandbox.helper import HelperResult, run_helper
from mcp_sandbox.sandbox.launch import Pod
from mcp_sandbox.sandbox.watch import Recorded

_EXIT_LAG = 1.0
_EVERYWHERE = frozenset({"0.0.0.0", "::", "127.0.0.1"})  # noqa: S104 - what servers listen on


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
        pod: Pod,
        spec: spec_.ServerSpec,
        *,
        relaxation: Relaxation,
        given: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """Take a pod whose server runs. ``given``: what was put into its memory, by path."""
        self._given = given
        self._pod = pod
        self._engine = pod.kit.engine
        self._spec = spec
        self._relaxation = relaxation
        self._ending = Ending(pod)
        self._at_start: tuple[str, ...] = ()
        self._facts: ContainerFacts | None = None
        self.id = pod.id
        self.stream = pod.stream

    def close(self) -> None:
        """Give the streams up; whoever clears the run away removes the containers."""
        self._pod.close()
        self._ending.close()

    def forget(self) -> None:
        """Give up what was recorded, too."""
        self.close()
        if self._pod.watch is not None:
            self._pod.watch.trace.file.close()

    @property
    def command_line(self) -> tuple[str, ...]:
        """The ``docker run`` that starts the same by hand, without what was planted."""
        return spec_.command_line(self._spec)

    def alive(self) -> bool:
        """Whether it still runs. Raises ``EngineFailed``."""
        return self._ending.running() and bool(self._state().get("Running"))

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

    def printed(self) -> bytes:
        """The beginning of standard error so far."""
        return self._pod.stderr.parts()[0]

    def listeners(self) -> tuple[Listener, ...]:
        """What listens in its network; nothing where nobody stands there to look.

        Raises ``EngineFailed``.
        """
        if self._pod.watch is None:
            return ()
        beside = self._pod.beside
        return tuple(one for one in self._pod.watch.listeners() if one.port not in beside)

    def dial(self, port: int, deadline: float) -> Connection:
        """Connect to a port of its own loopback, or of the address that listens there.

        Raises ``ConnectionError``, ``TimeoutError``, ``EngineFailed``.
        """
        relay = self._pod.relay()
        try:
            return relay.connect(port, deadline)
        except ConnectionRefusedError:
            others = [one.address for one in self.listeners() if one.port == port]
            for address in others:
                if address not in _EVERYWHERE:
                    return relay.connect(port, deadline, address)
            if "::" in others:
                return relay.connect(port, deadline, "::1")
            raise

    def finish(
        self,
        *,
        grace: float = 2.0,
        find: see.Find = nothing_planted,
        mask: see.Mask = as_it_is,
        processes_at_start: tuple[str, ...] | None = None,
        stdio: bool = True,
    ) -> ContainerFacts:
        """Collect the witnesses, end the server, remove it. ``grace`` seconds per step.

        ``find`` sees every byte that was kept of standard error and of the memory folders; ``mask``
        is applied to all text before it is cut. A server that was not spoken to over ``stdio`` is
        not expected to end with its standard input. A second call returns the same facts. Raises
        ``EngineFailed`` only when the container could not be removed.
        """
        if self._facts is not None:
            return self._facts
        said: dict[str, str] = dict.fromkeys(Witness, "not reached")
        if self._pod.watch is None:
            said[Witness.TRACE] = said[Witness.SINK] = NOT_USED
        try:
            self._facts = self._collect(said, grace, find, mask, processes_at_start, stdio=stdio)
        finally:
            self.close()
            self._pod.remove()
        return self._facts

    @property
    def recorded(self) -> Recorded:
        """What the kernel trace and the sink hold; after ``finish``."""
        if self._pod.watch is None:
            return Recorded(io.BytesIO())
        return self._pod.watch.recorded

    # --- witnesses ---

    def _collect(
        self,
        said: dict[str, str],
        grace: float,
        find: see.Find,
        mask: see.Mask,
        processes_at_start: tuple[str, ...] | None,
        *,
        stdio: bool,
    ) -> ContainerFacts:
        at_end: tuple[str, ...] = ()
        counters = CgroupCounters()
        entries: tuple[TmpfsEntry, ...] = ()
        hits: tuple[tuple[str, CanaryHit], ...] = ()
        running = self._ending.running()
        if running and self.stream.ended:
            running = not self._ending.gone_within(_EXIT_LAG)  # seen here before the engine's
        if running:
            with self._frozen():
                result = run_helper(
                    self._engine,
                    self._pod.kit.helper(self.id, folders=self._folders),
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
        with self._ending.reading():
            if running:
                stop = self._ending.stop(grace, stdio=stdio)
            else:
                self._ending.over_within(grace)
        drained = self._ending.drained(grace)
        changed, said[Witness.DIFF] = self._diff(mask)
        state, said[Witness.INSPECT] = self._last_state()
        if self._pod.watch is not None:
            self._pod.watch.finish()
            said |= self._pod.watch.witnesses
        stderr = self._pod.stderr
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
            tmpfs=see.without(entries, self._in_place, mask),
            # A planted secret in its own file is where it belongs.
            tmpfs_canaries=tuple((path, hit) for path, hit in hits if hit.place != f"file:{path}"),
            tracing=self._pod.ties.tracing,
            network=self._pod.ties.network,
            survivors=tuple(mask(line) for line in self._ending.survivors),
            witnesses={str(name): text for name, text in said.items()},
        )

    @property
    def _inside(self) -> bool:
        """The tracer is one of the container's processes."""
        return self._pod.ties.tracing is Tracing.INSIDE

    @property
    def _in_place(self) -> dict[str, bytes]:
        """What was there before it ran: the mount points, and what was put into them."""
        return {f"{path.rstrip('/')}/": b"" for path in self._folders} | dict(self._given)

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
            first = int(self._state()["Pid"]) if self._inside else 0
            return see.command_lines(see.top_rows(answer), without=first), ""
        except (*TROUBLE, ValueError) as error:
            why = f"the engine cannot list them ({explain(error)})"
        if result is None:
            result = run_helper(self._engine, self._pod.kit.helper(self.id), limit=0)
        if not result.processes:
            return (), f"{why}; {result.trouble or 'the helper saw none'}"
        return see.command_lines(see.proc_rows(result.processes), without=int(self._inside)), ""

    def _counters(self, result: HelperResult) -> tuple[CgroupCounters, str]:
        stats: dict[str, Any] = {}
        why = ""
        try:
            stats = self._engine.api.stats(self.id, stream=False, one_shot=True)
        except (*TROUBLE, ValueError) as error:
            why = f"the engine gives no statistics ({explain(error)})"
        counters = see.counters(stats, result.cgroup, tracers=int(self._inside))
        if not result.cgroup:
            missing = result.trouble or "the helper saw no counter"
            return counters, f"only from the engine's statistics: {missing}" if stats else why
        return counters, COMPLETE

    def _diff(self, mask: see.Mask) -> tuple[tuple[FileChange, ...], str]:
        try:
            mounts = (*self._folders, *(one["Target"] for one in self._pod.ties.mounts))
            found = see.changes(self._engine.api.diff(self.id), mounts)
        except (*TROUBLE, ValueError, KeyError) as error:
            return (), f"the engine cannot tell ({explain(error)})"
        kept = tuple(FileChange(one.kind, mask(one.path)) for one in found[: see.MAX_CHANGES])
        return kept, COMPLETE if len(kept) == len(found) else f"{len(found)} changes"

    # --- the end ---

    def _state(self) -> dict[str, Any]:
        with self._engine.guard("The server's container cannot be inspected"):
            state: dict[str, Any] = self._engine.api.inspect_container(self.id)["State"]
            return state

    def _last_state(self) -> tuple[dict[str, Any], str]:
        try:
            state: dict[str, Any] = self._engine.api.inspect_container(self.id)["State"]
        except TROUBLE as error:
            return {}, f"the engine cannot tell ({explain(error)})"
        return state, "the server still runs" if state.get("Running") else COMPLETE
