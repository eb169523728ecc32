"""``.dockerignore`` as Docker reads it: which paths of a context are left out.

The rules are those of the ``patternmatcher`` that BuildKit uses: the last pattern that matches a
path or one of its parents decides; ``!`` brings back; ``**`` spans folders, ``*`` and ``?`` do not;
a leading or trailing slash means nothing. docker-py's own matcher is not used, because it compares
only one parent of a path with a pattern, and so keeps ``a/b/node_modules/x`` under
``**/node_modules`` as soon as the file has a ``!`` line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_PATTERNS = 2_000
MAX_PATTERN_LENGTH = 1_000


MAX_BACKTRACKING = 2
"""Wildcards of more than one character that a regular expression is trusted with."""


@dataclass(frozen=True)
class Pattern:
    """One line of a ``.dockerignore``."""

    text: str
    matches: Callable[[str], bool]
    brings_back: bool


@dataclass(frozen=True)
class _Token:
    kind: str
    regex: str


_ONE = "one"
_STAR = _Token("star", "[^/]*")
_DEEP = _Token("deep", "(?:.*/)?")
_ALL = _Token("all", ".*")


def parse(text: str) -> tuple[Pattern, ...]:
    """The patterns of an ignore file, in order.

    Raises ``ValueError`` with one sentence for a pattern that Docker refuses too, and for a file
    beyond ``MAX_PATTERNS`` lines or ``MAX_PATTERN_LENGTH`` characters in a line.
    """
    patterns = []
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#"):
            continue
        body = line.strip()
        if not body:
            continue
        if len(body) > MAX_PATTERN_LENGTH:
            raise ValueError(f"a pattern is longer than {MAX_PATTERN_LENGTH} characters")
        brings_back = body.startswith("!")
        body = body.removeprefix("!").strip()
        if brings_back and not body:
            raise ValueError("a pattern is a lone '!'")
        if not body:
            continue
        cleaned = posixpath.normpath(body)
        if len(cleaned) > 1:
            cleaned = cleaned.lstrip("/")
        patterns.append(Pattern(cleaned, _matcher(_tokens(cleaned)), brings_back))
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"it has more than {MAX_PATTERNS} patterns")
    return tuple(patterns)


def _tokens(pattern: str) -> list[_Token]:
    """A pattern taken apart."""
    end_of_name = pattern.removeprefix("**")
    if end_of_name != pattern and not re.match(r"/|.*[*?\[\]\\]|\Z", end_of_name, re.DOTALL):
        # BuildKit: "**" before plain text makes a suffix.
        return [_ALL, *(_Token(_ONE, re.escape(char)) for char in end_of_name)]
    tokens: list[_Token] = []
    index, end = 0, len(pattern)
    while index < end:
        char = pattern[index]
        index += 1
        if char == "*" and pattern.startswith("*", index):
            stars = re.compile(r"\*+/?").match(pattern, index)
            index = stars.end() if stars else index
            token = _ALL if index >= end else _DEEP
        elif char == "*":
            token = _STAR
        elif char == "?":
            token = _Token(_ONE, "[^/]")
        elif char == "[":
            text, index = _character_class(pattern, index)
            token = _Token(_ONE, text)
        else:
            if char == "\\":
                char = pattern[index : index + 1]
                index += 1
            if not char:
                raise ValueError(f"{pattern!r} ends with a backslash")
            token = _Token(_ONE, re.escape(char))
        tokens.append(token)
    return tokens


def _matcher(tokens: list[_Token]) -> Callable[[str], bool]:
    """A regular expression while that cannot backtrack far, else an automaton."""
    if sum(token.kind != _ONE for token in tokens) > MAX_BACKTRACKING:
        return _Automaton(tokens).match
    found = re.compile("".join(token.regex for token in tokens), re.DOTALL).fullmatch
    return lambda path: found(path) is not None


class _Automaton:
    """All ways to match at once, in time linear in the path: one bit for each place in a pattern.

    Without it, an ignore file with many ``**`` could keep a regular expression busy for ever.
    """

    def __init__(self, tokens: list[_Token]) -> None:
        self._places: list[_Token] = []
        for token in tokens:
            self._places += [token, token] if token is _DEEP else [token]
        self._skip_one = self._skip_two = 0
        self._steps: dict[str, tuple[int, int]] = {}
        place = 0
        self._inside_deep = 0
        for token in tokens:
            if token.kind != _ONE:
                self._skip_one |= 1 << place
            if token is _DEEP:
                self._skip_two |= 1 << place
                self._inside_deep |= 1 << (place + 1)
                place += 1
            place += 1
        self._accepting = 1 << place

    def match(self, path: str) -> bool:
        """Whether the whole path matches."""
        state = self._closed(1)
        for char in path:
            stays, moves = self._steps.get(char) or self._learn(char)
            state = self._closed((state & stays) | ((state & moves) << 1))
            if not state:
                return False
        return bool(state & self._accepting)

    def _closed(self, state: int) -> int:
        """With all places that are reached by matching nothing."""
        while True:
            wider = state | ((state & self._skip_one) << 1) | ((state & self._skip_two) << 2)
            if wider == state:
                return state
            state = wider

    def _learn(self, char: str) -> tuple[int, int]:
        """The places that a character leaves where they are, and those that it moves on."""
        stays = moves = 0
        for place, token in enumerate(self._places):
            bit = 1 << place
            if bit & self._inside_deep:
                stays |= bit
                moves |= bit if char == "/" else 0
            elif token is _ALL or (token is _STAR and char != "/"):
                stays |= bit
            elif token.kind == _ONE and re.fullmatch(token.regex, char, re.DOTALL):
                moves |= bit
        self._steps[char] = stays, moves
        return stays, moves


def _character_class(pattern: str, index: int) -> tuple[str, int]:
    """The class that opens before ``index``, and where the pattern goes on after it.

    Go's grammar: ``^`` negates, a backslash escapes, ``-`` and ``]`` stand for themselves only when
    escaped.
    """
    bad = ValueError(f"{pattern!r} has an unusable '[…]'")

    def one(at: int) -> tuple[str, int]:
        escaped = pattern.startswith("\\", at)
        at += escaped
        char = pattern[at : at + 1]
        if not char or (char in "-]" and not escaped):
            raise bad
        return char, at + 1

    negated = pattern.startswith("^", index)
    index += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", index)):
        low, index = one(index)
        high = low
        if pattern.startswith("-", index):
            high, index = one(index + 1)
        if high < low:
            raise bad
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if negated else ''}{''.join(ranges)}]", index + 1


class Matcher:
    """Decides for one context."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self.may_bring_back = any(pattern.brings_back for pattern in patterns)
        """When nothing can be brought back, an ignored folder need not be entered."""

    def verdicts(self, path: str, parent: tuple[bool, ...] = ()) -> tuple[bool, ...]:
        """Which patterns match ``path`` or a parent; ``parent`` is this of the parent folder."""
        inherited = parent or (False,) * len(self._patterns)
        return tuple(
            above or pattern.matches(path)
            for above, pattern in zip(inherited, self._patterns, strict=True)
        )

    def ignored(self, verdicts: Sequence[bool]) -> bool:
        """Whether a path with these verdicts is left out."""
        out = False
        for matched, pattern in zip(verdicts, self._patterns, strict=True):
            if matched:
                out = not pattern.brings_back
        return out
