"""The one order in which findings are shown: worst first, then by what a reader can see."""

from __future__ import annotations

from mcp_sandbox.model import (
    RISK_ORDER,
    Finding,
)
from mcp_sandbox.model.answer import Report


def worst_first(finding: Finding) -> tuple[int, str, str, str]:
    """Sort key: equal reports give equal orders."""
    return RISK_ORDER.index(finding.class_), finding.rule, finding.subject, finding.fingerprint


def live(report: Report) -> list[Finding]:
    """The findings of this run that count."""
    return sorted((one for one in report.findings if not one.suppressed), key=worst_first)


def suppressed(report: Report) -> list[Finding]:
    """The findings, of drift too, that do not count; each says why."""
    both = (*report.findings, *(report.drift or ()))
    return sorted((one for one in both if one.suppressed), key=worst_first)
