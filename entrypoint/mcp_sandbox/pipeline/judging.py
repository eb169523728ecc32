"""Findings, coverage, score and gate from observations: no engine needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mcp_sandbox import coverage, policy, rules, score
from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.model import Observations, Profile, Report, RuleInfo
from mcp_sandbox.report import json as report_json


def judge(
    observations: Observations,
    *,
    profile: Profile,
    fail_below: float,
    fail_on: Collection[str],
) -> Report:
    """Findings, coverage, score and gate from observations: pure, no engine needed."""
    findings = rules.evaluate(observations, profile)
    measured = coverage.measure(observations)
    detail = score.detail(findings, measured)
    value = None if detail is None else round(detail.static * detail.multiplier, 1)
    gate, verdict = policy.gate(findings, value, measured, fail_below=fail_below, fail_on=fail_on)
    left_out = [
        f"session {s.transcript.role}: {note}"
        for s in observations.sessions
        for note in s.transcript.left_out
    ]
    return Report(
        verdict=verdict,
        score=value,
        multiplier_class=score.multiplier_class(findings) if detail else "",
        score_detail=detail,
        gate=gate,
        findings=findings,
        coverage=measured,
        observations=observations,
        profile=profile,
        limits=(*observations.left_out, *left_out),
    )


def rejudge(path: Path, *, profile: Profile, fail_below: float, fail_on: Collection[str]) -> Report:
    """Judge the observations of a saved report again.

    Raises ``ReportUnreadable`` when the file is none, or holds no observations.
    """
    saved = report_json.load(_read(path))
    if saved.observations is None:
        raise ReportUnreadable(f"{path} holds no observations: {saved.error}")
    report = judge(saved.observations, profile=profile, fail_below=fail_below, fail_on=fail_on)
    return replace(report, seed=saved.seed, versions=saved.versions, run=saved.run)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReportUnreadable(f"{path} cannot be read: {error.strerror}.") from error


def rendered(report: Report) -> bytes:
    """A report as ``report.json`` holds it."""
    return report_json.dump(report)


def rule_infos() -> tuple[RuleInfo, ...]:
    """Every rule there is, by id."""
    return rules.ALL
