"""``merge`` and ``fleet`` as a user runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_sandbox.model import Verdict
from support.corpus import TESTS
from support.front_door import Done, Door
from unit.merging.folders import PASSED, put
from unit.report_samples import sample_report

EXAMPLE = TESTS.parent / "examples" / "fleet" / "servers.toml"


@pytest.fixture
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    made = Door(folder, f"unix://{folder}/absent.sock")
    yield made
    made.close()
    assert made.left_here() == []


def merge(door: Door, *arguments: Path | str) -> Done:
    return door.run("merge", *map(str, arguments))


@pytest.mark.parametrize("command", ["merge", "fleet"])
def test_help(door: Door, command: str):
    done = door.run(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: mcp-sandbox {command}")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["pass", "pass"], 0),
        (["pass", "fail", "inconclusive"], 1),
        (["pass", "inconclusive"], 3),
        (["pass", "error"], 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    door: Door, tmp_path: Path, verdicts: list[str], code: int
):
    for number, verdict in enumerate(verdicts):
        put(tmp_path / "in" / str(number), replace(PASSED, verdict=Verdict(verdict)))
    done = merge(door, tmp_path / "in", "--out", tmp_path / "out")
    assert (done.code, done.err) == (code, "")
    assert f"{len(verdicts)} servers: " in done.out.splitlines()[0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("merged.sarif", "merged.json", "merged.md", "merged.html"),
    }


def test_an_unreadable_report_is_no_pass(door: Door, tmp_path: Path):
    put(tmp_path / "in" / "a")
    (put(tmp_path / "in" / "b") / "report.json").write_text("{")
    done = merge(door, tmp_path / "in", "--out", tmp_path / "out")
    assert (done.code, done.err) == (3, "")
    assert "1 unreadable" in done.out
    (put(tmp_path / "only") / "report.json").write_text("{")
    done = merge(door, tmp_path / "only", "--out", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert "None of 1 reports could be read" in done.sentence


def test_the_totals_and_the_files_are_for_machines(door: Door, tmp_path: Path):
    for number in range(21):
        put(tmp_path / "in" / str(number), sample_report())
    done = merge(door, tmp_path / "in", "--out", tmp_path / "out", "--json")
    totals = json.loads(done.out)
    written = json.loads((tmp_path / "out" / "merged.json").read_bytes())
    written.pop("servers")
    assert totals == written
    assert (totals["count"], totals["verdict"]) == (21, "fail")
    done = merge(door, tmp_path / "in", "--out", tmp_path / "out", "--files")
    assert done.out == '["merged-1.sarif", "merged-2.sarif"]\n'
    done = merge(door, tmp_path / "in", "--out", tmp_path / "out", "--files", "--json")
    assert (done.code, done.out) == (2, "")


def test_nothing_that_a_server_says_is_a_command(door: Door, tmp_path: Path):
    name = "\n::error::x ##[add-mask]y \x1b[31m"
    for number in "ab":
        put(tmp_path / number / name, sample_report())
    done = merge(door, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert done.code == 1
    assert "servers are called" in done.out
    assert not re.search(r"^\s*::|##\[|\x1b", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["merge"], "DIR"),
        (["merge", "absent"], "absent"),
        (["merge", ".", "--list", "absent.toml"], "absent.toml"),
        (["fleet"], "LIST"),
        (["fleet", "absent.toml"], "absent.toml"),
        (["fleet", "list.toml", "--shard", "2"], "--shard 2"),
        (["fleet", "list.toml", "--matrix", "--shard", "0"], "--shard 0"),
        (["fleet", "long.toml", "--matrix"], "--shard N"),
    ],
)
def test_bad_input_is_one_sentence(door: Door, tmp_path: Path, arguments: list[str], named: str):
    (tmp_path / "list.toml").write_text("[[server]]\nimage = 'x'\n")
    (tmp_path / "long.toml").write_text(
        "".join(f"[[server]]\nname = 's{number}'\nimage = 'x'\n" for number in range(300))
    )
    (tmp_path / "here").mkdir()
    paths = {name: str(tmp_path / name) for name in ("absent", "absent.toml")}
    paths |= {name: str(tmp_path / name) for name in ("list.toml", "long.toml")}
    paths["."] = str(tmp_path / "here")
    done = door.run(*(paths.get(word, word) for word in arguments))
    assert (done.code, done.out) == (2, "")
    assert named in done.sentence + done.way_out


def test_a_list_is_shown_and_made_a_matrix(door: Door, tmp_path: Path):
    done = door.run("fleet", str(EXAMPLE))
    assert (done.code, done.err) == (0, "")
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        *(["weather", "image"], ["files", "context"], ["tickets", "image"]),
    ]
    done = door.run("fleet", str(EXAMPLE), "--matrix")
    assert done.out.count("\n") == 1
    assert [job["name"] for job in json.loads(done.out)["include"]] == [
        *("weather", "files", "tickets"),
    ]


def test_a_long_list_comes_in_shards(door: Door, tmp_path: Path):
    path = tmp_path / "long.toml"
    path.write_text("".join(f"[[server]]\nname = 's{one}'\nimage = 'x'\n" for one in range(600)))
    done = door.run("fleet", str(path), "--shards")
    assert json.loads(done.out) == [1, 2, 3]
    names = []
    for shard in json.loads(done.out):
        done = door.run("fleet", str(path), "--matrix", "--shard", str(shard))
        names += [job["name"] for job in json.loads(done.out)["include"]]
    assert names == [f"s{one}" for one in range(600)]
