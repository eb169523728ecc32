"""Characters that a person does not see and a model reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

ZERO_WIDTH = frozenset("\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e")
JOINERS = frozenset("\u200c\u200d")
MARKS = frozenset("\u200e\u200f\u061c")
EMBEDDINGS = frozenset("\u202a\u202b\u202c\u2066\u2067\u2068\u2069")
OVERRIDES = frozenset("\u202d\u202e")
FILLERS = frozenset("\u3164\u115f\u1160\uffa0\u2800")
TAG_FIRST, TAG_LAST = 0xE0000, 0xE007F
FLAG = "\U0001f3f4"
"""The black flag, which alone is followed by tag characters (England, Scotland, Wales)."""

_LATIN = "aceopxysijdhlvwqbkmtABCEHIJKMOPSTXYZNaopvuABEZHIKMNOPTYX"
_OTHER = "асеорхуѕіјԁһӏѵԝԛЬкмтАВСЕНІЈКМОРЅТХҮΖΝαορνυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
LOOKALIKES: dict[int, int] = {
    ord(other): ord(latin) for latin, other in zip(_LATIN, _OTHER, strict=True)
}
"""Cyrillic and Greek letters that look like Latin ones."""

_JOINING_SCRIPTS = (
    "ARABIC",
    "SYRIAC",
    "MONGOLIAN",
    "DEVANAGARI",
    "BENGALI",
    "GURMUKHI",
    "GUJARATI",
    "ORIYA",
    "TAMIL",
    "TELUGU",
    "KANNADA",
    "MALAYALAM",
    "SINHALA",
    "TIBETAN",
    "MYANMAR",
    "KHMER",
    "THAI",
    "LAO",
    "HEBREW",
    "NKO",
    "ADLAM",
)
_SUSPECTS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\x9b\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2069\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e01ef]"
)
_PADDING = re.compile(r"(?:[^\S\n]{200,}|(?:[^\S\n]*\n){40,}[^\S\n]*)(?=\S)")


@dataclass(frozen=True)
class Oddity:
    """A kind of hidden character in a text."""

    what: str
    codes: tuple[str, ...]
    """``U+XXXX`` each, at most five."""
    count: int
    decoded: str = ""
    """What the hidden characters spell, if they do."""


def is_hidden(character: str) -> bool:
    """Dropped before a text is read: it has no shape of its own."""
    code = ord(character)
    return (
        character in ZERO_WIDTH
        or character in JOINERS
        or character in MARKS
        or character in EMBEDDINGS
        or character in OVERRIDES
        or character == "\u00ad"
        or 0xFE00 <= code <= 0xFE0F
        or TAG_FIRST <= code <= 0xE01EF
    )


def oddities(text: str) -> list[Oddity]:
    """The hidden characters of a text that no language and no emoji needs there."""
    found: dict[str, list[str]] = {}
    if _SUSPECTS.search(text):
        right_to_left = any(unicodedata.bidirectional(one) in {"R", "AL"} for one in text)
        for match in _SUSPECTS.finditer(text):
            what = _judged(text, match.start(), right_to_left=right_to_left)
            if what:
                found.setdefault(what, []).append(match[0])
    odd = [
        Oddity(what, _codes(characters), len(characters), _spelled(what, characters))
        for what, characters in found.items()
    ]
    if padding := _PADDING.findall(text):
        odd.append(Oddity("blank space that pushes text out of sight", (), len(padding)))
    return odd


def lookalike_words(name: str) -> Iterator[str]:
    """Words of a name that mix Latin letters with letters that only look Latin."""
    for word in re.findall(r"[^\W\d_]+", name):
        if any(one.isascii() for one in word) and any(ord(one) in LOOKALIKES for one in word):
            yield word


def _judged(text: str, at: int, *, right_to_left: bool) -> str:
    """What is odd about the character at a position; empty when nothing is."""
    one, code = text[at], ord(text[at])
    before = text[at - 1] if at else ""
    after = text[at + 1 : at + 2]
    if one in "\x1b\x9b":
        return "terminal escape sequences"
    if code < 0x20 or code == 0x7F:
        return "control characters"
    if one in OVERRIDES:
        return "characters that reverse the text's direction"
    if one in EMBEDDINGS or one in MARKS:
        return "" if right_to_left else "direction marks in a left-to-right text"
    if one in ZERO_WIDTH:
        return "" if one == "\ufeff" and at == 0 else "zero-width characters"
    if one in JOINERS:
        return "" if _joins(before) or _joins(after) else "joiners that join nothing"
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        odd = _is_selector(before) or before.isspace() or (before.isascii() and before.isalpha())
        return "variation selectors that select nothing" if odd or not before else ""
    if TAG_FIRST <= code <= TAG_LAST:
        start = at
        while start and TAG_FIRST <= ord(text[start - 1]) <= TAG_LAST:
            start -= 1
        is_flag = start and text[start - 1] == FLAG and at - start < 7  # noqa: PLR2004 - gbeng + end
        return "" if is_flag else "tag characters"
    if one in FILLERS:
        return "blank letters" if before in FILLERS or after in FILLERS else ""
    return ""


def _joins(character: str) -> bool:
    """A joiner has a meaning beside this character."""
    if not character:
        return False
    if unicodedata.category(character) in {"So", "Sk", "Mn", "Mc"} or _is_selector(character):
        return True
    if character in "♀♂⚕⚖✈❤➡↔↕":
        return True
    return unicodedata.name(character, "").startswith(_JOINING_SCRIPTS)


def _is_selector(character: str) -> bool:
    return bool(character) and (
        0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF
    )


def _codes(characters: list[str]) -> tuple[str, ...]:
    return tuple(f"U+{ord(one):04X}" for one in list(dict.fromkeys(characters))[:5])


def _spelled(what: str, characters: list[str]) -> str:
    """Tag characters and variation selectors as the bytes that they stand for."""
    if what == "tag characters":
        return "".join(chr(ord(one) - TAG_FIRST) for one in characters if ord(one) > TAG_FIRST)
    if what.startswith("variation"):
        raw = bytes(
            ord(one) - 0xFE00 if ord(one) < TAG_FIRST else (ord(one) - 0xE0100 + 16) & 0xFF
            for one in characters
        )
        return raw.decode("utf-8", "replace")
    return ""
