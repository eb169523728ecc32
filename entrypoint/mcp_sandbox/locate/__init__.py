"""The line of the checkout that defines a tool, so that an alert stands where it is mended.

Tried in this order, the first that finds something wins: the longest distinctive part of the
description, the quoted name at a registration call, a function of that name, the Dockerfile's
ENTRYPOINT or CMD, the ``name`` of a manifest, the Dockerfile's first line. How the line was chosen
is kept in ``Location.why``.

Limits: what is generated at run time is not found; a description that other tools share is no
proof; of a very large tree only a part is searched (see ``locate.tree``), which the fallback says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mcp_sandbox.locate.mentions import mentions
from mcp_sandbox.locate.search import Hit, by_definition, by_description, by_registration
from mcp_sandbox.locate.tree import FETCHED, read, root, sources, text
from mcp_sandbox.model import Location

if TYPE_CHECKING:
    from mcp_sandbox.model import Json

__all__ = ["FETCHED", "locate", "mentions", "read", "root"]

MAX_SUBJECTS = 2_000

MANIFESTS = ("server.json", "package.json", "pyproject.toml")
_NAME_KEY = re.compile(r'[ \t]{0,40}"?name"?[ \t]{0,40}[:=]')
_HEREDOC = re.compile(r"<<-?[\"']?(\w{1,64})")


def locate(
    context: Path,
    files: Sequence[str] | None,
    subjects: Mapping[str, Json],
    dockerfile: str | None,
) -> dict[str, Location]:
    """For each subject the line that defines it; ``""`` is the line for everything else.

    ``context`` is the folder to search; ``files`` limits the search to these paths below it.
    ``subjects`` maps ``tools/NAME`` or ``prompts/NAME`` to the item as the server listed it.
    ``dockerfile`` is relative to ``context``. Paths of the result are relative to
    ``root(context)``. A subject that no search found has no entry: the fallback is its line.
    """
    folder = context.resolve()
    chosen = dict(sorted(subjects.items())[:MAX_SUBJECTS])
    found, whole = sources(folder, files)
    names = {subject: subject.partition("/")[2] for subject in chosen}
    prefix = folder.relative_to(root(folder))

    located: dict[str, Location] = {}
    for why, hits in (
        ("definition", by_definition(found, names)),
        ("registration", by_registration(found, names)),
        ("description", by_description(found, _descriptions(chosen))),
    ):
        located |= {subject: _location(prefix, hit, why) for subject, hit in hits.items()}
    fallback = _fallback(folder, prefix, dockerfile)
    if not whole or len(subjects) > MAX_SUBJECTS:
        why = f"{fallback.why}; only a part of the tree was searched"
        fallback = Location(fallback.path, fallback.line, why)
    return {"": fallback, **dict(sorted(located.items()))}


def _location(prefix: Path, hit: Hit, why: str) -> Location:
    return Location((prefix / hit.path).as_posix(), hit.line, why)


def _descriptions(subjects: Mapping[str, Json]) -> dict[str, str]:
    found = {}
    for subject, item in subjects.items():
        description = item.get("description") if isinstance(item, dict) else None
        if isinstance(description, str):
            found[subject] = description
    return found


def _fallback(folder: Path, prefix: Path, dockerfile: str | None) -> Location:
    name = _below(folder, dockerfile or "Dockerfile")
    path = (prefix / name).as_posix()
    data = read(folder, name)
    line = _start_line(text(data)) if data is not None else None
    if line is not None:
        return Location(path, line, "command")
    for manifest in MANIFESTS:
        data = read(folder, manifest)
        if data is None:
            continue
        for number, row in enumerate(text(data).split("\n"), 1):
            if _NAME_KEY.match(row):
                return Location((prefix / manifest).as_posix(), number, "manifest")
    return Location(path, 1, "nothing better is known")


def _below(folder: Path, dockerfile: str) -> str:
    """The Dockerfile's path below the folder; the usual one when it lies elsewhere."""
    path = PurePosixPath(dockerfile)
    if path.is_absolute():
        within = path.is_relative_to(folder.as_posix())
        path = path.relative_to(folder.as_posix()) if within else PurePosixPath("Dockerfile")
    return "Dockerfile" if ".." in path.parts or not path.parts else path.as_posix()


def _start_line(dockerfile: str) -> int | None:
    """The last stage's ENTRYPOINT, else its CMD.

    Only where an instruction begins matters here, so this reads lines and no more: comments,
    continuations and here-documents are passed over.
    """
    at: dict[str, int] = {}
    continued = False
    waiting: list[str] = []
    for number, line in enumerate(dockerfile.split("\n"), 1):
        row = line.strip()
        if waiting:
            if row == waiting[0]:
                waiting.pop(0)
            continue
        if row.startswith("#") or (continued and not row):
            continue
        if not continued:
            word = row.partition(" ")[0].partition("\t")[0].upper()
            if word == "FROM":
                at.clear()
            elif word in {"CMD", "ENTRYPOINT"}:
                at[word] = number
        continued = row.endswith("\\")
        waiting = [] if continued else _HEREDOC.findall(row)
    return at.get("ENTRYPOINT", at.get("CMD"))
