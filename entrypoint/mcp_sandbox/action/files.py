"""The runner's file commands: outputs, state and step summary.

Values go between delimiters that nobody can guess, so that a value cannot end itself and begin
another. ``GITHUB_ENV`` and ``GITHUB_PATH`` are never written.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.errors import OutputFailed
from mcp_sandbox.model import (
    RiskClass,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import LOCK_FILE, BaselineState
from mcp_sandbox.report import escape

MAX_SUMMARY = 900 * 1024
"""Bytes; GitHub drops a summary of more than 1 MiB as a whole."""

OUTPUTS: Mapping[str, str] = {
    "score": "0 to 100; empty when the run has none.",
    "verdict": "`pass`, `fail`, `inconclusive` or `error`.",
    "sarif": "Path of the SARIF file, relative to the workspace; empty when there is none to "
    "upload.",
    "report": "Path of report.json, relative to the workspace; empty when it was not written.",
    "critical": "Number of critical findings.",
    "high": "Number of high findings.",
    "medium": "Number of medium findings.",
    "note": "Number of notes.",
    "drift": "Number of regressions against the baseline that nobody has accepted; empty when "
    "nothing was compared.",
    "lock": "Path of the lock file of what was seen, relative to the workspace, to be committed "
    "where it is right; empty when the run did not see everything.",
}
"""The action's outputs."""


@dataclass(frozen=True)
class Files:
    """The files that the runner named; an empty path is a file that it did not name."""

    output: str
    state: str
    summary: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Files:
        """Those of this step."""
        names = ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
        return cls(*(environment.get(name, "") for name in names))

    def set_outputs(self, values: Mapping[str, str]) -> None:
        """Raises ``OutputFailed``."""
        _append(self.output, b"".join(_entry(name, value) for name, value in values.items()))

    def save_state(self, name: str, value: str) -> None:
        """Keep a value for the step's end (``STATE_<name>``). Raises ``OutputFailed``."""
        _append(self.state, _entry(name, value))

    def summarise(self, text: bytes) -> None:
        """Show Markdown on the run's page. Raises ``OutputFailed``."""
        _append(self.summary, text[:MAX_SUMMARY])


def _entry(name: str, value: str) -> bytes:
    end = f"end_{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n".encode("utf-8", "backslashreplace")


def _append(path: str, data: bytes) -> None:
    if not path:
        return
    try:
        with Path(path).open("ab") as file:
            file.write(data)
    except OSError as error:
        raise OutputFailed(
            f"The runner's file {path} could not be written: {error.strerror}.",
            next_step="Free some space on the runner and run it again.",
        ) from error


def outputs(report: Report | None, out: Path | None, workspace: Path | None) -> dict[str, str]:
    """The outputs of a run; of one without a report, too."""
    values = dict.fromkeys(OUTPUTS, "")
    values["verdict"] = (report.verdict if report else Verdict.ERROR).value
    if report is None:
        return values
    values["score"] = "" if report.score is None else f"{report.score:g}"
    for class_ in RiskClass:
        values[class_.value] = str(
            sum(one.class_ is class_ and not one.suppressed for one in report.findings)
        )
    if report.baseline is not None and report.baseline.state is BaselineState.USED:
        worse = [one for one in report.drift or () if one.class_ is not RiskClass.NOTE]
        values["drift"] = str(sum(not one.suppressed for one in worse))
    if out is not None and workspace is not None:
        files = (("sarif", "results.sarif"), ("report", "report.json"), ("lock", LOCK_FILE))
        for name, file in files:
            if (out / file).is_file():
                values[name] = os.path.relpath(out / file, workspace)
    return values


def failure_summary(what: str, next_step: str) -> bytes:
    """The summary of a run that has no other."""
    return (
        f"# mcp-sandbox: error\n\nThe run broke off. This is not a pass.\n\n"
        f"{escape.markdown(what)}\n\n{escape.markdown(next_step)}\n"
    ).encode()
