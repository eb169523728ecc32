"""``merged.md``, ``merged.html`` and ``merged.json``: one row per server, the worst first.

All are written row by row. ``merged.json`` has every server; the table holds as many as fit into a
summary of a workflow, and says how many do not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from typing import IO, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mcp_sandbox.model import Verdict
from mcp_sandbox.model.fleet import Merged, Server
from mcp_sandbox.report import escape

SCHEMA_VERSION = 1
"""Of ``merged.json``."""
MAX_BYTES = 900 * 1024
"""GitHub drops a summary of more than 1 MiB as a whole."""
MAX_ROWS = 20_000
"""Servers on the page."""
MAX_CHANGED = 50
"""Servers whose drift the table tells in words."""
MAX_SAID = 100
"""Sentences of one kind."""
ROOM = 200_000
"""Bytes kept free below the table for what has changed."""

HEADLINE = {
    Verdict.PASS: "Every server passed its gate.",
    Verdict.FAIL: "At least one server failed its gate.",
    Verdict.INCONCLUSIVE: "At least one server could not be tested well enough. This is no pass.",
    Verdict.ERROR: "At least one report is missing, unreadable or of a run that broke off. This is "
    "no pass.",
}
COLUMNS = (
    *("Server", "Verdict", "Score", "Critical", "High", "Medium", "Drift", "Tools called"),
    *("Worst", "What is wrong or missing"),
)


def write_json(file: IO[bytes], merged: Merged, lines: Iterable[bytes]) -> None:
    """One object; its last key is ``servers``, with one server a line, the worst first."""
    head = json.dumps(totals(merged), indent=2, sort_keys=True, allow_nan=False)
    file.write(head.removesuffix("\n}").encode("ascii") + b',\n  "servers": [')
    separator = b"\n"
    for line in lines:
        file.write(separator + b"    " + line)
        separator = b",\n"
    file.write(b"\n  ]\n}\n")


def totals(merged: Merged) -> dict[str, Any]:
    """All but the servers, as ``merged.json`` has it."""
    counted = {**asdict(merged), "schema_version": SCHEMA_VERSION}
    counted["count"] = counted.pop("servers")
    return counted


# --- Markdown -------------------------------------------------------------------------------------


def write_markdown(
    file: IO[bytes], merged: Merged, servers: Iterable[Server], *, limit: int = MAX_BYTES
) -> None:
    """The table, of at most ``limit`` bytes, and what has changed of the worst servers."""
    room = limit - ROOM
    changed: list[Server] = []
    shown = 0
    full = False
    head = "\n".join([*_head(merged), *_heading(), ""]).encode()
    file.write(head)
    room -= len(head)
    for server in servers:
        if server.changed and len(changed) < MAX_CHANGED:
            changed.append(server)
        if full:
            continue
        row = _row(server).encode()
        full = len(row) > room
        if not full:
            file.write(row)
            room -= len(row)
            shown += 1
    if shown < merged.servers:
        file.write(f"\n… and {merged.servers - shown} more servers in `merged.json`.\n".encode())
    left = ROOM // 2
    for number, text in enumerate(_changes(changed)):
        left -= len(text.encode())
        if left < 0:
            file.write(f"\n… and {len(changed) - number} more servers with drift.\n".encode())
            break
        file.write(text.encode())


def _head(merged: Merged) -> Iterator[str]:
    yield f"# {merged.servers} servers: {merged.verdict.value.upper()}"
    yield ""
    counts = [f"{count} {name}" for name, count in merged.verdicts.items() if count]
    yield f"{HEADLINE[merged.verdict]} {', '.join(counts)}."
    if merged.drifted:
        yield f"{merged.drifted} differ from their baseline by more than a note."
    yield ""
    for title, sentences in (
        ("Not everything was looked at", merged.incomplete),
        ("Left out of the alerts", merged.left_out),
        ("Notes", merged.notes),
    ):
        if sentences:
            yield f"**{title}:**"
            yield ""
            yield from (f"- {escape.markdown(text)}" for text in sentences[:MAX_SAID])
            if len(sentences) > MAX_SAID:
                yield f"- … and {len(sentences) - MAX_SAID} more in `merged.json`"
            yield ""


def _heading() -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"


def verdict(server: Server) -> str:
    """In a word."""
    return "unreadable" if server.verdict is None else server.verdict.value


def wrong(server: Server) -> str:
    """What is wrong with it, or missing, in one line."""
    said = [server.problem, server.error, *server.missing]
    return " ".join(text for text in said if text)


def _row(server: Server) -> str:
    cells = [
        escape.markdown(server.name),
        f"**{verdict(server)}**",
        "" if server.score is None else f"{server.score:g}",
        *(_number(server, name) for name in ("critical", "high", "medium")),
        "" if server.drift is None else str(server.drift),
        f"{server.called} of {server.tools}" if server.verdict else "",
        escape.markdown(server.worst[0] if server.worst else "", limit=200),
        escape.markdown(wrong(server), limit=400),
    ]
    return f"| {' | '.join(cells)} |\n"


def _number(server: Server, name: str) -> str:
    return str(server.classes.get(name, 0)) if server.verdict else ""


def _changes(servers: list[Server]) -> Iterator[str]:
    for number, server in enumerate(servers):
        title = "\n## What changed\n" if number == 0 else ""
        lines = "".join(f"- {escape.markdown(text, limit=300)}\n" for text in server.changed)
        yield f"{title}\n{escape.markdown(server.name)}:\n\n{lines}"


# --- the page -------------------------------------------------------------------------------------


def write_page(file: IO[bytes], merged: Merged, servers: Iterable[Server]) -> None:
    """One HTML page without a script, a link or anything that is loaded."""
    template = _environment().get_template("merged.html.j2")
    stream = template.generate(
        merged=merged,
        headline=HEADLINE[merged.verdict],
        columns=COLUMNS,
        servers=(one for one, _ in zip(servers, range(MAX_ROWS), strict=False)),
        more=max(0, merged.servers - MAX_ROWS),
        said=(
            ("Not everything was looked at", merged.incomplete),
            ("Left out of the alerts", merged.left_out),
            ("Notes", merged.notes),
        ),
        most=MAX_SAID,
        style=_style(),
        style_hash=base64.b64encode(sha256(_style().encode()).digest()).decode(),
    )
    for piece in stream:
        file.write(piece.encode("utf-8", "backslashreplace"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mcp_sandbox.merging"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"verdict": verdict, "wrong": wrong}
    return environment


@cache
def _style() -> str:
    loader = _environment().loader
    assert loader is not None  # noqa: S101 - for the type checker
    return loader.get_source(_environment(), "merged.css.j2")[0]


def _finalize(value: Any) -> Any:
    """Text of a stranger's with what a reader cannot see written out; autoescape does the rest."""
    if type(value) is str and value != _style():
        return escape.terminal(value, limit=escape.INLINE_LIMIT)
    return value
