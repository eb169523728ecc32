"""Where the reports are, and a name of its own for each server.

A server is called by the folder of its report: ``mcp-sandbox-report-NAME`` (an artifact) and
``NAME/mcp-sandbox-report`` (the default of ``--out``) are both ``NAME``. Where two have one name,
each gets the folders above it too, as many as tell them apart.
"""

from __future__ import annotations

import os
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mcp_sandbox.errors import BadInput

REPORT = "report.json"
SARIF = "results.sarif"
TRACES = frozenset({SARIF, "summary.md", "evidence"})
"""What a report folder holds besides; without a report these tell that one is missing."""
DEFAULT_OUT = "mcp-sandbox-report"

MAX_DEPTH = 8
"""Levels of folders below one that was named."""
MAX_ENTRIES = 1_000_000
"""Directory entries looked at, in all."""
MAX_REPORTS = 100_000
MAX_NAME = 100
"""Characters of a server's name."""

NAME_CHARACTERS = string.ascii_letters + string.digits + "._-"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGEST = 8


@dataclass(frozen=True)
class Place:
    """One report folder."""

    name: str
    """Unique; letters, digits, ``._-``, and ``/`` between folders, none of them ``.`` or ``..``."""
    folder: Path


@dataclass(frozen=True)
class Found:
    """All of them, by name."""

    places: tuple[Place, ...]
    notes: tuple[str, ...]
    incomplete: tuple[str, ...]
    """Where the search ended at a bound."""


@dataclass
class _Search:
    """What is left of the bounds, and what was met."""

    entries: int
    links: int = 0
    deep: str = ""

    def below(self, top: Path) -> Iterator[Path]:
        """Report folders at and below ``top``, links not followed. Raises ``OSError``."""
        stack = [(top, 0)]
        while stack:
            folder, depth = stack.pop()
            inner: list[Path] = []
            names = set()
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.entries -= 1
                    if self.entries < 0:
                        return
                    names.add(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(folder / entry.name)
                    elif entry.is_symlink() and entry.name not in {REPORT, *TRACES}:
                        self.links += 1
            if REPORT in names or names & TRACES:
                yield folder
            elif inner and depth == MAX_DEPTH:
                self.deep = self.deep or str(folder)
            else:
                stack += [(path, depth + 1) for path in sorted(inner, reverse=True)]


def find(folders: Sequence[Path]) -> Found:
    """The report folders among and below ``folders``: the same for any order of these.

    Raises ``BadInput`` for a folder that is none, cannot be read, or holds no report.
    """
    search = _Search(MAX_ENTRIES)
    found: dict[str, Path] = {}
    for top in sorted(folders):
        before = len(found)
        try:
            seen = 0
            for folder in search.below(top):
                seen += 1
                found.setdefault(os.path.realpath(folder), folder)
                if len(found) > MAX_REPORTS:
                    raise BadInput(
                        f"There are more than {MAX_REPORTS} reports.",
                        next_step="Merge them in parts.",
                    )
        except OSError as error:
            raise BadInput(
                f"{error.filename or top} cannot be read: {error.strerror}.",
                next_step="Name folders that hold reports of `mcp-sandbox scan`.",
            ) from error
        if len(found) == before and not seen and search.entries >= 0:
            raise BadInput(
                f"{top} holds no report.",
                next_step="Name folders that hold reports of `mcp-sandbox scan`.",
            )
    incomplete = []
    if search.entries < 0:
        incomplete.append(f"Only the first {MAX_ENTRIES} files and folders were looked at.")
    if search.deep:
        incomplete.append(f"{search.deep} holds folders that are too deep to be searched.")
    named, notes = _named(found)
    if search.links:
        notes.append(f"{search.links} links were not followed.")
    return Found(named, tuple(notes), tuple(incomplete))


def _named(found: dict[str, Path]) -> tuple[tuple[Place, ...], list[str]]:
    """A name for each real path, and who had to be given a longer one."""
    parts = {path: _parts(path) for path in found}
    names = {path: safe(one[-1:]) for path, one in parts.items()}
    notes: list[str] = []
    for length in range(2, 2 + max(map(len, parts.values()), default=0)):
        same = [group for group in _groups(names) if len(group) > 1]
        if not same:
            break
        for group in same:
            if length == 2:  # noqa: PLR2004 - once, with the name that they share
                shown = ", ".join(str(found[path]) for path in group[:5])
                notes.append(
                    f"{len(group)} servers are called {names[group[0]]}; each is named by more of "
                    f"its folder ({shown}{', …' if len(group) > 5 else ''})."  # noqa: PLR2004
                )
            names |= {path: safe(parts[path][-length:]) for path in group}
    for group in _groups(names):
        if len(group) > 1:  # the same but for characters that a name cannot have
            names |= {path: f"{names[path]}-{_digest(path)}" for path in group}
    places = (Place(names[path], folder) for path, folder in found.items())
    return tuple(sorted(places, key=lambda one: one.name)), sorted(notes)


def _parts(path: str) -> tuple[str, ...]:
    """The folders of a real path, without what every report folder is called."""
    *above, last = Path(path).parts
    if last == DEFAULT_OUT and len(above) > 1:
        return tuple(above)
    return (*above, last.removeprefix(f"{DEFAULT_OUT}-") or last)


def _groups(names: dict[str, str]) -> list[list[str]]:
    """Paths by name; two that differ in case only are one to some file systems."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(names):
        groups[names[path].lower()].append(path)
    return list(groups.values())


def safe(parts: Iterable[str]) -> str:
    """Folders as a name that means the same in a path, a URI and a category."""
    kept = []
    for part in parts:
        plain = _UNSAFE.sub("-", part).strip("-.")
        kept.append(plain or f"server-{_digest(part)}")
    name = "/".join(kept)
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME].rstrip('/.-')}-{_digest(name)}"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST]
