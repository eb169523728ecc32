"""Other people's scanners, and what none of them says: one module each, all alike.

A scanner is given a ``Job`` and returns a ``ScannerRun``; see ``job`` for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcp_sandbox.model import Issue, ScannerRun, ScannerState
from mcp_sandbox.scanners import dockerfile, hadolint, trivy, trufflehog
from mcp_sandbox.scanners.job import Job, Scanner, ScannerOptions, Stage
from mcp_sandbox.scanners.semgrep import Semgrep

__all__ = ["SCANNERS", "Job", "Scanner", "ScannerOptions", "Stage", "merged"]

SCANNERS: tuple[Scanner, ...] = (
    trivy.CHECKOUT,
    trivy.IMAGE,
    trufflehog.OnCheckout(),
    trufflehog.OnImage(),
    hadolint.CHECKOUT,
    Semgrep(),
    dockerfile.DockerfileScanner(),
)
"""What can run. Of a tool with two stages the checkout's stands first; see ``merged``."""

_WORST = (
    ScannerState.FAILED,
    ScannerState.PARTLY,
    ScannerState.NOT_INSTALLED,
    ScannerState.RAN,
    ScannerState.NOT_USED,
)


def merged(runs: Sequence[ScannerRun]) -> tuple[ScannerRun, ...]:
    """One run a tool, in order of first appearance.

    The worst state counts and reasons are joined. What two stages report is one issue, where the
    earlier run puts it: give those of the checkout first, because they know the lines.
    """
    tools: dict[str, list[ScannerRun]] = {}
    for run in runs:
        tools.setdefault(run.tool, []).append(run)
    return tuple(_joined(several) for several in tools.values())


def _joined(runs: list[ScannerRun]) -> ScannerRun:
    runs = [run for run in runs if run.state is not ScannerState.NOT_USED] or runs
    details: dict[str, str] = {}
    for run in runs:
        details |= run.details
    return ScannerRun(
        tool=runs[0].tool,
        state=min((run.state for run in runs), key=_WORST.index),
        why=" ".join(_once(run.why for run in runs)),
        version=next((run.version for run in runs if run.version), ""),
        details=details,
        issues=_single(runs),
        disobeyed=_once(path for run in runs for path in run.disobeyed),
        left_out=_once(path for run in runs for path in run.left_out),
    )


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _single(runs: list[ScannerRun]) -> tuple[Issue, ...]:
    """Issues without repeats, in an order that is equal over runs."""
    kept: dict[tuple[str, str, str, str], Issue] = {}
    known: set[tuple[str, str, str]] = set()
    for run in runs:
        for issue in run.issues:
            what = (issue.kind.value, issue.rule, issue.subject)
            if what not in known:
                kept.setdefault((*what, issue.path), issue)
        known |= {key[:3] for key in kept}
    return tuple(issue for _, issue in sorted(kept.items()))
