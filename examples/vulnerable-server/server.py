"""DO NOT DEPLOY. An MCP server with six holes, made for scanners to find.

Every hole is on purpose, marked with its number in `tools.py`, and explained there together with
its fix. Start it only in a sealed sandbox: with no network, and with nothing of value inside. One
of them steals a key: in a container only, and for a host that nobody can own.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from transport import TransportError, http_port, serve

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

DEFAULT_FOLDER: Final = "/tmp/mcp-data"

_CONTACTS: Final = (
    ("Ada", "ada@example.com"),
    ("Grace", "grace@example.com"),
    ("Linus", "linus@example.com"),
)


def _build(folder: Path) -> MCPServer[Any]:
    from tools import build_server  # noqa: PLC0415 - a wrong setting is told before the wait

    return build_server(folder)


def prepare(folder: Path) -> None:
    """Fill the data folder with a note and with a small database of contacts."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "welcome.txt").write_text("Welcome to the notes.\n", encoding="utf-8")
    with closing(sqlite3.connect(folder / "contacts.db")) as database, database:
        database.execute("DROP TABLE IF EXISTS contacts")
        database.execute("CREATE TABLE contacts (name TEXT, email TEXT)")
        database.executemany("INSERT INTO contacts VALUES (?, ?)", _CONTACTS)


def main() -> int:
    """Serve until the client leaves; return the exit code."""
    sys.stderr.write("This server is vulnerable on purpose. Never deploy it.\n")
    try:
        port = http_port(os.environ)
    except TransportError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    folder = Path(os.environ.get("MCP_DATA_DIR") or DEFAULT_FOLDER)
    prepare(folder)
    serve(lambda: _build(folder), port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
