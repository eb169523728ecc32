"""The gate's truth table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from mcp_sandbox.model import Coverage, RiskClass, Verdict
from mcp_sandbox.policy import gate
from mcp_sandbox.settings import FailOn
from support.observed import finding

WHOLE, PART = Coverage(), Coverage(missing=("The server did not answer.",))
DEFAULT = (FailOn.CRITICAL, FailOn.HIGH)
C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


def decide(classes, score, coverage, fail_below=0.0, fail_on=DEFAULT):
    findings = [finding(class_, number=number) for number, class_ in enumerate(classes)]
    return gate(findings, score, coverage, fail_below=fail_below, fail_on=fail_on)


@pytest.mark.parametrize(
    "case",
    [
        ([], 100.0, WHOLE, 0, DEFAULT, Verdict.PASS),
        ([N, N], 98.0, WHOLE, 0, DEFAULT, Verdict.PASS),
        ([M], 70.0, WHOLE, 0, DEFAULT, Verdict.PASS),
        ([M], 70.0, WHOLE, 0, (FailOn.MEDIUM,), Verdict.FAIL),
        ([H], 30.0, WHOLE, 0, DEFAULT, Verdict.FAIL),
        ([H], 30.0, WHOLE, 0, (FailOn.CRITICAL,), Verdict.PASS),
        ([C], 0.0, WHOLE, 0, (), Verdict.PASS),
        ([C], 0.0, WHOLE, 0, DEFAULT, Verdict.FAIL),
        # The limit itself passes.
        ([], 90.0, WHOLE, 90, DEFAULT, Verdict.PASS),
        ([], 89.9, WHOLE, 90, DEFAULT, Verdict.FAIL),
        # Incomplete coverage never passes; what is proved fails all the same.
        ([], None, PART, 0, DEFAULT, Verdict.INCONCLUSIVE),
        ([], None, PART, 90, DEFAULT, Verdict.INCONCLUSIVE),
        ([M], None, PART, 0, DEFAULT, Verdict.INCONCLUSIVE),
        ([C], None, PART, 0, DEFAULT, Verdict.FAIL),
        ([C], None, PART, 0, (), Verdict.INCONCLUSIVE),
        ([], None, PART, 0, (FailOn.INCONCLUSIVE,), Verdict.FAIL),
        ([], 100.0, WHOLE, 0, (FailOn.INCONCLUSIVE,), Verdict.PASS),
    ],
)
def test_the_verdict(case):
    *given, verdict = case
    assert decide(*given)[1] is verdict


@pytest.mark.parametrize(
    ("classes", "score", "coverage", "fail_on"),
    list(product(([], [N], [M], [H], [C]), (None, 50.0), (WHOLE, PART), ((), DEFAULT))),
)
def test_a_pass_needs_a_score_coverage_and_every_condition(classes, score, coverage, fail_on):
    conditions, verdict = decide(classes, score, coverage, fail_on=fail_on)
    assert (verdict is Verdict.PASS) == all(condition.held for condition in conditions)


def test_the_conditions_say_value_and_limit():
    conditions, _ = decide([H, H], 30.0, WHOLE, 80.0)
    assert [(one.name, one.value, one.limit, one.held) for one in conditions] == [
        ("no critical finding", "0", "0", True),
        ("no high finding", "2", "0", False),
        ("score", "30", "at least 80", False),
        ("coverage", "complete", "complete", True),
    ]


def test_a_score_that_does_not_exist_is_not_held():
    conditions, _ = decide([], None, PART, 80.0)
    assert [(one.name, one.value, one.held) for one in conditions][-2:] == [
        ("score", "none", False),
        ("coverage", "1 missing", False),
    ]


def test_a_scanners_finding_counts_like_any_other():
    found = replace(finding(RiskClass.HIGH, "CVE-2019-14806"), tool="Trivy")
    conditions, verdict = gate([found], 90.0, WHOLE, fail_below=0, fail_on=DEFAULT)
    assert verdict is Verdict.FAIL
    assert [one.name for one in conditions if not one.held] == ["no high finding"]


def test_a_suppressed_finding_does_not_fail():
    findings = [finding(C, suppressed="accepted until June")]
    assert gate(findings, 100.0, WHOLE, fail_below=0, fail_on=DEFAULT)[1] is Verdict.PASS


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match="'note' is no condition"):
        gate([], 100.0, WHOLE, fail_below=0, fail_on=["note"])
