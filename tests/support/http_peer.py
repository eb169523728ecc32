"""Peers that speak MCP over HTTP on a loopback socket, well or badly, and our dialler to them.

A mode is a function that is given a connection and the request that came on it. ``good`` answers as
a server should; every other mode does one thing that none should, and the rest as ``good`` does.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Mode = Callable[["Talk"], None]
MODES: dict[str, Mode] = {}
SESSION = "f3b1c6f0e9d84a5c8d7e6f5a4b3c2d1e"
TOOL = {
    "name": "echo",
    "description": "Says it again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}
ENDLESS = 400_000
"""Writes after which an endless peer gives up, if nobody has stopped it before."""


def mode(function: Mode) -> Mode:
    """Register a mode under its name."""
    MODES[function.__name__.replace("_", "-")] = function
    return function


class Gone(Exception):
    """The client has closed."""


@dataclass
class Talk:
    """One request on one connection."""

    peer: Peer
    sock: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message that was posted."""
        return json.loads(self.body) if self.body else {}

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        named = {"Content-Length": str(len(body))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.raw(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1") + body)

    def json(self, value: Any, **headers: str) -> None:
        """A JSON answer."""
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def begin_events(self) -> None:
        """The head of an event stream without length."""
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")

    @property
    def result(self) -> dict[str, Any]:
        """What a server answers to the message."""
        asked = self.message
        if asked.get("method") == "initialize":
            found: dict[str, Any] = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "peer", "version": "1"},
            }
        elif asked.get("method") == "tools/list":
            found = {"tools": [TOOL]}
        else:
            said = asked.get("params", {}).get("arguments", {}).get("text", "")
            found = {"content": [{"type": "text", "text": str(said)}]}
        return {"jsonrpc": "2.0", "id": asked.get("id"), "result": found}

    @property
    def is_call(self) -> bool:
        """A tool is called."""
        return self.message.get("method") == "tools/call"


def good(talk: Talk) -> None:
    """As a server should."""
    if talk.method == "GET":
        talk.answer(405)
    elif talk.method == "DELETE":
        talk.answer(204)
    elif "id" not in talk.message or "method" not in talk.message:
        talk.answer(202)
    elif talk.message["method"] == "initialize":
        talk.json(talk.result, Mcp_Session_Id=SESSION)
    else:
        talk.json(talk.result)


MODES["good"] = good


@dataclass
class Peer:
    """Listens while it is entered."""

    serve: Mode
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path, headers (lower case) and body of every request, in order."""
    connections: int = 0

    def __enter__(self) -> Peer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or who accepts would wait for ever
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with contextlib.suppress(Gone, OSError), sock:
            for request in _requests(sock):
                self.asked.append(request)
                self.serve(Talk(self, sock, *request))
        self._open.discard(sock)


def _requests(sock: socket.socket) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            data = sock.recv(65536)
            if not data:
                return
            buffer += data
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        length = int(headers.get("content-length", 0))
        while len(buffer) < length:
            buffer += sock.recv(65536)
        body, buffer = buffer[:length], buffer[length:]
        words = first.split(" ")
        if len(words) != 3:
            return
        method, path, _ = words
        yield method, path, headers, body


class SocketConnection:
    """``model.Connection`` over an ordinary socket."""

    def __init__(self, port: int, deadline: float) -> None:
        self._sock = socket.create_connection(
            ("127.0.0.1", port), timeout=max(0.01, deadline - time.monotonic())
        )
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, deadline: float) -> None:
        self._until(deadline)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionResetError(str(error)) from error

    def recv(self, deadline: float) -> bytes:
        self._until(deadline)
        try:
            return self._sock.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionResetError(str(error)) from error

    @property
    def ended(self) -> bool:
        if not select.select([self._sock], [], [], 0)[0]:
            return False
        return not self._sock.recv(1, socket.MSG_PEEK)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _until(self, deadline: float) -> None:
        try:
            self._sock.settimeout(min(3600.0, max(0.001, deadline - time.monotonic())))
        except OSError as error:
            raise ConnectionResetError(str(error)) from error


# --- what no server should do ---------------------------------------------------------------------


def instead_of_calls(function: Mode) -> Mode:
    """The mode's own way is for calls; the rest is answered well."""

    def serve(talk: Talk) -> None:
        (function if talk.is_call else good)(talk)

    serve.__name__ = function.__name__
    return mode(serve)


def held(talk: Talk) -> None:
    """Until the client closes."""
    with contextlib.suppress(OSError):
        while talk.sock.recv(65536):
            pass
    raise Gone


@instead_of_calls
def never_answers(talk: Talk) -> None:
    held(talk)


@instead_of_calls
def one_byte_at_a_time(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(ENDLESS):
        talk.raw(b" ")
        time.sleep(0.02)


@instead_of_calls
def endless_headers(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(ENDLESS):
        talk.raw(b"X-%d: %s\r\n" % (number, b"y" * 200))


@instead_of_calls
def one_long_header(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(ENDLESS):
        talk.raw(b"y" * 4096)


@instead_of_calls
def endless_body(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    for _ in range(ENDLESS):
        talk.raw(b"1," * 32768)


@instead_of_calls
def endless_events(talk: Talk) -> None:
    talk.begin_events()
    for number in range(ENDLESS):
        talk.raw(
            b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"n":%d}}\n\n'
            % number
        )


@instead_of_calls
def endless_comments(talk: Talk) -> None:
    talk.begin_events()
    for _ in range(ENDLESS):
        talk.raw(b": " + b"c" * 65536 + b"\n")


@instead_of_calls
def endless_data_lines(talk: Talk) -> None:
    talk.begin_events()
    for _ in range(ENDLESS):
        talk.raw(b"data:\n" * 8192)


@instead_of_calls
def one_long_event(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b"data: ")
    for _ in range(ENDLESS):
        talk.raw(b"x" * 65536)


@instead_of_calls
def inflates(talk: Talk) -> None:
    talk.answer(
        body=gzip.compress(b" " * 2**24),
        Content_Type="application/json",
        Content_Encoding="gzip",
    )


@instead_of_calls
def chunked_nonsense(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")


@instead_of_calls
def too_short(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{}")
    raise Gone


@instead_of_calls
def two_lengths(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")


@instead_of_calls
def negative_length(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")


@instead_of_calls
def redirects_to_metadata(talk: Talk) -> None:
    talk.answer(307, Location="http://169.254.169.254/latest/meta-data/")


@instead_of_calls
def redirects_to_itself(talk: Talk) -> None:
    talk.answer(308, Location=talk.path)


@instead_of_calls
def two_answers(talk: Talk) -> None:
    body = json.dumps(talk.result).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    talk.raw((head % len(body) + body) * 2)


@instead_of_calls
def another_id(talk: Talk) -> None:
    talk.json(talk.result | {"id": 4711})


@instead_of_calls
def another_session(talk: Talk) -> None:
    talk.json(talk.result, Mcp_Session_Id="somebody-elses")


@instead_of_calls
def looping_ids(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b"id: again\nretry: 0\ndata:\n\n")
    raise Gone


@mode
def resumes_for_ever(talk: Talk) -> None:
    if talk.is_call or (talk.method == "GET" and "last-event-id" in talk.headers):
        looping = talk.begin_events
        looping()
        talk.raw(b"id: again\nretry: 0\ndata:\n\n")
        raise Gone
    good(talk)


@instead_of_calls
def closes_at_once(talk: Talk) -> None:
    raise Gone


@instead_of_calls
def closes_in_the_status(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 20")
    raise Gone


@instead_of_calls
def closes_in_the_headers(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Ty")
    raise Gone


@instead_of_calls
def closes_in_the_body(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{")
    raise Gone


@instead_of_calls
def closes_in_an_event(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b'data: {"jsonrpc"')
    raise Gone


@instead_of_calls
def resets(talk: Talk) -> None:
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Gone


@instead_of_calls
def old_version(talk: Talk) -> None:
    talk.raw(
        b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
        + json.dumps(talk.result).encode()
    )
    raise Gone


@instead_of_calls
def no_http_at_all(talk: Talk) -> None:
    talk.raw(b"220 mail.example ESMTP\r\n")
    held(talk)


@instead_of_calls
def continues_for_ever(talk: Talk) -> None:
    for _ in range(ENDLESS):
        talk.raw(b"HTTP/1.1 100 Continue\r\n\r\n")


@instead_of_calls
def cookies(talk: Talk) -> None:
    talk.json(talk.result, Set_Cookie="tracking=1; Path=/")


@instead_of_calls
def upgrades(talk: Talk) -> None:
    talk.raw(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    )
    held(talk)


@instead_of_calls
def tls_on_a_plain_port(talk: Talk) -> None:
    talk.raw(b"\x15\x03\x01\x00\x02\x02\x46")
    held(talk)


@instead_of_calls
def invalid_utf8_in_events(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b"data: \xff\xfe\x00\n\ndata: " + json.dumps(talk.result).encode() + b"\n\n")
    raise Gone


@instead_of_calls
def unknown_events(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b"event: surprise\ndata: {}\n\ndata: " + json.dumps(talk.result).encode() + b"\n\n")
    raise Gone


@instead_of_calls
def another_type(talk: Talk) -> None:
    talk.answer(body=json.dumps(talk.result).encode(), Content_Type="text/html")


@instead_of_calls
def forgets_the_session(talk: Talk) -> None:
    talk.answer(404, b"Session not found")


@instead_of_calls
def says_no(talk: Talk) -> None:
    talk.answer(401, WWW_Authenticate='Bearer resource_metadata="http://192.0.2.1/x"')


@instead_of_calls
def breaks_inside(talk: Talk) -> None:
    talk.answer(500, b"Traceback (most recent call last):\n")


@instead_of_calls
def pretty_printed(talk: Talk) -> None:
    talk.answer(
        body=json.dumps(talk.result, indent=2).replace("\n", "\r\n").encode(),
        Content_Type="application/json; charset=utf-8",
    )


@instead_of_calls
def answers_nothing(talk: Talk) -> None:
    talk.answer(202)


@mode
def endpoint_elsewhere(talk: Talk) -> None:
    """Of the older transport."""
    if talk.method == "GET":
        talk.begin_events()
        talk.raw(b"event: endpoint\ndata: http://192.0.2.1:81/steal\n\n")
        held(talk)
    good(talk)
