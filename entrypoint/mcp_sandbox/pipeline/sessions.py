"""Start the server, climb the relaxation ladder when it must, hold the sessions of a run.

Three conversations, each with a container of its own so that none contaminates another: *main* does
the whole plan, *identity* lists again under another client name, *stateless* speaks the other era.
A main session that the server breaks off is continued in a fresh container, a bounded number of
times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.model import (
    ContainerFacts,
    Era,
    Identity,
    ImageFacts,
    Json,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    Transcript,
    Witness,
)
from mcp_sandbox.planted import Matcher
from mcp_sandbox.probe.answers import ALL_CAPABILITIES
from mcp_sandbox.probe.conversation import Record
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import Prober
from mcp_sandbox.sandbox import LADDER, Sandbox, Server
from mcp_sandbox.settings import Settings

MAX_RESTARTS = 8
"""Fresh containers for a main session that the server breaks off."""
ENDINGS_PER_TARGET = 2
"""After ending the server so often, a tool gets no further hostile input."""

MAIN = Identity("claude-code", "2.1.0", ALL_CAPABILITIES)
"""A real host's name: a server may behave for names that smell of a test."""
OTHER = replace(MAIN, name="Visual Studio Code", version="1.106.0")
"""Another host, with the same capabilities: what differs is owed to the name alone."""


class Observer(Protocol):
    """Is told what is going on. Implementations print; nothing is returned."""

    def phase(self, name: str) -> None:
        """A phase of the run begins."""

    def doing(self, what: str) -> None:
        """What is being done within the phase; called for every single call, so it must be quick.

        ``what`` may hold the peer's text.
        """


RecordFor = Callable[[str], Record]
"""Opens the transcript file of one session by its name."""

LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""The engine's name for its machine -> the images' name."""


@dataclass
class Held:
    """What the sessions brought; filled as they end, so that an interruption loses nothing."""

    attempts: list[StartAttempt] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tools:
    """What every session needs."""

    sandbox: Sandbox
    settings: Settings
    targets: Targets
    environment: Mapping[str, str]
    matcher: Matcher
    record_for: RecordFor
    observer: Observer
    numbers: Iterator[int]
    """Numbers the sessions of this run."""


def hold(tools: Tools, held: Held) -> None:
    """Hold all sessions of a run into ``held``."""
    deadline = time.monotonic() + tools.settings.timeout
    known: dict[str, tuple[Json, ...]] = {}

    def plan(role: str, era: Era, identity: Identity) -> Plan:
        return Plan(
            role=role,
            era=era,
            identity=replace(identity, roots=(*tools.targets.directories, *identity.roots)),
            targets=tools.targets,
            start_timeout=tools.settings.start_timeout,
            call_timeout=tools.settings.call_timeout,
            session_timeout=max(1.0, deadline - time.monotonic()),
            max_calls=tools.settings.max_calls,
            known=known,
        )

    main = _start_main(tools, held, plan)
    if main is None:
        return
    era, relaxation = main.plan.era, main.relaxation
    # The others start up while the main session is held: most of a session's time is start-up.
    other_era = Era.STATELESS if era is Era.HANDSHAKE else Era.HANDSHAKE
    identity = _Running(
        tools, replace(plan("identity", era, OTHER), hostile=False, valid=False), relaxation
    )
    second_era = _Running(
        tools, replace(plan(other_era.value, other_era, MAIN), hostile=False), relaxation
    )
    transcript = main.work(held)
    _continue_main(tools, held, transcript, main, deadline)
    for running in (identity, second_era):
        tools.observer.phase(f"start: {running.plan.role}")
        with running.keeping(held):
            running.open(max(1.0, deadline - time.monotonic()))
        running.work(held)


def _start_main(
    tools: Tools, held: Held, plan: Callable[[str, Era, Identity], Plan]
) -> _Running | None:
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
        try:
            running = _Running(tools, plan("main", era, MAIN), relaxation)
        except ServerNotStarted as error:
            held.attempts.append(StartAttempt(relaxation, f"not started: {error.detail}"))
            if (step := next(ladder, None)) is None:
                return None
            relaxation = step
            continue
        with running.keeping(held):
            answered = running.open()
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


def _failed(relaxation: Relaxation, session: Session) -> StartAttempt:
    transcript, container = session.transcript, session.container
    outcome = f"{transcript.end.value}: {transcript.end_detail}".strip(": ")
    if container.oom_killed:
        outcome = "out of memory"
    return StartAttempt(relaxation, outcome, container.exit_code, container.stderr)


def _continue_main(
    tools: Tools, held: Held, transcript: Transcript, main: _Running, deadline: float
) -> None:
    """Hold the rest of a plan that the server broke off, with fresh containers."""
    plan, relaxation = main.plan, main.relaxation
    endings: dict[str, int] = {}
    calls = len(transcript.calls)
    for restart in range(1, MAX_RESTARTS + 1):
        if transcript.resume_at is None or time.monotonic() > deadline:
            return
        culprit = transcript.calls[-1].target
        endings[culprit] = endings.get(culprit, 0) + 1
        plan = replace(
            plan,
            start_at=transcript.resume_at,
            avoid=frozenset(name for name, n in endings.items() if n >= ENDINGS_PER_TARGET),
            max_calls=max(1, tools.settings.max_calls - calls),
            session_timeout=max(1.0, deadline - time.monotonic()),
        )
        tools.observer.phase(f"start: fresh container {restart}")
        running = _Running(tools, plan, relaxation)
        with running.keeping(held):
            running.open()
        transcript = running.work(held)
        calls += len(transcript.calls)
    if transcript.resume_at is not None:
        held.left_out.append(
            f"calls after the server had ended {MAX_RESTARTS + 1} times within this run"
        )


class _Running:
    """One started server and the prober that talks to it."""

    def __init__(self, tools: Tools, plan: Plan, relaxation: Relaxation) -> None:
        self.plan = plan
        self.relaxation = relaxation
        self._tools = tools
        name = f"{next(tools.numbers)}-{plan.role}"
        self._server: Server = tools.sandbox.start(
            relaxation=relaxation, environment=tools.environment, name=name
        )
        matcher = tools.matcher
        self._prober = Prober(
            self._server.stream,
            plan,
            find=matcher.find,
            mask=matcher.mask,
            record=tools.record_for(name),
            progress=tools.observer.doing,
        )

    def open(self, seconds: float | None = None) -> bool:
        """Send the opening message. ``seconds``: what is left for the session by now."""
        answered = self._prober.open(seconds)
        if answered:
            self._server.processes()
        return answered

    @contextmanager
    def keeping(self, held: Held) -> Iterator[None]:
        """Interrupted, or the engine is gone meanwhile: what was seen so far still counts."""
        try:
            yield
        except BaseException:
            held.sessions.append(self._broken_off())
            raise

    def work(self, held: Held) -> Transcript:
        """Do the plan if the server answered, stop the server, keep what was seen."""
        with self.keeping(held):
            if self._prober.answered:
                self._tools.observer.phase(f"probe: {self.plan.role}")
                self._prober.work()
            session = self.close()
        held.sessions.append(session)
        return session.transcript

    def close(self) -> Session:
        """Stop the server and collect the witnesses."""
        self._tools.observer.phase(f"stop: {self.plan.role}")
        matcher = self._tools.matcher
        container = self._server.finish(find=matcher.find, mask=matcher.mask)
        return Session(self._prober.transcript(), container)

    def _broken_off(self) -> Session:
        """What was seen until now; the sandbox removes the container."""
        transcript = self._prober.transcript()
        if transcript.end is SessionEnd.COMPLETED:  # as it would have been
            transcript = replace(transcript, end=SessionEnd.BROKEN_OFF)
        container = ContainerFacts(
            relaxation=self.relaxation,
            user="",
            command_line=self._server.command_line,
            witnesses={witness.value: "the run was broken off" for witness in Witness},
        )
        return Session(transcript, container)


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
