"""Servers whose messages are JSON, but no proper JSON-RPC."""

from __future__ import annotations

from typing import Any

from honest import Message, Server
from registry import Hostile, mode, opens


def spoil(server: Hostile, change: Any) -> None:
    """Send what ``change`` makes of the honest answer to every request but the opening one."""

    @server.replace
    def envelope(request: Message, body: Message) -> Message:
        honest = Server.envelope(server, request, body)
        return honest if opens(request) else change(honest)


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
