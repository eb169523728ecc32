"""The difference of two texts, word by word: what a reviewer of a description wants to see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

MAX_WORDS = 2_000
"""Words and gaps of one text that are compared, beside what begins and ends alike."""
MAX_EDITS = 200
"""Words that may differ before the whole middle counts as replaced; time and memory grow with its
square."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


class Kind(StrEnum):
    """What became of a piece of text."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class Piece:
    """Words in a row that share their fate."""

    kind: Kind
    text: str


def diff(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces of both texts, in reading order; what was removed stands before what was added.

    ``SAME`` and ``REMOVED`` joined give ``before``, ``SAME`` and ``ADDED`` joined give ``after``.
    A word is a run of letters and digits, a run of white space, or any other single character.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    middle = _edits(old[start : len(old) - end], new[start : len(new) - end])
    pieces = [
        (Kind.SAME, "".join(old[:start])),
        *middle,
        (Kind.SAME, "".join(old[len(old) - end :])),
    ]
    return tuple(_joined([piece for piece in pieces if piece[1]]))


def _alike(one: list[str], other: list[str]) -> int:
    """How many words two texts begin with alike."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


_Marked = list[tuple[Kind, str]]


def _edits(old: list[str], new: list[str]) -> _Marked:
    """A shortest edit script (Myers 1986, the greedy variant), or all replaced by all."""
    replaced = [(Kind.REMOVED, "".join(old)), (Kind.ADDED, "".join(new))]
    if not old or not new or max(len(old), len(new)) > MAX_WORDS:
        return replaced
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(MAX_EDITS + 1):
        trace.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
            )
            x = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                return _walked_back(trace, old, new)
    return replaced


def _walked_back(trace: list[dict[int, int]], old: list[str], new: list[str]) -> _Marked:
    """The script that the search found, from its end to its beginning, turned around."""
    script: _Marked = []
    x, y = len(old), len(new)
    for edits in range(len(trace) - 1, -1, -1):
        furthest, diagonal = trace[edits], x - y
        down = diagonal == -edits or (
            diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
        )
        previous = diagonal + 1 if down else diagonal - 1
        before_x = furthest[previous] if edits else 0
        before_y = before_x - previous if edits else 0
        while x > before_x and y > before_y:
            x, y = x - 1, y - 1
            script.append((Kind.SAME, old[x]))
        if edits and down:
            y -= 1
            script.append((Kind.ADDED, new[y]))
        elif edits:
            x -= 1
            script.append((Kind.REMOVED, old[x]))
    return script[::-1]


def _joined(script: _Marked) -> list[Piece]:
    """One piece for each run; a replaced sentence is one, not as many as it has words."""
    runs: list[tuple[list[str], list[str]] | str] = []
    for same, group in groupby(script, lambda one: one[0] is Kind.SAME):
        members = list(group)
        if same:
            runs.append("".join(word for _, word in members))
            continue
        removed = [word for kind, word in members if kind is Kind.REMOVED]
        added_words = [word for kind, word in members if kind is Kind.ADDED]
        # A blank between two changes belongs to both.
        if len(runs) > 1 and isinstance(runs[-1], str) and runs[-1].isspace():
            gap = runs.pop()
            earlier = runs[-1]
            assert isinstance(gap, str)  # noqa: S101 - looked at above
            assert not isinstance(earlier, str)  # noqa: S101 - runs of both kinds alternate
            earlier[0].extend([gap, *removed])
            earlier[1].extend([gap, *added_words])
        else:
            runs.append((removed, added_words))
    pieces = []
    for run in runs:
        if isinstance(run, str):
            pieces.append(Piece(Kind.SAME, run))
            continue
        removed_text, added_text = "".join(run[0]), "".join(run[1])
        pieces += [Piece(Kind.REMOVED, removed_text)] if removed_text else []
        pieces += [Piece(Kind.ADDED, added_text)] if added_text else []
    return pieces
