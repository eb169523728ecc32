"""Two stages of a tool become one run of it."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import ScannerRun, ScannerState
from mcp_sandbox.scanners import SCANNERS, Stage, merged
from support.scanners import issue

RAN, PARTLY, FAILED = ScannerState.RAN, ScannerState.PARTLY, ScannerState.FAILED


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ((RAN, FAILED), FAILED),
        ((PARTLY, RAN), PARTLY),
        ((PARTLY, FAILED), FAILED),
        ((RAN, ScannerState.NOT_USED), RAN),
        ((ScannerState.NOT_USED, ScannerState.NOT_USED), ScannerState.NOT_USED),
        ((ScannerState.NOT_INSTALLED, ScannerState.NOT_INSTALLED), ScannerState.NOT_INSTALLED),
    ],
)
def test_the_worst_state_counts(
    states: tuple[ScannerState, ScannerState], worst: ScannerState
) -> None:
    for several in (states, states[::-1]):
        assert [one.state for one in merged([ScannerRun("T", one) for one in several])] == [worst]


def test_what_both_stages_report_is_one_issue_where_the_checkout_has_it() -> None:
    lock = issue(subject="package a 1", path="lock", line=7)
    image = issue(subject="package a 1", path="Dockerfile", line=1)
    nowhere = issue(subject="package a 1", path="", line=0)
    runs = [ScannerRun("T", RAN, issues=(lock,)), ScannerRun("T", RAN, issues=(image, nowhere))]
    assert merged(runs)[0].issues == (lock,)


def test_two_places_that_one_stage_names_are_two_issues() -> None:
    both = (issue(path="b/lock"), issue(path="a/lock"))
    found = merged([ScannerRun("T", RAN, issues=both)])[0].issues
    assert [one.path for one in found] == ["a/lock", "b/lock"]


def test_reasons_details_and_what_was_disobeyed_are_joined() -> None:
    runs = [
        ScannerRun("T", PARTLY, "No database.", "1", {"a": "1"}, disobeyed=("x:1: y",)),
        ScannerRun("U", RAN),
        ScannerRun("T", PARTLY, "No database.", "1", {"b": "2"}, left_out=("z",)),
        ScannerRun("T", ScannerState.NOT_USED, "There is no image."),
    ]
    first, second = merged(runs)
    assert (first.tool, second.tool) == ("T", "U")
    assert (first.why, first.version) == ("No database.", "1")
    assert first.details == {"a": "1", "b": "2"}
    assert (first.disobeyed, first.left_out) == (("x:1: y",), ("z",))


def test_of_every_tool_the_checkout_is_registered_before_the_image() -> None:
    seen: dict[str, list[Stage]] = {}
    for scanner in SCANNERS:
        seen.setdefault(scanner.name, []).append(scanner.stage)
    assert set(seen) == {"Trivy", "TruffleHog", "Hadolint", "Semgrep", "mcp-dockerfile"}
    assert all(
        stages in ([Stage.CHECKOUT], [Stage.CHECKOUT, Stage.IMAGE]) for stages in seen.values()
    )
