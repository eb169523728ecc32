"""The facts of many servers: entries of a list of servers, and their reports joined.

Like ``model``: frozen types, no I/O, no behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mcp_sandbox.model import Verdict


class SourceKind(StrEnum):
    """Where a server of a list comes from."""

    IMAGE = "image"
    CONTEXT = "context"
    """A folder with a Dockerfile."""
    SOURCE = "source"
    """What ``sources.names`` has forms for: a package, a bundle, a repository."""


@dataclass(frozen=True)
class Entry:
    """One server of a list."""

    name: str
    """Unique in its list; lower case letters, digits, ``.``, ``_`` and ``-``."""
    kind: SourceKind
    source: str
    inputs: dict[str, str] = field(default_factory=dict)
    """Input of the action -> its value as a workflow hands it over; lists have one item a line."""
    line: int = 0
    """Of the list."""


@dataclass(frozen=True)
class Server:
    """What one report comes to. Texts of peers are in it as they are, cut to a bound."""

    name: str
    """Unique among the servers that were merged."""
    folder: str
    """Of the report, as it was named or found; empty when the list alone names the server."""
    verdict: Verdict | None = None
    """``None``: there is no report that could be read."""
    problem: str = ""
    """What is wrong with the report's files; empty when nothing is."""
    score: float | None = None
    multiplier_class: str = ""
    classes: dict[str, int] = field(default_factory=dict)
    """Class -> findings that count, those of drift among them."""
    drift: int | None = None
    """Findings of drift that count and are more than a note; ``None``: nothing was compared."""
    baseline: str = ""
    """What it was compared with: ``used``, ``missing``, ``off``…; empty when it did not come to
    it."""
    worst: tuple[str, ...] = ()
    """The first findings of the worst classes, a line each."""
    changed: tuple[str, ...] = ()
    """The first findings of drift, a line each."""
    tools: int = 0
    called: int = 0
    """Tools that were called."""
    missing: tuple[str, ...] = ()
    """Why the run is below the coverage floor."""
    scanners: dict[str, str] = field(default_factory=dict)
    reference: str = ""
    image: str = ""
    error: str = ""
    runs: int = 0
    """Its runs in the merged SARIF."""
    results: int = 0
    """Results of these runs."""


@dataclass(frozen=True)
class Merged:
    """All reports together."""

    verdict: Verdict
    """``fail`` when one failed, else ``error``, else ``inconclusive``, else ``pass``; what could
    not be read counts as ``error``."""
    servers: int
    verdicts: dict[str, int]
    """Verdict, or ``unreadable`` -> number of servers."""
    problems: int
    """Servers whose files are not all there or cannot be read."""
    drifted: int
    """Servers with drift."""
    sarif: tuple[str, ...]
    """Names of the SARIF files, worst servers first."""
    results: int
    left_out: tuple[str, ...] = ()
    """What a limit of GitHub's kept out of the SARIF files, one sentence each."""
    notes: tuple[str, ...] = ()
    """What else a reader has to know: names that were changed, links that were not followed…"""
    incomplete: tuple[str, ...] = ()
    """Why there may be more reports than these."""
