"""The answer of a run as lines: what the command prints, and the action's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mcp_sandbox.model import (
    COMPLETE,
    RISK_ORDER,
    Finding,
    GateCondition,
    Json,
    Place,
    Reached,
    RiskClass,
    Transport,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import BaselineState, Policy
from mcp_sandbox.report import diff, started, taken
from mcp_sandbox.report.diff_text import compared_with, entry_line, finding_line, tally
from mcp_sandbox.report.escape import terminal
from mcp_sandbox.report.spans import Line, Span, Tone, line

SHOWN_FINDINGS = 30
"""Findings that have a line, and changes; all of them are in the report."""
SHOWN_MESSAGE = 200
"""Characters shown of a finding's message."""
SHOWN_SUBJECT = 80
CARRIED = {
    Transport.STDIO: "standard streams",
    Transport.HTTP: "streamable HTTP",
    Transport.SSE: "HTTP with server-sent events",
}
MAX_NAMES = 20
"""Reasons of one kind, scanners and conditions that have a line."""


def answer(report: Report) -> Iterator[Line]:
    """The verdict first, then why, then what changed and the findings, the worst first."""
    yield _verdict(report)
    outcomes = Counter(tool.outcome for tool in report.coverage.tools.values())
    if outcomes:
        told = ", ".join(f"{count} {outcome.value}" for outcome, count in outcomes.items())
        yield line(f"  tools: {told}")
    if report.observations and (told := reached_told(report.observations.reached)):
        yield line(f"  {terminal(told)}")
    if report.observations:
        yield from (line(f"  {terminal(one)}") for one in started.told(report.observations))
    yield from _limits(report)
    for condition in report.gate:
        if not condition.held:
            yield line(f"  gate failed: {_condition(condition)}")
    yield from _changed(report)
    yield from _findings(report)


def alerts(report: Report) -> tuple[Finding, ...]:
    """All that counts, drift too, worst first; of one class, what has changed stands first."""
    both = [*(report.drift or ()), *report.findings]
    both.sort(key=lambda one: RISK_ORDER.index(one.class_))
    return tuple(one for one in both if not one.suppressed)


def _verdict(report: Report) -> Line:
    verdict = Span(report.verdict.value.upper(), Tone(report.verdict.value))
    if report.score is None:
        return line(verdict, "  no score")
    arithmetic = report.score_detail.arithmetic if report.score_detail else ""
    return line(verdict, f"  score {report.score:g}  ({terminal(arithmetic)})")


def _condition(condition: GateCondition) -> str:
    flip = f". {condition.flip}" if condition.flip else ""
    return terminal(f"{condition.name} ({condition.value}, not {condition.limit}){flip}")


def _limits(report: Report) -> Iterator[Line]:
    """What a reader has to know before he trusts the rest."""
    yield from _some(list(taken.told(report.observations)))
    if report.observations and report.observations.allowed:
        places = ", ".join(report.observations.allowed)
        yield line(f"  packets could leave to: {terminal(places)}")
    if told := settings_told(report.policy):
        yield line(f"  {terminal(told)}")
    yield from _some([f"not evaluated: {reason}" for reason in report.coverage.missing])
    states = report.coverage.scanners.items()
    yield from _some([f"{tool}: {state}" for tool, state in states if state != COMPLETE])


def reached_told(reached: Reached) -> str:
    """How the server was spoken to, and when it was known; empty when it never answered."""
    if reached.transport is Transport.AUTO:
        return ""
    others = " and over ".join(_over(one.transport, one) for one in reached.also)
    also = f"; also over {others}" if others else ""
    over = _over(reached.transport, reached.place)
    return f"spoken to over {over}, known after {reached.seconds:.1f} s{also}"


def _over(transport: Transport, place: Place | None) -> str:
    where = f" (port {place.port}, {place.path})" if place else ""
    return CARRIED[transport] + where


def settings_told(policy: Policy) -> str:
    """What the policy set, and what the run was given otherwise; empty when it set nothing."""
    taken = [
        f"{name.replace('_', '-')} {_value(name, value)}"
        for name, value in sorted(policy.settings.items())
        if name not in policy.overruled
    ]
    said = [f"sets {', '.join(taken)}"] if taken else []
    if policy.overruled:
        names = ", ".join(name.replace("_", "-") for name in policy.overruled)
        said.append(f"does not set {names}, which the run was given")
    return f"The policy {policy.origin} {' and '.join(said)}." if said else ""


def _value(name: str, value: Json) -> str:
    """A setting as one would type it; of the environment, names only."""
    if not isinstance(value, list):
        return str(value)
    if name == "env":
        value = [str(one).partition("=")[0] for one in value]
    return ",".join(map(str, value)) or "none"


def _some(texts: list[str]) -> Iterator[Line]:
    for text in texts[:MAX_NAMES]:
        yield line(f"  {terminal(text)}")
    if len(texts) > MAX_NAMES:
        yield line(f"  … {len(texts) - MAX_NAMES} more in the report")


def _changed(report: Report) -> Iterator[Line]:
    baseline = report.baseline
    if baseline is None or baseline.state is BaselineState.OFF:
        return
    shown = diff.of(report)
    if baseline.state is not BaselineState.USED:
        # The finding says it in the same words: once is enough.
        worse = [one for one in shown.others if one.class_ is not RiskClass.NOTE]
        if not worse:
            yield line(f"  {compared_with(baseline)}")
        yield from map(finding_line, worse[:SHOWN_FINDINGS])
        return
    yield line(f"  {compared_with(baseline)} {tally(shown)}")
    for entry in shown.entries[:SHOWN_FINDINGS]:
        yield entry_line(entry)
    if len(shown.entries) > SHOWN_FINDINGS:
        yield line(f"  … {len(shown.entries) - SHOWN_FINDINGS} more changes in the report")
    for finding in shown.others[:SHOWN_FINDINGS]:
        yield finding_line(finding)
    if len(shown.others) > SHOWN_FINDINGS:
        yield line(f"  … {len(shown.others) - SHOWN_FINDINGS} more in the report")


def _findings(report: Report) -> Iterator[Line]:
    counted = [one for one in report.findings if not one.suppressed]
    for finding in counted[:SHOWN_FINDINGS]:
        yield _finding(finding)
    if len(counted) > SHOWN_FINDINGS:
        yield line(f"  … {len(counted) - SHOWN_FINDINGS} more in the report")
    accepted = len(report.findings) - len(counted)
    if accepted:
        yield line(f"  {accepted} accepted, in the report with their reasons")
    if not report.findings and report.verdict is not Verdict.ERROR:
        yield line("  no findings")


def _finding(finding: Finding) -> Line:
    message = terminal(finding.message)
    short = message if len(message) <= SHOWN_MESSAGE else message[: SHOWN_MESSAGE - 1] + "…"
    place = finding.location
    return line(
        Span(f"  {finding.class_.value:<8} ", Tone(finding.class_.value)),
        Span(f"{terminal(finding.rule)}  ", Tone.STRONG),
        f"{terminal(finding.subject)[:SHOWN_SUBJECT]}  ",
        f"{finding.evidence.value}  {short}",
        f"  {terminal(place.path)}:{place.line}" if place else "",
    )
