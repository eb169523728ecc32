"""Listens to one client's event stream in a thread, for what is not meant for it."""

from __future__ import annotations

import threading
import time

from mcp_sandbox import background
from mcp_sandbox.model import Dial, Json
from mcp_sandbox.probe.http.events import Events, TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Request
from mcp_sandbox.probe.http.reading import MAX_ENDPOINT, jsonrpc

MAX_HEARD = 256
"""Messages of one stream that are kept."""
MAX_BYTES = 2**20


class Ear:
    """An event stream that is held open."""

    def __init__(self, dial: Dial, port: int, request: Request, until: float) -> None:
        """Begin to listen, until ``until`` at the latest."""
        self._dial = dial
        self._port = port
        self._until = until
        self._closed = False
        self._exchange: Exchange | None = None
        self._changed = threading.Condition()
        self.open = False
        """The server gave a stream."""
        self.over = False
        self.endpoint = ""
        self.heard: list[dict[str, Json]] = []
        self._work = background.begin("http-ear", lambda: self._listen(request))

    def wait(self, until: float, *, endpoint: bool = False) -> bool:
        """Until the stream is there (and has named its endpoint); false when it is not."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.over or (self.endpoint if endpoint else self.open),
                max(0.0, until - time.monotonic()),
            )
            return bool(self.endpoint) if endpoint else self.open

    def hears(self, id_: int | str, until: float) -> bool:
        """Until a message with that id has come; whether one has."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(one.get("id") == id_ for one in self.heard),
                max(0.0, until - time.monotonic()),
            )

    def close(self) -> None:
        """Listen no more. Raises ``EngineFailed`` where listening did."""
        with self._changed:
            self._closed = True
            exchange = self._exchange
        if exchange is not None:
            exchange.close()
        self._work.result()

    def _listen(self, request: Request) -> None:
        try:
            exchange = Exchange(self._dial(self._port, self._until))
            with self._changed:
                self._exchange = exchange
                closed = self._closed
            if not closed:
                self._hear(exchange, request)
            exchange.close()
        except (Broken, TooManyFields, TimeoutError, ConnectionError):
            return  # It hears nothing any more.
        finally:
            with self._changed:
                self.over = True
                self._changed.notify_all()

    def _hear(self, exchange: Exchange, request: Request) -> None:
        head = exchange.ask(request, self._until)
        if head.status != 200 or head.media_type != "text/event-stream":  # noqa: PLR2004
            return
        with self._changed:
            self.open = True
            self._changed.notify_all()
        events, size = Events(), 0
        for piece in exchange.body(self._until):
            size += len(piece)
            for event in events.feed(piece):
                with self._changed:
                    if event.kind == "endpoint":
                        said = event.data[:MAX_ENDPOINT].decode("utf-8", "replace").strip()
                        self.endpoint = self.endpoint or said
                    elif len(self.heard) < MAX_HEARD and (found := jsonrpc(event.data)):
                        self.heard.append(found)
                    self._changed.notify_all()
            # A peer that never pauses is not stopped by a deadline of waiting.
            if size > MAX_BYTES or self._closed or time.monotonic() > self._until:
                return
