"""Exit 0 when the server of this container is alive, with nothing but the standard library.

Over HTTP the server is asked. Over standard input and output nobody but the client may talk to
it, so its process is looked for instead.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path
from typing import Final

from transport import HOST, http_port

_TIMEOUT_SECONDS: Final = 2
_SERVER: Final = str(Path(__file__).with_name("server.py")).encode()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _runs_server(process: Path) -> bool:
    try:
        # A zombie has no command line any more, so it does not count as running.
        return _SERVER in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False  # it ended while we looked


def _is_running() -> bool:
    # Not simply process 1: under an init or a tracer the server is a child of it.
    return any(_runs_server(process) for process in Path("/proc").glob("[0-9]*"))


def main() -> int:
    """Return the exit code that tells the engine how the server is."""
    port = http_port(os.environ)
    return 0 if (_is_running() if port is None else _answers(port)) else 1


if __name__ == "__main__":
    sys.exit(main())
