"""Start the server until it answers: the relaxation ladder, the transport, the era; or say why not.

What answers first decides the transport. A server that ends by itself is started again with one
limit less; one that refuses the handshake is asked in the other era.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from mcp_sandbox import background
from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.model import (
    Era,
    ImageFacts,
    Place,
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

LAST_LINES = 10
"""Lines of standard error shown when the server did not start."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""The engine's name for its machine -> the images' name."""


def start_main(tools: Tools, held: Held, plans: Plans) -> Running | None:
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
