"""The step as the runner starts it, without an engine: event, outputs, summary, log, exit code."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox import pipeline
from mcp_sandbox.action import event as events
from mcp_sandbox.action import files
from mcp_sandbox.action.log import MAX_ANNOTATIONS, Log, Progress
from mcp_sandbox.errors import BadInput
from mcp_sandbox.model import Location
from mcp_sandbox.pipeline.scanning import Scanning
from mcp_sandbox.report.lines import answer
from mcp_sandbox.report.spans import plain
from mcp_sandbox.settings import load
from support import runner
from unit.report_samples import HOSTILE, finding, sample_report

BIN = Path(sys.executable).parent
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Ended:
    """A step that has ended."""

    code: int
    out: str
    err: str
    outputs: dict[str, str]
    state: dict[str, str]
    summary: str

    @property
    def annotations(self) -> list[runner.Command]:
        return [
            one for one in runner.commands(self.out) if one.name in {"error", "warning", "notice"}
        ]


@dataclass
class Step:
    """Starts the console scripts with what a runner gives them."""

    folder: Path

    def run(self, script: str = "mcp-sandbox-action", **environment: str) -> Ended:
        paths = {name: self.folder / name for name in ("OUTPUT", "STATE", "STEP_SUMMARY")}
        for path in paths.values():
            path.write_text("")
        workspace = self.folder / "workspace"
        workspace.mkdir(exist_ok=True)
        (workspace / "Dockerfile").write_text("FROM scratch\n")
        payload = self.folder / "event.json"
        commits = {side: {"sha": SHA} for side in ("base", "head")}
        payload.write_text(json.dumps({"pull_request": commits}))
        given = {
            "PATH": os.environ["PATH"],
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(payload),
            "DOCKER_HOST": f"unix://{self.folder}/absent.sock",
            "ACTIONS_RUNTIME_TOKEN": "runtime-token",
            **{f"GITHUB_{name}": str(path) for name, path in paths.items()},
            **{name.replace("__", "-"): value for name, value in environment.items()},
        }
        done = subprocess.run(
            [BIN / script], env=given, cwd=workspace, capture_output=True, text=True, check=False
        )
        return Ended(
            done.returncode,
            done.stdout,
            done.stderr,
            runner.file_values(paths["OUTPUT"].read_text()),
            runner.file_values(paths["STATE"].read_text()),
            paths["STEP_SUMMARY"].read_text(),
        )


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


def check_refused(ended: Ended, code: int, *named: str) -> None:
    """One annotation, outputs that say error, a summary, no traceback, nothing on stderr."""
    assert (ended.code, ended.err) == (code, ""), ended.out
    (annotation,) = ended.annotations
    assert annotation.name == "error"
    for text in named:
        assert text in annotation.data
    assert set(ended.outputs) == set(files.OUTPUTS)
    assert (ended.outputs["verdict"], ended.outputs["score"], ended.outputs["sarif"]) == (
        "error",
        "",
        "",
    )
    assert "This is not a pass" in ended.summary


def test_no_engine_is_said_in_every_place_there_is(step: Step):
    ended = step.run()
    check_refused(ended, 3, "No Docker engine answers")
    assert ended.outputs["report"] == "mcp-sandbox-report/report.json"
    report = json.loads((step.folder / "workspace" / ended.outputs["report"]).read_bytes())
    assert report["verdict"] == "error"
    assert report["run"]["id"] == ended.state["run"]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"INPUT_FAIL__BELOV": "3"}, "did you mean `fail-below`"),
        ({"INPUT_FAIL__BELOW": "3\n::set-output name=score::100"}, "more than one line"),
        ({"INPUT_CONTEXT": "../.."}, "not inside the workspace"),
        ({"INPUT_IMAGE": "##[add-mask]e\r::add-mask::e"}, "more than one line"),
        ({"GITHUB_EVENT_NAME": "pull_request_target"}, "The event is pull_request_target"),
        ({"GITHUB_EVENT_NAME": "workflow_run"}, "The event is workflow_run"),
        ({"GITHUB_WORKSPACE": ""}, "There is no workspace"),
        ({"GITHUB_EVENT_PATH": ""}, "names no base commit"),
        ({"GITHUB_EVENT_PATH": "", "GITHUB_EVENT_NAME": "merge_group"}, "names no base commit"),
        ({"INPUT_BASELINE": "../lock.json"}, "`baseline` is '../lock.json', which is not inside"),
        ({"INPUT_CONFIG": "/etc/passwd"}, "`config` is '/etc/passwd', which is not inside"),
    ],
    ids=str,
)
def test_bad_input_is_one_annotation_and_exit_code_2(
    step: Step, environment: dict[str, str], named: str
):
    ended = step.run(**environment)
    check_refused(ended, 2, named)
    assert ended.state == {}
    assert not (step.folder / "workspace" / "mcp-sandbox-report").exists()


def test_a_lock_file_that_is_nowhere_is_told_in_a_workflows_words(step: Step):
    ended = step.run(INPUT_BASELINE="locks/one.json", INPUT_TRUST="tree")
    assert ended.code == 2
    (annotation,) = ended.annotations
    assert annotation.data.startswith("Input `baseline` ")
    assert "locks/one.json: there is no such file." in annotation.data
    assert "--baseline" not in annotation.data
    assert ended.outputs["verdict"] == "error"


def test_an_unsafe_trigger_can_be_allowed(step: Step):
    allowed = {"INPUT_ALLOW__UNSAFE__TRIGGER": "true", "GITHUB_EVENT_NAME": "workflow_run"}
    check_refused(step.run(**allowed), 3, "No Docker engine answers")


@pytest.mark.parametrize(
    "environment",
    [
        {"INPUT_BASE": SHA},
        {"INPUT_TRUST": "tree"},
        {"INPUT_BASELINE": "none", "INPUT_CONFIG": "none"},
        {"GITHUB_EVENT_NAME": "push"},
    ],
    ids=str,
)
def test_a_change_of_unknown_base_is_scanned_when_nothing_of_it_would_count(
    step: Step, environment: dict[str, str]
):
    ended = step.run(GITHUB_EVENT_PATH="", **environment)
    check_refused(ended, 3, "No Docker engine answers")


def test_secrets_are_not_verified_on_pull_requests(step: Step):
    ended = step.run(INPUT_VERIFY__SECRETS="true")
    assert [one.name for one in ended.annotations] == ["warning", "error"]
    ended = step.run(INPUT_VERIFY__SECRETS="true", GITHUB_EVENT_NAME="push")
    assert [one.name for one in ended.annotations] == ["error"]


def test_values_for_the_server_are_masked_unless_they_are_too_short(step: Step):
    ended = step.run(INPUT_ENV="KEY=a long%secret\nDEBUG=1")
    masked = [one.data for one in runner.commands(ended.out) if one.name == "add-mask"]
    assert masked == ["a long%secret"]


def test_a_runner_file_that_cannot_be_written_fails_the_step(step: Step):
    ended = step.run(GITHUB_OUTPUT=str(step.folder))
    assert ended.code == 3
    assert "could not be written" in ended.annotations[-1].data


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "made nothing"),
        ({"STATE_run": "*"}, "made nothing"),
        ({"STATE_run": "a" * 12}, "engine"),
    ],
    ids=str,
)
def test_the_cleanup_never_fails_the_job(step: Step, state: dict[str, str], said: str):
    ended = step.run("mcp-sandbox-cleanup", **state)
    assert (ended.code, ended.err) == (0, "")
    assert said in ended.out
    assert ended.annotations == []


# --- the event ------------------------------------------------------------------------------------


def event(tmp_path: Path, name: str, payload: Any) -> events.Event:
    path = tmp_path / "event.json"
    path.write_text(payload if isinstance(payload, str) else json.dumps(payload))
    return events.read({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)})


def test_the_commits_of_a_change(tmp_path: Path):
    other = SHA[::-1]
    pull = {"pull_request": {"base": {"sha": SHA}, "head": {"sha": other}}}
    assert event(tmp_path, "pull_request", pull) == events.Event("pull_request", SHA, other)
    push = {"before": "0" * 40, "after": other}
    assert event(tmp_path, "push", push) == events.Event("push", "", other, "tree")
    group = {"merge_group": {"base_sha": SHA, "head_sha": other}}
    assert event(tmp_path, "merge_group", group) == events.Event("merge_group", SHA, other)
    assert event(tmp_path, "schedule", pull) == events.Event("schedule")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[" * 100_000,
        "3",
        {"pull_request": []},
        {"pull_request": {"base": {"sha": f"{SHA}\n"}, "head": {"sha": ["--upload-pack=x"]}}},
        {"pull_request": {"base": {"sha": "--upload-pack=x"}, "head": None}},
    ],
    ids=repr,
)
def test_a_payload_that_cannot_be_read_names_no_commits(tmp_path: Path, payload: Any):
    assert event(tmp_path, "pull_request", payload) == events.Event("pull_request")


def test_only_the_two_dangerous_events_are_refused():
    for name in ("pull_request", "push", "schedule", "workflow_dispatch", "release"):
        events.refuse_unsafe(events.Event(name), allowed=False)
    for name in events.UNSAFE_EVENTS:
        with pytest.raises(BadInput):
            events.refuse_unsafe(events.Event(name), allowed=False)
        events.refuse_unsafe(events.Event(name), allowed=True)


def test_children_see_nothing_of_the_runner(tmp_path: Path):
    ours = {
        "PATH": "p",
        "HOME": "h",
        "GITHUB_TOKEN": "t",
        "ACTIONS_RUNTIME_TOKEN": "t",
        "INPUT_ENV": "K=t",
        "HADOLINT_IGNORE": "DL3008",
        "TRIVY_SEVERITY": "LOW",
        "GIT_SSH_COMMAND": "x",
        "STATE_run": "t",
    }
    children = pipeline.child_environment(ours)
    assert children == {"PATH": "p", "HOME": "h"}
    # Even if they did, a scanner takes its own choice of it.
    for handed in (children, ours):
        with Scanning(load({"context": tmp_path}), handed) as scanning:
            seen = dict(scanning._job(None).environment)
        assert seen.pop("HOME") not in {"h", str(tmp_path)}
        assert seen == {"PATH": "p"}


# --- the log --------------------------------------------------------------------------------------

TEXTS = st.lists(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.sampled_from(
            [
                "::error::x",
                "\u2003::add-mask::e",
                "a ##[add-mask]e",
                "x\r::set-output name=score::100",
                "\n::stop-commands::x",
                "::x::",
            ]
        ),
        st.text(max_size=40),
    ),
    max_size=6,
)
OURS = {"group", "endgroup", "stop-commands", "error", "warning", "notice"}


@given(TEXTS)
def test_nothing_a_server_says_is_a_command(texts: list[str]):
    paper = io.StringIO()
    log = Log(paper)
    progress = Progress(log)
    progress.phase("probe")
    for text in texts:
        progress.doing(text)
    progress.close()
    log.lines(texts)
    report = replace(
        sample_report(),
        findings=tuple(replace(finding(), subject=text, message=text) for text in texts),
    )
    log.lines(plain(spans) for spans in answer(report))
    log.annotate("; ".join(texts), report.findings)
    log.close()
    written = paper.getvalue()
    assert all(one in runner.lines(written) for one in written.split("\n") if one)
    found = runner.commands(written)
    assert {one.name for one in found} <= OURS
    assert [one.name for one in found if one.name.endswith("group")] == ["group", "endgroup"]
    # Without the second layer it holds too.
    bare = [line for line in runner.lines(written) if not line.startswith("::")]
    assert runner.commands("\n".join(bare)) == []
    for stop in (one.data for one in found if one.name == "stop-commands"):
        assert f"::{stop}::" in runner.lines(written)


@pytest.mark.parametrize("count", [0, 1, MAX_ANNOTATIONS, MAX_ANNOTATIONS + 1, 500])
@pytest.mark.parametrize("failure", ["", "It broke."])
def test_annotations_are_counted(count: int, failure: str):
    paper = io.StringIO()
    place = Location("a,b:c.py", 7, "definition")
    Log(paper).annotate(failure, [finding(location=place)] * count)
    found = runner.commands(paper.getvalue())
    room = MAX_ANNOTATIONS - bool(failure)
    assert len(found) == min(count, room) + bool(failure) + (count > room)
    if failure:
        assert (found[0].name, found[0].data) == ("error", failure)
    if count > room:
        assert found[-1].data == f"{count - room} more findings are in the summary."
    if count:
        assert found[bool(failure)].properties["file"] == "a,b:c.py"
        assert found[bool(failure)].properties["line"] == "7"


def test_a_suppressed_finding_is_not_annotated():
    paper = io.StringIO()
    Log(paper).annotate("", [finding(suppressed="accepted")])
    assert paper.getvalue() == ""


def test_a_phase_prints_each_call_once_and_not_without_end():
    paper = io.StringIO()
    log = Log(paper)
    progress = Progress(log)
    progress.phase("probe")
    for number in range(1000):
        progress.doing(f"tool {number // 2}")
    progress.close()
    said = [line for line in runner.lines(paper.getvalue()) if not line.startswith("::")]
    assert said[:2] == ["tool 0", "tool 1"]
    assert said[-1] == "… more calls, all of them in the report"
    assert len(said) == 101


# --- the runner's files ---------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(sorted(files.OUTPUTS)), st.text(max_size=60)))
def test_an_output_is_read_back_as_it_was(tmp_path_factory, values: dict[str, str]):
    path = tmp_path_factory.mktemp("runner") / "output"
    values = {name: value.replace("\r", "") for name, value in values.items()}
    files.Files(str(path), "", "").set_outputs(values)
    assert runner.file_values(path.read_bytes().decode() if path.exists() else "") == values


def test_a_summary_keeps_within_what_github_shows(tmp_path: Path):
    path = tmp_path / "summary"
    files.Files("", "", str(path)).summarise(b"x" * 2_000_000)
    assert path.stat().st_size == 900 * 1024
