"""TCP: connections are accepted within the bounds, and led to whatever reads their protocol."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from typing import Protocol

from mcp_sandbox.warden import arrival, tls
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.loop import Loop, Task, Wait
from mcp_sandbox.warden.names import Names
from mcp_sandbox.warden.talks import (
    DNS,
    MAX_RAW,
    RAW_SECONDS,
    SILENCE,
    Connection,
    Talks,
    drain,
    peek,
)

MAX_OPEN = 256
MAX_CONNECTIONS = 5_000


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
        self._talks = Talks(recorder, names)

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
        at = time.time() - arrival.age(sock)
        if (address, port) == listener.getsockname()[:2]:
            self._recorder.record("tamper", at, text="a connection to the sink's own port")
            sock.close()
            return
        connection = Connection(sock, address, port, self._names.name(address), at=at)
        self._loop.start(self._serve(connection))

    def _serve(self, connection: Connection) -> Task:
        handed = False
        try:
            handed = yield from self._converse(connection)
        except OSError as error:
            self._talks.note_raw(connection, b"", 0, note=error.strerror or "error")
        finally:
            if not handed:
                if not connection.noted:
                    # Cut off before anything was understood: what is there is what was said.
                    said = peek(connection.sock, MAX_RAW)
                    self._talks.note_raw(connection, said, len(said))
                connection.sock.close()

    def _converse(self, connection: Connection) -> Generator[Wait, bool, bool]:
        """One conversation; true when it was handed over."""
        if self._handler and self._handler.wants(connection.host, connection.port):
            return self._give(connection, None)
        if connection.port == DNS:
            yield from self._talks.serve_dns(connection)
            return False
        if not (yield Wait(connection.sock, connection.until(SILENCE))):
            yield from self._talks.serve_silent(connection)
            return False
        first, at = arrival.peek(connection.sock, 8)
        if at is not None:
            # Of two times that are at or after its making the sooner is the better one.
            connection.at = min(connection.at, at)
        if tls.begins_like_tls(first):
            return (yield from self._tls(connection))
        yield from self._talks.serve_http(connection)
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
        self._talks.note_raw(connection, b"", 0, note="not handed over")
        return False

    def _tls(self, connection: Connection) -> Generator[Wait, bool, bool]:
        sock = connection.sock
        until = connection.until(RAW_SECONDS)
        hello: tls.Hello | None = None
        data = b""
        try:
            while hello is None:
                seen, data = len(data), peek(sock, tls.MAX_HELLO + 1)
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
            yield from self._talks.serve_raw(connection, bytearray())
            return False
        connection.noted = True
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
        drain(sock)
        yield from self._talks.part(connection, tls.REFUSAL)
        return False
