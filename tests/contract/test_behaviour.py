"""What servers do is reported with its proof, and what only looks like it is not.

The command scans every mode of ``tests/servers/behaviour``; ``expect.toml`` there says what has to
come of it. No mode is told apart from an ordinary server by anything but what it does.
"""

from __future__ import annotations

import re

import pytest

from support import acting
from support.front_door import Done
from support.scanning import found, missing, reported, shown

pytestmark = pytest.mark.engine

FAMILY = "behaviour"
EXPECT = acting.expectations(FAMILY)


@pytest.mark.parametrize("mode", sorted(EXPECT))
def test_the_verdict_is_the_expected_one(mode: str, scans: dict[str, Done]):
    done = scans[mode]
    assert done.code in {0, 1}, done.err
    assert done.report["verdict"] == EXPECT[mode]["verdict"], shown(done.report)


@pytest.mark.parametrize("mode", [mode for mode in sorted(EXPECT) if "must" in EXPECT[mode]])
def test_what_a_server_does_is_reported(mode: str, scans: dict[str, Done]):
    report = scans[mode].report
    assert missing(report, EXPECT[mode]["must"]) == [], shown(report)


@pytest.mark.parametrize("mode", [mode for mode in sorted(EXPECT) if "must" in EXPECT[mode]])
def test_what_is_reported_rests_on_more_than_words(mode: str, scans: dict[str, Done]):
    """No text alone, and every proof names lines that are there."""
    done = scans[mode]
    for subject, wanted in EXPECT[mode]["must"].items():
        for rules in wanted:
            for one in found(done.report, subject, rules):
                assert one["evidence"] != "E5", one
                for place in one["seen"]:
                    name, _, number = place.rpartition(":")
                    lines = (done.folder / name).read_bytes().count(b"\n")
                    assert 1 <= int(number) <= lines, place


@pytest.mark.parametrize("mode", [mode for mode in sorted(EXPECT) if EXPECT[mode].get("quiet")])
def test_what_only_looks_alike_is_not_reported(mode: str, scans: dict[str, Done]):
    report = scans[mode].report
    assert reported(report) == [], shown(report)


@pytest.mark.parametrize("mode", ["thief"])
def test_no_planted_secret_is_written_down(mode: str, scans: dict[str, Done]):
    """Every way out of the thief's ends in an evidence file, and its loot must not."""
    done = scans[mode]
    loot = re.compile(rb"BACKUP_API_KEY=[0-9A-Za-z]{25}")
    for path in (done.folder / "evidence").iterdir():
        assert not loot.search(path.read_bytes()), path.name
    assert "<planted:env:BACKUP_API_KEY>" in (done.folder / "report.json").read_text()
