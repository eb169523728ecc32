"""Bytes both ways between two connections, until both are done, one is silent, or all is spent."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

CHUNK = 64 * 2**10
"""Most bytes that are held per direction, apart from the transports' own buffers."""
MAX_LINE = 1024
"""Bytes of the line that opens a connection to the gateway, and of its answer."""


@dataclass(frozen=True)
class Bounds:
    """What one gateway lets through."""

    connections: int = 256
    """At the same time."""
    total: int = 2**30
    """Bytes both ways, over all connections."""
    idle: float = 60.0
    """Seconds without a byte either way, after which a connection is cut."""
    opening: float = 15.0
    """Seconds until a connection is opened: the question, the name's look-up, the connecting."""


class Spent(Exception):
    """All bytes of a budget are used up."""


class Budget:
    """Bytes that may still pass, over all connections and threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.left = total
        self._lock = threading.Lock()

    def spend(self, count: int) -> None:
        """Raises ``Spent`` once more than the total was asked for, and from then on."""
        with self._lock:
            self.left -= count
            if self.left < 0:
                raise Spent


@dataclass(frozen=True)
class End:
    """One connection, as ``asyncio`` has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def abort(self) -> None:
        """Close at once; what is not sent yet is lost."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close after what is still to be sent."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


Seen = Callable[[bytes], None]


async def splice(
    left: End, right: End, *, idle: float, budget: Budget, sent: Seen, got: Seen
) -> None:
    """Pass on what ``left`` sends and ``right`` answers; both are closed at the end.

    ``sent`` and ``got`` see every chunk before it is passed on. Raises ``Spent``; a silence, a
    reset or a half-closed TLS connection just ends it.
    """
    clock = asyncio.get_running_loop()

    def watched(seen: Seen, deadline: asyncio.Timeout) -> Seen:
        def passing(data: bytes) -> None:
            deadline.reschedule(clock.time() + idle)
            budget.spend(len(data))
            seen(data)

        return passing

    spent = False
    try:
        async with asyncio.timeout(idle) as deadline:
            async with asyncio.TaskGroup() as group:
                for source, target, seen in ((left, right, sent), (right, left, got)):
                    group.create_task(_pass_on(source, target, watched(seen, deadline)))
            await left.close()
            await right.close()
    except* Spent:
        spent = True
    except* (TimeoutError, OSError, EOFError):
        pass
    finally:
        left.abort()
        right.abort()
    if spent:
        raise Spent(f"all {budget.total} bytes are used up")


async def _pass_on(source: End, target: End, passing: Seen) -> None:
    while data := await source.reader.read(CHUNK):
        passing(data)
        target.writer.write(data)
        await target.writer.drain()
    if not target.writer.can_write_eof():
        # TLS has no half-closed connections here: the end of one direction is the end of both.
        await target.close()
        raise EOFError
    target.writer.write_eof()
