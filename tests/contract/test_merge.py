"""The fleet workflow's own steps with the project's image; what they make before public judges."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator

from mcp_sandbox.action import inputs
from mcp_sandbox.errors import BadInput
from mcp_sandbox.merging import lists
from mcp_sandbox.model import ScannerRun, ScannerState, Verdict
from mcp_sandbox.model.fleet import SourceKind
from mcp_sandbox.sandbox import Engine
from support.on_engine import ROOT
from support.sarif_lint import lint
from unit.merging.folders import DRIFTED, PASSED, logs, merge, put
from unit.report_samples import HOSTILE, hostile_report, issue, sample_report, with_scanners

WORKFLOW = yaml.safe_load((ROOT / "examples" / "workflows" / "fleet.yml").read_text())
LIST = ROOT / "examples" / "fleet" / "servers.toml"


def step(job: str, name: str) -> dict[str, Any]:
    """A step of the workflow by its id, its name or what it uses."""
    (found,) = (
        one
        for one in WORKFLOW["jobs"][job]["steps"]
        if name in {one.get("id"), one.get("name"), one.get("uses", "").partition("@")[0]}
    )
    return dict(found)


class Job:
    """Runs scripts of the workflow in a workspace, as the runner does."""

    def __init__(self, folder: Path, engine: Engine, image: str) -> None:
        self.workspace = folder / "workspace"
        (self.workspace / "fleet").mkdir(parents=True)
        self._files = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": engine.address,
            "IMAGE": image,
            "LIST": WORKFLOW["env"]["LIST"],
            **{f"GITHUB_{name}": str(folder / name) for name in ("OUTPUT", "STEP_SUMMARY")},
        }

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self._files / "OUTPUT").write_text("")
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.workspace,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self._files / "OUTPUT").read_text().splitlines()
        return {line.partition("=")[0]: line.partition("=")[2] for line in lines}

    @property
    def summary(self) -> str:
        return (self._files / "STEP_SUMMARY").read_text()


@pytest.fixture
def job(tmp_path: Path, engine: Engine, helper_image: str) -> Job:
    return Job(tmp_path, engine, helper_image)


MARK = "$(touch taken) `touch taken` ; touch taken"


@pytest.mark.engine
def test_the_plan_is_the_matrix_of_the_list(job: Job):
    place = job.workspace / "fleet" / "servers.toml"
    place.write_text(LIST.read_text() + f'[[server]]\nimage = "x"\nargs = ["{MARK}"]\n')
    done = job.run(step("plan", "plan")["run"])
    assert (done.returncode, done.stderr) == (0, "")
    matrix = json.loads(job.outputs["matrix"])
    assert [one["name"] for one in matrix["include"]] == ["weather", "files", "tickets", "x"]
    assert matrix["include"][-1]["args"] == MARK
    assert {path.name for path in job.workspace.rglob("*")} == {"fleet", "servers.toml"}


@pytest.mark.engine
def test_a_list_that_is_wrong_ends_the_plan(job: Job):
    (job.workspace / "fleet" / "servers.toml").write_text("[[server]]\nimgae = 'x'\n")
    done = job.run(step("plan", "plan")["run"])
    assert done.returncode == 2
    assert "line 2: there is no key `imgae`; did you mean `image`?" in done.stderr
    assert job.outputs == {}


@pytest.mark.engine
def test_the_reports_are_merged_and_told_whatever_they_say(job: Job):
    (job.workspace / "fleet" / "servers.toml").write_text(LIST.read_text())
    # As two artifacts come: a folder of the artifact's name around what was uploaded.
    for name, report in (("weather", DRIFTED), ("files", hostile_report(HOSTILE[2]))):
        put(job.workspace / "reports" / f"mcp-sandbox-report-{name}" / name, report)
    done = job.run(step("merge", "merge")["run"])
    assert done.returncode == 1, done.stderr
    assert job.outputs == {"sarif": '["merged.sarif"]'}
    assert job.summary.startswith("# 3 servers: FAIL\n")
    assert "It is on the list and there is no report." in job.summary
    assert "## What changed" in job.summary
    written = job.workspace / "merged"
    owner = job.workspace.stat().st_uid
    assert {path.stat().st_uid for path in (written, *written.iterdir())} == {owner}
    (log,) = logs(written)
    assert {run["automationDetails"]["id"] for run in log["runs"]} == {
        *("mcp-sandbox/weather/", "mcp-sandbox/files/"),
    }


@pytest.mark.engine
@pytest.mark.parametrize("artifacts", ["none", "one"])
def test_few_artifacts_are_told_too(job: Job, artifacts: str):
    (job.workspace / "fleet" / "servers.toml").write_text("[[server]]\nimage = 'weather'\n")
    if artifacts == "one":
        # The only artifact comes without a folder of its name.
        put(job.workspace / "reports" / "weather", PASSED)
    done = job.run(step("merge", "merge")["run"])
    if artifacts == "one":
        assert (done.returncode, job.outputs["sarif"]) == (0, '["merged.sarif"]')
    else:
        assert (done.returncode, job.outputs["sarif"]) == (2, "")
        assert "reports holds no report" in done.stderr


def test_every_setting_of_a_list_reaches_the_action():
    given = step("scan", "sandbox")["with"]
    for name in lists.SETTINGS:
        assert given[name] == f"${{{{ matrix.{name} }}}}"
    assert set(given) == {*lists.SETTINGS, *SourceKind, "out"}
    assert set(given) <= {one.name for one in inputs.known()}


def test_the_document_names_every_setting_and_the_error_as_it_is():
    told = (ROOT / "docs" / "fleet.md").read_text()
    for name in lists.SETTINGS:
        assert f"`{name}`" in told
    text = LIST.read_text() + "memroy = '1g'\n"
    with pytest.raises(BadInput) as caught:
        lists.read(text.encode(), "servers.toml")
    (shown,) = (line for line in told.splitlines() if line.startswith("error: servers.toml"))
    assert shown.split(": ", 2)[2] == caught.value.what.split(": ", 1)[1]


def test_a_report_is_kept_under_the_name_of_its_server():
    assert step("scan", "sandbox")["with"]["out"] == "reports/${{ matrix.name }}"
    kept = step("scan", "actions/upload-artifact")
    assert kept["with"] == {"name": "mcp-sandbox-report-${{ matrix.name }}", "path": "reports"}
    fetched = step("merge", "actions/download-artifact")["with"]
    assert fetched == {"pattern": "mcp-sandbox-report-*", "path": "reports"}


def test_no_value_of_the_list_is_part_of_a_script():
    scripts = [
        one["run"] for job in WORKFLOW["jobs"].values() for one in job["steps"] if "run" in one
    ]
    assert len(scripts) == 2
    assert not [script for script in scripts if "${{" in script]


def test_only_the_upload_may_write():
    assert WORKFLOW["permissions"] == {}
    may = {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()}
    reads = {"contents": "read"}
    assert may.pop("alerts") == {**reads, "security-events": "write"}
    assert list(may.values()) == [reads] * 3


def test_the_merged_file_stands_before_public_judges(
    tmp_path: Path, schema: Draft4Validator, complaints: Callable[[dict[str, Any]], set[str]]
):
    scanner = ScannerRun("Trivy", ScannerState.RAN, version="0.74.0", issues=(issue("CVE-1"),))
    reports = [sample_report(), PASSED, DRIFTED, with_scanners(scanner)]
    reports += [hostile_report(text) for text in HOSTILE[:6]]
    reports.append(replace(PASSED, verdict=Verdict.INCONCLUSIVE, score=None))
    for number, report in enumerate(reports):
        put(tmp_path / "in" / f"server-{number}", report)
    merge(tmp_path / "in", out=tmp_path / "out")
    (log,) = logs(tmp_path / "out")
    assert len(log["runs"]) == len(reports) + 1
    assert lint(log) == []
    assert list(schema.iter_errors(log)) == []
    assert not {one for one in complaints(log) if one.endswith(": error")}
