"""What accepted calls of a session brought to light: ids, names and handles for other calls.

Values are kept under the names that they came with, bounded in number and length. They are a
peer's bytes: they go back only as values of JSON arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from mcp_sandbox.model import Json
from mcp_sandbox.probe.combine import elements, members
from mcp_sandbox.probe.hints import words

MAX_VALUES = 4
"""Values kept of one name from one tool: the newest calls add no more."""
MAX_NAMES = 256
MAX_VALUE = 200
"""Characters of a value; a longer one is not kept."""
_SHORTEST = 4
"""Characters of a value that is taken for an id by its looks alone."""
_MAX_NODES = 2_000
_MAX_LINES = 200
_MAX_TOKENS = 2_000
_MAX_TEXT = 64 * 2**10

_HANDLES = frozenset(
    (
        *("id", "ids", "pid", "uuid", "guid", "key", "name", "handle", "ref", "token", "slug"),
        *("uri", "sha", "hash", "number", "index", "cursor", "session"),
        "connection",
    )
)
"""A last word of a name that says that its value stands for something."""
_SPOKEN = frozenset(("id", "pid", "uuid", "guid"))
"""Those that are looked for in running text."""
_FILLERS = frozenset((":", "=", "is", "#", "->"))
_STRIPPED = "\"'`“”‘’()[]{}<>,;.:!*"
_VERBS = frozenset(
    (
        *("get", "list", "create", "add", "new", "set", "update", "delete", "remove", "read"),
        *("write", "search", "find", "show", "fetch", "open", "close", "start", "stop", "make"),
        *("save", "all"),
    )
)

Name = tuple[str, ...]


@dataclass(frozen=True)
class _Held:
    """Values of one name, and the nouns that stood around it."""

    name: Name
    nouns: frozenset[str]
    values: tuple[Json, ...]


@dataclass
class Known:
    """Values by name. ``learn`` from accepted results alone; ``count`` grows with what is new."""

    count: int = 0
    _held: dict[tuple[str, Name, frozenset[str]], _Held] = field(default_factory=dict)

    def learn(self, tool: str, result: Json) -> None:
        """Take in the result of an accepted call of ``tool``."""
        about = nouns(tool)
        for name, around, value in _found(result):
            if not name or not _is_kept(value):
                continue
            if name[-1] not in _HANDLES and not _is_opaque(value):
                continue
            key = (tool, name, around)
            held = self._held.get(key)
            if held is None:
                if len(self._held) >= MAX_NAMES:
                    return
                held = _Held(name, about | around, ())
            if value not in held.values and len(held.values) < MAX_VALUES:
                self._held[key] = _Held(name, held.nouns, (*held.values, value))
                self.count += 1

    def fitting(self, parameter: str, tool: str) -> tuple[Json, ...]:
        """Values for a parameter of a tool, the best first.

        ``connectionId`` takes a ``connectionId``, and the ``id`` of something called a connection;
        a plain ``id`` takes one of what the tool's own name speaks of.
        """
        wanted = _singular(words(parameter))
        if not wanted:
            return ()
        about = nouns(tool)
        ranked: list[tuple[int, int, Json]] = []
        for held in self._held.values():
            rank = _rank(wanted, held, about)
            if rank is not None:
                ranked += [(rank, len(ranked), value) for value in held.values]
        ranked.sort(key=lambda one: one[:2])
        distinct: list[Json] = []
        for _, _, value in ranked:
            if value not in distinct:
                distinct.append(value)
        return tuple(distinct)


def _rank(wanted: Name, held: _Held, about: frozenset[str]) -> int | None:
    """How well a name fits, 0 the best; None when it does not."""
    shared = bool(held.nouns & about)
    single = len(wanted) == 1
    last = held.name[-1]
    fits = (
        (0, held.name == wanted and (not single or shared)),
        (1, last == wanted[-1] and bool(frozenset(wanted[:-1]) & held.nouns)),  # connectionId, id
        (1, wanted[-1] == "id" and held.name == wanted[:-1]),  # sessionId, session
        (2, single and last == wanted[0] and shared),  # id, connectionId
        (2, single and last in ("id", "name") and wanted[0] in held.nouns),  # connection, id
        (3, held.name == wanted),
    )
    return next((rank for rank, is_so in fits if is_so), None)


def nouns(tool: str) -> frozenset[str]:
    """What a tool's name speaks of."""
    return frozenset(_singular(words(tool[:200]))) - _VERBS


def _singular(parts: tuple[str, ...]) -> Name:
    return tuple(_one(part) for part in parts)


def _one(word: str) -> str:
    if word.endswith("ies") and len(word) > len("ties"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word  # noqa: PLR2004


def _is_opaque(value: Json) -> bool:
    """It looks like an id: one word of letters and digits, neither a number nor a short word."""
    if not isinstance(value, str) or len(value) < _SHORTEST or not value.isascii():
        return False
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and not set(value) & set(" ./\\:,")


def _is_kept(value: Json) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= MAX_VALUE and value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


# --- where values stand ---------------------------------------------------------------------------

_Found = tuple[Name, frozenset[str], Json]


def _found(result: Json) -> Iterator[_Found]:
    """(name, nouns around it, value) of every named value in a result."""
    frame = members(result)
    yield from _in_json(frame.get("structuredContent"))
    for one in elements(frame.get("content"))[:_MAX_LINES]:
        text = members(one).get("text")
        if not isinstance(text, str):
            continue
        head = text[:_MAX_TEXT]
        if head.lstrip()[:1] in ("{", "["):
            try:
                yield from _in_json(json.loads(head))
            except (ValueError, RecursionError):
                pass
            else:
                continue
        yield from _in_lines(head)


def _in_json(value: Json) -> Iterator[_Found]:
    todo: list[tuple[Json, Name]] = [(value, ())]
    for _ in range(_MAX_NODES):
        if not todo:
            return
        here, around = todo.pop(0)
        if isinstance(here, dict):
            for key, child in list(here.items())[:_MAX_LINES]:
                name = _singular(words(str(key)[:80]))
                if isinstance(child, dict | list):
                    todo.append((child, (*around, *name)[-4:]))
                    if name and isinstance(child, list):
                        for one in child[:MAX_VALUES]:
                            yield name, frozenset(around), one
                else:
                    yield name, frozenset(around), child
        elif isinstance(here, list):
            todo += [(child, around) for child in here[:_MAX_LINES]]


def _in_lines(text: str) -> Iterator[_Found]:
    """``key: value`` lines, and ids in running text (``started with PID 12``)."""
    for line in text.splitlines()[:_MAX_LINES]:
        head, colon, rest = line.strip().lstrip("-*# ").partition(":")
        value = rest.strip().strip(_STRIPPED)
        if colon and head and len(head) <= MAX_VALUE and value and " " not in value:
            name = _singular(words(head))
            for one in dict.fromkeys((name, name[-1:])):
                yield one, frozenset(name), value
                yield from _as_number(one, value)
    tokens = text.split(maxsplit=_MAX_TOKENS)[:_MAX_TOKENS]
    for at, token in enumerate(tokens):
        parts = _singular(words(token[:80]))
        if not parts or parts[-1] not in _SPOKEN:
            continue
        for following in tokens[at + 1 : at + 3]:
            if following in _FILLERS:
                continue
            value = following[: MAX_VALUE + 2].strip(_STRIPPED)
            if any(map(str.isdigit, value)):
                before = words(tokens[at - 1][:80]) if at else ()
                name = (*_singular(before[-1:]), *parts) if len(parts) == 1 else parts
                yield name, frozenset(), value
                yield parts, frozenset(before), value
                yield from _as_number(parts, value)
            break


def _as_number(name: Name, value: str) -> Iterator[_Found]:
    if value.isascii() and value.isdigit() and len(value) <= 15:  # noqa: PLR2004 - 2**53
        yield name, frozenset(), int(value)
