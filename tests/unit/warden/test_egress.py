"""The way out: its list, its bounds, and what is written down, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.endpoints import Endpoint
from mcp_sandbox.warden.authority import Authority
from mcp_sandbox.warden.egress.gateway import Gateway
from mcp_sandbox.warden.egress.outlet import Outlet
from mcp_sandbox.warden.egress.requests import MAX_RAW, MAX_RECORD, Requests
from mcp_sandbox.warden.egress.splice import MAX_LINE, Bounds
from mcp_sandbox.warden.handler import Handler, Threads
from mcp_sandbox.warden.talks import Connection

HERE = "127.0.0.1"
PATIENCE = 30.0
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


# --- parts ----------------------------------------------------------------------------------------


class Host:
    """An endpoint: answers each request that ends, notes all it gets; TLS where it is given one."""

    def __init__(self, context: ssl.SSLContext | None = None, *, greeting: bytes = b"") -> None:
        self.got = bytearray()
        self.accepted = 0
        self._context = context
        self._greeting = greeting
        self._listener = socket.create_server((HERE, 0))
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = Endpoint(HERE, self.port)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    if self.port == connection.getpeername()[1]:
                        return
                    connection.settimeout(PATIENCE)
                    self.accepted += 1
                    try:
                        if not self._talk(connection):
                            return
                    except OSError:
                        continue

    def _talk(self, connection: socket.socket) -> bool:
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        connection.sendall(self._greeting)
        taken = b""
        while data := connection.recv(65536):
            if data == b"stop the host":
                return False
            self.got += data
            taken += data
            while b"\r\n\r\n" in taken:
                taken = taken.partition(b"\r\n\r\n")[2]
                connection.sendall(REPLY)
        connection.close()
        return True

    def close(self) -> None:
        self._context, self._greeting = None, b""
        with socket.create_connection((HERE, self.port)) as last:
            last.sendall(b"stop the host")
            self._thread.join(PATIENCE)


class Running:
    """A gateway on a loop of its own, in a thread."""

    def __init__(self, path: Path, allowed: list[Endpoint], bounds: Bounds) -> None:
        self.path = path
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(allowed, bounds))
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def _run(self, allowed: list[Endpoint], bounds: Bounds) -> None:
        async def serve() -> None:
            async with Gateway(self.path, allowed, bounds):
                self._ready.set()
                await self._done.wait()

        self._loop.run_until_complete(serve())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(PATIENCE)

    def ask(self, line: bytes) -> tuple[dict[str, Any], socket.socket]:
        """The answer to an opening line, and the connection."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.path))
        connection.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            data = connection.recv(1)
            assert data, answer
            answer += data
        return json.loads(answer), connection

    def open(self, endpoint: Endpoint) -> tuple[dict[str, Any], socket.socket]:
        return self.ask(json.dumps({"host": endpoint.host, "port": endpoint.port}).encode() + b"\n")


@dataclass
class Record:
    """In place of the warden's recorder."""

    events: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)

    def record(self, kind: str, at: float, /, **fields: object) -> None:
        self.events.append({"event": kind, "at": at, **fields})

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    def full(self, text: str) -> None:
        self.bounds.append(text)


@dataclass
class World:
    """Everything of one test, closed at its end."""

    folder: Path
    stack: ExitStack
    record: Record = field(default_factory=Record)

    def host(self, context: ssl.SSLContext | None = None, *, greeting: bytes = b"") -> Host:
        made = Host(context, greeting=greeting)
        self.stack.callback(made.close)
        return made

    def gateway(self, *allowed: Endpoint, **bounds: Any) -> Running:
        made = Running(self.folder / "socket", list(allowed), Bounds(**bounds))
        self.stack.callback(made.close)
        return made

    def authority(self) -> Authority:
        made = Authority(self.folder)
        self.stack.callback(made.close)
        return made

    def outlet(self, *allowed: Endpoint, trusted: ssl.SSLContext | None = None, **bounds: Any):
        return Outlet(
            self.folder / "socket", allowed, self.record, bounds=Bounds(**bounds), trusted=trusted
        )

    def served(self, handler: Handler, host: str, port: int) -> Client:
        """A client whose connection, wanted for ``host:port``, was handed to the handler."""
        ours, theirs = _pair()
        connection = Connection(ours, "203.0.113.1", port, host)
        client = Client(theirs)
        client.thread = threading.Thread(target=self._serve, args=(handler, connection))
        client.thread.start()
        self.stack.callback(client.close)
        return client

    @staticmethod
    def _serve(handler: Handler, connection: Connection) -> None:
        with connection.sock:
            handler.serve(connection, None)


@dataclass
class Client:
    sock: socket.socket
    thread: threading.Thread | None = None

    def ask(self, request: bytes, reply: bytes = REPLY) -> None:
        self.sock.sendall(request)
        got = b""
        while len(got) < len(reply):
            data = self.sock.recv(65536)
            assert data, got
            got += data
        assert got == reply

    def close(self) -> None:
        self.sock.close()
        assert self.thread
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection."""
    with socket.create_server((HERE, 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), PATIENCE)
        ours, _ = listener.accept()
    return ours, theirs


def ended(sock: socket.socket) -> bool:
    """Whether nothing more comes, however the other end put it."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def get(path: str = "/", **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


# --- the gateway ----------------------------------------------------------------------------------


def test_it_leads_to_what_is_allowed_both_ways(world: World):
    host = world.host()
    answer, connection = world.gateway(host.endpoint).open(host.endpoint)
    assert answer == {"ok": True, "address": HERE}
    client = Client(connection)
    client.ask(get("/a"))
    client.ask(get("/b"))
    connection.close()


def test_it_leads_nowhere_else(world: World):
    allowed, other = world.host(), world.host()
    gateway = world.gateway(allowed.endpoint)
    for endpoint in (other.endpoint, Endpoint("localhost", allowed.port), Endpoint(HERE, 1)):
        answer, connection = gateway.open(endpoint)
        assert answer == {"ok": False, "error": f"{endpoint} is not allowed"}
        assert connection.recv(1) == b""
        connection.close()
    assert other.accepted == 0


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"host": 1, "port": 1}\n',
        b'{"host": "a.example"}\n',
        b'{"host": "a.example", "port": "1"}\n',
        b'{"host": "a.example", "port": true}\n',
        b'{"host": "a.example", "port": 1.0}\n',
        b'{"host": "a b", "port": 1}\n',
        b'{"host": "\xff", "port": 1}\n',
        b"[" * 1000 + b"\n",
        b"x" * (MAX_LINE * 3) + b"\n",
    ],
)
def test_what_is_no_question_is_refused(world: World, line: bytes):
    answer, connection = world.gateway(Endpoint("a.example", 1)).ask(line)
    assert answer["ok"] is False
    assert answer["error"].startswith("expected")
    connection.close()


def test_a_name_is_compared_as_it_is_written_in_the_list(world: World):
    host = world.host()
    gateway = world.gateway(host.endpoint)
    answer, connection = gateway.open(Endpoint(f"::ffff:{HERE}", host.port))
    assert answer["ok"] is True
    connection.close()


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (["127.0.0.1"], "where no name may lead"),
        (["169.254.169.254", "::1"], "leads to 169.254.169.254"),
        ([], "has no address"),
    ],
)
def test_a_name_does_not_lead_to_the_gateway_itself(
    world: World, monkeypatch: pytest.MonkeyPatch, found: list[str], error: str
):
    def resolved(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        assert host == "api.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    answer, connection = world.gateway(Endpoint("api.example", 80)).open(
        Endpoint("api.example", 80)
    )
    assert answer["ok"] is False
    assert error in answer["error"]
    connection.close()


def test_what_does_not_answer_is_said(world: World):
    with socket.create_server((HERE, 0)) as listener:
        closed = Endpoint(HERE, listener.getsockname()[1])
    answer, connection = world.gateway(closed).open(closed)
    assert answer["ok"] is False
    assert "cannot be reached" in answer["error"]
    connection.close()


def test_a_question_that_never_comes_is_not_waited_for(world: World):
    gateway = world.gateway(Endpoint(HERE, 1), opening=0.05)
    answer, connection = gateway.ask(b'{"host":')
    assert answer == {"ok": False, "error": "it took too long"}
    connection.close()


def test_connections_are_bounded(world: World):
    host = world.host()
    gateway = world.gateway(host.endpoint, connections=1)
    first, held = gateway.open(host.endpoint)
    answer, refused = gateway.open(host.endpoint)
    assert first["ok"] is True
    assert answer == {"ok": False, "error": "1 connections are open"}
    refused.close()
    held.close()


def test_bytes_are_bounded_over_all_connections(world: World):
    host = world.host()
    gateway = world.gateway(host.endpoint, total=100)
    _, connection = gateway.open(host.endpoint)
    connection.sendall(b"x" * 101)
    assert connection.recv(1) == b""
    connection.close()
    answer, connection = gateway.open(host.endpoint)
    assert answer == {"ok": False, "error": "all 100 bytes are used up"}
    connection.close()
    assert len(host.got) == 0


def test_a_silent_connection_is_cut(world: World):
    host = world.host()
    _, connection = world.gateway(host.endpoint, idle=1.0).open(host.endpoint)
    Client(connection).ask(get())
    assert connection.recv(1) == b""
    connection.close()


def test_a_half_closed_connection_still_gets_its_answer(world: World):
    host = world.host()
    _, connection = world.gateway(host.endpoint).open(host.endpoint)
    connection.sendall(get())
    connection.shutdown(socket.SHUT_WR)
    got = b""
    while data := connection.recv(100):
        got += data
    assert got == REPLY
    connection.close()


def test_the_socket_is_its_users_alone(world: World):
    gateway = world.gateway(Endpoint(HERE, 1))
    assert gateway.path.stat().st_mode & 0o777 == 0o600


# --- the outlet, as the sink uses it --------------------------------------------------------------


def test_each_request_of_a_connection_is_written_down(world: World):
    host = world.host()
    world.gateway(host.endpoint)
    handler = Handler(world.record, world.outlet(host.endpoint))
    assert handler.wants(HERE, host.port)
    client = world.served(handler, HERE, host.port)
    requests = [
        get("/one", host="a.example"),
        b"POST /two HTTP/1.1\r\nContent-Length: 11\r\n\r\nsecret=1234",
        b"POST /three HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    ]
    client.ask(requests[0])
    client.ask(requests[1])
    client.sock.sendall(requests[2])
    client.sock.shutdown(socket.SHUT_WR)
    while client.sock.recv(65536):
        pass
    client.close()
    events = world.record.events
    assert [event["text"].split("\r\n")[0] for event in events] == [
        "GET /one HTTP/1.1",
        "POST /two HTTP/1.1",
        "POST /three HTTP/1.1",
        "",
    ]
    assert events[1]["text"].endswith("\r\n\r\nsecret=1234")
    assert events[2]["text"].endswith("\r\n\r\nabcde")
    assert sum(event["sent"] for event in events) == sum(map(len, requests)) == len(host.got)
    assert sum(event["received"] for event in events) >= 3 * len(REPLY)
    for event in events:
        assert event["event"] == "allowed"
        assert (event["host"], event["port"], event["address"]) == (HERE, host.port, HERE)
    assert world.record.troubles == []


def test_terminated_tls_is_read_and_is_tls_again_outside(world: World):
    authority, outside = world.authority(), world.authority()
    host = world.host(outside.context_for(HERE))
    world.gateway(host.endpoint)
    trusted = ssl.create_default_context(cadata=outside.ca_pem.decode())
    handler = Handler(world.record, world.outlet(host.endpoint, trusted=trusted), authority)
    client = world.served(handler, HERE, host.port)
    ours = ssl.create_default_context(cadata=authority.ca_pem.decode())
    client.sock = ours.wrap_socket(client.sock, server_hostname=HERE)
    client.ask(get("/a?token=secret"))
    client.ask(get("/b"))
    client.close()
    texts = [event["text"].split("\r\n")[0] for event in world.record.events]
    assert texts == ["GET /a?token=secret HTTP/1.1", "GET /b HTTP/1.1", ""]
    assert bytes(host.got) == get("/a?token=secret") + get("/b")
    assert world.record.troubles == []


def test_nothing_goes_to_an_endpoint_that_cannot_prove_its_name(world: World):
    authority, stranger = world.authority(), world.authority()
    host = world.host(stranger.context_for(HERE))
    world.gateway(host.endpoint)
    handler = Handler(world.record, world.outlet(host.endpoint), authority)
    client = world.served(handler, HERE, host.port)
    ours = ssl.create_default_context(cadata=authority.ca_pem.decode())
    client.sock = ours.wrap_socket(client.sock, server_hostname=HERE)
    client.sock.sendall(get("/secret"))
    assert ended(client.sock)
    client.close()
    assert len(host.got) == 0
    (trouble,) = world.record.troubles
    assert "no TLS with it" in trouble


def test_tls_that_is_only_observed_goes_end_to_end(world: World):
    outside = world.authority()
    host = world.host(outside.context_for(HERE))
    world.gateway(host.endpoint)
    handler = Handler(world.record, world.outlet(host.endpoint))
    client = world.served(handler, HERE, host.port)
    theirs = ssl.create_default_context(cadata=outside.ca_pem.decode())
    client.sock = theirs.wrap_socket(client.sock, server_hostname=HERE)
    client.ask(get("/a"))
    client.close()
    kinds = [event["event"] for event in world.record.events]
    assert kinds == ["tls", "allowed", "allowed"]
    assert world.record.events[1]["text"].startswith("16030")  # the hello, as hex
    assert bytes(host.got) == get("/a")


@pytest.mark.parametrize("terminate", [False, True])
def test_another_name_at_an_allowed_address_is_not_let_out(world: World, terminate: bool):
    host = world.host()
    world.gateway(host.endpoint)
    authority = world.authority()
    handler = Handler(world.record, world.outlet(host.endpoint), authority if terminate else None)
    client = world.served(handler, HERE, host.port)
    ours = ssl.create_default_context(cadata=authority.ca_pem.decode())
    if terminate:
        client.sock = ours.wrap_socket(client.sock, server_hostname="front.example")
        client.sock.sendall(get("/x"))
        assert client.sock.recv(12) == b"HTTP/1.1 503"
    else:
        with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
            ours.wrap_socket(client.sock, server_hostname="front.example")
    client.close()
    assert host.accepted == 0
    events = world.record.events
    assert [event["event"] for event in events] == ["tls", "http"][: 1 + terminate]
    assert {event["host"] for event in events} == {"front.example"}


def test_a_protocol_in_which_the_other_side_speaks_first(world: World):
    host = world.host(greeting=b"220 ready\r\n")
    world.gateway(host.endpoint)
    client = world.served(Handler(world.record, world.outlet(host.endpoint)), HERE, host.port)
    assert client.sock.recv(100) == b"220 ready\r\n"
    client.sock.sendall(b"\0\x01\x02")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.sock.recv(100) == b""
    client.close()
    assert [event["text"] for event in world.record.events] == ["000102"]


def test_a_gateway_that_is_gone_is_trouble(world: World):
    endpoint = Endpoint("api.example", 80)
    client = world.served(Handler(world.record, world.outlet(endpoint)), "api.example", 80)
    client.sock.sendall(get())
    assert ended(client.sock)
    client.close()
    (trouble,) = world.record.troubles
    assert trouble.startswith("api.example:80 was allowed, and not reached: no gateway")


def test_a_gateway_that_refuses_is_trouble(world: World):
    endpoint = Endpoint("api.example", 80)
    world.gateway(Endpoint("api.example", 81))
    client = world.served(Handler(world.record, world.outlet(endpoint)), "api.example", 80)
    client.sock.sendall(get())
    client.thread.join(PATIENCE)
    assert world.record.troubles == [
        "api.example:80 was allowed, and not reached: api.example:80 is not allowed"
    ]


def test_bytes_beyond_the_bound_are_said(world: World):
    host = world.host()
    world.gateway(host.endpoint)
    handler = Handler(world.record, world.outlet(host.endpoint, total=100))
    client = world.served(handler, HERE, host.port)
    client.sock.sendall(get("/" + "x" * 100))
    client.thread.join(PATIENCE)
    assert world.record.bounds == ["connections that are let out: all 100 bytes are used up"]
    assert len(host.got) == 0


def test_stopping_cuts_what_is_open_and_writes_it_down(world: World):
    host = world.host()
    world.gateway(host.endpoint)
    outlet = world.outlet(host.endpoint)
    client = world.served(Handler(world.record, outlet), HERE, host.port)
    client.ask(get("/a"))
    client.sock.sendall(b"POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
    while b"half" not in host.got:
        assert client.thread.is_alive()
    outlet.stop()
    client.thread.join(PATIENCE)
    assert [event["text"][:7] for event in world.record.events] == ["GET /a ", "POST /b", ""][:2]
    assert world.record.events[1]["text"].endswith("half")
    late = world.served(Handler(world.record, outlet), HERE, host.port)
    late.sock.sendall(get("/late"))
    late.thread.join(PATIENCE)
    assert b"late" not in host.got


@pytest.mark.parametrize(
    ("host", "port", "wanted"),
    [
        ("api.example", 443, True),
        ("API.example.", 443, True),
        ("api.example", 80, False),
        ("x.api.example", 443, False),
        ("xapi.example", 443, False),
        ("not a name", 443, False),
        ("", 443, False),
    ],
)
def test_what_is_let_out(world: World, host: str, port: int, wanted: bool):
    handler = Handler(world.record, world.outlet(Endpoint("api.example", 443)))
    assert handler.wants(host, port) is wanted
    assert not Handler(world.record).wants(host, port)


# --- the requests that pass -----------------------------------------------------------------------

POST = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"POST /b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\nA;e=1\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
)
READ = [
    "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "POST /b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\nhello0123456789X-Sum: 1\r\n",
    "GET /c HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_requests_are_read_however_they_arrive(step: int):
    data = POST + CHUNKS + b"\r\n" + get("/c")
    reader = Requests()
    texts = [text for at in range(0, len(data), step) for text in reader.feed(data[at : at + step])]
    assert texts == READ
    assert not reader.opaque
    assert reader.flush() == []


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", b"\x16\x03\x01"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"\x81\x05hello"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"ab"),
        (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", b"ab"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", b"ab"),
        (b"POST / HTTP/1.1\r\nX: 1\r\n Content-Length: 2\r\n\r\n", b"ab"),
        (b"POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\n", b"ab"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na", b"b\r\n"),
    ],
)
def test_framing_that_is_not_plain_is_noted_and_left(head: bytes, rest: bytes):
    reader = Requests()
    (text,) = reader.feed(head + rest)
    assert text.startswith(head.split(b"\r\n")[0].decode())
    assert reader.opaque
    assert reader.feed(get("/smuggled")) == []
    assert reader.flush() == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\0",
        b"hello\n",
        b"a" * 33,
    ],
)
def test_what_is_no_http_is_noted_at_once_as_hex(data: bytes):
    reader = Requests()
    assert reader.feed(data + b"\xff" * MAX_RAW) == [(data + b"\xff" * MAX_RAW)[:MAX_RAW].hex()]
    assert reader.opaque
    assert reader.feed(b"more") == []


def test_a_request_that_breaks_off_is_noted():
    for data in (b"GET /a HT", b"GET /a HTTP/1.1\r\nCookie: secret", POST[:-2]):
        reader = Requests()
        assert reader.feed(data) == []
        (text,) = reader.flush()
        assert text in (data.decode(), data.hex())


def test_a_large_body_is_noted_once_and_early_and_the_next_request_is_read():
    size = 10 * MAX_RECORD
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
    reader = Requests()
    (text,) = reader.feed(head + b"x" * MAX_RECORD)
    assert len(text) == MAX_RECORD
    assert reader.feed(b"x" * (size - MAX_RECORD)) == []
    assert reader.feed(get("/next")) == [get("/next").decode()]


@pytest.mark.parametrize(
    "piece",
    [b"GET / HTTP/1.1\r\n", b"X: y\r\n", b"x", b"\r\n", b"1\r\na\r\n"],
)
def test_nothing_is_held_for_long(piece: bytes):
    reader = Requests()
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n")
    for _ in range(20_000):
        reader.feed(piece)
        assert len(reader._buffer) <= MAX_RECORD + len(piece)
        assert len(reader._record) <= MAX_RECORD


@pytest.mark.parametrize(
    ("before", "piece"), [(b"", b"1;"), (b"0\r\n", b"X: y\r\n"), (b"0\r\n", b"x")]
)
def test_sizes_and_trailers_without_an_end_are_given_up(before: bytes, piece: bytes):
    reader = Requests()
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + before)
    for _ in range(20_000):
        reader.feed(piece)
    assert reader.opaque


# --- threads --------------------------------------------------------------------------------------


def test_threads_are_bounded_and_joined():
    threads = Threads(1)
    go = threading.Event()
    done: list[int] = []

    def work() -> None:
        assert go.wait(PATIENCE)
        done.append(1)

    assert threads.hand_over(work)
    assert not threads.hand_over(work)
    assert not threads.join(0)
    go.set()
    assert threads.join(PATIENCE)
    assert threads.hand_over(work)
    assert threads.join(PATIENCE)
    assert done == [1, 1]


def test_a_thread_that_cannot_be_started_is_not_counted(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = Threads(1)
    ran: list[Callable[[], None]] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not threads.hand_over(lambda: None)
    assert threads.hand_over(lambda: ran.append(print))
    assert threads.join(PATIENCE)
    assert len(ran) == 1
