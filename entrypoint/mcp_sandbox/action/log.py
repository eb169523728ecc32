"""The step's log: groups, annotations, and strangers' text that is never a command.

All goes to one stream, so that the runner reads it in our order. A line with a stranger's text is
escaped, and besides stands between ``::stop-commands::`` and a token that nobody can guess.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from mcp_sandbox.model import Finding, RiskClass
from mcp_sandbox.report.escape import command_data, command_property, terminal, workflow_line

SHOWN_DOINGS = 100
"""Lines of a group; the report has every call."""

MAX_ANNOTATIONS = 9
"""GitHub shows ten a step of each level, and drops the rest without a word."""
MAX_MESSAGE = 1_000

LEVELS = {
    RiskClass.CRITICAL: "error",
    RiskClass.HIGH: "error",
    RiskClass.MEDIUM: "warning",
    RiskClass.NOTE: "notice",
}


class Log:
    """Writes to the runner. The only place of the action that does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._token = ""
        self._lock = threading.Lock()

    def lines(self, texts: Iterable[str]) -> None:
        """Lines that may hold a stranger's text; commands are stopped until the next of ours."""
        shown = [workflow_line(text) for text in texts]
        with self._lock:
            if shown and not self._token:
                self._token = secrets.token_hex(16)
                shown.insert(0, f"::stop-commands::{self._token}")
            self._write(shown)

    def command(self, name: str, text: str = "", **properties: str) -> None:
        """One workflow command."""
        pairs = ",".join(
            f"{key}={command_property(value)}" for key, value in properties.items() if value
        )
        with self._lock:
            self._resume()
            self._write([f"::{name}{' ' if pairs else ''}{pairs}::{command_data(text)}"])

    def close(self) -> None:
        """Let commands be commands again: the runner counts on it for what comes after us."""
        with self._lock:
            self._resume()

    def _resume(self) -> None:
        if self._token:
            self._write([f"::{self._token}::"])
        self._token = ""

    def annotate(self, failure: str, findings: Iterable[Finding]) -> None:
        """What broke the run off, if anything, then findings, the worst first; at most ten."""
        left = MAX_ANNOTATIONS
        if failure:
            self.command("error", failure[:MAX_MESSAGE], title="mcp-sandbox")
            left -= 1
        shown = [finding for finding in findings if not finding.suppressed]
        for finding in shown[:left]:
            place = finding.location
            self.command(
                LEVELS[finding.class_],
                f"{finding.subject}: {finding.message}"[:MAX_MESSAGE],
                file=place.path if place else "",
                line=str(place.line) if place else "",
                title=f"{finding.rule} ({finding.class_.value}, {finding.evidence.value})",
            )
        if len(shown) > left:
            self.command(
                "notice",
                f"{len(shown) - left} more findings are in the summary.",
                title="mcp-sandbox",
            )

    def _write(self, lines: list[str]) -> None:
        with suppress(OSError):  # a log that nobody reads is no reason to end a scan
            self._stream.writelines(f"{line}\n" for line in lines)
            self._stream.flush()


class Progress:
    """The pipeline's observer: a group a phase, in it what is called, each once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._start = time.monotonic()
        self._open = False
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def phase(self, name: str) -> None:
        """Begin a group."""
        with self._lock:
            self._close()
            self._said = set()
            self._open = True
            self._log.command(
                "group", f"[{time.monotonic() - self._start:6.1f} s] {terminal(name)}"
            )

    def doing(self, what: str) -> None:
        """Print what is new, so far as there is room."""
        with self._lock:
            if what in self._said or len(self._said) > SHOWN_DOINGS:
                return
            self._said.add(what)
            more = len(self._said) > SHOWN_DOINGS
            self._log.lines(["… more calls, all of them in the report" if more else what])

    def close(self) -> None:
        """End the last group."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._log.command("endgroup")
        self._open = False
