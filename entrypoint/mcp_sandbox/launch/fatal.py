"""What of a server's last words tells why it ended: the error that it did not survive.

Much of what stands before is a warning that it lived with, a stack trace and all. The text is a
peer's, as lines that ``needs.readable`` has bounded; it is gone through once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WARNING = re.compile(r"^\W{0,4}(?:\S{1,40} {1,2}){0,4}\W{0,3}\w{0,24}warn(?:ing)?\b", re.IGNORECASE)
_THROWN = re.compile(r"^(?:file://|node:)?[\w./@-]{1,300}:\d{1,7}$")
"""Where Node says an exception was thrown; the line of code and its mark follow."""
_MARK = re.compile(r"^\s{0,200}\^{1,200}$")
_MARK_WITHIN = 4
"""Lines after the place."""
_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = re.compile(r"^(?:During handling of the above|The above) exception\b")
_PART = re.compile(r"^(?:\s|- |\}|Require stack:)")
"""What belongs to the line before it."""


def error(lines: Sequence[str]) -> list[str]:
    """The exception that nobody caught, with what caused it; empty where the text shows none."""
    begun = [number for number, _ in enumerate(lines) if _begins(lines, number)]
    return list(lines[begun[-1] :]) if begun else []


def _begins(lines: Sequence[str], number: int) -> bool:
    line = lines[number]
    if _THROWN.match(line):
        return any(map(_MARK.match, lines[number + 1 : number + 1 + _MARK_WITHIN]))
    return line.strip() == _TRACEBACK and not _continues(lines, number)


def _continues(lines: Sequence[str], number: int) -> bool:
    """Whether a traceback is one of a chain: Python begins with the cause."""
    before = (line for line in reversed(lines[max(0, number - 3) : number]) if line.strip())
    return bool(_CHAINED.match(next(before, "")))


def without_warnings(lines: Sequence[str]) -> list[str]:
    """The lines without warnings and what belongs to them; all where there is nothing else."""
    kept: list[str] = []
    warned = False
    for line in lines:
        warned = bool(WARNING.search(line)) or (warned and bool(_PART.match(line)))
        if not warned:
            kept.append(line)
    return kept if any(line.strip() for line in kept) else list(lines)
