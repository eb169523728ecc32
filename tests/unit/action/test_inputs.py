"""Inputs are the settings, and what cannot be meant is refused in a workflow's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mcp_sandbox.action import inputs
from mcp_sandbox.action.files import OUTPUTS
from mcp_sandbox.errors import BadInput
from mcp_sandbox.settings import Settings, load, option

ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
KNOWN = {one.name: one for one in inputs.known()}


def given(**values: str) -> dict[str, str]:
    """The environment as the runner makes it: every input is there, most of them empty."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {f"INPUT_{name.upper()}": named.get(name, "") for name in {*KNOWN, *named}}


def settings(workspace: Path, **values: str) -> Settings:
    try:
        return inputs.settings(inputs.read(given(**values)), workspace)
    except BadInput as error:
        raise inputs.named(error) from error


def test_action_settings_command_and_documents_say_the_same():
    from mcp_sandbox.cli.options import scan_options  # noqa: PLC0415

    names = {name.replace("_", "-") for name in Settings.model_fields}
    owned = {name.replace("_", "-") for name in inputs.OWN}
    assert set(ACTION["inputs"]) == (names - owned) | {inputs.UNSAFE}
    assert {one.name for one in scan_options()} == set(Settings.model_fields) - {"context", "args"}
    documented = (ROOT / "docs" / "configuration.md").read_text()
    for name in set(Settings.model_fields) - {"context", "args"}:
        assert f"| `{option(name)}` |" in documented
    readme = (ROOT / "README.md").read_text()
    table = readme.partition("Written by docs/generate.py")[2].partition("Until here")[0]
    shown = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert set(OUTPUTS) <= shown <= set(ACTION["inputs"]) | set(OUTPUTS)
    assert set(ACTION["outputs"]) == set(OUTPUTS)


def test_the_action_runs_as_the_runner_can_read_it():
    runs = ACTION["runs"]
    assert set(runs) == {"using", "image", "entrypoint", "post-entrypoint"}
    assert runs["using"] == "docker"
    assert re.fullmatch(r"Dockerfile|docker://[^\s@]+@sha256:[0-9a-f]{64}", runs["image"])
    scripts = (ROOT / "pyproject.toml").read_text()
    for key in ("entrypoint", "post-entrypoint"):
        assert f"\n{Path(runs[key]).name} = " in scripts
    assert all(one["description"] for one in ACTION["inputs"].values())


def test_every_default_of_the_action_is_the_one_of_the_settings(tmp_path: Path):
    defaults = {name: one["default"] for name, one in ACTION["inputs"].items()}
    made = inputs.settings(inputs.read(given(**defaults)), tmp_path)
    bare = load({"context": tmp_path / ".", "out": tmp_path / "mcp-sandbox-report"})
    assert made == bare


def test_empty_is_the_default_and_an_image_needs_no_folder(tmp_path: Path):
    assert settings(tmp_path).context == tmp_path
    assert settings(tmp_path, image="x").context is None


def test_values_of_each_kind(tmp_path: Path):
    made = settings(
        tmp_path,
        env="A=1,2\nB=x y\r\n\n",
        args="--root\n/data, really\n",
        allow="a.example:443, b.example\n",
        fail_on="none",
        scanners="trivy,hadolint",
        trivy_licences="True",
        fail_below=" 80 ",
        memory="1g",
    )
    assert made.env == ("A=1,2", "B=x y")
    assert made.args == ("--root", "/data, really")
    assert made.allow == ("a.example:443", "b.example")
    assert (made.fail_on, made.scanners) == ((), ("trivy", "hadolint"))
    assert (made.trivy_licences, made.fail_below, made.memory) == (True, 80, 2**30)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"fail_belov": "3"}, "There is no input `fail-belov`; did you mean `fail-below`?"),
        ({"zzz": "3"}, "There is no input `zzz`."),
        ({"docker_host": "tcp://x:1"}, "There is no input `docker-host`"),
        ({"fail_below": "101"}, "Input `fail-below` 101: "),
        ({"image": "a\nb"}, "Input `image` has more than one line."),
        ({"image": "a", "context": "."}, "give either a folder"),
        ({"context": ".."}, "Input `context` is '..', which is not inside the workspace."),
        ({"context": "/etc"}, "Input `context` is '/etc'"),
        ({"out": "link/x"}, "Input `out` is 'link/x'"),
        ({"trivy_licences": "yes"}, "Input `trivy-licences` is 'yes', neither true nor false."),
        ({"scanners": "auto,trivy"}, "Input `scanners` is auto, none, or a list of names."),
        ({"base": "main"}, "Input `base` main: expected the full id of a commit"),
        ({"image": "a", "dockerfile": "b"}, "`dockerfile` goes with a folder, not with `image`."),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, values: dict[str, str], named: str):
    (tmp_path / "link").symlink_to("/tmp")
    with pytest.raises(BadInput) as caught:
        settings(tmp_path, **values)
    assert named.lower() in caught.value.what.lower()
    assert "--" not in caught.value.what
    assert caught.value.next_step
    assert "--help" not in caught.value.next_step


def test_a_secret_is_not_repeated(tmp_path: Path):
    with pytest.raises(BadInput) as caught:
        settings(tmp_path, env="9=hunter2")
    assert "hunter2" not in caught.value.what
