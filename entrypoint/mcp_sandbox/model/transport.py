"""How MCP is carried: the one fact that both the run's model and the launch's need."""

from __future__ import annotations

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
