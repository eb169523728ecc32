"""What must be changed in a foreign Dockerfile before it is built: its choice of frontend.

``# syntax=REF`` makes BuildKit download and run REF as the program that reads the Dockerfile.
BuildKit 0.13 (Docker 26) has no switch against it: an empty ``BUILDKIT_SYNTAX`` is taken as the
name of an image. So the line is taken out of the copy that is sent, and the engine's own frontend
reads the rest. Directives count only above the first other line, written with ``#`` or ``//``,
after an optional byte order mark and ``#!`` line; a file that is one JSON object can carry one
too, but is no Dockerfile.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    rb"[^\n]*\n|[^\n]+"
)  # as BuildKit splits: a lone carriage return does not end one
_DIRECTIVE = re.compile(r"(?:#|//)\s*([a-z][a-z0-9]*)\s*=\s*(.*)", re.IGNORECASE | re.DOTALL)
_SYNTAX = re.compile(r"syntax\s*=", re.IGNORECASE)
_HONOURED = ("escape", "check")


def neutralise(source: bytes) -> tuple[bytes, str]:
    """The Dockerfile without its ``syntax`` directive, and the frontend it asked for (or "").

    The count of lines stays the same, so that messages name the right ones. Raises ``ValueError``
    with one sentence when the first line that is no comment is no instruction either.
    """
    lines: list[bytes] = _LINE.findall(source.removeprefix(b"\xef\xbb\xbf"))
    top = 0
    asked = ""
    suspicious = False
    honoured: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "surrogateescape").strip()
        if line and not line.startswith(("#", "//")):
            if not (line[0].isascii() and line[0].isalpha()):
                raise ValueError("it begins with something that is no instruction")
            break
        top += 1
        suspicious = suspicious or _SYNTAX.search(line) is not None
        match = _DIRECTIVE.match(line)
        if match and match[1].lower() == "syntax":
            asked = asked or match[2]
        elif match and match[1].lower() in _HONOURED and not _SYNTAX.search(line):
            honoured.append(f"# {match[1].lower()}={match[2]}\n")
    if not suspicious:
        return source, ""
    # Plain comments fill the block up; the first of them ends the directives.
    kept = [text.encode("utf-8", "surrogateescape") for text in honoured]
    filler = [b"# \n"] * (top - len(kept))
    name = asked.encode("utf-8", "replace").decode() or "(unclear)"
    return b"".join([*kept, *filler, *lines[top:]]), name[:200]
