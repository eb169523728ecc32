"""Where the keys of a TOML file stand: the standard library's reader does not say.

The text is cut into tokens as TOML cuts it (strings of four kinds, comments, brackets), so that
nothing inside a string is taken for a key. Up to the first mistake of a file both readers cut
alike, and the bounds hold for all that the other one comes to see.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_DEPTH = 8
"""Brackets within brackets."""
MAX_DOTS = 32
"""Of one line, outside of strings and comments: a key stands on one line."""

Path = tuple[str | int, ...]
"""Keys from the top; the position, from 0, in an array of tables."""

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?!"")(?:[^"\\\n]|\\.)*"'
    r"|'(?!'')[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\n=\[\]{}]"
    r"|[^\n=\[\]{}\#\"']+",
    re.DOTALL,
)


class TooDeep(ValueError):
    """Brackets or dotted keys beyond what any policy needs."""

    def __init__(self, line: int) -> None:
        super().__init__(f"is nested deeper than {MAX_DEPTH} levels")
        self.line = line


@dataclass(frozen=True)
class Statement:
    """A table's header, or the key of ``key = value``, as written."""

    line: int
    """From 1."""
    text: str


def statements(text: str) -> Iterator[Statement]:
    """Headers and keys in order, of a text whose lines end in LF alone. Raises ``TooDeep``."""
    cut = _Cut()
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        yield from cut.take(match[0])
    yield from cut.end()


class _Cut:
    """Where in a statement the tokens have come to."""

    def __init__(self) -> None:
        self._line = self._begun = 1
        self._depth = self._dots = 0
        self._key = ""
        self._in_value = False

    def take(self, piece: str) -> Iterator[Statement]:
        """The statement that a token brings to its end, or to its value."""
        first = piece[0]
        if first == "\n":
            self._line += 1
            self._dots = 0
            if not self._depth:
                yield from self.end()
                self._key, self._in_value, self._begun = "", False, self._line
        elif first in "\"'":
            self._line += piece.count("\n")
            self._key += "" if self._in_value else piece
        elif first != "#":
            self._dots += piece.count(".")
            if self._in_value:
                self._depth = max(0, self._depth + (piece in "[{") - (piece in "]}"))
            elif piece == "=":
                yield Statement(self._begun, self._key.strip())
                self._in_value = True
            else:
                self._key += piece
            if self._depth > MAX_DEPTH or self._dots > MAX_DOTS:
                raise TooDeep(self._line)

    def end(self) -> Iterator[Statement]:
        """What stands on its line without a value: a table's header."""
        if self._key.strip() and not self._in_value:
            yield Statement(self._begun, self._key.strip())


def lines(read: Iterable[Statement]) -> dict[Path, int]:
    """Path -> line, of the statements of a text that ``tomllib`` has read."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for one in read:
        array = one.text.startswith("[[")
        if array or one.text.startswith("["):
            table = _parts(one.text[2:-2] if array else one.text[1:-1])
            if array:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            path = table
        else:
            path = (*table, *_parts(one.text))
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], one.line)
    return found


def _parts(key: str) -> Path:
    """``a."b c".d`` -> its parts, read by TOML's own reader."""
    node = tomllib.loads(f"{key} = 0")
    parts: list[str | int] = []
    while isinstance(node, dict):
        ((name, node),) = node.items()
        parts.append(name)
    return tuple(parts)


def line_of(found: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest one above it; 1 when there is none."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return 1
