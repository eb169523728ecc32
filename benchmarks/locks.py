"""How stable a lock is: runs of public servers against the lock of their own first run.

``python benchmarks/locks.py [--runs N] [--reports DIR] [SERVER …]``. Needs an engine, and the
project's image there. Every scan's ``report.json`` is kept in DIR as ``SERVER-NUMBER.json``, and
what is there already is not scanned again: so a change of the rules for what is left out of a lock
can be tried on the same runs. Notes of drift count too. Prints Markdown; asserts nothing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp_sandbox import rules
from mcp_sandbox.baseline import file
from mcp_sandbox.baseline.compare import compare
from mcp_sandbox.model import Finding, Observations, Profile
from mcp_sandbox.model.locked import BEHAVIOURS, Baseline, BaselineState, Lock, Taken
from mcp_sandbox.pipeline import comparing
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


def run_of(report: Path) -> tuple[Observations, Taken]:
    """What a kept report holds, and the lock of it."""
    seen = report_json.load(report.read_bytes()).observations
    if seen is None:
        sys.exit(f"{report} holds no observations")
    ours = rules.evaluate(seen, Profile.DEFAULT)
    return seen, comparing.take(seen, Profile.DEFAULT, ours)


def drift(lock: Lock, seen: Observations, one: Taken) -> tuple[Finding, ...]:
    """What is said of a run beside the lock of another."""
    baseline = Baseline(BaselineState.USED, "the first run", lock=lock)
    changes = compare(lock, one.lock)
    return rules.evaluate_drift(changes, one, baseline, seen, Profile.DEFAULT, place=lambda _: None)


def row(server: str, runs: int, reports: Path) -> tuple[str, int]:
    """Scan what was not scanned yet, and compare; a row of the table, and the findings in it."""
    found = []
    for number in range(runs + 1):
        report = reports / f"{server}-{number}.json"
        if not report.is_file():
            scan(server, report)
        print(f"  {server}: run {number} of {runs}", file=sys.stderr, flush=True)
        found.append(run_of(report))
    first, *others = (file.dump(one.lock) for _, one in found)
    lock = file.load(first, server)
    findings = [drift(lock, seen, one) for seen, one in found[1:]]
    for message in {one.message for told in findings for one in told}:
        print(f"  {server}: {message}", file=sys.stderr)
    for why in {why for _, one in found for why in one.incomplete}:
        print(f"  {server} is incomplete: {why}", file=sys.stderr)
    values = sum(
        len(getattr(done, part)) for done in lock.behaviour.values() for part in BEHAVIOURS
    )
    told = sum(map(len, findings))
    return (
        f"| {server} | {len(lock.items)} | {values} | {len(first)} | {runs} "
        f"| {sum(one == first for one in others)} | {told} |",
        told,
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
        "byte | drift findings |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    servers = options.servers or list(SERVERS)
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for server in servers:
            told, count = row(server, options.runs, options.reports or Path(folder))
            total += count
            print(told, flush=True)
    print(f"\n{total} drift findings in {options.runs * len(servers)} runs (goal: none)")


if __name__ == "__main__":
    main()
