"""Connections that the sink does not refuse at once: let out, or decrypted and then refused.

Both are held in threads, for they wait for other programs (the gateway, openssl) and for TLS.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_sandbox import endpoints
from mcp_sandbox.endpoints import Endpoint
from mcp_sandbox.warden import http, tls
from mcp_sandbox.warden.authority import MAX_NAMES, Authority, AuthorityFailed, publish
from mcp_sandbox.warden.egress.outlet import Outlet
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.talks import FIRST, MAX_RAW, Connection

MAX_THREADS = 64
"""Such connections at once."""
SILENCE = 0.5
"""Seconds after which a client of an allowed endpoint waits for that to speak first."""
HELLO_SECONDS = 3.0
GRACE_SECONDS = 1.0
CUT_SECONDS = 5.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own with mode 0700 is made there
_READ = 16 * 2**10


class Threads:
    """Runs functions at the same time, a bounded number of them."""

    def __init__(self, most: int = MAX_THREADS) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def hand_over(self, function: Callable[[], None]) -> bool:
        """Start it; false when there are too many."""
        if not self._free.acquire(blocking=False):
            return False

        def work() -> None:
            try:
                function()
            finally:
                with self._lock:
                    self._running.discard(threading.current_thread())
                self._free.release()

        thread = threading.Thread(target=work, name="connection", daemon=True)
        with self._lock:
            self._running.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the container's limit of processes
            with self._lock:
                self._running.discard(thread)
            self._free.release()
            return False
        return True

    def join(self, seconds: float) -> bool:
        """Wait for all of them; false when some still run after ``seconds``."""
        end = time.monotonic() + seconds
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in running)


@dataclass(frozen=True)
class Handler:
    """What ``streams.Handler`` asks for. Without an authority no TLS is decrypted."""

    recorder: Recorder
    outlet: Outlet | None = None
    authority: Authority | None = None
    threads: Threads = field(default_factory=Threads)

    def finish(self) -> None:
        """Let the conversations end, then cut them, and remove the authority's keys."""
        if not self.threads.join(GRACE_SECONDS) and self.outlet is not None:
            self.outlet.stop()
        if not self.threads.join(CUT_SECONDS):
            self.recorder.trouble("a connection that was let out or decrypted did not end")
        if self.authority is not None:
            self.authority.close()

    def wants(self, host: str, port: int) -> bool:
        """Whether the endpoint is allowed."""
        return self.outlet is not None and self.outlet.allows(host, port)

    def wants_tls(self) -> bool:
        """Whether TLS is terminated."""
        return self.authority is not None

    def serve(self, connection: Connection, hello: tls.Hello | None) -> None:
        """Hold the conversation; what went wrong is recorded."""
        if self.outlet is None or not self.wants(connection.host, connection.port):
            if hello is not None:
                self._decrypt(connection, hello)
            return
        try:
            hello = _peeked_hello(connection.sock)
        except OSError as error:
            self.recorder.record(
                "tcp", connection.at, host=connection.host, port=connection.port,
                address=connection.address, first="", size=0, note=error.strerror or "error",
            )  # fmt: skip
            return
        if hello is None:
            self.outlet.carry(connection.sock, connection.host, connection.port)
        elif not _same(hello.name, connection.host):
            # Some hosts serve many names at one address; only the one was allowed.
            self._tls_event(connection, hello)
            if self.authority is None:
                _last(connection.sock, tls.REFUSAL)
            else:
                self._decrypt(connection, hello)
        elif self.authority is None:
            self._tls_event(connection, hello)
            self.outlet.carry(connection.sock, connection.host, connection.port)
        else:
            context = self._context(connection.host)
            if context is not None:
                self.outlet.carry(connection.sock, connection.host, connection.port, context)

    # --- decrypted, and refused

    def _context(self, name: str) -> ssl.SSLContext | None:
        assert self.authority is not None  # noqa: S101 - who calls has looked
        try:
            context = self.authority.context_for(name)
        except AuthorityFailed as error:
            self.recorder.trouble(str(error))
            return None
        except ValueError:
            return None  # no name: the client hello is recorded, and says what was asked for
        if self.authority.full:
            self.recorder.full(f"more than {MAX_NAMES} names with a certificate")
        return context

    def _decrypt(self, connection: Connection, hello: tls.Hello) -> None:
        context = self._context(hello.name or connection.host)
        if context is None:
            _last(connection.sock, tls.REFUSAL)
            return
        connection.sock.settimeout(_left(connection))
        try:
            with context.wrap_socket(connection.sock, server_side=True) as plain:
                self._request(connection, hello, plain)
        except OSError:  # an ssl.SSLError too: it does not trust us, which its hello cannot tell
            return

    def _request(self, connection: Connection, hello: tls.Hello, plain: ssl.SSLSocket) -> None:
        request = http.Request()
        raw = bytearray()
        size = 0
        try:
            while size < MAX_RAW and request.state is not http.State.DONE:
                plain.settimeout(_left(connection))
                data = plain.recv(_READ)
                if not data:
                    break
                size += len(data)
                raw += data[: max(0, FIRST - len(raw))]
                request.feed(data)
                if request.wants_continue and request.state is http.State.BODY:
                    request.wants_continue = False
                    plain.sendall(http.CONTINUE)
        finally:
            self._decrypted(connection, hello, request, bytes(raw), size)
        if request.state is http.State.DONE:
            plain.sendall(http.REFUSAL)

    def _decrypted(
        self,
        connection: Connection,
        hello: tls.Hello,
        request: http.Request,
        raw: bytes,
        size: int,
    ) -> None:
        where = {"host": hello.name or connection.host, "port": connection.port}
        if request.state in {http.State.UNDECIDED, http.State.OTHER}:
            self.recorder.record(
                "tcp", connection.at, **where, address=connection.address,
                first=raw.hex(), size=size, tls=True,
            )  # fmt: skip
        else:
            self.recorder.record(
                "http", connection.at, **where, address=connection.address,
                tls=True, text=request.text, size=size,
            )  # fmt: skip

    def _tls_event(self, connection: Connection, hello: tls.Hello) -> None:
        self.recorder.record(
            "tls",
            connection.at,
            host=hello.name or connection.host,
            port=connection.port,
            address=connection.address,
            alpn=[one[:255] for one in hello.protocols],
            size=0,
        )


def handler(
    recorder: Recorder,
    *,
    allowed: Iterable[Endpoint] = (),
    gateway: Path | None = None,
    published: Path | None = None,
) -> Handler:
    """What the options ask for; without any, it wants nothing.

    ``published``: the folder for the authority's certificate, where TLS is to be terminated.
    Raises ``AuthorityFailed``.
    """
    authority = None
    if published is not None:
        authority = Authority(MEMORY)
        publish(authority, published)
    outlet = None if gateway is None else Outlet(gateway, allowed, recorder)
    return Handler(recorder, outlet, authority)


def _same(asked: str, allowed: str) -> bool:
    """Whether a hello's name is the allowed host; one without a name can only mean it."""
    if not asked:
        return True
    try:
        return endpoints.host(asked) == endpoints.host(allowed)
    except ValueError:
        return False


def _left(connection: Connection) -> float:
    """Seconds of the connection's own time; never 0, which would mean no waiting at all."""
    return max(0.001, connection.ends - time.monotonic())


def _peeked_hello(sock: socket.socket) -> tls.Hello | None:
    """The client hello that a connection begins with, left to be read; ``None`` when it is none.

    Raises ``OSError`` when the connection is gone.
    """
    end = time.monotonic() + HELLO_SECONDS
    patience = SILENCE
    data = b""
    try:
        while time.monotonic() < end:
            sock.settimeout(patience)
            seen, data = len(data), sock.recv(tls.MAX_HELLO + 1, socket.MSG_PEEK)
            if not tls.begins_like_tls(data):
                return None
            found = tls.hello(data)
            if found is not None or len(data) == seen:
                return found
            # Readable again only when there is more than was peeked at.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(data) + 1)
            patience = max(0.001, end - time.monotonic())
    except (TimeoutError, tls.NotTls):
        return None
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return None


def _last(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return  # it has gone already
