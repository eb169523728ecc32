"""The gate's truth table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from mcp_sandbox.model import Coverage, RiskClass, Verdict
from mcp_sandbox.model.locked import Baseline, BaselineState
from mcp_sandbox.policy import gate
from mcp_sandbox.policy.gate import STALE
from mcp_sandbox.rules.registry import COMPARING
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


# --- drift ----------------------------------------------------------------------------------------

USED = Baseline(BaselineState.USED, lock=None)
MISSING = Baseline(BaselineState.MISSING, why="Commit what the run proposes.")
OFF = Baseline(BaselineState.OFF)
UNREADABLE = Baseline(BaselineState.UNREADABLE, why="Check out with fetch-depth: 0.")
NAMED = (FailOn.HIGH, FailOn.DRIFT)


def compare(drift, baseline, fail_on=DEFAULT, *, score=100.0, coverage=WHOLE):
    found = None if drift is None else [finding(one, number=at) for at, one in enumerate(drift)]
    conditions, verdict = gate(
        [],
        score,
        coverage,
        fail_below=0,
        fail_on=fail_on,
        drift=found,
        baseline=baseline,
    )
    shown = [one for one in conditions if one.name == "no drift"]
    assert len(shown) <= 1
    told = (shown[0].value, shown[0].held) if shown else None
    return told, verdict


P, F, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
STRICT = (*NAMED, FailOn.INCONCLUSIVE)
DRIFTS = [
    # A baseline counts without being named.
    ([], USED, DEFAULT, ("0", True), P),
    ([N, N], USED, DEFAULT, ("0", True), P),
    ([M], USED, DEFAULT, ("1", False), F),
    ([H, N, M], USED, (FailOn.CRITICAL,), ("2", False), F),
    ([H], USED, (FailOn.INCONCLUSIVE,), ("1", False), F),
    ([H], USED, NAMED, ("1", False), F),
    # `fail-on: none` asks for nothing.
    ([H], USED, (), None, P),
    # No baseline: no pass where one was asked for, and a pass where none was.
    (None, MISSING, DEFAULT, None, P),
    (None, MISSING, NAMED, ("no baseline", False), UNSURE),
    (None, MISSING, STRICT, ("no baseline", False), F),
    ([N], MISSING, NAMED, ("no baseline", False), UNSURE),
    (None, OFF, DEFAULT, None, P),
    (None, OFF, NAMED, ("no baseline", False), UNSURE),
    (None, None, DEFAULT, None, P),
    (None, None, NAMED, ("no baseline", False), UNSURE),
    # Nobody knows whether there is one.
    (None, UNREADABLE, (), ("nobody could look", False), UNSURE),
    (None, UNREADABLE, DEFAULT, ("nobody could look", False), UNSURE),
    (None, UNREADABLE, STRICT, ("nobody could look", False), F),
    # There is one, and it was not compared with.
    (None, USED, DEFAULT, ("not compared", False), UNSURE),
    (None, USED, STRICT, ("not compared", False), F),
    (None, USED, (), None, P),
]


@pytest.mark.parametrize(("drift", "baseline", "fail_on", "told", "verdict"), DRIFTS)
def test_drift(drift, baseline, fail_on, told, verdict):
    assert compare(drift, baseline, fail_on) == (told, verdict)


def test_accepted_drift_does_not_fail():
    found = [finding(H, suppressed="Accepted until June: known")]
    conditions, verdict = gate(
        [], 100.0, WHOLE, fail_below=0, fail_on=NAMED, drift=found, baseline=USED
    )
    assert verdict is P
    assert all(one.held for one in conditions)


def test_drift_that_is_proved_fails_an_incomplete_run_too():
    assert compare([H], USED, score=None, coverage=PART) == (("1", False), F)
    assert compare([], USED, score=None, coverage=PART) == (("0", True), UNSURE)


def test_drift_does_not_count_for_the_classes_of_findings():
    conditions, _ = gate(
        [], 100.0, WHOLE, fail_below=0, fail_on=DEFAULT, drift=[finding(H)], baseline=USED
    )
    assert {one.name: one.held for one in conditions} == {
        "no critical finding": True,
        "no high finding": True,
        "no drift": False,
        "score": True,
        "coverage": True,
    }


# --- the policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["policy-expired", "policy-unused"])
def test_a_stale_policy_fails(rule):
    stale = finding(M, rule)
    conditions, verdict = gate([stale], 100.0, WHOLE, fail_below=0, fail_on=(FailOn.CRITICAL,))
    assert verdict is F
    assert [one.name for one in conditions if not one.held] == ["policy in force"]
    assert gate([stale], 100.0, WHOLE, fail_below=0, fail_on=())[1] is P


def test_an_acceptance_of_drift_may_wait_for_its_change():
    waiting = finding(RiskClass.NOTE, "policy-unused")
    conditions, verdict = gate([waiting], 100.0, WHOLE, fail_below=0, fail_on=DEFAULT)
    assert verdict is P
    assert "policy in force" not in {one.name for one in conditions}


# --- what would turn it over ----------------------------------------------------------------------


def flips(*args, **more):
    return {one.name: one.flip for one in gate(*args, **more)[0]}


def test_every_condition_says_what_would_turn_it_over():
    stale = finding(M, "policy-unused", number=9)
    found = [finding(H, number=1), finding(H, number=2), stale]
    some = {"fail_below": 80.0, "fail_on": STRICT}
    told = flips(found, 30.0, PART, drift=[finding(H)], baseline=USED, **some)
    assert told == {
        "no high finding": "Mend or accept 2 findings.",
        "policy in force": "Renew or remove 1 entry of mcp-sandbox.toml.",
        "no drift": "Take back 1 change, or accept it in mcp-sandbox.toml on the base branch.",
        "score": "Gain 50 points: the worst findings decide the multiplier.",
        "coverage": "Mend what is missing: The server did not answer.",
    }
    assert flips([], 100.0, WHOLE, drift=[], baseline=USED, **some) == {
        "no high finding": "One high finding fails it.",
        "no drift": "One regression against the baseline fails it.",
        "score": "A score below 80 fails it.",
        "coverage": "A witness, a list or a tool that is missed makes the run inconclusive.",
    }


@pytest.mark.parametrize(
    ("changes", "stale", "told"),
    [
        (0, 1, "Take 1 stale entry out of mcp-sandbox.lock.json."),
        (0, 2, "Take 2 stale entries out of mcp-sandbox.lock.json."),
        (2, 0, "Take back 2 changes, or accept them in mcp-sandbox.toml on the base branch."),
        (
            1,
            1,
            "Take back 1 change, or accept it in mcp-sandbox.toml on the base branch; take 1 stale "
            "entry out of mcp-sandbox.lock.json.",
        ),
    ],
)
def test_drift_says_what_each_kind_of_it_needs(changes, stale, told):
    found = [finding(M, number=at) for at in range(changes)]
    found += [finding(M, STALE, number=at + 9) for at in range(stale)]
    some = {"fail_below": 0, "fail_on": NAMED, "drift": found, "baseline": USED}
    assert flips([], 1.0, WHOLE, **some)["no drift"] == told
    assert STALE in COMPARING


def test_what_is_missing_says_where_to_get_it():
    some = {"fail_below": 0, "fail_on": NAMED}
    told = flips([], None, PART, baseline=MISSING, **some)
    assert told["no drift"] == "Commit what the run proposes."
    assert told["score"] == "Complete the coverage: a run below its floor has no score."
    assert "fetch-depth" in flips([], 1.0, WHOLE, baseline=UNREADABLE, **some)["no drift"]
    silent = Baseline(BaselineState.MISSING)
    assert "mcp-sandbox.lock.json" in flips([], 1.0, WHOLE, baseline=silent, **some)["no drift"]
    assert flips([], 1.0, WHOLE, **some)["score"] == "Nothing: no score is below 0."


@pytest.mark.parametrize("fail_on", [(), DEFAULT, STRICT])
@pytest.mark.parametrize("baseline", [None, USED, MISSING, OFF, UNREADABLE])
@pytest.mark.parametrize("drift", [None, [], [N], [M]])
@pytest.mark.parametrize("classes", [[], [M], [C]])
@pytest.mark.parametrize("run", [(100.0, WHOLE), (None, PART), (None, WHOLE)])
def test_every_condition_is_a_pass_and_one_that_fails_is_none(
    fail_on, baseline, drift, classes, run
):
    found = [finding(one, number=at) for at, one in enumerate(classes)]
    other = None if drift is None else [finding(one) for one in drift]
    conditions, verdict = gate(
        found, *run, fail_below=0, fail_on=fail_on, drift=other, baseline=baseline
    )
    assert (verdict is P) == all(one.held for one in conditions)
    assert all(one.flip.endswith(".") for one in conditions)
    assert len({one.name for one in conditions}) == len(conditions)
