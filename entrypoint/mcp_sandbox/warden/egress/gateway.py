"""The gateway: leads connections from a UNIX socket to allowed endpoints, and nowhere else.

It trusts nobody's check but its own: host and port of every connection are held against its list,
and it resolves names itself. A name never leads it to its own machine or to a link-local address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcp_sandbox import endpoints
from mcp_sandbox.endpoints import Endpoint
from mcp_sandbox.warden.egress.splice import MAX_LINE, Bounds, Budget, End, Spent, splice

MAX_ADDRESSES = 4
"""Addresses of one name that are tried, in the resolver's order."""


class Refused(Exception):
    """The connection is not opened; the message goes to who asked for it."""


class Gateway:
    """Serves one run. Enter it to listen; leave it to close all that it opened."""

    def __init__(
        self, path: Path, allowed: Iterable[Endpoint], bounds: Bounds | None = None
    ) -> None:
        self.path = path
        self.allowed = frozenset(allowed)
        self.bounds = bounds or Bounds()
        self._budget = Budget(self.bounds.total)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Gateway:
        """Listen (socket mode 0600). Raises ``OSError``."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, self.path, limit=MAX_LINE)
        self.path.chmod(0o600)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the server runs this as one
        self._open.add(task)
        client = End(reader, writer)
        try:
            await self._serve(client)
        finally:
            self._open.discard(task)
            client.abort()

    async def _serve(self, client: End) -> None:
        try:
            async with asyncio.timeout(self.bounds.opening):
                target, address = await self._opened(client)
        except Refused as error:
            await _answer(client, {"ok": False, "error": str(error)})
            return
        except TimeoutError:
            await _answer(client, {"ok": False, "error": "it took too long"})
            return
        try:
            await _answer(client, {"ok": True, "address": address}, close=False)
            await splice(
                client, target, idle=self.bounds.idle, budget=self._budget, sent=_pass, got=_pass
            )
        except Spent:
            pass  # the next connection is told
        finally:
            target.abort()

    async def _opened(self, client: End) -> tuple[End, str]:
        try:
            line = await client.reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise Refused("expected one line of JSON") from error
        if len(self._open) > self.bounds.connections:
            raise Refused(f"{self.bounds.connections} connections are open")
        if self._budget.left <= 0:
            raise Refused(f"all {self._budget.total} bytes are used up")
        endpoint = _asked(line)
        if endpoint not in self.allowed:
            raise Refused(f"{endpoint} is not allowed")
        return await _connect(endpoint, self.bounds.opening / MAX_ADDRESSES)


def _pass(_: bytes) -> None:
    """Nothing is kept here: what passes is written down in the warden."""


def _asked(line: bytes) -> Endpoint:
    try:
        asked: Any = json.loads(line)
        name, port = asked["host"], asked["port"]
        # ``True`` is an int, and 443.0 equals 443.
        if type(name) is str and type(port) is int:
            return Endpoint(endpoints.host(name), port)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused("expected a host and a port") from error
    raise Refused("expected a host and a port")


async def _connect(endpoint: Endpoint, patience: float) -> tuple[End, str]:
    """A connection to the first address that takes one in ``patience`` seconds, or ``Refused``."""
    trouble = "it has no address"
    for address in await _addresses(endpoint):
        try:
            async with asyncio.timeout(patience):
                reader, writer = await asyncio.open_connection(address, endpoint.port)
        except OSError as error:
            trouble = f"{address}: {error.strerror or error}"
        else:
            return End(reader, writer), address
    raise Refused(f"{endpoint} cannot be reached: {trouble}")


async def _addresses(endpoint: Endpoint) -> list[str]:
    if endpoints.address(endpoint.host) is not None:
        return [endpoint.host]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Refused(f"{endpoint} cannot be resolved: {error.strerror or error}") from error
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
    outside = [
        text
        for text in addresses
        if (address := endpoints.address(text)) is not None and endpoints.reachable(address)
    ]
    if addresses and not outside:
        raise Refused(f"{endpoint} leads to {addresses[0]}, where no name may lead")
    return outside[:MAX_ADDRESSES]


async def _answer(client: End, answer: dict[str, object], *, close: bool = True) -> None:
    """One line, bounded; who has gone away is not told."""
    if "error" in answer:
        answer["error"] = str(answer["error"])[: MAX_LINE // 4]
    with contextlib.suppress(OSError, TimeoutError):
        client.writer.write(json.dumps(answer).encode() + b"\n")
        await client.writer.drain()
        if close:
            await client.close()
