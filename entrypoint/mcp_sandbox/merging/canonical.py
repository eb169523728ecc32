r"""Some keys of a ``report.json`` of any size, in constant memory.

A report can have hundreds of megabytes, nearly all of it observations. It is written canonically
(sorted keys, two spaces of indentation), and a string of JSON never holds a newline: so a line that
begins with two spaces and a quote is a key of the report itself, and what belongs to others is
passed over line by line. What is passed over is not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import IO

from mcp_sandbox.errors import ReportUnreadable

MAX_KEPT = 16 * 2**20
"""Bytes of what is kept."""
MAX_KEYS = 100

_PIECE = 64 * 2**10
_FOREIGN = "report.json is not a report as `mcp-sandbox scan` writes it."
_KEY, _PART, _END = b'  "', b'    "', b"  }"


def keys(
    file: IO[bytes], wanted: Collection[str], parts: Mapping[str, Collection[str]]
) -> dict[str, bytes]:
    """Every key of the report -> its JSON, ``null`` for those that are not wanted.

    Of the keys of ``parts``, an object with those keys only. Raises ``ReportUnreadable`` for a file
    that is not written as a report is, not to its end, or keeps more than ``MAX_KEPT`` bytes.
    """
    cut = _Cut(wanted, parts)
    start = True
    for line in _pieces(file):
        if start and line[:1] != b" ":
            cut.edge(line)
        elif start and line[:3] == _KEY:
            cut.key(line)
        elif start and line[:5] == _PART and cut.divided:
            cut.part(line)
        elif cut.keeps and not (start and cut.divided and line[:3] == _END):
            cut.keep(line)
        start = line.endswith(b"\n")
    return cut.close()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, the long ones in pieces."""
    return iter(lambda: file.readline(_PIECE), b"")


class _Cut:
    """What is kept so far, and where we are."""

    def __init__(self, wanted: Collection[str], parts: Mapping[str, Collection[str]]) -> None:
        self._wanted, self._parts = wanted, parts
        self._found: dict[str, dict[str, list[bytes]]] = {}
        self._name = ""
        self._lines: list[bytes] = []
        self._room = MAX_KEPT
        self._edges = 0
        self.keeps = False
        self.divided = False
        """Within a key of which only parts are kept."""

    def edge(self, line: bytes) -> None:
        """The brace that begins the report, or the one that ends it."""
        if line.rstrip(b"\n") != (b"{", b"}", b"")[min(self._edges, 2)]:
            raise ReportUnreadable(_FOREIGN)
        self._edges += 1
        self.keeps = self.divided = False

    def key(self, line: bytes) -> None:
        """A key of the report."""
        self._name, rest = _split(line, _KEY)
        if self._edges != 1 or self._name in self._found or len(self._found) == MAX_KEYS:
            raise ReportUnreadable(_FOREIGN)
        self.divided = self._name in self._parts and rest == b"{\n"
        self.keeps = self._name in self._wanted or (self._name in self._parts and not self.divided)
        self._lines = []
        self._found[self._name] = {"": self._lines}
        if self.keeps:
            self.keep(rest)

    def part(self, line: bytes) -> None:
        """A key of a key."""
        part, rest = _split(line, _PART)
        self.keeps = part in self._parts[self._name]
        if self.keeps:
            self._lines = self._found[self._name].setdefault(part, [])
            self.keep(rest)

    def keep(self, line: bytes) -> None:
        """Some of the value."""
        self._room -= len(line)
        if self._room < 0:
            raise ReportUnreadable(
                f"report.json has more than {MAX_KEPT} bytes of findings and coverage."
            )
        self._lines.append(line)

    def close(self) -> dict[str, bytes]:
        """All keys."""
        if self._edges != 2:  # noqa: PLR2004 - both braces
            raise ReportUnreadable("report.json is not whole: it may be truncated.")
        return {name: _value(lines) for name, lines in self._found.items()}


def _split(line: bytes, indent: bytes) -> tuple[str, bytes]:
    """The key that a line begins with, and what follows."""
    name, colon, rest = line[len(indent) :].partition(b'": ')
    if not colon:
        raise ReportUnreadable(_FOREIGN)
    return name.decode("utf-8", "replace"), rest


def _value(parts: dict[str, list[bytes]]) -> bytes:
    texts = {part: b"".join(lines).strip().removesuffix(b",") for part, lines in parts.items()}
    whole = texts.pop("")
    if not texts:
        return whole or b"null"
    return b"{%b}" % b",".join(b'"%b":%b' % (part.encode(), text) for part, text in texts.items())
