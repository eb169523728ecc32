"""The keywords of a schema that hold no schema: bounds, types, values, required names, texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcp_sandbox.baseline import alternatives
from mcp_sandbox.model import Json
from mcp_sandbox.model.locked import Direction, Effect


@dataclass(frozen=True)
class Difference:
    """One difference between two schemas."""

    pointer: str
    direction: Direction
    effect: Effect
    before: str = ""
    after: str = ""


PROSE = frozenset(
    {"description", "title", "markdownDescription", "$comment", "examples", "$schema"}
)
"""Keywords that constrain nothing: what stands there are words."""
_LOWER = frozenset(
    {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"}
)
_UPPER = frozenset(
    {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"}
)
_TEXTUAL = frozenset({"pattern", "format"})
"""Dropping one takes more, adding one less; two different ones cannot be compared."""


def text(value: Json) -> str:
    """A value for a reader: a string as it is, all else as canonical JSON."""
    return value if isinstance(value, str) else canonical(value)


def canonical(value: Json) -> str:
    """One line of JSON, equal for equal values (and ``1`` is not ``true``)."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def escaped(key: str) -> str:
    """A member's name as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def other(pointer: str, old: Json, new: Json) -> Difference:
    """What cannot be decided. ``None`` is a schema that is not there."""
    return Difference(pointer, Direction.CHANGED, Effect.OTHER, _text(old), _text(new))


def gone(before: bool, after: bool) -> Direction:
    """Which way something went that was or is there."""
    if before and after:
        return Direction.CHANGED
    return Direction.GAINED if after else Direction.LOST


def members(value: Json) -> Mapping[str, Json]:
    """The members of an object; none of what is no object."""
    return value if isinstance(value, dict) else {}


def names(value: Json) -> frozenset[str]:
    """The strings of a list."""
    found = value if isinstance(value, list) else []
    return frozenset(one for one in found if isinstance(one, str))


def required(old: dict[str, Json], new: dict[str, Json], where: str) -> Iterator[Difference]:
    """Names that became required, or no longer are; those of new properties are told there."""
    needed = [names(one.get("required")) for one in (old, new)]
    known = [members(one.get("properties")) for one in (old, new)]
    for name in sorted(needed[1] - needed[0]):
        if name in known[0] or name not in known[1]:
            yield Difference(where, Direction.GAINED, Effect.NARROWER, after=name)
    for name in sorted(needed[0] - needed[1]):
        if name in known[1] or name not in known[0]:
            yield Difference(where, Direction.LOST, Effect.WIDER, before=name)
    if needed[0] == needed[1] and canonical(old.get("required")) != canonical(new.get("required")):
        listed = all(isinstance(one.get("required", []), list) for one in (old, new))
        shown = _text(old.get("required")), _text(new.get("required"))
        effect = Effect.WORDS if listed else Effect.OTHER
        yield Difference(where, Direction.CHANGED, effect, *shown)


def _text(value: Json) -> str:
    return "" if value is None else text(value)


def prose(old: dict[str, Json], new: dict[str, Json], pointer: str) -> Iterator[Difference]:
    """Keywords that are words only."""
    for key in sorted(PROSE & (old.keys() | new.keys())):
        before, after = old.get(key), new.get(key)
        if canonical(before) != canonical(after):
            direction = gone(key in old, key in new)
            shown = ("" if v is None else text(v) for v in (before, after))
            yield Difference(f"{pointer}/{escaped(key)}", direction, Effect.WORDS, *shown)


def changed(
    key: str, old: dict[str, Json], new: dict[str, Json], pointer: str, effect: Effect
) -> Difference:
    """A keyword with another value."""
    shown = (text(one[key]) if key in one else "" for one in (old, new))
    return Difference(f"{pointer}/{escaped(key)}", Direction.CHANGED, effect, *shown)


def keyword(key: str, old: dict[str, Json], new: dict[str, Json], pointer: str) -> Difference:
    """A keyword that holds no schema which could be compared."""
    before, after = old.get(key), new.get(key)
    if key in _LOWER or key in _UPPER:
        effect = _bound(before, after, lower=key in _LOWER, there=(key in old, key in new))
    elif key in _TEXTUAL:
        effect = Effect.OTHER
        if (key in old) != (key in new):
            effect = Effect.WIDER if key in old else Effect.NARROWER
    elif key.startswith("x-"):
        effect = Effect.WORDS
    else:
        effect = Effect.OTHER
    return changed(key, old, new, pointer, effect)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bound(before: Json, after: Json, *, lower: bool, there: tuple[bool, bool]) -> Effect:
    if there == (True, False) and _is_number(before):
        return Effect.WIDER
    if there == (False, True) and _is_number(after):
        return Effect.NARROWER
    if not _is_number(before) or not _is_number(after):
        return Effect.OTHER
    return Effect.WIDER if (after < before) is lower else Effect.NARROWER


def unique(before: Json, after: Json) -> Effect:
    """``uniqueItems``."""
    if not isinstance(before, bool | None) or not isinstance(after, bool | None):
        return Effect.OTHER
    if bool(before) == bool(after):
        return Effect.WORDS
    return Effect.WIDER if before else Effect.NARROWER


def multiple(before: Json, after: Json) -> Effect:
    """``multipleOf``."""
    if before is None or after is None:
        return Effect.WIDER if after is None else Effect.NARROWER
    if not (isinstance(before, int) and isinstance(after, int) and before > 0 and after > 0):
        return Effect.OTHER
    if before % after == 0:
        return Effect.WIDER
    return Effect.NARROWER if after % before == 0 else Effect.OTHER


def types(old: dict[str, Json], new: dict[str, Json], pointer: str) -> Iterator[Difference]:
    """``type``, one or a list; an integer is a number."""
    if canonical(old.get("type")) == canonical(new.get("type")):
        return
    before, after = alternatives.types(old), alternatives.types(new)
    if before is None or after is None:
        effect = Effect.OTHER
    elif before == after:
        effect = Effect.WORDS
    elif before < after:
        effect = Effect.WIDER
    else:
        effect = Effect.NARROWER if after < before else Effect.OTHER
    yield changed("type", old, new, pointer, effect)


def values(old: dict[str, Json], new: dict[str, Json], pointer: str) -> Iterator[Difference]:
    """``enum`` and ``const``, which is an enum of one: each value that came or went."""
    before, after = alternatives.values(old), alternatives.values(new)
    key = "const" if "const" in old and "const" in new else "enum"
    where = f"{pointer}/{key}"
    if before is None and after is None:
        for each in ("enum", "const"):
            if canonical(old.get(each)) != canonical(new.get(each)):
                yield other(f"{pointer}/{each}", old.get(each), new.get(each))
    elif before is None or after is None:
        key = next(one for one in ("enum", "const") if one in old or one in new)
        odd = any(key in one and alternatives.values(one) is None for one in (old, new))
        effect = Effect.WIDER if after is None else Effect.NARROWER
        yield changed(key, old, new, pointer, Effect.OTHER if odd else effect)
    else:
        for value in sorted(after.keys() - before.keys()):
            shown = text(after[value])
            yield Difference(where, Direction.GAINED, Effect.WIDER, after=shown)
        for value in sorted(before.keys() - after.keys()):
            shown = text(before[value])
            yield Difference(where, Direction.LOST, Effect.NARROWER, before=shown)
