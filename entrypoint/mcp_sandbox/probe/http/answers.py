"""Reads what answers a request: JSON, or a stream of events that may break off and be resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from mcp_sandbox.model import BreachKind, Era, Json, Place, Transport
from mcp_sandbox.probe.http.connections import Connections
from mcp_sandbox.probe.http.events import Event, Events
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Head
from mcp_sandbox.probe.http.requests import EVENTS, JSON, Requests
from mcp_sandbox.probe.http.seen import Seen
from mcp_sandbox.probe.wire import MAX_LINE

MAX_RESUMED = 3
"""How often an event stream that ended is asked for again."""
MAX_RETRY = 1.0
"""Seconds waited for that, whatever the peer asks for."""
LINGERING = 0.25
"""Seconds for a stream to end after its answer, before its connection is given up."""


class Answers:
    """Passes on what comes, one message a line, and says why where no answer came."""

    def __init__(
        self,
        place: Place,
        era: Era,
        *,
        connections: Connections,
        requests: Requests,
        seen: Seen,
        say: Callable[[bytes], None],
    ) -> None:
        self._place = place
        self._connections = connections
        self._requests = requests
        self._seen = seen
        self._say = say
        self.streams = place.transport is Transport.HTTP and era is Era.HANDSHAKE
        """Whether there is a stream beside the answers, and broken ones can be resumed."""

    def answered(
        self, exchange: Exchange, head: Head, message: dict[str, Json], deadline: float
    ) -> str:
        """Read the rest of an answer; why it is none, empty when it is or none was needed.

        Raises ``Broken``, ``TooManyFields``, ``TimeoutError``.
        """
        seen = self._seen
        seen.statuses[head.status] += 1
        if message.get("method") in {"initialize", "server/discover"}:
            seen.opened(head.headers)
            self._requests.opened(head)
        self._refuse_odd(head)
        if head.media_type == EVENTS and head.status < 300:  # noqa: PLR2004
            return self._events(exchange, message, deadline)
        body = self._body(exchange, deadline)
        wanted = "id" in message and "method" in message
        if self._place.transport is Transport.SSE and head.status < 300:  # noqa: PLR2004
            return ""  # the answer comes over the stream
        if head.media_type == JSON and body.strip():
            self._requests.look(message, body)
            answered = wanted and _answers(body, message["id"])
            if answered:
                self._connections.asking = None
            # The body of a refusal is JSON-RPC only where the server chose so; its words are kept.
            if answered or head.status < 400:  # noqa: PLR2004
                self._say(_one_line(body))
            return "" if answered else _without(head, body)
        if head.status in {202, 204} and not wanted:
            return ""
        if body.strip() and head.status < 300:  # noqa: PLR2004
            seen.breach(
                BreachKind.CONTENT_TYPE, f"an answer in {head.media_type or 'no type'}"[:100], body
            )
        return _without(head, body)

    def _refuse_odd(self, head: Head) -> None:
        """Note what no answer should do. Raises ``Broken`` for what is not read any further."""
        if 300 <= head.status < 400:  # noqa: PLR2004
            to = head.get("location")[:200]
            self._seen.breach(BreachKind.REDIRECTED, f"status {head.status} to {to}")
        if head.get("content-encoding") not in {"", "identity"}:
            encoding = head.get("content-encoding")[:40]
            self._seen.breach(BreachKind.ENCODED_BODY, f"{encoding}, which was not asked for")
            raise Broken(f"a body in {encoding}, which was not asked for")

    def event(self, event: Event, message: dict[str, Json]) -> bool:
        """Pass an event on; whether it answers the message."""
        if event.skipped:
            self._seen.breach(BreachKind.OVERSIZED_LINE, "an event of more bytes than are kept")
        if not event.data.strip():
            return False
        if event.kind != "message":
            self._seen.breach(BreachKind.UNKNOWN_EVENT, f"event {event.kind[:100]!r}", event.data)
            return False
        self._requests.look(message, event.data)
        answered = "id" in message and _answers(event.data, message["id"])
        if answered:
            self._connections.asking = None  # before anybody reads it and asks again
        self._say(_one_line(event.data))
        return answered

    def _body(self, exchange: Exchange, deadline: float) -> bytes:
        body = bytearray()
        for piece in exchange.body(deadline):
            self._seen.read(len(piece))
            body += piece
            if len(body) > MAX_LINE:
                raise self._seen.too_long()
        return bytes(body)

    def _events(self, exchange: Exchange, message: dict[str, Json], deadline: float) -> str:
        """The events that answer a request, up to the answer itself."""
        events, last = Events(), ""
        retry: int | None = None
        for piece in exchange.body(deadline):
            self._seen.read(len(piece))
            for event in events.feed(piece):
                last, retry = event.id or last, event.retry if event.retry is not None else retry
                if self.event(event, message):
                    if not exchange.finish(time.monotonic() + LINGERING):
                        self._connections.drop(exchange)
                    return ""
        if "id" not in message:
            return ""
        if last and self.streams:
            return self._resume(last, retry, message, deadline)
        return "the event stream ended without an answer"

    def _resume(
        self, last: str, retry: int | None, message: dict[str, Json], deadline: float
    ) -> str:
        """Ask for the rest of a stream that ended before its answer (2025-03-26 … 2025-11-25)."""
        for _ in range(MAX_RESUMED):
            time.sleep(min(MAX_RETRY, (retry or 0) / 1000))
            self._seen.resumed += 1
            exchange = self._connections.fresh(deadline)
            try:
                again = self._requests.stream(self._requests.post_to, last)
                head = exchange.ask(again, deadline)
                if head.status != 200 or head.media_type != EVENTS:  # noqa: PLR2004
                    return f"the event stream ended, and could not be resumed: status {head.status}"
                events = Events()
                for piece in exchange.body(deadline):
                    self._seen.read(len(piece))
                    for event in events.feed(piece):
                        last = event.id or last
                        if self.event(event, message):
                            return ""
            finally:
                self._connections.drop(exchange)
        return "the event stream ended without an answer"


def _without(head: Head, body: bytes) -> str:
    said = " ".join(body[:200].decode("utf-8", "replace").split())
    return f"status {head.status}" + (f": {said}" if said else "")


def _one_line(body: bytes) -> bytes:
    """JSON as one line: a newline is white space there, or it is no JSON."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def _answers(body: bytes, id_: Json) -> bool:
    """Whether a message (or one of a batch) is the answer to an id; by a look, not by trust."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return False
    messages = found if isinstance(found, list) else [found]
    return any(
        isinstance(one, dict) and "method" not in one and one.get("id") == id_ for one in messages
    )
