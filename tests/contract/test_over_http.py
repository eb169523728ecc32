"""What only HTTP can be asked, asked of real containers: a careless server, and a careful one."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.model.http import HttpQuestion
from support.front_door import Done
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

CARELESS = {
    "http-clients-mixed": "high",
    "http-cors": "high",
    "http-cross-site-request": "high",
    "http-dns-rebinding": "high",
    "http-session-predictable": "high",
    "http-header-mismatch": "medium",
    "http-method": "medium",
    "http-no-authentication": "medium",
    "http-redirect": "medium",
    "http-request-smuggling": "medium",
    "http-session-fixation": "medium",
    "http-session-survives": "medium",
    "http-session-unchecked": "medium",
    "http-listens-everywhere": "note",
    "http-version-ignored": "note",
}
"""Rule -> its worst class. http-session-shared needs ids that are no others', http-foreign-origin a
server that looks at ``Host``."""


@pytest.fixture(scope="module")
def image(build: Any) -> ImageFacts:
    start = 'ENTRYPOINT ["python3", "-B", "/srv/servers/http/server.py"]\n'
    made: ImageFacts = build(WITH_PYTHON + start, CORPUS_FILES)
    return made


@pytest.fixture(scope="module")
def scans(
    scanner: Scanner, image: ImageFacts, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Done]:
    wanted: dict[str, dict[str, Any]] = {"careful": {}, "careless": {}}
    return scanner.modes(image.id, wanted, tmp_path_factory.mktemp("http"))


def told(done: Done) -> dict[str, str]:
    """The worst class that each rule on HTTP gives."""
    found: dict[str, str] = {}
    for one in done.report["findings"]:
        if one["rule"].startswith("http-"):
            found.setdefault(one["rule"], one["class"])
    return found


def test_a_careless_server_is_told_of(scans: dict[str, Done]):
    done = scans["careless"]
    assert done.code == 1, done.err
    assert told(done) == CARELESS, shown(done.report)


def test_nothing_is_said_of_a_careful_one(scans: dict[str, Done]):
    done = scans["careful"]
    assert done.code == 0, shown(done.report)
    assert told(done) == {}, shown(done.report)


@pytest.mark.parametrize("mode", ["careful", "careless"])
def test_every_question_was_asked(mode: str, scans: dict[str, Done]):
    report = scans[mode].report
    (checks,) = report["observations"]["http"]
    assert {one["question"] for one in checks["answers"]} == {one.value for one in HttpQuestion}
    assert checks["unasked"] == []
    assert report["coverage"]["missing"] == [], shown(report)


def test_findings_name_lines_of_the_evidence(scans: dict[str, Done]):
    done = scans["careless"]
    named = 0
    for one in done.report["findings"]:
        if one["rule"].startswith("http-"):
            for place in one["seen"]:
                name, _, number = place.rpartition(":")
                lines = (done.folder / name).read_bytes().splitlines()
                assert b'"dir": "in"' in lines[int(number) - 1], place
                named += 1
    assert named >= len(CARELESS)
