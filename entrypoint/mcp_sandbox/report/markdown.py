"""``summary.md``: the verdict and what it rests on, readable in a minute.

The template prints values as they are and cannot forget to escape one: whatever it prints passes
``_finalize``, which makes a code span of every text that no filter of this module has marked as
safe. Numbers and the enums of the model are constants and stay plain.

Limits: ``MAX_ROWS`` rows per table, ``MAX_DETAILS`` findings in full, the given number of bytes in
all; what was cut is counted in the text, and ``report.json`` has it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import groupby, islice
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mcp_sandbox.model import (
    RISK_ORDER,
    Finding,
    Relaxation,
    RuleInfo,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import LOCK_FILE, BaselineState, Change
from mcp_sandbox.report import diff, diff_text, escape, started, taken
from mcp_sandbox.report.lines import reached_told, settings_told
from mcp_sandbox.report.order import live, suppressed

MAX_BYTES = 900 * 1024
"""GitHub drops a summary of more than 1 MiB as a whole."""
MAX_ROWS = 200
MAX_DETAILS = 25

HEADLINE = {
    Verdict.PASS: "Every condition of the gate held.",
    Verdict.FAIL: "At least one condition of the gate did not hold.",
    Verdict.INCONCLUSIVE: "Too little could be tested to say anything. This is not a pass.",
    Verdict.ERROR: "The run broke off. This is not a pass.",
}
RELAXED = {
    Relaxation.WRITABLE_ROOT: "It was given a writable root file system.",
    Relaxation.MORE_MEMORY: "It was given more memory than the limit asked for.",
    Relaxation.IMAGE_USER: "It ran as the image's own user.",
}
FIRST_LOCK = (
    f"What was seen now is in `{LOCK_FILE}`, beside this report (`OUT` stands for its folder). "
    "Once it is committed, every later run is compared with it:"
)
NEXT_LOCK = (
    f"If all of it is intended: what was seen now is in `{LOCK_FILE}`, beside this report (`OUT` "
    "stands for its folder), to be committed in place of the last one. It counts once it is on the "
    "base branch:"
)
COMMIT_MESSAGE = "Update the lock file of the MCP server"
LADDER = (
    "Evidence: E1 a planted secret crossed a boundary, E2 a computed side effect happened, E3 the "
    "kernel or the engine completed the operation, E4 it was tried and refused, E5 text matched."
)


class Safe(str):
    """Text that is Markdown already. Any operation on it gives a plain ``str``, not safe again."""

    __slots__ = ()


def render(
    report: Report, rules: Sequence[RuleInfo], *, limit: int = MAX_BYTES, locked: bool = True
) -> str:
    """The summary, of at most ``limit`` bytes in UTF-8.

    ``locked``: a lock file of what was seen stands beside it.

    Raises ``ValueError`` when not even a summary without any row fits.
    """
    rows, details = MAX_ROWS, MAX_DETAILS
    changes = diff.of(report)
    blocks = [(entry, diff_text.block(entry.change)) for entry in changes.entries[:MAX_ROWS]]
    while True:
        proposed = _proposed(report, changes) if locked else ""
        text = _render(
            report, rules, rows, details, changes=changes, blocks=blocks, proposed=proposed
        )
        if len(text.encode()) <= limit:
            return text
        if rows == 0:
            raise ValueError(f"a summary does not fit into {limit} bytes")
        rows, details = rows // 2, details // 2


_Blocks = list[tuple[diff.Entry, str]]
"""Changes, each with its before and after."""


def _render(
    report: Report,
    rules: Sequence[RuleInfo],
    rows: int,
    details: int,
    *,
    changes: diff.View,
    blocks: _Blocks,
    proposed: str,
) -> str:
    findings = live(report)
    counts = Counter(finding.class_ for finding in findings)
    return (
        _environment()
        .get_template("summary.md.j2")
        .render(
            report=report,
            policy_set=settings_told(report.policy),
            reached=_reached(report),
            started=started.told(report.observations) if report.observations else (),
            headline=HEADLINE[report.verdict],
            counts=[(name, counts[name]) for name in RISK_ORDER if counts[name]],
            findings=findings,
            suppressed=suppressed(report),
            rules={rule.id: rule for rule in rules},
            ladder=LADDER,
            relaxed=_relaxed(report),
            built=taken.build_command(report.observations),
            packed=taken.packed(report.observations),
            taken=taken.told(report.observations),
            commands=_commands(report),
            left_out=_left_out(report),
            last_words=_last_words(report),
            changes=changes,
            blocks=blocks,
            findings_shown=diff_text.MAX_FINDINGS,
            tally=diff_text.tally(changes),
            proposed=proposed,
            commit=_commit(report),
            rows=rows,
            details=details,
        )
    )


def _reached(report: Report) -> str:
    told = reached_told(report.observations.reached) if report.observations else ""
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _commands(report: Report) -> list[tuple[str, ...]]:
    """The different ways to start the server that findings name; nearly always one."""
    found = (finding.command for finding in live(report) if finding.reproducer)
    return list(dict.fromkeys(command for command in found if command))


def _relaxed(report: Report) -> list[str]:
    if report.observations is None:
        return []
    steps = {session.container.relaxation for session in report.observations.sessions}
    return [text for step, text in RELAXED.items() if step in steps]


def _left_out(report: Report) -> list[str]:
    said = [*report.coverage.missing, *report.limits]
    if report.observations is not None:
        said += report.observations.left_out
        said += report.observations.launch.notes
        build = report.observations.image.build
        said += [f"not sent to the build: {path}" for path in (build.left_out if build else ())]
        for session in report.observations.sessions:
            said += [f"{session.transcript.role}: {text}" for text in session.transcript.left_out]
    return list(dict.fromkeys(said))


def _proposed(report: Report, changes: diff.View) -> str:
    """What to do with the lock file that the run has written; empty when there is no need."""
    baseline = report.baseline
    if baseline is None or report.verdict is Verdict.ERROR or report.coverage.missing:
        return ""
    if baseline.state is BaselineState.MISSING or not baseline.kept:
        return FIRST_LOCK
    return NEXT_LOCK if changes.entries else ""


def _commit(report: Report) -> str:
    path = report.baseline.path if report.baseline else ""
    to = shlex.quote(path or LOCK_FILE)
    return f"cp OUT/{LOCK_FILE} {to}\ngit add {to}\ngit commit -m {COMMIT_MESSAGE!r}"


def _last_words(report: Report) -> str:
    """What the server said on its last start, when no start was answered."""
    attempts = report.observations.attempts if report.observations else ()
    if any(one.outcome == "answered" for one in attempts):
        return ""
    return next((one.stderr for one in reversed(attempts) if one.stderr), "")


# --- the template's environment -------------------------------------------------------------------


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mcp_sandbox.report"),
        # HTML escaping is the wrong one for Markdown; _finalize is what always runs instead.
        autoescape=False,  # noqa: S701
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "ours": Safe,
        "fence": lambda text: Safe(escape.fence(text)),
        "number": lambda value: Safe(f"{value:g}"),
        "top": _top,
        "place": _place,
        "shell": shlex.join,
        "asked": lambda question: Safe(question.said(escape.markdown)),
        "changed": _changed,
        "groupby_subject": _by_subject,
    }
    environment.filters.update(filters)
    return environment


@dataclass(frozen=True)
class _Part:
    """The rows of a table that are shown, and how many are not."""

    rows: list[Any]
    more: int


def _top(items: Any, count: int) -> _Part:
    rows = sorted(items.items()) if isinstance(items, dict) else items
    return _Part(list(islice(rows, count)), max(0, len(rows) - count))


def _changed(text: str, change: Change) -> Safe:
    """Before and after; the lines of a text are nobody's plus and minus."""
    return Safe(escape.fence(text, language="text" if diff.is_prose(change) else "diff"))


def _by_subject(blocks: _Blocks) -> list[tuple[str, _Blocks]]:
    grouped = groupby(blocks, lambda one: one[0].change.subject)
    return [(subject, list(entries)) for subject, entries in grouped]


def _finalize(value: Any) -> str:
    if isinstance(value, Safe):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool | int | float):
        return str(value)
    return escape.markdown(str(value))


def _place(finding: Finding) -> str:
    return f"{finding.location.path}:{finding.location.line}" if finding.location else ""
