"""A release's commit: action.yml names its image by digest, and all else stays as generated."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
REFERENCE = f"ghcr.io/org/mcp-sandbox-action@sha256:{'ab' * 32}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "release-image.sh", tmp_path / "scripts")
    shutil.copy(ROOT / "action.yml", tmp_path)
    return tmp_path


def pin(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "release-image.sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_the_image_changes(checkout: Path):
    assert pin(checkout, REFERENCE).returncode == 0
    before = yaml.safe_load((ROOT / "action.yml").read_text())
    after = yaml.safe_load((checkout / "action.yml").read_text())
    assert after["runs"].pop("image") == f"docker://{REFERENCE}"
    del before["runs"]["image"]
    assert after == before


@pytest.mark.parametrize(
    "reference", ["", "ghcr.io/org/x:v1", REFERENCE[:-1], f"{REFERENCE}#", f"x y@{REFERENCE[31:]}"]
)
def test_what_is_no_digest_is_refused(checkout: Path, reference: str):
    done = pin(checkout, reference)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no image reference with a digest" in done.stderr
    assert (checkout / "action.yml").read_text() == (ROOT / "action.yml").read_text()
