"""On which lines of a TOML file its tables and keys stand, which ``tomllib`` does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADER = re.compile(r"[ \t]*\[\[?[ \t]*([A-Za-z0-9_-]+)[ \t]*\]\]?[ \t]*(?:#.*)?$")
_KEY = re.compile(r"""[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*=""")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]')


@dataclass
class Table:
    """One table, or one of an array of tables."""

    name: str
    line: int
    keys: dict[str, int] = field(default_factory=dict)
    """Key -> its line."""


def tables(text: str) -> list[Table]:
    """The tables of a valid file in their order, without those inside others; linear."""
    found: list[Table] = []
    for line, row in _outside(text):
        if header := _HEADER.match(row):
            found.append(Table(header[1], line))
        elif found and (key := _KEY.match(row)):
            found[-1].keys.setdefault(key[1] or key[2] or key[3] or "", line)
    return found


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that begins outside of every string, array and inline table."""
    text = text.replace("\r\n", "\n")
    line, first, begin, depth, at = 1, 1, 0, 0, 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        mark = token[0]
        if mark in {'"""', "'''"}:
            at = _end_of(text, mark, at)
            line += text.count("\n", token.end(), at)
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "\n":
            line += 1
            if depth == 0:
                yield first, text[begin:at].split("\n", 1)[0]
                first, begin = line, at
    yield first, text[begin:].split("\n", 1)[0]


def _end_of(text: str, mark: str, at: int) -> int:
    """Where the string that has begun before ``at`` ends."""
    while (end := text.find(mark, at)) >= 0:
        before = len(text[at:end]) - len(text[at:end].rstrip("\\"))
        at = end + 1
        if mark == "'''" or before % 2 == 0:
            break
    else:
        return len(text)
    end += 3
    while text[end : end + 1] == mark[0]:  # one or two quotes may stand before the last three
        end += 1
    return end
