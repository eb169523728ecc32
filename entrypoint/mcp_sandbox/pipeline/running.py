"""One started server, the prober that talks to it, and what became of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from mcp_sandbox.launch.seen import Failure
from mcp_sandbox.model import (
    ContainerFacts,
    HttpChecks,
    ImageFacts,
    Listener,
    OAuthFacts,
    Place,
    Reached,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    Tracing,
    Transcript,
    Transport,
    Window,
    Witness,
)
from mcp_sandbox.model.launch import Decided, LaunchReport
from mcp_sandbox.pipeline import witnessing
from mcp_sandbox.pipeline.results import Results
from mcp_sandbox.planted import Grower, Matcher
from mcp_sandbox.probe.conversation import Record
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.probe.http import oauth, questions
from mcp_sandbox.probe.http.detect import Found, look
from mcp_sandbox.probe.http.stranger import Stranger
from mcp_sandbox.probe.http.stream import HttpStream
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import Prober
from mcp_sandbox.sandbox import NOTHING_GIVEN, Given, Sandbox, Server
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
    reached: Reached = field(default_factory=Reached)
    oauth: OAuthFacts | None = None
    http: list[HttpChecks] = field(default_factory=list)
    launch: LaunchReport = field(default_factory=LaunchReport)
    planted: tuple[str, ...] = ()
    """The places of the secrets in invented settings."""
    failure: Failure | None = None
    """Why the last start was not answered."""


LOOK = 0.1
"""Seconds between two looks at what listens."""
LOOKING = 12.0
"""Seconds for one round through all places where a server may speak MCP."""

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
    grower: Grower
    """Makes further secrets, known to the matcher."""
    record_for: RecordFor
    results: Results
    bait: frozenset[str]
    """Planted paths."""
    observer: Observer
    numbers: Iterator[int]
    """Numbers the sessions of this run."""
    image: ImageFacts | None = None
    machine: str = ""
    """The engine's architecture, in its own words."""
    place: Place | None = None
    """Where the server speaks MCP over HTTP; ``None`` for its standard streams."""
    launch: Decided = field(default_factory=Decided)
    """How the server is said to be started."""
    given: Given = NOTHING_GIVEN
    """What it is given beside what the user gave it."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the run is broken off: nothing is started any more, and what runs is let go."""

    def name(self, role: str) -> str:
        """The name of a new session's evidence files."""
        return f"{next(self.numbers)}-{role.replace(' ', '-')}"

    def going_on(self) -> None:
        """Raises ``Stopped`` when the run is broken off."""
        if self.stopping.is_set():
            raise Stopped


HEADER_GIVEN = b"<http-header>"
ENOUGH = 16
"""Bytes by which a value that was cut is still recognised."""


def _without_secrets(record: Record, settings: Settings) -> Record:
    """``record``, which is not shown the values of the headers that the user gave."""
    values = [value.encode() for _, value in settings.headers]
    if not values:
        return record

    def masked(direction: str, data: bytes) -> None:
        for value in values:
            data = data.replace(value, HEADER_GIVEN)
            at = data.find(value[:ENOUGH]) if len(value) > ENOUGH else -1
            if at >= 0:
                data = data[:at] + HEADER_GIVEN
        record(direction, data)

    return masked


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
        self._begun = time.monotonic()
        self.listened: frozenset[int] = frozenset()
        """The ports that it listened on when its plan was done."""
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
            given=tools.given,
        )
        tools.going_on()
        matcher = tools.matcher
        settings, place = tools.settings, tools.place
        self._http: HttpStream | None = None
        if place is not None:
            self._http = HttpStream(
                place,
                self._server.dial,
                era=plan.era,
                agent=f"{plan.identity.name}/{plan.identity.version}",
                call_timeout=max(settings.call_timeout, settings.start_timeout),
                beneath=self._server.stream,
                headers=settings.headers,
            )
        self._prober = Prober(
            self._http or self._server.stream,
            plan,
            find=matcher.find,
            mask=matcher.mask,
            record=_without_secrets(tools.record_for(name), settings),
            progress=tools.observer.doing,
        )

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return round(time.monotonic() - self._begun, 2)

    def open(self, seconds: float | None = None) -> bool:
        """Send the opening message. ``seconds``: what is left for the session by now."""
        if self._http is not None and self._tools.place is not None:
            port = self._tools.place.port
            self.await_ports(frozenset({port}), self._tools.settings.start_timeout)
        answered = self._prober.open(seconds)
        if answered:
            self._server.processes()
        return answered

    def find(self, over: threading.Event, wanted: Transport) -> Found:
        """Look for MCP over HTTP until it is found, ``over`` is set, or the time to start is up."""
        deadline = time.monotonic() + self._tools.settings.start_timeout
        found = Found(None, "nothing listens")
        seen: tuple[Listener, ...] = ()
        while time.monotonic() < deadline and not (over.is_set() or self._server.stream.ended):
            listeners = self._server.listeners()
            if listeners != seen:
                seen = listeners
                found = self._ask(listeners, wanted, deadline)
                if found.place is not None or (found.locked and wanted is not Transport.AUTO):
                    return found  # what wants a token now wants it later, too
            over.wait(LOOK)
        return found

    def ports(self) -> frozenset[int]:
        """The ports that it listens on now."""
        return frozenset(one.port for one in self._server.listeners())

    def ports_left(self) -> tuple[int, ...]:
        """The ports that it listens on, in order; none once it has ended."""
        return () if self._server.stream.ended else tuple(sorted(self.ports()))

    def await_ports(self, ports: frozenset[int], seconds: float) -> None:
        """Wait until it listens on all of them; so many seconds, or until it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._server.stream.ended:
            self._tools.going_on()
            if ports <= self.ports():
                return
            time.sleep(LOOK)

    def look_once(self, wanted: Transport) -> Found:
        """Ask what listens now, once."""
        return self._ask(self._server.listeners(), wanted, time.monotonic() + LOOKING)

    def _ask(self, listeners: tuple[Listener, ...], wanted: Transport, deadline: float) -> Found:
        return look(
            listeners,
            self._server.dial,
            self.plan.identity,
            wanted=wanted,
            printed=self._server.printed(),
            deadline=deadline,
            headers=self._tools.settings.headers,
            hint=(self._tools.launch.port, self._tools.launch.url_path),
        )

    def oauth(self, place: Place) -> OAuthFacts:
        """Read what the server says of who may call it at a place; evidence of its own."""
        name = f"{self.name}-oauth"
        facts = oauth.read(
            place,
            self._server.dial,
            self.plan.identity,
            mask=self._tools.matcher.mask,
            record=self._tools.record_for(name),
            deadline=time.monotonic() + oauth.READING,
        )
        return replace(facts, evidence=name)

    def strangers(self, place: Place, seconds: float) -> HttpChecks:
        """Ask at a place what only HTTP can be asked; so many seconds at the most.

        The questions and their answers are evidence of their own.
        """
        name = f"{self.name}-{place.transport.value}"
        stranger = Stranger(
            place, self.plan.era, self.plan.identity, own=self._tools.settings.headers
        )
        checks = questions.ask_all(
            stranger,
            self._server.dial,
            until=time.monotonic() + min(seconds, questions.ASKING),
            mask=self._tools.matcher.mask,
            record=_without_secrets(self._tools.record_for(name), self._tools.settings),
        )
        listeners = {(one.address, one.port) for one in self._server.listeners()}
        shown = sorted(f"[{at}]:{port}" if ":" in at else f"{at}:{port}" for at, port in listeners)
        return replace(checks, listeners=tuple(shown), evidence=name)

    def let_go(self) -> None:
        """End the conversation over the standard streams, whoever is in it."""
        self._server.stream.let_go()

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
                self.listened = self.ports()
            session = self.close()
        held.sessions.append(session)
        return session.transcript

    def close(self) -> Session:
        """Stop the server and collect the witnesses."""
        self._tools.going_on()
        self._tools.observer.phase(f"stop: {self.plan.role}")
        self._prober.mark(Window.SHUTDOWN)
        if self._http is not None:
            self._http.close_write()
        matcher = self._tools.matcher
        container = self._server.finish(
            find=matcher.find, mask=matcher.mask, stdio=self._http is None
        )
        transcript = self._transcript()
        if self._http is not None:
            self._http.close()
        container = witnessing.witnessed(
            container,
            self._server.recorded,
            self._prober.marks,
            matcher=matcher,
            files=lambda kind: self._tools.results.evidence(f"{self.name}.{kind}"),
            bait=self._tools.bait,
        )
        return Session(transcript, container, evidence=self.name)

    def _transcript(self) -> Transcript:
        transcript = self._prober.transcript()
        if self._http is None:
            return transcript
        breaches = (*transcript.breaches, *self._http.breaches)
        return replace(transcript, http=self._http.facts, breaches=breaches)

    def _broken_off(self) -> Session:
        """What was seen until now; the sandbox removes the container."""
        if self._http is not None:
            self._http.close_write()
        transcript = self._transcript()
        if self._http is not None:
            self._http.close()
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
