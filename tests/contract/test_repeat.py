"""The same server gives the same report again, whatever else the machine does meanwhile.

Two modes of ``tests/servers/behaviour``, one hostile and one honest, are scanned twice; the
reports without their volatile fields have to be equal byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.report import json as report_json
from support import acting
from support.front_door import Done
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

FAMILY = "behaviour"
EXPECT = acting.expectations(FAMILY)
MODES = ("holes", "careful")

Scans = dict[str, list[Done]]


@pytest.fixture(scope="module")
def scans(
    tmp_path_factory: pytest.TempPathFactory,
    scanner: Scanner,
    image: ImageFacts,
    scanned: Callable[[str, Collection[str]], dict[str, Done]],
) -> Scans:
    """Each mode's scans; two modes are scanned at once, so that none has the machine alone."""
    wanted = {mode: EXPECT[mode] for mode in MODES}
    again = scanner.modes(image.id, wanted, tmp_path_factory.mktemp(FAMILY))
    first = scanned(FAMILY, MODES)
    return {mode: [first[mode], again[mode]] for mode in MODES}


def comparable(done: Done) -> dict[str, Any]:
    """A report without what may differ from run to run."""
    report = report_json.load((done.folder / "report.json").read_bytes())
    found: dict[str, Any] = json.loads(report_json.comparable(report))
    return found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (mine, its) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, its, f"{path}[{at}]")
    elif one != other:
        yield f"{path}: {str(one)[:400]} / {str(other)[:400]}"


@pytest.mark.parametrize("mode", MODES)
def test_findings_are_the_same_every_time(mode: str, scans: Scans):
    first, *others = [comparable(done) for done in scans[mode]]
    assert first["verdict"] == EXPECT[mode]["verdict"], shown(scans[mode][0].report)
    assert first["findings"]
    for other in others:
        assert list(differences(first["findings"], other["findings"])) == []


@pytest.mark.parametrize("mode", MODES)
def test_reports_are_the_same_every_time(mode: str, scans: Scans):
    first, *others = [comparable(done) for done in scans[mode]]
    assert first["observations"]["sessions"]
    for other in others:
        assert list(differences(first, other)) == []


def test_a_difference_is_found_wherever_it_is():
    one = {"a": [1, {"b": 2}], "c": 3}
    assert list(differences(one, {"a": [1, {"b": 2}], "c": 3})) == []
    assert list(differences(one, {"a": [1, {"b": 4}]})) == [".a[1].b: 2 / 4", ".c: 3 / None"]
    assert list(differences([1], [1, 2])) == [": [1] / [1, 2]"]
