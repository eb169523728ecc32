"""The command line: options to settings, progress to stderr, the verdict to stdout, an exit code.

With its submodules the only code that reads the environment, prints, or exits.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
import traceback
import types
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcp_sandbox import __version__, pipeline
from mcp_sandbox.cli.options import JUDGING, scan_options
from mcp_sandbox.cli.printing import STYLE, print_answer, print_error, print_rule, stdout
from mcp_sandbox.cli.progress import LiveProgress, PlainProgress, QuietProgress
from mcp_sandbox.errors import BadInput, ExitCode, Interrupted, SandboxError
from mcp_sandbox.model import Verdict
from mcp_sandbox.report.escape import terminal
from mcp_sandbox.settings import load

EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.GATE_FAILED,
    Verdict.INCONCLUSIVE: ExitCode.INFRASTRUCTURE,
    Verdict.ERROR: ExitCode.INFRASTRUCTURE,
}

BUILD_ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "DOCKER_CONFIG")
"""What the build's own process may see of our environment."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcp-sandbox")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Tell what an MCP server does, what changed, and whether it may ship."""
    click.get_current_context().obj = debug


@cli.command(params=scan_options())
@click.argument("context", required=False, type=click.Path(path_type=Path))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
def scan(quiet: bool, as_json: bool, **options: Any) -> NoReturn:
    """Build CONTEXT (or take --image), run it sealed, call every tool, judge.

    ARGS after `--` go to the server itself.
    """
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    if "image" in given and "context" in given:
        # `scan --image REF -- ARG`: click cannot know that the first word is no folder.
        given["args"] = (str(given.pop("context")), *given.get("args", ()))
    given.setdefault("docker_host", os.environ.get("DOCKER_HOST"))
    settings = load(given)
    environment = {name: os.environ[name] for name in BUILD_ENVIRONMENT if name in os.environ}
    console = Console(stderr=True)
    if quiet:
        report = pipeline.scan(settings, QuietProgress(), environment)
    elif console.is_terminal:
        with LiveProgress(console) as live:
            report = pipeline.scan(settings, live, environment)
    else:
        report = pipeline.scan(settings, PlainProgress(console), environment)
    print_answer(report, as_json=as_json, folder=settings.out)
    sys.exit(EXIT_CODES[report.verdict])


@cli.command(params=[one for one in scan_options() if one.name in JUDGING])
@click.argument("report_file", metavar="REPORT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
def judge(
    report_file: Path,
    as_json: bool,
    profile: str | None,
    fail_below: str | None,
    fail_on: tuple[str, ...],
) -> NoReturn:
    """Judge the observations of a saved REPORT again; needs no engine."""
    given: dict[str, Any] = {"image": "saved", "profile": profile, "fail_below": fail_below}
    settings = load(
        {k: v for k, v in (given | {"fail_on": fail_on}).items() if v not in {None, ()}}
    )
    report = pipeline.rejudge(
        report_file,
        profile=settings.profile,
        fail_below=settings.fail_below,
        fail_on=settings.fail_on,
    )
    print_answer(report, as_json=as_json, folder=None)
    sys.exit(EXIT_CODES[report.verdict])


@cli.command()
@click.argument("rule_id", required=False, metavar="[ID]")
def rules(rule_id: str | None) -> None:
    """Explain rule ID: what it means, what proves it, how to fix it. Without ID: list all."""
    known = {info.id: info for info in pipeline.rule_infos()}
    console = stdout()
    if rule_id is None:
        table = Table("rule", "class", "what it reports", box=None)
        for info in known.values():
            table.add_row(info.id, Text(info.class_, style=STYLE[info.class_]), info.title)
        console.print(table)
        return
    if rule_id not in known:
        near = difflib.get_close_matches(rule_id, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(f"There is no rule {rule_id!r}.{hint}", next_step="`mcp-sandbox rules`.")
    print_rule(console, known[rule_id])


@cli.command()
def doctor() -> NoReturn:
    """Look for all that a scan needs: engine, image, tools; say what to do."""
    settings = load({"image": "none", "docker_host": os.environ.get("DOCKER_HOST")})
    helper = os.environ.get("MCP_SANDBOX_IMAGE", settings.helper_image)
    console = stdout()
    checks = pipeline.examine(settings.docker_host, helper)
    for check in checks:
        mark = Text("found    ", "green") if check.ok else Text("missing  ", "red")
        console.print(mark.append(f"{check.name}: {terminal(check.found)}", "default"))
        if check.advice:
            console.print(f"         {check.advice}", markup=False, highlight=False)
    sys.exit(ExitCode.PASS if all(check.ok for check in checks) else ExitCode.INFRASTRUCTURE)


@cli.command()
def clean() -> None:
    """Remove every container, volume and image that carries our label, and nothing else."""
    removed = pipeline.clean(os.environ.get("DOCKER_HOST"))
    for line in removed:
        click.echo(terminal(line))
    click.echo(f"{len(removed)} removed")


# --- the front door -------------------------------------------------------------------------------


def _fail(error: SandboxError) -> NoReturn:
    print_error(error)
    sys.exit(error.exit_code)


def _on_terminate(_number: int, _frame: types.FrameType | None) -> NoReturn:
    # From here on a further signal must not break off the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Interrupted("Interrupted.")


def main() -> NoReturn:
    """Run the command line; every failure becomes one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _on_terminate)
    signal.signal(signal.SIGINT, _on_terminate)
    debug = "--debug" in sys.argv[1:2]
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.BAD_INPUT)
    except SandboxError as error:
        if debug:
            traceback.print_exc()
        _fail(error)
    except Exception as error:  # noqa: BLE001 - the last line: never a traceback for a user
        if debug:
            traceback.print_exc()
        _fail(
            SandboxError(
                f"This is a fault of mcp-sandbox itself: {type(error).__name__}: {error}",
                next_step="Run it again as `mcp-sandbox --debug …` and report what it prints.",
            )
        )
    sys.exit(ExitCode.PASS)
