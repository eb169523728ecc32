"""Ordinary arguments for a tool, and the places in them where text can be put.

Walks a peer's JSON Schema once per attempt, guided by its own examples and defaults first and by
names and descriptions then. The result is a *proposal*: the caller checks it with
``schema.compile_schema`` and, when it is not valid, tries the next ``choice``: other branches of
``anyOf``, ``oneOf`` and ``if``. Bounded in depth and in steps; junk where a keyword should be is
ignored.

Limits: ``not``, ``propertyNames``, ``unevaluated*`` and ``contains`` beyond its first item are left
to luck and to the check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcp_sandbox.model import Json
from mcp_sandbox.probe.combine import DEEP, Schema, both, elements, kind_of, members, types_of
from mcp_sandbox.probe.hints import Context, Guess, Hint, guess_text, words
from mcp_sandbox.probe.schema import Checker, UnusableSchema, compile_schema, resolve
from mcp_sandbox.probe.values import (
    FORMAT_HINTS,
    FORMATS,
    STRING_KEYWORDS,
    Unsatisfiable,
    offered,
    ordinary,
    unlike,
)

Path = tuple[str | int, ...]

MAX_STEPS = 4_000
MAX_DEPTH = 24
MAX_ITEMS = 64
MAX_PROPERTIES = 64
MAX_LEAVES = 64
_SHALLOW = 4
"""Below this depth only what is required is made, so that recursive schemas end."""
_MOVING = frozenset(("move", "copy", "rename", "mv", "cp", "clone", "duplicate"))
_BEGINNINGS = frozenset(("source", "src", "from", "old", "original", "current"))
_ENDS = frozenset(("destination", "dest", "dst", "target", "to", "new"))
"""Words of parameters that must not be the same when something is moved from one to the other."""
_CONDITIONS = ("if", "then", "else")
_BRANCHES = ("anyOf", "oneOf")


@dataclass(frozen=True)
class Leaf:
    """A place in the arguments that takes one value."""

    path: Path
    kind: str
    """``string``, ``number``, ``boolean``, ``enum``, ``untyped``, ``array``, ``object``."""
    hints: tuple[Hint, ...]
    value: Json
    schema: Schema
    """What the value itself must satisfy, combined from all that applies."""

    def checker(self) -> Checker | None:
        """A check of this value alone; None when any text will do, or nothing can be said."""
        own = {key: value for key, value in self.schema.items() if key in STRING_KEYWORDS}
        if own.keys() <= {"type"}:
            return None
        try:
            return compile_schema(own)
        except UnusableSchema:
            return None


@dataclass(frozen=True)
class Proposal:
    """Arguments and their leaves, in the order of the schema."""

    value: Json
    leaves: tuple[Leaf, ...]


def propose(root: Json, context: Context, *, everything: bool, choice: int) -> Proposal:
    """One value for ``root``: all properties, or only the required ones.

    Raises ``Unsatisfiable``.
    """
    walk = _Walk(root, context, everything, choice)
    value = walk.node(root, (), "", 0)
    return Proposal(value, tuple(walk.leaves[:MAX_LEAVES]))


def _as_text(leaf: Leaf, takes_text: bool) -> Leaf:
    """The leaf, as text where another branch takes text."""
    if takes_text and leaf.kind != "string":
        return replace(leaf, kind="string", schema={})
    return leaf


class _Walk:
    """One walk over a schema; collects the leaves on its way."""

    def __init__(self, root: Json, context: Context, everything: bool, choice: int) -> None:
        self._root = root
        self._context = context
        self._everything = everything
        self._choice = choice
        self._steps = 0
        self.leaves: list[Leaf] = []

    def node(self, raw: Json, path: Path, name: str, depth: int) -> Json:
        schema, takes_text = self._merged(raw, depth)
        self._steps += 1
        if depth > MAX_DEPTH or self._steps > MAX_STEPS:
            raise Unsatisfiable
        kind = kind_of(schema)
        given = offered(schema)
        makers: dict[str, Callable[[], Json]] = {
            "object": lambda: self._object(schema, path, depth),
            "array": lambda: self._array(schema, path, name, depth),
        }
        if path == () and kind in ("object", "untyped"):
            return self._object(schema, path, depth)  # arguments are an object, said or not
        guess = self._guess(schema, name)
        if kind in makers:
            at = len(self.leaves)
            made = makers[kind]()
            if given and not takes_text and len(self.leaves) == at:
                made = given[0]
            self.leaves.insert(at, _as_text(Leaf(path, kind, (), made, schema), takes_text))
            return made
        value = given[0] if given else ordinary(schema, kind, guess, name, self._context)
        if "enum" in schema or "const" in schema:
            kind = "enum"
        self.leaves.append(_as_text(Leaf(path, kind, guess.hints, value, schema), takes_text))
        return value

    def _guess(self, schema: Schema, name: str) -> Guess:
        described = schema.get("description")
        titled = schema.get("title")
        about = " ".join(text for text in (titled, described) if isinstance(text, str))
        guess = guess_text(name, about, self._context)
        wanted = schema.get("format")
        if isinstance(wanted, str):
            extra = FORMAT_HINTS.get(wanted)
            hints = (*((extra,) if extra else ()), *guess.hints)
            return Guess(hints, FORMATS.get(wanted, guess.value))
        return guess

    def _merged(self, raw: Json, depth: int) -> tuple[Schema, bool]:
        """Everything that applies to one place as one schema; whether some branch takes text."""
        todo = [raw]
        merged: Schema = {}
        takes_text = False
        for _ in range(100):
            if not todo:
                return merged, takes_text
            one = todo.pop(0)
            if one is False:
                raise Unsatisfiable
            if not isinstance(one, dict):
                continue
            plain = {k: v for k, v in one.items() if k not in ("allOf", "$ref", *_BRANCHES)}
            condition, then, otherwise = (plain.pop(key, None) for key in _CONDITIONS)
            merged = both(merged, plain)
            if "$ref" in one:
                todo.append(resolve(self._root, one["$ref"]))
            todo += elements(one.get("allOf"))
            if isinstance(condition, dict):
                todo += [condition, then] if self._choice % 2 == 0 else [otherwise]
            for key in _BRANCHES:
                branches = elements(one.get(key))
                if branches:
                    takes_text = takes_text or any(self._is_text(b) for b in branches)
                    todo.append(self._branch(branches, depth))
        raise Unsatisfiable

    def _is_text(self, branch: Json) -> bool:
        if isinstance(branch, dict) and "$ref" in branch:
            branch = resolve(self._root, branch["$ref"])
        return (
            isinstance(branch, dict)
            and "string" in types_of(branch)
            and not ({"enum", "const"} & branch.keys())
        )

    def _branch(self, branches: list[Json], depth: int) -> Json:
        real = [b for b in branches if not (isinstance(b, dict) and b.get("type") == "null")]
        real = real or branches
        if depth > _SHALLOW:
            plain = [b for b in branches if isinstance(b, dict) and kind_of(b) not in DEEP]
            real = plain or real
        return real[self._choice % len(real)]

    def _object(self, schema: Schema, path: Path, depth: int) -> Json:
        properties = members(schema.get("properties"))
        required = [name for name in elements(schema.get("required")) if isinstance(name, str)]
        needed = frozenset(required)
        everything = self._everything and depth <= _SHALLOW
        names = [name for name in properties if name in needed]
        if everything:
            optional = [name for name in properties if name not in needed]
            names += optional[: max(0, MAX_PROPERTIES - len(names))]
            order = {name: place for place, name in enumerate(properties)}
            names.sort(key=order.__getitem__)
        names += [name for name in required if name not in properties]
        out: dict[str, Json] = {}

        def add(name: str, *, needed: bool) -> None:
            before = len(self.leaves)
            try:
                child = _member(schema, properties, name)
                out[name] = self.node(child, (*path, name), name, depth + 1)
            except Unsatisfiable:
                if needed:
                    raise
                del self.leaves[before:]

        for name in names:
            add(name, needed=name in needed)
        dependent = members(schema.get("dependentRequired"))
        for other in [one for name in list(out) for one in elements(dependent.get(name))]:
            if isinstance(other, str) and other not in out:
                add(other, needed=True)
        wanted = _least_members(schema)
        if everything and path and not properties and members(schema.get("additionalProperties")):
            wanted = max(wanted, 1)
        spare = [name for name in properties if name not in out]
        spare += [f"sample{number}" for number in range(1, wanted + 1)]
        while len(out) < wanted and spare:
            add(spare.pop(0), needed=True)
        self._part(out, path)
        return out

    def _part(self, out: dict[str, Json], path: Path) -> None:
        """Give what is moved, copied or replaced another end than its beginning."""
        moves = bool(_MOVING & frozenset(words(self._context.tool)))
        begin = {name: frozenset(words(name)) & _BEGINNINGS for name in out}
        for name, value in list(out.items()):
            if not isinstance(value, str) or not frozenset(words(name)) & _ENDS:
                continue
            same = [said for other, said in begin.items() if said and out[other] == value]
            places = [at for at, one in enumerate(self.leaves) if one.path == (*path, name)]
            if not same or not places:
                continue
            leaf = self.leaves[places[0]]
            is_place = moves or Hint.PATH in leaf.hints or any("old" in said for said in same)
            if leaf.kind != "string" or not is_place:
                continue
            other = _beside(value, leaf.hints)
            checker = leaf.checker()
            if checker is None or checker.admits(other):
                out[name] = other
                self.leaves[places[0]] = replace(leaf, value=other)

    def _array(self, schema: Schema, path: Path, name: str, depth: int) -> Json:
        items = schema.get("items")
        prefix = elements(schema.get("prefixItems")) or elements(items)
        each = schema.get("additionalItems") if isinstance(items, list) else items
        low, high = schema.get("minItems"), schema.get("maxItems")
        least = low if isinstance(low, int) else 0
        if least > MAX_ITEMS:
            raise Unsatisfiable
        count = max(least, len(prefix))
        if depth <= _SHALLOW and each is not False and "items" in schema:
            count = max(count, 1)
        if isinstance(high, int):
            count = max(min(count, high), 0)
        if count == 0 and isinstance(schema.get("contains"), dict) and high != 0:
            count = 1
        out: list[Json] = []
        for index in range(count):
            if index < len(prefix):
                child = prefix[index]
            elif index == len(prefix) and isinstance(schema.get("contains"), dict):
                child = {"allOf": [schema["contains"], each if each is not None else {}]}
            else:
                child = each if each is not None else {}
            keep = len(self.leaves)
            value = self.node(child, (*path, index), name, depth + 1)
            if schema.get("uniqueItems") is True and value in out:
                value = unlike(child, value, out, index)
            if index > len(prefix):
                del self.leaves[keep:]  # further items are like the first
            out.append(value)
        return out


def _beside(value: str, hints: tuple[Hint, ...]) -> str:
    """A value like this one, for another file, folder or name."""
    if Hint.DIRECTORY in hints:
        return f"{value.rstrip('/')}/sample-2"
    stem, dot, extension = value.rpartition(".")
    if Hint.PATH in hints and dot and stem and "/" not in extension:
        return f"{stem}-2.{extension}"
    return f"{value}-2"


def _member(schema: Schema, properties: Schema, name: str) -> Json:
    """The schema of one property, declared or not."""
    if name in properties:
        return properties[name]
    for child in members(schema.get("patternProperties")).values():
        return child
    return members(schema.get("additionalProperties"))


def _least_members(schema: Schema) -> int:
    least = schema.get("minProperties")
    return min(least, MAX_ITEMS) if isinstance(least, int) else 0
