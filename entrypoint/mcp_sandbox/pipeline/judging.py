"""Findings, coverage, score and gate from observations: no engine needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from mcp_sandbox import coverage, rules, scanned, score
from mcp_sandbox.errors import ReportUnreadable, SandboxError
from mcp_sandbox.model import (
    RISK_ORDER,
    Coverage,
    Finding,
    GateCondition,
    Observations,
    Profile,
    RuleInfo,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import Baseline, Policy, Taken
from mcp_sandbox.pipeline import comparing
from mcp_sandbox.policy import gate as decide
from mcp_sandbox.policy.apply import apply
from mcp_sandbox.report import json as report_json
from mcp_sandbox.rules.registry import COMPARING
from mcp_sandbox.settings import Settings

NO_POLICY = Policy()


@dataclass(frozen=True)
class Judged:
    """A report, and the lock that was taken on the way."""

    report: Report
    taken: Taken


def judge(
    observations: Observations,
    settings: Settings,
    *,
    today: date,
    baseline: Baseline | None = None,
    policy: Policy = NO_POLICY,
) -> Judged:
    """Findings, comparison, coverage, score and gate from observations: no engine needed.

    ``today``: the day by which acceptances expire.
    """
    measured = coverage.measure(observations)
    found = _findings(observations, settings.profile)
    rules_on_drift = frozenset(COMPARING)
    accepted = apply(
        found, policy, today, coverage=measured, drift=None, drift_rules=rules_on_drift
    )
    ours = [one for one in accepted.findings if not one.tool]
    comparison = comparing.compared(observations, settings.profile, baseline, ours)
    left = apply(
        found,
        policy,
        today,
        coverage=measured,
        drift=comparison.drift,
        drift_rules=rules_on_drift,
    )
    # What is wrong with the policy says nothing of the server.
    detail = score.detail(left.findings, measured)
    value = None if detail is None else score.total(detail)
    findings = _ordered((*left.findings, *left.complaints))
    gate, verdict = decide(
        findings,
        value,
        measured,
        fail_below=settings.fail_below,
        fail_on=settings.fail_on,
        drift=left.drift,
        baseline=baseline,
    )
    if policy.why:
        gate, verdict = _unread(gate, verdict, policy)
    left_out = [
        f"session {s.transcript.role}: {note}"
        for s in observations.sessions
        for note in s.transcript.left_out
    ]
    report = Report(
        verdict=verdict,
        score=value,
        multiplier_class=score.multiplier_class(left.findings) if detail else "",
        score_detail=detail,
        gate=gate,
        findings=findings,
        coverage=measured,
        observations=observations,
        profile=settings.profile,
        seed=settings.seed,
        drift=left.drift,
        changes=comparison.changes,
        baseline=baseline,
        policy=policy,
        limits=(*observations.left_out, *left_out, *_unlocked(comparison.taken)),
    )
    return Judged(report, comparison.taken)


def _unlocked(taken: Taken) -> tuple[str, ...]:
    """Why no lock file is proposed, where none is."""
    if not taken.incomplete:
        return ()
    more = len(taken.incomplete) - 1
    others = f" ({more} more reason{'s' if more > 1 else ''})" if more else ""
    return (f"No lock file is proposed: {taken.incomplete[0]}{others}",)


def _unread(
    gate: tuple[GateCondition, ...], verdict: Verdict, policy: Policy
) -> tuple[tuple[GateCondition, ...], Verdict]:
    """A policy that nobody could look for may have asked for more: without it there is no pass."""
    condition = GateCondition("policy", "nobody could look", "known", held=False, flip=policy.why)
    return (*gate, condition), Verdict.INCONCLUSIVE if verdict is Verdict.PASS else verdict


def _findings(observations: Observations, profile: Profile) -> tuple[Finding, ...]:
    """What our rules say, and what scanners report; worst first, ours before theirs."""
    ours = rules.evaluate(observations, profile)
    theirs = scanned.findings(observations.scanners, observations.definitions)
    return _ordered((*ours, *theirs))


def _ordered(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Worst first; what is equal stays in its order."""
    return tuple(sorted(findings, key=lambda one: RISK_ORDER.index(one.class_)))


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


def rejudge(path: Path, settings: Settings, environment: Mapping[str, str], today: date) -> Judged:
    """Judge the observations of a saved report again.

    What ``settings`` were not given is as it was saved: profile, policy and baseline.
    ``environment``: where git is looked for. A run that broke off stays one: what it did not come
    to cannot be judged. Raises ``ReportUnreadable`` when the file is none, or holds no
    observations, and ``BadInput`` for a policy or baseline that was named and cannot be used.
    """
    saved = _saved(path)
    seen = saved.observations
    if seen is None:
        raise ReportUnreadable(f"{path} holds no observations: {saved.error}")
    given = settings.model_fields_set
    if "profile" not in given:
        settings = settings.model_copy(update={"profile": saved.profile})
    settings = settings.model_copy(update={"seed": saved.seed})
    named = comparing.basis(settings, environment, today)
    policy = named.policy if "config" in given else saved.policy
    settings, overruled = comparing.applied(settings, policy)
    if saved.error:
        report = unfinished(seen, SandboxError(saved.error), settings.profile)
        report = replace(report, coverage=saved.coverage, seed=saved.seed)
        judged = Judged(report, comparing.take(seen, settings.profile, ()))
    else:
        judged = judge(
            seen,
            settings,
            today=today,
            baseline=named.baseline if "baseline" in given else saved.baseline,
            policy=replace(policy, overruled=overruled),
        )
    report = replace(judged.report, versions=saved.versions, run=saved.run)
    return replace(judged, report=report)


def _saved(path: Path) -> Report:
    data = _read(path)
    try:
        return report_json.load(data)
    except ReportUnreadable as error:
        raise ReportUnreadable(f"{path}: {error.what}") from error


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
    return comparing.RULES
