"""Other people's scanners, and what none of them says: one module each, all alike.

A scanner is given a ``Job`` and returns a ``ScannerRun``; see ``job`` for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mcp_sandbox.model import Issue, ScannerRun, ScannerState
from mcp_sandbox.scanners.job import Job, Scanner, ScannerOptions, Stage

__all__ = ["SCANNERS", "Job", "Scanner", "ScannerOptions", "Stage", "merged"]

SCANNERS: tuple[Scanner, ...] = ()

_WORST = (
    ScannerState.FAILED,
    ScannerState.PARTLY,
    ScannerState.NOT_INSTALLED,
    ScannerState.RAN,
    ScannerState.NOT_USED,
)


def merged(runs: Sequence[ScannerRun]) -> tuple[ScannerRun, ...]:
    """One run a tool, in order of first appearance.

    The worst state counts, reasons are joined, and an issue that two stages report is one: that
    with a line is kept.
    """
    tools: dict[str, list[ScannerRun]] = {}
    for run in runs:
        tools.setdefault(run.tool, []).append(run)
    return tuple(_joined(several) for several in tools.values())


def _joined(runs: list[ScannerRun]) -> ScannerRun:
    if len(runs) == 1:
        return replace(runs[0], issues=_single(runs[0].issues))
    details: dict[str, str] = {}
    for run in runs:
        details |= run.details
    return ScannerRun(
        tool=runs[0].tool,
        state=min((run.state for run in runs), key=_WORST.index),
        why=" ".join(_once(run.why for run in runs)),
        version=next((run.version for run in runs if run.version), ""),
        details=details,
        issues=_single(issue for run in runs for issue in run.issues),
        disobeyed=_once(path for run in runs for path in run.disobeyed),
        left_out=_once(path for run in runs for path in run.left_out),
    )


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _single(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Issues without repeats, in an order that is equal over runs.

    Two stages see one thing in two places (a package in the lock file and in the image): the place
    that the first one names counts.
    """
    kept: dict[tuple[str, str, str, str], Issue] = {}
    places: dict[tuple[str, str, str], bool] = {}
    for issue in issues:
        what = (issue.kind.value, issue.rule, issue.subject)
        if not issue.path and places.get(what):
            continue
        places[what] = places.get(what, False) or bool(issue.path)
        kept.setdefault((*what, issue.path), issue)
    return tuple(
        issue
        for (*what, path), issue in sorted(kept.items())
        if path or not places[what[0], what[1], what[2]]
    )
