"""What differs from the baseline: the one function that says it, and what concerns the lock file.

A change (``baseline.compare``) says what differs and which way; the rules here and in
``drift_tools``, ``drift_texts`` and ``drift_acts`` say how bad that is. What is gained is a
regression, what is lost is news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mcp_sandbox.baseline.compare import compare
from mcp_sandbox.model import (
    Confidence,
    Evidence,
    Finding,
    Location,
    Observations,
    Profile,
    RiskClass,
    RuleInfo,
)
from mcp_sandbox.model.locked import (
    BEHAVIOURS,
    LOCK_FILE,
    Baseline,
    BaselineState,
    Change,
    Direction,
    Effect,
    Lock,
    Part,
    Taken,
)
from mcp_sandbox.rules.context import Compared, Drift
from mcp_sandbox.rules.drifted import LOCKED, hit, lock_line, named, told
from mcp_sandbox.rules.registry import COMPARING, Hit, drift_rule, findings_of, order
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


def _nowhere(change: Change) -> Location | None:
    del change
    return None


def evaluate(
    changes: tuple[Change, ...],
    taken: Taken,
    baseline: Baseline,
    observations: Observations,
    profile: Profile = Profile.DEFAULT,
    *,
    place: Callable[[Change], Location | None] = _nowhere,
) -> tuple[Finding, ...]:
    """What differs from the baseline, worst first. Pure.

    ``changes`` are those of ``compare(baseline.lock, taken.lock)``. ``place`` may know the line of
    the checkout that a change stands on; otherwise it is the line that defines the subject, else
    that of the subject in the lock file. Empty for a baseline that is switched off.
    """
    if baseline.state is BaselineState.OFF:
        return ()
    context = Compared(observations, Drift(changes, taken, baseline, place))
    found = [
        one for rule in sorted(COMPARING) for one in findings_of(COMPARING[rule], context, profile)
    ]
    return tuple(sorted(found, key=order))


# --- the file itself ------------------------------------------------------------------------------


@drift_rule(
    RuleInfo(
        id="baseline-missing",
        title="There is nothing to compare with",
        class_=M,
        evidence=Evidence.E3,
        what="No lock file counts for this run, so nothing can be said of what changed. A note "
        "where there is none yet; medium where nobody can tell, because the base commit is not at "
        "hand or the base image could not be run.",
        proof="The place where it was looked for, in the message.",
        quiet_when="Comparing is switched off (`--baseline none`).",
        fix="Commit the file that the run proposes, on the base branch; or fetch the base commit.",
    )
)
def baseline_missing(context: Compared) -> Iterator[Hit]:
    """A state in which nothing is compared."""
    baseline = context.drift.baseline
    if baseline.state in {BaselineState.MISSING, BaselineState.UNREADABLE}:
        missing = baseline.state is BaselineState.MISSING
        where = f" ({quote(baseline.origin, 200)})" if baseline.origin else ""
        why = f" {quote(baseline.why, 400)}" if baseline.why else ""
        what = "There is no lock file to compare with" if missing else "The baseline is unknown"
        yield Hit(
            "server",
            baseline.state.value,
            f"{what}{where}: nothing says what changed.{why}",
            class_=N if missing else None,
            settled=True,
        )


@drift_rule(
    RuleInfo(
        id="baseline-edited",
        title="The change edits the lock file",
        class_=H,
        evidence=Evidence.E3,
        what="The checkout's lock file is not the base branch's. A note when every edit says what "
        "was seen: an honest update. High when an edit does not say what was seen, when a file "
        "that is new does not, and when the file is deleted: after the merge it would be what "
        "counts.",
        proof="The two files beside what was seen in this run.",
        quiet_when="The files are equal, or differ in nothing that is compared.",
        fix="Write the file anew with `mcp-sandbox baseline write`, from a run of this very image.",
        cwe=(345,),
    )
)
def baseline_edited(context: Compared) -> Iterator[Hit]:
    """Edits of the lock file that the checkout brings."""
    baseline = context.drift.baseline
    name = baseline.path or LOCK_FILE
    if baseline.deleted:
        yield _of_file(
            context, "deleted", f"The change deletes {name}: who compares after the merge?"
        )
    elif baseline.proposed is not None and baseline.state is not BaselineState.UNREADABLE:
        adds = baseline.lock is None
        seen = compare(baseline.proposed, context.drift.taken.lock)
        if baseline.lock is None:
            edits = false = [change for change in seen if change.part is not Part.SETTING]
        else:
            edits = list(compare(baseline.lock, baseline.proposed))
            false = _untrue(edits, seen)
        for change in false:
            yield hit(
                context,
                change,
                f"The change {'adds' if adds else 'edits'} {name}, and it does not say what was "
                f"seen: {told(change)}.",
                location=lock_line(context, change.subject),
            )
        if (edits or adds) and not false:
            count = "adds" if adds else f"updates ({len(edits)} edit{'s' * (len(edits) > 1)})"
            message = f"The change {count} {name}, and it says what was seen."
            yield _of_file(context, "updated", message, N)


def _untrue(edits: list[Change], seen: tuple[Change, ...]) -> list[Change]:
    """The edits of what the edited file and this run disagree in.

    One value of a behaviour is a thing of its own. All else is known by its place: an edit is
    untrue also when the disagreement is about what stands around it, or within it.
    """
    values = {_value(change) for change in seen}
    items = [change for change in seen if not _stands_alone(change)]
    at = {(one.subject, _place(one)) for one in items if one.direction is Direction.CHANGED}
    at |= {(one.subject, _place(one)) for one in items if not _is_listed(one)}
    around = {(one.subject, above) for one in items for above in _above(_place(one))}
    known = at | around
    return [
        edit
        for edit in edits
        if _value(edit) in values
        or (
            not _stands_alone(edit)
            and (
                (edit.subject, _place(edit)) in known
                or any((edit.subject, above) in at for above in _above(_place(edit)))
            )
        )
    ]


def _stands_alone(change: Change) -> bool:
    return change.part.value in BEHAVIOURS or change.part is Part.LAUNCH


def _is_listed(change: Change) -> bool:
    """One of several values at one place."""
    return change.part is Part.SCHEMA and change.pointer.endswith(("/enum", "/required"))


def _value(change: Change) -> tuple[str, ...]:
    value = "" if change.direction is Direction.CHANGED else change.after or change.before
    return change.part.value, change.subject, change.pointer, value


def _place(change: Change) -> str:
    """A place within an item, or within the server's own facts; the whole of an item is ``""``."""
    if change.part in {Part.ITEM, Part.SCHEMA, Part.META, Part.ANNOTATION}:
        return change.pointer
    return change.pointer or f"/{change.part.value}"


def _above(place: str) -> Iterator[str]:
    while place:
        place = place.rpartition("/")[0]
        yield place


def _of_file(context: Compared, fact: str, message: str, class_: RiskClass | None = None) -> Hit:
    return Hit(
        "server",
        fact,
        message,
        class_=class_,
        location=lock_line(context, "server", whole=True),
        settled=True,
    )


@drift_rule(
    RuleInfo(
        id="stale-baseline",
        title="The lock file says what no longer occurs",
        class_=M,
        evidence=Evidence.E3,
        what="An entry of the checkout's lock file, a tool or something that a tool does, was not "
        "seen in this run. What stays in the file stays allowed: whoever brings it back later "
        "changes nothing that is compared.",
        proof="The entry, beside a run that was complete.",
        quiet_when="The baseline is another image, which nobody keeps in a file; what cannot be "
        "seen under this run's network, or of a tool that could not be called. A note when the run "
        "was not complete.",
        fix="Write the file anew with `mcp-sandbox baseline write` and commit it.",
    )
)
def stale_baseline(context: Compared) -> Iterator[Hit]:
    """Entries of the file of the checkout that did not occur."""
    drift = context.drift
    baseline, incomplete = drift.baseline, bool(drift.taken.incomplete)
    if baseline.deleted or not baseline.kept:
        return
    changes = drift.changes
    if baseline.proposed is not None:
        changes = compare(baseline.proposed, drift.taken.lock)
    for change in changes:
        if change.direction is not Direction.LOST or change.part not in LOCKED:
            continue
        tail = ", but the run was not complete." if incomplete else ": write it anew."
        yield hit(
            context,
            change,
            f"{baseline.path or LOCK_FILE} says what was not seen: {told(change)}{tail}",
            class_=N if incomplete else None,
            confidence=Confidence.LOW if incomplete else Confidence.HIGH,
            location=lock_line(context, change.subject),
        )


# --- how the locks were taken, and the score ------------------------------------------------------


@drift_rule(
    RuleInfo(
        id="comparison-limited",
        title="The baseline was taken in another way",
        class_=M,
        evidence=Evidence.E3,
        what="The baseline was taken under another profile, network or TLS setting, or a tool that "
        "could be called then could not be called now. Medium where less is seen than then: what "
        "is missing may only be out of sight.",
        proof="Both settings, in the message.",
        quiet_when="Both runs were made alike.",
        fix="Run with the settings of the baseline, or write it anew with those of the run.",
    )
)
def comparison_limited(context: Compared) -> Iterator[Hit]:
    """Other settings, and tools that are out of reach."""
    for change in context.drift.changes:
        if change.part is not Part.SETTING:
            continue
        less = change.effect is Effect.NARROWER
        if change.pointer != "/uncalled":
            message = (
                f"The baseline was taken with {change.pointer[1:]} {change.before}, this run with "
                f"{change.after}: "
                + ("what is missing now may be out of sight." if less else "is that meant?")
            )
        elif less:
            message = f"{named(change.subject)} could be called before and cannot be now: why?"
        else:
            message = f"{named(change.subject)} can be called now, and could not before."
        yield hit(context, change, message, class_=None if less else N)


@drift_rule(
    RuleInfo(
        id="score-dropped",
        title="The score is lower than the baseline's",
        class_=M,
        evidence=Evidence.E3,
        what="The score by our own rules is lower than the one in the lock file, or there is none "
        "any more. Notes do not count.",
        proof="Both scores, in the message.",
        quiet_when="The score rose, or the baseline has none or was taken under another profile.",
        fix="See the findings of the run: those of the worst class decide.",
    )
)
def score_dropped(context: Compared) -> Iterator[Hit]:
    """A lower score."""
    for change in context.drift.changes:
        if change.part is Part.SCORE and change.direction is Direction.LOST:
            now = f"is {change.after} now" if change.after else "cannot be computed now"
            version = _scanner(context.drift.baseline.lock, context.drift.taken.lock)
            yield hit(context, change, f"The score was {change.before} and {now}{version}: why?")


def _scanner(old: Lock | None, new: Lock) -> str:
    if old is None or old.scanner == new.scanner:
        return ""
    return f" (by version {quote(old.scanner, 40)} then, {quote(new.scanner, 40)} now)"
