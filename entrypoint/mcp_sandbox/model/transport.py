"""How MCP is carried, where a server is reached, and how that was found out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Transport(StrEnum):
    """How MCP is carried."""

    AUTO = "auto"
    """Whichever answers first."""
    STDIO = "stdio"
    HTTP = "http"
    """Streamable HTTP (2025-03-26 and later)."""
    SSE = "sse"
    """HTTP with server-sent events (2024-11-05)."""


@dataclass(frozen=True)
class Place:
    """Where a server speaks MCP over HTTP."""

    transport: Transport
    port: int
    path: str
    host: str = "localhost"
    """What it wants to read in ``Host``, without the port."""


@dataclass(frozen=True)
class Reached:
    """How a run came to speak to its server, and what else the server speaks."""

    transport: Transport = Transport.AUTO
    """The one that decided; ``auto`` when the server never answered."""
    place: Place | None = None
    """``None`` over the standard streams."""
    seconds: float = 0.0
    """From the first start of the server to its first answer in MCP, vain starts included."""
    asked: tuple[str, ...] = ()
    """``PORT PATH (HOST): outcome`` of each place that was tried, in order."""
    also: tuple[Place, ...] = ()
    """Where it speaks other transports, each of which had a session of its own."""
    why_not: str = ""
    """Why no other transport was found; empty when one was, or none was looked for."""
