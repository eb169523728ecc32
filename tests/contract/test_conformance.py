"""The official conformance suite's client scenarios on our prober, as ``conformance.toml`` has it.

Nothing but loopback is used once the suite is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from interop import client, conformance
from interop.conformance import Outcome, Scenario, Suite
from mcp_sandbox.pipeline.plans import MAIN

pytestmark = pytest.mark.slow

EXPECTED = conformance.expected()
HERE = {scenario: one for scenario, one in EXPECTED.items() if not one.by_hand}


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest) -> Suite:
    return conformance.install(request.config.cache.mkdir("conformance"))


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Scenario, Future[Outcome]]]:
    """Those that a selected test asks for, two at a time: each starts a Node and a Python."""
    items = [item for item in request.session.items if item.path == request.path]
    wanted = {
        call.params.get("scenario") for item in items if (call := getattr(item, "callspec", None))
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            scenario: pool.submit(suite.run, scenario, tmp_path_factory.mktemp("scenario"))
            for scenario in HERE
            if scenario in wanted
        }


def test_every_scenario_of_the_suite_is_expected_and_no_other(suite: Suite):
    assert sorted(suite.scenarios()) == sorted(EXPECTED)


@pytest.mark.parametrize("scenario", HERE, ids=":".join)
def test_the_suite_says_what_is_expected(
    scenario: Scenario, outcomes: dict[Scenario, Future[Outcome]]
):
    assert EXPECTED[scenario].wrong(outcomes[scenario].result()) == ""


def test_the_client_is_who_a_scan_says_it_is():
    assert client.IDENTITY == MAIN


PASSED = Outcome(3, frozenset(), 0, "status 401")


@pytest.mark.parametrize(
    "outcome",
    [
        replace(PASSED, failed=frozenset({"a-check"})),
        replace(PASSED, code=1),
        replace(PASSED, succeeded=0),
    ],
)
def test_a_scenario_that_has_to_pass_and_does_not_is_told(outcome: Outcome):
    assert conformance.Expected().wrong(outcome)
    assert not conformance.Expected().wrong(PASSED)


@pytest.mark.parametrize(
    "outcome",
    [
        PASSED,
        Outcome(0, frozenset({"a-check"}), 1, "ImportError"),
        Outcome(0, frozenset({"a-check", "another"}), 1, "status 401"),
        Outcome(0, frozenset(), 1, "status 401"),
    ],
)
def test_one_that_does_not_apply_and_ends_otherwise_is_told(outcome: Outcome):
    one = conformance.Expected("no token", "status 401", frozenset({"a-check"}))
    assert one.wrong(outcome)
    assert not one.wrong(Outcome(0, frozenset({"a-check"}), 1, "status 401"))
