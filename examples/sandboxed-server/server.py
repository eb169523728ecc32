"""A file server for MCP that stays in its folder, whatever it is asked for.

The confinement is in `store.py`, what the model sees is in `tools.py`, and `quiet.py` keeps
errors free of paths, stack traces and the caller's own words.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from store import Store, StoreError
from transport import TransportError, http_port, serve

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

DEFAULT_FOLDER: Final = "/tmp/mcp-data"  # noqa: S108 - the store checks who owns it


def _build(store: Store) -> MCPServer[Any]:
    from tools import build_server  # noqa: PLC0415 - a wrong setting is told before the wait

    return build_server(store)


def main() -> int:
    """Serve until the client leaves; return the exit code."""
    try:
        port = http_port(os.environ)
        store = Store(os.environ.get("MCP_DATA_DIR") or DEFAULT_FOLDER)
    except (StoreError, TransportError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    serve(lambda: _build(store), port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
