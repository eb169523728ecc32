"""Reading a JSON Schema of a peer: what kind it is of, and several schemas as one.

Junk where a keyword should be is ignored. Nothing here is exact; a compiled schema decides.
"""

from __future__ import annotations

from typing import Any

from mcp_sandbox.model import Json

Schema = dict[str, Any]

_INFERRED = (
    ("object", ("properties", "required", "additionalProperties", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains")),
    ("string", ("pattern", "minLength", "maxLength", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


DEEP = ("object", "array", "untyped")


def kind_of(schema: Schema) -> str:
    """The first type that is not null (``integer`` is ``number``), or what the keywords imply."""
    types = [one for one in types_of(schema) if one != "null"]
    if types:
        first = str(types[0])
        return "number" if first == "integer" else first
    if "null" in types_of(schema):
        return "null"
    for kind, keywords in _INFERRED:
        if any(keyword in schema for keyword in keywords):
            return kind
    return "untyped"


def types_of(schema: Schema) -> list[Json]:
    """The types named, as a list."""
    named = schema.get("type")
    return named if isinstance(named, list) else [named] if isinstance(named, str) else []


def both(base: Schema, extra: Schema) -> Schema:
    """Two schemas for the same place as one (not exact: the check decides)."""
    out = dict(base)
    for key, value in extra.items():
        out[key] = _joined(key, out[key], value) if key in out else value
    return out


def _joined(key: str, here: Json, value: Json) -> Json:
    """What a keyword comes to when it is said twice; the first where nothing better is known."""
    joined: Json = here
    if key == "properties":
        known = members(here)
        shared = {k: {"allOf": [known[k], v]} for k, v in members(value).items() if k in known}
        joined = known | members(value) | shared
    elif key == "required":
        joined = [*elements(here), *(one for one in elements(value) if one not in elements(here))]
    elif key == "enum":
        joined = [one for one in elements(here) if one in elements(value)]
    elif key == "type":
        mine, other = types_of({key: here}), types_of({key: value})
        joined = [one for one in mine if one in other]
        if {"number", "integer"} == {*map(str, mine), *map(str, other)}:
            joined = ["integer"]
    elif key in _LOWER and _comparable(here, value):
        joined = max(here, value)
    elif key in _UPPER and _comparable(here, value):
        joined = min(here, value)
    elif key == "const":
        joined = value
    return joined


_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def _comparable(*values: Json) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def members(value: Json) -> dict[str, Any]:
    """``value`` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def elements(value: Json) -> list[Json]:
    """``value`` where it is an array, else an empty one."""
    return value if isinstance(value, list) else []
