"""The acceptance of the main job: a green run beside a red one, and every finding seen again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_sandbox.model import (
    REPRODUCTION_IMAGE,
    Evidence,
    Finding,
    RiskClass,
    ScannerState,
    ToolOutcome,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import json as report_json
from mcp_sandbox.sandbox import Engine
from support import replay as show
from support.example_servers import GREEN, RED
from support.replay import KEY, Again, replay, stolen, with_settings
from support.sarif_lint import lint

pytestmark = pytest.mark.engine

COMMAND = (sys.executable, "-m", "mcp_sandbox")


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    code: int
    report: Report
    out: Path


def scan(context: Path, out: Path, helper: str) -> Run:
    done = subprocess.run(
        [*COMMAND, "scan", str(context), "--quiet", "--out", str(out)],
        env={**os.environ, "MCP_SANDBOX_IMAGE": helper},
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return Run(done.returncode, report_json.load((out / "report.json").read_bytes()), out)


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, helper_image: str
) -> Iterator[dict[str, Future[Run]]]:
    """All the runs, two at a time: much of one is waiting."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(scan, context, tmp_path_factory.mktemp(name), helper_image)
            for name, context in (("green", GREEN), ("red", RED), ("red again", RED))
        }


@pytest.fixture(scope="module")
def green(runs: dict[str, Future[Run]]) -> Run:
    return runs["green"].result()


@pytest.fixture(scope="module")
def red(runs: dict[str, Future[Run]]) -> Run:
    return runs["red"].result()


# --- green ----------------------------------------------------------------------------------------


def test_the_sandboxed_server_passes(green: Run):
    report = green.report
    assert (green.code, report.verdict) == (0, Verdict.PASS)
    assert report.score is not None
    assert report.score > 90
    assert [one for one in report.findings if one.class_ is not RiskClass.NOTE] == []


def test_the_sandboxed_server_was_really_tested(green: Run):
    coverage = green.report.coverage
    assert coverage.missing == ()
    assert {name: one.outcome for name, one in coverage.tools.items()} == dict.fromkeys(
        ("safe_write_file", "safe_read_file", "list_files"), ToolOutcome.CALLED
    )
    assert all(one.calls >= 2 for one in coverage.tools.values())


# --- red ------------------------------------------------------------------------------------------

C, H = RiskClass.CRITICAL, RiskClass.HIGH
E1, E2, E3 = Evidence.E1, Evidence.E2, Evidence.E3
MAIN = "evidence/1-main"
CONVERSATION, SINK, TRACE = f"{MAIN}.jsonl", f"{MAIN}.sink.jsonl", f"{MAIN}.trace"


@dataclass(frozen=True)
class Proof:
    """What must be found of a hole, and the line of an evidence file that shows it."""

    rule: str
    subject: str
    class_: RiskClass
    evidence: Evidence
    file: str
    shows: Callable[[Finding, str], bool]


HOLES = {
    "path traversal": Proof(
        "arbitrary-read", "tools/read_file#/path", H, E1, CONVERSATION, show.planted_answer
    ),
    "command injection": Proof(
        "command-injection", "tools/check_host#/host", C, E2, CONVERSATION, show.product_answer
    ),
    "SQL injection": Proof(
        "sql-injection", "tools/find_contact#/name", H, E2, CONVERSATION, show.product_answer
    ),
    "SSRF": Proof("ssrf", "tools/fetch_url#/url", H, E2, SINK, show.metadata_request),
    "SSRF, with file:": Proof(
        "ssrf", "tools/fetch_url#/url", H, E1, CONVERSATION, show.planted_answer
    ),
    "output that gives orders": Proof(
        "canary-in-output", "tools/format_note", C, E1, CONVERSATION, show.planted_answer
    ),
    "poisoned description": Proof(
        "canary-exfiltrated", "tools/add_numbers", C, E1, SINK, show.planted_request
    ),
    "poisoned description, the theft": Proof(
        "credential-file-opened", "tools/add_numbers", H, E3, TRACE, show.opened
    ),
}


def test_the_vulnerable_server_fails(red: Run):
    report = red.report
    assert (red.code, report.verdict, report.score) == (1, Verdict.FAIL, 0)
    assert report.coverage.missing == ()
    assert {one.outcome for one in report.coverage.tools.values()} == {ToolOutcome.CALLED}


@pytest.mark.parametrize("hole", HOLES)
def test_each_hole_is_found_and_proven(red: Run, hole: str):
    proof = HOLES[hole]
    wanted = (proof.rule, proof.subject, proof.class_, proof.evidence)
    (found,) = [
        one
        for one in red.report.findings
        if (one.rule, one.subject, one.class_, one.evidence) == wanted
    ]
    assert found.reproducer
    assert found.command
    shown = [one for one in found.seen if one.rpartition(":")[0] == proof.file]
    assert any(proof.shows(found, line_of(red, one)) for one in shown), found.seen


def line_of(run: Run, seen: str) -> str:
    """The line of an evidence file that ``FILE:LINE`` names."""
    name, _, number = seen.rpartition(":")
    return (run.out / name).read_text("utf-8", "surrogateescape").split("\n")[int(number) - 1]


def test_a_line_of_something_else_does_not_show_a_hole(red: Run):
    """The judges of lines bite: neither the first line of the file nor our own request will do."""
    for proof in HOLES.values():
        finding = next(
            one
            for one in red.report.findings
            if (one.rule, one.subject, one.evidence) == (proof.rule, proof.subject, proof.evidence)
        )
        asked = next(one for one in finding.seen if one.startswith(f"{CONVERSATION}:"))
        others = [f"{proof.file}:1"] + [asked] * (proof.file == CONVERSATION)
        assert not any(proof.shows(finding, line_of(red, one)) for one in others), proof.rule


def test_every_line_that_a_finding_names_is_there(red: Run):
    named = [one for finding in red.report.findings for one in finding.seen]
    assert named
    assert all(line_of(red, one) for one in named)


def test_a_finding_names_the_line_that_defines_its_tool(red: Run):
    lines = (RED / "tools.py").read_text().splitlines()
    for proof in HOLES.values():
        (location,) = {
            one.location
            for one in red.report.findings
            if (one.rule, one.subject) == (proof.rule, proof.subject)
        }
        assert location is not None
        assert location.path.endswith("tools.py")
        tool = proof.subject.removeprefix("tools/").partition("#")[0]
        near = lines[location.line - 1 : location.line + 30]
        assert any(tool in line for line in near), (tool, location)


def test_nothing_is_said_of_the_vulnerable_server_that_is_not_true(red: Run):
    """Whatever else is found belongs to a hole; each was looked at by hand."""
    beyond = {
        (one.rule, one.subject)
        for one in red.report.findings
        if one.class_ is not RiskClass.NOTE and not one.tool
    } - {(proof.rule, proof.subject) for proof in HOLES.values()}
    assert beyond <= {
        # The same hole as path traversal: /proc/self/environ holds planted values.
        ("canary-in-output", "tools/read_file#/path"),
        # The words of the reply that gives orders.
        ("output-poisoning", "tools/format_note"),
        # The words of the poisoned description, and its parameter for the stolen key.
        ("hidden-instruction", "tools/add_numbers#/description"),
        ("side-channel-parameter", "tools/add_numbers#/inputSchema/properties/sidenote"),
    }


# --- seeing it again ------------------------------------------------------------------------------

AGAIN: dict[str, Again] = {
    "arbitrary-read": show.password_file,
    "command-injection": show.product,
    "hidden-instruction": show.quoted,
    "output-poisoning": show.quoted,
    "reflected-prompt": show.reflected,
    "seed-child-process": show.product,
    "seed-command-execution": show.echoed,
    "seed-external-url": show.partly_quoted,
    "seed-refused-connection": show.partly_quoted,
    "shell-spawned": show.echoed,
    "side-channel-parameter": show.quoted,
    "sql-injection": show.product,
}


def again(finding: Finding) -> Again:
    if finding.rule == "canary-in-output":
        return show.token if "/format_note" in finding.subject else show.environment
    if finding.rule == "ssrf":
        return show.password_file if finding.evidence is Evidence.E1 else show.tried
    return AGAIN[finding.rule]


@pytest.fixture(scope="module")
def rebuilt(red: Run, engine: Engine) -> Iterator[None]:
    """The image, built by the very command that the summary gives."""
    docker = shutil.which("docker")
    assert docker is not None
    summary = (red.out / "summary.md").read_text()
    (line,) = [one for one in summary.splitlines() if one.startswith("docker buildx build")]
    words = line.split()
    assert words[-1] == "."
    assert REPRODUCTION_IMAGE in words
    subprocess.run([docker, *words[1:]], cwd=RED, check=True, capture_output=True, timeout=300)
    yield
    engine.api.remove_image(REPRODUCTION_IMAGE)


@pytest.mark.usefixtures("rebuilt")
def test_every_finding_can_be_seen_again(red: Run):
    shown = [one for one in red.report.findings if one.reproducer]
    assert len(shown) >= len(HOLES)
    for finding in shown:
        if '"name": "add_numbers"' in finding.reproducer[-1]:
            # No reply shows what this tool does: it is seen where the stolen key arrives.
            assert KEY in stolen(finding)
            continue
        command = with_settings(finding.command, GITHUB_TOKEN=KEY)
        said = replay(command, finding.reproducer)
        assert again(finding)(finding, said), (finding.rule, finding.subject, said[:2_000])


@pytest.mark.usefixtures("rebuilt")
def test_what_shows_a_finding_does_not_show_on_ordinary_input(red: Run):
    """The judges above bite: an ordinary call of the same tool shows none of it."""
    ordinary = {
        "arbitrary-read": {"path": "welcome.txt"},
        "command-injection": {"host": "localhost"},
        "sql-injection": {"name": "Ada"},
    }
    for rule, arguments in ordinary.items():
        finding = next(one for one in red.report.findings if one.rule == rule)
        request = json.loads(finding.reproducer[-1])
        request["params"]["arguments"] = arguments
        harmless = (*finding.reproducer[:-1], json.dumps(request))
        assert not again(finding)(finding, replay(finding.command, harmless)), rule


# --- the files ------------------------------------------------------------------------------------


def test_two_runs_say_the_same(red: Run, runs: dict[str, Future[Run]]):
    second = runs["red again"].result()
    assert second.report.run.id != red.report.run.id
    first, other = report_json.comparable(red.report), report_json.comparable(second.report)
    assert first.splitlines() == other.splitlines()
    assert first == other


def test_a_difference_would_be_seen(red: Run):
    one, *others = red.report.findings
    changed = replace(red.report, findings=(replace(one, message="Else."), *others))
    assert report_json.comparable(changed) != report_json.comparable(red.report)


@pytest.mark.parametrize("colour", ["green", "red"])
def test_the_sarif_is_what_github_takes(colour: str, request: pytest.FixtureRequest):
    run: Run = request.getfixturevalue(colour)
    document = json.loads((run.out / "results.sarif").read_text())
    assert lint(document) == []
    told = {
        (
            ""
            if made["tool"]["driver"]["name"] == "mcp-sandbox"
            else made["tool"]["driver"]["name"],
            one["ruleId"],
        )
        for made in document["runs"]
        for one in made["results"]
    }
    assert run.report.observations is not None
    whole = {
        one.tool for one in run.report.observations.scanners if one.state is ScannerState.RAN
    } | {""}
    assert {"Hadolint", "Semgrep", "mcp-dockerfile"} <= whole
    found = (*run.report.findings, *(run.report.drift or ()))
    assert told == {(one.tool, one.rule) for one in found if one.tool in whole}


def test_semgrep_sees_the_holes_that_stand_in_the_source(red: Run):
    found = {one.rule for one in red.report.findings if one.tool == "Semgrep"}
    assert found >= {
        "instruction-in-description",
        "python-command-from-argument",
        "python-path-from-argument",
        "python-sql-from-argument",
        "python-url-from-argument",
    }
