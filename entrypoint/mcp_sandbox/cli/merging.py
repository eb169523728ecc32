"""``merge`` and ``fleet``: many servers' reports as one answer, and a list as a matrix of jobs."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.text import Text

from mcp_sandbox import pipeline
from mcp_sandbox.cli.printing import STYLE, printing
from mcp_sandbox.errors import BadInput, ExitCode
from mcp_sandbox.model.fleet import Merged
from mcp_sandbox.pipeline import merging
from mcp_sandbox.report.escape import terminal

SHOWN = 20
"""Sentences of one kind that are printed; ``merged.json`` has all."""


@click.command()
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    default="mcp-sandbox-merged",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for merged.sarif, merged.json, merged.md, merged.html.",
)
@click.option(
    "--list",
    "list_file",
    metavar="LIST",
    type=click.Path(path_type=Path),
    help="List of the servers that a report has to be there of; see `mcp-sandbox fleet`.",
)
@click.option(
    "--keep-paths",
    is_flag=True,
    help="Every server is a folder of this repository: leave the paths of alerts as they are, "
    "instead of putting the server's name in front.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the totals as JSON.")
@click.option(
    "--files",
    "as_files",
    is_flag=True,
    help="Print the names of the SARIF files, at most 256, for `fromJSON` in a workflow.",
)
def merge(
    *,
    folders: tuple[Path, ...],
    out: Path,
    list_file: Path | None,
    keep_paths: bool,
    as_json: bool,
    as_files: bool,
) -> int:
    """Join the reports in and below each DIR into one SARIF, one table, one JSON."""
    if as_json and as_files:
        raise BadInput("--json and --files each print something else; give one of them.")
    expected = merging.read_list(list_file) if list_file else ()
    merged = merging.merge(folders, out, expected=expected, keep_paths=keep_paths)
    with printing() as console:
        if as_json:
            sys.stdout.buffer.write(merging.totals(merged))
        elif as_files:
            sys.stdout.buffer.write(merging.files(merged))
        else:
            for line in _lines(merged):
                console.print(line)
            console.print(Text(f"merged: {terminal(str(out))}"))
    return pipeline.EXIT_CODES[merged.verdict]


def _lines(merged: Merged) -> list[Text]:
    """The answer in words."""
    counts = ", ".join(f"{count} {name}" for name, count in merged.verdicts.items() if count)
    first = Text(merged.verdict.value.upper(), STYLE[merged.verdict])
    lines = [first.append(f"  {merged.servers} servers: {counts}", "default")]
    lines.append(Text(f"  {merged.results} alerts in {len(merged.sarif)} SARIF files"))
    if merged.drifted:
        lines.append(Text(f"  {merged.drifted} differ from their baseline"))
    if merged.problems:
        lines.append(Text(f"  {merged.problems} with files that are missing or cannot be read"))
    for sentences in (merged.incomplete, merged.left_out, merged.notes):
        lines += [Text(f"  {terminal(text)}") for text in sentences[:SHOWN]]
        if len(sentences) > SHOWN:
            lines.append(Text(f"  … {len(sentences) - SHOWN} more in merged.json"))
    return lines


@click.command()
@click.argument("list_file", metavar="LIST", type=click.Path(path_type=Path))
@click.option("--matrix", is_flag=True, help="Print the matrix of a workflow, for `fromJSON`.")
@click.option(
    "--shards", is_flag=True, help="Print the numbers of the matrices that the list comes to."
)
@click.option(
    "--shard", type=int, metavar="N", help="Which matrix, from 1, when the list makes several."
)
def fleet(list_file: Path, matrix: bool, shards: bool, shard: int | None) -> int:
    """Check a LIST of servers, and print it as a matrix of jobs."""
    entries = merging.read_list(list_file)
    made = merging.matrices(entries)
    if shard is not None and not 1 <= shard <= len(made):
        raise BadInput(
            f"--shard {shard}: the list makes {len(made)} matrices.",
            next_step="`mcp-sandbox fleet LIST --shards` prints their numbers.",
        )
    if matrix and shard is None and len(made) > 1:
        raise BadInput(
            f"{len(entries)} servers do not fit into one matrix of a workflow; they make "
            f"{len(made)}.",
            next_step="Name one with --shard N; docs/fleet.md shows a workflow for all.",
        )
    with printing() as console:
        if matrix:
            sys.stdout.buffer.write(made[(shard or 1) - 1] + b"\n")
        elif shards:
            sys.stdout.write(f"[{','.join(str(one + 1) for one in range(len(made)))}]\n")
        else:
            width = max(len(entry.name) for entry in entries)
            for entry in entries:
                source = terminal(entry.source)
                console.print(Text(f"{entry.name:<{width}}  {entry.kind.value:<7}  {source}"))
    return ExitCode.PASS
