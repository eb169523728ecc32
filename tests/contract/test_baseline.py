"""``baseline write``, ``baseline diff`` and ``--baseline-image`` on a real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.model.locked import LOCK_FILE
from support import drift_life as life
from support.front_door import QUICK, Done, Door

pytestmark = pytest.mark.engine

Build = Callable[..., ImageFacts]
FEW = (*QUICK, "--max-calls", "40")
FILES = {path.name: path.read_text() for path in sorted(life.SOURCES.iterdir())}
DOCKERFILE = FILES.pop("Dockerfile")


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A folder with a server."""
    folder = tmp_path / "server"
    shutil.copytree(life.SOURCES, folder)
    return folder


def ask(door: Door, command: str, *arguments: object) -> Done:
    """A command of ``baseline``."""
    helper = door.options[door.options.index("--helper-image") + 1]
    given = ("--helper-image", helper, *FEW, "--out", door.out)
    return door.run("baseline", command, *given, *arguments)


def test_a_lock_file_is_written_compared_with_and_brought_up_to_date(door: Door, server: Path):
    lock = server / LOCK_FILE
    first = ask(door, "write", server)
    assert (first.code, first.out) == (0, f"{lock}: written\n"), first.err
    before = lock.read_bytes()
    assert "tools/count_books" in json.loads(before)["items"]

    same = ask(door, "diff", server)
    assert same.code == 0, same.out + same.err

    life.TELEMETRY(server)
    differs = ask(door, "diff", server)
    assert differs.code == 1, differs.err
    assert life.ENDPOINT in differs.out
    assert "server.py:" in differs.out

    saved = door.run("baseline", "diff", "--report", door.out / "report.json", "--json")
    assert saved.code == 1, saved.err
    gained = [one["after"] for one in json.loads(saved.out)["changes"]]
    assert life.ENDPOINT in gained

    partly = ask(door, "write", server, "--max-calls", "1")
    assert (partly.code, partly.out) == (3, ""), partly.err
    assert "The old one stays as it is." in partly.sentence
    assert partly.detail
    assert lock.read_bytes() == before

    second = ask(door, "write", server)
    assert second.code == 0, second.err
    assert life.ENDPOINT in second.out
    assert second.out.endswith(f"{lock}: written\n")
    assert life.ENDPOINT in lock.read_text()
    third = ask(door, "write", server)
    assert third.out.endswith(f"{lock}: up to date\n")


def test_another_image_takes_the_place_of_a_lock_file(door: Door, server: Path, build: Build):
    """Both run in one job; only the new one is reported."""
    old = build(DOCKERFILE, FILES).id
    given = ("--baseline-image", old, "--max-calls", "40")
    same = door.run("scan", server, *given)
    assert same.code == 0, same.out + same.err
    report = same.report
    assert (report["baseline"]["state"], report["drift"]) == ("used", [])
    assert [one["transcript"]["role"] for one in report["observations"]["sessions"]].count(
        "main"
    ) == 1

    life.all_of(life.TELEMETRY, life.REMOVED)(server)
    worse = door.run("scan", server, *given)
    assert worse.code == 1, worse.out + worse.err
    told = {one["rule"]: one["class"] for one in worse.report["drift"]}
    assert told["new-network-endpoint"] == "high"
    assert told["tool-removed"] == "note"
    assert "stale-baseline" not in told


def test_another_image_that_is_not_there_ends_the_run_before_it_begins(door: Door, server: Path):
    absent = "mcp-sandbox-test-no-such-image:1"
    done = door.run("scan", server, "--baseline-image", absent)
    assert done.code == 2, done.err
    assert absent in done.sentence
    assert "build" not in done.report["run"]["phases"]


def test_another_image_that_says_nothing_is_no_baseline(door: Door, server: Path, build: Build):
    mute = build('FROM debian:trixie-slim\nENTRYPOINT ["/bin/false"]\n').id
    done = door.run("scan", server, "--baseline-image", mute, "--max-calls", "40")
    assert done.code == 3, done.out + done.err
    assert "nothing to compare with" in done.out
    report = done.report
    assert (report["verdict"], report["findings"]) == ("inconclusive", [])
    assert report["baseline"]["state"] == "unreadable"
