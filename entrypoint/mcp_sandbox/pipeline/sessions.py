"""Start the server, climb the relaxation ladder when it must, hold the sessions of a run.

Four conversations, each with containers of its own so that none contaminates another: *main* does
the whole plan under the tracer, *untraced* does the same with nothing watching, *identity* lists
again under another client name, and one more speaks the other era. ``--jobs`` of them are held at
once; calls within one are sequential. What the tracer inside a container was not shown is done once
more under one outside it. A session that the server breaks off is continued in a fresh
container, a bounded number of times.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mcp_sandbox import background
from mcp_sandbox.errors import SandboxError, ServerNotStarted
from mcp_sandbox.model import (
    Era,
    Identity,
    ImageFacts,
    Json,
    Place,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    Tracing,
    Transcript,
    Transport,
)
from mcp_sandbox.pipeline import witnessing
from mcp_sandbox.pipeline.running import Held, Running, Tools, Unobserved
from mcp_sandbox.probe.answers import ALL_CAPABILITIES
from mcp_sandbox.probe.http.detect import Found
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.rules import evasion
from mcp_sandbox.sandbox import LADDER
from mcp_sandbox.settings import Settings

MAX_RESTARTS = 8
"""Fresh containers for a session that the server breaks off."""
ENDINGS_PER_TARGET = 2
"""After ending the server so often, a tool gets no further hostile input."""
IDLE = 1.0
"""Seconds of waiting before the calls and after them, to see what is done unprompted."""
LETTING_GO = 1.0
"""Seconds that sessions have to leave when the run is broken off."""

MAIN = Identity("claude-code", "2.1.0", ALL_CAPABILITIES)
"""A real host's name: a server may behave for names that smell of a test."""
OTHER = replace(MAIN, name="Visual Studio Code", version="1.106.0")
"""Another host, with the same capabilities: what differs is owed to the name alone."""

LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""The engine's name for its machine -> the images' name."""


@dataclass
class _Plans:
    """Makes the plans of a run: the same targets, and what is left of the time."""

    tools: Tools
    deadline: float
    known: dict[str, tuple[Json, ...]] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the probing has to be done."""
        return max(1.0, self.deadline - time.monotonic())

    def make(self, role: str, era: Era, identity: Identity) -> Plan:
        """The whole plan of a role."""
        settings, targets = self.tools.settings, self.tools.targets
        return Plan(
            role=role,
            era=era,
            identity=replace(identity, roots=(*targets.directories, *identity.roots)),
            targets=targets,
            start_timeout=settings.start_timeout,
            call_timeout=settings.call_timeout,
            session_timeout=self.left,
            max_calls=settings.max_calls,
            idle=IDLE,
            known=self.known,
        )


def hold(tools: Tools, held: Held) -> None:
    """Hold all sessions of a run into ``held``."""
    plans = _Plans(tools, time.monotonic() + tools.settings.timeout)
    main = _start_main(tools, held, plans)
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
    chains = [
        first,
        untraced,
        _Chain(beside, plans, another, main.relaxation),
        _Chain(beside, plans, second_era, main.relaxation),
    ]
    _hold_at_once(tools, chains, held)
    if blind := [chain for chain in chains if chain.blind]:
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
        plans: _Plans,
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
        for restart in range(1, MAX_RESTARTS + 1):
            if transcript.resume_at is None or time.monotonic() > self._plans.deadline:
                return
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


def _hold_at_once(tools: Tools, chains: list[_Chain], held: Held) -> None:
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


def _confirm(tools: Tools, plans: _Plans, first: _Chain, untraced: _Chain, held: Held) -> None:
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


def _start_main(tools: Tools, held: Held, plans: _Plans) -> Running | None:
    """Climb the ladder until the server answers; ``None`` when it never does.

    Only a server that ends by itself is started again with a limit relaxed: one that stays and says
    nothing lacks no resource. One that refuses the handshake is asked in the other era.
    """
    era = Era.HANDSHAKE
    ladder = iter(LADDER)
    relaxation = next(ladder)
    while True:
        tools.observer.phase(
            "start: main" if relaxation is Relaxation.NONE else f"start: {relaxation.value}"
        )
        tools = plans.tools
        try:
            running = Running(
                tools, plans.make("main", era, MAIN), relaxation, name=tools.name("main")
            )
        except ServerNotStarted as error:
            held.attempts.append(StartAttempt(relaxation, f"not started: {error.detail}"))
            if (step := next(ladder, None)) is None:
                return None
            relaxation = step
            continue
        with running.keeping(held):
            answered, found = _opened(tools, running)
        if found.place is not None and not answered:
            # From the start, in a container that nobody has asked anything yet.
            running.close()
            outcome = f"speaks MCP over {found.place.transport} at {_where(found.place)}"
            held.attempts.append(StartAttempt(relaxation, outcome))
            plans.tools = replace(tools, place=found.place)
            continue
        if answered:
            held.attempts.append(StartAttempt(relaxation, "answered"))
            return running
        with running.keeping(held):
            session = running.close()
        ended = session.transcript.end
        held.attempts.append(_failed(relaxation, session))
        if ended is SessionEnd.REFUSED and era is Era.HANDSHAKE:
            era = Era.STATELESS
            continue
        following = next(ladder, None) if ended is SessionEnd.EXITED else None
        if following is None:
            held.sessions.append(session)
            return None
        relaxation = following


def _opened(tools: Tools, running: Running) -> tuple[bool, Found]:
    """Ask over the standard streams and look for a listener, at once; what answers first decides.

    Where the transport is given, or has been found, only that is tried.
    """
    wanted = tools.settings.transport
    if tools.place is not None or wanted is Transport.STDIO:
        return running.open(), Found(None)
    over = threading.Event()
    if wanted is not Transport.AUTO:
        return False, running.find(over, wanted)

    def search() -> Found:
        found = running.find(over, wanted)
        if found.place is not None:
            running.let_go()
        return found

    searching = background.begin("search", search)
    try:
        answered = running.open()
    finally:
        over.set()
    return answered, searching.result()


def _where(place: Place) -> str:
    return f"port {place.port}, {place.path}"


def _failed(relaxation: Relaxation, session: Session) -> StartAttempt:
    transcript, container = session.transcript, session.container
    outcome = f"{transcript.end.value}: {transcript.end_detail}".strip(": ")
    if container.oom_killed:
        outcome = "out of memory"
    return StartAttempt(relaxation, outcome, container.exit_code, container.stderr)


def unanswered(
    held: Held, image: ImageFacts | None, engine: Mapping[str, str], settings: Settings
) -> ServerNotStarted | None:
    """Why the server never answered, and the way out; ``None`` when it did.

    ``engine``: what the engine says of itself.
    """
    if any(one.outcome == "answered" for one in held.attempts):
        return None
    last = held.attempts[-1]
    end = held.sessions[-1].transcript.end if held.sessions else None
    detail = "\n".join(last.stderr.rstrip().splitlines()[-LAST_LINES:])
    way_out = ""
    if end is None:
        what = "The engine could not start the server"
        detail = last.outcome.removeprefix("not started: ")
        way_out = "Check the image's ENTRYPOINT and CMD, or name its command after `--`."
    elif end is SessionEnd.NEVER_ANSWERED:
        what = f"The server said nothing within {settings.start_timeout:g} seconds"
        way_out = (
            "Give it longer with --start-timeout, or what it lacks with --env; "
            "it has to speak MCP over standard input and output."
        )
    elif end is SessionEnd.EXITED:
        what = f"The server exited with code {last.exit_code} before it answered"
        way_out = "Give it what it lacks with --env or arguments after `--`; its last words tell."
        if last.outcome == "out of memory":
            what, way_out = "The server ran out of memory before it answered", "Raise --memory."
    else:
        what = f"The server did not answer as an MCP server does ({last.outcome[:200]})"
    machine = engine.get("architecture", "")
    wanted = image.launch.architecture if image else ""
    if wanted not in {"", machine, _ARCHITECTURES.get(machine, machine)}:
        what += f" (the image is for {wanted}, the engine is {machine})"
    if len(held.attempts) > 1:
        what += f", in {len(held.attempts)} attempts with ever fewer limits"
    return ServerNotStarted(f"{what}.", next_step=way_out, detail=detail)
