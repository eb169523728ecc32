"""Scan the public servers of ``benchmarks/servers.toml``, and write what came of it as a page.

``python benchmarks/servers run --state DIR [--jobs N] [--again] [SOURCE …]`` scans those that DIR
has no figures of; with ``--again``, those that did not start, too. It can be ended and taken up
again at any time. ``python benchmarks/servers page --state DIR`` prints docs/servers.md from the
reports that DIR holds. Needs an engine, the project's image there, and the network for the builds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import listed
import page
import scanning
from listed import Listed
from measuring import Measured

LEAST_DISK = 12 * 2**30
"""Bytes that have to be free for another build."""
MOST_LOAD = 4.0
"""Load of the machine above which one scan at a time is enough."""
LOOKING = 5.0
"""Seconds until it is looked at again."""


def main() -> None:
    """Run, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "page"))
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="parts of names; all if none")
    parser.add_argument("--state", type=Path, required=True, help="folder with the figures")
    parser.add_argument("--jobs", type=int, default=2, help="scans at once")
    parser.add_argument("--again", action="store_true", help="those that did not start, too")
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
        measured = [(one, scanning.remeasured(one, options.state)) for one in wanted]
        rows = [(one, found) for one, found in measured if found is not None]
        print(page.markdown(rows, len(wanted)), end="")


def run(servers: Sequence[Listed], state: Path, *, jobs: int, again: bool) -> None:
    """Scan what is left, ``jobs`` at once while the machine has little else to do."""
    left = [one for one in servers if _is_left(one, state, again=again)]
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        while left or running:
            free = len(running) < jobs and (not running or os.getloadavg()[0] < MOST_LOAD)
            if left and free:
                running.add(pool.submit(one, left.pop(0), state))
            done, running = wait(running, LOOKING, FIRST_COMPLETED)
            for future in done:
                future.result()


def _is_left(server: Listed, state: Path, *, again: bool) -> bool:
    found = scanning.kept(server, state)
    return found is None or (again and not found.listed)


def one(server: Listed, state: Path) -> None:
    """Scan it, and keep its figures."""
    if shutil.disk_usage(state).free < LEAST_DISK:
        print(f"{server.source}: left out, the disk is nearly full", file=sys.stderr)
        return
    try:
        measured = scanning.scan(server, state)
    except scanning.Broken as error:
        print(f"{server.source}: the scanner did not work: {error}", file=sys.stderr, flush=True)
        return
    scanning.keep(measured, server, state)
    print(line(measured), file=sys.stderr, flush=True)


def line(measured: Measured) -> str:
    """What is told on the way."""
    took = f"({measured.seconds:.0f} s)"
    if not measured.listed:
        return f"{measured.source}: {measured.reason} {took}: {measured.detail[-200:]}"
    return (
        f"{measured.source}: {measured.transport}, {measured.tools} tools, "
        f"{measured.accepted} accepted, {measured.outside} outside, "
        f"{len(measured.refused)} refused {took}"
    )


if __name__ == "__main__":
    main()
