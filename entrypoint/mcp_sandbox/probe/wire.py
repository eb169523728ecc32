"""Bytes to JSON-RPC messages, bounded and in linear time.

The peer decides what arrives, so the framer holds at most one line of at most ``MAX_LINE`` bytes
and drops the rest of a longer one while counting it. The stock stdio reader is quadratic on a line
without newline and dies on bad UTF-8; this one does neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from mcp_sandbox.model import BreachKind, Json

MAX_LINE = 8 * 2**20
"""Bytes of one line that are kept: room for 1,000 tools of 4 KiB in a single page, while the worst
JSON of that size (millions of empty containers) costs some 250 MiB to parse, once."""

MAX_SESSION = 64 * 2**20
"""Bytes read in one conversation."""

MAX_DEPTH = 64
"""Levels of nesting kept of a value that is nested deeper than the parser follows."""

SAMPLE = 256
"""Bytes kept of a line that breaches the protocol."""


class Line(NamedTuple):
    """One line without its newline; ``skipped`` bytes beyond the cap were dropped."""

    data: bytes
    skipped: int = 0
    terminated: bool = True


class LineFramer:
    """Splits a byte stream at newlines in linear time, keeping at most ``limit`` bytes a line."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield each line that ``data`` completes."""
        position = 0
        while position < len(data):
            newline = data.find(b"\n", position)
            end = len(data) if newline < 0 else newline
            room = self._limit - len(self._buffer)
            kept = min(end - position, room)
            self._buffer += data[position : position + kept]
            self._skipped += end - position - kept
            if newline < 0:
                return
            position = newline + 1
            yield self._take(terminated=True)

    def rest(self) -> Line | None:
        """What was left without a newline when the stream ended."""
        return self._take(terminated=False) if self._buffer or self._skipped else None

    def _take(self, *, terminated: bool) -> Line:
        line = Line(bytes(self._buffer), self._skipped, terminated)
        self._buffer.clear()
        self._skipped = 0
        return line


class Decoded(NamedTuple):
    """A parsed line: ``value`` when it was JSON at all, and what was wrong with it."""

    value: Json
    is_json: bool
    faults: tuple[tuple[BreachKind, str], ...] = ()


class Parser:
    """Parses line after line. Made once: making a JSON decoder costs more than a short line."""

    def __init__(self) -> None:
        self._faults: list[tuple[BreachKind, str]] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs, parse_constant=self._constant
        )

    def decode(self, data: bytes) -> Decoded:
        """Parse one line; a fault that leaves a usable value is reported beside it.

        Never raises: every way in which ``json`` refuses its input is a fault with a name.
        """
        faults = self._faults = []
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.append((BreachKind.INVALID_UTF8, f"byte {error.start}: {error.reason}"))
            text = data.decode("utf-8", "replace")
        try:
            try:
                value = self._parse(text)
            except RecursionError:
                detail = f"nested deeper than the parser follows; cut at {MAX_DEPTH} levels"
                faults.append((BreachKind.NESTED_TOO_DEEP, detail))
                value = self._parse(cut_nesting(text))
        except ValueError as error:
            # Also raised for an integer of more digits than Python converts (CVE-2020-10735).
            faults.append((BreachKind.NOT_JSON, str(error)[:200]))
            return Decoded(None, is_json=False, faults=tuple(faults))
        return Decoded(value, is_json=True, faults=tuple(faults))

    def _parse(self, text: str) -> Json:
        value = self._decoder.decode(text)
        return without_lone_surrogates(value) if "\\ud" in text or "\\uD" in text else value

    def _pairs(self, items: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            fault = (BreachKind.DUPLICATE_KEY, f"key {twice[:64]!r} occurs more than once")
            self._faults.append(fault)
        return found

    def _constant(self, name: str) -> Json:
        self._faults.append((BreachKind.NOT_JSON, f"{name} is no JSON value"))


_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Possessive and with an optional closing quote: an unterminated string costs one pass."""


def cut_nesting(text: str, depth: int = MAX_DEPTH) -> str:
    """``text`` with every container below ``depth`` levels replaced by ``null``; linear time."""
    kept: list[str] = []
    level = 0
    copied_to = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        bracket = match[0]
        if bracket in "[{":
            level += 1
            if level == depth + 1:
                kept.append(text[copied_to : match.start()])
        elif bracket in "]}":
            if level == depth + 1:
                kept.append("null")
                copied_to = match.end()
            level -= 1
    if level <= depth:
        kept.append(text[copied_to:])
    return "".join(kept)


def without_lone_surrogates(value: Json) -> Json:
    """Replace halves of surrogate pairs, which JSON can spell but UTF-8 cannot, by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            without_lone_surrogates(key): without_lone_surrogates(item)
            for key, item in value.items()
        }
    return value


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode_params(params: Json) -> bytes:
    """Parameters as JSON. ASCII escapes, so that any string of ours can be sent."""
    return _ENCODER.encode(params).encode("ascii")


def encode(message: dict[str, Json]) -> bytes:
    """One message as a line."""
    return encode_params(message) + b"\n"


def sample(data: bytes) -> str:
    """The beginning of raw bytes as printable ASCII, for evidence."""
    text = data[:SAMPLE].decode("ascii", "backslashreplace")
    shown = text.encode("unicode_escape").decode("ascii").replace("\\\\x", "\\x")
    return shown + ("…" if len(data) > SAMPLE else "")
