"""The outlet: hands an allowed connection to the gateway, and writes down what passes.

It runs in the warden, a thread and an event loop per connection. What a client asks is read request
by request where it is HTTP/1 in the clear, or inside TLS that is terminated here; the other end is
then TLS again, checked against the system's authorities. Of other TLS only the name is known.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mcp_sandbox import endpoints
from mcp_sandbox.endpoints import Endpoint
from mcp_sandbox.warden.egress.requests import Requests
from mcp_sandbox.warden.egress.splice import Bounds, Budget, End, Spent, splice
from mcp_sandbox.warden.events import Recorder

HANDSHAKE_SECONDS = 10.0


class NotOpened(Exception):
    """The allowed endpoint could not be reached; the message says why."""


class Outlet:
    """The allowed endpoints of one warden. ``carry`` may run in several threads at once."""

    def __init__(
        self,
        gateway: Path,
        allowed: Iterable[Endpoint],
        recorder: Recorder,
        *,
        bounds: Bounds | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        """``gateway``: its socket. ``trusted``: who vouches for an endpoint (the system's)."""
        self.allowed = frozenset(allowed)
        self._gateway = gateway
        self._recorder = recorder
        self._bounds = bounds or Bounds()
        self._budget = Budget(self._bounds.total)
        self._trusted = trusted or ssl.create_default_context()
        self._trusted.set_alpn_protocols(["http/1.1"])
        self._lock = threading.Lock()
        self._running: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        self._stopped = False

    def allows(self, host: str, port: int) -> bool:
        """Whether connections to there are let out."""
        try:
            return Endpoint(endpoints.host(host), port) in self.allowed
        except ValueError:
            return False

    def carry(
        self, sock: socket.socket, host: str, port: int, terminated: ssl.SSLContext | None = None
    ) -> None:
        """Lead one client out, to the end. ``terminated``: our certificate, for a TLS client.

        Nothing was read from ``sock`` yet; the caller closes it. What goes wrong is recorded.
        """
        endpoint = Endpoint(endpoints.host(host), port)
        sock.setblocking(False)
        try:
            asyncio.run(self._listed(endpoint, sock, terminated))
        except asyncio.CancelledError:
            return  # stopped; what had passed is recorded
        except NotOpened as error:
            self._recorder.trouble(f"{endpoint} was allowed, and not reached: {error}")
        except Spent as error:
            self._recorder.full(f"connections that are let out: {error}")

    def stop(self) -> None:
        """Cut all connections; what has passed is written down. No new one is opened."""
        with self._lock:
            self._stopped = True
            for task, loop in self._running.items():
                loop.call_soon_threadsafe(task.cancel)

    async def _listed(
        self, endpoint: Endpoint, sock: socket.socket, terminated: ssl.SSLContext | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio.run made it
        with self._lock:
            if self._stopped:
                return
            self._running[task] = asyncio.get_running_loop()
        try:
            await self._carry(endpoint, sock, terminated)
        finally:
            with self._lock:
                del self._running[task]

    async def _carry(
        self, endpoint: Endpoint, sock: socket.socket, terminated: ssl.SSLContext | None
    ) -> None:
        note = _Note(self._recorder.record, endpoint)
        try:
            client = await _client(sock, terminated)
        except OSError as error:  # an ssl.SSLError too
            note.write(f"{'TLS' if terminated else 'connection'} broken off by the client: {error}")
            return
        try:
            outside, note.address = await self._open(endpoint, tls=terminated is not None)
            try:
                await splice(
                    client,
                    outside,
                    idle=self._bounds.idle,
                    budget=self._budget,
                    sent=note.sent,
                    got=note.got,
                )
            finally:
                note.end()
                outside.abort()
        finally:
            client.abort()

    async def _open(self, endpoint: Endpoint, *, tls: bool) -> tuple[End, str]:
        """The gateway's connection to an endpoint, and its address. Raises ``NotOpened``."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._gateway)
        except OSError as error:
            raise NotOpened(f"no gateway ({error.strerror or error})") from error
        outside = End(reader, writer)
        try:
            async with asyncio.timeout(self._bounds.opening + 1):
                address = await _ask(outside, endpoint)
            if tls:
                await writer.start_tls(
                    self._trusted,
                    server_hostname=endpoint.host,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
        except ssl.SSLError as error:
            outside.abort()
            raise NotOpened(f"no TLS with it: {error}") from error
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            outside.abort()
            raise NotOpened(f"the gateway broke off ({error or 'it took too long'})") from error
        except BaseException:
            outside.abort()
            raise
        return outside, address


async def _client(sock: socket.socket, context: ssl.SSLContext | None) -> End:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        sock,
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
    )
    return End(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _ask(gateway: End, endpoint: Endpoint) -> str:
    asked = json.dumps({"host": endpoint.host, "port": endpoint.port})
    gateway.writer.write(asked.encode() + b"\n")
    try:
        answer: Any = json.loads(await gateway.reader.readuntil(b"\n"))
        ok, said = answer["ok"] is True, answer.get("address", "") or answer["error"]
    except (ValueError, TypeError, KeyError, asyncio.LimitOverrunError) as error:
        raise NotOpened("the gateway's answer cannot be read") from error
    if not ok:
        raise NotOpened(str(said))
    return str(said)


class _Note:
    """Writes ``allowed`` events: ``sent`` and ``received`` count the bytes since the one before."""

    def __init__(self, record: Callable[..., None], endpoint: Endpoint) -> None:
        self.address = ""
        self._record = record
        self._endpoint = endpoint
        self._requests = Requests()
        self._began: float | None = None
        self._sent = 0
        self._got = 0

    def sent(self, data: bytes) -> None:
        if self._began is None:
            self._began = time.time()
        self._sent += len(data)
        self._write_all(self._requests.feed(data))

    def got(self, data: bytes) -> None:
        self._got += len(data)

    def end(self) -> None:
        self._write_all(self._requests.flush())
        if self._sent or self._got:
            self.write("")

    def write(self, text: str) -> None:
        self._record(
            "allowed",
            time.time() if self._began is None else self._began,
            host=self._endpoint.host,
            port=self._endpoint.port,
            address=self.address,
            text=text,
            sent=self._sent,
            received=self._got,
        )
        self._began = None
        self._sent = self._got = 0

    def _write_all(self, texts: list[str]) -> None:
        for text in texts:
            self.write(text)
