"""What scanners report, as findings: THE table from their severities to our classes.

A class says what was shown of this server. A scanner shows that something is there, not that it
can be reached, so its worst is ``high``; what acted is told by our own rules.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from mcp_sandbox.model import (
    RISK_ORDER,
    Confidence,
    Evidence,
    Finding,
    Issue,
    IssueKind,
    Location,
    RiskClass,
    ScannerRun,
)

MAX_MESSAGE = 1000
"""Characters of a finding's message."""

_H, _M, _N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

CLASSES: dict[str, dict[str, RiskClass]] = {
    "Trivy": {"critical": _H, "high": _M, "medium": _N, "low": _N, "unknown": _N},
    "TruffleHog": {"verified": _H, "unverified": _M, "unverified in a package": _N},
    "Hadolint": {"error": _M, "warning": _N, "info": _N, "style": _N},
    "Semgrep": {
        "critical": _H,
        "high": _M,
        "error": _M,
        "medium": _N,
        "warning": _N,
        "low": _N,
        "info": _N,
    },
    "mcp-dockerfile": {"high": _H, "medium": _M, "low": _N},
}
"""Scanner -> its severity, lower case -> our class."""

UNKNOWN = RiskClass.MEDIUM
"""The class of a severity that is not in the table: not harmless because nobody knows it."""


def classified(tool: str, issue: Issue) -> RiskClass:
    """The class of one issue: by the table; a vulnerability without a fix is one class milder."""
    if issue.kind is IssueKind.SECRET and issue.verified:
        return RiskClass.HIGH
    class_ = severity_class(tool, issue.severity)
    if issue.kind is IssueKind.VULNERABILITY and not issue.fixable:
        return RISK_ORDER[min(RISK_ORDER.index(class_) + 1, len(RISK_ORDER) - 1)]
    return class_


def severity_class(tool: str, severity: str) -> RiskClass:
    """The class of a rule by the severity that it has in its scanner."""
    return CLASSES.get(tool, {}).get(severity, UNKNOWN)


def findings(runs: Sequence[ScannerRun], definitions: Mapping[str, Location]) -> list[Finding]:
    """A finding for every issue, also of a scanner that did not come to its end.

    By scanner, then worst first. An issue without a place stands on the line of the whole server.
    """
    found: list[Finding] = []
    for run in sorted(runs, key=lambda one: one.tool):
        seen: Counter[str] = Counter()
        ordered = sorted(run.issues, key=_place)
        ordered.sort(key=lambda issue: RISK_ORDER.index(classified(run.tool, issue)))
        for issue in ordered:
            key = json.dumps([run.tool, issue.kind, issue.rule, issue.subject, issue.path])
            seen[key] += 1
            found.append(_finding(run.tool, issue, f"{key} {seen[key]}", definitions))
    return found


def _place(issue: Issue) -> tuple[str, str, str, int, str]:
    return issue.path, issue.rule, issue.subject, issue.line, issue.message


def _finding(tool: str, issue: Issue, fact: str, definitions: Mapping[str, Location]) -> Finding:
    location = definitions.get("")
    if issue.path:
        location = Location(issue.path, max(issue.line, 1), tool)
    return Finding(
        rule=issue.rule,
        class_=classified(tool, issue),
        confidence=_confidence(issue),
        evidence=Evidence.E5,
        subject=issue.subject,
        message=_message(issue),
        fingerprint=hashlib.sha256(fact.encode()).hexdigest(),
        location=location,
        tool=tool,
    )


def _confidence(issue: Issue) -> Confidence:
    """What has the shape of a secret may be none, until its service takes it."""
    if issue.kind is IssueKind.SECRET and not issue.verified:
        return Confidence.MEDIUM
    return issue.confidence


def _message(issue: Issue) -> str:
    """The scanner's words, then what mends it where there is room."""
    message = (issue.message or issue.title)[:MAX_MESSAGE]
    if issue.fix and issue.fix not in message:
        longer = f"{message.rstrip()} {issue.fix}"
        message = longer if len(longer) <= MAX_MESSAGE else message
    return message
