"""One started server, the prober that talks to it, and what became of both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from mcp_sandbox.model import (
    ContainerFacts,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    Tracing,
    Transcript,
    Window,
    Witness,
)
from mcp_sandbox.pipeline import witnessing
from mcp_sandbox.pipeline.results import Results
from mcp_sandbox.planted import Matcher
from mcp_sandbox.probe.conversation import Record
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import Prober
from mcp_sandbox.sandbox import Sandbox, Server
from mcp_sandbox.settings import Settings


class Observer(Protocol):
    """Is told what is going on. Implementations print; nothing is returned."""

    def phase(self, name: str) -> None:
        """A phase of the run begins."""

    def doing(self, what: str) -> None:
        """What is being done within the phase; called for every single call, so it must be quick.

        ``what`` may hold the peer's text.
        """


class Unobserved:
    """The observer of a quiet run, and of what is done beside the main session."""

    def phase(self, name: str) -> None:
        """Say nothing."""

    def doing(self, what: str) -> None:
        """Say nothing."""


class Stopped(Exception):
    """The run is broken off; who holds a session beside the main one just leaves."""


@dataclass
class Held:
    """What sessions brought; filled as they end, so that an interruption loses nothing."""

    attempts: list[StartAttempt] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


RecordFor = Callable[[str], Record]
"""Opens the transcript file of one session by its name."""


@dataclass(frozen=True)
class Tools:
    """What every session needs."""

    sandbox: Sandbox
    settings: Settings
    targets: Targets
    environment: Mapping[str, str]
    matcher: Matcher
    record_for: RecordFor
    results: Results
    bait: frozenset[str]
    """Planted paths."""
    observer: Observer
    numbers: Iterator[int]
    """Numbers the sessions of this run."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the run is broken off: nothing is started any more, and what runs is let go."""

    def name(self, role: str) -> str:
        """The name of a new session's evidence files."""
        return f"{next(self.numbers)}-{role.replace(' ', '-')}"

    def going_on(self) -> None:
        """Raises ``Stopped`` when the run is broken off."""
        if self.stopping.is_set():
            raise Stopped


class Running:
    """One started server and the prober that talks to it."""

    def __init__(
        self,
        tools: Tools,
        plan: Plan,
        relaxation: Relaxation,
        tracing: Tracing = Tracing.INSIDE,
        *,
        name: str,
    ) -> None:
        """Start the server. ``name`` is that of its evidence files.

        Raises ``ServerNotStarted``, ``EngineFailed``, ``Stopped``.
        """
        tools.going_on()
        self.plan = plan
        self.relaxation = relaxation
        self.tracing = tracing
        self._tools = tools
        self.name = name
        self._server: Server = tools.sandbox.start(
            relaxation=relaxation,
            environment=tools.environment,
            name=name,
            tracing=tracing,
        )
        tools.going_on()
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
        self._tools.going_on()
        self._tools.observer.phase(f"stop: {self.plan.role}")
        self._prober.mark(Window.SHUTDOWN)
        matcher = self._tools.matcher
        container = self._server.finish(find=matcher.find, mask=matcher.mask)
        transcript = self._prober.transcript()
        container = witnessing.witnessed(
            container,
            self._server.recorded,
            self._prober.marks,
            matcher=matcher,
            files=lambda kind: self._tools.results.evidence(f"{self.name}.{kind}"),
            bait=self._tools.bait,
        )
        return Session(transcript, container, evidence=self.name)

    def _broken_off(self) -> Session:
        """What was seen until now; the sandbox removes the container."""
        transcript = self._prober.transcript()
        if transcript.end is SessionEnd.COMPLETED or self._tools.stopping.is_set():
            transcript = replace(transcript, end=SessionEnd.BROKEN_OFF)
        container = ContainerFacts(
            relaxation=self.relaxation,
            user="",
            command_line=self._server.command_line,
            tracing=self.tracing,
            network=self._tools.settings.network,
            witnesses={witness.value: "the run was broken off" for witness in Witness},
        )
        return Session(transcript, container, evidence=self.name)
