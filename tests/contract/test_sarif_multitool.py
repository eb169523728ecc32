"""Our SARIF against two public judges (``support/sarif_judges.py``).

The validator ends with exit code 0 whatever it finds, so its output is read, and each kind of thing
that we rely on it to see is shown to be seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft4Validator

from mcp_sandbox.model import (
    ScannerRun,
    ScannerState,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import sarif
from unit.drift_samples import compared
from unit.report_samples import (
    CHECKOUT,
    HOSTILE,
    RULES,
    hostile_report,
    issue,
    sample_report,
    with_scanners,
)


def sample(report: Report | None = None, *, complete: bool = False) -> dict[str, Any]:
    made = sarif.render(
        report or sample_report(),
        RULES,
        category="mcp-sandbox/files",
        tool_version="0.1.0",
        read=CHECKOUT.get,
        complete=complete,
    )
    document: dict[str, Any] = json.loads(made.data)
    return document


REPORTS = {
    "sample": sample_report(),
    "compared": compared(sample_report()),
    "no findings": replace(sample_report(), findings=()),
    "inconclusive": replace(hostile_report("x"), verdict=Verdict.INCONCLUSIVE),
    "scanners": with_scanners(
        ScannerRun("Trivy", ScannerState.RAN, version="0.74.0", issues=(issue("CVE-1"),)),
        ScannerRun("Hadolint", ScannerState.RAN, version="2.15.1"),
    ),
    "broken off": replace(sample_report(), verdict=Verdict.ERROR),
    **{f"hostile {number}": hostile_report(text) for number, text in enumerate(HOSTILE)},
}


# --- the schema -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("complete", [False, True])
def test_the_schema_accepts(schema: Draft4Validator, name: str, *, complete: bool):
    document = sample(REPORTS[name], complete=complete)
    assert [error.message for error in schema.iter_errors(document)] == []


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


def test_the_validator_accepts_the_sample(complaints):
    assert complaints(sample()) == set()


def test_the_validator_accepts_the_complete_file(complaints):
    assert complaints(sample(REPORTS["compared"], complete=True)) == set()


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
