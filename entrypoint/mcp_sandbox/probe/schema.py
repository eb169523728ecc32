"""Checking values against a peer's JSON Schema, without trusting the schema.

The schema is hostile: it is bounded in size, depth and expanded size before a validator sees it,
its patterns are matched in linear time (or with a backtracking limit where they use look-around),
and a remote ``$ref`` is refused, never fetched. Whatever is wrong with a schema comes out as
``UnusableSchema`` with one reason.

Limits: formats are not asserted (as the protocol's dialect has it), and custom dialects are read as
2020-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs

from mcp_sandbox.model import Json

MAX_DEPTH = 100
MAX_NODES = 20_000
MAX_PATTERNS = 500
MAX_PATTERN_CHARS = 2_000
MAX_EXPANDED = 200_000
"""Most schema nodes after every local ``$ref`` is followed once per use: stops 2^n chains."""
_REGEX_BYTES = 2**20
_BACKTRACKS = 10_000
_INDEX_DIGITS = 5

_DIALECTS = {
    "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
}


class UnusableSchema(Exception):
    """A schema that cannot be used to check anything; ``reason`` is one clause without a period."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Checker:
    """A compiled schema."""

    _validator: Any

    def admits(self, value: Json) -> bool:
        """Whether ``value`` is valid; what the validator cannot decide is not."""
        try:
            return bool(self._validator.is_valid(value))
        except ValueError:
            return False


def compile_schema(schema: Json) -> Checker:
    """Compile a peer's schema.

    Raises ``UnusableSchema`` for anything but an object or a boolean, for one beyond the bounds
    above, for one that is no valid schema, and for one that refers to something outside itself.
    """
    if not isinstance(schema, dict | bool):
        raise UnusableSchema(f"the schema is no object but {_kind(schema)}")
    _check_bounds(schema)
    dialect: Any = jsonschema_rs.Draft202012Validator
    if isinstance(schema, dict):
        _check_expansion(schema)
        named = schema.get("$schema")
        dialect = _DIALECTS.get(named.rstrip("#") if isinstance(named, str) else "", dialect)
        schema = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        return Checker(_compiled(dialect, schema))
    except (ValueError, jsonschema_rs.ReferencingError, RecursionError, OverflowError) as error:
        raise UnusableSchema(f"the schema does not compile: {_first_line(error)}") from error


def _compiled(dialect: Any, schema: Json) -> Any:
    linear = jsonschema_rs.RegexOptions(size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES)
    options: dict[str, Any] = {"retriever": _refuse, "validate_formats": False}
    try:
        return dialect(schema, pattern_options=linear, **options)
    except jsonschema_rs.ValidationError:
        # Look-around needs the other engine; it gives up after so many steps.
        backtracking = jsonschema_rs.FancyRegexOptions(
            backtrack_limit=_BACKTRACKS, size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES
        )
        return dialect(schema, pattern_options=backtracking, **options)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"it refers to {uri[:200]!r}, and nothing is fetched for a peer")


def _check_bounds(schema: Json) -> None:
    """Bounds on the raw document, without recursion: it may be deeper than Python's stack."""
    nodes = patterns = 0
    todo: list[tuple[Json, int]] = [(schema, 1)]
    while todo:
        value, depth = todo.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise UnusableSchema(f"the schema is nested deeper than {MAX_DEPTH}")
        if nodes > MAX_NODES:
            raise UnusableSchema(f"the schema has more than {MAX_NODES} nodes")
        if isinstance(value, dict):
            found = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
            if isinstance(value.get("patternProperties"), dict):
                found += value["patternProperties"]
            patterns += len(found)
            if patterns > MAX_PATTERNS:
                raise UnusableSchema(f"the schema has more than {MAX_PATTERNS} patterns")
            if any(len(pattern) > MAX_PATTERN_CHARS for pattern in found):
                raise UnusableSchema(f"a pattern is longer than {MAX_PATTERN_CHARS} characters")
            todo.extend((child, depth + 1) for child in value.values())
        elif isinstance(value, list):
            todo.extend((child, depth + 1) for child in value)


def _check_expansion(root: dict[str, Json]) -> None:
    """Refuse schemas whose local references multiply; linear, since each node is counted once."""
    sizes: dict[int, int] = {}

    def size(node: Json) -> int:
        if not isinstance(node, dict | list):
            return 0
        known = sizes.get(id(node))
        if known is not None:
            return known
        sizes[id(node)] = 0  # in progress: a cycle is compiled once, lazily
        children = list(node.values()) if isinstance(node, dict) else node
        if isinstance(node, dict):
            children.append(resolve(root, node.get("$ref")))
        total = min(1 + sum(size(child) for child in children), MAX_EXPANDED + 1)
        sizes[id(node)] = total
        return total

    try:
        expanded = size(root)
    except RecursionError as error:
        raise UnusableSchema("the schema's references are nested too deep") from error
    if expanded > MAX_EXPANDED:
        raise UnusableSchema(f"the schema's references expand to more than {MAX_EXPANDED} nodes")


def resolve(root: Json, reference: Json) -> Json:
    """The part of ``root`` that a local reference names (a JSON pointer or ``#anchor``), or None.

    Only plain pointers and anchors at the root's own definitions are found; an embedded ``$id``
    makes another base, which is left to the validator.
    """
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    if reference in ("#", "#/"):
        return root
    if not reference.startswith("#/"):
        return _anchored(root, reference[1:])
    here = root
    for part in reference[2:].split("/"):
        step = part.replace("~1", "/").replace("~0", "~").replace("%25", "%")
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif (
            isinstance(here, list)
            and step.isascii()
            and step.isdigit()
            and len(step) <= _INDEX_DIGITS
        ):
            index = int(step)
            if index >= len(here):
                return None
            here = here[index]
        else:
            return None
    return here


def _anchored(root: Json, anchor: str) -> Json:
    for holder in ("$defs", "definitions"):
        definitions = root.get(holder) if isinstance(root, dict) else None
        for value in definitions.values() if isinstance(definitions, dict) else ():
            if isinstance(value, dict) and value.get("$anchor") == anchor:
                return value
    return None


def _kind(value: Json) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
