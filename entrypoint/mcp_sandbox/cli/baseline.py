"""``baseline``: the lock file of behaviour, written, or compared with what a server does now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from mcp_sandbox import pipeline
from mcp_sandbox.cli.options import scan_options
from mcp_sandbox.cli.printing import print_changes, printing
from mcp_sandbox.cli.scanning import ScanCommand, given, named, scanned
from mcp_sandbox.errors import BadInput, ExitCode, RunIncomplete, SandboxError
from mcp_sandbox.model import RiskClass
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import LOCK_FILE, BaselineState
from mcp_sandbox.report.escape import terminal
from mcp_sandbox.settings import load

NOT_WRITING = frozenset(
    {
        "base",
        "baseline",
        "baseline_image",
        "fail_below",
        "fail_on",
        "head",
        "trust",
        "verify_secrets",
    }
)
"""Options of a scan that say nothing of what a server presents and does."""


@click.group(short_help="Write the lock file of behaviour, or show what changed against it.")
def baseline() -> None:
    """Write down what a server presents and does, or show what changed since then."""


@baseline.command(
    cls=ScanCommand, params=[one for one in scan_options() if one.name not in NOT_WRITING]
)
@click.argument("context", required=False, metavar="[CONTEXT|SOURCE]")
@click.option(
    "--file",
    "file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help=f"The lock file (default: {LOCK_FILE} in CONTEXT, or here for an image).",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print what changed as JSON.")
@click.pass_context
def write(
    here: click.Context, /, file: Path | None, quiet: bool, as_json: bool, **options: Any
) -> int:
    """Run the server and write its lock file; show what differs from the one that was there.

    Nothing is written from a run that did not see everything. Scanners say nothing of what a lock
    file holds, so none runs unless --scanners names it.
    """
    values = {"scanners": ("none",), **given(here, options)}
    place = file or Path(values.get("context") or ".") / LOCK_FILE
    old = pipeline.old_lock(place)
    settings = load({**values, "baseline": str(place) if old.usable else "none"})
    outcome = scanned(settings, quiet=quiet)
    if outcome.failure is not None:
        raise outcome.failure
    if outcome.lock is None:
        kept = " The old one stays as it is." if old.there else ""
        raise RunIncomplete(
            f"{place} is not written: the run did not see everything.{kept}",
            detail="\n".join(outcome.unlocked),
        )
    changed = pipeline.write_lock(place, outcome.lock)
    if as_json or old.usable:
        print_changes(outcome.report, as_json=as_json)
    if not as_json:
        with printing() as console:
            if old.there and not old.usable:
                console.print(Text(f"The old one could not be read: {terminal(old.why)}"))
            told = "written" if changed else "up to date"
            console.print(Text(f"{terminal(str(place))}: {told}"))
    return ExitCode.PASS


@baseline.command(cls=ScanCommand, params=scan_options())
@click.argument("context", required=False, metavar="[CONTEXT|SOURCE]")
@click.option(
    "--report",
    "report_file",
    metavar="REPORT",
    type=click.Path(path_type=Path),
    help="Show the comparison of this report.json instead of running the server.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print what changed as JSON.")
@click.pass_context
def diff(
    here: click.Context, /, report_file: Path | None, quiet: bool, as_json: bool, **options: Any
) -> int:
    """Show what the server does otherwise than its lock file says, worst first.

    Exit code 1 when something of it is a regression that nobody has accepted.
    """
    outcome = (
        _run(here, options, quiet=quiet) if report_file is None else _saved(report_file, options)
    )
    if outcome.failure is not None:
        raise outcome.failure
    _refuse_uncompared(outcome.report)
    print_changes(outcome.report, as_json=as_json)
    drift = outcome.report.drift or ()
    if any(not one.suppressed and one.class_ is not RiskClass.NOTE for one in drift):
        return ExitCode.GATE_FAILED
    if outcome.unlocked:
        raise RunIncomplete(
            "The run did not see everything: there may be more.",
            detail="\n".join(outcome.unlocked),
        )
    return ExitCode.PASS


def _run(here: click.Context, options: dict[str, Any], *, quiet: bool) -> pipeline.Outcome:
    values = {"scanners": ("none",), **given(here, options)}
    return scanned(load(values), quiet=quiet)


def _saved(report_file: Path, options: dict[str, Any]) -> pipeline.Outcome:
    values = named(options)
    if values.get("context") or values.get("image"):
        raise BadInput("--report goes without a folder and without --image.")
    return pipeline.again(report_file, load({**values, "image": "saved"}), os.environ)


def _refuse_uncompared(report: Report) -> None:
    """Raise for a report that nothing was compared in: no change shown would look like none."""
    used = report.baseline is not None and report.baseline.state is BaselineState.USED
    if used and report.drift is not None:
        return
    why = report.baseline.why if report.baseline else report.error
    raise SandboxError(
        f"There is nothing to compare with. {why}".strip(),
        next_step="Write a lock file with `mcp-sandbox baseline write`, or name one with "
        "--baseline FILE.",
    )
