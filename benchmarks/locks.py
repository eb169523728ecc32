"""How stable a lock is: runs of public servers against the lock of their own first run.

``python benchmarks/locks.py [--runs N] [--reports DIR] [SERVER …]``. Needs an engine, and the
project's image there. Every scan's ``report.json`` is kept in DIR as ``SERVER-NUMBER.json``, and
what is there already is not scanned again: so a change of the rules for what is left out of a lock
can be tried on the same runs. A change counts wherever a lock says something else than the first
one, be it news or a regression: without a change there is no finding. Prints Markdown; asserts
nothing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp_sandbox.baseline import file, taking
from mcp_sandbox.baseline.compare import compare
from mcp_sandbox.model import Network, Profile, Tls
from mcp_sandbox.model.locked import Taken
from mcp_sandbox.report import json as report_json

HERE = Path(__file__).parent
TESTED = HERE.parent / "tests" / "data" / "public-servers"
SERVERS = {
    **dict.fromkeys(("fastmcp", "fetch", "git", "filesystem"), TESTED),
    **dict.fromkeys(("time", "sqlite"), HERE / "public"),
}
"""Target of a Dockerfile -> its folder."""
RUNS = 10


def scan(server: str, report: Path) -> None:
    """Build the server and scan it once; its report is kept."""
    tag = f"mcp-sandbox-benchmark:{server}"
    build = ["docker", "buildx", "build", "--load", "--quiet", "--target", server, "--tag", tag]
    subprocess.run([*build, SERVERS[server]], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mcp_sandbox", "scan", "--image", tag, "--quiet"),
                *("--scanners", "none", "--baseline", "none", "--out", out),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode not in {0, 1}:
            sys.exit(f"{server}: {done.stdout}{done.stderr}")
        report.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(out) / "report.json", report)


def taken(report: Path) -> Taken:
    """The lock of a kept report."""
    saved = report_json.load(report.read_bytes())
    if saved.observations is None:
        sys.exit(f"{report} holds no observations")
    return taking.take(
        saved.observations,
        scanner="benchmark",
        profile=Profile.DEFAULT,
        score=saved.score,
        network=Network.SINK,
        tls=Tls.OBSERVE,
    )


def row(server: str, runs: int, reports: Path) -> str:
    """Scan what was not scanned yet, and compare."""
    locks = []
    for number in range(runs + 1):
        report = reports / f"{server}-{number}.json"
        if not report.is_file():
            scan(server, report)
        locks.append(taken(report))
    first, *others = (file.dump(one.lock) for one in locks)
    changes = [compare(locks[0].lock, one.lock) for one in locks[1:]]
    print(f"  {server}: run {number} of {runs}", file=sys.stderr)
    for told in {
        (one.subject, one.part.value, one.before, one.after) for c in changes for one in c
    }:
        print(f"  {server}: {told}", file=sys.stderr)
    for why in {why for one in locks for why in one.incomplete}:
        print(f"  {server} is incomplete: {why}", file=sys.stderr)
    values = sum(
        len(getattr(done, part))
        for done in locks[0].lock.behaviour.values()
        for part in ("endpoints", "programs", "writes", "reads")
    )
    return (
        f"| {server} | {len(locks[0].lock.items)} | {values} | {len(first)} | {runs} "
        f"| {sum(one == first for one in others)} | {sum(map(bool, changes))} "
        f"| {sum(map(len, changes))} |"
    )


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=", ".join(SERVERS))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--reports", type=Path)
    options = parser.parse_args()
    if unknown := set(options.servers) - SERVERS.keys():
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    print(
        "| server | items | values of behaviour | bytes | runs against the first | equal to the "
        "byte | runs with a change | changes |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for server in options.servers or SERVERS:
            print(row(server, options.runs, options.reports or Path(folder)), flush=True)


if __name__ == "__main__":
    main()
