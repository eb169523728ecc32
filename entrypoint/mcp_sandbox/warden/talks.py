"""What is said in one connection: read as far as the bounds go, written down, refused."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from mcp_sandbox.warden import dns, http, smtp, tls
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.loop import Task, Wait
from mcp_sandbox.warden.names import Names

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
DNS = 53

Steps = Generator[Wait, bool, bytes | None]


@dataclass(eq=False)
class Connection:
    """One connection; ``address`` and ``port`` are where the peer wanted to go."""

    sock: socket.socket
    address: str
    port: int
    host: str
    noted: bool = False
    """Something of it is written down."""
    at: float = field(default_factory=time.time)
    """When it was made, in Unix time."""
    ends: float = field(default_factory=lambda: time.monotonic() + TOTAL_SECONDS)

    def until(self, seconds: float) -> float:
        """A deadline that many seconds from now, or the connection's own if that is sooner."""
        return min(time.monotonic() + seconds, self.ends)


class Talks:
    """The kinds of conversation, as tasks. Each writes down what it saw, however it ends."""

    def __init__(self, recorder: Recorder, names: Names) -> None:
        self._recorder = recorder
        self._names = names

    def serve_http(self, connection: Connection) -> Task:
        """A request, or what turns out to be something else."""
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
            self._note_request(connection, request, raw)
            raise
        if request.state in {http.State.UNDECIDED, http.State.OTHER}:
            yield from self.serve_raw(connection, raw)
            return
        self._note_http(connection, request)
        yield from self.part(connection, http.REFUSAL)

    def _note_request(self, connection: Connection, request: http.Request, raw: bytearray) -> None:
        if request.state in {http.State.UNDECIDED, http.State.OTHER}:
            self.note_raw(connection, raw, len(raw))
        else:
            self._note_http(connection, request)

    def _note_http(self, connection: Connection, request: http.Request) -> None:
        connection.noted = True
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

    def serve_silent(self, connection: Connection) -> Task:
        """The client waits for the other side to speak first, or is a shell."""
        if connection.port in smtp.PORTS:
            yield from self.serve_mail(connection)
            return
        banner = _BANNERS.get(connection.port)
        if banner:
            _send(connection.sock, banner)
        yield from self.serve_raw(connection, bytearray(), nudge=not banner)

    def serve_raw(self, connection: Connection, raw: bytearray, *, nudge: bool = True) -> Task:
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
            self.note_raw(connection, raw, size)

    def note_raw(
        self, connection: Connection, raw: bytes | bytearray, size: int, note: str = ""
    ) -> None:
        """Write down what was said, as hex."""
        connection.noted = True
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

    def serve_mail(self, connection: Connection) -> Task:
        """A client that hands over mail."""
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
            self.note_raw(connection, kept, size)

    def serve_dns(self, connection: Connection) -> Task:
        """Questions, each after its length."""
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
                connection.noted = True
                record_questions(self._recorder, questions, connection.at, connection.address)
                _send(sock, len(reply).to_bytes(2, "big") + reply)
        finally:
            if buffer or not answered:
                self.note_raw(connection, buffer, len(buffer))

    def part(self, connection: Connection, farewell: bytes) -> Task:
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


def peek(sock: socket.socket, size: int) -> bytes:
    """What has arrived, left to be read."""
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


def drain(sock: socket.socket) -> None:
    """Take what was peeked at."""
    try:
        sock.recv(tls.MAX_HELLO)
    except OSError:
        return
