"""Findings, coverage, score and gate from observations: no engine needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mcp_sandbox import coverage, policy, rules, scanned, score
from mcp_sandbox.errors import ReportUnreadable, SandboxError
from mcp_sandbox.model import (
    RISK_ORDER,
    Coverage,
    Finding,
    Observations,
    Profile,
    RuleInfo,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import json as report_json


def judge(
    observations: Observations,
    *,
    profile: Profile,
    fail_below: float,
    fail_on: Collection[str],
) -> Report:
    """Findings, coverage, score and gate from observations: pure, no engine needed."""
    findings = _findings(observations, profile)
    measured = coverage.measure(observations)
    detail = score.detail(findings, measured)
    value = None if detail is None else score.total(detail)
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


def _findings(observations: Observations, profile: Profile) -> tuple[Finding, ...]:
    """What our rules say, and what scanners report; worst first, ours before theirs."""
    ours = rules.evaluate(observations, profile)
    theirs = scanned.findings(observations.scanners, observations.definitions)
    return tuple(sorted([*ours, *theirs], key=lambda one: RISK_ORDER.index(one.class_)))


def unfinished(
    observations: Observations | None, failure: SandboxError, profile: Profile = Profile.DEFAULT
) -> Report:
    """The report of a run that did not come to its end: the findings so far, and no score."""
    limits: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    if observations is not None:
        try:
            findings = _findings(observations, profile)
        except Exception as error:  # noqa: BLE001 - a fault of a rule may be what broke the run off
            limits = (f"all findings: a rule failed ({type(error).__name__}: {str(error)[:200]})",)
    return Report(
        verdict=Verdict.ERROR,
        score=None,
        multiplier_class="",
        score_detail=None,
        gate=(),
        findings=findings,
        coverage=Coverage(missing=(failure.what,)),
        observations=observations,
        profile=profile,
        error=" ".join(part for part in (failure.what, failure.next_step) if part),
        limits=limits,
    )


def rejudge(path: Path, *, profile: Profile, fail_below: float, fail_on: Collection[str]) -> Report:
    """Judge the observations of a saved report again.

    A run that broke off stays one: what it did not come to cannot be judged. Raises
    ``ReportUnreadable`` when the file is none, or holds no observations.
    """
    data = _read(path)
    try:
        saved = report_json.load(data)
    except ReportUnreadable as error:
        raise ReportUnreadable(f"{path}: {error.what}") from error
    seen = saved.observations
    if seen is None:
        raise ReportUnreadable(f"{path} holds no observations: {saved.error}")
    if saved.error:
        report = replace(
            unfinished(seen, SandboxError(saved.error), profile), coverage=saved.coverage
        )
    else:
        report = judge(seen, profile=profile, fail_below=fail_below, fail_on=fail_on)
    return replace(report, seed=saved.seed, versions=saved.versions, run=saved.run)


def _read(path: Path) -> bytes:
    """Not much more than a report may have: what is larger is refused by its reader."""
    try:
        with path.open("rb") as file:
            return file.read(report_json.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ReportUnreadable(f"{path} cannot be read: {why}.") from error


def rendered(report: Report) -> bytes:
    """A report as ``report.json`` holds it."""
    return report_json.dump(report)


def rule_infos() -> tuple[RuleInfo, ...]:
    """Every rule there is, by id."""
    return rules.ALL
