"""Twenty changes of a server are classed as a reviewer would, by real scans of real containers.

The lock file is written once, of the first version; every other version is scanned against it.
``tests/servers/drift`` holds the versions, and in ``expect.toml`` what has to be said of each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.model.locked import LOCK_FILE
from support import acting, drift
from support.front_door import QUICK, Done
from support.on_engine import CORPUS_FILES
from support.scanning import Scanner

pytestmark = pytest.mark.engine

EXPECT = drift.expectations()
OPTIONS = (*QUICK, "--max-calls", "40")
"""Of every run: with the ordinary calls, each tool is called more than five times."""
AT_ONCE = 2


@pytest.fixture(scope="module")
def image(build: Any) -> ImageFacts:
    made: ImageFacts = build(acting.WITH_TOOLS + acting.start(drift.FAMILY), CORPUS_FILES)
    return made


class Scans:
    """Runs the command on versions of one image; nothing may be left of any."""

    def __init__(self, folder: Path, image: str, scanner: Scanner):
        self.folder, self.image, self.scanner = folder, image, scanner

    def run(self, version: str, *command: object) -> Done:
        """One run; ``command`` has its own options with it."""
        words = [*OPTIONS, "--image", self.image, "--", version]
        return self.scanner.run(self.folder / version, command, words)

    def against(self, lock: Path, version: str) -> Done:
        """A scan of a version against the lock file."""
        return self.run(version, "scan", "--baseline", lock)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, scanner: Scanner, image: ImageFacts) -> Scans:
    return Scans(tmp_path_factory.mktemp(drift.FAMILY), image.id, scanner)


@pytest.fixture(scope="module")
def lock(scans: Scans) -> Path:
    """The lock file of the first version, as the command writes it."""
    path = scans.folder / LOCK_FILE
    done = scans.run(drift.BASE, "baseline", "write", "--file", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="module")
def scanned(request: pytest.FixtureRequest, scans: Scans, lock: Path) -> dict[str, Done]:
    """One whole scan of each version that a selected test asks for."""
    wanted = drift.selected(request)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(partial(scans.against, lock), wanted), strict=True))


@pytest.mark.parametrize("version", sorted(EXPECT))
def test_a_change_is_classed_as_a_reviewer_would(version: str, scanned: dict[str, Done]):
    report = scanned[version].report
    expected = EXPECT[version].get("drift", [])
    found, wanted = drift.keys(report["drift"]), drift.keys(expected)
    # Nothing but what was expected above a note, and of notes at least those.
    assert drift.regressions(report["drift"]) == drift.regressions(expected), drift.shown(report)
    assert set(wanted) <= set(found), drift.shown(report)
    for one in expected:
        assert drift.unsaid(report, one) == [], drift.shown(report)


@pytest.mark.parametrize("version", sorted(EXPECT))
def test_the_gate_holds_or_fails_by_it(version: str, scanned: dict[str, Done]):
    done = scanned[version]
    assert done.code in {0, 1}, done.err
    assert drift.gate(done.report) == EXPECT[version]["gate"], drift.shown(done.report)
    assert done.code == 1 or EXPECT[version]["gate"] == "holds"


@pytest.mark.parametrize("version", ["nothing"])
def test_the_same_once_more_is_no_change(version: str, scanned: dict[str, Done]):
    """Not even a note."""
    report = scanned[version].report
    assert (report["drift"], report["changes"]) == ([], []), drift.shown(report)
