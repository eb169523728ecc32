"""Servers whose list of tools is endless, huge, or not made of tools."""

from __future__ import annotations

import itertools
from typing import Any

from honest import ADD, ECHO, Message, RpcError, tool
from registry import Hostile, mode

MANY = 100_000
HUGE_DESCRIPTION = 8 * 2**20
HUGE_NAME = 2**20


@mode
def endless_pages(server: Hostile) -> None:
    """Names a new cursor, and one new tool, on every page."""
    number = itertools.count()

    @server.handle("tools/list")
    def page(_: Message) -> Message:
        here = next(number)
        return {"tools": [tool(f"tool{here}")], "nextCursor": f"page-{here}"}

    answers_nothing(server)


@mode
def endless_empty_pages(server: Hostile) -> None:
    """Names a new cursor on every page, and no tool at all."""
    number = itertools.count()
    server.handle("tools/list")(lambda _: {"tools": [], "nextCursor": f"page-{next(number)}"})


@mode
def cursor_loop(server: Hostile) -> None:
    """Names the same two cursors in turn."""

    @server.handle("tools/list")
    def page(params: Message) -> Message:
        after = {"a": "b", "b": "a"}.get(params.get("cursor", ""), "a")
        return {"tools": [ECHO if after == "a" else ADD], "nextCursor": after}


@mode
def cursor_number(server: Hostile) -> None:
    """Names a cursor that is a number."""
    server.handle("tools/list")(lambda _: {"tools": server.tools, "nextCursor": 7})


@mode
def huge_cursor(server: Hostile) -> None:
    """Names a new cursor of one megabyte on every page."""
    number = itertools.count()

    @server.handle("tools/list")
    def page(_: Message) -> Message:
        return {"tools": [ECHO], "nextCursor": str(next(number)).zfill(HUGE_NAME)}


@mode
def tools_not_a_list(server: Hostile) -> None:
    """Lists its tools as an object."""
    server.handle("tools/list")(lambda _: {"tools": {"echo": ECHO}})


@mode
def no_tools_member(server: Hostile) -> None:
    """Answers the request for its tools with an empty object."""
    server.handle("tools/list")(lambda _: {})


@mode
def list_error(server: Hostile) -> None:
    """Declares tools and answers the request for them with an error."""

    @server.handle("tools/list")
    def refuse(_: Message) -> None:
        raise RpcError(-32603, "out of tools")


@mode
def many_tools(server: Hostile) -> None:
    """Lists 100,000 tools, 10,000 a page."""
    server.tools = [{"name": f"t{n}", "inputSchema": {"type": "object"}} for n in range(MANY)]
    server.page_size = 10_000
    answers_nothing(server)


@mode
def many_tools_on_a_page(server: Hostile) -> None:
    """Lists 100,000 tools on one page of more than 4 MiB."""
    server.tools = [{"name": f"t{n}", "inputSchema": {"type": "object"}} for n in range(MANY)]
    server.page_size = MANY
    answers_nothing(server)


def answers_nothing(server: Hostile) -> None:
    """Call any tool without a result."""
    server.handle("tools/call")(lambda _: {"content": []})


@mode
def huge_description(server: Hostile) -> None:
    """Describes a tool with 8 MiB of text."""
    server.tools = [ECHO, tool("verbose", "z" * HUGE_DESCRIPTION)]


@mode
def odd_tools(server: Hostile) -> None:
    """Lists null, a number, a text, a truth value and an array among two good tools."""
    server.tools = [None, ECHO, 42, "tool", True, [], ADD]
    calls_by_name(server)


def calls_by_name(server: Hostile) -> None:
    """Call any tool honestly where it is echo or add, else with an empty result."""
    honest = server.call_tool
    listed = server.tools

    @server.handle("tools/call")
    def call(params: Message) -> Message:
        server.tools = [ECHO, ADD]
        known = params.get("name") in ("echo", "add")
        answer: Any = honest(params) if known else {"content": []}
        server.tools = listed
        return answer


@mode
def nameless_tool(server: Hostile) -> None:
    """Lists a tool without a name, and one with an empty name, among two good tools."""
    nameless = {key: value for key, value in ECHO.items() if key != "name"}
    server.tools = [nameless, ECHO, tool(""), ADD]
    calls_by_name(server)


@mode
def name_not_a_text(server: Hostile) -> None:
    """Lists tools whose names are a number, an object and null, among two good tools."""
    server.tools = [tool(7), ECHO, tool({"a": 1}), tool(None), ADD]
    calls_by_name(server)


@mode
def duplicate_names(server: Hostile) -> None:
    """Lists three tools called echo, each with another description."""
    server.tools = [ECHO | {"description": f"Echo number {n}."} for n in range(3)] + [ADD]
    calls_by_name(server)


@mode
def huge_name(server: Hostile) -> None:
    """Lists a tool whose name is one megabyte long, and two good tools."""
    server.tools = [ECHO, tool("n" * HUGE_NAME), ADD]
    calls_by_name(server)


@mode
def odd_members(server: Hostile) -> None:
    """Lists a tool whose description, title, annotations and output schema have odd types."""
    odd = {"description": 7, "title": [], "annotations": "safe", "outputSchema": 1, "_meta": "x"}
    server.tools = [ECHO | odd, ADD]
    calls_by_name(server)
