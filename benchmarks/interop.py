"""Our scanner on software that others wrote: the tables of ``docs/interop.md``, made anew.

``scripts/interop.sh [NAME...]`` runs it with all that it needs. Compiled servers and the suite are
kept in ``$XDG_CACHE_HOME/mcp-sandbox-action``. Prints Markdown, progress to stderr; exits 1 when
anything is not as expected.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from interop import conformance, servers  # noqa: E402
from support.front_door import QUICK, Door  # noqa: E402

SUITE = "conformance"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-sandbox-action"
PATIENCE = 600
"""Seconds for one scan; only a broken one takes so long."""


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def run_suite() -> int:
    """Every client scenario; prints a table and returns how many are not as expected."""
    suite = conformance.install(CACHE / "interop")
    expected = conformance.expected()
    scenarios = suite.scenarios()
    bad = sorted(set(scenarios) ^ set(expected))
    for scenario in bad:
        say(f"{scenario}: in one list and not in the other")

    with tempfile.TemporaryDirectory() as out:

        def run(number: int) -> str:
            scenario = scenarios[number]
            outcome = suite.run(scenario, Path(out, str(number)))
            wrong = expected[scenario].wrong(outcome)
            say(f"{':'.join(scenario)}: {wrong or 'as expected'}")
            return wrong

        known = [number for number, one in enumerate(scenarios) if one in expected]
        with ThreadPoolExecutor(2) as pool:
            wrong = list(pool.map(run, known))

    count: Counter[str] = Counter()
    for scenario in scenarios:
        count[expected[scenario].because if scenario in expected else "unknown"] += 1
    version, node = suite.versions()
    print(f"Suite {version}, Node {node}: {len(scenarios)} pairs of scenario and version.\n")
    print("| pairs | what comes of them |")
    print("| ---: | --- |")
    for because, number in count.items():
        print(f"| {number} | {'pass' if not because else 'not applicable: ' + because} |")
    return len(bad) + sum(map(bool, wrong))


def scan(image: str, helper: str, argument: str) -> tuple[dict[str, Any], float]:
    """The report of one scan, and the seconds that it took. Raises ``RuntimeError``."""
    with tempfile.TemporaryDirectory() as folder:
        door = Door(Path(folder), os.environ.get("DOCKER_HOST"), *QUICK, *servers.OPTIONS)
        begin = time.monotonic()
        try:
            words = ("--helper-image", helper, "--image", image, "--", argument)
            done = door.start("scan", *words).end(within=PATIENCE)
        finally:
            door.close()
        if done.code not in {0, 1}:
            raise RuntimeError(f"exit {done.code}: {done.err[-2000:]}")
        return done.report, time.monotonic() - begin


def run_servers(names: list[str], helper: str) -> int:
    """Build and scan servers one by one; prints a table, returns how many are not as expected."""
    bad = 0
    print("| server | SDK | transport | versions | tools called | above a note | s | |")
    print("| --- | --- | --- | --- | --- | --- | ---: | --- |")
    expected = servers.expected()
    for name in names:
        one, tag = expected[name], f"mcp-sandbox-interop-{name}:{secrets.token_hex(4)}"
        say(f"building {name}")
        servers.build(name, tag, CACHE / "interop")
        try:
            for transport in one.transports:
                say(f"scanning {name} over {transport}")
                report, seconds = scan(tag, helper, transport)
                wrong = servers.wrong(one, transport, report)
                bad += bool(wrong)
                say(f"{name} over {transport}: {wrong or 'as expected'}")
                tools = report["coverage"]["tools"].values()
                called = sum(tool["outcome"] == "called" for tool in tools)
                eras = {
                    session["transcript"]["version"]: None
                    for session in report["observations"]["sessions"]
                    if session["transcript"]["version"]
                }
                above = sorted(
                    {each["rule"] for each in report["findings"] if each["class"] != "note"}
                )
                print(
                    f"| {name} | {one.sdk} | {transport} | {', '.join(eras)} "
                    f"| {called} of {len(tools)} | {', '.join(above) or 'nothing'} "
                    f"| {seconds:.0f} | {'**not as expected**' if wrong else 'as expected'} |",
                    flush=True,
                )
        finally:
            remove = ["docker", "image", "rm", "--force", tag]
            subprocess.run(remove, check=True, stdout=subprocess.DEVNULL)
    return bad


def main() -> int:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--helper-image", help="built from the checkout unless it is given")
    options = parser.parse_args()
    everything = [SUITE, *servers.expected()]
    names = options.names or everything
    if unknown := set(names) - set(everything):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(everything)}")
    bad = run_suite() if SUITE in names else 0
    if wanted := [name for name in names if name != SUITE]:
        print()
        helper = options.helper_image
        if helper is None:
            helper = f"mcp-sandbox-interop:{secrets.token_hex(4)}"
            say("building our own image")
            subprocess.run([ROOT / "scripts" / "build-image.sh", helper], check=True, stdout=2)
        bad += run_servers(wanted, helper)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
