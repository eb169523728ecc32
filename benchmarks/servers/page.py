"""``docs/servers.md``: the figures of the public servers as Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from listed import Listed
from measuring import Measured
from scanning import CALLS, LIMIT

MOST = 6
"""Tools named of one server."""

Row = tuple[Listed, Measured]

HEAD = f"""\
# Public servers: do they start, do their tools take a valid input?

The servers of `benchmarks/servers.toml`, which says how they were chosen, each scanned from its
package by `mcp-sandbox scan SOURCE` with default options but for `--scanners none`,
`--max-calls {CALLS}` and a `--timeout` (below). A scan that takes more than {LIMIT} seconds, the
image's build included, is ended. This page is made by

    python benchmarks/servers run --state DIR
    python benchmarks/servers page --state DIR >docs/servers.md

- **lists**: the server answered, and its list of tools arrived whole.
- **called**: tools that were sent at least one input that their schema calls valid.
- **accepted**: those that answered one of these with a result that is not marked as an error
  (`isError`). A tool that tells of a failure in an ordinary result counts here.
- **outside**: the others whose valid input made them open a TCP connection (there is no network,
  and no database on it) to where no call that went well connects too, or which say that a network
  or a real key is missing. They got past their own checks of the input, and no further.
- **refused**: the others. Their input may be valid and yet of no use: a record that is not there.
- **first answer**: from the opening message until the server's answer, in the container that the
  test is held in, on two cores that others use too.
"""


def markdown(rows: Sequence[Row], wanted: int) -> str:
    """The page. ``wanted``: how many servers the list has."""
    counted = [row for row in rows if not row[0].older]
    older = [row for row in rows if row[0].older]
    kinds = list(dict.fromkeys(server.kind for server, _ in counted))
    parts = [
        HEAD,
        f"{len(rows)} of {wanted} have been run, {_commits(rows)}, with a `--timeout` of "
        f"{_timeouts(rows)} seconds. The goals are 90 % that list "
        "their tools, and 85 % of called tools that accept (*both*, below).\n",
        "## Shares\n",
        _shares([("all", counted), *((kind, _of(counted, kind)) for kind in kinds)]),
        _times(counted),
        "\n## Server by server\n",
        _servers(counted),
        "\n## Why not\n",
        _reasons(counted),
        "\n## Tools that refused\n",
        _refused(counted),
        "\n## Older versions\n",
        "Known to be vulnerable, or the version that corrected it. They do not count above. Their\n"
        "dependencies are what is newest today, unless they say otherwise.\n",
        _servers(older) if older else "Not run yet.\n",
    ]
    return "\n".join(parts) + "\n"


def _of(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row[0].kind == kind]


def _commits(rows: Sequence[Row]) -> str:
    told = sorted({measured.commit for _, measured in rows})
    return f"at {'commit' if len(told) == 1 else 'commits'} {', '.join(told)}"


def _timeouts(rows: Sequence[Row]) -> str:
    return " or ".join(str(one) for one in sorted({measured.probing for _, measured in rows}))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _shares(groups: Iterable[tuple[str, Sequence[Row]]]) -> str:
    lines = []
    for name, rows in groups:
        found = [measured for _, measured in rows]
        works = sum(one.listed for one in found)
        called = sum(one.called for one in found)
        accepted, outside = sum(one.accepted for one in found), sum(one.outside for one in found)
        lines.append(
            (
                *(name, len(found), f"{works} ({_share(works, len(found))})"),
                *(sum(one.tools for one in found), called),
                f"{accepted} ({_share(accepted, called)})",
                f"{outside} ({_share(outside, called)})",
                _share(accepted + outside, called),
            )
        )
    head = ("kind", "servers", "list", "tools", "called", "accepted", "outside", "both")
    return _table(head, lines)


def _times(rows: Sequence[Row]) -> str:
    times = sorted(one.first_answer_ms / 1000 for _, one in rows if one.listed)
    if not times[1:]:
        return ""
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return (
        f"Time to the first answer: median {statistics.median(times):.1f} s, "
        f"95th percentile {cuts[18]:.1f} s, longest {times[-1]:.1f} s.\n"
    )


def _servers(rows: Sequence[Row]) -> str:
    lines = [
        (
            f"`{server.source.partition(':')[2]}`",
            server.kind,
            one.transport if one.listed else f"**no**: {one.reason}",
            f"{one.first_answer_ms / 1000:.1f}" if one.listed else "",
            *((one.tools, one.called, one.accepted, one.outside) if one.listed else [""] * 4),
            f"{one.score:g}" if one.score is not None else one.verdict or "",
            ", ".join(f"`{_plain(name)}`" for name in one.invented),
        )
        for server, one in rows
    ]
    head = (
        *("server", "kind", "lists over", "first answer, s", "tools", "called", "accepted"),
        *("outside", "score", "made up for it"),
    )
    return _table(head, lines)


def _reasons(rows: Sequence[Row]) -> str:
    silent = [(server, one) for server, one in rows if not one.listed]
    if not silent:
        return "All of them list their tools.\n"
    counts = Counter(one.reason for _, one in silent)
    words = [
        (f"`{server.source.partition(':')[2]}`", one.reason, f"`{_plain(one.detail[-200:])}`")
        for server, one in silent
    ]
    return (
        _table(("reason", "servers"), counts.most_common())
        + "\n"
        + _table(("server", "reason", "its last words"), words)
    )


def _refused(rows: Sequence[Row]) -> str:
    lines = [
        (
            f"`{server.source.partition(':')[2]}`",
            len(one.refused),
            "; ".join(f"`{_plain(name)}`" for name in list(one.refused)[:MOST]),
        )
        for server, one in rows
        if one.refused
    ]
    return _table(("server", "tools", f"the first {MOST}"), lines) if lines else "None.\n"


def _plain(text: str) -> str:
    """Text of a server, as it can stand between backticks in a cell."""
    kept = (one if one.isprintable() and one not in "|`<>" else " " for one in text)
    return " ".join("".join(kept).split())
