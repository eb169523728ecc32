"""Scan the public servers of ``benchmarks/servers.toml``, and write what came of it as a page.

``python benchmarks/servers run --state DIR [--jobs N] [--again] [SOURCE …]`` scans those that DIR
has no figures of (with ``--again``, those too), ``python benchmarks/servers page --state DIR``
prints docs/servers.md from what DIR holds. It can be ended and taken up again at any time. Needs an
engine, the project's image there, and the network for the builds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import listed
import page
import scanning
from listed import Listed
from measuring import Measured

LEAST_DISK = 12 * 2**30
"""Bytes that have to be free for another build."""


def main() -> None:
    """Run, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "page"))
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="parts of names; all if none")
    parser.add_argument("--state", type=Path, required=True, help="folder with the figures")
    parser.add_argument("--jobs", type=int, default=2, help="scans at once")
    parser.add_argument("--again", action="store_true", help="scan what has been scanned, too")
    options = parser.parse_intermixed_args()
    options.state.mkdir(parents=True, exist_ok=True)
    wanted = [
        one
        for one in listed.read()
        if not options.sources or any(part in one.source for part in options.sources)
    ]
    if options.what == "run":
        run(wanted, options.state, jobs=options.jobs, again=options.again)
    else:
        rows = [(one, found) for one in wanted if (found := scanning.kept(one, options.state))]
        print(page.markdown(rows, len(wanted)), end="")


def run(servers: Sequence[Listed], state: Path, *, jobs: int, again: bool) -> None:
    """Scan what is left, ``jobs`` at once."""
    left = [one for one in servers if again or scanning.kept(one, state) is None]

    def one(server: Listed) -> None:
        if shutil.disk_usage(state).free < LEAST_DISK:
            print(f"{server.source}: left out, the disk is nearly full", file=sys.stderr)
            return
        measured = scanning.scan(server, state)
        scanning.keep(measured, server, state)
        print(line(measured), file=sys.stderr, flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(one, server) for server in left]:
            future.result()


def line(one: Measured) -> str:
    """What is told on the way."""
    if not one.listed:
        return f"{one.source}: {one.reason} ({one.seconds:.0f} s): {one.detail[-200:]}"
    return (
        f"{one.source}: {one.transport}, {one.tools} tools, {one.accepted} accepted, "
        f"{one.outside} outside, {len(one.refused)} refused ({one.seconds:.0f} s)"
    )


if __name__ == "__main__":
    main()
