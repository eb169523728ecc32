"""A list of servers as matrices of a workflow.

GitHub takes 256 jobs of a matrix, and a megabyte of a job's outputs, counted in UTF-16: a longer
list comes in shards. A value reaches a job through ``with:`` and ``env:``, never as part of a
script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from mcp_sandbox.model.fleet import Entry, SourceKind

MAX_JOBS = 256
MAX_BYTES = 400_000
"""Of one matrix; it is ASCII."""


def shards(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], ...]:
    """The list in parts that each make one matrix, in order.

    Raises ``ValueError`` for an entry that is too large for any.
    """
    made: list[list[Entry]] = [[]]
    room = MAX_BYTES
    for entry in entries:
        size = len(dumped([entry]))
        if size > MAX_BYTES:
            raise ValueError(f"{entry.name} has more than {MAX_BYTES} bytes of settings")
        if len(made[-1]) == MAX_JOBS or size > room:
            made.append([])
            room = MAX_BYTES
        made[-1].append(entry)
        room -= size
    return tuple(tuple(one) for one in made)


def dumped(entries: Iterable[Entry]) -> bytes:
    """The matrix on one line, for ``fromJSON``: every job has a name and one source."""
    include = [
        {
            "name": entry.name,
            **{kind.value: "" for kind in SourceKind},
            entry.kind.value: entry.source,
            **entry.inputs,
        }
        for entry in entries
    ]
    text = json.dumps({"include": include}, sort_keys=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("ascii")
