"""What is wrong with the policy file itself, as findings: entries that nobody looks after."""

from __future__ import annotations

import hashlib
import json

from mcp_sandbox.model import Confidence, Evidence, Finding, Location, RiskClass, RuleInfo
from mcp_sandbox.model.locked import Policy

EXPIRED = RuleInfo(
    id="policy-expired",
    title="An acceptance is past its date",
    class_=RiskClass.MEDIUM,
    evidence=Evidence.E3,
    what="An entry of `mcp-sandbox.toml` accepts a finding until a day that is over. It accepts "
    "nothing any more: what it had accepted counts again.",
    proof="The entry's date, and the day of the run (UTC). The day itself is still within it.",
    quiet_when="The date is today or later.",
    fix="Mend what was accepted and remove the entry, or decide again and write a new date.",
)
UNUSED = RuleInfo(
    id="policy-unused",
    title="An entry of the policy speaks of nothing",
    class_=RiskClass.MEDIUM,
    evidence=Evidence.E3,
    what="An acceptance matches no finding, or a permission or a class is given to a tool that the "
    "server does not list. It waits for something that somebody else may bring in later.",
    proof="The entry, the findings and the list of tools of a run with nothing missing.",
    quiet_when="The run could not see what the entry is about: its coverage is below the floor, "
    "there was no sink, a tool it may mean answered no call, the scanner did not run, nothing was "
    "compared with a baseline. A note for an acceptance of drift: it is there before the change, "
    "and is over once the new lock file is in.",
    fix="Remove the entry; when the name has changed, write the new one.",
)

INFOS = (EXPIRED, UNUSED)
IDS = frozenset(info.id for info in INFOS)


def complaint(
    info: RuleInfo,
    policy: Policy,
    *,
    key: tuple[str, ...],
    line: int,
    message: str,
    class_: RiskClass | None = None,
) -> Finding:
    """A finding on one entry. ``key`` tells it from other entries, wherever it stands."""
    return Finding(
        rule=info.id,
        class_=class_ or info.class_,
        confidence=Confidence.HIGH,
        evidence=info.evidence,
        subject="policy",
        message=message[:1_000],
        fingerprint=hashlib.sha256(json.dumps([info.id, *key]).encode()).hexdigest(),
        location=Location(policy.path, line, "policy") if policy.path and line else None,
    )
