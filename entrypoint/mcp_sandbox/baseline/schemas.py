"""Two JSON schemas side by side: does the new one take more, or less, than the old one.

Directional, keyword by keyword. A keyword's change is ``WIDER`` or ``NARROWER`` where the
specification decides it (JSON Schema 2020-12, and the older forms that servers still send), and
``OTHER`` where it does not: another ``pattern``, a changed ``if``, a reference that cannot be
followed. Texts (descriptions, titles, examples, ``$comment``, ``x-*``) are ``WORDS``, one change a
pointer. ``GAINED`` and ``LOST`` are kept for properties, required names, listed values and texts;
a keyword is ``CHANGED`` even where it was not there before.

A declared parameter that is new counts as wider although a schema that is open had let it pass: it
is what the model is now asked to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcp_sandbox.baseline import alternatives, keywords
from mcp_sandbox.baseline.keywords import PROSE, Difference, canonical, escaped, text
from mcp_sandbox.model import Json
from mcp_sandbox.model.locked import Direction, Effect

MAX_DEPTH = 64
"""Levels of nesting that are compared one by one."""
MAX_STEPS = 20_000
"""Pairs of subschemas of one schema; a reference may lead to the same one many times."""


_SCHEMAS = frozenset(
    {"additionalProperties", "unevaluatedProperties", "additionalItems", "unevaluatedItems"}
    | {"propertyNames"}
)
"""Keywords that hold a schema and only ever narrow."""
_HANDLED = frozenset(
    {"type", "enum", "const", "properties", "patternProperties", "required", "items"}
    | {"prefixItems", "allOf", "anyOf", "oneOf", "$defs", "definitions", "multipleOf"}
    | {"uniqueItems"}
)


def differences(old: Json, new: Json, pointer: str = "") -> tuple[Difference, ...]:
    """All differences, each once, sorted by pointer. ``None`` is a schema that is not there."""
    if canonical(old) == canonical(new):
        return ()
    walk = _Walk(old, new)
    found = list(dict.fromkeys(walk.compare(old, new, pointer, MAX_DEPTH)))
    found += _unused_definitions(walk, old, new, pointer)
    if not found:
        # Never nothing: the two are not equal.
        one = keywords.other(pointer, old, new)
        plain = [canonical(_plain(_normal(side), MAX_DEPTH)) for side in (old, new)]
        same = plain[0] == plain[1] or bool(walk.met)
        found = [replace(one, effect=Effect.WORDS) if same else one]
    return tuple(sorted(found, key=_order))


def _plain(value: Json, depth: int) -> Json:
    """Without order in lists, and without members that say nothing: another way to write it."""
    if isinstance(value, list) and depth:
        return sorted((_plain(one, depth - 1) for one in value), key=canonical)
    if isinstance(value, dict) and depth:
        return {
            key: _plain(one, depth - 1)
            for key, one in value.items()
            if not (key in _EMPTY and (one is True or one in ({}, [])))
        }
    return value


_EMPTY = _SCHEMAS | {"items", "properties", "patternProperties", "$defs", "definitions", "allOf"}


def _order(one: Difference) -> tuple[str, ...]:
    return one.pointer, one.direction, one.effect, one.before, one.after


def _unused_definitions(walk: _Walk, old: Json, new: Json, pointer: str) -> list[Difference]:
    """Texts of definitions that no reference led to: they are listed, so a model reads them."""
    found: list[Difference] = []
    for key in ("$defs", "definitions"):
        left, right = (one.get(key) if isinstance(one, dict) else None for one in (old, new))
        if not isinstance(left, dict | None) or not isinstance(right, dict | None):
            if canonical(left) != canonical(right):
                found.append(keywords.other(f"{pointer}/{key}", left, right))
            continue
        left, right = left or {}, right or {}
        for name in sorted(left.keys() | right.keys()):
            one, other = left.get(name), right.get(name)
            told = id(other if name in right else one) in walk.met
            if told or canonical(one) == canonical(other):
                continue
            direction = keywords.gone(name in left, name in right)
            shown = ("" if v is None else text(v) for v in (one, other))
            found.append(
                Difference(f"{pointer}/{key}/{escaped(name)}", direction, Effect.WORDS, *shown)
            )
    return found


class _Walk:
    """One comparison: the two roots for references, and what was looked at already."""

    def __init__(self, old: Json, new: Json) -> None:
        self.roots = old, new
        self.met: set[int] = set()
        self._pairs: set[tuple[int, int]] = set()
        self._kept: list[Json] = []
        """What was put together on the way: its identity must stay its own."""
        self._steps = 0

    def compare(self, old: Json, new: Json, pointer: str, depth: int) -> Iterator[Difference]:
        """The differences of two subschemas. Absent, ``true`` and ``{}`` take anything."""
        old, new = _normal(old), _normal(new)
        if old is new or old == new == {}:
            return
        self._steps += 1
        if self.met:  # behind a reference: what is reached in many ways is told once
            pair = id(old), id(new)
            if pair in self._pairs:
                return
            self._pairs.add(pair)
        if not depth or self._steps > MAX_STEPS or not _is_schema(old) or not _is_schema(new):
            if canonical(old) != canonical(new):
                yield keywords.other(pointer, old, new)
            return
        if old is False or new is False:
            if old is not new:
                effect = Effect.WIDER if old is False else Effect.NARROWER
                yield Difference(pointer, Direction.CHANGED, effect, text(old), text(new))
            return
        yield from self._objects(old, new, pointer, depth)

    def _objects(
        self, old: dict[str, Json], new: dict[str, Json], pointer: str, depth: int
    ) -> Iterator[Difference]:
        yield from keywords.prose(old, new, pointer)
        if "$ref" in old or "$ref" in new:
            followed = self._followed(old, new)
            if followed is None:
                if canonical(_bare(old)) != canonical(_bare(new)):
                    yield keywords.other(pointer, old, new)
                return
            yield from self.compare(*followed, pointer, depth - 1)
            return
        if ("anyOf" in old) != ("anyOf" in new):
            decided = alternatives.judge(_bare(old), _bare(new))
            if decided is not None:
                shown = canonical(_bare(old)), canonical(_bare(new))
                yield Difference(pointer, Direction.CHANGED, decided, *shown)
                return
        yield from self._keywords(old, new, pointer, depth)

    def _followed(self, old: dict[str, Json], new: dict[str, Json]) -> tuple[Json, Json] | None:
        """Both with their reference replaced by what it leads to; ``None``: it leads nowhere."""
        sides: list[Json] = []
        for one, root in zip((old, new), self.roots, strict=True):
            if "$ref" not in one:
                sides.append(one)
                continue
            target = resolve(root, one["$ref"])
            beside = {key: value for key, value in one.items() if key not in {"$ref", *PROSE}}
            if target is None or (beside and not isinstance(target, dict)):
                return None
            self.met.add(id(target))
            if beside and beside.keys() & target.keys():
                return None
            sides.append({**target, **beside} if beside else target)
        self._kept += sides
        return sides[0], sides[1]

    def _keywords(
        self, old: dict[str, Json], new: dict[str, Json], pointer: str, depth: int
    ) -> Iterator[Difference]:
        yield from keywords.types(old, new, pointer)
        yield from keywords.values(old, new, pointer)
        yield from self._properties(old, new, pointer, depth)
        yield from self._items(old, new, pointer, depth)
        for key in ("allOf", "anyOf", "oneOf"):
            yield from self._combined(key, old, new, pointer, depth)
        for key in sorted((old.keys() | new.keys()) - _HANDLED - PROSE):
            before, after = old.get(key), new.get(key)
            if key in _SCHEMAS:
                yield from self.compare(before, after, f"{pointer}/{key}", depth - 1)
            elif canonical(before) != canonical(after) or (key in old) != (key in new):
                yield keywords.keyword(key, old, new, pointer)
        for key, effect in (("uniqueItems", keywords.unique), ("multipleOf", keywords.multiple)):
            if canonical(old.get(key)) != canonical(new.get(key)):
                yield keywords.changed(key, old, new, pointer, effect(old.get(key), new.get(key)))

    def _properties(
        self, old: dict[str, Json], new: dict[str, Json], pointer: str, depth: int
    ) -> Iterator[Difference]:
        needed = keywords.names(new.get("required"))
        for key in ("properties", "patternProperties"):
            before, after = (keywords.members(one.get(key)) for one in (old, new))
            for name in sorted(before.keys() | after.keys()):
                where = f"{pointer}/{key}/{escaped(name)}"
                if name in before and name in after:
                    yield from self.compare(before[name], after[name], where, depth - 1)
                elif name in after:
                    effect = Effect.NARROWER if name in needed else Effect.WIDER
                    shown = canonical(after[name])
                    yield Difference(where, Direction.GAINED, effect, after=shown)
                else:
                    shown = canonical(before[name])
                    yield Difference(where, Direction.LOST, Effect.NARROWER, before=shown)
            odd = any(not isinstance(one.get(key), dict | None) for one in (old, new))
            if odd and canonical(old.get(key)) != canonical(new.get(key)):
                yield keywords.other(f"{pointer}/{key}", old.get(key), new.get(key))
        yield from keywords.required(old, new, f"{pointer}/required")

    def _items(
        self, old: dict[str, Json], new: dict[str, Json], pointer: str, depth: int
    ) -> Iterator[Difference]:
        """``items`` as one schema, and the list of schemas that came before ``prefixItems``."""
        for key in ("items", "prefixItems"):
            before, after = old.get(key), new.get(key)
            where = f"{pointer}/{key}"
            if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
                for number, (left, right) in enumerate(zip(before, after, strict=True)):
                    yield from self.compare(left, right, f"{where}/{number}", depth - 1)
            elif isinstance(before, list) or isinstance(after, list):
                yield keywords.other(where, before, after)
            elif key == "items":
                yield from self.compare(before, after, where, depth - 1)
            elif canonical(before) != canonical(after):
                yield keywords.other(where, before, after)

    def _combined(
        self, key: str, old: dict[str, Json], new: dict[str, Json], pointer: str, depth: int
    ) -> Iterator[Difference]:
        """``allOf``, ``anyOf``, ``oneOf``: equal members go, as many left over are paired."""
        before, after = old.get(key), new.get(key)
        where = f"{pointer}/{key}"
        if canonical(before) == canonical(after):
            return
        if not isinstance(before, list | None) or not isinstance(after, list | None):
            yield keywords.other(where, before, after)
            return
        left, right = _left_over(before or [], after or [])
        exclusive = key == "oneOf" and not all(
            alternatives.disjoint(members) for members in (before or [], after or [])
        )
        if len(left) == len(right):
            for (_, one), (number, other) in zip(left, right, strict=True):
                for each in self.compare(one, other, f"{where}/{number}", depth - 1):
                    # What fewer members take, exactly one of them may now take.
                    hidden = exclusive and each.effect is Effect.NARROWER
                    yield replace(each, effect=Effect.OTHER) if hidden else each
        elif left and right:
            yield keywords.other(where, before, after)
        else:
            # One more thing to satisfy takes less, one more to choose from takes more. The first
            # choice is a bound where there was none, the last one's going takes it away.
            more = bool(right) is (key != "allOf")
            if key != "allOf" and (before is None or after is None):
                more = not more
            effect = Effect.WIDER if more else Effect.NARROWER
            if exclusive and before is not None and after is not None:
                effect = Effect.OTHER  # what two of them take, none of them takes
            yield keywords.changed(key, old, new, pointer, effect)


def resolve(root: Json, reference: Json) -> Json:
    """What a reference inside the same document leads to; ``None`` when it leads out or nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    node = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key[:6]) < len(node):
            node = node[int(key[:6])]
        else:
            return None
    return node if reference == "#" or reference.startswith("#/") else None


def _normal(schema: Json) -> Json:
    return _ANYTHING if schema is None or schema is True else schema


_ANYTHING: dict[str, Json] = {}


def _is_schema(value: Json) -> bool:
    return value is False or isinstance(value, dict)


def _bare(schema: dict[str, Json]) -> dict[str, Json]:
    """Without the keywords that are words only."""
    return {key: value for key, value in schema.items() if key not in PROSE}


def _left_over(
    before: list[Json], after: list[Json]
) -> tuple[list[tuple[int, Json]], list[tuple[int, Json]]]:
    """(position, member) of what has no equal on the other side."""
    waiting: dict[str, list[int]] = {}
    for number, member in enumerate(before):
        waiting.setdefault(canonical(member), []).append(number)
    right = []
    for number, member in enumerate(after):
        equal = waiting.get(canonical(member))
        if equal:
            equal.pop(0)
        else:
            right.append((number, member))
    left = sorted(number for numbers in waiting.values() for number in numbers)
    return [(number, before[number]) for number in left], right
