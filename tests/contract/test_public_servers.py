"""Public servers, as their users install them: every tool tested, and nothing said in error.

What may be said of them was judged by hand, finding by finding; see ``docs/measured.md``. They are
installed by pip and npm inside the image, at the versions pinned in ``tests/data/public-servers``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import (
    ItemKind,
    Moment,
    Relaxation,
    RiskClass,
    ToolOutcome,
    Tracing,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import json as report_json
from mcp_sandbox.sandbox import Engine
from support.sarif_lint import lint

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SERVERS = Path(__file__).parents[1] / "data" / "public-servers"


@dataclass(frozen=True)
class Expected:
    """What is known of one server."""

    name: str
    """As it calls itself."""
    tools: int
    called: frozenset[str]
    """Tools that did their job at least once; the others are named with the reason."""
    notes: frozenset[str]
    """Rules that may say something, none of it above a note."""
    least_score: float
    true: frozenset[tuple[str, RiskClass, str]] = frozenset()
    """(rule, class, subject) of what is above a note, and is so."""
    noted: frozenset[str] = frozenset()
    """Rules that have to say something."""


EXPECTED = {
    "fastmcp": Expected(
        name="calculator",
        tools=2,
        called=frozenset({"add", "shout"}),
        # The framework asks for a newer version of itself, reads a .env, and needs SIGTERM to end.
        notes=frozenset(
            [
                *("credential-file-opened", "seed-external-url", "seed-refused-connection"),
                *("survivor-process", "unprompted-network"),
            ]
        ),
        least_score=95,
        noted=frozenset({"unprompted-network"}),
    ),
    "fetch": Expected(
        name="mcp-fetch",
        tools=1,
        # Fetching is its purpose, and nothing answers in its place.
        called=frozenset(),
        notes=frozenset({"reflected-prompt", "seed-external-url", "seed-refused-connection"}),
        least_score=29,
        # It looks at the address of a name, and the name is looked up once more to connect.
        true=frozenset(
            ("ssrf", RiskClass.HIGH, f"{kind}/fetch#/url") for kind in ("tools", "prompts")
        ),
        noted=frozenset({"seed-refused-connection"}),
    ),
    "git": Expected(
        name="mcp-git",
        tools=12,
        # The repository is on the read-only root: what writes to it says so, and is refused.
        # A git of its own waits for questions until the server's memory is tidied up, which may
        # be before it is looked for or after.
        called=frozenset(
            f"git_{one}" for one in ("status", "diff_unstaged", "diff_staged", "diff", "log")
        )
        | {"git_show", "git_branch"},
        notes=frozenset(
            [
                *("seed-child-process", "seed-external-url", "seed-filesystem-changes"),
                *("survivor-process", "unexpected-process"),
            ]
        ),
        least_score=96,
    ),
    "filesystem": Expected(
        name="secure-filesystem-server",
        tools=14,
        # move_file finds nothing to move: no ordinary call makes what another one takes away.
        called=frozenset(
            [
                *("read_file", "read_text_file", "read_media_file", "read_multiple_files"),
                *("write_file", "edit_file", "create_directory", "list_directory"),
                *("list_directory_with_sizes", "directory_tree", "search_files"),
                *("get_file_info", "list_allowed_directories"),
            ]
        ),
        # It repeats the path that it was given, and 10,000 patterns to exclude take it long.
        notes=frozenset({"reflected-prompt", "hang", "seed-filesystem-changes"}),
        least_score=94,
    ),
}


@dataclass(frozen=True)
class Run:
    """One scan of one server."""

    code: int
    report: Report
    sarif: dict[str, Any]
    expected: Expected


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: Engine,
    helper_image: str,
) -> Iterator[dict[str, Future[Run]]]:
    """Servers that a selected test asks for, two at a time: much of a scan is waiting."""
    items = [item for item in request.session.items if item.path == request.path]
    wanted = {call.params["run"] for item in items if (call := getattr(item, "callspec", None))}
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(scan, name, tmp_path_factory.mktemp(name), engine, helper_image)
            for name in EXPECTED
            if name in wanted
        }


@pytest.fixture(scope="module", params=EXPECTED)
def run(request: pytest.FixtureRequest, runs: dict[str, Future[Run]]) -> Run:
    return runs[request.param].result()


def scan(name: str, out: Path, engine: Engine, helper_image: str) -> Run:
    """Built, scanned once, and gone afterwards."""
    docker = shutil.which("docker")
    assert docker is not None
    tag = f"mcp-sandbox-test-{name}:{secrets.token_hex(4)}"
    build = [docker, "buildx", "build", "--load", "--target", name, "--tag", tag, "."]
    subprocess.run(build, cwd=SERVERS, check=True, capture_output=True, timeout=400)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mcp_sandbox", "scan", "--image", tag, "--quiet"),
                *("--scanners", "none"),
                *("--helper-image", helper_image, "--out", str(out)),
            ],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ,
            timeout=500,
        )
    finally:
        engine.api.remove_image(tag)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return Run(
        done.returncode,
        report_json.load((out / "report.json").read_bytes()),
        json.loads((out / "results.sarif").read_text()),
        EXPECTED[name],
    )


def test_it_is_that_server_and_all_its_tools_are_listed(run: Run):
    assert run.report.observations is not None
    main = run.report.observations.sessions[0].transcript
    assert main.server_info["name"] == run.expected.name
    (listed,) = [
        one for one in main.listings if (one.kind, one.moment) == (ItemKind.TOOLS, Moment.BEFORE)
    ]
    assert len(listed.items) == run.expected.tools
    assert {one["name"] for one in listed.items} == set(run.report.coverage.tools)


def test_every_tool_is_called_or_named_with_the_reason_that_it_was_not(run: Run):
    tools = run.report.coverage.tools
    assert run.report.coverage.missing == ()
    called = {name for name, one in tools.items() if one.outcome is ToolOutcome.CALLED}
    assert called >= run.expected.called
    for name in tools.keys() - called:
        assert tools[name].outcome in {ToolOutcome.REFUSED, ToolOutcome.NEEDS_NETWORK}
        assert tools[name].reason
    # Those that take no argument get no hostile one.
    assert sum(one.calls > 50 for one in tools.values()) >= len(tools) - 2


def test_it_passes_with_a_high_score_unless_something_true_is_said(run: Run):
    verdict = (1, Verdict.FAIL) if run.expected.true else (0, Verdict.PASS)
    assert (run.code, run.report.verdict) == verdict
    assert run.report.score is not None
    assert run.report.score >= run.expected.least_score


def test_nothing_is_said_that_a_reader_would_call_false(run: Run):
    above = [one for one in run.report.findings if one.class_ is not RiskClass.NOTE]
    assert {(one.rule, one.class_, one.subject) for one in above} == run.expected.true
    said = {one.rule for one in run.report.findings if one.class_ is RiskClass.NOTE}
    assert run.expected.noted <= said <= run.expected.notes


def test_it_behaves_the_same_with_and_without_a_tracer_and_needs_nothing_more(run: Run):
    seen = run.report.observations
    assert seen is not None
    assert [one.relaxation for one in seen.attempts] == [Relaxation.NONE]
    traced = {one.transcript.role: one.container.tracing for one in seen.sessions}
    assert (traced["main"], traced["untraced"]) == (Tracing.INSIDE, Tracing.NONE)
    assert "main again" not in traced, "no difference had to be looked at twice"


def test_its_sarif_is_what_github_takes(
    run: Run,
    schema: Any,
    complaints: Callable[[dict[str, Any]], set[str]],
):
    assert lint(run.sarif) == []
    assert [error.message for error in schema.iter_errors(run.sarif)] == []
    # Ids of one word differ from their rule's name in the capital letter alone.
    assert complaints(run.sarif) <= {"SARIF1001: warning"}
    results = run.sarif["runs"][0]["results"]
    told = (*run.report.findings, *(run.report.drift or ()))
    assert {one["ruleId"] for one in results} == {one.rule for one in told}
    assert ({one["level"] for one in results} == {"note"}) is not bool(run.expected.true)
