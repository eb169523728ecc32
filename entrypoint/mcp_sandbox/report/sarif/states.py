"""What a finding is in comparison with the baseline (SARIF's ``baselineState``)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from mcp_sandbox.model import Finding
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import BEHAVIOURS, BaselineState, Direction, Lock, Part
from mcp_sandbox.report import diff

_ENTRIES = frozenset({Part.ITEM, *map(Part, BEHAVIOURS)})


class State(StrEnum):
    """The values of SARIF that can be told here; ``UNKNOWN`` is left out of the file."""

    NEW = "new"
    UNCHANGED = "unchanged"
    ABSENT = "absent"
    """What the baseline had is not there any more; the finding is the news of it."""
    UNKNOWN = ""


def states(report: Report) -> Callable[[Finding], State]:
    """Finding -> its state.

    A finding of drift is new, or absent where all it speaks of was lost. Another finding can be
    told by the deeds it is about, where a lock file would have had them.
    """
    baseline = report.baseline
    if baseline is None or baseline.state is not BaselineState.USED or baseline.lock is None:
        return lambda _: State.UNKNOWN
    drift = frozenset(report.drift or ())
    shown = diff.of(report)
    present = {finding for entry in shown.entries if not _gone(entry) for finding in entry.findings}
    present.update(shown.others)
    deeds = _deeds(baseline.lock)

    def state(finding: Finding) -> State:
        if finding in drift:
            return State.NEW if finding in present else State.ABSENT
        if not finding.about:
            return State.UNKNOWN
        known = all((one.subject, one.part, one.object) in deeds for one in finding.about)
        return State.UNCHANGED if known else State.NEW

    return state


def _gone(entry: diff.Entry) -> bool:
    """Whether a change is the loss of something that a lock file lists entry by entry.

    A lost promise or a lower score is news of another kind.
    """
    return entry.change.direction is Direction.LOST and entry.change.part in _ENTRIES


def _deeds(lock: Lock) -> frozenset[tuple[str, str, str]]:
    """All that a lock says was done."""
    return frozenset(
        (subject, part, value)
        for subject, behaviour in lock.behaviour.items()
        for part in BEHAVIOURS
        for value in getattr(behaviour, part)
    )
