"""Our SARIF against two public judges: the OASIS schema, and Microsoft's validator with its rules
for GitHub. Both come from npm, pinned in ``sarif-tools/``, into pytest's cache folder.

The validator ends with exit code 0 whatever it finds, so its output is read, and each kind of thing
that we rely on it to see is shown to be seen.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from mcp_sandbox.model import Report, Verdict
from mcp_sandbox.report import sarif
from unit.report_samples import CHECKOUT, HOSTILE, RULES, hostile_report, sample_report

PINS = Path(__file__).parent / "sarif-tools"
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


def sample(report: Report | None = None) -> dict[str, Any]:
    made = sarif.render(
        report or sample_report(),
        RULES,
        category="mcp-sandbox/files",
        tool_version="0.1.0",
        read=CHECKOUT.get,
    )
    document: dict[str, Any] = json.loads(made.data)
    return document


REPORTS = {
    "sample": sample_report(),
    "no findings": replace(sample_report(), findings=()),
    "inconclusive": replace(hostile_report("x"), verdict=Verdict.INCONCLUSIVE),
    "broken off": replace(sample_report(), verdict=Verdict.ERROR),
    **{f"hostile {number}": hostile_report(text) for number, text in enumerate(HOSTILE)},
}


# --- the schema -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def schema(modules: Path) -> Draft4Validator:
    return Draft4Validator(json.loads((modules / SCHEMA).read_text()))


@pytest.mark.parametrize("name", REPORTS)
def test_the_schema_accepts(schema: Draft4Validator, name: str):
    assert [error.message for error in schema.iter_errors(sample(REPORTS[name]))] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run.update(surprise=1),
        lambda run: run["results"][0].update(level="bad"),
        lambda run: run["results"][0].update(suppressions=[{"kind": "external", "state": "x"}]),
        lambda run: run["tool"]["driver"].pop("name"),
    ],
)
def test_the_schema_bites(schema: Draft4Validator, spoil: Callable[[dict[str, Any]], object]):
    document = sample()
    spoil(document["runs"][0])
    assert not schema.is_valid(document)


# --- the validator --------------------------------------------------------------------------------


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


def test_the_validator_accepts_the_sample(complaints):
    assert complaints(sample()) == set()


@pytest.mark.parametrize("part", [0, 1])
def test_the_validator_accepts_every_hostile_text(complaints, part: int):
    """Half of all in one document, one run each: it takes a second to start and 20 runs at most."""
    document = sample()
    document["runs"] = [
        run for report in list(REPORTS.values())[part::2] for run in sample(report)["runs"]
    ]
    assert 10 < len(document["runs"]) <= 20
    assert complaints(document) == set()


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda run: run["results"][0]["locations"].clear(), "GH1015"),
        (lambda run: run["results"][0]["message"].clear(), "JSON1"),
        (lambda run: run["results"][0]["message"].update(text=" "), "GH1015"),
        (lambda run: run["tool"]["driver"]["rules"].clear(), "SARIF1"),
        (lambda run: run.update(surprise=1), "JSON1"),
    ],
)
def test_the_validator_bites(complaints, spoil: Callable[[dict[str, Any]], object], rule: str):
    document = sample()
    spoil(document["runs"][0])
    found = complaints(document)
    assert [one for one in found if one.startswith(rule) and one.endswith("error")], found
