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
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PATTERNS = 2_000
MAX_PATTERN_LENGTH = 1_000


@dataclass(frozen=True)
class Pattern:
    """One line of a ``.dockerignore``."""

    text: str
    regex: re.Pattern[str]
    brings_back: bool


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
        patterns.append(Pattern(cleaned, re.compile(_translate(cleaned)), brings_back))
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"it has more than {MAX_PATTERNS} patterns")
    return tuple(patterns)


def _translate(pattern: str) -> str:
    """A pattern as an anchored regular expression without nested repetition."""
    parts = ["\\A"]
    index, end = 0, len(pattern)
    while index < end:
        char = pattern[index]
        index += 1
        if char == "*" and pattern[index : index + 1] == "*":
            while pattern[index : index + 1] == "*":
                index += 1
            if pattern[index : index + 1] == "/":
                index += 1
            parts.append(".*" if index >= end else "(?:.*/)?")
        elif char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "\\":
            if index >= end:
                raise ValueError(f"{pattern!r} ends with a backslash")
            parts.append(re.escape(pattern[index]))
            index += 1
        elif char == "[":
            text, index = _character_class(pattern, index)
            parts.append(text)
        else:
            parts.append(re.escape(char))
    parts.append("\\Z")
    return "".join(parts)


def _character_class(pattern: str, index: int) -> tuple[str, int]:
    """The class that opens before ``index``, and where the pattern goes on after it."""
    close = pattern.find("]", index + 1 + pattern.startswith("^", index))
    if close < 0:
        raise ValueError(f"{pattern!r} has a '[' without ']'")
    negated = pattern.startswith("^", index)
    body = pattern[index + negated : close]
    inside = re.sub(r"[\[\]&~|^]", lambda match: "\\" + match[0], body)
    text = f"[{'^' if negated else ''}{inside}]"
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{pattern!r} has an unusable '[…]'") from error
    return text, close + 1


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
            above or pattern.regex.match(path) is not None
            for above, pattern in zip(inherited, self._patterns, strict=True)
        )

    def ignored(self, verdicts: Sequence[bool]) -> bool:
        """Whether a path with these verdicts is left out."""
        out = False
        for matched, pattern in zip(verdicts, self._patterns, strict=True):
            if matched:
                out = not pattern.brings_back
        return out
