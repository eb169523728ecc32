"""What a run is judged by and compared with: the policy and the baseline that count.

Both are found and read before anything is built, so that a bad one ends the run at once. The same
functions compare a run that has just been made and a report that was saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from mcp_sandbox import __version__, coverage, locate, rules, score
from mcp_sandbox.baseline import compare, taking
from mcp_sandbox.baseline import file as lock_file
from mcp_sandbox.baseline.finding import AUTO, NONE, Checkout, Found, Wanted, find
from mcp_sandbox.errors import BadInput
from mcp_sandbox.model import Finding, Observations, Profile, RiskClass
from mcp_sandbox.model.locked import (
    LOCK_FILE,
    POLICY_FILE,
    Baseline,
    BaselineState,
    Change,
    Policy,
    Taken,
)
from mcp_sandbox.pipeline import placing
from mcp_sandbox.policy import complaints
from mcp_sandbox.policy import file as policy_file
from mcp_sandbox.settings import Settings, load, option

RULES = tuple(sorted((*rules.ALL, *complaints.INFOS), key=lambda one: one.id))
"""Every rule of ours that a report may name, by id."""


@dataclass(frozen=True)
class Basis:
    """What counts for a run."""

    settings: Settings
    """With what the policy set."""
    policy: Policy
    baseline: Baseline


@dataclass(frozen=True)
class Comparison:
    """A run beside its baseline."""

    taken: Taken
    changes: tuple[Change, ...] = ()
    drift: tuple[Finding, ...] | None = None
    """``None``: nothing was compared, as asked."""


def today() -> date:
    """The day by which acceptances expire (UTC)."""
    return datetime.now(UTC).date()


# --- before the run -------------------------------------------------------------------------------


def keep_apart(settings: Settings) -> None:
    """Raise ``BadInput`` for results that would be written over the lock file that may count."""
    kept = [] if settings.context is None else [settings.context / LOCK_FILE]
    if settings.baseline not in {AUTO, NONE}:
        kept.append(Path(settings.baseline))
    if any(one.resolve() == (settings.out / LOCK_FILE).resolve() for one in kept):
        raise BadInput(
            f"--out {settings.out} is the folder of the lock file: the one that a run proposes "
            "would replace it.",
            next_step="Choose another folder with --out.",
        )


def basis(settings: Settings, environment: Mapping[str, str], day: date) -> Basis:
    """Find and read the policy and the baseline. ``environment``: where git is looked for.

    ``day``: that of the run. Raises ``BadInput`` for one that is there and cannot be used.
    """
    base = settings.base if settings.trust == "base" else ""
    checkout = Checkout(settings.context, base, locate.root, environment)
    policy = _policy(settings, checkout, day)
    merged, overruled = applied(settings, policy)
    policy = replace(policy, overruled=overruled)
    return Basis(merged, policy, _baseline(merged, checkout))


def applied(settings: Settings, policy: Policy) -> tuple[Settings, tuple[str, ...]]:
    """The settings with the policy's for those that were not given, and what was given anyway.

    Raises ``BadInput`` for a value of the policy that is out of bounds.
    """
    given = settings.model_fields_set
    taken = {name: value for name, value in policy.settings.items() if name not in given}
    overruled = tuple(sorted(set(policy.settings) & given))
    if not taken:
        return settings, overruled
    values = {name: getattr(settings, name) for name in given}
    try:
        return load(values | taken), overruled
    except BadInput as error:
        raise BadInput(
            f"{policy.origin}: {error.what}", next_step=f"Mend {POLICY_FILE}."
        ) from error


def _policy(settings: Settings, checkout: Checkout, day: date) -> Policy:
    wanted = Wanted(POLICY_FILE, option("config"), settings.config, policy_file.MAX_BYTES)
    found = find(wanted, checkout)
    if found is None:
        return Policy()

    def read(data: bytes, name: str) -> Policy:
        return policy_file.load(data, name, rules=RULES, today=day, path=found.path)

    if found.checkout is not None:
        # What could not be read after the merge is to be known before it.
        read(found.checkout, found.path)
    if found.data is None:
        return Policy(path=found.path, why="" if found.readable else found.why)
    return replace(read(found.data, found.origin), origin=found.origin)


def _baseline(settings: Settings, checkout: Checkout) -> Baseline:
    wanted = Wanted(LOCK_FILE, option("baseline"), settings.baseline, lock_file.MAX_BYTES)
    found = find(wanted, checkout)
    if settings.baseline_image is not None:
        # Its place is taken once that image has run.
        return Baseline(BaselineState.MISSING, f"image {settings.baseline_image}", kept=False)
    if found is None:
        return Baseline(BaselineState.OFF)
    return read(found)


def read(found: Found) -> Baseline:
    """A baseline from what was found. Raises ``BaselineUnreadable``."""
    own = None if found.checkout is None else lock_file.load(found.checkout, found.path)
    kept = found.checkout if found.checkout is not None else found.data
    common = Baseline(
        BaselineState.MISSING if found.readable else BaselineState.UNREADABLE,
        origin=found.origin,
        why=found.why,
        proposed=own,
        path=found.path,
        lines={} if kept is None or found.deleted else lock_file.lines(kept),
    )
    if found.data is None:
        return common
    counts = lock_file.load(found.data, found.origin)
    return replace(
        common,
        state=BaselineState.USED,
        lock=counts,
        proposed=None if own == counts else own,
        deleted=found.deleted,
    )


# --- after it -------------------------------------------------------------------------------------


def take(observations: Observations, profile: Profile, ours: Sequence[Finding]) -> Taken:
    """The lock of a run. Its score is that of our own rules, without notes.

    Some notes are of time (a call that took too long, a process that had not ended yet), and so of
    how busy the machine was.
    ``ours``: what they say of the run, as the policy leaves it: who accepts a finding does not
    find it again as a score that dropped.
    """
    own = coverage.measure(replace(observations, scanners=(), scanners_requested=()))
    detail = score.detail([one for one in ours if one.class_ is not RiskClass.NOTE], own)
    return taking.take(
        observations,
        scanner=__version__,
        profile=profile,
        score=None if detail is None else score.total(detail),
        network=observations.network,
        tls=observations.tls,
    )


def compared(
    observations: Observations,
    profile: Profile,
    baseline: Baseline | None,
    ours: Sequence[Finding],
) -> Comparison:
    """A run beside what counts; ``ours`` as for ``take``."""
    taken = take(observations, profile, ours)
    if baseline is None or baseline.state is BaselineState.OFF:
        return Comparison(taken)
    changes = () if baseline.lock is None else compare.compare(baseline.lock, taken.lock)
    drift = rules.evaluate_drift(
        changes,
        taken,
        baseline,
        observations,
        profile,
        place=lambda change: placing.place(change, baseline),
    )
    return Comparison(taken, changes, drift)


def placed(
    baseline: Baseline, context: Path | None, observations: Observations, profile: Profile
) -> Baseline:
    """The baseline with the lines of the checkout that hold what changed since."""
    if context is None or baseline.lock is None:
        return baseline
    changes = compare.compare(baseline.lock, take(observations, profile, ()).lock)
    return replace(baseline, places=placing.places(context, changes))


def of_image(reference: str, observations: Observations, profile: Profile) -> Baseline:
    """What another image did in this job, as a baseline."""
    taken = take(observations, profile, rules.evaluate(observations, profile))
    origin = f"image {reference}"
    if taken.incomplete:
        return unusable(reference, " ".join(taken.incomplete))
    return Baseline(BaselineState.USED, origin, lock=taken.lock, kept=False)


def unusable(reference: str, why: str) -> Baseline:
    """The same of an image that could not be run whole."""
    told = f"The base image {reference} is nothing to compare with: {why}"
    return Baseline(BaselineState.UNREADABLE, f"image {reference}", why=told, kept=False)
