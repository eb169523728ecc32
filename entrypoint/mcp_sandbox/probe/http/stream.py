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
from collections import Counter
from urllib.parse import urlsplit

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
    Transport,
)
from mcp_sandbox.probe.http.events import Event, Events, TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Head, Headers, Request
from mcp_sandbox.probe.wire import MAX_LINE, MAX_SESSION, encode, sample

OURS = -32099
"""JSON-RPC code of an error that is ours, not the server's: its message says what HTTP brought."""

SESSION_ID = "mcp-session-id"
VERSION = "mcp-protocol-version"
JSON = "application/json"
EVENTS = "text/event-stream"
MAX_RESUMED = 3
"""How often an event stream that ended is asked for again."""
MAX_RETRY = 1.0
"""Seconds waited for that, whatever the peer asks for."""
PATIENCE = 2.0
"""Seconds that a request is left after the conversation has given it up."""
CLOSING = 2.0
TICK = 0.1
LINGERING = 0.25
"""Seconds for a stream to end after its answer, before its connection is given up."""
MAX_SENT = 1_000
"""Lines that wait to be sent."""
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


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
    ) -> None:
        """``agent``: the client's name and version, as ``User-Agent`` has them.

        ``beneath``: the streams of the container; what the server prints is drained, and its end
        is the end of the conversation.
        """
        self._place = place
        self._dial = dial
        self._era = era
        self._agent = agent
        self._timeout = call_timeout + PATIENCE
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._out = bytearray()
        self._lines: queue.Queue[bytes] = queue.Queue(MAX_SENT)
        self._replies: queue.Queue[bytes] = queue.Queue(MAX_SENT)
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._open: set[Exchange] = set()
        self._idle: Exchange | None = None
        self._asking: Exchange | None = None
        self._closed = False
        self._post_to = place.path
        self._endpoint = threading.Event()
        self._begun = False
        self._session = ""
        self._version = ""
        self._statuses: Counter[int] = Counter()
        self._opening: Headers = ()
        self._stream_status = 0
        self._breaches: dict[tuple[BreachKind, str], Breach] = {}
        self._bytes = 0
        self._printed = bytearray()
        self._resumed = 0
        self._last_event = ""
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
        if self._session and not self._closed:
            with contextlib.suppress(Broken, TimeoutError, ConnectionError):
                self._delete()
        self._give_up()

    def close(self) -> None:
        """Give everything up."""
        self._give_up()
        self._reader.close()
        self._writer.close()

    def _give_up(self) -> None:
        with self._guard:
            if self._closed:
                return
            self._closed = True
            exchanges, self._open = self._open, set()
        self._endpoint.set()
        for exchange in exchanges:
            exchange.close()
        self._lines.put(b"")
        self._replies.put(b"")
        self._drainer.join()  # what the server prints from now on is another's to read
        self._end()

    # --- what only HTTP shows ---

    @property
    def facts(self) -> HttpFacts:
        """What was seen of HTTP so far."""
        return HttpFacts(
            place=self._place,
            session=self._session,
            headers=self._opening,
            statuses={str(code): count for code, count in sorted(self._statuses.items())},
            stream_status=self._stream_status,
            resumed=self._resumed,
            printed=bytes(self._printed).decode("utf-8", "replace"),
        )

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """Breaches of HTTP, beside those of the conversation."""
        with self._guard:
            return tuple(self._breaches.values())

    def _breach(self, kind: BreachKind, detail: str, data: bytes = b"") -> None:
        with self._guard:
            known = self._breaches.get((kind, detail))
            count = 1 if known is None else known.count + 1
            if known is not None or len(self._breaches) < 100:  # noqa: PLR2004 - kinds of breach
                self._breaches[kind, detail] = Breach(kind, detail, sample(data), count)

    # --- lines out ---

    def _put(self, line: bytes) -> None:
        if not self._begun and self._place.transport is Transport.SSE:
            background.thread("http-events", self._hold_events).start()
        self._begun = True
        message = json.loads(line)
        asks = "method" in message and "id" in message
        if asks and self._asking is not None:
            # Whoever asks again has given the last request up.
            self._drop(self._asking)
        if "method" not in message and self._asking is not None:
            self._replies.put_nowait(line)
        else:
            self._lines.put_nowait(line)

    def _serve(self, lines: queue.Queue[bytes], *, first: bool) -> None:
        """Send lines until the empty one."""
        while (line := lines.get()) and not self._closed:
            message = json.loads(line)
            try:
                why = self._post(line, message, first=first)
            except (Broken, TooManyFields) as error:
                if self._closed:
                    return
                why = str(error)
                self._breach(BreachKind.HTTP_BROKEN, why)
            except TimeoutError:
                why = "no whole answer in time"
            if why and "id" in message and "method" in message and not self._closed:
                self._say(self._in_our_words(message["id"], why))

    @staticmethod
    def _in_our_words(id_: Json, why: str) -> bytes:
        error = {"code": OURS, "message": f"HTTP: {why}"[:500]}
        return encode({"jsonrpc": "2.0", "id": id_, "error": error})

    def _post(self, line: bytes, message: dict[str, Json], *, first: bool) -> str:
        """Send one line; why it brought no answer, empty when it did or needs none."""
        deadline = time.monotonic() + self._timeout
        if self._place.transport is Transport.SSE:
            self._endpoint.wait(self._timeout)
            if not self._endpoint.is_set() or self._closed:
                return "no endpoint event came"
            if not self._post_to:
                return "the endpoint is on another origin"
        exchange = self._exchange(deadline)
        request = Request("POST", self._post_to, self._headers(message), line)
        if first:
            self._asking = exchange
        try:
            head = exchange.ask(request, deadline)
            why = self._answered(exchange, head, message, deadline)
        except BaseException:
            self._drop(exchange)
            raise
        finally:
            if first:
                self._asking = None
        self._keep(exchange)
        if message.get("method") == "notifications/initialized" and self._streams:
            background.thread("http-events", self._hold_events).start()
        return why

    @property
    def _streams(self) -> bool:
        return self._place.transport is Transport.HTTP and self._era is Era.HANDSHAKE

    def _headers(self, message: dict[str, Json], *, accept: str = f"{JSON}, {EVENTS}") -> Headers:
        headers = [
            ("Host", f"{self._place.host}:{self._place.port}"),
            ("User-Agent", self._agent),
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
        ]
        if message:
            headers.append(("Content-Type", JSON))
        if self._session:
            headers.append(("Mcp-Session-Id", self._session))
        if self._era is Era.STATELESS and message:
            headers += self._mirrored(message)
        elif self._version:
            headers.append(("MCP-Protocol-Version", self._version))
        return tuple(headers)

    @staticmethod
    def _mirrored(message: dict[str, Json]) -> list[tuple[str, str]]:
        """What of a stateless request its headers repeat (2026-07-28, transports)."""
        # Imported where it is used: it takes longer than all the rest.
        from mcp.shared.inbound import encode_header_value  # noqa: PLC0415

        method, params = str(message.get("method", "")), message.get("params") or {}
        meta = params.get("_meta", {}) if isinstance(params, dict) else {}
        found = [("Mcp-Method", method)] if method else []
        if version := meta.get("io.modelcontextprotocol/protocolVersion"):
            found.append(("MCP-Protocol-Version", str(version)))
        if name := params.get(_NAMED.get(method, "")):
            found.append(("Mcp-Name", encode_header_value(str(name))))
        return found

    # --- answers ---

    def _answered(
        self, exchange: Exchange, head: Head, message: dict[str, Json], deadline: float
    ) -> str:
        self._statuses[head.status] += 1
        if message.get("method") in {"initialize", "server/discover"}:
            self._opening = self._opening or head.headers[:64]
            self._session = head.get(SESSION_ID)[:1024]
        if 300 <= head.status < 400:  # noqa: PLR2004
            to = head.get("location")[:200]
            self._breach(BreachKind.REDIRECTED, f"status {head.status} to {to}")
        if head.get("content-encoding") not in {"", "identity"}:
            encoding = head.get("content-encoding")[:40]
            self._breach(BreachKind.ENCODED_BODY, f"{encoding}, which was not asked for")
            raise Broken(f"a body in {encoding}, which was not asked for")
        if head.media_type == EVENTS and head.status < 300:  # noqa: PLR2004
            return self._events(exchange, message, deadline)
        body = self._body(exchange, deadline)
        wanted = "id" in message and "method" in message
        if self._place.transport is Transport.SSE and head.status < 300:  # noqa: PLR2004
            return ""  # the answer comes over the stream
        if head.media_type == JSON and body.strip():
            self._look(message, body)
            answered = wanted and _answers(body, message["id"])
            if answered:
                self._asking = None
            self._say(_one_line(body))
            return "" if answered else self._without(head, body)
        if head.status in {202, 204} and not wanted:
            return ""
        if body.strip() and head.status < 300:  # noqa: PLR2004
            self._breach(
                BreachKind.CONTENT_TYPE, f"an answer in {head.media_type or 'no type'}"[:100], body
            )
        return self._without(head, body)

    @staticmethod
    def _without(head: Head, body: bytes) -> str:
        said = " ".join(body[:200].decode("utf-8", "replace").split())
        return f"status {head.status}" + (f": {said}" if said else "")

    def _body(self, exchange: Exchange, deadline: float) -> bytes:
        body = bytearray()
        for piece in exchange.body(deadline):
            self._count(len(piece))
            body += piece
            if len(body) > MAX_LINE:
                self._breach(BreachKind.OVERSIZED_LINE, f"a body of more than {MAX_LINE} bytes")
                raise Broken(f"a body of more than {MAX_LINE} bytes")
        return bytes(body)

    def _events(self, exchange: Exchange, message: dict[str, Json], deadline: float) -> str:
        """The events that answer a request, up to the answer itself."""
        events, last = Events(), ""
        retry: int | None = None
        for piece in exchange.body(deadline):
            self._count(len(piece))
            for event in events.feed(piece):
                last, retry = event.id or last, event.retry if event.retry is not None else retry
                if self._event(event, message):
                    if not exchange.finish(time.monotonic() + LINGERING):
                        self._drop(exchange)
                    return ""
        if "id" not in message:
            return ""
        if last and self._streams:
            return self._resume(last, retry, message, deadline)
        return "the event stream ended without an answer"

    def _event(self, event: Event, message: dict[str, Json]) -> bool:
        """Pass an event on; whether it answers the message."""
        if event.skipped:
            self._breach(BreachKind.OVERSIZED_LINE, "an event of more bytes than are kept")
        if not event.data.strip():
            return False
        if event.kind != "message":
            self._breach(BreachKind.UNKNOWN_EVENT, f"event {event.kind[:100]!r}", event.data)
            return False
        self._look(message, event.data)
        answered = "id" in message and _answers(event.data, message["id"])
        if answered:
            self._asking = None  # before anybody reads it and asks again
        self._say(_one_line(event.data))
        return answered

    def _resume(
        self, last: str, retry: int | None, message: dict[str, Json], deadline: float
    ) -> str:
        """Ask for the rest of a stream that ended before its answer (2025-03-26 … 2025-11-25)."""
        for _ in range(MAX_RESUMED):
            time.sleep(min(MAX_RETRY, (retry or 0) / 1000))
            self._resumed += 1
            exchange = self._fresh(deadline)
            try:
                headers = (*self._headers({}, accept=EVENTS), ("Last-Event-ID", last))
                head = exchange.ask(Request("GET", self._post_to, headers), deadline)
                if head.status != 200 or head.media_type != EVENTS:  # noqa: PLR2004
                    return f"the event stream ended, and could not be resumed: status {head.status}"
                events = Events()
                for piece in exchange.body(deadline):
                    self._count(len(piece))
                    for event in events.feed(piece):
                        last = event.id or last
                        if self._event(event, message):
                            return ""
            finally:
                self._drop(exchange)
        return "the event stream ended without an answer"

    def _look(self, message: dict[str, Json], body: bytes) -> None:
        """Note the version that was agreed on: later requests name it."""
        if message.get("method") == "initialize" and not self._version:
            try:
                answer = json.loads(body)
                version = answer["result"]["protocolVersion"]
            except (ValueError, TypeError, KeyError, RecursionError):
                return
            if isinstance(version, str) and version.isprintable():
                self._version = version[:64]

    # --- the stream from the server ---

    def _hold_events(self) -> None:
        """The stream of what the server says unasked; in the older transport, of all it says."""
        older = self._place.transport is Transport.SSE
        path = self._place.path
        try:
            for _ in range(1 if older else 1 + MAX_RESUMED):
                retry = self._one_stream(path, older=older)
                if retry is None or self._closed:
                    return
                time.sleep(min(MAX_RETRY, retry / 1000))
                self._resumed += 1
        except (Broken, TooManyFields, TimeoutError) as error:
            if not self._closed:
                self._breach(BreachKind.HTTP_BROKEN, f"the event stream: {error}")
        finally:
            if older:
                self._endpoint.set()
                self._end()

    def _one_stream(self, path: str, *, older: bool) -> int | None:
        """Read it to its end; milliseconds until it may be asked for again, ``None`` for never."""
        deadline = time.monotonic() + self._timeout
        exchange = self._fresh(deadline)
        try:
            headers = self._headers({}, accept=EVENTS)
            if self._last_event:
                headers = (*headers, ("Last-Event-ID", self._last_event))
            head = exchange.ask(Request("GET", path, headers), deadline)
            self._statuses[head.status] += 1
            self._stream_status = self._stream_status or head.status
            self._opening = self._opening or (head.headers[:64] if older else ())
            if head.status != 200 or head.media_type != EVENTS:  # noqa: PLR2004
                return None
            events, retry = Events(), 0
            for piece in exchange.body(float("inf")):
                self._count(len(piece))
                for event in events.feed(piece):
                    self._last_event = event.id or self._last_event
                    retry = event.retry if event.retry is not None else retry
                    if older and event.kind == "endpoint":
                        self._take_endpoint(event.data)
                    else:
                        self._event(event, {"method": "initialize"} if older else {})
            return retry
        finally:
            self._drop(exchange)

    def _take_endpoint(self, data: bytes) -> None:
        """Where to post, which has to be on the same origin."""
        text = data[:2048].decode("utf-8", "replace").strip()
        parts = urlsplit(text)
        ours = f"{self._place.host}:{self._place.port}"
        if (parts.netloc and parts.netloc != ours) or not parts.path.startswith("/"):
            self._breach(BreachKind.FOREIGN_ENDPOINT, f"endpoint {text[:200]}", data)
            self._post_to = ""
        else:
            self._post_to = parts.path + (f"?{parts.query}" if parts.query else "")
        self._endpoint.set()

    # --- connections ---

    def _exchange(self, deadline: float) -> Exchange:
        """The kept connection, unless the peer has closed it since: no request is sent twice."""
        with self._guard:
            idle, self._idle = self._idle, None
        if idle is None:
            return self._fresh(deadline)
        if not idle.closed_by_peer:
            return idle
        self._drop(idle)
        return self._fresh(deadline)

    def _fresh(self, deadline: float) -> Exchange:
        try:
            made = Exchange(self._dial(self._place.port, deadline))
        except ConnectionError as error:
            raise Broken(f"no connection ({error})") from error
        with self._guard:
            if not self._closed:
                self._open.add(made)
                return made
        made.close()
        raise Broken("it is over")

    def _keep(self, exchange: Exchange) -> None:
        if exchange in self._open and exchange.reusable():
            with self._guard:
                if self._idle is None and exchange in self._open:
                    self._idle = exchange
                    return
        self._drop(exchange)

    def _drop(self, exchange: Exchange) -> None:
        with self._guard:
            self._open.discard(exchange)
            if self._idle is exchange:
                self._idle = None
        exchange.close()

    def _delete(self) -> None:
        """End the session as the protocol says (2025-03-26 and later)."""
        deadline = time.monotonic() + CLOSING
        exchange = self._fresh(deadline)
        try:
            headers = self._headers({})
            head = exchange.ask(Request("DELETE", self._post_to, headers), deadline)
            self._statuses[head.status] += 1
        finally:
            self._drop(exchange)

    # --- lines in ---

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_SESSION:
            self._breach(BreachKind.OVERSIZED_LINE, f"more than {MAX_SESSION} bytes of bodies")
            raise Broken("more bytes than one conversation may hold")

    def _say(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(OSError):
            self._writer.sendall(line if line.endswith(b"\n") else line + b"\n")

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.shutdown(socket.SHUT_WR)

    def _drain(self) -> None:
        """Keep the beginning of what the server prints; when it has ended, so has this."""
        beneath = self._beneath
        while beneath is not None and not self._closed:
            if not select.select([beneath.fileno()], [], [], TICK)[0]:
                continue
            data = beneath.recv()
            if data == b"":
                self._end()
                return
            self._printed += (data or b"")[: max(0, 65536 - len(self._printed))]


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
