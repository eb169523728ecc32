"""``results.sarif``: the live findings, as GitHub code scanning reads SARIF 2.1.0.

What GitHub does with a file decides what is in it:

* It ignores ``kind``, ``suppressions`` and ``baselineState``: only findings that count are written.
* It keeps one alert per rule and line hash, so findings of one rule on one line become one result
  that names them all.
* A rule without a result closes that rule's alerts, so every rule is listed in every run; and a run
  that broke off, which would close them all, is not written at all.
* It ranks by the rule's ``security-severity`` (a string), so a rule has the worst class that it
  gives; the class of the finding itself is its ``level``. Notes have no severity.

The *complete* file, ``results-full.sarif``, is for other readers and never for an upload: it has
the accepted findings too, with ``suppressions``, says by ``baselineState`` what is ``new``,
``unchanged`` or ``absent`` where that is known, and has the runs of scanners that failed.

Limits: ``MAX_RESULTS`` results a run (``MAX_COMPLETE`` in the complete file), messages of 1,000
characters, one location each. No time, path of the machine or other volatile value: two equal
reports give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sarif_om as om

from mcp_sandbox.model import (
    Finding,
    RuleInfo,
    ScannerRule,
    ScannerRun,
    ScannerState,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import BaselineState
from mcp_sandbox.report import escape
from mcp_sandbox.report.order import worst_first
from mcp_sandbox.report.sarif.plain import document
from mcp_sandbox.report.sarif.results import BLANK, Lines, ReadFile, fallback_of, located, result
from mcp_sandbox.report.sarif.rules import HOME, MAX_TEXT, SCANNERS, descriptor, foreign
from mcp_sandbox.report.sarif.states import State, states

MAX_RESULTS = 4_500
"""GitHub shows the first 5,000 results of a run."""
MAX_COMPLETE = 25_000
MAX_NOTIFICATIONS = 20

DRIVER = "mcp-sandbox"
"""Never to change: the name is part of every alert's identity."""
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

NO_RULES: Mapping[str, Sequence[ScannerRule]] = {}
_COMPLETED = frozenset({ScannerState.RAN})
_TRIED = frozenset({ScannerState.RAN, ScannerState.PARTLY, ScannerState.FAILED})


@dataclass(frozen=True)
class Sarif:
    """The file and what a bound kept out of it, one sentence each."""

    data: bytes
    results: int
    left_out: tuple[str, ...] = ()


def render(
    report: Report,
    rules: Sequence[RuleInfo],
    *,
    category: str,
    tool_version: str,
    read: ReadFile | None = None,
    scanner_rules: Mapping[str, Sequence[ScannerRule]] = NO_RULES,
    complete: bool = False,
) -> Sarif:
    """The SARIF of a report; ``complete``: the file that is not to be uploaded.

    ``category`` tells this analysis from others of the same commit (one per server). Without
    ``read``, or for a file that it cannot give, a result has neither a line hash (GitHub's upload
    step then computes it) nor columns. ``scanner_rules``: scanner -> all the rules it looks with.

    Raises ``ValueError`` when a finding's rule is not among ``rules``.
    """
    lines = Lines(read or (lambda _path: None))
    state_of = states(report) if complete else (lambda _: State.UNKNOWN)
    analysis = _Analysis(
        report, category, tool_version, lines, scanner_rules, complete=complete, state_of=state_of
    )
    made = [analysis.ours(rules)]
    if report.observations is not None:
        # A scanner that failed, or did a part only, has no run in what is uploaded: an incomplete
        # one would close the alerts on what it did not look at.
        wanted = _TRIED if complete else _COMPLETED
        made += [
            analysis.theirs(one) for one in report.observations.scanners if one.state in wanted
        ]
    broken_off = report.verdict is Verdict.ERROR
    runs = [] if broken_off else [run for run, _, _ in made]
    log = om.SarifLog(version="2.1.0", schema_uri=SCHEMA, runs=runs)
    text = json.dumps(document(log), indent=2, sort_keys=True, allow_nan=False)
    return Sarif(
        (text + "\n").encode("ascii"),
        0 if broken_off else sum(count for _, count, _ in made),
        tuple(note for _, _, notes in made for note in notes),
    )


_Made = tuple[om.Run, int, tuple[str, ...]]
"""A run, how many results it has, and what a bound kept out of it."""


@dataclass(frozen=True)
class _Group:
    """Findings that become one result, worst first."""

    findings: list[Finding]
    state: State


@dataclass(frozen=True)
class _Analysis:
    """What the runs of one file share."""

    report: Report
    category: str
    tool_version: str
    lines: Lines
    scanner_rules: Mapping[str, Sequence[ScannerRule]]
    complete: bool
    state_of: Callable[[Finding], State]

    def ours(self, rules: Sequence[RuleInfo]) -> _Made:
        """The run of our own rules. Raises ``ValueError`` for a finding of none of them."""
        ordered = sorted(rules, key=lambda rule: rule.id)
        groups = self._groups("")
        unknown = {one.findings[0].rule for one in groups} - {rule.id for rule in ordered}
        if unknown:
            raise ValueError(f"findings of rules that are not listed: {', '.join(sorted(unknown))}")
        driver = om.ToolComponent(
            name=DRIVER,
            full_name="mcp-sandbox-action",
            semantic_version=self.tool_version,
            information_uri=HOME,
            rules=[descriptor(rule, self.report.profile) for rule in ordered],
        )
        return self._run(driver, [rule.id for rule in ordered], groups, self.category)

    def theirs(self, scanner: ScannerRun) -> _Made:
        """The run of a scanner, under the name that it has everywhere."""
        groups = self._groups(scanner.tool)
        classes = {one.findings[0].rule: one.findings[0].class_ for one in reversed(groups)}
        issues = {issue.rule: issue for issue in reversed(scanner.issues)}
        catalogue = {rule.id: rule for rule in self.scanner_rules.get(scanner.tool, ())}
        ids = sorted((issues.keys() & classes.keys()) | catalogue.keys())
        driver = om.ToolComponent(
            name=scanner.tool,
            version=escape.terminal(scanner.version, limit=MAX_TEXT) or "unknown",
            information_uri=SCANNERS,
            rules=[
                foreign(id_, catalogue.get(id_), issues.get(id_), classes.get(id_)) for id_ in ids
            ],
        )
        category = f"{self.category.strip('/')}/{scanner.tool.lower()}"
        ran = scanner.state is ScannerState.RAN
        failed = "" if ran else f"{scanner.state.value}: {scanner.why}"
        return self._run(driver, ids, groups, category, failed)

    def _run(
        self,
        driver: om.ToolComponent,
        ids: list[str],
        groups: list[_Group],
        category: str,
        failed: str = "",
    ) -> _Made:
        index = {id_: number for number, id_ in enumerate(ids)}
        most = MAX_COMPLETE if self.complete else MAX_RESULTS
        kept = groups[:most]
        left_out = _left_out(len(groups) - len(kept), most)
        fallback = fallback_of(self.report)
        run = om.Run(
            tool=om.Tool(driver=driver),
            automation_details=om.RunAutomationDetails(
                id=escape.terminal(category).strip("/") + "/"
            ),
            column_kind="utf16CodeUnits",
            invocations=[_invocation(self.report, left_out, failed)],
            results=[
                result(one.findings, index, fallback, self.lines, state=one.state.value)
                for one in kept
            ],
            properties=self._properties(left_out),
        )
        return run, len(kept), left_out

    def _groups(self, tool: str) -> list[_Group]:
        """Findings of a tool, those of one rule on one line together; worst group first."""
        fallback = fallback_of(self.report)

        def key(finding: Finding) -> tuple[str, str, int, str, str]:
            where = located(finding, fallback)
            return finding.rule, where.path, where.line, finding.suppressed, self.state_of(finding)

        both = (*self.report.findings, *(self.report.drift or ()))
        wanted = [one for one in both if one.tool == tool and (self.complete or not one.suppressed)]
        groups = [
            _Group(sorted(group, key=worst_first), State(about[-1]))
            for about, group in groupby(sorted(wanted, key=key), key=key)
        ]
        return sorted(groups, key=lambda one: worst_first(one.findings[0]))

    def _properties(self, left_out: tuple[str, ...]) -> dict[str, Any]:
        report = self.report
        properties: dict[str, Any] = {"verdict": report.verdict.value, "score": report.score}
        if report.observations is not None:
            properties["image"] = escape.terminal(report.observations.image.id, limit=MAX_TEXT)
        baseline = report.baseline
        if self.complete and baseline is not None and baseline.state is BaselineState.USED:
            properties["baseline"] = escape.terminal(baseline.origin, limit=MAX_TEXT)
        if left_out:
            properties["leftOut"] = list(left_out)
        return properties


def _left_out(cut: int, most: int) -> tuple[str, ...]:
    if cut <= 0:
        return ()
    return (f"{cut} results beyond the worst {most} are only in report.json.",)


def _invocation(report: Report, left_out: tuple[str, ...], failed: str) -> om.Invocation:
    """In all that is uploaded it succeeded: otherwise GitHub refuses the file."""
    said = [*([failed] if failed else []), *report.coverage.missing, *report.limits, *left_out]
    return om.Invocation(
        execution_successful=not failed,
        tool_execution_notifications=[
            om.Notification(
                message=om.Message(text=escape.sarif_message(text if text.strip() else BLANK)),
                level="warning",
            )
            for text in said[:MAX_NOTIFICATIONS]
        ]
        or None,
    )
