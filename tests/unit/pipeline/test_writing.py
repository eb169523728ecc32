"""The files of a run: which there are, and under which name its alerts stand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_sandbox.model import ScannerRun, ScannerState, Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.pipeline import writing
from mcp_sandbox.pipeline.results import COMPLETE_SARIF, REPORT, SARIF, SUMMARY, Results
from mcp_sandbox.settings import Settings
from support.sarif_lint import lint, lint_complete
from unit.drift_samples import compared
from unit.report_samples import sample_report, with_scanners

# Only rules that there are may stand in a report that is written.
CLEAN = replace(compared(sample_report(), drift=()), findings=())


def written(folder: Path, report: Report, **options: object) -> set[str]:
    settings = Settings(image="one", out=folder)
    writing.write(Results(folder), report, settings, **options)  # type: ignore[arg-type]
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_run_leaves_both_sarif_files(tmp_path: Path):
    assert written(tmp_path, CLEAN) == {REPORT, SARIF, COMPLETE_SARIF, SUMMARY}
    assert lint(json.loads((tmp_path / SARIF).read_bytes())) == []
    assert lint_complete(json.loads((tmp_path / COMPLETE_SARIF).read_bytes())) == []


@pytest.mark.parametrize(
    ("report", "answered"), [(replace(CLEAN, verdict=Verdict.ERROR), True), (CLEAN, False)]
)
def test_a_run_that_broke_off_leaves_none(tmp_path: Path, report: Report, *, answered: bool):
    written(tmp_path, CLEAN)
    assert written(tmp_path, report, answered=answered) == {REPORT, SUMMARY}


def test_our_scanners_list_every_rule(tmp_path: Path):
    scanners = (
        ScannerRun("Semgrep", ScannerState.RAN),
        ScannerRun("mcp-dockerfile", ScannerState.RAN),
    )
    written(tmp_path, replace(with_scanners(*scanners), findings=()))
    log = json.loads((tmp_path / SARIF).read_bytes())
    assert lint(log) == []
    listed = {
        run["tool"]["driver"]["name"]: {rule["id"] for rule in run["tool"]["driver"]["rules"]}
        for run in log["runs"]
    }
    assert {"python-command-from-argument", "instruction-in-description"} <= listed["Semgrep"]
    assert {"no-user", "pipe-to-shell"} <= listed["mcp-dockerfile"]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("server", "server"),
        ("server:1.2", "server"),
        ("registry.example:50/org/one:1.2@sha256:" + "a" * 64, "registry.example:50/org/one"),
        ("sha256:" + "a" * 64, "image"),
        ("0123456789ab", "image"),
    ],
)
def test_an_image_has_its_name_as_category(image: str, name: str):
    assert writing.category(Settings(image=image)) == f"mcp-sandbox/{name}"


def test_a_folder_has_its_place_in_the_repository(tmp_path: Path):
    root = tmp_path / "checkout"
    server = root / "servers" / "one"
    server.mkdir(parents=True)
    (root / ".git").mkdir()
    assert writing.category(Settings(context=server)) == "mcp-sandbox/servers/one"
    assert writing.category(Settings(context=root)) == "mcp-sandbox/checkout"
    named = Settings(context=root, repository="my-server")
    assert writing.category(named) == "mcp-sandbox/my-server"
    other = Settings(context=server, repository="my-server")
    assert writing.category(other) == "mcp-sandbox/servers/one"
