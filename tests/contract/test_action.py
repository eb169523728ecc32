"""The action on a real engine: the example workflow, the runner's way to start it, its end."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker.errors
import pytest

from mcp_sandbox.model import ROLE_LABEL, RUN_LABEL, ImageFacts
from mcp_sandbox.sandbox import Engine
from support import runner
from support.act import RUNNER, Act, Ran
from support.example_servers import GREEN, RED
from support.on_engine import BASE, ROOT, labelled
from support.step import Step

pytestmark = pytest.mark.engine

EXAMPLE = ROOT / "examples" / "workflows" / "pull-request.yml"


# --- the example workflow, as it stands in the documents ------------------------------------------


@pytest.fixture(scope="module")
def act_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """act in the version of ``tests/tools/go.mod``, its sources checked against ``go.sum``."""
    folder = tmp_path_factory.mktemp("tools")
    subprocess.run(
        ["go", "-C", str(ROOT / "tests" / "tools"), "install", "github.com/nektos/act"],
        env={**os.environ, "GOBIN": str(folder)},
        check=True,
        timeout=500,
    )
    return folder / "act"


@pytest.fixture(scope="module")
def tagged(engine: Engine, helper_image: str) -> Iterator[Callable[[str], str]]:
    """Gives an image a name for the time of these tests: act takes none by its id."""
    made: list[str] = []

    def tag(image: str) -> str:
        name = f"mcp-sandbox-test-{secrets.token_hex(4)}"
        engine.api.tag(image, name, "local")
        made.append(f"{name}:local")
        return made[-1]

    yield tag
    for name in made:
        engine.api.remove_image(name, noprune=True)


@pytest.fixture(scope="module")
def act(
    act_binary: Path,
    engine: Engine,
    build: Callable[..., ImageFacts],
    helper_image: str,
    tagged: Callable[[str], str],
) -> Act:
    return Act(
        binary=act_binary,
        docker_host=engine.address,
        runner_image=tagged(build(RUNNER).id),
        action_image=tagged(helper_image),
        folder=act_binary.parent,
    )


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def in_a_pull_request(act: Act, folder: Path, server: Path) -> Ran:
    """Run the example workflow where a pull request brings the server."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=base")
    base = git(folder, "rev-parse", "HEAD")
    shutil.copytree(server, folder, dirs_exist_ok=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=head")
    head = git(folder, "rev-parse", "HEAD")
    event = {"pull_request": {"base": {"sha": base}, "head": {"sha": head}}}
    return act.run(folder, EXAMPLE, event)


def test_the_example_workflow_passes_the_server_that_keeps_its_promises(
    act: Act, tmp_path: Path, engine: Engine
):
    ran = in_a_pull_request(act, tmp_path, GREEN)
    assert (ran.job, ran.code, ran.outputs["verdict"]) == ("success", 0, "pass"), ran.annotations
    assert (ran.outputs["critical"], ran.outputs["high"]) == ("0", "0")
    assert float(ran.outputs["score"]) > 0
    assert ran.outputs["drift"] == ""
    assert ran.summary.startswith("# mcp-sandbox: PASS")
    assert not [one for one in ran.annotations if one.level == "error"]
    said = [line for lines in ran.printed.values() for line in lines]
    assert "given mcp-sandbox-report/results.sarif 0" in said
    assert "given mcp-sandbox-report 0" in said


def test_the_example_workflow_fails_the_server_with_holes_and_still_uploads(
    act: Act, tmp_path: Path
):
    ran = in_a_pull_request(act, tmp_path, RED)
    assert (ran.job, ran.code, ran.outputs["verdict"]) == ("failure", 1, "fail")
    assert ran.outputs["score"] == "0"
    assert int(ran.outputs["critical"]) >= 3
    assert ran.summary.startswith("# mcp-sandbox: FAIL")
    assert len(ran.annotations) == 10
    assert {one.level for one in ran.annotations[:3]} == {"error"}
    assert ran.annotations[-1].text.endswith("more findings are in the summary.")
    sources = {path.name for path in RED.iterdir()}
    assert {one.properties["file"] for one in ran.annotations[:3]} <= sources
    said = [line for lines in ran.printed.values() for line in lines]
    assert "given mcp-sandbox-report/results.sarif 0" in said


# --- as the runner starts it ----------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path, helper_image: str, engine: Engine) -> Step:
    return Step(tmp_path, helper_image, engine)


PRINTED = (
    r"::error::x\n\342\200\203::add-mask::e\n a ##[add-mask]e\n\r::set-output name=score::100\n"
)
HOSTILE_BUILD = f"FROM {BASE}\nRUN printf '{PRINTED}' && false\n"


def test_what_a_build_prints_is_no_command(start: Step):
    (start.workspace / "Dockerfile").write_text(HOSTILE_BUILD)
    done = start.run("mcp-sandbox-action", INPUT_SCANNERS="none")
    assert (done.returncode, done.stderr) == (2, ""), done.stdout
    assert "add-mask" in done.stdout
    names = [one.name for one in runner.commands(done.stdout)]
    assert set(names) <= {"group", "endgroup", "stop-commands", "error"}
    assert names.count("error") == 1
    assert (start.outputs["verdict"], start.outputs["score"]) == ("error", "")


def test_a_read_only_workspace_is_one_sentence(start: Step):
    (start.workspace / "Dockerfile").write_text(f"FROM {BASE}\n")
    done = start.run("mcp-sandbox-action", mode="ro")
    assert (done.returncode, done.stderr) == (2, "")
    (said,) = [one.data for one in runner.commands(done.stdout) if one.name == "error"]
    assert said.startswith("Input `out` ")
    assert "Read-only file system" in said
    assert start.outputs["verdict"] == "error"


def test_results_are_not_written_through_a_link(start: Step):
    (start.workspace / "Dockerfile").write_text(f"FROM {BASE}\n")
    (start.workspace / "mcp-sandbox-report").symlink_to("/github/file_commands")
    done = start.run("mcp-sandbox-action")
    assert (done.returncode, done.stderr) == (2, "")
    assert "not inside the workspace" in done.stdout
    assert {path.name for path in start.files.iterdir()} == {"OUTPUT", "STEP_SUMMARY"}


# --- afterwards -----------------------------------------------------------------------------------


def test_the_cleanup_removes_what_one_run_left_and_nothing_else(
    start: Step, engine: Engine, base_image: ImageFacts
):
    runs = [secrets.token_hex(6) for _ in range(2)]
    for run in runs:
        made = engine.api.create_container(
            base_image.id, ["sleep", "60"], labels={RUN_LABEL: run, ROLE_LABEL: "server"}
        )
        engine.api.start(made["Id"])
    try:
        done = start.run("mcp-sandbox-cleanup", STATE_run=runs[0])
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 removed" in done.stdout
        assert labelled(engine, f"{RUN_LABEL}={runs[0]}") == []
        assert len(labelled(engine, f"{RUN_LABEL}={runs[1]}")) == 1
    finally:
        for run in runs:
            engine.clean(run)
    with pytest.raises(docker.errors.NotFound):
        engine.api.inspect_container(made["Id"])
