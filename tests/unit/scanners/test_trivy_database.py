"""One bounded attempt at a database, and the truth about how old it is."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.scanners import Job, ScannerOptions
from mcp_sandbox.scanners.run import find
from mcp_sandbox.scanners.trivy_database import Database, obtain
from support.scanners import fake, job

NOW = datetime.now(UTC)


def metadata(updated: timedelta, following: timedelta, version: int = 2) -> str:
    return json.dumps(
        {
            "Version": version,
            "UpdatedAt": (NOW + updated).isoformat(),
            "NextUpdate": (NOW + following).isoformat().replace("+00:00", "Z"),
        }
    )


CURRENT = metadata(timedelta(days=-3), timedelta(hours=1))


def make(tmp_path: Path, script: str, held: str = "", **options: Any) -> tuple[Job, Path]:
    """A job whose Trivy is ``script``, and whose cache holds a database with that metadata."""
    path = fake(tmp_path, "trivy", f'echo "$@" >>calls\n{script}')
    one = job(tmp_path, path=path, options=ScannerOptions(**options))
    cache = (options.get("trivy_cache") or one.work / "trivy-cache") / "db"
    if held:
        write(cache, held)
    return one, cache


def write(cache: Path, held: str) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "trivy.db").write_bytes(b"x")
    (cache / "metadata.json").write_text(held)


def get(one: Job) -> Database:
    return obtain(one, find("trivy", one), time.monotonic() + 60)


def calls(one: Job) -> list[str]:
    file = one.work / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_a_current_one_is_used_as_it_is(tmp_path: Path) -> None:
    one, _ = make(tmp_path, "exit 1", CURRENT)
    found = get(one)
    day = (NOW - timedelta(days=3)).date()
    assert found == Database(True, "", f"3 days ({day})")
    assert calls(one) == []


def test_one_that_is_due_is_updated_once(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(CURRENT)
    one, cache = make(
        tmp_path,
        f"cp {tmp_path}/new.json trivy-cache/db/metadata.json",
        metadata(timedelta(days=-30), timedelta(days=-29)),
    )
    assert get(one).why == ""
    assert json.loads((cache / "metadata.json").read_text()) == json.loads(CURRENT)
    assert len(calls(one)) == 1
    assert "--download-db-only" in calls(one)[0]
    assert "--db-repository" not in calls(one)[0]


def test_one_that_could_not_be_updated_is_used_while_it_is_young_enough(tmp_path: Path) -> None:
    held = metadata(timedelta(days=-5), timedelta(days=-4))
    one, _ = make(tmp_path, "echo no host >&2; exit 1", held)
    assert (get(one).usable, get(one).why) == (True, "")
    old, _ = make(tmp_path, "echo no host >&2; exit 1", held, trivy_db_max_age_days=4)
    found = get(old)
    assert found.usable
    assert found.why == (
        "Trivy's vulnerability database is 5 days old; more than 4 is too old. "
        "trivy exited with code 1: no host."
    )
    assert len(calls(old)) == 1


@pytest.mark.parametrize(
    "held", ["", "{", "[]", "{}", metadata(timedelta(), timedelta(days=1), version=1)]
)
def test_none_is_told_and_not_asked_for_again(tmp_path: Path, held: str) -> None:
    one, _ = make(tmp_path, "echo no host >&2; exit 1", held)
    for _ in range(2):
        found = get(one)
        assert not found.usable
        assert found.why == (
            "Trivy has no vulnerability database: trivy exited with code 1: no host."
        )
    assert len(calls(one)) == 1


UNREACHABLE = r"""
2026-11-21T08:16:05Z\tFATAL\tFatal error\trun error: init error: DB error: failed to download \
vulnerability DB: OCI artifact error: failed to download vulnerability DB: failed to download \
artifact from mirror.example/aquasec/trivy-db:2: OCI repository error: 1 error occurred:
\t* Get "https://mirror.example/v2/": dial tcp: lookup mirror.example on resolver: no such host

"""


def test_a_mirror_that_is_not_reached_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    """What Trivy 0.74.0 printed where there was no network, its mirror's name replaced."""
    (tmp_path / "stderr").write_text(UNREACHABLE.replace("\\\n", "").replace(r"\t", "\t"))
    one, _ = make(tmp_path, f"cat {tmp_path}/stderr >&2; exit 1")
    assert get(one).why == (
        "Trivy has no vulnerability database: mirror.example could not be reached (no such host); "
        "--trivy-cache names a folder that holds one, --trivy-db another mirror."
    )


def test_a_download_that_brings_nothing_is_no_database(tmp_path: Path) -> None:
    one, _ = make(tmp_path, "exit 0")
    assert get(one) == Database(False, "Trivy has no vulnerability database: there is none.")


def test_mirrors_are_tried_in_order(tmp_path: Path) -> None:
    script = 'case "$*" in *=two/b:2) ;; *) echo "not $*" >&2; exit 1;; esac'
    one, cache = make(tmp_path, script, trivy_db="one/a:2, two/b:2,,three/c:2")
    assert not get(one).usable  # what came holds nothing
    assert [line.rpartition("=")[2] for line in calls(one)] == ["one/a:2", "two/b:2"]
    assert cache.parent.is_dir()


def test_mirrors_share_the_time(tmp_path: Path) -> None:
    script = 'case "$*" in *=a) exec cat /dev/zero >/dev/null;; *) echo late >&2; exit 1;; esac'
    one, _ = make(tmp_path, script, trivy_db="a,b")
    found = obtain(one, find("trivy", one), time.monotonic() + 3)
    assert found.why == "Trivy has no vulnerability database: trivy exited with code 1: late."
    assert len(calls(one)) == 2


def test_a_repository_cannot_become_another_option(tmp_path: Path) -> None:
    one, _ = make(tmp_path, "exit 1", trivy_db="--insecure")
    get(one)
    assert "--db-repository=--insecure" in calls(one)[0]


def test_a_cache_folder_of_the_users(tmp_path: Path) -> None:
    one, _ = make(tmp_path, "exit 1", CURRENT, trivy_cache=tmp_path / "kept")
    assert get(one).why == ""
    (tmp_path / "file").touch()
    two, _ = make(tmp_path, "exit 1", trivy_cache=tmp_path / "file" / "x")
    assert get(two).why == (
        "Trivy has no vulnerability database: its folder cannot be made: Not a directory."
    )


def test_an_age_that_is_not_known_is_told(tmp_path: Path) -> None:
    later = (NOW + timedelta(days=1)).isoformat()
    one, _ = make(tmp_path, "", json.dumps({"Version": 2, "NextUpdate": later, "UpdatedAt": 7}))
    assert get(one) == Database(
        True, "The age of Trivy's vulnerability database is not known.", "unknown"
    )
