"""The score can be redone by hand from its own line of arithmetic."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox import score
from mcp_sandbox.model import Coverage, RiskClass
from mcp_sandbox.rules import ALL, metadata, protocol, steering
from mcp_sandbox.rules.registry import REGISTERED
from support.observed import finding

COMPLETE = Coverage()


def recomputed(line: str) -> tuple[float, float, str]:
    """(static, score, class), worked out from the line's own numbers alone."""
    match = re.fullmatch(
        r"100(?P<terms>(?: - \d+×\d+)*)(?: \([\w ,-]+ count\))?(?:, at least 0,)?"
        r" = (?P<static>[\d.]+); (?P<again>[\d.]+) × (?P<factor>[\d.]+) \((?P<class>\w+)\)"
        r" = (?P<score>[\d.]+)",
        line,
    )
    assert match is not None, line
    lost = sum(int(n) * int(p) for n, p in re.findall(r"(\d+)×(\d+)", match["terms"]))
    static = max(0, 100 - lost)
    assert float(match["static"]) == float(match["again"]) == static
    assert float(match["score"]) == round(static * float(match["factor"]), 1)
    return static, float(match["score"]), match["class"]


def scanned(class_: RiskClass, number: int = 0, tool: str = "Trivy", suppressed: str = ""):
    """A finding of a scanner."""
    return replace(finding(class_, f"CVE-{number}", number, suppressed), tool=tool)


FINDINGS = st.lists(
    st.one_of(
        st.builds(
            finding,
            st.sampled_from(RiskClass),
            st.sampled_from([info.id for info in ALL]),
            st.integers(0, 2**64),
            st.sampled_from(["", "accepted"]),
        ),
        st.builds(
            scanned,
            st.sampled_from(RiskClass),
            st.integers(0, 2**64),
            st.sampled_from(["Trivy", "mcp-dockerfile"]),
            st.sampled_from(["", "accepted"]),
        ),
    ),
    max_size=16,
)


@given(FINDINGS)
def test_the_arithmetic_is_the_score(findings):
    parts = score.detail(findings, COMPLETE)
    static, total, worst = recomputed(parts.arithmetic)
    assert static == parts.static
    assert total == score.total(parts)
    assert worst == score.multiplier_class(findings)
    assert parts.multiplier == score.MULTIPLIER[worst]
    assert parts.static == max(0, 100 - sum(one.count * one.points for one in parts.deductions))
    assert 0 <= total <= 100


@given(FINDINGS, st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(findings, random):
    first = score.detail(findings, COMPLETE)
    random.shuffle(findings)
    second = score.detail(findings, COMPLETE)
    assert second.arithmetic == first.arithmetic
    assert second.deductions == first.deductions
    assert sorted(second.decided_by) == sorted(first.decided_by)


@given(
    FINDINGS,
    st.one_of(
        st.builds(finding, st.sampled_from(RiskClass), st.just("hidden-instruction")),
        st.builds(scanned, st.sampled_from(RiskClass)),
    ),
)
def test_a_further_finding_never_raises_the_score(findings, more):
    before = score.total(score.detail(findings, COMPLETE))
    assert score.total(score.detail([*findings, more], COMPLETE)) <= before


@pytest.mark.parametrize(
    ("classes", "multiplier", "worst"),
    [
        ([], 1.0, "clean"),
        ([RiskClass.NOTE], 1.0, "clean"),
        ([RiskClass.MEDIUM, RiskClass.NOTE], 0.7, "medium"),
        ([RiskClass.MEDIUM, RiskClass.HIGH], 0.3, "high"),
        ([RiskClass.CRITICAL, RiskClass.HIGH], 0.0, "critical"),
    ],
)
def test_the_multiplier_is_that_of_the_worst_class(classes, multiplier, worst):
    findings = [finding(class_, number=number) for number, class_ in enumerate(classes)]
    parts = score.detail(findings, COMPLETE)
    assert parts.multiplier == multiplier
    assert score.multiplier_class(findings) == worst


def test_the_example_of_the_docs():
    findings = [
        finding(RiskClass.HIGH, number=1),
        finding(RiskClass.NOTE, "loose-schema", 2),
        finding(RiskClass.NOTE, "runs-as-root", 3),
    ]
    parts = score.detail(findings, COMPLETE)
    assert parts.arithmetic == "100 - 2×1 = 98; 98 × 0.3 (high) = 29.4"
    assert parts.decided_by == (findings[0].fingerprint,)


def test_texts_cost_points_and_behaviour_acts_through_the_multiplier():
    texts = score.detail([finding(RiskClass.HIGH, "hidden-instruction")], COMPLETE)
    behaviour = score.detail([finding(RiskClass.HIGH, "arbitrary-read")], COMPLETE)
    assert (texts.static, behaviour.static) == (80, 100)
    assert texts.multiplier == behaviour.multiplier == 0.3


def test_many_notes_leave_a_clean_server_above_ninety():
    findings = [finding(RiskClass.NOTE, "seed-external-url", n) for n in range(40)]
    parts = score.detail(findings, COMPLETE)
    assert score.total(parts) == 95
    assert "5 of 40 notes count" in parts.arithmetic


def test_the_static_part_does_not_fall_below_nothing():
    findings = [finding(RiskClass.HIGH, "tool-shadowing", n) for n in range(9)]
    parts = score.detail(findings, COMPLETE)
    assert parts.static == 0
    assert recomputed(parts.arithmetic)[1] == 0


def test_a_suppressed_finding_does_not_count():
    assert (
        score.total(score.detail([finding(RiskClass.CRITICAL, suppressed="known")], COMPLETE))
        == 100
    )


def test_below_the_coverage_floor_there_is_no_score():
    missing = Coverage(missing=("The server did not answer.",))
    assert score.detail([], missing) is None
    assert score.detail([finding(RiskClass.CRITICAL)], missing) is None


@pytest.mark.parametrize(
    ("classes", "static", "terms"),
    [
        ([RiskClass.HIGH], 90, "100 - 1×10 = "),
        ([RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE], 85, "100 - 1×10 - 1×4 - 1×1 = "),
        # The last that counts costs what is left of the scanner's share.
        (
            [RiskClass.HIGH, *[RiskClass.MEDIUM] * 4],
            80,
            "100 - 1×10 - 2×4 - 1×2 (4 of 5 by Trivy count) = ",
        ),
        ([RiskClass.NOTE] * 300, 95, "100 - 5×1 (5 of 300 by Trivy count) = "),
    ],
)
def test_a_scanner_costs_points_up_to_its_share(classes, static, terms):
    parts = score.detail([scanned(one, n) for n, one in enumerate(classes)], COMPLETE)
    assert parts.static == static
    assert parts.arithmetic.startswith(terms)
    assert {one.rule for one in parts.deductions} == {"Trivy"}


def test_each_scanner_has_a_share_of_its_own():
    findings = [scanned(RiskClass.HIGH, n, tool) for n in range(9) for tool in ("Trivy", "Other")]
    assert score.detail(findings, COMPLETE).static == 60


def test_a_scanner_never_touches_the_multiplier():
    findings = [scanned(RiskClass.CRITICAL), finding(RiskClass.MEDIUM)]
    parts = score.detail(findings, COMPLETE)
    assert parts.multiplier == 0.7
    assert parts.decided_by == (findings[1].fingerprint,)
    assert score.multiplier_class(findings[:1]) == "clean"


def test_the_table_covers_every_rule_on_listed_texts_and_no_other():
    modules = {metadata.__name__, steering.__name__}
    on_texts = {rule for rule, one in REGISTERED.items() if one.check.__module__ in modules}
    on_schemas = {"loose-schema", "oversized-listing"}
    assert on_schemas <= {
        rule for rule, one in REGISTERED.items() if one.check.__module__ == protocol.__name__
    }
    assert on_texts | on_schemas == score.STATIC
    assert set(score.POINTS) == set(RiskClass)
