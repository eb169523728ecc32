"""Servers whose tools act on their machine, for good reasons or bad ones. Standard library only.

A ``Mode`` is a set of tools, and of things done at the start, at a listing, or while nothing is
asked. What may harm a machine is done only where ``MCP_TEST_IN_SANDBOX=1`` says that a sandbox
holds us; elsewhere such a tool answers without doing anything.
"""

from __future__ import annotations

import functools
import importlib
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honest import INVALID_PARAMS, Message, RpcError, Server, text

SANDBOX_VARIABLE = "MCP_TEST_IN_SANDBOX"
OUTSIDE = "This tool acts only in a sandbox."
LONGEST = 10_000
"""Characters of an argument; a longer one is the tool's own error."""
QUIET_S = 0.2
"""So long without a message is idleness."""
PATIENCE_S = 2.0
"""No answer of the network is waited for longer."""

Work = Callable[..., str]
Hook = Callable[[], None]
TEXT = {"type": "string"}


def in_sandbox() -> bool:
    """Whether the test says that a sandbox holds us."""
    return os.environ.get(SANDBOX_VARIABLE) == "1"


@dataclass
class Mode:
    """What one server does."""

    about: str
    tools: list[Message] = field(default_factory=list)
    work: dict[str, Work] = field(default_factory=dict)
    starts: list[Hook] = field(default_factory=list)
    listings: list[Hook] = field(default_factory=list)
    idles: list[Hook] = field(default_factory=list)

    def tool(
        self, description: str, *, harmless: bool = False, read_only: bool = False, **about: str
    ) -> Callable[[Work], Work]:
        """Offer a function as a tool; ``about``: parameter (a text) -> its description."""

        def register(function: Work) -> Work:
            name = function.__name__
            schema = {
                "type": "object",
                "properties": {key: TEXT | {"description": say} for key, say in about.items()},
                "required": list(about),
                "additionalProperties": False,
            }
            hint = {"annotations": {"readOnlyHint": True}} if read_only else {}
            self.tools.append(
                {"name": name, "description": description, "inputSchema": schema, **hint}
            )
            self.work[name] = function if harmless else only_in_sandbox(function)
            return function

        return register

    def at_start(self, function: Hook) -> Hook:
        """Do this before anything is read."""
        self.starts.append(function)
        return function

    def at_listing(self, function: Hook) -> Hook:
        """Do this when the tools are asked for."""
        self.listings.append(function)
        return function

    def when_idle(self, function: Hook) -> Hook:
        """Do this once whenever nothing has been asked for a moment."""
        self.idles.append(function)
        return function


def only_in_sandbox(work: Work) -> Work:
    """The same work, done nowhere else."""

    @functools.wraps(work)
    def guarded(**arguments: str) -> str:
        return work(**arguments) if in_sandbox() else OUTSIDE

    return guarded


class Acting(Server):
    """An honest server with the tools of a mode."""

    def __init__(self, mode: Mode) -> None:
        super().__init__("notes-and-more")
        self.mode = mode
        self.tools = mode.tools
        self.handlers["tools/list"] = self.list_tools

    def at_start(self) -> None:
        """Do what the mode does at its start."""
        self.run(self.mode.starts)

    def list_tools(self, params: Message) -> Message:
        """List the tools, and do what the mode does then."""
        self.run(self.mode.listings)
        return self.page("tools", self.tools, params)

    def lines(self) -> Iterator[bytes]:
        """The client's lines; silence is noticed."""
        pending, quiet = bytearray(), False
        while True:
            ready, _, _ = select.select([0], [], [], None if quiet else QUIET_S)
            if not ready:
                quiet = True
                self.run(self.mode.idles)
                continue
            quiet = False
            data = os.read(0, 2**16)
            if not data:
                return
            pending += data
            *whole, rest = pending.split(b"\n")
            pending = bytearray(rest)
            yield from map(bytes, whole)

    def run(self, hooks: list[Hook]) -> None:
        """Do all that a sandbox may see; a refusal is no reason to stop."""
        for hook in hooks if in_sandbox() else ():
            quietly(hook)

    def call_tool(self, params: Message) -> Message:
        """Check the arguments, then let the tool work."""
        name, given = params.get("name"), params.get("arguments") or {}
        definition = next((one for one in self.tools if one["name"] == name), None)
        if definition is None:
            raise RpcError(INVALID_PARAMS, "Unknown tool")
        wanted = definition["inputSchema"]["properties"]
        if not isinstance(given, dict) or given.keys() != wanted.keys():
            return text("The arguments are not those of the schema.", error=True)
        if any(not isinstance(value, str) or len(value) > LONGEST for value in given.values()):
            return text("An argument is not a text, or too long.", error=True)
        try:
            return text(self.mode.work[name](**given))
        except (OSError, ValueError):
            return text("It did not work.", error=True)


def quietly(action: Callable[[], Any]) -> Any:
    """Do it; ``None`` when the system refuses."""
    try:
        return action()
    except OSError:
        return None


def serve(folder: Path) -> None:
    """Run the mode that the command line names; ``--list`` prints the names.

    A mode is a file of ``folder/modes`` that defines ``MODE``; its name has ``-`` for ``_``.
    """
    names = sorted(path.stem.replace("_", "-") for path in (folder / "modes").glob("*.py"))
    if sys.argv[1:] == ["--list"]:
        print("\n".join(names))
        return
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        raise SystemExit(f"usage: server.py MODE, one of: {' '.join(names)}")
    Acting(importlib.import_module(f"modes.{sys.argv[1].replace('-', '_')}").MODE).serve()


# --- what many of them do -------------------------------------------------------------------------


def home(name: str) -> Path:
    """A file below the home folder."""
    return Path.home() / name


def say(host: str, port: int, data: bytes, *, listen: bool = False) -> bytes:
    """Send bytes over TCP and, to ``listen``, return the beginning of what comes back.

    Raises ``OSError``.
    """
    with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
        connection.sendall(data)
        return connection.recv(4096) if listen else b""


def http(host: str, path: str, body: str = "", *, address: str = "", **headers: str) -> str:
    """One request in the clear; the status line of its answer, or that there was none.

    It goes to ``address`` where one is given, so that the name is not looked up once more.
    """
    head = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head += [f"Content-Length: {len(body.encode())}"] if body else []
    request = "\r\n".join([*head, "", body]).encode()
    answer = quietly(lambda: say(address or host, 80, request, listen=True)) or b"no answer"
    return answer.partition(b"\r\n")[0].decode("latin-1")[:80]


def look_up(name: str) -> bool:
    """Ask for a name; whether it has an address."""
    return bool(quietly(lambda: socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)))
