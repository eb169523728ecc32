"""The servers under ``tests/servers``: what they are, and how many are run at once.

``run`` hands jobs to one helper process (``support/harness.py``), which forks a child per job: the
package is imported once, every job's memory is its own, and whatever a server leaves behind is
ended with the job that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
SERVERS = TESTS / "servers"
HOSTILE = SERVERS / "hostile" / "server.py"
GOOD = SERVERS / "good" / "server.py"
STATELESS = SERVERS / "stateless" / "server.py"

Job = dict[str, Any]
Outcome = dict[str, Any]


def python(*arguments: str | Path) -> list[str]:
    """A command line that starts Python quickly, without what is installed."""
    return [sys.executable, "-S", "-E", "-B", *map(str, arguments)]


def hostile(mode: str) -> list[str]:
    """The command line of one mode of the hostile server."""
    return python(HOSTILE, mode)


def modes() -> list[str]:
    """Names of all modes that the hostile server has."""
    listed = subprocess.run(python(HOSTILE, "--list"), capture_output=True, text=True, check=True)
    return listed.stdout.split()


def expectations() -> dict[str, dict[str, Any]]:
    """``expect.toml``: mode -> what has to be seen."""
    return tomllib.loads((HOSTILE.parent / "expect.toml").read_text(encoding="utf-8"))


def run(jobs: Iterable[Job]) -> dict[str, Outcome]:
    """Run jobs, each with an ``id`` of its own, and return id -> outcome.

    Raises ``CalledProcessError`` when the helper process itself fails.
    """
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "entrypoint")])
    done = subprocess.run(
        [sys.executable, "-m", "support.harness"],
        input=json.dumps(list(jobs)),
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["id"]: outcome for outcome in outcomes}
