"""Ordinary arguments for a tool, and the places in them where text can be put.

Walks a peer's JSON Schema once per attempt, guided by its own examples and defaults first and by
names and descriptions then. The result is a *proposal*: the caller checks it with
``schema.compile_schema`` and tries the next ``choice`` (other branches of ``anyOf``/``oneOf``/``if``)
when it is not valid. Bounded in depth and in steps; junk where a keyword should be is ignored.

Limits: ``not``, ``propertyNames``, ``unevaluated*`` and ``contains`` beyond its first item are left
to luck and to the check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from mcp_sandbox.model import Json
from mcp_sandbox.probe.hints import Context, Guess, Hint, guess_number, guess_text
from mcp_sandbox.probe.pattern import example
from mcp_sandbox.probe.schema import Checker, UnusableSchema, compile_schema, resolve

Path = tuple[str | int, ...]
Schema = dict[str, Any]

MAX_STEPS = 4_000
MAX_DEPTH = 24
MAX_ITEMS = 64
MAX_LEAVES = 64
_SHALLOW = 4
"""Below this depth only what is required is made, so that recursive schemas end."""

_FORMATS = {
    "date-time": "2026-01-15T12:30:00Z",
    "date": "2026-01-15",
    "time": "12:30:00Z",
    "duration": "PT5M",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "http://example.com/",
    "uri-reference": "/notes.txt",
    "iri": "http://example.com/",
    "iri-reference": "/notes.txt",
    "url": "http://example.com/",
    "uuid": "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69",
    "json-pointer": "/a",
    "relative-json-pointer": "0",
    "regex": "a+",
    "byte": "U2FtcGxl",
    "binary": "Sample",
    "uri-template": "http://example.com/{id}",
}
_FORMAT_HINTS = {
    "uri": Hint.URL,
    "url": Hint.URL,
    "iri": Hint.URL,
    "uri-reference": Hint.URL,
    "hostname": Hint.HOST,
    "ipv4": Hint.HOST,
    "file-path": Hint.PATH,
    "path": Hint.PATH,
    "directory-path": Hint.DIRECTORY,
}
_INFERRED = (
    ("object", ("properties", "required", "additionalProperties", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains")),
    ("string", ("pattern", "minLength", "maxLength", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
_CONDITIONS = ("if", "then", "else")
_BRANCHES = ("anyOf", "oneOf")


class Unsatisfiable(Exception):
    """No value was found within the bounds."""


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
        """A check of this value alone; None when its part of the schema is unusable by itself."""
        own = {key: value for key, value in self.schema.items() if key in _STRING_KEYWORDS}
        try:
            return compile_schema(own)
        except UnusableSchema:
            return None


_STRING_KEYWORDS = frozenset(("type", "pattern", "minLength", "maxLength", "enum", "const"))


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


class _Walk:
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
        kind = _kind(schema)
        given = _given(schema, optional=not self._everything)
        makers: dict[str, Callable[[], Json]] = {
            "object": lambda: self._object(schema, path, depth),
            "array": lambda: self._array(schema, path, name, depth),
        }
        if kind in makers and path == ():
            return makers[kind]()
        guess = self._guess(schema, name)
        if kind in makers:
            at = len(self.leaves)
            made = makers[kind]()
            if given and not takes_text and len(self.leaves) == at:
                made = given[0]
            self.leaves.insert(at, Leaf(path, "string" if takes_text else kind, (), made, schema))
            return made
        value = given[0] if given else _plain(schema, kind, guess, name, self._context)
        if "enum" in schema or "const" in schema:
            kind = "enum"
        elif takes_text:
            kind = "string"
        self.leaves.append(Leaf(path, kind, guess.hints, value, schema))
        return value

    def _guess(self, schema: Schema, name: str) -> Guess:
        described = schema.get("description")
        titled = schema.get("title")
        about = " ".join(text for text in (titled, described) if isinstance(text, str))
        guess = guess_text(name, about, self._context)
        wanted = schema.get("format")
        if isinstance(wanted, str):
            extra = _FORMAT_HINTS.get(wanted)
            hints = (*((extra,) if extra else ()), *guess.hints)
            return Guess(hints, _FORMATS.get(wanted, guess.value))
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
            merged = _both(merged, plain)
            if "$ref" in one:
                todo.append(resolve(self._root, one["$ref"]))
            todo += _array(one.get("allOf"))
            if isinstance(condition, dict):
                todo += [condition, then] if self._choice % 2 == 0 else [otherwise]
            for key in _BRANCHES:
                branches = _array(one.get(key))
                if branches:
                    takes_text = takes_text or any(self._is_text(b) for b in branches)
                    todo.append(self._branch(branches, depth))
        raise Unsatisfiable

    def _is_text(self, branch: Json) -> bool:
        if isinstance(branch, dict) and "$ref" in branch:
            branch = resolve(self._root, branch["$ref"])
        return (
            isinstance(branch, dict)
            and "string" in _types(branch)
            and not ({"enum", "const"} & branch.keys())
        )

    def _branch(self, branches: list[Json], depth: int) -> Json:
        real = [b for b in branches if not (isinstance(b, dict) and b.get("type") == "null")]
        real = real or branches
        if depth > _SHALLOW:
            plain = [b for b in branches if isinstance(b, dict) and _kind(b) not in _DEEP]
            real = plain or real
        return real[self._choice % len(real)]

    def _object(self, schema: Schema, path: Path, depth: int) -> Json:
        properties = _object(schema.get("properties"))
        required = [name for name in _array(schema.get("required")) if isinstance(name, str)]
        everything = self._everything and depth <= _SHALLOW
        names = list(properties) if everything else [n for n in properties if n in required]
        names += [name for name in required if name not in properties]
        out: dict[str, Json] = {}
        for name in names:
            self._member(out, schema, properties, name, path, depth, name in required)
        dependent = _object(schema.get("dependentRequired"))
        for name in list(out):
            for other in _array(dependent.get(name)):
                if isinstance(other, str) and other not in out:
                    self._member(out, schema, properties, other, path, depth, True)
        least = schema.get("minProperties")
        wanted = min(least, MAX_ITEMS) if isinstance(least, int) else 0
        extra = schema.get("additionalProperties")
        if everything and path and not properties and isinstance(extra, dict):
            wanted = max(wanted, 1)
        spare = [name for name in properties if name not in out]
        spare += [f"sample{number}" for number in range(1, wanted + 1)]
        while len(out) < wanted and spare:
            self._member(out, schema, properties, spare.pop(0), path, depth, True)
        return out

    def _member(
        self,
        out: dict[str, Json],
        schema: Schema,
        properties: Schema,
        name: str,
        path: Path,
        depth: int,
        needed: bool,
    ) -> None:
        if name in properties:
            child = properties[name]
        else:
            patterned = list(_object(schema.get("patternProperties")).values())
            extra = schema.get("additionalProperties")
            child = patterned[0] if patterned else extra if isinstance(extra, dict) else {}
        before = len(self.leaves)
        try:
            out[name] = self.node(child, (*path, name), name, depth + 1)
        except Unsatisfiable:
            if needed:
                raise
            del self.leaves[before:]

    def _array(self, schema: Schema, path: Path, name: str, depth: int) -> Json:
        items = schema.get("items")
        prefix = _array(schema.get("prefixItems")) or _array(items)
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
                value = _another(child, value, out, index)
            if index > len(prefix):
                del self.leaves[keep:]  # further items are like the first
            out.append(value)
        return out


_DEEP = ("object", "array", "untyped")


def _kind(schema: Schema) -> str:
    types = [one for one in _types(schema) if one != "null"]
    if types:
        first = str(types[0])
        return "number" if first == "integer" else first
    if "null" in _types(schema):
        return "null"
    for kind, keywords in _INFERRED:
        if any(keyword in schema for keyword in keywords):
            return kind
    return "untyped"


def _types(schema: Schema) -> list[Json]:
    named = schema.get("type")
    return named if isinstance(named, list) else [named] if isinstance(named, str) else []


def _given(schema: Schema, *, optional: bool) -> list[Json]:
    """What the schema itself offers, best first."""
    if "const" in schema:
        return [schema["const"]]
    offered = list(_array(schema.get("examples")))
    if "example" in schema:
        offered.append(schema["example"])
    if schema.get("default") is not None:
        offered.append(schema["default"])
    allowed = _array(schema.get("enum"))
    if allowed:
        return [one for one in offered if one in allowed] or allowed[:1]
    if not offered:
        return []
    own = {k: v for k, v in schema.items() if k in _OWN_KEYWORDS}
    try:
        checker = compile_schema(own)
    except UnusableSchema:
        return []
    return [one for one in offered if one not in ("", [], {}) and checker.admits(one)]


_OWN_KEYWORDS = _STRING_KEYWORDS | {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items",
}  # fmt: skip


def _plain(schema: Schema, kind: str, guess: Guess, name: str, context: Context) -> Json:
    """An ordinary value for a place that holds no structure."""
    if kind == "number":
        return _number(schema, guess_number(name, context))
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return _text(schema, guess)


def _text(schema: Schema, guess: Guess) -> str:
    value = guess.value if isinstance(guess.value, str) else "sample"
    low, high = schema.get("minLength"), schema.get("maxLength")
    if isinstance(low, int) and 0 < low < 100_000:
        value = value.ljust(low, "a")
    if isinstance(high, int) and 0 <= high < len(value):
        value = value[:high]
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return value
    try:
        checker = compile_schema({k: v for k, v in schema.items() if k in _STRING_KEYWORDS})
    except UnusableSchema:
        return value
    for candidate in _candidates(value, pattern, low):
        if checker.admits(candidate):
            return candidate
    raise Unsatisfiable


def _candidates(value: str, pattern: str, low: Json) -> Iterator[str]:
    yield value
    made = example(pattern)
    if made is not None:
        yield made
        if made and isinstance(low, int) and len(made) < low < 10_000:
            yield made + made[-1] * (low - len(made))
    yield from _COMMON


_COMMON = (
    "sample", "Sample", "a", "A", "1", "a1", "abc", "ABC", "abc-123", "notes.txt", "/tmp/notes.txt",
    "0000", "1.0.0", "user@example.com", "http://example.com/", "https://example.com/", "2026-01-15",
    "2026-01-15T12:30:00Z", "12:30", "#336699", "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69",
    "0123456789abcdef01234567", "+491234567890", "US", "en", "a/b", "aaaaaaaaaaaaaaaaaaaa",
    "00000000-0000-0000-0000-000000000000", "d41d8cd98f00b204e9800998ecf8427e",
)  # fmt: skip


def _number(schema: Schema, wanted: int) -> Json:
    """A number near ``wanted`` within the bounds; an integer wherever one fits."""
    low, strict_low = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, strict_high = _bound(schema, "maximum", "exclusiveMaximum", min)
    whole = "integer" in _types(schema) and "number" not in _types(schema)
    step = schema.get("multipleOf")
    unit = _fraction(step) if step is not None and _fraction(step) else None
    value = Fraction(wanted)
    if low is not None and (value < low or (strict_low and value == low)):
        value = low + (1 if strict_low else 0)
        if high is not None and value >= high:
            value = (low + high) / 2
    if high is not None and (value > high or (strict_high and value == high)):
        value = high - (1 if strict_high else 0)
        if low is not None and value <= low and strict_high:
            value = (low + high) / 2
    if unit:
        value = math.ceil(value / unit) * unit
        if high is not None and value > high:
            value = math.floor(high / unit) * unit
    elif whole:
        value = Fraction(math.ceil(value))
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value)
    except OverflowError as error:
        raise Unsatisfiable from error


def _bound(schema: Schema, plain: str, strict: str, pick: Any) -> tuple[Fraction | None, bool]:
    """The tighter of two bounds, and whether the bound itself is out (draft 4 says so by a flag)."""
    inclusive = _fraction(schema.get(plain))
    exclusive = _fraction(schema.get(strict))
    if schema.get(strict) is True:
        return inclusive, True
    if inclusive is None or exclusive is None:
        return (exclusive, True) if inclusive is None else (inclusive, False)
    tighter = pick(inclusive, exclusive)
    return tighter, bool(tighter == exclusive)


def _fraction(value: Json) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return Fraction(str(value)) if isinstance(value, float) else Fraction(value)


def _another(schema: Json, value: Json, taken: list[Json], index: int) -> Json:
    """A value unlike those taken, for arrays of unique items."""
    allowed = _array(schema.get("enum")) if isinstance(schema, dict) else []
    for one in allowed:
        if one not in taken:
            return one
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + index
    if isinstance(value, str):
        return f"{value}{index}"
    return value


def _both(base: Schema, extra: Schema) -> Schema:
    """Two schemas for the same place as one (not exact: the check decides)."""
    out = dict(base)
    for key, value in extra.items():
        if key not in out:
            out[key] = value
            continue
        here = out[key]
        if key == "properties" and isinstance(here, dict) and isinstance(value, dict):
            shared = {k: {"allOf": [here[k], v]} if k in here else v for k, v in value.items()}
            out[key] = {**here, **shared}
        elif key == "required" and isinstance(here, list) and isinstance(value, list):
            out[key] = [*here, *(name for name in value if name not in here)]
        elif key == "enum" and isinstance(here, list) and isinstance(value, list):
            out[key] = [one for one in here if one in value]
        elif key == "type":
            common = [one for one in _types(base) if one in _types(extra)]
            if "number" in _types(base) and "integer" in _types(extra):
                common.append("integer")
            elif "integer" in _types(base) and "number" in _types(extra):
                common.append("integer")
            out[key] = common or value
        elif key in _LOWER and _comparable(here, value):
            out[key] = max(here, value)
        elif key in _UPPER and _comparable(here, value):
            out[key] = min(here, value)
        elif key == "const":
            out[key] = value
    return out


_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def _comparable(*values: Json) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _object(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _array(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def with_choice(context: Context, *, absolute: bool) -> Context:
    """The same context with another preference for paths."""
    return replace(context, absolute=absolute)
