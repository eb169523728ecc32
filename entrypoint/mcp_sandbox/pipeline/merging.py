"""Many servers: a list of them, and their reports as one answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from mcp_sandbox.errors import BadInput
from mcp_sandbox.merging import lists, matrix, places, table
from mcp_sandbox.merging.files import Folder
from mcp_sandbox.merging.join import join
from mcp_sandbox.model.fleet import Entry, Merged


def read_list(path: Path) -> tuple[Entry, ...]:
    """The servers of a list. Raises ``BadInput``."""
    try:
        with path.open("rb") as file:
            data = file.read(lists.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(
            f"{path} cannot be read: {why}.", next_step="Name the list of servers, a TOML file."
        ) from error
    return lists.read(data, str(path))


def matrices(entries: Sequence[Entry]) -> tuple[bytes, ...]:
    """The list as matrices of a workflow, one line of JSON each. Raises ``BadInput``."""
    try:
        return tuple(matrix.dumped(part) for part in matrix.shards(entries))
    except ValueError as error:
        raise BadInput(f"{error}.", next_step="Shorten its settings.") from error


def merge(
    folders: Sequence[Path],
    out: Path,
    *,
    expected: Collection[Entry] = (),
    keep_paths: bool = False,
) -> Merged:
    """Join the reports in and below ``folders`` and write the merged files into ``out``.

    Raises ``BadInput`` for folders that cannot be used, ``ReportUnreadable`` when no report could
    be read, ``OutputFailed``.
    """
    found = places.find(folders)
    return join(found, Folder(out), expected=expected, keep_paths=keep_paths)


def totals(merged: Merged) -> bytes:
    """What ``merged.json`` says besides the servers, as JSON."""
    return json.dumps(table.totals(merged), indent=2, sort_keys=True).encode("ascii") + b"\n"


def files(merged: Merged) -> bytes:
    """The names of the SARIF files that one matrix takes, as a line of JSON; the worst first."""
    return json.dumps(merged.sarif[: matrix.MAX_JOBS]).encode("ascii") + b"\n"
