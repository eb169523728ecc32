"""Start the server until it answers: settings, relaxation ladder, transport, era; or say why not.

What answers first decides the transport. A server that names what it lacks is given it; one that
ends by itself is started again with one limit less; one that refuses the handshake is asked in the
other era.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from mcp_sandbox import background
from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.launch.failure import judge, may_lack_a_resource, unlisted
from mcp_sandbox.launch.seen import Failure, Seen
from mcp_sandbox.model import (
    COMPLETE,
    Act,
    BreachKind,
    ContainerFacts,
    Era,
    ItemKind,
    Place,
    Reached,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    StopStage,
    Transport,
)
from mcp_sandbox.model.launch import StartReason
from mcp_sandbox.pipeline.inventing import Inventing
from mcp_sandbox.pipeline.plans import MAIN, Plans
from mcp_sandbox.pipeline.running import Held, Running, Tools
from mcp_sandbox.probe.http.detect import Found
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.sandbox import LADDER

GRACE = 1.0
"""Seconds that a server which speaks MCP over HTTP has left to answer over its standard streams:
one that does both is spoken to over these, whichever of them was quicker."""
MAX_ASKED = 200
"""Places that were tried and are told of."""
ANSWERED = "answered"
_LISTED = (COMPLETE, "not offered")
"""States of a list that is no failure."""
_LOOPBACK = ("127.", "[::1]:")
LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""


@dataclass(frozen=True)
class _Brought:
    """What one start brought: a server that answered, a place where one would, or a failure."""

    attempt: StartAttempt
    running: Running | None = None
    place: Place | None = None
    seen: Seen | None = None
    failure: Failure | None = None
    session: Session | None = None
    """Of a server that has not answered."""
    asked: tuple[str, ...] = ()
    """Places that were tried."""


def start_main(tools: Tools, held: Held, plans: Plans) -> Running | None:
    """Start the server until it answers; ``None`` when it never does.

    What it says that it lacks is invented, a few times. Only a server that ends by itself is
    started again with a limit relaxed: one that stays and says nothing lacks no resource. One that
    refuses the handshake is asked in the other era.
    """
    begun = time.monotonic()
    asked: tuple[str, ...] = ()
    era = Era.HANDSHAKE
    ladder = iter(LADDER)
    relaxation = next(ladder)
    inventing = Inventing(plans, held)
    while True:
        tools = plans.tools
        brought = _start(tools, plans.make("main", era, MAIN), relaxation, held)
        held.attempts.append(brought.attempt)
        held.failure = brought.failure
        asked += brought.asked
        if brought.running is not None:
            held.reached = Reached(
                tools.place.transport if tools.place else Transport.STDIO,
                tools.place,
                round(time.monotonic() - begun, 2),
                asked[:MAX_ASKED],
            )
            return brought.running
        if brought.place is not None:
            # From the start, in a container that nobody has asked anything yet.
            plans.tools = replace(tools, place=brought.place)
            continue
        seen, failure = brought.seen, brought.failure
        assert seen is not None  # noqa: S101 - what brought nothing else
        assert failure is not None  # noqa: S101 - the same
        if inventing.again(seen, failure, relaxation):
            continue
        if seen.end is SessionEnd.REFUSED and era is Era.HANDSHAKE:
            era = Era.STATELESS
            continue
        step = next(ladder, None) if may_lack_a_resource(failure, seen) else None
        if step is None:
            _tell(held, failure)
            held.sessions += [brought.session] if brought.session is not None else []
            return None
        relaxation = step


def _tell(held: Held, failure: Failure) -> None:
    why = f"{failure.what}. {failure.way_out}"
    held.launch = replace(held.launch, reason=failure.reason, why=why)


def _start(tools: Tools, plan: Plan, relaxation: Relaxation, held: Held) -> _Brought:
    """Start the server once and see what comes. Raises as ``Running`` does."""
    named = "main" if relaxation is Relaxation.NONE else relaxation.value
    tools.observer.phase(f"start: {named}")
    try:
        running = Running(tools, plan, relaxation, name=tools.name("main"))
    except ServerNotStarted as error:
        seen = _of_the_run(tools, Seen(None, f"{error.what} {error.detail}"))
        attempt = StartAttempt(relaxation, f"not started: {error.detail}")
        return _Brought(attempt, seen=seen, failure=judge(seen))
    with running.keeping(held):
        answered, found = _opened(tools, running)
        if not answered and found.place is None and found.locked is not None:
            held.oauth = running.oauth(found.locked)
    asked, seconds = found.asked, running.seconds
    if answered:
        attempt = StartAttempt(relaxation, ANSWERED, seconds=seconds)
        return _Brought(attempt, running=running, asked=asked)
    if found.place is not None:
        running.close()
        outcome = f"speaks MCP over {found.place.transport} at {_where(found.place)}"
        attempt = StartAttempt(relaxation, outcome, seconds=running.seconds)
        return _Brought(attempt, place=found.place, asked=asked)
    with running.keeping(held):
        ports = running.ports_left()
        session = running.close()
    seen = _seen(tools, session, found, ports)
    failure, container = judge(seen), session.container
    attempt = StartAttempt(
        relaxation, failure.outcome, container.exit_code, container.stderr, seconds
    )
    return _Brought(attempt, seen=seen, failure=failure, session=session, asked=asked)


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
        if found.place is not None and not over.wait(GRACE):
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


_NOT_A_MESSAGE = frozenset(
    {
        BreachKind.NOT_JSON,
        BreachKind.NOT_AN_OBJECT,
        BreachKind.NOT_JSONRPC,
        BreachKind.INVALID_UTF8,
        BreachKind.UNTERMINATED_LINE,
        BreachKind.OVERSIZED_LINE,
    }
)


def _seen(tools: Tools, session: Session, found: Found, ports: tuple[int, ...]) -> Seen:
    """What a start that was not answered left behind."""
    transcript, container = session.transcript, session.container
    printed = [one.sample for one in transcript.breaches if one.kind in _NOT_A_MESSAGE]
    # Over HTTP alone nothing was opened; whether it ended tells its exit.
    end = transcript.end
    if end is SessionEnd.COMPLETED and container.stop is StopStage.EXITED:
        end = SessionEnd.EXITED
    return _of_the_run(
        tools,
        Seen(
            end,
            transcript.end_detail,
            exit_code=container.exit_code,
            oom_killed=container.oom_killed,
            stderr=container.stderr,
            stdout=printed[0] if printed else "",
            ports=ports,
            found=found.why,
            needs_credentials=found.locked is not None,
            hosts=tuple(dict.fromkeys(one.host for one in container.sink if one.host)),
            services=_services(container),
        ),
    )


def _services(container: ContainerFacts) -> tuple[str, ...]:
    """``ADDRESS:PORT`` of its own machine that it wanted to speak to, and that are not its own."""
    own = {
        one.object.rpartition(":")[2]
        for one in container.kernel
        if one.act in {Act.BIND, Act.LISTEN}
    }
    asked = (
        one.object
        for one in container.kernel
        if one.act is Act.CONNECT and one.detail == "TCP" and one.object.startswith(_LOOPBACK)
    )
    return tuple(dict.fromkeys(one for one in asked if one.rpartition(":")[2] not in own))


def _source(tools: Tools) -> str:
    build = tools.image.build if tools.image else None
    return build.source.asked.partition(":")[0] if build and build.source else ""


def _arguments(tools: Tools) -> tuple[str, ...]:
    """What follows the server's program, however it was given."""
    given = tools.given
    command = [word for word, _ in given.command or ()]
    own = command or tools.settings.args or (tools.image.launch.command if tools.image else ())
    return (*own, *(word for word, _ in given.arguments))


def _of_the_run(tools: Tools, seen: Seen) -> Seen:
    return replace(
        seen,
        wanted=tools.settings.transport,
        told_stdio=any(word.endswith("stdio") for word in _arguments(tools)),
        image_architecture=tools.image.launch.architecture if tools.image else "",
        machine=tools.machine,
        start_timeout=tools.settings.start_timeout,
        memory=tools.settings.memory,
        source=_source(tools),
    )


def tell_unlisted(tools: Tools, held: Held) -> None:
    """Name the reason why a server that answered lists no tools, where something tells it."""
    listings = [
        (session, one)
        for session in held.sessions
        for one in session.transcript.listings
        if one.kind is ItemKind.TOOLS
    ]
    if not listings or any(one.items or one.state in _LISTED for _, one in listings):
        return
    session, first = listings[0]
    failure = unlisted(_seen(tools, session, Found(None), ()), first.state)
    if failure is not None:
        _tell(held, failure)


def unanswered(held: Held) -> ServerNotStarted | None:
    """Why the server never answered, and the way out; ``None`` when it did."""
    failure = held.failure
    if any(one.outcome == ANSWERED for one in held.attempts) or failure is None:
        return None
    last = held.attempts[-1]
    detail = "\n".join(last.stderr.rstrip().splitlines()[-LAST_LINES:])
    what = failure.what
    if failure.reason is StartReason.NOT_RUNNABLE and not detail:
        detail = last.outcome.removeprefix("not started: ")
    if held.launch.restarts:
        times = "1 restart" if held.launch.restarts == 1 else f"{held.launch.restarts} restarts"
        what += f", after {times} with invented settings"
    relaxed = len({one.relaxation for one in held.attempts})
    if relaxed > 1:
        what += f", with {relaxed - 1} of its limits relaxed one after the other"
    return ServerNotStarted(f"{what}.", next_step=failure.way_out, detail=detail)
