"""The gate: conditions on findings, drift, score, policy and coverage, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from mcp_sandbox.model import RISK_ORDER, Coverage, Finding, GateCondition, RiskClass, Verdict
from mcp_sandbox.model.locked import LOCK_FILE, POLICY_FILE, Baseline, BaselineState
from mcp_sandbox.policy.complaints import IDS as COMPLAINTS

INCONCLUSIVE = "inconclusive"
DRIFT = "drift"
STALE = "stale-baseline"
CLASSES: tuple[str, ...] = tuple(one.value for one in RISK_ORDER if one is not RiskClass.NOTE)

_UNKNOWN = frozenset({BaselineState.MISSING, BaselineState.OFF, BaselineState.UNREADABLE})


def gate(
    findings: Sequence[Finding],
    score: float | None,
    coverage: Coverage,
    *,
    fail_below: float,
    fail_on: Collection[str],
    drift: Sequence[Finding] | None = None,
    baseline: Baseline | None = None,
) -> tuple[tuple[GateCondition, ...], Verdict]:
    """Every condition with its value, and the verdict. Findings of scanners count like all others.

    ``findings`` hold what is wrong with the policy file, too. ``drift`` is ``None`` when nothing
    was compared; its findings count for their own condition only.

    FAIL when a condition is hit, also on incomplete coverage: what is proved is proved. Without
    that, incomplete coverage, a comparison that was asked for and not made, and a baseline that
    nobody could look for are INCONCLUSIVE (FAIL when ``inconclusive`` is in ``fail_on``). A score
    that does not exist neither holds nor hits its condition.

    Raises ``ValueError`` for a name in ``fail_on`` that is no condition.
    """
    names = {str(name) for name in fail_on}
    if unknown := sorted(names - {*CLASSES, DRIFT, INCONCLUSIVE}):
        raise ValueError(f"{unknown[0]!r} is no condition of the gate")
    hit = _classes(findings, names) + _policy(findings, names)
    compared, open_ = _drift(drift, baseline, names)
    hit += compared
    below = score is not None and score < fail_below
    conditions = (
        *hit,
        *open_,
        _score(score, fail_below),
        _coverage(coverage),
    )
    missing = bool(coverage.missing or open_)
    if any(not one.held for one in hit) or below or (missing and INCONCLUSIVE in names):
        return conditions, Verdict.FAIL
    if missing or score is None:
        return conditions, Verdict.INCONCLUSIVE
    return conditions, Verdict.PASS


def _classes(findings: Sequence[Finding], names: set[str]) -> list[GateCondition]:
    counts = Counter(finding.class_.value for finding in findings if not finding.suppressed)
    return [
        GateCondition(
            f"no {name} finding",
            str(counts[name]),
            "0",
            held=not counts[name],
            flip=f"Mend or accept {_count(counts[name], 'finding')}."
            if counts[name]
            else f"One {name} finding fails it.",
        )
        for name in CLASSES
        if name in names
    ]


def _policy(findings: Sequence[Finding], names: set[str]) -> list[GateCondition]:
    """An entry that nobody looks after would accept what comes later.

    A note is an acceptance of drift that waits for its change, which comes after it.
    """
    stale = sum(
        one.rule in COMPLAINTS and not one.suppressed and one.class_ is not RiskClass.NOTE
        for one in findings
    )
    if not stale or not names:
        return []
    told = f"Renew or remove {_count(stale, 'entry', 'entries')} of {POLICY_FILE}."
    return [GateCondition("policy in force", f"{stale} stale", "0 stale", held=False, flip=told)]


def _drift(
    drift: Sequence[Finding] | None, baseline: Baseline | None, names: set[str]
) -> tuple[list[GateCondition], list[GateCondition]]:
    """The condition ``no drift`` where it is active: as one that was looked at, or that was not."""
    state = BaselineState.OFF if baseline is None else baseline.state
    unreadable = state is BaselineState.UNREADABLE
    if not (DRIFT in names or unreadable or (state is BaselineState.USED and names)):
        return [], []
    if state is BaselineState.USED and drift is not None:
        live = [one for one in drift if not one.suppressed and one.class_ is not RiskClass.NOTE]
        return [
            GateCondition("no drift", str(len(live)), "0", held=not live, flip=_undrift(live))
        ], []
    if state in _UNKNOWN:
        value = "nobody could look" if unreadable else "no baseline"
        way = baseline.why if baseline is not None and baseline.why else ""
        if not way:
            way = (
                f"Commit a {LOCK_FILE}; a complete run leaves one among its results."
                if state is BaselineState.MISSING
                else "Let the run compare with a baseline."
            )
    else:
        value, way = "not compared", "Mend what kept the run from being compared."
    return [], [GateCondition("no drift", value, "0", held=False, flip=way)]


def _undrift(live: Sequence[Finding]) -> str:
    if not live:
        return "One regression against the baseline fails it."
    stale = sum(one.rule == STALE for one in live)
    ways = []
    if changes := len(live) - stale:
        them = "it" if changes == 1 else "them"
        where = f"{POLICY_FILE} on the base branch"
        ways.append(f"take back {_count(changes, 'change')}, or accept {them} in {where}")
    if stale:
        ways.append(f"take {_count(stale, 'stale entry', 'stale entries')} out of {LOCK_FILE}")
    told = "; ".join(ways)
    return f"{told[0].upper()}{told[1:]}."


def _score(score: float | None, fail_below: float) -> GateCondition:
    held = score is not None and score >= fail_below
    if score is None:
        told = "Complete the coverage: a run below its floor has no score."
    elif not held:
        told = f"Gain {fail_below - score:g} points: the worst findings decide the multiplier."
    elif fail_below > 0:
        told = f"A score below {fail_below:g} fails it."
    else:
        told = "Nothing: no score is below 0."
    value = "none" if score is None else f"{score:g}"
    return GateCondition("score", value, f"at least {fail_below:g}", held=held, flip=told)


def _coverage(coverage: Coverage) -> GateCondition:
    count = len(coverage.missing)
    return GateCondition(
        "coverage",
        f"{count} missing" if count else "complete",
        "complete",
        held=not count,
        flip=f"Mend what is missing: {coverage.missing[0]}"
        if count
        else "A witness, a list or a tool that is missed makes the run inconclusive.",
    )


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
