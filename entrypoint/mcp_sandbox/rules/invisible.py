"""Characters that a person does not see and a model reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

TAG_FIRST, TAG_LAST = 0xE0000, 0xE007F
FLAG = "\U0001f3f4"
"""The black flag, which alone is followed by tag characters (England, Scotland, Wales)."""
LONGEST_FLAG = 6
"""Tag characters of a flag: five letters and the end mark."""

_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e01ef]"
)
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_FILLERS = frozenset("\u3164\u115f\u1160\uffa0\u2800")

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
_BLANK = re.compile(r"\s{41,}")
BLANK_LINES, BLANK_WIDTH = 40, 200
"""From so many lines, or so many spaces in one, text behind them is out of sight."""


@dataclass(frozen=True)
class Oddity:
    """A kind of hidden character in a text."""

    what: str
    codes: tuple[str, ...]
    """``U+XXXX`` each, at most five."""
    count: int
    decoded: str = ""
    """What the hidden characters spell, if they do."""


def without_hidden(text: str) -> str:
    """The text without the characters that have no shape of their own."""
    return _HIDDEN.sub("", text)


def oddities(text: str) -> list[Oddity]:
    """The hidden characters of a text that no language and no emoji needs there."""
    found: dict[str, list[str]] = {}
    if _SUSPECTS.search(text):
        right_to_left = any(unicodedata.bidirectional(one) in {"R", "AL"} for one in text)
        for match in _SUSPECTS.finditer(text):
            what = _judged(text, match.start(), right_to_left)
            if what:
                found.setdefault(what, []).append(match[0])
    odd = [
        Oddity(what, _codes(characters), len(characters), _spelled(what, characters))
        for what, characters in found.items()
    ]
    if padding := sum(_pushes(run[0]) for run in _BLANK.finditer(text.rstrip())):
        odd.append(Oddity("blank space that pushes text out of sight", (), padding))
    return odd


def _pushes(blank: str) -> bool:
    lines = blank.split("\n")
    return len(lines) > BLANK_LINES or max(map(len, lines)) >= BLANK_WIDTH


def lookalike_words(name: str) -> Iterator[str]:
    """Words of a name that mix Latin letters with letters that only look Latin."""
    for word in re.findall(r"[^\W\d_]+", name):
        if any(one.isascii() for one in word) and any(ord(one) in LOOKALIKES for one in word):
            yield word


def _marks_direction(text: str, at: int, right_to_left: bool) -> bool:
    del text, at
    return not right_to_left


def _has_no_width(text: str, at: int, right_to_left: bool) -> bool:
    del right_to_left
    return at > 0 or text[at] != "\ufeff"


def _joins_nothing(text: str, at: int, right_to_left: bool) -> bool:
    del right_to_left
    return not (_joins(text[at - 1 : at]) or _joins(text[at + 1 : at + 2]))


def _selects_nothing(text: str, at: int, right_to_left: bool) -> bool:
    del right_to_left
    before = text[at - 1 : at]
    letter = before.isascii() and before.isalpha()
    return not before or before.isspace() or letter or bool(_SELECTOR.match(before))


def _is_no_flag(text: str, at: int, right_to_left: bool) -> bool:
    del right_to_left
    start = at
    while at - start < LONGEST_FLAG and start and TAG_FIRST <= ord(text[start - 1]) <= TAG_LAST:
        start -= 1
    return text[start - 1 : start] != FLAG or at - start >= LONGEST_FLAG


def _fills(text: str, at: int, right_to_left: bool) -> bool:
    del right_to_left
    return text[at - 1 : at] in _FILLERS or text[at + 1 : at + 2] in _FILLERS


def _always(text: str, at: int, right_to_left: bool) -> bool:
    del text, at, right_to_left
    return True


_KINDS: tuple[tuple[re.Pattern[str], str, Callable[[str, int, bool], bool]], ...] = (
    (re.compile("[\x1b\x9b]"), "terminal escape sequences", _always),
    (re.compile("[\x00-\x1f\x7f]"), "control characters", _always),
    (re.compile("[\u202d\u202e]"), "characters that reverse the text's direction", _always),
    (
        re.compile("[\u200e\u200f\u061c\u202a-\u202c\u2066-\u2069]"),
        "direction marks in a left-to-right text",
        _marks_direction,
    ),
    (re.compile("[\u200b\u2060-\u2064\ufeff\u180e]"), "zero-width characters", _has_no_width),
    (re.compile("[\u200c\u200d]"), "joiners that join nothing", _joins_nothing),
    (_SELECTOR, "variation selectors that select nothing", _selects_nothing),
    (re.compile("[\U000e0000-\U000e007f]"), "tag characters", _is_no_flag),
    (re.compile("[\u3164\u115f\u1160\uffa0\u2800]"), "blank letters", _fills),
)
"""A class of characters, what it is called, and when it is odd at a position."""


def _judged(text: str, at: int, right_to_left: bool) -> str:
    """What is odd about the character at a position; empty when nothing is."""
    for characters, what, odd in _KINDS:
        if characters.match(text, at):
            return what if odd(text, at, right_to_left) else ""
    return ""


def _joins(character: str) -> bool:
    """A joiner has a meaning beside this character."""
    if not character:
        return False
    if unicodedata.category(character) in {"So", "Sk", "Mn", "Mc"} or _SELECTOR.match(character):
        return True
    if character in "♀♂⚕⚖✈❤➡↔↕":
        return True
    return unicodedata.name(character, "").startswith(_JOINING_SCRIPTS)


def _codes(characters: list[str]) -> tuple[str, ...]:
    return tuple(f"U+{ord(one):04X}" for one in list(dict.fromkeys(characters))[:5])


def _spelled(what: str, characters: list[str]) -> str:
    """Tag characters and variation selectors as the bytes that they stand for."""
    if what == "tag characters":
        return "".join(chr(ord(one) - TAG_FIRST) for one in characters if ord(one) > TAG_FIRST)
    if what.startswith("variation"):
        # The 16 short ones stand for the first 16 bytes, the 240 others for the rest.
        raw = bytes(
            ord(one) - 0xFE00 if ord(one) < TAG_FIRST else (ord(one) - 0xE0100 + 16) & 0xFF
            for one in characters
        )
        return raw.decode("utf-8", "replace")
    return ""
