"""Servers whose messages are JSON, but no proper JSON-RPC or no proper opening answer."""

from __future__ import annotations

import json
from typing import Any

from honest import Message, RpcError, Server, tool
from registry import Hostile, mode, opens

DEEP = 100_000
HUGE = 2 * 2**20
INFINITE = "@infinite@"
"""Stands for ``1e999``, which ``json.dumps`` does not write."""


def spoil(server: Hostile, change: Any) -> None:
    """Send what ``change`` makes of the honest answer to every request but the opening one."""

    @server.replace
    def envelope(request: Message, body: Message) -> Message:
        honest = Server.envelope(server, request, body)
        return honest if opens(request) else change(honest)


def spoil_calls(server: Hostile, old: bytes, new: bytes) -> None:
    """Replace bytes in the answers to calls."""

    @server.replace
    def encode(message: Message) -> bytes:
        line = Server.encode(server, message)
        return line.replace(old, new, 1) if server.calls else line


# --- the envelope ---------------------------------------------------------------------------------


@mode
def wrong_id(server: Hostile) -> None:
    """Answers under an id that nobody used."""
    spoil(server, lambda answer: answer | {"id": "nobody-asked"})


@mode
def duplicate_answers(server: Hostile) -> None:
    """Sends each answer three times."""

    @server.replace
    def send(message: Message) -> None:
        for _ in range(3):
            Server.send(server, message)


@mode
def string_id(server: Hostile) -> None:
    """Turns a number that is an id into a text."""
    spoil(server, lambda answer: answer | {"id": str(answer["id"])})


@mode
def float_id(server: Hostile) -> None:
    """Turns a whole number that is an id into a fraction."""
    spoil(server, lambda answer: answer | {"id": float(answer["id"])})


@mode
def null_id(server: Hostile) -> None:
    """Answers with the id null."""
    spoil(server, lambda answer: answer | {"id": None})


@mode
def no_id(server: Hostile) -> None:
    """Answers without an id."""
    spoil(server, lambda answer: {key: answer[key] for key in answer if key != "id"})


@mode
def object_id(server: Hostile) -> None:
    """Answers with an object for an id."""
    spoil(server, lambda answer: answer | {"id": {"is": answer["id"]}})


@mode
def answers_early(server: Hostile) -> None:
    """Answers the next ten ids, which have not been used yet, before each answer."""

    @server.replace
    def answer(request: Message) -> None:
        if isinstance(request["id"], int):
            for ahead in range(1, 11):
                server.send({"jsonrpc": "2.0", "id": request["id"] + ahead, "result": {}})
        Server.answer(server, request)


@mode
def result_and_error(server: Hostile) -> None:
    """Answers with a result and an error at once."""
    both = {"result": {"content": []}, "error": {"code": -32000, "message": "both"}}
    spoil(server, lambda answer: answer | both)


@mode
def neither_result_nor_error(server: Hostile) -> None:
    """Answers with an id and nothing else."""
    spoil(server, lambda answer: {"jsonrpc": "2.0", "id": answer["id"]})


@mode
def error_is_a_text(server: Hostile) -> None:
    """Answers with an error that is a text."""
    spoil(server, lambda answer: {"jsonrpc": "2.0", "id": answer["id"], "error": "broken"})


@mode
def result_is_a_text(server: Hostile) -> None:
    """Answers with a result that is a text."""
    spoil(server, lambda answer: {"jsonrpc": "2.0", "id": answer["id"], "result": "done"})


@mode
def not_jsonrpc(server: Hostile) -> None:
    """Leaves the member jsonrpc out."""
    spoil(server, lambda answer: {key: answer[key] for key in answer if key != "jsonrpc"})


@mode
def wrong_jsonrpc(server: Hostile) -> None:
    """Says that it speaks JSON-RPC 1.0."""
    spoil(server, lambda answer: answer | {"jsonrpc": "1.0"})


@mode
def odd_messages(server: Hostile) -> None:
    """Sends objects that are neither request, notification nor answer, or are several at once."""
    odd = [
        {},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "2.0", "method": 7},
        {"jsonrpc": "2.0", "method": None, "id": None},
        {"jsonrpc": "2.0", "method": ["ping"], "id": {"a": [1]}, "params": "none"},
        {"jsonrpc": "2.0", "method": "ping", "id": True, "result": {}},
        {"jsonrpc": "2.0", "result": {}},
        {"jsonrpc": 2.0, "error": {"code": "E", "message": 1}, "id": -1},
    ]

    @server.replace
    def answer(request: Message) -> None:
        for message in odd:
            server.send(message)
        Server.answer(server, request)


@mode
def odd_errors(server: Hostile) -> None:
    """Refuses calls with errors whose code or message is of an odd type."""
    bodies: list[Any] = [
        {"code": -32000, "message": ["not", {"a": "text"}], "data": {"a": None}},
        {"code": "E42", "message": "a text for a code"},
        {"code": True, "message": None},
        {},
    ]

    @server.replace
    def envelope(request: Message, body: Message) -> Message:
        if request["method"] == "tools/call":
            body = {"error": bodies[server.calls % len(bodies)]}
        return Server.envelope(server, request, body)


@mode
def odd_results(server: Hostile) -> None:
    """Answers calls with content and isError of odd types."""
    results: list[Message] = [
        {"content": None, "isError": "yes"},
        {"content": "text", "isError": 1},
        {"content": [None, 7, [], {"type": None}, {"type": "text", "text": {}}]},
        {"content": {"type": "text"}, "structuredContent": "x", "_meta": []},
        {},
    ]
    server.handle("tools/call")(lambda _: results[server.calls % len(results)])


# --- the opening answer ---------------------------------------------------------------------------


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


# --- values that parsers differ on ----------------------------------------------------------------


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
