"""A ``ByteStream`` over HTTP: lines that are written go out as requests, answers come in as lines.

The conversation above knows nothing of it. A request that carries an id always brings something
back: where the peer gives no answer to it, an error in our own words does (``OURS``), so that the
call is over and says why. Everything that HTTP alone shows is kept in ``facts`` and ``breaches``.

Threads: one sends lines in their order; a second one sends what must not wait for an answer that is
outstanding (replies to the peer's own requests); one holds the event stream. All are daemons, and
``close`` ends their connections.
"""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import threading
import time

from mcp_sandbox import background
from mcp_sandbox.model import (
    Breach,
    BreachKind,
    ByteStream,
    Dial,
    Era,
    HttpFacts,
    Json,
    Place,
)
from mcp_sandbox.probe.http.answers import Answers
from mcp_sandbox.probe.http.connections import Connections
from mcp_sandbox.probe.http.events import TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Headers
from mcp_sandbox.probe.http.requests import Requests
from mcp_sandbox.probe.http.seen import Seen
from mcp_sandbox.probe.http.unasked import Unasked
from mcp_sandbox.probe.wire import encode

OURS = -32099
"""JSON-RPC code of an error that is ours, not the server's: its message says what HTTP brought."""

PATIENCE = 2.0
"""Seconds that a request is left after the conversation has given it up."""
NOTICE = 5.0
"""Seconds for a line that needs no answer to be taken; the next one waits for it."""
CLOSING = 2.0
TICK = 0.1
MAX_SENT = 1_000
"""Lines that wait to be sent."""


class HttpStream:
    """One conversation with a place. Owns all its connections; not the container's stream."""

    def __init__(
        self,
        place: Place,
        dial: Dial,
        *,
        era: Era,
        agent: str,
        call_timeout: float,
        beneath: ByteStream | None = None,
        headers: Headers = (),
    ) -> None:
        """``agent``: the client's name and version, as ``User-Agent`` has them.

        ``headers``: the user's own, sent with every request.

        ``beneath``: the streams of the container; what the server prints is drained, and its end
        is the end of the conversation.
        """
        self._timeout = call_timeout + PATIENCE
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writing = threading.Lock()
        self._out = bytearray()
        self._begun = False
        self._lines: queue.Queue[bytes] = queue.Queue(MAX_SENT)
        self._replies: queue.Queue[bytes] = queue.Queue(MAX_SENT)
        self._seen = Seen(place)
        self._connections = Connections(place.port, dial)
        self._requests = Requests(place, era, agent, headers)
        self._answers = Answers(
            place,
            era,
            connections=self._connections,
            requests=self._requests,
            seen=self._seen,
            say=self._say,
        )
        self._unasked = Unasked(
            place,
            connections=self._connections,
            requests=self._requests,
            seen=self._seen,
            answers=self._answers,
            timeout=self._timeout,
        )
        for name, work in (
            ("http-lines", lambda: self._serve(self._lines, first=True)),
            ("http-replies", lambda: self._serve(self._replies, first=False)),
        ):
            background.thread(name, work).start()
        self._drainer = background.thread("http-printed", self._drain)
        self._beneath = beneath
        self._drainer.start()

    # --- ByteStream ---

    def fileno(self) -> int:
        """Readable when a line may have come."""
        return self._reader.fileno()

    def write_fileno(self) -> int:
        """Always writable: lines wait here until they can be sent."""
        return self._reader.fileno()

    def recv(self) -> bytes | None:
        """Lines that have come, ``None`` when there are none yet, ``b""`` at the end."""
        try:
            return self._reader.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def send(self, data: memoryview) -> int:
        """Take all of ``data``. Raises ``BrokenPipeError`` when too much waits to be sent."""
        self._out += data
        *lines, rest = bytes(self._out).split(b"\n")
        self._out = bytearray(rest)
        for line in lines:
            try:
                self._put(line)
            except queue.Full:
                raise BrokenPipeError("the server takes no more requests") from None
        return len(data)

    def close_write(self) -> None:
        """Say that the session is over, and close every connection; what has come can be read."""
        if self._requests.session and not self._connections.closed:
            with contextlib.suppress(Broken, TimeoutError, ConnectionError):
                self._delete()
        self._give_up()

    def close(self) -> None:
        """Give everything up."""
        self._give_up()
        self._reader.close()
        self._writer.close()

    def _give_up(self) -> None:
        exchanges = self._connections.over()
        if exchanges is None:
            return
        self._unasked.endpoint.set()
        for exchange in exchanges:
            exchange.close()
        for lines in (self._lines, self._replies):
            with contextlib.suppress(queue.Full):  # who takes the next one sees that it is over
                lines.put_nowait(b"")
        self._drainer.join()  # what the server prints from now on is another's to read
        self._end()

    # --- what only HTTP shows ---

    @property
    def facts(self) -> HttpFacts:
        """What was seen of HTTP so far."""
        return self._seen.facts(self._requests.session)

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """Breaches of HTTP, beside those of the conversation."""
        return self._seen.breaches

    # --- lines out ---

    def _put(self, line: bytes) -> None:
        if not self._begun and self._unasked.older:
            background.thread("http-events", self._hold).start()
        self._begun = True
        message = json.loads(line)
        asks = "method" in message and "id" in message
        asking = self._connections.asking
        if asks and asking is not None:
            # Whoever asks again has given the last request up.
            self._connections.drop(asking)
        if "method" not in message and asking is not None:
            self._replies.put_nowait(line)
        else:
            self._lines.put_nowait(line)

    def _serve(self, lines: queue.Queue[bytes], *, first: bool) -> None:
        """Send lines until the empty one."""
        while (line := lines.get()) and not self._connections.closed:
            message = json.loads(line)
            try:
                why = self._post(line, message, first=first)
            except (Broken, TooManyFields) as error:
                if self._connections.closed:
                    return
                why = str(error)
                self._seen.breach(BreachKind.HTTP_BROKEN, why)
            except TimeoutError:
                why = "no whole answer in time"
            asks = "id" in message and "method" in message
            if why and asks and not self._connections.closed:
                self._say(_in_our_words(message["id"], why))

    def _post(self, line: bytes, message: dict[str, Json], *, first: bool) -> str:
        """Send one line; why it brought no answer, empty when it did or needs none."""
        asks = "id" in message and "method" in message
        deadline = time.monotonic() + (self._timeout if asks else min(self._timeout, NOTICE))
        if self._unasked.older:
            self._unasked.endpoint.wait(self._timeout)
            if not self._unasked.endpoint.is_set() or self._connections.closed:
                return "no endpoint event came"
            if not self._requests.post_to:
                return "the endpoint is on another origin"
        exchange = self._connections.take(deadline)
        if first and asks:  # what asks nothing is not given up when the next line asks
            self._connections.asking = exchange
        try:
            head = exchange.ask(self._requests.post(line, message), deadline)
            why = self._answers.answered(exchange, head, message, deadline)
        except BaseException as error:
            given_up = isinstance(error, Broken) and not self._connections.holds(exchange)
            self._connections.drop(exchange)
            if given_up:
                return "given up"  # by whoever asked again: the server did not break it
            raise
        finally:
            if first:
                self._connections.asking = None
        self._connections.keep(exchange)
        if message.get("method") == "notifications/initialized" and self._answers.streams:
            background.thread("http-events", self._hold).start()
        return why

    def _delete(self) -> None:
        """End the session as the protocol says (2025-03-26 and later)."""
        deadline = time.monotonic() + CLOSING
        exchange = self._connections.fresh(deadline)
        try:
            head = exchange.ask(self._requests.delete(), deadline)
            self._seen.statuses[head.status] += 1
        finally:
            self._connections.drop(exchange)

    # --- lines in ---

    def _hold(self) -> None:
        """The stream from the server; where it carries all, its end is that of everything."""
        try:
            self._unasked.hold()
        finally:
            if self._unasked.older:
                self._end()

    def _say(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(OSError):
            self._writer.sendall(line if line.endswith(b"\n") else line + b"\n")

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.shutdown(socket.SHUT_WR)

    def _drain(self) -> None:
        """Keep the beginning of what the server prints; when it has ended, so has this."""
        beneath = self._beneath
        while beneath is not None and not self._connections.closed:
            if not select.select([beneath.fileno()], [], [], TICK)[0]:
                continue
            data = beneath.recv()
            if data == b"":
                self._end()
                return
            self._seen.printed(data or b"")


def _in_our_words(id_: Json, why: str) -> bytes:
    error = {"code": OURS, "message": f"HTTP: {why}"[:500]}
    return encode({"jsonrpc": "2.0", "id": id_, "error": error})
