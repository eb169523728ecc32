"""Lines of the checkout that hold certain words: where a change of behaviour was written.

The cost is linear in the text for each of a bounded number of things looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcp_sandbox.locate.search import by_description
from mcp_sandbox.locate.tree import Source, root, sources
from mcp_sandbox.model import Location

MAX_WANTED = 100
"""Texts, and literals, that are looked for."""
MAX_LITERAL = 500
_EDGE = re.compile(r"[\w.-]")
"""A character that makes a name another one."""


def mentions(
    context: Path, texts: Mapping[str, str], literals: Iterable[str]
) -> dict[str, Location]:
    """Where each stands in the folder; what is not found has no entry.

    ``texts``: key -> words that follow each other, however they are quoted and broken: the line on
    which the longest run of them begins. ``literals`` are their own keys: a name or a path, written
    as it is, the likeliest file first. Paths are relative to ``root(context)``.
    """
    folder = context.resolve()
    prefix = folder.relative_to(root(folder))
    found, _ = sources(folder, None)
    chosen = dict(list(texts.items())[:MAX_WANTED])
    located = {
        key: Location((prefix / hit.path).as_posix(), hit.line, "words")
        for key, hit in by_description(found, chosen).items()
    }
    for literal in list(dict.fromkeys(literals))[:MAX_WANTED]:
        place = _first(found, literal) if 0 < len(literal) <= MAX_LITERAL else None
        if place is not None:
            path, line = place
            located.setdefault(literal, Location((prefix / path).as_posix(), line, "literal"))
    return located


def _first(found: Sequence[Source], literal: str) -> tuple[str, int] | None:
    """Path and line of the first whole mention."""
    for source in found:
        at = source.text.find(literal)
        while at >= 0:
            end = at + len(literal)
            before, after = source.text[max(0, at - 1) : at], source.text[end : end + 1]
            # A quote or a blank is an edge by itself.
            longer = _EDGE.match(literal[0]) and _EDGE.match(before)
            if not (longer or (_EDGE.match(literal[-1]) and _EDGE.match(after))):
                return source.path, source.line_at(at)
            at = source.text.find(literal, end)
    return None
