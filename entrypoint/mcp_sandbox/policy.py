"""The gate: conditions on findings, score and coverage, and the verdict that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from mcp_sandbox.model import RISK_ORDER, Coverage, Finding, GateCondition, RiskClass, Verdict

INCONCLUSIVE = "inconclusive"
CLASSES: tuple[str, ...] = tuple(one.value for one in RISK_ORDER if one is not RiskClass.NOTE)


def gate(
    findings: Sequence[Finding],
    score: float | None,
    coverage: Coverage,
    *,
    fail_below: float,
    fail_on: Collection[str],
) -> tuple[tuple[GateCondition, ...], Verdict]:
    """Every condition with its value, and the verdict. Findings of scanners count like all others.

    FAIL when a condition is hit, also on incomplete coverage: what is proved is proved. Without
    that, incomplete coverage is INCONCLUSIVE (FAIL when ``inconclusive`` is in ``fail_on``). A
    score that does not exist neither holds nor hits its condition.

    Raises ``ValueError`` for a name in ``fail_on`` that is no condition.
    """
    if unknown := sorted({str(name) for name in fail_on} - {*CLASSES, INCONCLUSIVE}):
        raise ValueError(f"{unknown[0]!r} is no condition of the gate")
    names = {str(name) for name in fail_on}
    counts = Counter(finding.class_.value for finding in findings if not finding.suppressed)
    conditions = [
        GateCondition(f"no {name} finding", str(counts[name]), "0", held=not counts[name])
        for name in CLASSES
        if name in names
    ]
    failed = any(not condition.held for condition in conditions)
    below = score is not None and score < fail_below
    conditions += [
        GateCondition(
            "score",
            "none" if score is None else f"{score:g}",
            f"at least {fail_below:g}",
            held=score is not None and not below,
        ),
        GateCondition(
            "coverage",
            f"{len(coverage.missing)} missing" if coverage.missing else "complete",
            "complete",
            held=not coverage.missing,
        ),
    ]
    if failed or below or (coverage.missing and INCONCLUSIVE in names):
        return tuple(conditions), Verdict.FAIL
    if coverage.missing or score is None:
        return tuple(conditions), Verdict.INCONCLUSIVE
    return tuple(conditions), Verdict.PASS
