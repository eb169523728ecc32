"""How a planted secret's tag looks in each encoding, and what may stand beside it."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcp_sandbox.planted.places import Planted
from mcp_sandbox.planted.shapes import NEAR_CHARS, SIDE_CHARS

UNKNOWN = "unknown"
"""The place of a hit whose sides are cut off."""

ALNUM = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
OTHERS = bytes(byte for byte in range(256) if byte not in ALNUM)
"""What is taken out before a search. No encoding below writes a core with any of these: the bits of
[0-9a-z] never make the two signs of base64."""


@dataclass
class Variant:
    """The tag as one encoding writes it."""

    encoding: str
    needle: bytes
    lowered: bool
    """Searched for in lower-cased data."""
    left: dict[bytes, str] = field(default_factory=dict)
    """What may end just before the tag -> place."""
    right: dict[bytes, str] = field(default_factory=dict)
    reach: int = 0
    """Characters that one side of a core takes at most."""

    def owner(self, text: bytes, at: int) -> str:
        """The place whose side stands before or after the tag found at ``at``."""
        end = at + len(self.needle)
        for size in {len(key) for key in self.left}:
            if at >= size and (place := self.left.get(text[at - size : at])):
                return place
        for size in {len(key) for key in self.right}:
            if place := self.right.get(text[end : end + size]):
                return place
        return UNKNOWN


def variants(planted: Planted) -> Iterator[Variant]:
    """Every way in which the tag may be written without escapes."""
    by_character: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("plain", lambda text: text),
        ("reversed", lambda text: text[::-1]),
        ("rot13", lambda text: codecs.encode(text, "rot13")),
        ("hex", lambda text: text.encode().hex()),
        ("decimal", lambda text: "".join(str(ord(char)) for char in text)),
    )
    for encoding, write in by_character:
        variant = Variant(encoding, write(planted.tag).encode(), lowered=True)
        for place, core in planted.cores.items():
            before, after = core[:SIDE_CHARS], core[-SIDE_CHARS:]
            left, right = write(before[-NEAR_CHARS:]).encode(), write(after[:NEAR_CHARS]).encode()
            if encoding == "reversed":
                left, right = right, left
            variant.left[left] = place
            variant.right[right] = place
            variant.reach = max(variant.reach, len(write(before)), len(write(after)))
        yield variant
    for block in (
        _Blocks("base64", base64.b64encode, 3, 4),
        _Blocks("base32", base64.b32encode, 5, 8),
    ):
        for offset in range(block.size):
            yield block.variant(planted, offset)


@dataclass(frozen=True)
class _Blocks:
    """An encoding that writes ``size`` bytes as ``chars`` characters."""

    encoding: str
    encode: Callable[[bytes], bytes]
    size: int
    chars: int

    def variant(self, planted: Planted, offset: int) -> Variant:
        """The tag where it begins at ``offset`` of a block.

        Only characters that the tag alone decides are used, and so many beside it that they hold
        ``NEAR_CHARS`` characters of a side.
        """
        bits = 8 * self.size // self.chars
        first = -(-8 * offset // bits)
        last = 8 * (offset + len(planted.tag)) // bits
        near = (8 * NEAR_CHARS + 2 * bits - 2) // bits
        needle = self._written(bytes(offset) + planted.tag.encode())[first:last]
        lowered = self.encoding == "base32"
        variant = Variant(self.encoding, needle, lowered, reach=-(-8 * SIDE_CHARS // bits) + 1)
        lead = (offset - SIDE_CHARS) % self.size
        for place, core in planted.cores.items():
            whole = self._written(bytes(lead) + core.encode())
            at = whole.find(needle)
            end = at + len(needle)
            variant.left[whole[at - near : at]] = place
            variant.right[whole[end : end + near]] = place
        return variant

    def _written(self, data: bytes) -> bytes:
        text = self.encode(data + bytes(self.size))
        return text.lower() if self.encoding == "base32" else text


# --- escapes --------------------------------------------------------------------------------------

_HEX = b"[0-9A-Fa-f]{2}"
_ESCAPES: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"%", re.compile(b"%(?P<hex>" + _HEX + b")")),
    (
        b"&#",
        re.compile(b"&#(?:[xX]0{0,6}(?P<hex>" + _HEX + b")|0{0,6}(?P<decimal>[0-9]{2,3}));?"),
    ),
    (
        b"\\",
        re.compile(rb"\\\\{0,3}(?:(?:u00|x)(?P<hex>" + _HEX + rb")|(?P<octal>[01][0-7]{2}))"),
    ),
    (b"0x", re.compile(b"0x(?P<hex>" + _HEX + b")")),
)
"""How each kind begins, and the whole: patterns with one first letter are searched quickly."""
_BASES = {"hex": 16, "decimal": 10, "octal": 8}
_AROUND = 512
"""Bytes beside an escape that are searched once more with it."""
_APART = b"\0\0"
_ANY_CHARACTER = (
    r"(?:%[0-9A-Fa-f]{2}|\\{1,4}u00[0-9A-Fa-f]{2}|\\{1,4}x[0-9A-Fa-f]{2}|0x[0-9A-Fa-f]{2}"
    r"|&#[xX]0{0,6}[0-9A-Fa-f]{2};?|&#0{0,6}[0-9]{2,3};?|\\{1,4}[01][0-7]{2}|[0-9A-Za-z])"
)
JOINT = r"(?:\\{1,4}[nrt]|[^0-9A-Za-z]){0,4}"
"""What may part two characters of a secret in text that is masked."""


def unescaped(data: bytes) -> tuple[str, bytes]:
    """The kind of escapes in ``data``, and what stands around them without escapes.

    ``("", b"")`` without any. Text far from an escape is left out: it is known already.
    """
    found = [
        [match.span() for match in pattern.finditer(data)] if begin in data else []
        for begin, pattern in _ESCAPES
    ]
    first = next((spans[0][0] for spans in found if spans), None)
    if first is None:
        return "", b""
    spans = sorted(span for spans in found for span in spans)
    plain = _APART.join(data[start:end] for start, end in _merged(spans, len(data)))
    for _, pattern in _ESCAPES:
        plain = pattern.sub(_character, plain)
    return _kind(data, first), plain


def _merged(spans: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The spans with ``_AROUND`` bytes on both sides, those that touch as one."""
    start, end = max(0, spans[0][0] - _AROUND), spans[0][1] + _AROUND
    for left, right in spans:
        if left - _AROUND > end:
            yield start, end
            start = left - _AROUND
        end = right + _AROUND
    yield start, min(end, size)


def _kind(data: bytes, at: int) -> str:
    """What the escape at ``at`` is called."""
    if data[at : at + 1] == b"%":
        return "url"
    if data[at : at + 1] == b"&":
        return "html"
    return "json" if data[at : at + 5].lstrip(b"\\")[:1] == b"u" else "escape"


def _character(match: re.Match[bytes]) -> bytes:
    group = match.lastgroup or "hex"
    number = int(match[group], _BASES[group])
    return bytes((number,)) if number < 256 else match[0]  # noqa: PLR2004 - one byte


def escaped_pattern(tag: str) -> re.Pattern[str]:
    """A pattern for the tag with any of its characters escaped, and for what stands beside it."""
    characters = JOINT.join(_one_character(char) for char in tag)
    side = f"(?:{_ANY_CHARACTER}{JOINT}){{0,{SIDE_CHARS}}}?"
    after = f"(?:{JOINT}{_ANY_CHARACTER}){{0,{SIDE_CHARS}}}"
    return re.compile(f"{side}{characters}{after}", re.IGNORECASE)


def _one_character(char: str) -> str:
    code = ord(char)
    return (
        f"(?:{char}|%{code:02x}|\\\\{{1,4}}u00{code:02x}|\\\\{{1,4}}x{code:02x}|0x{code:02x}"
        f"|&#x0{{0,6}}{code:02x};?|&#0{{0,6}}{code};?|\\\\{{1,4}}{code:03o})"
    )
