"""The servers that act on their machine say what they offer, answer, and act in a sandbox alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp_types.methods import validate_server_result

from mcp_sandbox.rules import ALL
from support import acting, corpus

VERSION = "2025-11-25"
MODES = [(family, mode) for family in acting.FAMILIES for mode in acting.modes(family)]
OUTSIDE = "This tool acts only in a sandbox."
HARMLESS = ("behaviour", "careful")
"""The one mode with tools that work anywhere."""

Answers = dict[Any, dict[str, Any]]


def converse(family: str, mode: str, requests: list[tuple[str, dict[str, Any]]]) -> Answers:
    """Send requests, close, and return number -> answer; whatever else is said is an error."""
    opening = ("initialize", {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {}})
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
        for number, (method, params) in enumerate([opening, *requests])
    ]
    done = subprocess.run(
        corpus.python(acting.script(family), mode),
        input="".join(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert done.stderr == ""
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == list(range(len(lines)))
    validate_server_result("initialize", VERSION, answers[0]["result"])
    return {answer["id"]: answer for answer in answers}


def tools(family: str, mode: str) -> list[dict[str, Any]]:
    """What a mode lists."""
    result = converse(family, mode, [("tools/list", {})])[1]["result"]
    validate_server_result("tools/list", VERSION, result)
    listed: list[dict[str, Any]] = result["tools"]
    return listed


def ordinary(tool: dict[str, Any], value: object = "sample") -> tuple[str, dict[str, Any]]:
    """A call with the same value for every parameter."""
    arguments = dict.fromkeys(tool["inputSchema"]["properties"], value)
    return "tools/call", {"name": tool["name"], "arguments": arguments}


@pytest.mark.parametrize("family", acting.FAMILIES)
def test_every_mode_has_an_expectation_and_the_other_way_round(family: str) -> None:
    assert acting.modes(family) == sorted(acting.expectations(family))


@pytest.mark.parametrize(("family", "mode"), MODES)
def test_a_mode_lists_its_tools_and_answers_ordinary_calls(family: str, mode: str) -> None:
    listed = tools(family, mode)
    assert listed
    answers = converse(family, mode, [ordinary(tool) for tool in listed])
    replies = {}
    for number, tool in enumerate(listed, 1):
        result = answers[number]["result"]
        validate_server_result("tools/call", VERSION, result)
        replies[tool["name"]] = result["content"][0]["text"]
    worked = {name for name, reply in replies.items() if reply != OUTSIDE}
    if (family, mode) == HARMLESS:
        assert set(replies) - worked == {"fetch_page", "forecast", "picture"}
        assert [n for n, one in enumerate(listed, 1) if answers[n]["result"]["isError"]] == []
    elif mode != "early":
        assert worked == set()


@pytest.mark.parametrize(("family", "mode"), MODES)
def test_wrong_arguments_are_the_tools_own_error(family: str, mode: str) -> None:
    listed = tools(family, mode)
    wrong = [("tools/call", {"name": listed[0]["name"], "arguments": {"no": "such"}})]
    takes_text = [one for one in listed if one["inputSchema"]["required"]]
    wrong += [ordinary(one, 7) for one in takes_text[:1]]
    wrong += [ordinary(one, "x" * 10_001) for one in takes_text[:1]]
    answers = converse(family, mode, wrong)
    assert all(answers[number]["result"]["isError"] for number in range(1, len(wrong) + 1))


def test_nothing_is_done_outside_a_sandbox(tmp_path: Path) -> None:
    """A home with a credential file in it, and a mode that reads it at its start."""
    assert "MCP_TEST_IN_SANDBOX" not in os.environ
    trap = tmp_path / ".kube" / "config"
    trap.parent.mkdir()
    os.mkfifo(trap)  # whoever opens it would wait for a writer
    done = subprocess.run(
        corpus.python(acting.script("behaviour"), "early"),
        input="",
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path)},
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("family", acting.FAMILIES)
@pytest.mark.parametrize("name", ["no-such-mode", "--help"])
def test_an_unknown_mode_is_refused(family: str, name: str) -> None:
    command = corpus.python(acting.script(family), name)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert acting.modes(family)[0] in done.stderr


# --- the expectations -----------------------------------------------------------------------------


def test_every_expected_tool_exists_and_every_tool_is_expected() -> None:
    for mode, expect in acting.expectations("behaviour").items():
        named = expect.get("must", expect.get("near", {})).keys()
        listed = {f"tools/{one['name']}" for one in tools("behaviour", mode)}
        assert {one for one in named if one.startswith("tools/")} - listed == set()
        if mode not in {"early", "fragile"}:
            assert listed - named == set(), mode
    for mode, expect in acting.expectations("attacks").items():
        listed = {one["name"] for one in tools("attacks", mode)}
        assert expect["attacks"].keys() - listed == set()


def test_what_one_mode_does_another_comes_near_to() -> None:
    """For every rule of what a server does there is one that is told apart from it."""
    expect = acting.expectations("behaviour")
    done = {
        rule for one in expect.values() for rules in one.get("must", {}).values() for rule in rules
    }
    near = {rule for rules in expect["careful"]["near"].values() for rule in rules}
    assert done - near == {"hang", "out-of-memory", "pid-exhaustion"}
    assert near <= done


def test_every_attack_has_an_outcome() -> None:
    for expect in acting.expectations("attacks").values():
        for attack in expect["attacks"].values():
            assert attack.keys() <= {"seen", "outside", "finding", "excused"}
            assert attack.get("seen") or attack.get("finding")


def test_every_expected_rule_exists() -> None:
    named: set[str] = set()
    for expect in acting.expectations("behaviour").values():
        for subjects in (expect.get("must", {}), expect.get("near", {})):
            named.update(*subjects.values())
    for expect in acting.expectations("attacks").values():
        for attack in expect["attacks"].values():
            named.update(attack.get("finding", []))
    known = {one.id for one in ALL}
    assert {rule for one in named for rule in one.split("|")} - known == set()
