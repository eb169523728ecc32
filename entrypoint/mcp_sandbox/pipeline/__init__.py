"""The order of the steps: the only module that knows it.

``scan`` does the whole job, ``judge`` decides again on a saved report, ``examine`` and ``clean``
look after the engine. Whatever breaks a scan off, what was learned until then is written first.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_sandbox import __version__
from mcp_sandbox.baseline import file as lock_file
from mcp_sandbox.errors import (
    ExitCode,
    Fault,
    Interrupted,
    OutputFailed,
    SandboxError,
)
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import LOCK_FILE, Baseline, Taken
from mcp_sandbox.pipeline import comparing, sourcing
from mcp_sandbox.pipeline.judging import Judged, judge, rejudge, rendered, rule_infos, unfinished
from mcp_sandbox.pipeline.learning import Clock, Learned, Learning, base_image, have_base_image
from mcp_sandbox.pipeline.locking import old_lock, write_lock
from mcp_sandbox.pipeline.results import Results
from mcp_sandbox.pipeline.running import Observer, Unobserved
from mcp_sandbox.pipeline.scanning import PROXIES
from mcp_sandbox.pipeline.starting import unanswered
from mcp_sandbox.pipeline.upkeep import Check, clean, examine, image_of
from mcp_sandbox.pipeline.writing import write
from mcp_sandbox.settings import Settings

__all__ = [
    "EXIT_CODES",
    "Check",
    "Observer",
    "Outcome",
    "Unobserved",
    "again",
    "child_environment",
    "clean",
    "examine",
    "image_of",
    "old_lock",
    "rendered",
    "rule_infos",
    "scan",
    "write_lock",
]

EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.GATE_FAILED,
    Verdict.INCONCLUSIVE: ExitCode.INFRASTRUCTURE,
    Verdict.ERROR: ExitCode.INFRASTRUCTURE,
}
"""How a front door ends, by the verdict."""

CHILD_ENVIRONMENT = (
    *("PATH", "HOME", "LANG", "TZ", "DOCKER_CONFIG", "GIT_SSL_CAINFO"),
    *PROXIES,
)
"""What the processes of build and scanners may see of ours: no token, no input, nothing of
GitHub's."""


@dataclass(frozen=True)
class Outcome:
    """What a scan brought."""

    report: Report
    failure: SandboxError | None = None
    """What broke the run off, or kept the server from ever answering."""
    lock: bytes | None = None
    """What may be committed as the lock file; ``None`` when the run is not complete."""
    unlocked: tuple[str, ...] = ()
    """Why it may not, one sentence each."""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of a front door's environment ``scan`` may be given."""
    return {name: environment[name] for name in CHILD_ENVIRONMENT if name in environment}


def scan(
    settings: Settings, observer: Observer, environment: Mapping[str, str], *, run_id: str = ""
) -> Outcome:
    """Do the whole job and write its results below ``settings.out``.

    ``environment``: what the build's own process may see of ours. ``run_id``: 12 hexadecimal
    digits, for who wants to know beforehand what ``clean`` is to look for.

    A run that broke off has a failure, and a report (written too) of what was learned until then.
    Raises ``SandboxError`` when the output folder itself is the trouble.
    """
    run_id = run_id or secrets.token_hex(6)
    clock = Clock(observer)
    comparing.keep_apart(settings)
    results = Results(settings.out)
    learned = Learned(versions={"mcp-sandbox": __version__})
    # Stands there until the end, so that not even a kill leaves a folder that looks clean.
    write(results, unfinished(None, Interrupted("The run did not come to its end.")), settings)
    try:
        clock.phase("baseline and policy")
        counts = comparing.basis(settings, environment, comparing.today())
        settings = counts.settings
        if settings.baseline_image is not None:
            have_base_image(settings, run_id)
        with sourcing.brought(settings, clock.phase, environment) as there:
            beside = counts.policy.sidecars
            learning = Learning(there, clock, results, learned, run_id, environment)
            replace(learning, sidecars=beside).learn()
            mute = unanswered(learned.held)
            baseline = counts.baseline
            if settings.baseline_image is not None and mute is None:
                baseline = base_image(
                    there, clock, run_id, environment, learned.launch, sidecars=beside
                )
            clock.phase("judge")
            judged = _judged(there, learned, counts, baseline)
            report = replace(judged.report, versions=learned.versions, run=clock.facts(run_id))
            answered = mute is None
            locked = answered and not judged.taken.incomplete
            write(results, report, there, answered=answered, locked=locked)
            return _proposed(results, report, judged.taken, mute)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told, with what was learned
        broken = _failure(error)
    report = unfinished(learned.observations(settings), broken, settings.profile)
    report = replace(report, seed=settings.seed, versions=learned.versions, run=clock.facts(run_id))
    try:
        write(results, report, settings)
    except OutputFailed as unwritten:
        broken.detail = "\n".join(part for part in (broken.detail, unwritten.what) if part)
    return Outcome(report, broken)


def _judged(
    settings: Settings, learned: Learned, counts: comparing.Basis, baseline: Baseline
) -> Judged:
    observations = learned.observations(settings)
    assert observations is not None  # noqa: S101 - learn raises when there is no image
    today = comparing.today()
    baseline = comparing.placed(baseline, settings.context, observations, settings.profile)
    return judge(observations, settings, today=today, baseline=baseline, policy=counts.policy)


def _proposed(results: Results, report: Report, taken: Taken, mute: SandboxError | None) -> Outcome:
    """Write what may be committed as the lock file, or keep why it may not."""
    reasons = taken.incomplete or ((mute.what,) if mute else ())
    if reasons:
        return Outcome(report, mute, unlocked=reasons)
    lock = lock_file.dump(taken.lock)
    results.write(LOCK_FILE, lock)
    return Outcome(report, mute, lock)


def again(path: Path, settings: Settings, environment: Mapping[str, str]) -> Outcome:
    """Judge a saved report again, by today's date; see ``rejudge``."""
    judged = rejudge(path, settings, environment, comparing.today())
    return Outcome(judged.report, unlocked=judged.taken.incomplete)


def _failure(error: BaseException) -> SandboxError:
    if isinstance(error, SandboxError):
        return error
    made = Interrupted("Interrupted.") if isinstance(error, KeyboardInterrupt) else Fault(error)
    made.__cause__ = error
    return made
