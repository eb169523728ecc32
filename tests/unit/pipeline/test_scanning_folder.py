"""The scanners' folder goes with its run, also with one that was killed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mcp_sandbox.pipeline.scanning import LOCK, PREFIX, Scanning
from mcp_sandbox.settings import ScannerName, load


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def scanning(*names: ScannerName) -> Scanning:
    return Scanning(load({"image": "x", "scanners": names}), {})


def folders(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def test_it_is_there_while_the_run_lives_and_only_where_something_scans(place: Path):
    with scanning(ScannerName.TRIVY):
        (made,) = folders(place)
        assert made.startswith(PREFIX)
    assert folders(place) == set()
    with scanning():
        assert folders(place) == set()


def test_what_a_kill_left_is_swept_and_what_lives_is_not(place: Path):
    dead = place / f"{PREFIX}dead"
    dead.mkdir()
    (dead / LOCK).touch()
    (dead / "image.tar").write_bytes(b"large")
    os.utime(dead, (0, 0))
    fresh = place / f"{PREFIX}fresh"
    fresh.mkdir()
    target = place / "kept"
    target.mkdir()
    (place / f"{PREFIX}link").symlink_to(target)
    with scanning(ScannerName.TRIVY):
        (alive,) = folders(place) - {"kept", f"{PREFIX}link", fresh.name}
        os.utime(place / alive, (0, 0))
        with scanning(ScannerName.TRIVY):
            assert alive in folders(place)
            assert dead.name not in folders(place)
    assert folders(place) == {"kept", f"{PREFIX}link", fresh.name}
