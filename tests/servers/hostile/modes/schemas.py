"""Servers whose tools have input schemas that are none, or that harm who uses them."""

from __future__ import annotations

from typing import Any

from honest import ADD, Message, Server, text
from registry import Hostile, mode

LEVELS = 5_000
CHOICES = 50_000
RAW = "@@raw@@"
"""Stands in a message where ``offer_raw`` puts bytes that ``json.dumps`` could not make."""


def offer(server: Hostile, schema: Any) -> None:
    """List one tool with a schema, which answers anything, and the tool add."""
    server.tools = [{"name": "odd", "description": "Takes anything.", "inputSchema": schema}, ADD]
    honest = server.call_tool
    server.handle("tools/call")(lambda p: honest(p) if p.get("name") == "add" else text("done"))


def offer_raw(server: Hostile, schema: bytes) -> None:
    """Like ``offer``, with a schema given as bytes."""
    offer(server, RAW)

    @server.replace
    def encode(message: Message) -> bytes:
        return Server.encode(server, message).replace(f'"{RAW}"'.encode(), schema)


@mode
def no_schema(server: Hostile) -> None:
    """Lists a tool without an input schema."""
    offer(server, None)
    del server.tools[0]["inputSchema"]


@mode
def schema_null(server: Hostile) -> None:
    """Lists a tool whose input schema is null."""
    offer(server, None)


@mode
def schema_text(server: Hostile) -> None:
    """Lists a tool whose input schema is a text."""
    offer(server, "string")


@mode
def schema_false(server: Hostile) -> None:
    """Lists a tool whose input schema allows nothing."""
    offer(server, {"type": "object", "properties": {"x": False}, "required": ["x"]})


@mode
def schema_of_an_array(server: Hostile) -> None:
    """Lists a tool whose arguments have to be an array, which the protocol does not allow."""
    offer(server, {"type": "array", "items": {"type": "string"}})


@mode
def schema_dialect_only(server: Hostile) -> None:
    """Lists a tool whose input schema names its dialect and nothing else."""
    offer(server, {"$schema": "http://json-schema.org/draft-07/schema#"})


@mode
def schema_odd_keywords(server: Hostile) -> None:
    """Lists a tool whose input schema uses keywords with values of odd types."""
    odd = {"type": "strnig", "minLength": -1, "pattern": "(", "enum": 3, "anyOf": {}}
    offer(server, {"type": 7, "properties": {"x": odd}, "required": "x", "$ref": 5})


@mode
def deep_schema(server: Hostile) -> None:
    """Lists a tool whose input schema nests 5,000 objects."""
    begin, end = b'{"type":"object","properties":{"a":', b"}}"
    offer_raw(server, begin * LEVELS + b'{"type":"string"}' + end * LEVELS)


@mode
def recursive_schema(server: Hostile) -> None:
    """Lists a tool whose input schema requires itself, so that no finite value fits."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}
    offer(server, {"$ref": "#/$defs/n", "type": "object", "$defs": {"n": node}})


@mode
def reference_loop(server: Hostile) -> None:
    """Lists a tool whose input schema is two references to each other."""
    loop = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    offer(server, {"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": loop})


@mode
def remote_reference(server: Hostile) -> None:
    """Lists a tool whose input schema points to a URL, a file and a missing place."""
    properties = {
        "url": {"$ref": "http://127.0.0.1:9/schema.json"},
        "file": {"$ref": "file:///etc/passwd"},
        "missing": {"$ref": "#/$defs/nowhere"},
    }
    offer(server, {"type": "object", "properties": properties, "required": list(properties)})


@mode
def exploding_pattern(server: Hostile) -> None:
    """Lists a tool with patterns that make a backtracking matcher run for ever."""
    pattern = {"type": "string", "pattern": "^(a+)+$", "minLength": 64, "maxLength": 64}
    worse = {"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}
    properties = {"a": pattern, "b": worse}
    offer(server, {"type": "object", "properties": properties, "required": ["a", "b"]})


@mode
def enormous_bounds(server: Hostile) -> None:
    """Lists a tool that requires texts, arrays and repetitions of a thousand million."""
    billion = 10**9
    properties = {
        "text": {"type": "string", "minLength": billion},
        "list": {"type": "array", "items": {"type": "integer"}, "minItems": billion},
        "pattern": {"type": "string", "pattern": "^[a-z]{1000000000}$"},
        "number": {"type": "integer", "minimum": 10**400},
    }
    offer(server, {"type": "object", "properties": properties, "required": list(properties)})


@mode
def enormous_enum(server: Hostile) -> None:
    """Lists a tool with a parameter of 50,000 choices."""
    choices = {"type": "string", "enum": [f"choice-{n}" for n in range(CHOICES)]}
    offer(server, {"type": "object", "properties": {"x": choices}, "required": ["x"]})


@mode
def many_parameters(server: Hostile) -> None:
    """Lists a tool that requires 10,000 parameters."""
    properties = {f"p{n}": {"type": "string"} for n in range(10_000)}
    offer(server, {"type": "object", "properties": properties, "required": list(properties)})


@mode
def wide_unions(server: Hostile) -> None:
    """Lists a tool whose input schema has 2^20 branches when unions are multiplied out."""
    union = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    offer(
        server, {"type": "object", "allOf": [{"properties": {f"p{n}": union}} for n in range(20)]}
    )
