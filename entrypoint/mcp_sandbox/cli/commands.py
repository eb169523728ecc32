"""The commands: options to settings, progress to stderr, the verdict to stdout, an exit code."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from mcp_sandbox import __version__, pipeline
from mcp_sandbox.cli.baseline import baseline
from mcp_sandbox.cli.merging import fleet, merge
from mcp_sandbox.cli.options import JUDGING, scan_options
from mcp_sandbox.cli.printing import STYLE, print_answer, print_rule, printing
from mcp_sandbox.cli.scanning import ScanCommand, given, named, scanned
from mcp_sandbox.errors import BadInput, ExitCode
from mcp_sandbox.report.escape import terminal
from mcp_sandbox.settings import load


def run(argv: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code. Raises ``SandboxError``."""
    try:
        # Not ``cli.main``: with a closed pipe it would exit 1, which here says that a gate failed.
        with cli.make_context("mcp-sandbox", list(argv)) as context:
            return int(cli.invoke(context))
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.BAD_INPUT
    except click.ClickException as error:
        context_of = getattr(error, "ctx", None)
        path = context_of.command_path if context_of else "mcp-sandbox"
        raise BadInput(_sentence(error), next_step=f"See `{path} --help`.") from error


def _sentence(error: click.ClickException) -> str:
    """Click's message as one sentence."""
    text = " ".join(error.format_message().split())
    return text if text.endswith((".", "?", "!")) else text + "."


class _Group(click.Group):
    """Suggests a command for one that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcp-sandbox")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Tell what an MCP server does, what changed, and whether it may ship."""


cli.add_command(baseline)


@cli.command(cls=ScanCommand, params=scan_options())
@click.argument("context", required=False, metavar="[CONTEXT|SOURCE]")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
@click.pass_context
def scan(here: click.Context, /, quiet: bool, as_json: bool, **options: Any) -> int:
    """Build CONTEXT (or take --image), run it sealed, call every tool, judge.

    SOURCE: pypi:NAME==VERSION, npm:NAME@VERSION, mcpb:FILE or https://HOST/PATH@REF.
    ARGS after `--` go to the server itself.
    """
    settings = load(given(here, options))
    outcome = scanned(settings, quiet=quiet)
    print_answer(outcome.report, as_json=as_json, folder=settings.out)
    if outcome.failure is not None:
        raise outcome.failure
    return pipeline.EXIT_CODES[outcome.report.verdict]


@cli.command(params=[one for one in scan_options() if one.name in JUDGING])
@click.argument("report_file", metavar="REPORT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
def judge(report_file: Path, as_json: bool, **options: Any) -> int:
    """Judge the observations of a saved REPORT again; needs no engine.

    What no option says is as it was saved: profile, policy, and what it was compared with.
    """
    settings = load({"image": "saved", **named(options)})
    report = pipeline.again(report_file, settings, os.environ).report
    print_answer(report, as_json=as_json, folder=None)
    return pipeline.EXIT_CODES[report.verdict]


@cli.command()
@click.argument("rule_id", required=False, metavar="[ID]")
def rules(rule_id: str | None) -> int:
    """Explain rule ID: what it means, what proves it, how to fix it. Without ID: list all."""
    known = {info.id: info for info in pipeline.rule_infos()}
    if rule_id is None:
        table = Table("rule", "class", "what it reports", box=None)
        for info in known.values():
            table.add_row(info.id, Text(info.class_, style=STYLE[info.class_]), info.title)
        with printing() as console:
            console.print(table)
        return ExitCode.PASS
    if rule_id not in known:
        near = difflib.get_close_matches(rule_id, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(f"There is no rule {rule_id!r}.{hint}", next_step="See `mcp-sandbox rules`.")
    with printing() as console:
        print_rule(console, known[rule_id])
    return ExitCode.PASS


@cli.command()
def doctor() -> int:
    """Look for all that a scan needs: engine, image, tools; say what to do."""
    settings = load({"image": "none", "docker_host": os.environ.get("DOCKER_HOST")})
    helper = os.environ.get("MCP_SANDBOX_IMAGE", settings.helper_image)
    checks = pipeline.examine(settings.docker_host, helper, os.environ)
    with printing() as console:
        for check in checks:
            mark = Text("found    ", "green") if check.ok else Text("missing  ", "red")
            console.print(mark.append(f"{check.name}: {terminal(check.found)}", "default"))
            if check.advice:
                console.print(Text(f"         {terminal(check.advice)}"))
    return ExitCode.PASS if all(check.ok for check in checks) else ExitCode.INFRASTRUCTURE


@cli.command()
def clean() -> int:
    """Remove every container, volume and image that carries our label, and nothing else."""
    removed = pipeline.clean(os.environ.get("DOCKER_HOST"))
    with printing() as console:
        for line in removed:
            console.print(Text(terminal(line)))
        console.print(f"{len(removed)} removed")
    return ExitCode.PASS


cli.add_command(merge)
cli.add_command(fleet)
