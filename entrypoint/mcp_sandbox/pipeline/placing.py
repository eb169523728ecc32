"""The line of the checkout that a change was written on, where it names what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp_sandbox import locate, words
from mcp_sandbox.model import Location
from mcp_sandbox.model.locked import ARGUMENT, Baseline, Change, Direction, Part

_PROSE = frozenset({Part.TITLE, Part.DESCRIPTION, Part.INSTRUCTIONS})
_PATHS = frozenset({Part.WRITE, Part.READ})


def places(context: Path, changes: Sequence[Change]) -> dict[str, Location]:
    """Lines of what the changes brought in, by their own words; see ``place``."""
    texts = {new: new for one in changes if (new := _new_words(one))}
    return locate.mentions(context, texts, [name for one in changes for name in _literals(one)])


def place(change: Change, baseline: Baseline) -> Location | None:
    """The line that a change stands on; ``None`` where the checkout does not name it."""
    for name in (*_literals(change), _new_words(change)):
        if name in baseline.places:
            return baseline.places[name]
    return None


def _new_words(change: Change) -> str:
    """The longest piece that a text gained; empty for what is no text, or only lost some."""
    if change.part not in _PROSE or not change.after:
        return ""
    added = (
        piece.text
        for piece in words.diff(change.before, change.after)
        if piece.kind is words.Kind.ADDED
    )
    return max(added, key=len, default="").strip()


def _literals(change: Change) -> tuple[str, ...]:
    """As what the source may name it, the surest first."""
    value = change.after
    if change.direction is not Direction.GAINED or not value or ARGUMENT in value:
        return ()
    if change.part is Part.ENDPOINT:
        host, colon, _ = value.rpartition(":")
        return (host.strip("[]") if colon else value,)
    if change.part is Part.PROGRAM:
        # A bare name is too often a word of something else.
        return (*(f"{quote}{value}{end}" for end in "\"' " for quote in "\"'"),)
    if change.part in _PATHS:
        name = value.rpartition("/")[2]
        return (value, *(f"{quote}{name}{quote}" for quote in "\"'" if name))
    return ()
