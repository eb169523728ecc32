"""TCP: what a connection begins with is read, written down and politely refused."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

from mcp_sandbox.warden import dns, http, smtp, tls
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.loop import Loop, Task, Wait
from mcp_sandbox.warden.names import Names

MAX_OPEN = 256
MAX_CONNECTIONS = 5_000
MAX_RAW = 64 * 2**10
"""Bytes that are read of a protocol that is not known."""
FIRST = 4 * 2**10
"""Bytes of it that are written down."""
MAX_QUESTIONS = 64
"""DNS messages in one connection."""

SILENCE = 0.7
"""Seconds after which a client waits for us to speak first."""
RAW_SECONDS = 2.0
HTTP_IDLE = 4.0
TOTAL_SECONDS = 15.0
LINGER_SECONDS = 1.0
MAX_LINGER = 2 * 2**20

NUDGE = b"id\n"
"""A shell at the other end answers this."""
_BANNERS = {
    21: b"220 FTP server ready\r\n",
    22: b"SSH-2.0-OpenSSH_9.2\r\n",
    110: b"+OK ready\r\n",
    143: b"* OK IMAP4rev1 ready\r\n",
}
_READ = 16 * 2**10
_DNS = 53

Steps = Generator[Wait, bool, bytes | None]


@dataclass(eq=False)
class Connection:
    """One connection; ``address`` and ``port`` are where the peer wanted to go."""

    sock: socket.socket
    address: str
    port: int
    host: str
    at: float = field(default_factory=time.time)
    ends: float = field(default_factory=lambda: time.monotonic() + TOTAL_SECONDS)

    def until(self, seconds: float) -> float:
        """A deadline that many seconds from now, or the connection's own if that is sooner."""
        return min(time.monotonic() + seconds, self.ends)


class Handler(Protocol):
    """Takes connections over.

    ``serve`` may block: it has a thread of its own, and a blocking socket from which nothing was
    read yet. The caller closes the socket afterwards.
    """

    def wants(self, host: str, port: int) -> bool:
        """Whether a connection to there is to be handed over before anything is read."""

    def wants_tls(self) -> bool:
        """Whether a connection that begins with a client hello is to be handed over."""

    def serve(self, connection: Connection, hello: tls.Hello | None) -> None:
        """Hold the conversation and record it; ``hello`` when it was read that it begins so."""


class Streams:
    """Accepts what was redirected, within the bounds, and starts a task for each."""

    def __init__(
        self,
        loop: Loop,
        recorder: Recorder,
        names: Names,
        *,
        destination: Callable[[socket.socket], tuple[str, int]],
        handler: Handler | None = None,
        hand_over: Callable[[Callable[[], None]], bool] = lambda _: False,
    ) -> None:
        """``destination`` tells where an accepted connection was going to.

        ``hand_over`` runs a function in a thread, and returns false when there are too many.
        """
        self._loop = loop
        self._recorder = recorder
        self._names = names
        self._destination = destination
        self._handler = handler
        self._hand_over = hand_over
        self._accepted = 0

    def accept(self, listener: socket.socket) -> None:
        """Take what waits at ``listener`` (a few, so that others have their turn)."""
        for _ in range(32):
            try:
                sock, _peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # The client was gone before we came to it.
                self._recorder.full(f"a connection could not be accepted: {error.strerror}")
                return
            self._accepted += 1
            if self._accepted > MAX_CONNECTIONS or self._loop.tasks >= MAX_OPEN:
                bound = "at once" if self._accepted <= MAX_CONNECTIONS else "in all"
                most = MAX_OPEN if self._accepted <= MAX_CONNECTIONS else MAX_CONNECTIONS
                self._recorder.full(f"more than {most} connections {bound}")
                self._recorder.seen += 1
                sock.close()
                continue
            self._begin(listener, sock)

    def _begin(self, listener: socket.socket, sock: socket.socket) -> None:
        sock.setblocking(False)
        try:
            address, port = self._destination(sock)
        except OSError:
            address, port = listener.getsockname()[:2]
        if (address, port) == listener.getsockname()[:2]:
            self._recorder.record("tamper", time.time(), text="a connection to the sink's own port")
            sock.close()
            return
        connection = Connection(sock, address, port, self._names.name(address))
        self._loop.start(self._serve(connection))

    def _serve(self, connection: Connection) -> Task:
        handed = False
        try:
            handed = yield from self._converse(connection)
        except OSError as error:
            self._raw_event(connection, b"", 0, note=error.strerror or "error")
        finally:
            if not handed:
                connection.sock.close()

    def _converse(self, connection: Connection) -> Generator[Wait, bool, bool]:
        """One conversation; true when it was handed over."""
        if self._handler and self._handler.wants(connection.host, connection.port):
            return self._give(connection, None)
        if connection.port == _DNS:
            yield from self._dns(connection)
            return False
        if not (yield Wait(connection.sock, connection.until(SILENCE))):
            yield from self._silent(connection)
            return False
        first = _peek(connection.sock, 8)
        if tls.begins_like_tls(first):
            return (yield from self._tls(connection))
        yield from self._http(connection)
        return False

    def _give(self, connection: Connection, hello: tls.Hello | None) -> bool:
        handler, sock = self._handler, connection.sock

        def serve() -> None:
            with sock:
                if handler is not None:
                    handler.serve(connection, hello)

        sock.setblocking(True)
        if self._hand_over(serve):
            return True
        sock.setblocking(False)
        self._recorder.full("too many connections that are let out or decrypted at once")
        self._raw_event(connection, b"", 0, note="not handed over")
        return False

    # --- TLS

    def _tls(self, connection: Connection) -> Generator[Wait, bool, bool]:
        sock = connection.sock
        until = connection.until(RAW_SECONDS)
        hello: tls.Hello | None = None
        data = b""
        try:
            while hello is None:
                seen, data = len(data), _peek(sock, tls.MAX_HELLO + 1)
                hello = tls.hello(data)
                if hello is None:
                    if len(data) == seen and seen:
                        break  # The other side has closed.
                    # Readable again only when there is more than was peeked at.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(data) + 1)
                    if not (yield Wait(sock, until)):
                        break
        except tls.NotTls:
            pass
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if hello is None:
            yield from self._raw(connection, bytearray())
            return False
        self._recorder.record(
            "tls",
            connection.at,
            host=hello.name or connection.host,
            port=connection.port,
            address=connection.address,
            alpn=[one[:255] for one in hello.protocols],
            size=len(data),
        )
        if self._handler and self._handler.wants_tls():
            return self._give(connection, hello)
        _drain(sock)
        yield from self._part(connection, tls.REFUSAL)
        return False

    # --- HTTP

    def _http(self, connection: Connection) -> Task:
        request = http.Request()
        raw = bytearray()
        continued = False
        try:
            until = connection.until(RAW_SECONDS)
            while request.state not in {http.State.DONE, http.State.OTHER}:
                data = yield from _more(connection.sock, until)
                if not data:
                    break
                if request.state is http.State.UNDECIDED:
                    raw += data
                request.feed(data)
                if request.state is not http.State.UNDECIDED:
                    until = connection.until(HTTP_IDLE)
                if request.state is http.State.BODY and request.wants_continue and not continued:
                    continued = True
                    _send(connection.sock, http.CONTINUE)
        except GeneratorExit:
            self._http_or_raw_event(connection, request, raw)
            raise
        if request.state in {http.State.UNDECIDED, http.State.OTHER}:
            yield from self._raw(connection, raw)
            return
        self._http_event(connection, request)
        yield from self._part(connection, http.REFUSAL)

    def _http_or_raw_event(
        self, connection: Connection, request: http.Request, raw: bytearray
    ) -> None:
        if request.state in {http.State.UNDECIDED, http.State.OTHER}:
            self._raw_event(connection, raw, len(raw))
        else:
            self._http_event(connection, request)

    def _http_event(self, connection: Connection, request: http.Request) -> None:
        host, port = request.authority or (connection.host, connection.port)
        self._recorder.record(
            "http",
            connection.at,
            host=host,
            port=port,
            address=connection.address,
            tls=False,
            text=request.text,
            size=request.size,
        )

    # --- anything else

    def _silent(self, connection: Connection) -> Task:
        """The client waits for the other side to speak first, or is a shell."""
        if connection.port in smtp.PORTS:
            yield from self._mail(connection)
            return
        banner = _BANNERS.get(connection.port)
        if banner:
            _send(connection.sock, banner)
        yield from self._raw(connection, bytearray(), nudge=not banner)

    def _raw(self, connection: Connection, raw: bytearray, *, nudge: bool = True) -> Task:
        """Read on, and once the client is silent ask it who it is, as the master of a shell."""
        size = len(raw)
        until = connection.until(RAW_SECONDS)
        try:
            while size < MAX_RAW:
                data = yield from _more(connection.sock, until)
                if data is None and nudge:
                    nudge = False
                    _send(connection.sock, NUDGE)
                    until = connection.until(RAW_SECONDS)
                    continue
                if not data:
                    break
                size += len(data)
                raw += data[: max(0, FIRST - len(raw))]
        finally:
            self._raw_event(connection, raw, size)

    def _raw_event(
        self, connection: Connection, raw: bytes | bytearray, size: int, note: str = ""
    ) -> None:
        self._recorder.record(
            "tcp",
            connection.at,
            host=connection.host,
            port=connection.port,
            address=connection.address,
            first=raw[:FIRST].hex(),
            size=size,
            **({"note": note} if note else {}),
        )

    def _mail(self, connection: Connection) -> Task:
        talk = smtp.Talk()
        kept = bytearray()
        size = 0
        _send(connection.sock, smtp.GREETING)
        try:
            while size < MAX_RAW and not talk.over:
                data = yield from _more(connection.sock, connection.until(HTTP_IDLE))
                if not data:
                    break
                size += len(data)
                kept += data[: max(0, FIRST - len(kept))]
                _send(connection.sock, talk.feed(data))
        finally:
            self._raw_event(connection, kept, size)

    # --- DNS

    def _dns(self, connection: Connection) -> Task:
        sock = connection.sock
        buffer = bytearray()
        asked = 0
        answered = 0
        try:
            while asked < MAX_QUESTIONS:
                while len(buffer) < 2 + int.from_bytes(buffer[:2].ljust(2, b"\xff"), "big"):
                    data = yield from _more(sock, connection.until(RAW_SECONDS))
                    if not data:
                        return
                    buffer += data
                size = int.from_bytes(buffer[:2], "big")
                message = bytes(buffer[2 : 2 + size])
                try:
                    reply, questions = dns.answer(message, self._names)
                except dns.NotDns:
                    return
                del buffer[: 2 + size]
                asked += 1
                answered += len(questions)
                record_questions(self._recorder, questions, connection.at, connection.address)
                _send(sock, len(reply).to_bytes(2, "big") + reply)
        finally:
            if buffer or not answered:
                self._raw_event(connection, buffer, len(buffer))

    def _part(self, connection: Connection, farewell: bytes) -> Task:
        """Answer and close so that the answer arrives: an early close resets the connection."""
        sock = connection.sock
        if not _send(sock, farewell):
            return
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        until = connection.until(LINGER_SECONDS)
        taken = 0
        while taken < MAX_LINGER:
            data = yield from _more(sock, until)
            if not data:
                return
            taken += len(data)


def record_questions(
    recorder: Recorder, questions: tuple[dns.Asked, ...], at: float, address: str
) -> None:
    """Write down what was asked of the name server at ``address``."""
    for one in questions:
        recorder.record("dns", at, name=one.name, type=one.type, answer=one.answer, address=address)


def _peek(sock: socket.socket, size: int) -> bytes:
    try:
        return sock.recv(size, socket.MSG_PEEK)
    except OSError:
        return b""


def _more(sock: socket.socket, until: float) -> Steps:
    """What arrives next; ``b""`` at the end or on an error, ``None`` at the deadline."""
    while (yield Wait(sock, until)):
        try:
            return sock.recv(_READ)
        except BlockingIOError:
            continue
        except OSError:
            return b""
    return None


def _send(sock: socket.socket, data: bytes) -> bool:
    """Send a few bytes to a socket whose buffer takes them; false when the peer is gone."""
    try:
        sock.send(data)
    except OSError:
        return False
    return True


def _drain(sock: socket.socket) -> None:
    """Take what was peeked at."""
    try:
        sock.recv(tls.MAX_HELLO)
    except OSError:
        return
