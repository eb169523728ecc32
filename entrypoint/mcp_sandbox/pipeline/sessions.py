"""Hold the sessions of a run, once the server has been started.

Four conversations, each with containers of its own so that none contaminates another: *main* does
the whole plan under the tracer, *untraced* does the same with nothing watching, *identity* lists
again under another client name, and one more speaks the other era. A server that listens is looked
at from its network too (``around``). ``--jobs`` of them are held at
once; calls within one are sequential. What the tracer inside a container was not shown is done once
more under one outside it. A session that the server breaks off is continued in a fresh
container, a bounded number of times.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace

from mcp_sandbox import background
from mcp_sandbox.errors import SandboxError
from mcp_sandbox.model import (
    Era,
    Relaxation,
    Tracing,
    Transcript,
)
from mcp_sandbox.pipeline import witnessing
from mcp_sandbox.pipeline.around import Around
from mcp_sandbox.pipeline.plans import MAIN, OTHER, Plans
from mcp_sandbox.pipeline.running import Held, Running, Tools, Unobserved
from mcp_sandbox.pipeline.starting import start_main
from mcp_sandbox.probe.inputs import Accepted
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.repairing import accepted_in
from mcp_sandbox.rules import evasion

MAX_RESTARTS = 8
"""Fresh containers for a session that the server breaks off."""
ENDINGS_PER_TARGET = 2
"""After ending the server so often, a tool gets no further hostile input."""
LETTING_GO = 1.0
"""Seconds that sessions have to leave when the run is broken off."""


def hold(tools: Tools, held: Held) -> None:
    """Hold all sessions of a run into ``held``."""
    plans = Plans(tools, time.monotonic() + tools.settings.timeout)
    main = start_main(tools, held, plans)
    if main is None:
        return
    tools = plans.tools
    era = main.plan.era
    other_era = Era.STATELESS if era is Era.HANDSHAKE else Era.HANDSHAKE
    another = replace(plans.make("identity", era, OTHER), hostile=False, valid=False, idle=0.0)
    second_era = replace(plans.make(other_era.value, other_era, MAIN), hostile=False)
    beside = replace(tools, observer=Unobserved())
    first = _Chain(tools, plans, main.plan, main.relaxation, running=main)
    untraced = _Chain(
        beside, plans, replace(main.plan, role="untraced"), main.relaxation, Tracing.NONE
    )
    chains: list[_Chain | Around] = [
        first,
        untraced,
        _Chain(beside, plans, another, main.relaxation),
        _Chain(beside, plans, second_era, main.relaxation),
    ]
    around: Around | None = None
    with main.keeping(held):
        ports = main.ports()
    if ports:
        around = Around(beside, plans, main.plan, main.relaxation, ports)
        chains.append(around)
    _hold_at_once(tools, chains, held)
    if around is None and main.listened:
        # It began to listen while it was called.
        around = Around(beside, plans, main.plan, main.relaxation, main.listened)
        _hold_at_once(tools, [around], held)
    if around is not None:
        held.reached, held.oauth = around.told(held.reached), around.oauth
        held.http += around.http
    if blind := [one for one in chains if isinstance(one, _Chain) and one.blind]:
        tools.observer.phase("trace from outside")
        again = {id(chain): chain.from_outside() for chain in blind}
        _hold_at_once(tools, list(again.values()), held)
        first = again.get(id(first), first)
    _confirm(tools, plans, first, untraced, held)


class _Chain:
    """A session and those that continue it; what they bring is kept whatever happens."""

    def __init__(
        self,
        tools: Tools,
        plans: Plans,
        plan: Plan,
        relaxation: Relaxation,
        tracing: Tracing = Tracing.INSIDE,
        *,
        running: Running | None = None,
    ) -> None:
        """``running``: the first server, where it has been started and has answered already."""
        self.held = Held()
        self.plan = plan
        self.relaxation = relaxation
        self.tracing = tracing
        self._tools = tools
        self._plans = plans
        self._running = running
        # Numbered now, so that a session's name does not depend on who was quicker.
        self._name = running.name if running else tools.name(plan.role)

    @property
    def blind(self) -> bool:
        """Whether the tracer inside was shown nothing of some program."""
        return any(witnessing.opaque(session.container) for session in self.held.sessions)

    def from_outside(self) -> _Chain:
        """The same once more, under a tracer that is shown every program."""
        return _Chain(self._tools, self._plans, self.plan, self.relaxation, Tracing.OUTSIDE)

    def run(self) -> None:
        """Hold it to its end. Raises ``SandboxError``."""
        running = self._running
        if running is None:
            running = self._started(replace(self.plan, session_timeout=self._plans.left), "")
        transcript = running.work(self.held)
        if self.plan.hostile:
            self._continue(transcript)

    def _started(self, plan: Plan, suffix: str) -> Running:
        running = Running(
            self._tools, plan, self.relaxation, self.tracing, name=self._name + suffix
        )
        with running.keeping(self.held):
            running.open(self._plans.left)
        return running

    def _continue(self, transcript: Transcript) -> None:
        """Hold the rest of a plan that the server broke off, with fresh containers."""
        endings: dict[str, int] = {}
        calls = len(transcript.calls)
        bases: dict[str, Accepted] = {}
        for restart in range(1, MAX_RESTARTS + 1):
            if transcript.resume_at is None or time.monotonic() > self._plans.deadline:
                return
            bases = accepted_in(transcript.calls) | bases
            culprit = transcript.calls[-1].target
            endings[culprit] = endings.get(culprit, 0) + 1
            self._tools.observer.phase(f"start: fresh container {restart}")
            running = self._started(
                replace(
                    self.plan,
                    start_at=transcript.resume_at,
                    avoid=frozenset(name for name, n in endings.items() if n >= ENDINGS_PER_TARGET),
                    max_calls=max(1, self._tools.settings.max_calls - calls),
                    session_timeout=self._plans.left,
                    bases=bases,
                ),
                f"-{restart + 1}",
            )
            transcript = running.work(self.held)
            calls += len(transcript.calls)
        if transcript.resume_at is not None:
            self.held.left_out.append(
                f"session {self.plan.role}: calls after the server had ended "
                f"{MAX_RESTARTS + 1} times"
            )


def _hold_at_once(tools: Tools, chains: Sequence[_Chain | Around], held: Held) -> None:
    """Hold chains, ``--jobs`` at once; what they bring is in their order, not in time's."""
    futures: list[Future[None]] = [Future() for _ in chains]
    waiting = deque(zip(chains, futures, strict=True))
    begun: list[Future[None]] = []

    def work() -> None:
        while not tools.stopping.is_set():
            try:
                chain, future = waiting.popleft()
            except IndexError:
                return
            begun.append(future)
            background.settle(future, chain.run)

    try:
        for number in range(1, 1 + min(tools.settings.jobs, len(chains))):
            background.thread(f"session-{number}", work).start()
        futures[0].result()
        if len(chains) > 1:
            tools.observer.phase("probe: beside")
        for future in futures[1:]:
            future.result()
    except BaseException:
        tools.stopping.set()
        with suppress(SandboxError):  # leaving the sandbox tries again, and says it
            tools.sandbox.let_go()
        wait(begun, LETTING_GO)
        raise
    finally:
        for chain in chains:
            held.sessions += chain.held.sessions
            held.left_out += chain.held.left_out


def _confirm(tools: Tools, plans: Plans, first: _Chain, untraced: _Chain, held: Held) -> None:
    """A server that differs when nothing watches is asked once more, both ways.

    What differs between any two runs of an honest server does not differ twice in the same way.
    """
    found = evasion.differences(first.held.sessions, untraced.held.sessions)
    if not found:
        return
    tools.observer.phase("compare again")
    only = evasion.targets(found)
    _hold_at_once(
        tools,
        [
            _Chain(
                tools, plans, replace(one.plan, role=role, only=only), one.relaxation, one.tracing
            )
            for one, role in ((first, "main again"), (untraced, "untraced again"))
        ],
        held,
    )
