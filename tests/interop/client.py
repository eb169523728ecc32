"""Our prober as the client that the conformance suite asks for.

``python tests/interop/client.py URL`` holds one whole session with a streamable HTTP server on
loopback: the same ``Prober`` over the same ``HttpStream`` as in a scan, under the same identity.
``MCP_CONFORMANCE_PROTOCOL_VERSION`` names the version that the suite tests; it decides the era.
Some scenarios say what to call (``MCP_CONFORMANCE_CONTEXT``, or a schema to be given back): that is
done after the session, in a second conversation of the same parts.
Prints the session in short as JSON; exits 0 when the server and the prober agreed to talk.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from mcp_sandbox.model import Era, Identity, ItemKind, Json, Moment, Place, Transcript, Transport
from mcp_sandbox.probe import eras, listing
from mcp_sandbox.probe.answers import ALL_CAPABILITIES
from mcp_sandbox.probe.conversation import Conversation, Reply
from mcp_sandbox.probe.http.stream import HttpStream
from mcp_sandbox.probe.inputs import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import run
from support.http_peer import SocketConnection

IDENTITY = Identity("claude-code", "2.1.0", ALL_CAPABILITIES)
"""As in a scan; written out, because the pipeline takes longer to import than a scenario runs."""
VERSION = "MCP_CONFORMANCE_PROTOCOL_VERSION"
CONTEXT = "MCP_CONFORMANCE_CONTEXT"
STATELESS_SINCE = "2026-07-28"
SCHEMA, ECHO = "json_schema_2020_12_tool", "json_schema_echo"
"""The tool whose schema a scenario wants to see again, and the tool that takes it."""
PATIENCE = 5.0
"""Seconds for one answer."""
MAX_CALLS = 40


def era_of(version: str) -> Era:
    """The era that a version of the specification belongs to."""
    return Era.STATELESS if version >= STATELESS_SINCE else Era.HANDSHAKE


def place_of(url: str) -> Place:
    """Where a URL points to. Raises ``ValueError`` unless it is plain HTTP with a port."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise ValueError(f"no plain HTTP with a port: {url}")
    return Place(Transport.HTTP, parts.port, parts.path or "/", parts.hostname)


def stream_to(place: Place, era: Era) -> HttpStream:
    """The connection of a scan, over plain loopback."""
    agent = f"{IDENTITY.name}/{IDENTITY.version}"
    return HttpStream(place, SocketConnection, era=era, agent=agent, call_timeout=PATIENCE)


def hold(place: Place, era: Era, *, calls: bool) -> Transcript:
    """One whole session, from the opening message to the end of the HTTP session.

    Without ``calls``, tools are listed and left alone: the scenario says what to call them with.
    """
    stream = stream_to(place, era)
    plan = Plan(
        role="main",
        era=era,
        identity=IDENTITY,
        targets=Targets(seed=1),
        start_timeout=PATIENCE,
        call_timeout=PATIENCE,
        session_timeout=4 * PATIENCE,
        max_calls=MAX_CALLS,
        valid=calls,
        hostile=calls,
    )
    try:
        held = run(stream, plan, find=lambda _: (), mask=str, record=lambda *_: None)
        stream.close_write()
    finally:
        stream.close()
    return held


def call(place: Place, era: Era, calls: list[dict[str, Json]]) -> list[str]:
    """List and make these calls (``name``, ``arguments``); the status of each."""
    stream = stream_to(place, era)
    talk = Conversation(
        stream, era=era, identity=IDENTITY, find=lambda _: (), record=lambda *_: None
    )

    def ask(method: str, params: dict[str, Json]) -> Reply:
        return talk.request(method, eras.with_meta(era, IDENTITY, params), PATIENCE)

    try:
        eras.open_session(talk, era, IDENTITY, PATIENCE)
        listing.take(talk, ask, ItemKind.TOOLS, Moment.BEFORE, offered=True)
        made = [str(ask("tools/call", one).status) for one in calls]
        stream.close_write()
    finally:
        stream.close()
    return made


def wanted(held: Transcript, context: dict[str, Json]) -> list[dict[str, Json]]:
    """The calls that the scenario asks for: its own, or the schema of one tool given to another."""
    listed = {
        one["name"]: one
        for kept in held.listings
        if (kept.kind, kept.moment) == (ItemKind.TOOLS, Moment.BEFORE)
        for one in kept.items
    }
    found = list(context.get("toolCalls", []))
    if {SCHEMA, ECHO} <= listed.keys():
        found.append({"name": ECHO, "arguments": {"schema": listed[SCHEMA]["inputSchema"]}})
    return found


def main() -> int:
    """Talk to the server that the command line names."""
    place, era = place_of(sys.argv[-1]), era_of(os.environ.get(VERSION, ""))
    context = json.loads(os.environ.get(CONTEXT) or "{}")
    held = hold(place, era, calls="toolCalls" not in context)
    calls = wanted(held, context)
    shown = {
        "end": held.end,
        "end_detail": held.end_detail,
        "version": held.version,
        "listed": {f"{one.kind} {one.moment}": one.state for one in held.listings},
        "calls": [[one.target, one.family, one.status] for one in held.calls],
        "calls asked for": call(place, era, calls) if calls and held.version else [],
        "breaches": {one.kind: one.detail for one in held.breaches},
        "requests": {one.method: one.answer for one in held.server_requests},
    }
    print(json.dumps(shown, indent=1))
    return 0 if held.version else 1


if __name__ == "__main__":
    sys.exit(main())
