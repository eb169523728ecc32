"""A server that refuses what its schemas admit: repairs change no verdict, and no lock.

``tests/servers/strict`` is asked again as its refusals say, in the traced run and in the untraced
one. Ids of its own differ by run with ``--random``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mcp_sandbox import rules
from mcp_sandbox.baseline import file
from mcp_sandbox.model import ImageFacts, Profile, ToolOutcome
from mcp_sandbox.model.answer import Report
from mcp_sandbox.pipeline import comparing
from mcp_sandbox.report import json as report_json
from support.front_door import Done
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import OPTIONS, Scanner, shown

pytestmark = pytest.mark.engine

START = 'ENTRYPOINT ["python3", "-B", "/srv/servers/strict/server.py"]\n'
RUNS = {"one": [], "other": [], "random": ["--random"]}


@pytest.fixture(scope="module")
def scans(
    scanner: Scanner,
    build: Callable[..., ImageFacts],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Done]:
    """Two scans of the server that gives the same ids each time, one of the other."""
    image = build(WITH_PYTHON + START, CORPUS_FILES)
    wanted = {name: ["--image", image.id, "--", *words] for name, words in RUNS.items()}
    return scanner.scans(wanted, tmp_path_factory.mktemp("strict"), OPTIONS)


def report(done: Done) -> Report:
    """The report of a scan."""
    return report_json.load((done.folder / "report.json").read_bytes())


def lock(done: Done) -> str:
    """The lock file that a scan would have proposed."""
    seen = report(done).observations
    assert seen is not None
    found = rules.evaluate(seen, Profile.DEFAULT)
    return file.dump(comparing.take(seen, Profile.DEFAULT, found).lock)


@pytest.mark.parametrize("run", RUNS)
def test_its_tools_were_called_and_nothing_is_held_against_it(run: str, scans: dict[str, Done]):
    done = scans[run]
    outcomes = {name: tool.outcome for name, tool in report(done).coverage.tools.items()}
    assert outcomes.pop("unlock") is ToolOutcome.NEEDS_CREDENTIALS
    assert set(outcomes.values()) == {ToolOutcome.CALLED}
    assert done.report["verdict"] == "pass", shown(done.report)


@pytest.mark.parametrize("run", RUNS)
def test_the_run_that_nothing_watches_is_asked_the_same(run: str, scans: dict[str, Done]):
    seen = report(scans[run]).observations
    assert seen is not None
    asked = {
        one.transcript.role: [(call.target, call.payload) for call in one.transcript.calls]
        for one in seen.sessions
    }
    assert asked["main"] == asked["untraced"]
    assert ("get_note", "repaired-1") in asked["main"]


def test_the_lock_is_the_same_to_the_byte(scans: dict[str, Done]):
    assert lock(scans["one"]) == lock(scans["other"]) == lock(scans["random"])
