"""What a schema lets one choose from: its types, its values, its ``anyOf`` members."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations

from mcp_sandbox.model import Json
from mcp_sandbox.model.locked import Effect

TYPES = frozenset({"null", "boolean", "object", "array", "number", "string"})
MAX_MEMBERS = 100
"""Members of a union that are compared with each other."""

_OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset(
        {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    ),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
        | {"minProperties", "maxProperties"}
    ),
}
"""Type -> the keywords that say something of values of that type only."""
_TYPED = frozenset().union(*_OF_TYPE.values())
_WORDS = frozenset({"description", "title", "examples", "$comment"})


def types(schema: Mapping[str, Json]) -> frozenset[str] | None:
    """The types that are let pass, ``integer`` as a part of ``number``; ``None`` for nonsense."""
    if "type" not in schema:
        return TYPES | {"integer"}
    named = schema["type"]
    found = named if isinstance(named, list) else [named]
    if not all(isinstance(one, str) and one in TYPES | {"integer"} for one in found):
        return None
    return frozenset(found) | ({"integer"} if "number" in found else set())


def values(schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """Canonical JSON -> value, of all that ``enum`` and ``const`` let pass; ``None``: any."""
    enum = schema.get("enum")
    if isinstance(enum, list):
        listed = {_key(one): one for one in enum}
        if "const" in schema:
            return {key: one for key, one in listed.items() if key == _key(schema["const"])}
        return listed
    if "enum" not in schema and "const" in schema:
        return {_key(schema["const"]): schema["const"]}
    return None


def disjoint(members: list[Json]) -> bool:
    """No value can be of two members: their types or their values tell them apart."""
    if len(members) > MAX_MEMBERS or not all(isinstance(one, dict) for one in members):
        return False
    return all(_apart(one, other) for one, other in combinations(members, 2))


def _apart(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    left, right = types(one), types(other)
    if left is not None and right is not None and not left & right:
        return True
    chosen = values(one), values(other)
    if chosen[0] is not None and chosen[1] is not None and not chosen[0].keys() & chosen[1].keys():
        return True
    # A member that both require and that is another constant in each: a discriminated union.
    needed = [set(map(str, _list(each.get("required")))) for each in (one, other)]
    for name in needed[0] & needed[1]:
        inner = [_of(each.get("properties"), name) for each in (one, other)]
        told = [values(each) for each in inner]
        if told[0] is not None and told[1] is not None and not told[0].keys() & told[1].keys():
            return True
    return False


def judge(old: Mapping[str, Json], new: Mapping[str, Json]) -> Effect | None:
    """One choice against several: ``type`` as a list, or alone, against ``anyOf``.

    ``WORDS`` says that both take the same, ``None`` that they cannot be compared like this.
    """
    before, after = _choices(old), _choices(new)
    if before is None or after is None:
        return None
    if before == after:
        return Effect.WORDS
    if before < after:
        return Effect.WIDER
    return Effect.NARROWER if after < before else None


def _choices(schema: Mapping[str, Json]) -> frozenset[str] | None:
    """Canonical JSON of each choice, one type each, with what bounds that type."""
    if "anyOf" not in schema:
        return _by_type(schema)
    members = schema["anyOf"]
    if not isinstance(members, list) or not 0 < len(members) <= MAX_MEMBERS:
        return None
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    found: set[str] = set()
    for member in members:
        if not isinstance(member, dict) or member.keys() & beside.keys():
            return None
        each = _by_type({**beside, **member})
        if each is None:
            return None
        found |= each
    return frozenset(found)


def _by_type(schema: Mapping[str, Json]) -> frozenset[str] | None:
    if "type" not in schema:
        return frozenset({_key(_without_words(schema))})
    if types(schema) is None:
        return None
    named = schema["type"]
    found = set()
    for one in named if isinstance(named, list) else [named]:
        own = _OF_TYPE.get("number" if one == "integer" else one, frozenset())
        kept = {key: value for key, value in schema.items() if key not in _TYPED - own}
        found.add(_key(_without_words({**kept, "type": one})))
    return frozenset(found)


def _without_words(schema: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in _WORDS}


def _of(members: Json, name: str) -> Mapping[str, Json]:
    inner = members.get(name) if isinstance(members, dict) else None
    return inner if isinstance(inner, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _key(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
