"""Two public judges of a SARIF file: the OASIS schema, and Microsoft's validator with its rules for
GitHub. Both come from npm, pinned in ``tests/contract/sarif-tools``, into pytest's cache folder.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

PINS = Path(__file__).parents[1] / "contract" / "sarif-tools"
PINNED = ("package.json", "package-lock.json")
SCHEMA = "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
VALIDATOR = "@microsoft/sarif-multitool-linux/Sarif.Multitool"


@pytest.fixture(scope="session")
def modules(request: pytest.FixtureRequest) -> Path:
    """``node_modules`` with both judges, installed once for each state of the pins."""
    npm = shutil.which("npm")
    assert npm is not None, "npm is needed to install the pinned SARIF validators"
    state = sha256(b"".join((PINS / name).read_bytes() for name in PINNED)).hexdigest()[:16]
    folder = request.config.cache.mkdir(f"sarif-tools-{state}")
    done = folder / "installed"
    if not done.exists():
        for name in PINNED:
            shutil.copy(PINS / name, folder / name)
        # No package runs a script of its own here, the validator's neither; it only sets a bit.
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=300,
        )
        done.touch()
    return folder / "node_modules"


@pytest.fixture(scope="session")
def schema(modules: Path) -> Draft4Validator:
    return Draft4Validator(json.loads((modules / SCHEMA).read_text()))


@pytest.fixture(scope="session")
def complaints(modules: Path, tmp_path_factory) -> Callable[[dict[str, Any]], set[str]]:
    """Judges a document: the ids of the rules that it breaks."""
    if platform.machine() != "x86_64":
        pytest.skip("the validator is published for x86-64 only")
    program = modules / VALIDATOR
    program.chmod(0o755)

    def judge(document: dict[str, Any]) -> set[str]:
        folder = tmp_path_factory.mktemp("judged")
        (folder / "in.sarif").write_text(json.dumps(document))
        done = subprocess.run(
            [
                *(program, "validate", "in.sarif", "--rule-kind", "Sarif;Ghas"),
                *("--output", "out.sarif", "--log", "ForceOverwrite"),
            ],
            cwd=folder,
            env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Analysis completed successfully" in done.stdout, done.stdout + done.stderr
        (run,) = json.loads((folder / "out.sarif").read_text(encoding="utf-8-sig"))["runs"]
        assert run["tool"]["driver"]["name"], "the validator says who judged"
        return {
            f"{result['ruleId']}: {result.get('level', 'warning')}"
            for result in run.get("results", [])
        }

    return judge
