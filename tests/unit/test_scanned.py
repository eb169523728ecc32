"""Scanners' issues become findings of our classes, with fingerprints that stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox import score
from mcp_sandbox.model import (
    Confidence,
    Coverage,
    Issue,
    IssueKind,
    Location,
    RiskClass,
    ScannerRun,
    ScannerState,
)
from mcp_sandbox.scanned import CLASSES, MAX_MESSAGE, UNKNOWN, classified, findings
from mcp_sandbox.settings import ScannerName

ISSUE = Issue(
    rule="CVE-2019-14806",
    kind=IssueKind.VULNERABILITY,
    severity="high",
    title="weak PIN",
    message="Werkzeug 0.11 has a weak PIN.",
    subject="package Werkzeug 0.11",
    path="requirements.txt",
    line=2,
    fix="Update to 0.15.3.",
)
SERVER = Location("server.py", 7, "definition")


def run(*issues: Issue, tool: str = "Trivy", state=ScannerState.RAN) -> ScannerRun:
    return ScannerRun(tool, state, issues=issues)


@pytest.mark.parametrize(
    ("tool", "changes", "class_"),
    [
        ("Trivy", {"severity": "critical"}, RiskClass.HIGH),
        ("Trivy", {"severity": "critical", "fixable": False}, RiskClass.MEDIUM),
        ("Trivy", {"severity": "high"}, RiskClass.MEDIUM),
        ("Trivy", {"severity": "high", "fixable": False}, RiskClass.NOTE),
        ("Trivy", {"severity": "low", "fixable": False}, RiskClass.NOTE),
        # Only a vulnerability waits for somebody else's fix.
        (
            "Trivy",
            {"severity": "high", "kind": IssueKind.MISCONFIGURATION, "fixable": False},
            RiskClass.MEDIUM,
        ),
        ("TruffleHog", {"severity": "unverified", "kind": IssueKind.SECRET}, RiskClass.MEDIUM),
        ("TruffleHog", {"severity": "verified", "kind": IssueKind.SECRET}, RiskClass.HIGH),
        (
            "TruffleHog",
            {"severity": "unverified", "kind": IssueKind.SECRET, "verified": True},
            RiskClass.HIGH,
        ),
        ("Hadolint", {"severity": "warning", "kind": IssueKind.DOCKERFILE}, RiskClass.NOTE),
        ("Semgrep", {"severity": "error", "kind": IssueKind.SOURCE}, RiskClass.MEDIUM),
        ("mcp-dockerfile", {"severity": "low", "kind": IssueKind.DOCKERFILE}, RiskClass.NOTE),
        ("Trivy", {"severity": "apocalyptic"}, UNKNOWN),
        ("Newcomer", {"severity": "low"}, UNKNOWN),
    ],
)
def test_the_class(tool, changes, class_):
    issue = replace(ISSUE, **changes)
    assert classified(tool, issue) is class_
    assert findings([run(issue, tool=tool)], {})[0].class_ is class_


def test_every_scanner_has_its_row_and_none_is_critical():
    named = {one.value for one in ScannerName} - {"auto", "none"}
    assert {tool.casefold() for tool in CLASSES} == named
    classes = {class_ for row in CLASSES.values() for class_ in row.values()}
    assert classes == {RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE}


def test_the_docs_name_every_scanner_and_every_state():
    told = (Path(__file__).parents[2] / "docs" / "scanners.md").read_text()
    assert [tool for tool in CLASSES if f"| {tool} |" not in told] == []
    assert [state for state in ScannerState if f"| {state.value} |" not in told] == []


def test_an_issue_stands_where_it_was_found_else_where_the_server_is():
    nowhere = replace(ISSUE, path="", line=0, subject="package libc6 2.36")
    first, second = findings([run(nowhere, ISSUE)], {"": SERVER, "tools/x": SERVER})
    assert first.location == SERVER
    assert (second.location.path, second.location.line) == ("requirements.txt", 2)
    assert findings([run(nowhere)], {})[0].location is None


def test_the_finding_names_its_scanner_and_the_way_out():
    (found,) = findings([run(ISSUE)], {})
    assert (found.tool, found.rule, found.subject) == ("Trivy", ISSUE.rule, ISSUE.subject)
    assert found.message == "Werkzeug 0.11 has a weak PIN. Update to 0.15.3."
    assert found.confidence is Confidence.HIGH
    secret = replace(ISSUE, kind=IssueKind.SECRET)
    assert findings([run(secret, tool="TruffleHog")], {})[0].confidence is Confidence.MEDIUM


@pytest.mark.parametrize("sure", Confidence)
def test_a_rule_is_as_sure_as_it_says(sure: Confidence):
    source = replace(ISSUE, kind=IssueKind.SOURCE, confidence=sure)
    assert findings([run(source, tool="Semgrep")], {})[0].confidence is sure
    verified = replace(ISSUE, kind=IssueKind.SECRET, verified=True)
    assert findings([run(verified, tool="TruffleHog")], {})[0].confidence is Confidence.HIGH


def test_a_message_keeps_its_bound():
    (found,) = findings([run(replace(ISSUE, message="m" * 5000))], {})
    assert len(found.message) == MAX_MESSAGE
    assert findings([run(replace(ISSUE, message=""))], {})[0].message.startswith("weak PIN")


def test_what_a_failed_scanner_had_found_is_not_lost():
    assert len(findings([run(ISSUE, state=ScannerState.FAILED)], {})) == 1


@given(st.permutations(range(6)), st.integers(0, 500))
def test_fingerprints_are_unique_and_outlive_order_and_moved_lines(order, moved):
    issues = [replace(ISSUE, line=line, rule=rule) for rule in ("A", "B") for line in (1, 5, 9)]
    first = findings([run(*issues)], {})
    shuffled = [replace(issues[at], line=issues[at].line + moved) for at in order]
    second = findings([run(*shuffled)], {})
    assert len({one.fingerprint for one in first}) == 6
    assert [one.fingerprint for one in second] == [one.fingerprint for one in first]


def test_fingerprints_differ_between_scanners_kinds_and_places():
    others = [
        run(ISSUE),
        run(ISSUE, tool="Other"),
        run(replace(ISSUE, kind=IssueKind.SECRET)),
        run(replace(ISSUE, path="other.txt")),
        run(replace(ISSUE, subject="package Werkzeug 0.12")),
    ]
    assert len({findings([one], {})[0].fingerprint for one in others}) == len(others)


def test_a_base_image_full_of_holes_does_not_hide_the_rest():
    many = [replace(ISSUE, rule=f"CVE-{n}", severity="critical") for n in range(300)]
    parts = score.detail(findings([run(*many)], {}), Coverage())
    assert (parts.static, parts.multiplier, parts.decided_by) == (80, 1.0, ())
