"""The installed command without an engine: bad input, bad reports, bad places for the results."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcp_sandbox.baseline import file as lock_file
from mcp_sandbox.cli.commands import run
from mcp_sandbox.errors import BadInput
from mcp_sandbox.model import ItemKind
from mcp_sandbox.model.answer import SCHEMA_VERSION
from mcp_sandbox.model.locked import LOCK_FILE, Item, Lock
from mcp_sandbox.pipeline import rule_infos
from mcp_sandbox.report import json as report_json
from mcp_sandbox.settings import Settings, load, option
from support.front_door import PROMISED, Done, Door, Running
from unit.report_samples import sample_report

NEWER = SCHEMA_VERSION + 1
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_bytes())


def item(name: str) -> Item:
    """A tool of a lock file."""
    bare = Item(ItemKind.TOOLS, name, "", "", "Says a thing.", {})
    return replace(bare, digest=lock_file.digest(bare))


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """The command, with an engine's address where nobody listens."""
    made = Door(tmp_path, f"unix://{tmp_path}/absent.sock")
    yield made
    made.close()
    assert made.left_here() == []


def check_refused(done: Done, *named: str) -> None:
    """Bad input: one sentence that names the thing, one that names the way out, nothing else."""
    assert (done.code, done.out) == (2, ""), done.err
    assert done.sentence.endswith((".", "?"))
    assert done.way_out
    assert len(done.err.splitlines()) == 2
    for text in named:
        assert text in done.sentence


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["scan"], ["folder", "--image"]),
        (["scan", ".", "--image", "x"], ["folder", "--image"]),
        (["scan", "--image", "x", "--dockerfile", "y"], ["--dockerfile"]),
        (["scan", "--image", ""], ["image reference"]),
        (["scan", "--image", "-x"], ["image reference"]),
        (["scan", ".", "second"], ["second"]),
        (["scan", "pypi:x"], ["pypi:NAME==VERSION", "npm:NAME@VERSION"]),
        (["baseline", "write", "npm:x@latest"], ["npm:NAME@VERSION"]),
        (["baseline", "diff", "https://h.example/x"], ["https://HOST/PATH@REF"]),
        (["scan", "pypi:x==1", "--image", "y"], ["source", "--image"]),
        (["scan", "pypi:x==1", "--source", "npm:y@1"], ["source"]),
        (["scan", ".", "--source", "npm:y@1"], ["source"]),
        (["scan", "pypi:x==1", "--dockerfile", "y"], ["--dockerfile"]),
        (["scan", ".", "--constraint", "mcp<2"], ["--constraint", "pypi:NAME==VERSION"]),
        (["scan", "pypi:x==1", "--install-scripts"], ["--install-scripts", "npm:"]),
        (["scan", ".", "--fail-belov", "3"], ["--fail-belov", "--fail-below"]),
        (["scan", ".", "--fail-below", "101"], ["--fail-below 101", "100"]),
        (["scan", ".", "--fail-below", "nan"], ["--fail-below nan"]),
        (["scan", ".", "--timeout", "soon"], ["--timeout soon"]),
        (["scan", ".", "--timeout"], ["--timeout"]),
        (["scan", ".", "--env", "TOKEN"], ["--env", "NAME=VALUE"]),
        (["scan", ".", "--env", "=x"], ["--env", "NAME=VALUE"]),
        (["scan", ".", "--fail-on", "critical,bad"], ["--fail-on bad", "'high'"]),
        (["scan", ".", "--memory", "lots"], ["--memory lots", "256m"]),
        (["scan", ".", "--memory", "1k"], ["--memory 1024"]),
        (["scan", ".", "--profile", "strict"], ["--profile strict", "'seed'"]),
        (["scna", "."], ["'scna'", "scan"]),
        (["judge"], ["REPORT"]),
        (["rules", "runs-as-rot"], ["'runs-as-rot'", "Did you mean runs-as-root?"]),
        (["rules", "\x1b[31m"], [r"\x1b[31m"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(door: Door, arguments: list[str], named: list[str]):
    done = door.run(*arguments)
    check_refused(done, *named)
    assert not door.out.exists()


def test_no_secret_is_repeated(door: Door):
    assert "hunter2" not in door.run("scan", ".", "--env", "9=hunter2").err


def bounds() -> Iterator[tuple[str, Any]]:
    """Every number that a setting does not take, next to those that it does."""
    for name, field in Settings.model_fields.items():
        for bound in field.metadata:
            for kind, beyond in (("ge", -1), ("le", 1), ("gt", 0), ("lt", 0)):
                if (limit := getattr(bound, kind, None)) is not None:
                    yield name, limit + beyond


@pytest.mark.parametrize(("name", "value"), list(bounds()))
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float):
    with pytest.raises(BadInput) as caught:
        load({"image": "x", name: str(value)})
    assert caught.value.what.startswith(option(name))


def test_a_misspelt_setting_is_refused_with_a_suggestion():
    with pytest.raises(BadInput, match="--memroy; did you mean --memory"):
        load({"image": "x", "memroy": "1g"})


@pytest.mark.parametrize(
    "command", [[], ["scan"], ["judge"], ["rules"], ["doctor"], ["clean"], ["baseline"]]
)
def test_help(door: Door, command: list[str]):
    done = door.run(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(" ".join(["Usage: mcp-sandbox", *command]))
    if command == ["scan"]:
        shown = {word for word in done.out.split() if word.startswith("--")}
        named = {option(name) for name in Settings.model_fields} - {"--context", "--args"}
        assert named <= shown


def test_without_a_command_it_shows_the_help_and_is_no_success(door: Door):
    done = door.run()
    assert (done.code, done.out) == (2, "")
    assert "Usage: mcp-sandbox" in done.err


# --- no engine ------------------------------------------------------------------------------------


def check_no_engine(done: Done, address: str) -> None:
    assert done.code == 3
    assert address in done.sentence
    assert "DOCKER_HOST" in done.way_out
    report = done.report
    jsonschema.validate(report, SCHEMA)
    assert (report["verdict"], report["score"], report["observations"]) == ("error", None, None)
    assert done.sentence in report["error"]
    assert done.files() == {"report.json", "summary.md", "evidence"}
    assert done.out.splitlines()[0] == "ERROR  no score"
    assert "no findings" not in done.out


def test_no_engine(door: Door):
    address = door.environment["DOCKER_HOST"]
    check_no_engine(door.run("scan", "."), address)
    as_json = door.run("scan", "--json", "--quiet", ".")
    assert as_json.out == (door.out / "report.json").read_text()
    assert len(as_json.err.splitlines()) == 2
    cleaned = door.run("clean")
    assert (cleaned.code, cleaned.out) == (3, "")
    assert address in cleaned.sentence
    doctor = door.run("doctor")
    assert (doctor.code, doctor.err) == (3, "")
    assert doctor.out.startswith(f"missing  engine: No Docker engine answers at {address}.\n")


def test_an_address_of_a_kind_that_cannot_be_used(door: Door):
    done = door.run("scan", ".", DOCKER_HOST="ssh://somewhere")
    assert done.code == 3
    assert "ssh://somewhere" in done.sentence
    assert "unix://" in done.way_out


class Silent:
    """An engine's socket that takes connections and says nothing."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / "silent.sock"))
        self._socket.listen()
        self._socket.settimeout(60)
        self.address = f"unix://{folder}/silent.sock"

    def visited(self) -> socket.socket:
        """Wait for a connection that asks something."""
        while True:
            connection = self._socket.accept()[0]
            if connection.recv(1):
                return connection
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module", autouse=True)
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A scan with a silent engine: begun first and ended last, because it waits for a while."""
    folder = tmp_path_factory.mktemp("silent")
    engine = Silent(folder)
    door = Door(folder, engine.address)
    yield door.start("scan", "."), engine.address
    door.close()
    engine.close()


def test_stopped_while_the_engine_says_nothing(door: Door, tmp_path: Path):
    engine = Silent(tmp_path)
    running = door.start("scan", ".", DOCKER_HOST=engine.address)
    with engine.visited():
        running.signal(signal.SIGTERM)
        done = running.end(within=PROMISED)
    engine.close()
    assert (done.code, done.sentence) == (3, "Interrupted.")
    assert done.report["verdict"] == "error"


# --- the results folder ---------------------------------------------------------------------------


def link(at: Path, target: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "out", "why"),
    [
        (lambda at: (at / "f").write_text("mine"), "f", "Not a directory"),
        (lambda at: (at / "f").write_text("mine"), "f/below", "Not a directory"),
        (lambda at: link(at / "l", at), "l", "is a link"),
        (lambda at: link(at / "o" / "evidence", at), "o", "is a link"),
        (lambda at: (at / "o" / "report.json").mkdir(parents=True), "o", "directory"),
        (lambda at: None, "/proc/nowhere", "No such file"),
    ],
    ids=["file", "below-a-file", "link", "evidence-link", "report-is-a-folder", "not-writable"],
)
def test_a_folder_that_cannot_hold_results(
    door: Door, tmp_path: Path, make: Callable[[Path], object], out: str, why: str
):
    make(tmp_path)
    done = door.run("scan", "--out", tmp_path / out, ".")
    check_refused(done, "--out", str(tmp_path / out), why)
    assert "--out" in done.way_out or "folder" in done.way_out
    if (tmp_path / "f").exists():
        assert (tmp_path / "f").read_text() == "mine"


def test_links_that_a_checkout_put_there_are_not_followed(door: Door, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    before = victim.stat()
    for name in ("report.json", "report.json.partial", "summary.md", "summary.md.partial"):
        link(door.out / name, victim)
    if os.geteuid() == 0:
        os.chown(door.out, 12345, 12345)
    done = door.run("scan", ".")
    check_no_engine(done, door.environment["DOCKER_HOST"])
    after = victim.stat()
    assert victim.read_text() == "mine"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert not (door.out / "report.json").is_symlink()


def test_results_of_an_earlier_run_do_not_stay(door: Door):
    (door.out / "evidence").mkdir(parents=True)
    for name in ("report.json", "results.sarif", "summary.md", "evidence/1-main.jsonl"):
        (door.out / name).write_text("stale")
    done = door.run("scan", ".")
    assert done.files() == {"report.json", "summary.md", "evidence"}
    assert list((door.out / "evidence").iterdir()) == []
    assert "stale" not in (door.out / "summary.md").read_text()


# --- streams that nobody reads --------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["rules"], ["scan", "--json", "."], ["doctor"]])
def test_a_closed_pipe_is_no_failed_gate(door: Door, arguments: list[str]):
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        door.argv(*arguments),
        check=False,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=door.environment,
        cwd=door.home,
    )
    os.close(theirs)
    assert done.returncode == 3
    assert b"error: Standard output could not be written: Broken pipe." in done.stderr


def test_progress_that_cannot_be_written_does_not_end_a_run(door: Door):
    full = ["sh", "-c", '"$@" 2>/dev/full', "sh"]
    done = door.run("scan", ".", under=full)
    assert (done.code, done.err) == (3, "")
    assert "No Docker engine answers" in done.report["error"]


# --- judge ----------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "saved.json"
    path.write_bytes(report_json.dump(sample_report()))
    return path


def test_judge_needs_no_engine(door: Door, saved: Path):
    done = door.run("judge", "--json", saved)
    assert done.code in {0, 1, 3}
    jsonschema.validate(json.loads(done.out), SCHEMA)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda at: at.write_bytes(at.read_bytes()[:-20]), "truncated"),
        (lambda at: at.write_text("score: 100\n"), "not whole JSON"),
        (lambda at: at.write_text("[1]"), "not a report"),
        (lambda at: at.write_bytes(b"\xff\xfe"), "not whole JSON"),
        (lambda at: at.write_text("[" * 100_000), "not whole JSON"),
        (
            lambda at: change(at, schema_version=SCHEMA_VERSION + 1),
            f"schema version {SCHEMA_VERSION + 1}",
        ),
        (lambda at: change(at, unknown=1), "damaged"),
        (lambda at: change(at, score="high"), "damaged at score"),
        (lambda at: change(at, observations=None), "holds no observations"),
        (lambda at: os.truncate(at, 2**31), "larger than 256 MiB"),
        (lambda at: at.unlink(), "No such file"),
        (lambda at: (at.unlink(), at.mkdir()), "Is a directory"),
    ],
    ids=[
        "truncated",
        "not-json",
        "no-report",
        "not-text",
        "nested",
        "other-version",
        "unknown-key",
        "other-type",
        "no-observations",
        "too-large",
        "missing",
        "folder",
    ],
)
def test_a_report_that_cannot_be_judged(
    door: Door, saved: Path, spoil: Callable[[Path], object], named: str
):
    spoil(saved)
    done = door.run("judge", saved)
    check_refused(done, str(saved), named)
    assert "mcp-sandbox scan" in done.way_out


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values))


def test_a_run_that_broke_off_is_not_judged_to_be_whole(door: Door, saved: Path):
    change(saved, verdict="error", error="Interrupted.")
    done = door.run("judge", "--json", "--fail-on", "none", saved)
    assert done.code == 3
    report = json.loads(done.out)
    assert (report["verdict"], report["score"], report["error"]) == ("error", None, "Interrupted.")


# --- lock file and policy -------------------------------------------------------------------------

LOCK = lock_file.dump(Lock("0.1.0", items=(item("find"),)))


def test_a_hostile_lock_file_ends_the_run_before_it_begins_and_says_nothing_itself(door: Door):
    """There is no engine here: a run that came so far would end otherwise."""
    hostile = LOCK.replace(b'"version": 1', b'"version": 1, "\\u001b[31m::error::x": 1')
    (door.home / LOCK_FILE).write_bytes(hostile)
    done = door.run("scan", ".")
    assert done.code == 2, done.err
    assert LOCK_FILE in done.sentence
    assert "\x1b" not in done.err
    assert done.way_out
    assert done.report["verdict"] == "error"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["scan", ".", "--baseline", "absent.json"], ["--baseline", "absent.json", "no such file"]),
        (["scan", ".", "--config", "absent.toml"], ["--config", "absent.toml", "no such file"]),
        (["scan", ".", "--baseline-image", "-x"], ["image reference"]),
        (["scan", ".", "--baseline-image", "x", "--baseline", "y"], ["--baseline-image"]),
        (["scan", ".", "--trust", "me"], ["--trust me"]),
        (["scan", ".", "--out", "."], ["--out .", "lock file"]),
        (["baseline", "diff", ".", "--report", "x"], ["--report"]),
        (["baseline", "diff", "--report", "absent.json"], ["absent.json"]),
        (["baseline", "write"], ["folder", "--image"]),
        (["baseline", "write", ".", "--fail-on", "none"], ["--fail-on"]),
        (["baseline", "wirte"], ["'wirte'"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: list[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    (tmp_path / LOCK_FILE).write_bytes(LOCK)
    with pytest.raises(BadInput) as caught:
        run(arguments)
    for text in named:
        assert text in caught.value.what
    assert caught.value.next_step
    assert (tmp_path / LOCK_FILE).read_bytes() == LOCK


def test_a_lock_file_is_kept_when_there_is_no_new_one(door: Door):
    (door.home / LOCK_FILE).write_bytes(LOCK)
    done = door.run("baseline", "write", ".")
    assert (done.code, done.out) == (3, "")
    assert "No Docker engine answers" in done.sentence
    assert (door.home / LOCK_FILE).read_bytes() == LOCK


def test_a_report_without_a_comparison_has_no_diff(door: Door, saved: Path):
    done = door.run("baseline", "diff", "--report", saved)
    assert (done.code, done.out) == (3, "")
    assert "nothing to compare with" in done.sentence
    assert "baseline write" in done.way_out


def test_a_saved_report_is_compared_with_a_lock_file(door: Door, saved: Path):
    """What is gained is a regression, also where the run did not see everything."""
    (door.home / "empty.lock.json").write_bytes(lock_file.dump(Lock("0.1.0")))
    given = ("baseline", "diff", "--report", saved, "--baseline", "empty.lock.json")
    done = door.run(*given)
    assert done.code == 1, done.err
    assert "read_file" in done.out
    as_json = json.loads(door.run(*given, "--json").out)
    assert as_json["regressions"] > 0
    assert as_json["baseline"]["state"] == "used"
    judged = json.loads(door.run("judge", saved, "--baseline", "empty.lock.json", "--json").out)
    jsonschema.validate(judged, SCHEMA)
    assert len(judged["changes"]) == len(as_json["changes"])


# --- rules ----------------------------------------------------------------------------------------


def test_rules_lists_all_and_explains_one(door: Door):
    listed = door.run("rules")
    assert (listed.code, listed.err) == (0, "")
    assert {info.id for info in rule_infos()} <= set(listed.out.split())
    info = rule_infos()[0]
    told = door.run("rules", info.id)
    assert (told.code, told.err) == (0, "")
    for text in (info.title, info.what, info.proof, info.quiet_when, info.fix):
        assert text in told.out


# --- last, because it was begun first -------------------------------------------------------------


def test_an_engine_that_says_nothing_is_given_up(patient: tuple[Running, str]):
    running, address = patient
    check_no_engine(running.end(), address)
