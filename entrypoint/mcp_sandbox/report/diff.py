"""What changed since the baseline, for people and for programs.

One view, which ``diff_text`` shows to people, and ``dump`` as JSON.

The JSON, canonical as ``report.json`` is:

* ``schema_version``: of this shape.
* ``baseline``: ``state`` (``off``, ``missing``, ``used``), ``origin``.
* ``regressions``: how many findings are worse than a note and not accepted.
* ``changes``, the worst first: ``subject``, ``part``, ``direction``, ``effect``, ``pointer``,
  ``before``, ``after``, ``question``, ``class`` (``null``: no rule says anything of it),
  ``findings``, and for prose (among the first ``MAX_SHOWN``) ``words``: a list of
  ``{"same": …}``, ``{"removed": …}``, ``{"added": …}``.
* ``findings``: those that are about no single change (an edited lock file, say).
* Each finding: ``rule``, ``class``, ``evidence``, ``message``, ``fingerprint``, ``suppressed``,
  ``seen``, ``location`` (``path``, ``line``, or ``null``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_sandbox import words
from mcp_sandbox.model import RISK_ORDER, Finding, RiskClass
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import (
    Baseline,
    BaselineState,
    Change,
    Effect,
    Part,
)
from mcp_sandbox.report.json import canonical
from mcp_sandbox.report.order import worst_first
from mcp_sandbox.report.questions import Question, ask

SCHEMA_VERSION = 1
"""Of the JSON that ``dump`` writes."""

MAX_SHOWN = 200
"""Changes that are shown to people, and word diffs that are made."""
MAX_MEANT = 50
"""Changes that one finding may be about."""

_PROSE = frozenset({Part.TITLE, Part.DESCRIPTION, Part.INSTRUCTIONS})

_ACTS = frozenset({Part.ENDPOINT, Part.PROGRAM, Part.WRITE, Part.READ})
RULE_PARTS: dict[str, frozenset[Part]] = {
    "annotation-weakened": frozenset({Part.ANNOTATION}),
    "behaviour-lost": _ACTS,
    "ceiling-raised": frozenset({Part.CEILING}),
    "comparison-limited": frozenset({Part.SETTING}),
    "instructions-changed": frozenset({Part.INSTRUCTIONS}),
    "launch-changed": frozenset({Part.LAUNCH}),
    "new-executable": frozenset({Part.PROGRAM}),
    "new-file-access": frozenset({Part.WRITE, Part.READ}),
    "new-network-endpoint": frozenset({Part.ENDPOINT}),
    "score-dropped": frozenset({Part.SCORE}),
    "server-changed": frozenset({Part.SERVER, Part.CAPABILITY}),
    "tool-added": frozenset({Part.ITEM}),
    "tool-removed": frozenset({Part.ITEM}),
    "tool-renamed": frozenset({Part.ITEM}),
}
"""Drift rule -> the parts it speaks of; a rule that is not here speaks of any."""
OF_THE_FILE = frozenset({"baseline-edited", "baseline-missing", "stale-baseline"})
"""Drift rules that speak of the lock file itself, so of no change of the server: a harmless change
beside an edited entry is not as bad as the edit."""


@dataclass(frozen=True)
class Entry:
    """One change and what the rules say of it."""

    change: Change
    question: Question
    findings: tuple[Finding, ...] = ()
    """Worst first, accepted ones last."""

    @property
    def class_(self) -> RiskClass | None:
        """Of the worst finding that counts; ``None`` where none does."""
        return next((one.class_ for one in self.findings if not one.suppressed), None)

    @property
    def accepted(self) -> str:
        """Why it does not count; empty when it does, or when no rule says anything of it."""
        return "" if self.class_ or not self.findings else self.findings[0].suppressed


@dataclass(frozen=True)
class View:
    """A comparison as it is shown."""

    baseline: Baseline | None
    entries: tuple[Entry, ...] = ()
    """Worst first, those of one subject together."""
    others: tuple[Finding, ...] = ()
    """Findings about no single change, worst first."""
    regressions: int = 0
    """Findings worse than a note that count."""

    @property
    def worst(self) -> tuple[Entry, ...]:
        """The entries of which some rule says more than a note."""
        return tuple(one for one in self.entries if one.class_ not in {None, RiskClass.NOTE})


def of(report: Report) -> View:
    """The view of a report's comparison."""
    return view(report.changes, report.drift or (), report.baseline)


def view(changes: Sequence[Change], drift: Iterable[Finding], baseline: Baseline | None) -> View:
    """Join each finding to the change it is about, and put the worst first."""
    findings = sorted(drift, key=lambda one: (bool(one.suppressed), *worst_first(one)))
    index = _Index(changes)
    about: dict[int, list[Finding]] = {}
    others = []
    for finding in findings:
        chosen = index.meant(finding)
        for number in chosen:
            about.setdefault(number, []).append(finding)
        if not chosen:
            others.append(finding)
    entries = [
        Entry(change, ask(change), tuple(about.get(number, ())))
        for number, change in enumerate(changes)
    ]
    return View(
        baseline,
        _ordered(entries),
        tuple(others),
        sum(1 for one in findings if not one.suppressed and one.class_ is not RiskClass.NOTE),
    )


class _Index:
    """Finds the changes that a finding is about.

    By what the finding itself says it is about, else by its subject: by the pointer after ``#``, by
    the values that its message quotes in backticks, or all of the subject.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._parts = [change.part for change in changes]
        self._by_key: dict[tuple[str, ...], list[int]] = {}
        for number, change in enumerate(changes):
            names = {"", change.pointer and f"#{change.pointer}", change.before, change.after}
            keys: list[tuple[str, ...]] = [(change.subject, name) for name in names]
            keys.append((change.subject, change.part.value, change.after or change.before))
            for key in keys:
                self._by_key.setdefault(key, []).append(number)

    def meant(self, finding: Finding) -> list[int]:
        """Positions of the changes."""
        if finding.rule in OF_THE_FILE:
            return []
        deeds = [(one.subject, one.part, one.object) for one in finding.about]
        found = [number for deed in deeds for number in self._by_key.get(deed, ())]
        if found:
            return list(dict.fromkeys(found))
        subject, names = finding.subject, []
        if (subject, "") not in self._by_key:  # a stranger's name may hold a # too
            subject, _, pointer = subject.rpartition("#")
            names = [f"#{pointer}"]
        parts = RULE_PARTS.get(finding.rule)
        for name in [*names, *finding.message.split("`")[1::2], ""]:
            found = self._by_key.get((subject, name), [])[:MAX_MEANT]
            if hit := [one for one in found if parts is None or self._parts[one] in parts]:
                return hit
        return []


def _rank(entry: Entry) -> int:
    return len(RISK_ORDER) if entry.class_ is None else RISK_ORDER.index(entry.class_)


def _ordered(entries: list[Entry]) -> tuple[Entry, ...]:
    worst: dict[str, int] = {}
    for entry in entries:
        subject = entry.change.subject
        worst[subject] = min(worst.get(subject, len(RISK_ORDER)), _rank(entry))
    first = {subject: number for number, subject in enumerate(worst)}
    return tuple(
        sorted(
            entries,
            key=lambda one: (worst[one.change.subject], first[one.change.subject], _rank(one)),
        )
    )


def is_prose(change: Change) -> bool:
    """Whether the words of a change are for a reader, so that a word diff shows them best."""
    both = bool(change.before and change.after)
    return change.part in _PROSE or (both and change.effect is Effect.WORDS)


# --- JSON -----------------------------------------------------------------------------------------


def dump(shown: View) -> bytes:
    """The JSON of the view; see the module's docstring for its shape."""
    return canonical(document(shown))


def document(shown: View) -> dict[str, Any]:
    """The JSON of the view as Python values."""
    baseline = shown.baseline
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": {
            "state": baseline.state.value if baseline else BaselineState.OFF.value,
            "origin": baseline.origin if baseline else "",
        },
        "regressions": shown.regressions,
        "changes": [
            _entry(entry, number < MAX_SHOWN) for number, entry in enumerate(shown.entries)
        ],
        "findings": [_finding(one) for one in shown.others],
    }


def _entry(entry: Entry, with_words: bool) -> dict[str, Any]:
    change = entry.change
    pieces = words.diff(change.before, change.after) if with_words and is_prose(change) else ()
    return {
        "subject": change.subject,
        "part": change.part.value,
        "direction": change.direction.value,
        "effect": change.effect.value,
        "pointer": change.pointer,
        "before": change.before,
        "after": change.after,
        "question": str(entry.question),
        "class": entry.class_.value if entry.class_ else None,
        "findings": [_finding(one) for one in entry.findings],
        **({"words": [{piece.kind.value: piece.text} for piece in pieces]} if pieces else {}),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.location
    return {
        "rule": finding.rule,
        "class": finding.class_.value,
        "evidence": finding.evidence.value,
        "message": finding.message,
        "fingerprint": finding.fingerprint,
        "suppressed": finding.suppressed,
        "seen": list(finding.seen),
        "location": {"path": place.path, "line": place.line} if place else None,
    }
