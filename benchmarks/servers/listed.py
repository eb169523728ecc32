"""The list of public servers, ``benchmarks/servers.toml``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

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
    older: bool = False
    """A version that nobody installs any more; it does not count."""

    @property
    def slug(self) -> str:
        """The source as the name of a file."""
        return re.sub(r"[^\w.-]+", "_", self.source).strip("_")


def read(path: Path = LIST) -> tuple[Listed, ...]:
    """Every server. Raises ``ValueError`` when one is named twice or is not pinned."""
    with path.open("rb") as file:
        tables = tomllib.load(file)
    found = tuple(
        Listed(
            source=one["source"],
            kind=one["kind"],
            arguments=tuple(one.get("arguments", ())),
            environment=one.get("environment", {}),
            constraints=tuple(one.get("constraints", ())),
            system_packages=tuple(one.get("system_packages", ())),
            older=part == "older",
        )
        for part in ("server", "older")
        for one in tables[part]
    )
    if unpinned := [one.source for one in found if not _PINNED.fullmatch(one.source)]:
        raise ValueError(f"not pinned: {', '.join(unpinned)}")
    if len({one.slug for one in found}) != len(found):
        raise ValueError("a server is in the list twice")
    return found
