"""How a server of these examples is reached: standard input and output, or a loopback port.

Needs the standard library only, because the health check uses it too.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

# Loopback only. HTTP has no authentication here, so nothing outside the machine, or outside the
# container's own network namespace, may reach it.
HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 3123
LAST_PORT: Final = 65535


class TransportError(ValueError):
    """The environment asks for a transport that does not exist."""


def http_port(environ: Mapping[str, str]) -> int | None:
    """Return the port to listen on, or None for standard input and output.

    `MCP_TRANSPORT` decides when it is set (`stdio`, `http` or `sse`); else a set `MCP_PORT` means
    HTTP.

    Raises:
        TransportError: If either variable holds something else.
    """
    port = environ.get("MCP_PORT", "")
    transport = environ.get("MCP_TRANSPORT", "") or ("http" if port else "stdio")
    if transport == "stdio":
        return None
    if transport not in {"http", "sse"}:
        raise TransportError("MCP_TRANSPORT must be stdio, http or sse.")
    if not port:
        return DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= LAST_PORT):
        raise TransportError("MCP_PORT must be a port number.")
    return int(port)


def serve(build: Callable[[], MCPServer[Any]], port: int | None) -> None:
    """Build the server and serve until the client leaves.

    Let `build` import the SDK as well: that is the slow part of starting.
    """
    # The SDK makes thousands of long-lived objects while it is imported, and collecting garbage
    # among them costs a tenth of the start-up time. Later there is nothing of them to collect.
    gc.disable()
    server = build()
    gc.freeze()
    gc.enable()

    if port is None:
        # As process 1 of a container we get no default handling of SIGTERM. Leaving at once is
        # safe, since every write is atomic; waiting is not, since a read of stdin may never end.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        server.run("stdio")
    else:
        # Bound to loopback, the SDK checks the Host and Origin headers of every request, which
        # keeps web pages of other sites out.
        older = os.environ.get("MCP_TRANSPORT") == "sse"
        server.run("sse" if older else "streamable-http", host=HOST, port=port)
