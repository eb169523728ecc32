"""The first message of an answer, found in JSON or in an event stream, within bounds."""

from __future__ import annotations

import json

from mcp_sandbox.model import Json
from mcp_sandbox.probe.http.events import Events
from mcp_sandbox.probe.http.exchange import Exchange, Head

MAX_BODY = 256 * 2**10
MAX_ENDPOINT = 2048


def message(exchange: Exchange, head: Head, until: float) -> dict[str, Json]:
    """The JSON-RPC message of an answer's beginning; empty when there is none.

    Raises ``Broken``, ``TooManyFields``, ``TimeoutError``.
    """
    return first(exchange, head, until)[0]


def first(exchange: Exchange, head: Head, until: float) -> tuple[dict[str, Json], bytes]:
    """The same, and the bytes that were read for it."""
    body, events = bytearray(), Events()
    for piece in exchange.body(until):
        body += piece
        if head.media_type == "text/event-stream":
            for event in events.feed(piece):
                if found := jsonrpc(event.data):
                    return found, bytes(body)
        if len(body) > MAX_BODY:
            return {}, bytes(body)
    return jsonrpc(bytes(body)), bytes(body)


def endpoint(exchange: Exchange, until: float) -> str:
    """Where an event stream of the older transport says to post; empty when it does not.

    Raises ``Broken``, ``TooManyFields``, ``TimeoutError``.
    """
    events, size = Events(), 0
    for piece in exchange.body(until):
        size += len(piece)
        for event in events.feed(piece):
            if event.kind == "endpoint":
                return event.data[:MAX_ENDPOINT].decode("utf-8", "replace").strip()
        if size > MAX_BODY:
            return ""
    return ""


def jsonrpc(data: bytes) -> dict[str, Json]:
    """A JSON-RPC message; empty for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("jsonrpc") == "2.0" else {}
