"""Start the server until it answers: settings, relaxation ladder, transport, era; or say why not.

What answers first decides the transport. A server that names what it lacks is given it; one that
ends by itself is started again with one limit less; one that refuses the handshake is asked in the
other era.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from mcp_sandbox import background
from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.launch.failure import Seen, judge, may_lack_a_resource
from mcp_sandbox.model import (
    BreachKind,
    Era,
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
from mcp_sandbox.sandbox import LADDER

GRACE = 1.0
"""Seconds that a server which speaks MCP over HTTP has left to answer over its standard streams:
one that does both is spoken to over these, whichever of them was quicker."""
MAX_ASKED = 200
"""Places that were tried and are told of."""
LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""


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
        tools.observer.phase(
            "start: main" if relaxation is Relaxation.NONE else f"start: {relaxation.value}"
        )
        try:
            running = Running(
                tools, plans.make("main", era, MAIN), relaxation, name=tools.name("main")
            )
        except ServerNotStarted as error:
            seen = _not_even_started(tools, error)
            held.attempts.append(StartAttempt(relaxation, f"not started: {error.detail}"))
            session = None
        else:
            with running.keeping(held):
                answered, found = _opened(tools, running)
                asked += found.asked
                if not answered and found.place is None and found.locked is not None:
                    held.oauth = running.oauth(found.locked)
            if found.place is not None and not answered:
                # From the start, in a container that nobody has asked anything yet.
                running.close()
                outcome = f"speaks MCP over {found.place.transport} at {_where(found.place)}"
                held.attempts.append(StartAttempt(relaxation, outcome, seconds=running.seconds))
                plans.tools = replace(tools, place=found.place)
                continue
            if answered:
                held.attempts.append(StartAttempt(relaxation, "answered", seconds=running.seconds))
                held.reached = Reached(
                    tools.place.transport if tools.place else Transport.STDIO,
                    tools.place,
                    round(time.monotonic() - begun, 2),
                    asked[:MAX_ASKED],
                )
                held.failure = None
                return running
            seconds = running.seconds
            with running.keeping(held):
                ports = running.ports_left()
                session = running.close()
            seen = _seen(tools, session, found, ports)
            held.attempts.append(replace(_failed(relaxation, session, seen), seconds=seconds))
        failure = held.failure = judge(seen)
        if inventing.again(seen, failure, relaxation):
            continue
        if seen.end is SessionEnd.REFUSED and era is Era.HANDSHAKE:
            era = Era.STATELESS
            continue
        step = next(ladder, None) if may_lack_a_resource(failure, seen) else None
        if step is None:
            held.launch = replace(
                held.launch, reason=failure.reason, why=f"{failure.what}. {failure.way_out}"
            )
            held.sessions += [session] if session is not None else []
            return None
        relaxation = step


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


def _not_even_started(tools: Tools, error: ServerNotStarted) -> Seen:
    return _of_the_run(tools, Seen(None, f"{error.what} {error.detail}"))


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
        ),
    )


def _source(tools: Tools) -> str:
    build = tools.image.build if tools.image else None
    return build.source.asked.partition(":")[0] if build and build.source else ""


def _of_the_run(tools: Tools, seen: Seen) -> Seen:
    return replace(
        seen,
        wanted=tools.settings.transport,
        image_architecture=tools.image.launch.architecture if tools.image else "",
        machine=tools.machine,
        start_timeout=tools.settings.start_timeout,
        memory=tools.settings.memory,
        source=_source(tools),
    )


def _failed(relaxation: Relaxation, session: Session, seen: Seen) -> StartAttempt:
    container = session.container
    return StartAttempt(relaxation, judge(seen).outcome, container.exit_code, container.stderr)


def unanswered(held: Held) -> ServerNotStarted | None:
    """Why the server never answered, and the way out; ``None`` when it did."""
    failure = held.failure
    if any(one.outcome == "answered" for one in held.attempts) or failure is None:
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
