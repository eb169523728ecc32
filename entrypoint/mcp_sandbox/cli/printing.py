"""Answers and errors in words; every foreign text goes through ``escape.terminal``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mcp_sandbox import pipeline
from mcp_sandbox.errors import OutputFailed
from mcp_sandbox.model import (
    COMPLETE,
    Finding,
    RiskClass,
    RuleInfo,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report.escape import terminal

STYLE = {
    RiskClass.CRITICAL: "bold red",
    RiskClass.HIGH: "red",
    RiskClass.MEDIUM: "yellow",
    RiskClass.NOTE: "dim",
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.ERROR: "bold red",
}

SHOWN_FINDINGS = 30
"""Findings printed on stdout; all of them are in the report."""
SHOWN_MESSAGE = 200
"""Characters printed of a finding's message; the report has it whole."""


class Paper(Console):
    """A console that fails where nobody reads: rich would exit 1, which says that a gate failed."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled; pass it on."""
        raise  # noqa: PLE0704 - the error that rich is handling


@contextmanager
def printing() -> Iterator[Console]:
    """Standard output; long lines are left to the terminal.

    Raises ``OutputFailed`` when it cannot be written: a closed pipe, a full disk.
    """
    try:
        yield Paper(soft_wrap=True, highlight=False)
        sys.stdout.flush()
    except OSError as error:
        raise OutputFailed(
            f"Standard output could not be written: {error.strerror}.",
            next_step="Send it to where there is room for it and somebody who reads.",
        ) from error


def print_answer(report: Report, *, as_json: bool, folder: Path | None) -> None:
    """The verdict first, then why, then the findings, worst first; or the whole report as JSON."""
    with printing() as console:
        if as_json:
            sys.stdout.buffer.write(pipeline.rendered(report))
        else:
            print_report(console, report, folder=folder)


def print_report(console: Console, report: Report, *, folder: Path | None) -> None:
    """The answer in words, for a person."""
    console.print(Text(report.verdict.value.upper(), STYLE[report.verdict]), end="  ")
    if report.score is None:
        console.print("no score")
    else:
        detail = report.score_detail
        console.print(f"score {report.score:g}  ({detail.arithmetic if detail else ''})")
    outcomes = Counter(tool.outcome for tool in report.coverage.tools.values())
    if outcomes:
        told = ", ".join(f"{count} {outcome.value}" for outcome, count in outcomes.items())
        console.print(f"  tools: {told}")
    _print_limits(console, report)
    for condition in report.gate:
        if not condition.held:
            console.print(
                Text(f"  gate failed: {condition.name} ({condition.value}, not {condition.limit})")
            )
    for finding in report.findings[:SHOWN_FINDINGS]:
        console.print(_finding_line(finding))
    if len(report.findings) > SHOWN_FINDINGS:
        console.print(f"  … {len(report.findings) - SHOWN_FINDINGS} more in the report")
    if not report.findings and report.verdict is not Verdict.ERROR:
        console.print("  no findings")
    if folder is not None:
        console.print(Text(f"report: {folder}"))


def _print_limits(console: Console, report: Report) -> None:
    """What a reader has to know before he trusts the rest."""
    if report.observations and report.observations.allowed:
        places = ", ".join(report.observations.allowed)
        console.print(Text(f"  packets could leave to: {terminal(places)}"))
    for reason in report.coverage.missing:
        console.print(Text(f"  not evaluated: {terminal(reason)}"))
    for tool, state in report.coverage.scanners.items():
        if state != COMPLETE:
            console.print(Text(f"  {terminal(tool)}: {terminal(state)}"))


def _finding_line(finding: Finding) -> Text:
    line = Text(f"  {finding.class_.value:<8} ", STYLE[finding.class_])
    line.append(f"{finding.rule}  ", "bold")
    line.append(f"{terminal(finding.subject)[:80]}  ", "default")
    message = terminal(finding.message)
    short = message if len(message) <= SHOWN_MESSAGE else message[: SHOWN_MESSAGE - 1] + "…"
    return line.append(f"{finding.evidence.value}  {short}", "default")


def print_rule(console: Console, info: RuleInfo) -> None:
    """All that a rule says of itself."""
    console.print(Text(f"{info.id}: {info.title}", "bold"))
    article = f", under --profile seed {info.seed_class.value}" if info.seed_class else ""
    for name, text in (
        ("class", f"{info.class_.value}{article}; evidence {info.evidence.value}"),
        ("what", info.what),
        ("proof", info.proof),
        ("quiet", info.quiet_when),
        ("fix", info.fix),
    ):
        console.print(Text(f"{name:>6}  ", "dim").append(text, "default"))
