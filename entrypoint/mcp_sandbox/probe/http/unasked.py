"""Holds the stream of what a server says unasked; in the older transport, of all that it says."""

from __future__ import annotations

import threading
import time

from mcp_sandbox.model import BreachKind, Place, Transport
from mcp_sandbox.probe.http.answers import MAX_RESUMED, MAX_RETRY, Answers
from mcp_sandbox.probe.http.connections import Connections
from mcp_sandbox.probe.http.events import Events, TooManyFields
from mcp_sandbox.probe.http.exchange import Broken
from mcp_sandbox.probe.http.requests import EVENTS, Requests
from mcp_sandbox.probe.http.seen import Seen
from mcp_sandbox.probe.http.urls import split


class Unasked:
    """One event stream beside the answers, asked for again when it ends."""

    def __init__(
        self,
        place: Place,
        *,
        connections: Connections,
        requests: Requests,
        seen: Seen,
        answers: Answers,
        timeout: float,
    ) -> None:
        """``timeout``: seconds for the head of the answer; the stream itself has no end."""
        self._place = place
        self._connections = connections
        self._requests = requests
        self._seen = seen
        self._answers = answers
        self._timeout = timeout
        self._last_event = ""
        self.older = place.transport is Transport.SSE
        self.endpoint = threading.Event()
        """Set once the older transport's endpoint is known, or will not come any more."""

    def hold(self) -> None:
        """Read it to its end; that of the older transport says where to post."""
        try:
            for _ in range(1 if self.older else 1 + MAX_RESUMED):
                retry = self._once()
                if retry is None or self._connections.closed:
                    return
                time.sleep(min(MAX_RETRY, retry / 1000))
                self._seen.resumed += 1
        except (Broken, TooManyFields, TimeoutError) as error:
            if not self._connections.closed:
                self._seen.breach(BreachKind.HTTP_BROKEN, f"the event stream: {error}")
        finally:
            if self.older:
                self.endpoint.set()

    def _once(self) -> int | None:
        """Read it to its end; milliseconds until it may be asked for again, ``None`` for never."""
        seen = self._seen
        deadline = time.monotonic() + self._timeout
        exchange = self._connections.fresh(deadline)
        try:
            request = self._requests.stream(self._place.path, self._last_event)
            head = exchange.ask(request, deadline)
            seen.statuses[head.status] += 1
            seen.stream_status = seen.stream_status or head.status
            if self.older:
                seen.opened(head.headers)
            if head.status != 200 or head.media_type != EVENTS:  # noqa: PLR2004
                return None
            events, retry = Events(), 0
            for piece in exchange.body(float("inf")):
                seen.read(len(piece))
                for event in events.feed(piece):
                    self._last_event = event.id or self._last_event
                    retry = event.retry if event.retry is not None else retry
                    if self.older and event.kind == "endpoint":
                        self._take_endpoint(event.data)
                    else:
                        self._answers.event(event, {"method": "initialize"} if self.older else {})
            return retry
        finally:
            self._connections.drop(exchange)

    def _take_endpoint(self, data: bytes) -> None:
        """Where to post, which has to be on the same origin."""
        text = data[:2048].decode("utf-8", "replace").strip()
        parts = split(text)
        ours = f"{self._place.host}:{self._place.port}"
        if (
            parts is None
            or (parts.netloc and parts.netloc != ours)
            or not parts.path.startswith("/")
        ):
            self._seen.breach(BreachKind.FOREIGN_ENDPOINT, f"endpoint {text[:200]}", data)
            self._requests.post_to = ""
        else:
            self._requests.post_to = parts.path + (f"?{parts.query}" if parts.query else "")
        self.endpoint.set()
