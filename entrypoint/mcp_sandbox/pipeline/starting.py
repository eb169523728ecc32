"""Start the server until it answers: the relaxation ladder, the transport, the era; or say why not.

What answers first decides the transport. A server that ends by itself is started again with one
limit less; one that refuses the handshake is asked in the other era.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from mcp_sandbox import background
from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.model import (
    Era,
    ImageFacts,
    Place,
    Reached,
    Relaxation,
    Session,
    SessionEnd,
    StartAttempt,
    Transport,
)
from mcp_sandbox.pipeline.plans import MAIN, Plans
from mcp_sandbox.pipeline.running import Held, Running, Tools
from mcp_sandbox.probe.http.detect import Found
from mcp_sandbox.sandbox import LADDER
from mcp_sandbox.settings import Settings

GRACE = 1.0
"""Seconds that a server which speaks MCP over HTTP has left to answer over its standard streams:
one that does both is spoken to over these, whichever of them was quicker."""
MAX_ASKED = 200
"""Places that were tried and are told of."""
LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""The engine's name for its machine -> the images' name."""


def start_main(tools: Tools, held: Held, plans: Plans) -> Running | None:
    """Climb the ladder until the server answers; ``None`` when it never does.

    Only a server that ends by itself is started again with a limit relaxed: one that stays and says
    nothing lacks no resource. One that refuses the handshake is asked in the other era.
    """
    begun = time.monotonic()
    asked: tuple[str, ...] = ()
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
            return running
        seconds = running.seconds
        with running.keeping(held):
            session = running.close()
        ended = session.transcript.end
        held.attempts.append(replace(_failed(relaxation, session, found), seconds=seconds))
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


def _failed(relaxation: Relaxation, session: Session, found: Found) -> StartAttempt:
    transcript, container = session.transcript, session.container
    outcome = f"{transcript.end.value}: {transcript.end_detail}".strip(": ")
    if transcript.end is SessionEnd.COMPLETED:  # over HTTP alone: nothing was opened
        outcome = f"{SessionEnd.NEVER_ANSWERED.value}: {found.why[:200]}"
    if found.locked is not None:
        outcome = f"needs credentials: {found.why[:200]}"
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
    if held.oauth is not None and held.oauth.locked:
        where, status = f"port {held.oauth.port}, {held.oauth.path}", held.oauth.status
        what = f"The server needs credentials: at {where} it answers {status} without a token"
        way_out = (
            "Give it one with --http-header Authorization='Bearer …', or have it started without "
            "authentication, with --env or arguments after `--`."
        )
    elif end is None:
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
