"""The rules of a run: every one that was looked with, whether it hit or not."""

from __future__ import annotations

import re
from typing import Any

import sarif_om as om

from mcp_sandbox.model import (
    RISK_ORDER,
    Evidence,
    Issue,
    Profile,
    RiskClass,
    RuleInfo,
    ScannerRule,
)
from mcp_sandbox.report import escape

HOME = "https://github.com/org/mcp-sandbox-action"
MAX_TAGS = 10
MAX_TEXT = 1_024

LEVEL = {
    RiskClass.CRITICAL: "error",
    RiskClass.HIGH: "error",
    RiskClass.MEDIUM: "warning",
    RiskClass.NOTE: "note",
}
SECURITY_SEVERITY = {
    RiskClass.CRITICAL: "9.5",
    RiskClass.HIGH: "8.0",
    RiskClass.MEDIUM: "5.5",
}
PRECISION = {
    Evidence.E1: "very-high",
    Evidence.E2: "very-high",
    Evidence.E3: "high",
    Evidence.E4: "medium",
    Evidence.E5: "low",
}
SCANNERS = f"{HOME}/blob/main/docs/scanners.md"
_LINK = re.compile(r"https://[A-Za-z0-9.:/?#=&%+~_-]{1,500}")


def descriptor(rule: RuleInfo, profile: Profile) -> om.ReportingDescriptor:
    """One rule of ours."""
    worst = rule.class_
    if profile is Profile.SEED and rule.seed_class is not None:
        worst = rule.seed_class
    properties: dict[str, Any] = {
        "precision": PRECISION[rule.evidence],
        "tags": ["security", "mcp", *(f"external/cwe/cwe-{n:03d}" for n in rule.cwe)][:MAX_TAGS],
    }
    if worst in SECURITY_SEVERITY:
        properties["security-severity"] = SECURITY_SEVERITY[worst]
    return om.ReportingDescriptor(
        id=rule.id,
        name="".join(part.capitalize() for part in rule.id.split("-")),
        short_description=om.MultiformatMessageString(text=rule.title[:MAX_TEXT]),
        full_description=om.MultiformatMessageString(text=rule.what[:MAX_TEXT]),
        help=om.MultiformatMessageString(
            text=f"{rule.what}\n\nProof: {rule.proof}\n\nNot reported: {rule.quiet_when}\n\n"
            f"How to fix: {rule.fix}",
            markdown=f"{rule.what}\n\n**Proof.** {rule.proof}\n\n"
            f"**Not reported.** {rule.quiet_when}\n\n**How to fix.** {rule.fix}",
        ),
        help_uri=f"{HOME}/blob/main/docs/rules.md#{rule.id}",
        default_configuration=om.ReportingConfiguration(level=LEVEL[worst]),
        properties=properties,
    )


def foreign(
    id_: str, rule: ScannerRule | None, issue: Issue | None, worst: RiskClass | None
) -> om.ReportingDescriptor:
    """The rule of a scanner: as its catalogue has it, else in the words of an issue of it.

    ``worst``: the class of its worst finding, if it has one. A peer chose none of the words.
    """
    title, fix, url, cwe = id_, "", "", tuple[int, ...]()
    classes = [] if worst is None else [worst]
    if issue is not None:
        title, fix, url, cwe = issue.title or id_, issue.fix, issue.url, issue.cwe
    if rule is not None:
        title, fix, cwe = rule.title, rule.fix, rule.cwe
        classes.append(rule.class_)
    class_ = min(classes, key=RISK_ORDER.index, default=RiskClass.NOTE)
    shown = escape.sarif_message(title, limit=MAX_TEXT)
    properties: dict[str, Any] = {
        "precision": PRECISION[Evidence.E5],
        "tags": ["security", *(f"external/cwe/cwe-{n:03d}" for n in cwe)][:MAX_TAGS],
    }
    if class_ in SECURITY_SEVERITY:
        properties["security-severity"] = SECURITY_SEVERITY[class_]
    return om.ReportingDescriptor(
        id=id_,
        name=re.sub(r"[^0-9A-Za-z]", "", id_.title()) or "Rule",
        short_description=om.MultiformatMessageString(text=shown),
        full_description=om.MultiformatMessageString(text=shown),
        help=om.MultiformatMessageString(text=escape.sarif_message(fix or title, limit=MAX_TEXT)),
        help_uri=url if _LINK.fullmatch(url) else SCANNERS,
        default_configuration=om.ReportingConfiguration(level=LEVEL[class_]),
        properties=properties,
    )
