"""The list of public servers, ``benchmarks/servers.toml``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

LIST = Path(__file__).parents[1] / "servers.toml"
_PINNED = re.compile(r"pypi:[\w.-]+==[\w.]+|npm:(?:@[\w.-]+/)?[\w.-]+@\d[\w.+-]*")


@dataclass(frozen=True)
class Listed:
    """One server of the list."""

    source: str
    """``pypi:NAME==VERSION`` or ``npm:NAME@VERSION``."""
    kind: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    """On what it depends on, where its newest dependencies are known to break it."""
    system_packages: tuple[str, ...] = ()
    """Debian's, that its documentation asks for."""
    install_scripts: bool = False
    """Its dependencies are of no use without what theirs build or fetch."""
    entry_point: str = ""
    """The command that its documentation names, where the package has several."""
    memory: str = ""
    """As ``--memory`` wants it; empty for the default, as below."""
    pids: int = 0
    cpus: float = 0
    older: bool = False
    """A version that nobody installs any more; it does not count."""

    @property
    def slug(self) -> str:
        """The source as the name of a file."""
        return re.sub(r"[^\w.-]+", "_", self.source).strip("_")


def read(path: Path = LIST) -> tuple[Listed, ...]:
    """Every server.

    Raises ``ValueError`` when one is named twice, is not pinned, or has a key that is unknown.
    """
    with path.open("rb") as file:
        tables = tomllib.load(file)
    found = tuple(_listed(one, part) for part in ("server", "older") for one in tables[part])
    if unpinned := [one.source for one in found if not _PINNED.fullmatch(one.source)]:
        raise ValueError(f"not pinned: {', '.join(unpinned)}")
    if len({one.slug for one in found}) != len(found):
        raise ValueError("a server is in the list twice")
    return found


_REGISTRY = frozenset({"downloads", "rank"})
"""Keys that say why a server was chosen."""


def _listed(table: dict[str, Any], part: str) -> Listed:
    known = {one.name for one in fields(Listed)} - {"older"}
    if unknown := table.keys() - known - _REGISTRY:
        raise ValueError(f"unknown in {table.get('source')}: {', '.join(sorted(unknown))}")
    made = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table.items()
        if name in known
    }
    return Listed(**made, older=part == "older")
