"""Servers whose answer to the opening request is none, odd, or more than can be kept."""

from __future__ import annotations

from typing import Any

from honest import Message, RpcError, Server, tool
from registry import Hostile, mode

HUGE = 2 * 2**20
INFINITE = "@infinite@"
"""Stands for ``1e999``, which ``json.dumps`` does not write."""


def spoil_opening(server: Hostile, **changes: Any) -> None:
    """Change members of the answer to ``initialize``; ``None`` removes one."""

    @server.replace
    def initialize(params: Message) -> Message:
        answer = Server.initialize(server, params) | changes
        return {key: value for key, value in answer.items() if value is not None}

    server.handlers["initialize"] = server.initialize


@mode
def version_unknown(server: Hostile) -> None:
    """Chooses a protocol version that does not exist."""
    spoil_opening(server, protocolVersion="1999-12-31")


@mode
def version_missing(server: Hostile) -> None:
    """Chooses no protocol version."""
    spoil_opening(server, protocolVersion=None)


@mode
def version_number(server: Hostile) -> None:
    """Chooses a protocol version that is a number."""
    spoil_opening(server, protocolVersion=20251125)


@mode
def no_server_info(server: Hostile) -> None:
    """Does not say who it is."""
    spoil_opening(server, serverInfo=None)


@mode
def odd_capabilities(server: Hostile) -> None:
    """Declares capabilities of odd types."""
    spoil_opening(server, capabilities={"tools": [True], "logging": 7, "prompts": "yes", "x": None})


@mode
def capabilities_array(server: Hostile) -> None:
    """Declares an array of capabilities instead of an object."""
    spoil_opening(server, capabilities=["tools"])


@mode
def huge_server_info(server: Hostile) -> None:
    """Gives itself a name, a capability and instructions of 2 MiB each."""
    huge = "n" * HUGE
    info = {"name": huge, "version": "1"}
    abilities = {"tools": {}, "experimental": {huge: {}}}
    spoil_opening(server, serverInfo=info, capabilities=abilities, instructions=huge)


@mode
def deep_server_info(server: Hostile) -> None:
    """Puts objects nested 600 deep, which a parser still takes, into its opening answer."""
    deep: Message = {}
    for _ in range(600):
        deep = {"a": deep}
    abilities = {"tools": {}, "experimental": deep}
    spoil_opening(server, serverInfo={"name": "deep", "version": "1", "x": deep})
    server.capabilities = abilities


@mode
def infinite_server_info(server: Hostile) -> None:
    """Puts 1e999, which parsers read as infinity, into its opening answer and its tools."""
    server.info |= {"x": INFINITE}
    server.capabilities = {"tools": {}, "experimental": {"x": {"y": INFINITE}}}
    limit = {"type": "number", "maximum": INFINITE, "default": INFINITE}
    server.tools = [*server.tools, tool("limit", limit=limit)]

    @server.replace
    def encode(message: Message) -> bytes:
        return Server.encode(server, message).replace(f'"{INFINITE}"'.encode(), b"1e999")


@mode
def odd_instructions(server: Hostile) -> None:
    """Gives instructions that are an array of objects."""
    spoil_opening(server, instructions=[{"do": "this"}, 42])


@mode
def initialize_error(server: Hostile) -> None:
    """Answers the opening request with an error."""

    @server.handle("initialize")
    def initialize(_: Message) -> None:
        raise RpcError(-32000, "Not today.")


@mode
def initialize_text(server: Hostile) -> None:
    """Answers the opening request with a text."""
    server.handle("initialize")(lambda _: "welcome")
