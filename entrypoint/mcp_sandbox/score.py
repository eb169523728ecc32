"""The score, with arithmetic that a reviewer can redo by hand.

``score = static × multiplier``. The multiplier is that of the worst class found. The static part
starts at 100 and loses ``POINTS`` a finding: texts of the listing are judged here, one by one,
because a model reads every one of them; what was proved by behaviour acts through the multiplier.
Notes have no multiplier and cost little, and at most ``MAX_NOTES`` of them count. What a scanner
reports was not seen to happen: it costs ``SCANNER_POINTS`` in the static part, at most
``MAX_PER_SCANNER`` a scanner and for at most ``MAX_NOTES`` of its notes, and never acts through the
multiplier. A run below the coverage floor has no score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mcp_sandbox.model import (
    RISK_ORDER,
    Coverage,
    Deduction,
    Finding,
    RiskClass,
    ScoreDetail,
)

FULL = 100.0
CLEAN = "clean"

MULTIPLIER: dict[str, float] = {
    RiskClass.CRITICAL.value: 0.0,
    RiskClass.HIGH.value: 0.3,
    RiskClass.MEDIUM.value: 0.7,
    CLEAN: 1.0,
}
"""Worst class -> multiplier."""

POINTS: dict[RiskClass, int] = {
    RiskClass.CRITICAL: 40,
    RiskClass.HIGH: 20,
    RiskClass.MEDIUM: 8,
    RiskClass.NOTE: 1,
}
"""THE table: points that one finding costs. Above note only the rules of ``STATIC`` cost points;
notes cost theirs whatever their rule."""

MAX_NOTES = 5
"""So many notes count; a clean server with notes keeps 95."""

SCANNER_POINTS: dict[RiskClass, int] = {
    RiskClass.CRITICAL: 20,
    RiskClass.HIGH: 10,
    RiskClass.MEDIUM: 4,
    RiskClass.NOTE: 1,
}
"""Points that one finding of a scanner costs, dearest first, up to ``MAX_PER_SCANNER``."""

MAX_PER_SCANNER = 20
"""Points that one scanner can cost: what a base image brings along does not hide the rest."""

STATIC = frozenset(
    {
        "cleartext-endpoint",
        "coercive-wording",
        "encoded-instruction",
        "hidden-instruction",
        "invisible-text",
        "loose-schema",
        "oversized-listing",
        "schema-poisoning",
        "secret-in-metadata",
        "side-channel-parameter",
        "tool-shadowing",
    }
)
"""Rules that judge what a server lists, which is there before anything is called."""


def counted(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that count: those nobody suppressed."""
    return [finding for finding in findings if not finding.suppressed]


def multiplier_class(findings: Sequence[Finding]) -> str:
    """``critical``, ``high``, ``medium`` or ``clean``: the worst class that counts.

    Scanners' findings are not asked.
    """
    return _worst(_own(counted(findings)))


def detail(findings: Sequence[Finding], coverage: Coverage) -> ScoreDetail | None:
    """The score's parts; ``None`` when the run evaluated less than the coverage floor."""
    if coverage.missing:
        return None
    live = counted(findings)
    own = _own(live)
    worst = _worst(own)
    deductions, notes = _deductions(own)
    scanned, capped = _scanned([finding for finding in live if finding.tool])
    deductions += scanned
    static = max(0.0, FULL - sum(one.count * one.points for one in deductions))
    multiplier = MULTIPLIER[worst]
    return ScoreDetail(
        static=static,
        deductions=deductions,
        multiplier=multiplier,
        decided_by=tuple(finding.fingerprint for finding in own if finding.class_ == worst),
        arithmetic=_arithmetic(
            deductions, [*_capped_notes(notes), *capped], static, multiplier, worst
        ),
    )


def total(parts: ScoreDetail) -> float:
    """The score, 0 to 100, one decimal."""
    return round(parts.static * parts.multiplier, 1)


def _own(live: Sequence[Finding]) -> list[Finding]:
    """What our own rules say."""
    return [finding for finding in live if not finding.tool]


def _worst(live: Sequence[Finding]) -> str:
    classes = {finding.class_ for finding in live} - {RiskClass.NOTE}
    return min(classes, key=RISK_ORDER.index).value if classes else CLEAN


def _deductions(live: Sequence[Finding]) -> tuple[tuple[Deduction, ...], int]:
    """Dearest first, then by rule; and how many notes there are in all."""
    costs: Counter[tuple[int, str]] = Counter()
    notes = 0
    for finding in sorted(live, key=lambda one: one.rule):
        if finding.class_ is RiskClass.NOTE:
            notes += 1
            if notes > MAX_NOTES:
                continue
        elif finding.rule not in STATIC:
            continue
        costs[-POINTS[finding.class_], finding.rule] += 1
    return (
        tuple(
            Deduction(rule=rule, count=costs[cost, rule], points=float(-cost))
            for cost, rule in sorted(costs)
        ),
        notes,
    )


def _scanned(live: Sequence[Finding]) -> tuple[tuple[Deduction, ...], list[str]]:
    """What every scanner costs, by name and dearest first; and which could not cost it all."""
    classes: dict[str, Counter[RiskClass]] = {}
    for finding in live:
        classes.setdefault(finding.tool, Counter())[finding.class_] += 1
    deductions: list[Deduction] = []
    capped: list[str] = []
    for tool, counts in sorted(classes.items()):
        left = MAX_PER_SCANNER
        charged = 0
        for class_ in RISK_ORDER:
            points = SCANNER_POINTS[class_]
            count = min(counts[class_], MAX_NOTES if class_ is RiskClass.NOTE else counts[class_])
            whole = min(count, left // points)
            if whole:
                deductions.append(Deduction(rule=tool, count=whole, points=float(points)))
                charged += whole
                left -= whole * points
            if count > whole and left:  # the last one costs what is left
                deductions.append(Deduction(rule=tool, count=1, points=float(left)))
                charged += 1
                left = 0
        if charged < counts.total():
            capped.append(f"{charged} of {counts.total()} by {tool} count")
    return tuple(deductions), capped


def _capped_notes(notes: int) -> list[str]:
    return [f"{MAX_NOTES} of {notes} notes count"] if notes > MAX_NOTES else []


def _arithmetic(
    deductions: Sequence[Deduction],
    capped: Sequence[str],
    static: float,
    multiplier: float,
    worst: str,
) -> str:
    """``100 - 1×20 - 2×1 = 78; 78 × 0.3 (high) = 23.4``."""
    sums: Counter[float] = Counter()
    for one in deductions:
        sums[one.points] += one.count
    terms = [f"{count}×{points:g}" for points, count in sorted(sums.items(), reverse=True)]
    formula = " - ".join([f"{FULL:g}", *terms])
    if capped:
        formula += f" ({', '.join(capped)})"
    if sum(one.count * one.points for one in deductions) > FULL:
        formula += ", at least 0,"
    score = round(static * multiplier, 1)
    return f"{formula} = {static:g}; {static:g} × {multiplier:.1f} ({worst}) = {score:g}"
