"""Several clients of one server: whether it keeps them apart, and whose word it takes for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from mcp_sandbox import background
from mcp_sandbox.model import Era
from mcp_sandbox.model.http import NOBODYS, SITE, HttpQuestion
from mcp_sandbox.probe.http.asking import QUESTION, Asked, Asker, changed
from mcp_sandbox.probe.http.ears import Ear
from mcp_sandbox.probe.http.exchange import Request
from mcp_sandbox.probe.http.requests import SESSION_ID, Requests
from mcp_sandbox.probe.http.stranger import Stranger
from mcp_sandbox.probe.http.urls import split
from mcp_sandbox.probe.wire import encode

CLIENTS = 5
"""Sessions that are asked for one after another."""
ROUNDS = 3
"""How often two clients ask at once."""
LISTENING = 1.0
"""Seconds in which the other client's stream is listened to, once all is answered."""
OPENING = 1.0
"""Seconds for an event stream to begin."""
MAX_TOOLS = 1_000
NO_VERSION = "1999-01-01"
MINE = "of-the-first-client"
"""Id and progress token of what one client asks; nothing that names it is another's."""
Q = HttpQuestion


@dataclass
class Clients:
    """Asks in sessions. ``sessions`` and ``crossed`` fill up as it does."""

    stranger: Stranger
    asker: Asker
    sessions: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """Every question of sessions that the transport and the era have."""
        if self.stranger.older:
            self._of_streams()
        elif self.stranger.era is Era.HANDSHAKE:
            self._of_sessions()

    # --- streamable HTTP ---

    def _of_sessions(self) -> None:
        ask = self.asker.ask
        clients = [client for _ in range(CLIENTS) if (client := self._opened()) is not None]
        self.sessions += [one.session for one in clients if one.session]
        if not clients:
            return
        first = clients[0]
        listing = self._listing(first, 2)
        listed = ask(Q.SESSION, listing)
        if listed.answer.result:
            ask(Q.UNKNOWN_VERSION, changed(listing, MCP_Protocol_Version=NO_VERSION))
        if len(clients) > 1:
            self._at_once(clients[0], clients[1], _without_parameters(listed))
        if not first.session:
            return
        ask(Q.NO_SESSION, changed(listing, Mcp_Session_Id=None))
        ask(Q.UNKNOWN_SESSION, changed(listing, Mcp_Session_Id=NOBODYS))
        nobodys = changed(first.stream(first.post_to), Mcp_Session_Id=NOBODYS)
        ask(Q.UNKNOWN_STREAM, nobodys, stream=True)
        chosen = ask(Q.CHOSEN_SESSION, changed(self.stranger.opening(), Mcp_Session_Id=NOBODYS))
        taken = chosen.head is not None and chosen.head.get(SESSION_ID) == NOBODYS
        self.asker.settle(result=taken)
        ask(Q.END, first.delete())
        ask(Q.ENDED_SESSION, listing)

    def _opened(self) -> Requests | None:
        """A new client, its handshake done."""
        requests = self.stranger.requests()
        asked = self.asker.ask(Q.ORDINARY, self.stranger.opening(), keep=False)
        if not asked.answer.result or asked.head is None:
            return None
        requests.opened(asked.head)
        requests.look({"method": "initialize"}, encode(asked.message))
        done = self.stranger.initialized(requests)
        self.asker.ask(Q.ORDINARY, done, keep=False, stream=True)
        return requests

    def _listing(self, requests: Requests, id_: int | str) -> Request:
        return self.stranger.post(requests, "tools/list", {}, id_=id_)

    def _at_once(self, one: Requests, other: Requests, tool: str) -> None:
        """Two clients ask under the same id; then one acts, and the other's stream is heard."""
        streams = [client.stream(client.post_to) for client in (one, other) if client.session]
        with self._listening(streams) as ears:
            for number in range(100, 100 + ROUNDS):
                listing = self._listing(one, number)
                ping = self.stranger.post(other, "ping", {}, id_=number)
                self._apart(*self._both(listing, ping))
            self.asker.ask(Q.SESSION, self._listing(one, MINE), keep=False)
            if tool:
                params = {"name": tool, "arguments": {}, "_meta": {"progressToken": MINE}}
                calling = self.stranger.post(one, "tools/call", params, id_=f"{MINE}-call")
                self.asker.ask(Q.SESSION, calling, keep=False)
            for ear in ears[1:]:
                self._overheard(ear)

    def _apart(self, listed: Asked, pinged: Asked) -> None:
        results = [one.message.get("result") for one in (listed, pinged)]
        mixed = [isinstance(result, dict) and "tools" in result for result in results]
        if listed.answer.result and pinged.answer.result and mixed != [True, False]:
            self._cross("Of two clients that asked at once, one was given the other's answer.")

    # --- the older transport ---

    def _of_streams(self) -> None:
        opening = [self.stranger.opening()] * CLIENTS
        with self._listening(opening, endpoint=True) as ears:
            posts = [self._posting(ear.endpoint) for ear in ears if ear.endpoint]
            self.sessions += [_session(one.post_to) for one in posts if one is not None]
            first = posts[0] if posts else None
            if first is None or not self.sessions[0]:
                return
            self._in_stream(first, ears)

    def _in_stream(self, first: Requests, ears: list[Ear]) -> None:
        ask, stranger = self.asker.ask, self.stranger
        greeting = stranger.greeting(first, MINE)
        ask(Q.SESSION, greeting)
        self.asker.settle(result=ears[0].hears(MINE, time.monotonic() + OPENING))
        for ear in ears[1:2]:
            self._overheard(ear)
        plain = stranger.greeting(first, f"{MINE}-plain")
        ask(Q.TEXT_PLAIN, changed(plain, Content_Type="text/plain", Origin=f"http://{SITE}"))
        heard = ears[0].hears(f"{MINE}-plain", time.monotonic() + LISTENING)
        self.asker.settle(result=heard)
        nobodys = _replaced(first.post_to)
        if nobodys:
            first.post_to = nobodys
            answer = ask(Q.UNKNOWN_SESSION, stranger.greeting(first, 3)).answer
            self.asker.settle(result=200 <= answer.status < 300)  # noqa: PLR2004

    def _posting(self, endpoint: str) -> Requests | None:
        """A client that posts there; ``None`` for another origin."""
        parts = split(endpoint)
        place = self.stranger.place
        if parts is None or parts.netloc not in {"", f"{place.host}:{place.port}"}:
            return None
        requests = self.stranger.requests()
        requests.post_to = parts.path + (f"?{parts.query}" if parts.query else "")
        return requests

    # --- both ---

    @contextmanager
    def _listening(self, streams: list[Request], *, endpoint: bool = False) -> Iterator[list[Ear]]:
        """Streams that are there, opened one after another. ``endpoint``: that is waited for."""
        until = min(self.asker.until, time.monotonic() + 4 * QUESTION)
        port = self.stranger.place.port
        ears: list[Ear] = []
        try:
            for one in streams:
                ears.append(Ear(self.asker.dial, port, one, until))
                if not ears[-1].wait(time.monotonic() + OPENING, endpoint=endpoint):
                    break
            yield ears
        finally:
            for ear in ears:
                ear.close()

    def _both(self, one: Request, other: Request) -> tuple[Asked, Asked]:
        beside = background.begin(
            "http-at-once", lambda: self.asker.ask(Q.SESSION, other, keep=False)
        )
        first = self.asker.ask(Q.SESSION, one, keep=False)
        return first, beside.result()

    def _overheard(self, ear: Ear) -> None:
        """Whether what names the first client's request came to the second one's stream."""
        ear.hears(MINE, min(self.asker.until, time.monotonic() + LISTENING))
        if any(MINE in json.dumps(one) for one in ear.heard):
            self._cross("What one client had asked for came over another client's event stream.")

    def _cross(self, what: str) -> None:
        if what not in self.crossed:
            self.crossed.append(what)


def _without_parameters(listed: Asked) -> str:
    """The first tool, by name, that takes nothing; empty when there is none."""
    result = listed.message.get("result")
    tools = result.get("tools") if isinstance(result, dict) else None
    names = []
    for one in tools[:MAX_TOOLS] if isinstance(tools, list) else ():
        schema = one.get("inputSchema") if isinstance(one, dict) else None
        if isinstance(schema, dict) and not schema.get("properties"):
            names.append(str(one.get("name", "")))
    return min(names, default="")


def _session(target: str) -> str:
    """What tells one endpoint from another's: the values of its query, or its path."""
    parts = split(target)
    if parts is None:
        return target
    return "&".join(value for _, value in parse_qsl(parts.query)[:8]) or parts.path


def _replaced(target: str) -> str:
    """The endpoint of a session that nobody has; empty where the query names none."""
    parts = split(target)
    pairs = parse_qsl(parts.query)[:8] if parts is not None else []
    if parts is None or not pairs:
        return ""
    return f"{parts.path}?{urlencode([(name, NOBODYS) for name, _ in pairs])}"
