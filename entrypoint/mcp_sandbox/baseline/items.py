"""What differs inside one listed item: texts, annotations, schemas, arguments, all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mcp_sandbox.baseline import keywords, schemas
from mcp_sandbox.baseline.keywords import canonical, escaped, text
from mcp_sandbox.model import Json
from mcp_sandbox.model.locked import Change, Direction, Effect, Item, Part

GAINED, LOST, CHANGED = Direction.GAINED, Direction.LOST, Direction.CHANGED

SCHEMAS = ("inputSchema", "outputSchema")
DEFAULTS: dict[str, bool] = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "openWorldHint": True,
}
"""What a hint says that is not there (MCP specification, ToolAnnotations). The other value is the
promise."""


def whole(item: Item) -> str:
    """All that an item says, as one line of JSON, its digest aside."""
    return canonical(
        {"title": item.title, "description": item.description, "definition": item.definition}
    )


def inside(old: Item, new: Item) -> Iterator[Change]:
    """The changes of an item that both locks have, its texts first, then by pointer."""
    subject = new.subject
    for part, was, is_now in (
        (Part.TITLE, old.title, new.title),
        (Part.DESCRIPTION, old.description, new.description),
    ):
        if was != is_now:
            direction = _way(bool(was), bool(is_now))
            yield Change(part, direction, subject, was, is_now, f"/{part.value}", Effect.WORDS)
    left, right = old.definition, new.definition
    if canonical(left) == canonical(right):
        return
    if not isinstance(left, dict) or not isinstance(right, dict):
        yield Change(Part.META, CHANGED, subject, text(left), text(right))
        return
    for key in sorted(left.keys() | right.keys()):
        before, after = left.get(key), right.get(key)
        if key in left and key in right and canonical(before) == canonical(after):
            continue
        where = f"/{escaped(key)}"
        if key in SCHEMAS:
            yield from _schema(subject, where, before, after)
        elif key == "annotations" and isinstance(before, dict | None):
            yield from _annotations(subject, where, before, after)
        elif key == "arguments" and _named(before) is not None and _named(after) is not None:
            yield from _arguments(subject, where, before, after)
        else:
            direction = _way(key in left, key in right)
            yield Change(Part.META, direction, subject, *_shown(key, left, right), where)


def _way(before: bool, after: bool) -> Direction:
    if before and after:
        return CHANGED
    return GAINED if after else LOST


def _shown(key: str, one: Mapping[str, Json], other: Mapping[str, Json]) -> tuple[str, str]:
    return text(one[key]) if key in one else "", text(other[key]) if key in other else ""


def _schema(subject: str, where: str, before: Json, after: Json) -> Iterator[Change]:
    found = schemas.differences(before, after, where)
    if not found:  # a schema that takes anything, written down
        found = (keywords.Difference(where, CHANGED, Effect.WORDS, text(before), text(after)),)
    for one in found:
        yield Change(
            Part.SCHEMA, one.direction, subject, one.before, one.after, one.pointer, one.effect
        )


def _annotations(subject: str, where: str, before: Json, after: Json) -> Iterator[Change]:
    if not isinstance(after, dict | None):
        yield Change(Part.ANNOTATION, CHANGED, subject, text(before), text(after), where)
        return
    left, right = before or {}, after or {}
    for key in sorted(left.keys() | right.keys()):
        if key in left and key in right and canonical(left[key]) == canonical(right[key]):
            continue
        yield Change(
            Part.ANNOTATION,
            _way(key in left, key in right),
            subject,
            *_shown(key, left, right),
            f"{where}/{escaped(key)}",
            _promise(key, left, right),
        )


def _promise(key: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Effect:
    """Whether a hint promises less than it did."""
    if key == "title":
        return Effect.WORDS
    default = DEFAULTS.get(key)
    was, is_now = before.get(key, default), after.get(key, default)
    if default is None or not isinstance(was, bool) or not isinstance(is_now, bool):
        return Effect.OTHER
    if was is is_now:
        return Effect.WORDS  # written down, and it meant the same without
    return Effect.WEAKER if is_now is default else Effect.STRONGER


def _named(arguments: Json) -> dict[str, Mapping[str, Json]] | None:
    """Name -> argument of a prompt; ``None`` for what is no list of arguments."""
    if arguments is None:
        return {}
    if not isinstance(arguments, list):
        return None
    found: dict[str, Mapping[str, Json]] = {}
    for one in arguments:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = one
    return found


def _arguments(subject: str, where: str, before: Json, after: Json) -> Iterator[Change]:
    left, right = _named(before) or {}, _named(after) or {}
    found = False
    for name in sorted(left.keys() | right.keys()):
        one, other = left.get(name), right.get(name)
        pointer = f"{where}/{escaped(name)}"
        if one is None or other is None:
            found = True
            needed = other is not None and other.get("required") is True
            effect = Effect.WIDER if other is not None and not needed else Effect.NARROWER
            was = "" if one is None else canonical(one)
            is_now = "" if other is None else canonical(other)
            direction = _way(one is not None, other is not None)
            yield Change(Part.SCHEMA, direction, subject, was, is_now, pointer, effect)
            continue
        for key in sorted(one.keys() | other.keys()):
            if key in one and key in other and canonical(one[key]) == canonical(other[key]):
                continue
            found = True
            effect = Effect.WORDS if key in {"description", "title"} else Effect.OTHER
            direction = _way(key in one, key in other)
            if key == "required":
                direction, effect = _required(one.get(key), other.get(key))
            yield Change(
                Part.SCHEMA,
                direction,
                subject,
                *_shown(key, one, other),
                f"{pointer}/{escaped(key)}",
                effect,
            )
    if not found:  # the same arguments in another order
        yield Change(Part.SCHEMA, CHANGED, subject, text(before), text(after), where, Effect.WORDS)


def _required(before: Json, after: Json) -> tuple[Direction, Effect]:
    if not isinstance(before, bool | None) or not isinstance(after, bool | None):
        return CHANGED, Effect.OTHER
    if bool(before) == bool(after):
        return CHANGED, Effect.WORDS
    return (GAINED, Effect.NARROWER) if after else (LOST, Effect.WIDER)
