"""Headers that repeat a call's arguments (2026-07-28): which ones, a tool's schema says.

A property with ``x-mcp-header: TOKEN`` is sent as ``Mcp-Param-TOKEN`` too, so that what stands
between client and server can route by it without reading the body.
"""

from __future__ import annotations

import json

from mcp_sandbox.model import Json

MAX_TOOLS = 10_000
"""Tools whose headers are remembered."""
MAX_VALUE = 8 * 2**10
"""Characters of a value that a header repeats: of what is longer no server takes the headers."""
MAX_HEADERS = 64
"""Headers of one call."""


def header(name: str, value: str) -> list[tuple[str, str]]:
    """``NAME: value`` as the transport encodes it; nothing for what no header can carry."""
    # Imported where it is used: it takes longer than all the rest.
    from mcp.shared.inbound import encode_header_value  # noqa: PLC0415

    if len(value) > MAX_VALUE:
        return []
    try:
        return [(name, encode_header_value(value))]
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return []


class ParamHeaders:
    """What the listed tools want repeated."""

    def __init__(self) -> None:
        self._paths: dict[str, dict[tuple[str, ...], str]] = {}

    def learn(self, body: bytes) -> None:
        """Take what an answer to ``tools/list`` declares.

        A tool whose declarations the protocol forbids gets none of them: a client would not show it
        to its model; this one calls it all the same.
        """
        from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map  # noqa: PLC0415

        if b"x-mcp-header" not in body:
            return
        try:
            tools = json.loads(body)["result"]["tools"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        for tool in tools if isinstance(tools, list) else ():
            if not isinstance(tool, dict) or len(self._paths) >= MAX_TOOLS:
                continue
            name, schema = tool.get("name"), tool.get("inputSchema")
            if not isinstance(name, str):
                continue
            if find_invalid_x_mcp_header(schema) is None and (paths := x_mcp_header_map(schema)):
                self._paths[name] = dict(list(paths.items())[:MAX_HEADERS])

    def of(self, message: dict[str, Json]) -> list[tuple[str, str]]:
        """The headers that go with a message."""
        from mcp.shared.inbound import mcp_param_headers  # noqa: PLC0415

        params = message.get("params")
        if message.get("method") != "tools/call" or not isinstance(params, dict):
            return []
        paths, arguments = self._paths.get(str(params.get("name"))), params.get("arguments")
        if not paths or not isinstance(arguments, dict):
            return []
        found: list[tuple[str, str]] = []
        for path, token in paths.items():
            value = _at(arguments, path)
            if isinstance(value, str):
                found += header(f"Mcp-Param-{token}", value)
            else:
                found += mcp_param_headers({path: token}, arguments).items()
        return found


def _at(arguments: Json, path: tuple[str, ...]) -> Json:
    for key in path:
        arguments = arguments.get(key) if isinstance(arguments, dict) else None
    return arguments
