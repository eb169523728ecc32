"""Servers whose answers hold values that parsers differ on or choke on."""

from __future__ import annotations

import json

from honest import Message, Server, tool
from registry import Hostile, mode

DEEP = 100_000


def spoil_calls(server: Hostile, old: bytes, new: bytes) -> None:
    """Replace bytes in the answers to calls."""

    @server.replace
    def encode(message: Message) -> bytes:
        line = Server.encode(server, message)
        return line.replace(old, new, 1) if server.calls else line


@mode
def duplicate_keys(server: Hostile) -> None:
    """Names a member of each call's answer twice."""
    spoil_calls(server, b'"isError":', b'"isError":true,"isError":')


@mode
def nan_and_infinity(server: Hostile) -> None:
    """Puts NaN and Infinity, which are no JSON, into each call's answer."""
    spoil_calls(server, b'"isError":', b'"x":[NaN,Infinity,-Infinity],"isError":')


@mode
def infinite_float(server: Hostile) -> None:
    """Puts 1e999, which parsers read as infinity, into each call's answer."""
    spoil_calls(server, b'"isError":', b'"x":[1e999,-1e999],"isError":')


@mode
def surrogates_in_list(server: Hostile) -> None:
    r"""Puts the escape of half a character (``\ud800``) into its tools."""
    half = "\ud800"
    server.info |= {"name": half}
    server.tools = [tool(f"half{half}", half, **{f"p{half}": {"default": half}}), *server.tools]

    @server.replace
    def encode(message: Message) -> bytes:
        return json.dumps(message, separators=(",", ":")).encode()


@mode
def lone_surrogate(server: Hostile) -> None:
    r"""Puts the escape of half a character (``\ud800``) into each call's answer."""
    spoil_calls(server, b'"text":"', b'"text":"\\ud800')


@mode
def huge_integer(server: Hostile) -> None:
    """Puts a number of 10,000 digits into each call's answer."""
    spoil_calls(server, b'"isError":', b'"x":' + b"9" * 10_000 + b',"isError":')


@mode
def deep_reply(server: Hostile) -> None:
    """Puts arrays nested 100,000 deep into each call's answer."""
    spoil_calls(server, b'"isError":', b'"x":' + b"[" * DEEP + b"]" * DEEP + b',"isError":')


@mode
def nearly_too_deep(server: Hostile) -> None:
    """Nests arrays 900 deep in the first call's answer, and one deeper in each further one."""

    @server.replace
    def encode(message: Message) -> bytes:
        depth = 900 + server.calls
        nested = b'"x":' + b"[" * depth + b"]" * depth + b',"isError":'
        line = Server.encode(server, message)
        return line.replace(b'"isError":', nested, 1) if server.calls else line


@mode
def dense_reply(server: Hostile) -> None:
    """Answers calls with 6 MiB of empty objects, which take 30 times as much once parsed."""
    dense = b'"x":[' + b"{}," * (2 * 2**20) + b'0],"isError":'
    spoil_calls(server, b'"isError":', dense)
