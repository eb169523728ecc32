"""Talks to the example servers as a client would: raw JSON-RPC lines over a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
GREEN = EXAMPLES / "sandboxed-server"
RED = EXAMPLES / "vulnerable-server"


def environment(data: Path, **settings: str) -> dict[str, str]:
    """What an example server is started with: its folder, and nothing of ours that matters.

    Its home holds no keys: one of the examples takes what it finds there.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MCP_")}
    set_here = {
        "MCP_DATA_DIR": str(data),
        "HOME": str(data),
        "GITHUB_TOKEN": "no-real-token",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return ours | set_here | settings


class Session:
    """One conversation, one request at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._last_id = 0

    def send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the whole answer, be it a result or an error."""
        assert self._process.stdout is not None
        self._last_id += 1
        self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        answer = json.loads(self._process.stdout.readline())
        assert answer["id"] == self._last_id
        return dict(answer)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the result of a tool call."""
        return dict(self.request("tools/call", name=tool, arguments=arguments)["result"])

    def text(self, tool: str, **arguments: Any) -> str:
        """Return the text of a tool call that went well."""
        result = self.call(tool, **arguments)
        assert not result["isError"], result
        return "".join(block["text"] for block in result["content"])

    def refusal(self, tool: str, **arguments: Any) -> str:
        """Return the text of a tool call that was refused."""
        result = self.call(tool, **arguments)
        assert result["isError"], result
        return "".join(block["text"] for block in result["content"])


@contextmanager
def stdio_session(folder: Path, data: Path, *arguments: str, **settings: str) -> Iterator[Session]:
    """Start an example server, shake hands, and see it leave by itself in the end.

    ``arguments`` are the interpreter's, where they are to be others than the server's program.
    """
    process = subprocess.Popen(
        [sys.executable, *(arguments or (str(folder / "server.py"),))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(data, **settings),
    )
    with process:
        try:
            session = Session(process)
            session.request(
                "initialize",
                protocolVersion="2025-11-25",
                capabilities={},
                clientInfo={"name": "test", "version": "1"},
            )
            session.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            yield session
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
