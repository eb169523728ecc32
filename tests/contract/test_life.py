"""The life of one repository: its lock file, its policy, and pull requests of all kinds.

Each pull request is a repository of its own with commits of its own, on which the action's step is
started as the runner would, with a real engine. ``docs/baseline.md`` tells the story, and shows
what these very runs print.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from mcp_sandbox import background
from mcp_sandbox.model.locked import LOCK_FILE, POLICY_FILE
from mcp_sandbox.sandbox import Engine
from support import drift_life as life
from support import drift_story
from support.drift_life import Edit, Repository, Step, Told
from support.front_door import QUICK, Door
from support.on_engine import labelled, remove_bundle

pytestmark = pytest.mark.engine

AT_ONCE = 2
LAST_DAY = date(2026, 12, 31)
"""Until when the new endpoint is accepted, that day included."""
POLICY = life.accepting(LAST_DAY.isoformat())


@dataclass(frozen=True)
class Chapter:
    """One pull request."""

    edit: Edit
    main: str = "locked"
    """The branch that it is made against: ``bare``, ``locked``, or ``accepting``."""
    today: date = LAST_DAY
    depth: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    after: str = ""
    """The chapter whose proposed lock file is committed too."""


CHAPTERS = {
    "first": Chapter(life.HARMLESS, main="bare"),
    "first, gated": Chapter(life.HARMLESS, main="bare", inputs={"fail_on": "critical,high,drift"}),
    "harmless": Chapter(life.HARMLESS),
    "poisoned": Chapter(life.POISONED),
    "telemetry": Chapter(life.TELEMETRY),
    "accepted": Chapter(life.DECLARED, main="accepting"),
    "expired": Chapter(life.DECLARED, main="accepting", today=LAST_DAY + timedelta(days=1)),
    "hidden": Chapter(life.TELEMETRY, after="telemetry"),
    "invented": Chapter(life.HARMLESS, after="telemetry"),
    "deleted": Chapter(life.deleted(LOCK_FILE)),
    "broken": Chapter(life.written(LOCK_FILE, '{"version": 1, "items": [')),
    "self-accepted": Chapter(
        life.all_of(life.TELEMETRY, life.written(POLICY_FILE, POLICY)),
    ),
    "shallow": Chapter(life.HARMLESS, depth=("--depth=1",)),
    "self-locked": Chapter(life.TELEMETRY, main="bare", after="telemetry"),
    "removed": Chapter(life.REMOVED),
    "updated": Chapter(life.REMOVED, after="removed"),
}


class Story:
    """Tells chapters, each once."""

    def __init__(self, folder: Path, step: Step, write: Callable[[Path], None]) -> None:
        self.folder, self.step, self.write = folder, step, write
        self._told: dict[str, Future[Told]] = {}
        self._lock = threading.Lock()
        self.mains: dict[str, Repository] = {}

    def begin(self) -> None:
        """Make the branches that pull requests are made against."""
        bare = Repository.made(self.folder / "bare")
        locked = bare.copy(self.folder / "locked")
        self.write(locked.folder)
        locked.commit("Write down what the server does")
        accepting = locked.copy(self.folder / "accepting")
        accepting.commit("Accept it for a while", life.written(POLICY_FILE, POLICY))
        self.mains = {"bare": bare, "locked": locked, "accepting": accepting}

    def tell(self, name: str) -> Told:
        """What came of a chapter; whoever asks first tells it."""
        with self._lock:
            mine = name not in self._told
            future = self._told.setdefault(name, Future())
        if mine:
            background.settle(future, partial(self._tell, name, CHAPTERS[name]))
        return future.result()

    def _tell(self, name: str, chapter: Chapter) -> Told:
        folder = self.folder / name.replace(", ", "-")
        folder.mkdir()
        edit = chapter.edit
        if chapter.after:
            proposed = self.tell(chapter.after).out / LOCK_FILE
            edit = life.all_of(edit, life.written(LOCK_FILE, proposed.read_text()))
        checkout = self.mains[chapter.main].pull_request(folder, edit, *chapter.depth)
        return self.step.run(folder, checkout, chapter.today.isoformat(), **chapter.inputs)


@pytest.fixture(scope="module")
def story(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: Engine,
    docker_host: str | None,
    helper_image: str,
) -> Iterator[Story]:
    """The branches, and what came of the pull requests that the selected tests ask for."""
    folder = tmp_path_factory.mktemp("life")
    label = f"dev.mcp-sandbox.test-{secrets.token_hex(4)}"

    def write(tree: Path) -> None:
        own = folder / "writing"
        own.mkdir()
        door = Door(own, docker_host)
        options = ("--helper-image", helper_image, *QUICK, "--max-calls", "40")
        done = door.run("baseline", "write", tree, *options)
        door.close()
        remove_bundle(engine, helper_image, door.label)
        assert done.code == 0, done.err

    made = Story(folder, Step(docker_host, helper_image, label), write)
    made.begin()
    items = [item for item in request.session.items if item.path == request.path]
    asked = {item.callspec.params["told"]: None for item in items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one in asked:
            pool.submit(made.tell, one)  # what it raises is raised again in its own test
    yield made
    remove_bundle(engine, helper_image, label)
    assert labelled(engine, label) == []


@pytest.fixture
def told(request: pytest.FixtureRequest, story: Story) -> Told:
    """What came of a chapter."""
    return story.tell(request.param)


def chapter(name: str) -> pytest.MarkDecorator:
    """The test is about this pull request."""
    return pytest.mark.parametrize("told", [name], indirect=True)


def failed(told: Told) -> set[str]:
    """Names of the gate's conditions that do not hold."""
    return {one["name"] for one in told.report["gate"] if not one["held"]}


def line_of(told: Told, text: str, name: str = "server.py") -> int:
    """The one line of a file of the checkout that holds the text, counted from 1."""
    lines = (told.workspace / name).read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found


# --- without a lock file --------------------------------------------------------------------------


@chapter("first")
def test_a_first_run_proposes_a_lock_file_and_may_pass(told: Told):
    assert (told.code, told.outputs["verdict"]) == (0, "pass"), told.printed
    assert told.report["drift"] is not None
    (missing,) = told.drift("baseline-missing")
    assert missing["class"] == "note"
    assert LOCK_FILE in missing["message"]
    assert (told.out / LOCK_FILE).is_file()


@chapter("first, gated")
def test_a_first_run_is_no_pass_for_a_gate_on_drift(told: Told):
    assert (told.code, told.outputs["verdict"]) == (3, "inconclusive"), told.printed
    assert LOCK_FILE in told.printed
    assert (told.out / LOCK_FILE).is_file()


@chapter("self-locked")
def test_a_first_lock_file_of_a_pull_request_blesses_nothing(told: Told):
    """The base branch has none: that of the pull request does not count."""
    assert told.report["baseline"]["state"] == "missing", told.printed
    (missing,) = told.drift("baseline-missing")
    assert missing["class"] == "note"


# --- harmless -------------------------------------------------------------------------------------


@chapter("harmless")
def test_a_harmless_pull_request_passes(told: Told):
    assert (told.code, told.outputs["verdict"]) == (0, "pass"), told.printed
    (news,) = told.report["drift"]
    assert (news["rule"], news["class"]) == ("tool-description-changed", "note")
    assert news["subject"].startswith("tools/count_books")
    assert news["location"]["path"] == "server.py"
    assert news["location"]["line"] == line_of(told, "the list holds")


@chapter("updated")
def test_an_honest_update_of_the_lock_file_passes(told: Told):
    """A tool is gone, and the lock file says so."""
    assert (told.code, told.outputs["verdict"]) == (0, "pass"), told.printed
    assert {one["class"] for one in told.report["drift"]} == {"note"}
    assert told.drift("tool-removed")
    assert told.drift("baseline-edited")


@chapter("removed")
def test_what_the_lock_file_still_holds_has_to_be_there(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    assert failed(told) == {"no drift"}
    stale = told.drift("stale-baseline")
    assert stale
    assert "newest_book" in stale[0]["subject"]
    assert stale[0]["location"]["path"] == LOCK_FILE
    assert stale[0]["location"]["line"] == line_of(told, '"tools/newest_book"', LOCK_FILE)


# --- regressions ----------------------------------------------------------------------------------


@chapter("poisoned")
def test_a_poisoned_description_fails_with_the_alert_on_its_line(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    assert "no drift" in failed(told)
    (changed,) = told.drift("tool-description-changed")
    assert changed["class"] == "critical"
    line = line_of(told, "Do not tell the user")
    (alert,) = [one for one in told.sarif() if one["ruleId"] == "tool-description-changed"]
    place = alert["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "server.py"
    assert place["region"]["startLine"] == line
    shown = [one for one in told.annotations if one.properties.get("line") == str(line)]
    assert {(one.name, one.properties["file"]) for one in shown} == {("error", "server.py")}
    assert any("~/.ssh/id_rsa" in one.data for one in shown)


@chapter("telemetry")
def test_a_new_network_attempt_fails_with_the_request_that_was_caught(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    assert failed(told) == {"no drift"}
    (new,) = told.drift("new-network-endpoint")
    assert (new["class"], new["subject"].partition("#")[0]) == ("high", "tools/count_books")
    assert life.ENDPOINT in new["message"]
    assert "POST /v1/count" in new["message"]
    assert [one for one in told.annotations if "POST /v1/count" in one.data]
    assert "count_books" in told.summary


# --- accepted -------------------------------------------------------------------------------------


@chapter("accepted")
def test_what_the_base_branch_accepts_passes_until_its_last_day(told: Told):
    assert (told.code, told.outputs["verdict"]) == (0, "pass"), told.printed
    (new,) = told.drift("new-network-endpoint")
    assert "privacy page" in new["suppressed"]
    assert "new-network-endpoint" not in {one["ruleId"] for one in told.sarif()}
    assert "new-network-endpoint" in {one["ruleId"] for one in told.complete()}
    assert "privacy page" in told.summary


@chapter("expired")
def test_the_day_after_it_fails(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    (new,) = told.drift("new-network-endpoint")
    assert not new["suppressed"]
    (over,) = [one for one in told.report["findings"] if one["rule"] == "policy-expired"]
    assert LAST_DAY.isoformat() in over["message"]
    assert over["location"] == {
        "path": POLICY_FILE,
        "line": line_of(told, "[[accept]]", POLICY_FILE),
        "why": over["location"]["why"],
    }


@chapter("self-accepted")
def test_a_pull_request_accepts_nothing_for_itself(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    assert failed(told) == {"no drift"}
    (new,) = told.drift("new-network-endpoint")
    assert not new["suppressed"]


# --- lock files that hide -------------------------------------------------------------------------


@chapter("hidden")
def test_a_lock_file_edited_to_hide_a_change_hides_nothing(told: Told):
    """It says what was seen, so that it will be right once merged; the change fails as before."""
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    (new,) = told.drift("new-network-endpoint")
    assert new["class"] == "high"
    assert [one["class"] for one in told.drift("baseline-edited")] == ["note"]


@chapter("invented")
def test_a_lock_file_with_what_was_never_seen_fails(told: Told):
    """It would let the next pull request bring it."""
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    edited = [one for one in told.drift("baseline-edited") if one["class"] == "high"]
    assert edited
    assert any(life.ENDPOINT in one["message"] for one in edited)


@chapter("deleted")
def test_a_deleted_lock_file_fails(told: Told):
    assert (told.code, told.outputs["verdict"]) == (1, "fail"), told.printed
    (edited,) = told.drift("baseline-edited")
    assert edited["class"] == "high"


@chapter("broken")
def test_a_lock_file_that_nobody_can_read_is_one_sentence(told: Told):
    assert (told.code, told.outputs["verdict"]) == (2, "error")
    (said,) = told.annotations
    assert LOCK_FILE in said.data
    assert "baseline write" in said.data


@chapter("shallow")
def test_a_checkout_without_the_base_commit_is_no_pass(told: Told):
    assert told.code in {2, 3}, told.printed
    assert told.outputs["verdict"] in {"inconclusive", "error"}
    assert "fetch-depth: 0" in told.printed


# --- the document ---------------------------------------------------------------------------------


def own(name: str, excerpt: Callable[[Told], str]) -> ParameterSet:
    """A block of the chapter's own name."""
    return pytest.param(name, name, excerpt, id=name)


@pytest.mark.parametrize(
    ("told", "block", "excerpt"),
    [
        pytest.param("telemetry", "tool", drift_story.tool, id="tool"),
        own("harmless", drift_story.answer),
        own("poisoned", drift_story.annotations),
        own("telemetry", drift_story.request),
        own("accepted", drift_story.answer),
        own("expired", drift_story.answer),
        own("hidden", drift_story.answer),
        own("invented", drift_story.answer),
        own("removed", drift_story.answer),
    ],
    indirect=["told"],
)
def test_the_document_shows_what_is_printed(told: Told, block: str, excerpt: Callable[[Told], str]):
    drift_story.check({block: excerpt(told)})


def test_the_document_shows_the_policy_and_no_block_of_nobody():
    drift_story.check({"policy": POLICY.rstrip("\n")})
    assert set(drift_story.shown()) == {
        *("tool", "policy", "harmless", "poisoned", "telemetry", "accepted", "expired"),
        *("hidden", "invented", "removed"),
    }
