"""Requests made from messages: which headers go with them, by era and by what was agreed on."""

from __future__ import annotations

import json

from mcp_sandbox.model import Era, Json, Place
from mcp_sandbox.probe.http.exchange import Head, Headers, Request
from mcp_sandbox.probe.http.params import ParamHeaders, header

SESSION_ID = "mcp-session-id"
JSON = "application/json"
EVENTS = "text/event-stream"
MAX_SESSION_ID = 1024
MAX_VERSION = 64
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Requests:
    """Makes the requests of one conversation, and keeps what later ones have to repeat."""

    def __init__(self, place: Place, era: Era, agent: str, own: Headers = ()) -> None:
        """``agent``: the client's name and version, as ``User-Agent`` has them.

        ``own``: headers of the user's, sent with every request.
        """
        self._place = place
        self._era = era
        self._agent = agent
        self._own = own
        self._params: ParamHeaders | None = None
        self.post_to = place.path
        self.session = ""
        """``Mcp-Session-Id`` as the server gave it."""
        self.version = ""
        """The protocol version that was agreed on, of the handshake era."""

    def post(self, line: bytes, message: dict[str, Json]) -> Request:
        """``message`` on its way; ``line`` is the same as bytes."""
        return Request("POST", self.post_to, self.headers(message), line)

    def stream(self, path: str, last: str = "") -> Request:
        """The events from ``path``; ``last``: the id of the last one that came."""
        headers = self.headers({}, accept=EVENTS)
        return Request("GET", path, (*headers, ("Last-Event-ID", last)) if last else headers)

    def delete(self) -> Request:
        """The end of the session (2025-03-26 and later)."""
        return Request("DELETE", self.post_to, self.headers({}))

    def headers(self, message: dict[str, Json], *, accept: str = f"{JSON}, {EVENTS}") -> Headers:
        """``message``: empty for a request without a body."""
        headers = [
            ("Host", f"{self._place.host}:{self._place.port}"),
            ("User-Agent", self._agent),
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
        ]
        if message:
            headers.append(("Content-Type", JSON))
        if self.session:
            headers.append(("Mcp-Session-Id", self.session))
        if self._era is Era.STATELESS and message:
            headers += mirrored(message)
            if self._params is not None:
                headers += self._params.of(message)
        elif self.version:
            headers.append(("MCP-Protocol-Version", self.version))
        return (*headers, *self._own)

    def opened(self, head: Head) -> None:
        """Keep the session that the answer to the opening message gives."""
        self.session = head.get(SESSION_ID)[:MAX_SESSION_ID]

    def look(self, message: dict[str, Json], body: bytes) -> None:
        """Keep what an answer says of later requests: the version, the headers of a tool."""
        if self._era is Era.STATELESS and message.get("method") == "tools/list":
            self._params = self._params or ParamHeaders()
            self._params.learn(body)
        if message.get("method") == "initialize" and not self.version:
            try:
                answer = json.loads(body)
                version = answer["result"]["protocolVersion"]
            except (ValueError, TypeError, KeyError, RecursionError):
                return
            if isinstance(version, str) and version.isprintable():
                self.version = version[:MAX_VERSION]


def mirrored(message: dict[str, Json]) -> list[tuple[str, str]]:
    """What of a stateless request its headers repeat (2026-07-28, transports)."""
    method, params = str(message.get("method", "")), message.get("params") or {}
    meta = params.get("_meta", {}) if isinstance(params, dict) else {}
    found = [("Mcp-Method", method)] if method else []
    if version := meta.get("io.modelcontextprotocol/protocolVersion"):
        found.append(("MCP-Protocol-Version", str(version)))
    if name := params.get(_NAMED.get(method, "")):
        found += header("Mcp-Name", str(name))
    return found
