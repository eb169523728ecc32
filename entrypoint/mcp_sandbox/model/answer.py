"""The whole answer of a run: what ``report.json`` holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_sandbox.model import (
    Coverage,
    Finding,
    GateCondition,
    Observations,
    Profile,
    RunFacts,
    ScoreDetail,
    Verdict,
)
from mcp_sandbox.model.locked import Baseline, Change, Policy

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Report:
    """The whole answer; ``report.json`` is this type, serialised."""

    verdict: Verdict
    score: float | None
    multiplier_class: str
    """``critical``, ``high``, ``medium``, ``clean``; empty when there is no score."""
    score_detail: ScoreDetail | None
    gate: tuple[GateCondition, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage
    observations: Observations | None
    profile: Profile = Profile.DEFAULT
    seed: int = 0
    drift: tuple[Finding, ...] | None = None
    """What differs from the baseline, worst first; ``None``: nothing was compared."""
    changes: tuple[Change, ...] = ()
    """The differences themselves, in the order of the lock file."""
    baseline: Baseline | None = None
    """What the run was compared with; ``None`` for a run that did not come to it."""
    policy: Policy = field(default_factory=Policy)
    error: str = ""
    """Why the run broke off; empty when it did not."""
    versions: dict[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    """What a bound kept out of this report, one sentence each."""
    run: RunFacts = field(default_factory=RunFacts)
    schema_version: int = SCHEMA_VERSION


VOLATILE: tuple[str, ...] = (
    "run",
    "versions",
    "observations.image.id",
    "observations.sessions[].container.cgroup",
    "observations.sessions[].container.kernel",
    "observations.sessions[].container.sink",
    "observations.sessions[].container.stderr",
    "observations.sessions[].container.stderr_bytes",
    "observations.sessions[].container.tmpfs[].text",
    "observations.sessions[].container.tmpfs[].size",
    "observations.sessions[].transcript.calls[].reply",
    "observations.sessions[].transcript.calls[].reply_bytes",
    "observations.sessions[].transcript.calls[].line",
    "observations.sessions[].transcript.calls[].answer",
    "observations.sessions[].transcript.calls[].milliseconds",
    "observations.sessions[].transcript.first_answer_ms",
    "observations.attempts[].stderr",
    "observations.launch.why",
    "observations.attempts[].seconds",
    "observations.reached.seconds",
    "observations.reached.asked",
    "observations.http[].answers[].line",
    "observations.http[].answers[].text",
    "observations.http[].sessions",
    "findings[].about",
    "findings[].seen",
    "drift[].about",
    "drift[].seen",
)
"""Paths in ``report.json`` that may differ between two runs of one image: times, counters, and the
peer's own words (which may hold times). Everything else must be equal byte for byte."""
