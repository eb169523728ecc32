"""``results.sarif``: the live findings, as GitHub code scanning reads SARIF 2.1.0.

What GitHub does with a file decides what is in it:

* It ignores ``kind``, ``suppressions`` and ``baselineState``: only findings that count are written.
* It keeps one alert per rule and line hash, so findings of one rule on one line become one result
  that names them all.
* A rule without a result closes that rule's alerts, so every rule is listed in every run; and a run
  that broke off, which would close them all, is not written at all.
* It ranks by the rule's ``security-severity`` (a string), so a rule has the worst class that it
  gives; the class of the finding itself is its ``level``. Notes have no severity.

Limits: ``MAX_RESULTS`` results, messages of 1,000 characters, one location each. No time, path of
the machine or other volatile value: two equal reports give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import sarif_om as om

from mcp_sandbox.model import (
    Evidence,
    Finding,
    Issue,
    Location,
    Profile,
    RiskClass,
    RuleInfo,
    ScannerRun,
    ScannerState,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import escape
from mcp_sandbox.report.order import live, worst_first
from mcp_sandbox.report.rolling_hash import line_hashes
from mcp_sandbox.report.sarif_json import document

MAX_RESULTS = 4_500
"""GitHub shows the first 5,000 results of a run."""
MAX_SUBJECTS = 20
MAX_TAGS = 10
MAX_TEXT = 1_024
MAX_NOTIFICATIONS = 20
BLANK = "(blank)"
"""In place of a text of blanks, with which GitHub would refuse the file."""

DRIVER = "mcp-sandbox"
"""Never to change: the name is part of every alert's identity."""
HOME = "https://github.com/org/mcp-sandbox-action"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

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
NOWHERE = Location("Dockerfile", 1, "nothing better is known")

SCANNERS = f"{HOME}/blob/main/docs/scanners.md"
_LINK = re.compile(r"https://[A-Za-z0-9.:/?#=&%+~_-]{1,500}")

ReadFile = Callable[[str], bytes | None]
"""The content of a file of the checkout by its path; ``None`` when it cannot be had."""


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
) -> Sarif:
    """The SARIF of a report.

    ``category`` tells this analysis from others of the same commit (one per server). Without
    ``read``, or for a file that it cannot give, a result has neither a line hash (GitHub's upload
    step then computes it) nor columns.

    Raises ``ValueError`` when a finding's rule is not among ``rules``.
    """
    lines = _Lines(read or (lambda _path: None))
    analysis = _Analysis(report, category, tool_version, lines)
    made = [analysis.ours(rules)]
    if report.observations is not None:
        # A scanner that failed, or did a part only, has no run: an incomplete one would close the
        # alerts on what it did not look at.
        made += [
            analysis.theirs(one)
            for one in report.observations.scanners
            if one.state is ScannerState.RAN
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
class _Analysis:
    """What the runs of one file share."""

    report: Report
    category: str
    tool_version: str
    lines: _Lines

    def ours(self, rules: Sequence[RuleInfo]) -> _Made:
        """The run of our own rules. Raises ``ValueError`` for a finding of none of them."""
        ordered = sorted(rules, key=lambda rule: rule.id)
        groups = _groups(self.report, "")
        unknown = {group[0].rule for group in groups} - {rule.id for rule in ordered}
        if unknown:
            raise ValueError(f"findings of rules that are not listed: {', '.join(sorted(unknown))}")
        driver = om.ToolComponent(
            name=DRIVER,
            full_name="mcp-sandbox-action",
            semantic_version=self.tool_version,
            information_uri=HOME,
            rules=[_descriptor(rule, self.report.profile) for rule in ordered],
        )
        return self._run(driver, [rule.id for rule in ordered], groups, self.category)

    def theirs(self, scanner: ScannerRun) -> _Made:
        """The run of a scanner, under the name that it has everywhere."""
        groups = _groups(self.report, scanner.tool)
        classes = {group[0].rule: group[0].class_ for group in reversed(groups)}
        known = {issue.rule: issue for issue in reversed(scanner.issues)}
        ids = sorted(known.keys() & classes.keys())
        driver = om.ToolComponent(
            name=scanner.tool,
            version=escape.terminal(scanner.version, limit=MAX_TEXT) or "unknown",
            information_uri=SCANNERS,
            rules=[_foreign_descriptor(known[id_], classes[id_]) for id_ in ids],
        )
        name = scanner.tool.lower()
        return self._run(driver, ids, groups, f"{self.category.strip('/')}/{name}")

    def _run(
        self, driver: om.ToolComponent, ids: list[str], groups: list[list[Finding]], category: str
    ) -> _Made:
        index = {id_: number for number, id_ in enumerate(ids)}
        kept = groups[:MAX_RESULTS]
        left_out = _left_out(len(groups) - len(kept))
        fallback = _fallback(self.report)
        run = om.Run(
            tool=om.Tool(driver=driver),
            automation_details=om.RunAutomationDetails(
                id=escape.terminal(category).strip("/") + "/"
            ),
            column_kind="utf16CodeUnits",
            invocations=[_invocation(self.report, left_out)],
            results=[_result(group, index, fallback, self.lines) for group in kept],
            properties=_run_properties(self.report, left_out),
        )
        return run, len(kept), left_out


def _groups(report: Report, tool: str) -> list[list[Finding]]:
    """Live findings of a tool, those of one rule on one line together; worst group first."""
    fallback = _fallback(report)

    def place(finding: Finding) -> tuple[str, str, int]:
        where = _located(finding, fallback)
        return finding.rule, where.path, where.line

    findings = sorted((one for one in live(report) if one.tool == tool), key=place)
    groups = [sorted(group, key=worst_first) for _, group in groupby(findings, key=place)]
    return sorted(groups, key=lambda group: worst_first(group[0]))


def _fallback(report: Report) -> Location:
    definitions = report.observations.definitions if report.observations else {}
    return _usable(definitions.get("")) or NOWHERE


def _located(finding: Finding, fallback: Location) -> Location:
    return _usable(finding.location) or fallback


def _usable(location: Location | None) -> Location | None:
    """``None`` for a location that does not name a line of the checkout."""
    if location is None or location.line < 1:
        return None
    try:
        escape.uri(location.path)
    except ValueError:
        return None
    return location


def _left_out(cut: int) -> tuple[str, ...]:
    if cut <= 0:
        return ()
    return (f"{cut} results beyond the worst {MAX_RESULTS} are only in report.json.",)


def _descriptor(rule: RuleInfo, profile: Profile) -> om.ReportingDescriptor:
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


def _foreign_descriptor(issue: Issue, worst: RiskClass) -> om.ReportingDescriptor:
    """The rule of a scanner, in the words of the first of its issues: a peer chose none of them."""
    title = escape.sarif_message(issue.title or issue.rule, limit=MAX_TEXT)
    told = escape.sarif_message(issue.fix or issue.title or issue.rule, limit=MAX_TEXT)
    properties: dict[str, Any] = {
        "precision": PRECISION[Evidence.E5],
        "tags": ["security", *(f"external/cwe/cwe-{n:03d}" for n in issue.cwe)][:MAX_TAGS],
    }
    if worst in SECURITY_SEVERITY:
        properties["security-severity"] = SECURITY_SEVERITY[worst]
    return om.ReportingDescriptor(
        id=issue.rule,
        name=re.sub(r"[^0-9A-Za-z]", "", issue.rule.title()) or "Rule",
        short_description=om.MultiformatMessageString(text=title),
        full_description=om.MultiformatMessageString(text=title),
        help=om.MultiformatMessageString(text=told),
        help_uri=issue.url if _LINK.fullmatch(issue.url) else SCANNERS,
        default_configuration=om.ReportingConfiguration(level=LEVEL[worst]),
        properties=properties,
    )


def _result(
    group: list[Finding], index: dict[str, int], fallback: Location, lines: _Lines
) -> om.Result:
    worst = group[0]
    where = _located(worst, fallback)
    fingerprints = {"mcpSandbox/v1": worst.fingerprint}
    line_hash = lines.hash(where)
    if line_hash is not None:
        fingerprints["primaryLocationLineHash"] = line_hash
    subjects = list(dict.fromkeys(finding.subject for finding in group))
    return om.Result(
        rule_id=worst.rule,
        rule_index=index[worst.rule],
        level=LEVEL[worst.class_],
        message=om.Message(text=_message(worst, subjects)),
        locations=[
            om.Location(
                physical_location=om.PhysicalLocation(
                    artifact_location=om.ArtifactLocation(uri=escape.uri(where.path)),
                    region=lines.region(where),
                ),
                logical_locations=[
                    om.LogicalLocation(
                        fully_qualified_name=escape.terminal(f"mcp:{subject}", limit=MAX_TEXT)
                    )
                    for subject in subjects[:MAX_SUBJECTS]
                ],
            )
        ],
        partial_fingerprints=fingerprints,
        properties={
            "class": worst.class_.value,
            "confidence": worst.confidence.value,
            "evidence": worst.evidence.value,
            "findings": len(group),
            "placedBy": escape.terminal(where.why, limit=MAX_TEXT),
        },
    )


def _message(worst: Finding, subjects: list[str]) -> str:
    said = worst.message if worst.message.strip() else BLANK
    others = subjects[1 : 1 + MAX_SUBJECTS]
    if not others:
        return escape.sarif_message(said)
    more = len(subjects) - 1 - len(others)
    tail = f" The same here: {', '.join(others)}" + (f" and {more} more." if more else ".")
    end = escape.sarif_message(tail, limit=escape.SARIF_LIMIT // 2)
    return escape.sarif_message(said, limit=escape.SARIF_LIMIT - len(end)) + end


class _Lines:
    """Hashes and columns of lines; each file is read and hashed once."""

    def __init__(self, read: ReadFile) -> None:
        self._read = cache(read)
        self._hashes = cache(self._hashes_of)
        self._texts = cache(self._texts_of)

    def _hashes_of(self, path: str) -> list[str]:
        data = self._read(path)
        return [] if data is None else line_hashes(data)

    def _texts_of(self, path: str) -> list[bytes]:
        """Only LF, CR and CRLF end a line, as GitHub counts."""
        data = self._read(path)
        if data is None:
            return []
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")

    def hash(self, where: Location) -> str | None:
        hashes = self._hashes(where.path)
        return hashes[where.line - 1] if where.line <= len(hashes) else None

    def region(self, where: Location) -> om.Region:
        """The whole line, without its indentation; columns count UTF-16 units from 1."""
        texts = self._texts(where.path)
        known = where.line <= len(texts)
        text = texts[where.line - 1].decode("utf-8", "replace") if known else ""
        if not text.strip():
            return om.Region(start_line=where.line)
        return om.Region(
            start_line=where.line,
            start_column=len(text) - len(text.lstrip()) + 1,
            end_line=where.line,
            end_column=len(text.rstrip().encode("utf-16-le", "replace")) // 2 + 1,
        )


def _invocation(report: Report, left_out: tuple[str, ...]) -> om.Invocation:
    """Always "successful": otherwise GitHub refuses the upload."""
    said = [*report.coverage.missing, *report.limits, *left_out][:MAX_NOTIFICATIONS]
    return om.Invocation(
        execution_successful=True,
        tool_execution_notifications=[
            om.Notification(
                message=om.Message(text=escape.sarif_message(text if text.strip() else BLANK)),
                level="warning",
            )
            for text in said
        ]
        or None,
    )


def _run_properties(report: Report, left_out: tuple[str, ...]) -> dict[str, Any]:
    properties: dict[str, Any] = {"verdict": report.verdict.value, "score": report.score}
    if report.observations is not None:
        properties["image"] = escape.terminal(report.observations.image.id, limit=MAX_TEXT)
    if left_out:
        properties["leftOut"] = list(left_out)
    return properties
