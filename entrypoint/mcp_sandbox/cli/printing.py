"""Answers in words: the lines are the report's, the colours are ours."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mcp_sandbox import pipeline
from mcp_sandbox.errors import OutputFailed
from mcp_sandbox.model import RuleInfo
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import diff, diff_text
from mcp_sandbox.report.lines import answer
from mcp_sandbox.report.spans import Line, Tone

STYLE: dict[str, str] = {
    Tone.CRITICAL: "bold red",
    Tone.HIGH: "red",
    Tone.MEDIUM: "yellow",
    Tone.NOTE: "dim",
    Tone.PASS: "bold green",
    Tone.FAIL: "bold red",
    Tone.INCONCLUSIVE: "bold yellow",
    Tone.ERROR: "bold red",
    Tone.STRONG: "bold",
    Tone.REMOVED: "red",
    Tone.ADDED: "green",
}
"""Tone, class or verdict -> how rich prints it."""


class Paper(Console):
    """A console that fails where nobody reads: rich would exit 1, which says that a gate failed."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled; pass it on."""
        raise  # noqa: PLE0704 - the error that rich is handling


@contextmanager
def printing() -> Iterator[Console]:
    """Standard output; long lines are left to the terminal.

    Raises ``OutputFailed`` when it cannot be written: a closed pipe, a full disk.
    """
    try:
        yield Paper(soft_wrap=True, highlight=False)
        sys.stdout.flush()
    except OSError as error:
        raise OutputFailed(
            f"Standard output could not be written: {error.strerror}.",
            next_step="Send it to where there is room for it and somebody who reads.",
        ) from error


def print_answer(report: Report, *, as_json: bool, folder: Path | None) -> None:
    """The verdict first, then why, then the findings, worst first; or the whole report as JSON."""
    with printing() as console:
        if as_json:
            sys.stdout.buffer.write(pipeline.rendered(report))
        else:
            print_report(console, report, folder=folder)


def print_report(console: Console, report: Report, *, folder: Path | None) -> None:
    """The answer in words, for a person."""
    _print_lines(console, answer(report))
    if folder is not None:
        console.print(Text(f"report: {folder}"))


def print_changes(report: Report, *, as_json: bool) -> None:
    """What changed since the baseline, before and after; or as JSON (shape: ``report.diff``)."""
    with printing() as console:
        if as_json:
            sys.stdout.buffer.write(diff.dump(diff.of(report)))
        else:
            print_difference(console, report)


def print_difference(console: Console, report: Report) -> None:
    """What changed in words, for a person."""
    _print_lines(console, diff_text.lines(diff.of(report)))


def _print_lines(console: Console, lines: Iterable[Line]) -> None:
    for spans in lines:
        text = Text()
        for span in spans:
            text.append(span.text, STYLE.get(span.tone, "default"))
        console.print(text)


def print_rule(console: Console, info: RuleInfo) -> None:
    """All that a rule says of itself."""
    console.print(Text(f"{info.id}: {info.title}", "bold"))
    article = f", under --profile seed {info.seed_class.value}" if info.seed_class else ""
    for name, text in (
        ("class", f"{info.class_.value}{article}; evidence {info.evidence.value}"),
        ("what", info.what),
        ("proof", info.proof),
        ("quiet", info.quiet_when),
        ("fix", info.fix),
    ):
        console.print(Text(f"{name:>6}  ", "dim").append(text, "default"))
