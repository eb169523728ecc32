"""What a policy does to findings: classes first, then what is accepted, then what is allowed.

Nothing is taken away: a finding that does not count any more says why, and stays. Three bounds hold
whatever a policy says. A permission never speaks to a critical finding or to one that a planted
secret or a computed effect proves, for these are not about where a server may go but about what it
can be made to do. A class is made milder with a reason only, and never that of a critical finding
so proved. What is wrong with the policy itself cannot be accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from mcp_sandbox.model import (
    COMPLETE,
    RISK_ORDER,
    Coverage,
    Evidence,
    Finding,
    ItemKind,
    RiskClass,
    ToolOutcome,
    Witness,
)
from mcp_sandbox.model.locked import Acceptance, ClassOverride, Part, Policy
from mcp_sandbox.policy.complaints import EXPIRED, IDS, UNUSED, complaint
from mcp_sandbox.policy.objects import ENDPOINTS, PATHS, PROGRAMS, Allowed

PERMITTED: dict[str, str] = {
    "unprompted-network": ENDPOINTS,
    "undeclared-endpoint": ENDPOINTS,
    "new-network-endpoint": ENDPOINTS,
    "shell-spawned": PROGRAMS,
    "unexpected-process": PROGRAMS,
    "new-executable": PROGRAMS,
    "credential-file-opened": PATHS,
    "new-file-access": PATHS,
}
"""THE table: rule -> what a permission can say of its findings. Of no other rule it says anything:
what those tell is no matter of where a server may go."""

EXACTLY = frozenset({"credential-file-opened"})
"""Rules whose objects are allowed by their own path only, not by a folder's."""

PARTS: dict[str, frozenset[str]] = {
    ENDPOINTS: frozenset({Part.ENDPOINT.value}),
    PROGRAMS: frozenset({Part.PROGRAM.value}),
    PATHS: frozenset({Part.READ.value, Part.WRITE.value}),
}
"""Key of a permission -> the deeds that it is about."""

_PROOF = frozenset({Evidence.E1, Evidence.E2})


@dataclass(frozen=True)
class Applied:
    """Findings as the policy leaves them, and what is wrong with the policy."""

    findings: tuple[Finding, ...]
    """Worst first; otherwise in the order they came."""
    drift: tuple[Finding, ...] | None
    complaints: tuple[Finding, ...]
    """Of ``policy-expired`` and ``policy-unused``, in the order of the file."""


def apply(
    findings: Sequence[Finding],
    policy: Policy,
    today: date,
    *,
    coverage: Coverage,
    drift: Sequence[Finding] | None,
    drift_rules: Collection[str],
) -> Applied:
    """Findings of the run and of drift, as the policy leaves them, and its own faults.

    ``today`` is a UTC date; an acceptance still counts on the day that it names. ``drift`` is
    ``None`` when nothing was compared; ``drift_rules``: ids of all rules that need a comparison.
    Applying twice gives the same as applying once.
    """
    judge = _Judge(policy, today)
    kept = _sorted(judge.finding(one) for one in findings)
    compared = None if drift is None else _sorted(judge.finding(one) for one in drift)
    seen = _Seen(coverage, compared=drift is not None, drift_rules=frozenset(drift_rules))
    told = sorted([*judge.complaints(seen), *_absent(policy, seen)], key=lambda pair: pair[0])
    return Applied(kept, compared, tuple(finding for _, finding in told))


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: _index(one.class_)))


def _index(class_: RiskClass) -> int:
    return RISK_ORDER.index(class_)


# --- one finding ----------------------------------------------------------------------------------


class _Judge:
    """The policy on a day, and which of its acceptances have been of use."""

    def __init__(self, policy: Policy, today: date) -> None:
        self._policy = policy
        self._today = today
        self._allowed = Allowed(policy.allow)
        self._used: set[int] = set()
        self._accept: dict[tuple[str, str], list[tuple[int, Acceptance]]] = {}
        for number, one in enumerate(policy.accept):
            if today <= one.expires:
                self._accept.setdefault((one.rule, one.tool), []).append((number, one))
        self._classes: dict[tuple[str, str], list[ClassOverride]] = {}
        for override in policy.classes:
            self._classes.setdefault((override.rule, override.tool), []).append(override)

    def finding(self, one: Finding) -> Finding:
        """A finding with its class and, where it does not count any more, why."""
        if one.rule in IDS:
            return one
        classed = self._classed(one)
        accepted = self._accepted(one)
        return replace(
            classed, suppressed=one.suppressed or accepted or permitted(classed, self._allowed)
        )

    def _classed(self, one: Finding) -> Finding:
        fitting = [
            override
            for override in self._classes.get((one.rule, one.tool.casefold()), ())
            if not override.subject or is_about(override.subject, one.subject)
        ]
        if not fitting:
            return one
        override = max(fitting, key=lambda each: len(each.subject))  # the tool's own before all's
        now, new = _index(one.class_), _index(override.class_)
        if new < now and override.caps:
            return one
        if new > now and (not override.reason or _proved(one)):
            return one
        return replace(one, class_=override.class_)

    def _accepted(self, one: Finding) -> str:
        """Why and until when it is accepted, by what lasts longest; empty when it is not."""
        said = one.message.casefold()
        fitting = [
            (number, entry)
            for number, entry in self._accept.get((one.rule, one.tool.casefold()), ())
            if _fits(entry, one, said)
        ]
        self._used.update(number for number, _ in fitting)
        if not fitting:
            return ""
        entry = max((entry for _, entry in fitting), key=lambda each: (each.expires, -each.line))
        return f"Accepted until {entry.expires}: {entry.reason}"

    def complaints(self, seen: _Seen) -> Iterator[tuple[int, Finding]]:
        """Line and finding of each acceptance that is past its date or was of no use."""
        for number, one in enumerate(self._policy.accept):
            key = ("accept", one.rule, one.tool, one.subject, one.about, one.fingerprint)
            what = f"The acceptance of {one.rule}{' of ' + one.subject if one.subject else ''}"
            if one.expires < self._today:
                message = f"{what} was until {one.expires}."
                yield (
                    one.line,
                    complaint(EXPIRED, self._policy, key=key, line=one.line, message=message),
                )
            elif number not in self._used and not seen.blind(one):
                drift = one.rule in seen.drift_rules
                why = "the server lists no such tool" if seen.absent(one.subject) else "none found"
                message = f"{what} accepts nothing: {why}."
                yield (
                    one.line,
                    complaint(
                        UNUSED,
                        self._policy,
                        key=key,
                        line=one.line,
                        message=message,
                        class_=RiskClass.NOTE if drift else None,
                    ),
                )


def _fits(entry: Acceptance, one: Finding, said: str) -> bool:
    return (
        (not entry.subject or is_about(entry.subject, one.subject))
        and (not entry.fingerprint or entry.fingerprint == one.fingerprint)
        and (not entry.about or entry.about.casefold() in said)
    )


def is_about(wanted: str, subject: str) -> bool:
    """Whether an entry for ``wanted`` speaks of a finding's subject: it, or a part of it."""
    return subject == wanted or subject.startswith(f"{wanted}#")


def _proved(one: Finding) -> bool:
    return one.class_ is RiskClass.CRITICAL and one.evidence in _PROOF


def permitted(one: Finding, allowed: Allowed) -> str:
    """Why all that a finding is about is allowed; empty when it is not, or is none to allow."""
    key = PERMITTED.get(one.rule)
    if key is None or one.tool or one.class_ is RiskClass.CRITICAL or one.evidence in _PROOF:
        return ""
    if not one.about or not all(deed.part in PARTS[key] for deed in one.about):
        return ""
    reasons = []
    for deed in one.about:
        permission = allowed.by(deed, exactly=one.rule in EXACTLY)
        if permission is None or not permission.reason:
            return ""
        reasons.append(permission.reason)
    return f"Allowed: {'; '.join(dict.fromkeys(reasons))}"


# --- the policy's own faults ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What the run could see: of the rest nothing is called unused."""

    coverage: Coverage
    compared: bool
    drift_rules: frozenset[str]

    def absent(self, subject: str) -> bool:
        """A tool that a complete list does not hold."""
        kind, _, name = subject.partition("/")
        if kind != ItemKind.TOOLS.value or self.coverage.missing:
            return False
        return not {name, name.partition("#")[0]} & set(self.coverage.tools)

    def blind(self, one: Acceptance) -> bool:
        """What it accepts may be there, and the run did not look."""
        if self.coverage.missing:
            return True
        if one.tool:
            states = {tool.casefold(): state for tool, state in self.coverage.scanners.items()}
            return states.get(one.tool) != COMPLETE
        if one.rule in self.drift_rules:
            return not self.compared
        if self.coverage.witnesses.get(Witness.SINK.value) != COMPLETE:
            return True
        return not self.absent(one.subject) and any(
            told.outcome is not ToolOutcome.CALLED
            for name, told in self.coverage.tools.items()
            if is_about(f"{ItemKind.TOOLS.value}/{name}", one.subject) or not one.subject
        )


def _absent(policy: Policy, seen: _Seen) -> Iterator[tuple[int, Finding]]:
    """Permissions and classes for tools that the server does not list, once for each tool."""
    told: dict[str, int] = {}
    entries = [(one.subject, one.line) for one in policy.allow]
    entries += [(one.subject, one.line) for one in policy.classes]
    for subject, line in entries:
        if seen.absent(subject):
            told[subject] = min(line, told.get(subject, line))
    for subject, line in told.items():
        message = f"The entries for {subject} speak of nothing: the server lists no such tool."
        yield line, complaint(UNUSED, policy, key=("tools", subject), line=line, message=message)
