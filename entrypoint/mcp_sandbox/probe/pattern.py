"""One short string for a simple regular expression, without running any regex engine.

Reads literals, escapes, classes, groups, alternatives (the first that is not empty), quantifiers
(the least count, but once for ``*``) and anchors. Look-
around, back-references and the rest give ``None``. The caller checks the result against the schema;
nothing here decides validity. Linear in the pattern, bounded in output.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_OUTPUT = 4_096
_MAX_DEPTH = 30
_COUNT_DIGITS = 4
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_PROPERTIES = {"L": "a", "Ll": "a", "Lu": "A", "N": "1", "Nd": "1", "P": "-", "S": "+", "Z": " "}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_SETS = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": (("\t", "\r"), (" ", " ")),
    "D": (("\0", "/"), (":", "\U0010ffff")),
    "W": (("\0", "/"), (":", "@"), ("[", "^"), ("`", "`"), ("{", "\U0010ffff")),
    "S": (("\0", "\b"), ("\x0e", "\x1f"), ("!", "\U0010ffff")),
}
_PREFERRED = "a1A_-."


class _Unreadable(Exception):
    pass


def example(pattern: str) -> str | None:
    """A string that should match ``pattern``, or None when the pattern is beyond this reader."""
    try:
        reader = _Reader(pattern)
        text = reader.alternatives(0)
        if reader.at < len(pattern):
            return None
    except (_Unreadable, IndexError):
        return None
    return text


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0

    def alternatives(self, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise _Unreadable
        first = self._sequence(depth)
        while self._next() == "|":
            self.at += 1
            other = self._sequence(depth)
            first = first or other
        return first

    def _next(self) -> str:
        return self._pattern[self.at] if self.at < len(self._pattern) else ""

    def _sequence(self, depth: int) -> str:
        out = ""
        while self._next() not in ("", "|", ")"):
            atom = self._atom(depth)
            least = self._least_count()
            out += atom * least
            if len(out) > MAX_OUTPUT:
                raise _Unreadable
        return out

    def _atom(self, depth: int) -> str:
        char = self._pattern[self.at]
        self.at += 1
        if char in "^$":
            return ""
        if char == ".":
            return "a"
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise _Unreadable
        return char

    def _group(self, depth: int) -> str:
        if self._next() == "?":
            rest = self._pattern[self.at :]
            if rest.startswith("?:"):
                self.at += 2
            elif rest.startswith(("?<=", "?<!", "?=", "?!")):
                raise _Unreadable
            elif rest.startswith(("?<", "?P<")):
                self.at = self._pattern.index(">", self.at) + 1 if ">" in rest else len(rest)
            else:
                raise _Unreadable
        text = self.alternatives(depth + 1)
        if self._next() != ")":
            raise _Unreadable
        self.at += 1
        return text

    def _escape(self) -> str:
        char = self._pattern[self.at]
        self.at += 1
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "bBAZz":
            return ""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "p" and self._next() == "{":
            name = self._until("}")
            return _PROPERTIES.get(name, "a")
        if char in "xu":
            return self._code(2 if char == "x" else 4)
        if char.isalnum():
            raise _Unreadable  # a back-reference, or something newer
        return char

    def _until(self, end: str) -> str:
        start = self.at + 1
        stop = self._pattern.find(end, start)
        if stop < 0:
            raise _Unreadable
        self.at = stop + 1
        return self._pattern[start:stop]

    def _code(self, digits: int) -> str:
        text = self._pattern[self.at : self.at + digits]
        self.at += digits
        try:
            return chr(int(text, 16))
        except ValueError as error:
            raise _Unreadable from error

    def _class(self) -> str:
        negated = self._next() == "^"
        self.at += negated
        ranges = list(self._ranges())
        for char in (*_PREFERRED, *(low for low, _ in ranges)):
            inside = any(low <= char <= high for low, high in ranges)
            if inside is not negated:
                return str(char)
        raise _Unreadable

    def _ranges(self) -> Iterator[tuple[str, str]]:
        first = True
        while first or self._next() != "]":
            first = False
            named = self._pattern[self.at + 1 : self.at + 2]
            if self._next() == "\\" and named in _SETS:
                self.at += 2
                yield from _SETS[named]
                continue
            low = self._member()
            if self._next() == "-" and self._pattern[self.at + 1] != "]":
                self.at += 1
                yield low, self._member()
            else:
                yield low, low
        self.at += 1

    def _member(self) -> str:
        char = self._pattern[self.at]
        self.at += 1
        return self._escape() if char == "\\" else char

    def _least_count(self) -> int:
        """Read a quantifier: how often the atom is written."""
        char = self._next()
        least = 1
        if char in ("*", "?", "+"):
            self.at += 1
            least = 0 if char == "?" else 1
        elif char == "{":
            low = self._until("}").split(",")[0]
            if not (low.isascii() and low.isdigit() and len(low) <= _COUNT_DIGITS):
                raise _Unreadable
            least = int(low)
        if char and self._next() in ("?", "+") and char in "*+?{":
            self.at += 1
        return least
