"""Each version of the server of notes differs from the first in what ``expect.toml`` says alone."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

import pytest
from mcp_types.methods import validate_server_result

from mcp_sandbox.rules import ALL
from support import corpus, drift

VERSION = "2025-11-25"
VERSIONS = drift.versions()
EXPECT = drift.expectations()
CALLS = 12

LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}

LOOK = """
import json, sys
sys.path[:0] = sys.argv[2:]
import acting, notes, versions
done = []
acting.in_sandbox = notes.in_sandbox = lambda: True
versions.http = lambda host, path: done.append(host)
versions.subprocess.run = lambda argv, **_: done.append(argv[0])
versions.INDEX = type("Path", (), {"write_text": lambda self, text: done.append("write")})()
server = notes.Notes()
versions.VERSIONS[sys.argv[1]](server)
acts = {}
server.at_start()
acts["start-up"] = done[:]
for number in range(1, 13):
    del done[:]
    answer = server.call_tool({"name": "count_words", "arguments": {"text": "a b"}})
    acts[str(number)] = done[:]
print(json.dumps(acts))
"""
"""Runs a version in our own process, and says what it would have done on its machine."""


@cache
def answers(version: str) -> dict[str, Any]:
    """What a version presents: method -> result."""
    opening = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {}}
    methods = ["initialize", *LISTS.values()]
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        for number, (method, params) in enumerate(
            zip(methods, [opening, *({} for _ in LISTS)], strict=True)
        )
    ]
    done = subprocess.run(
        corpus.python(drift.SCRIPT, version),
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert done.stderr == ""
    results = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    for method, result in zip(methods, results, strict=True):
        validate_server_result(method, VERSION, result)
    return dict(zip(methods, results, strict=True))


def surface(version: str) -> dict[str, Any]:
    """Subject -> what is presented of it."""
    found = answers(version)
    opening = dict(found["initialize"])
    subjects = {"instructions": opening.pop("instructions"), "server": opening}
    for key, method in LISTS.items():
        for item in found[method][key]:
            subjects[f"{key}/{item['uri'] if key == 'resources' else item['name']}"] = item
    return subjects


@cache
def deeds(version: str) -> dict[str, list[str]]:
    """``start-up`` and the number of a call -> what is done there."""
    folders = [str(drift.SCRIPT.parent), str(drift.SCRIPT.parents[1])]
    argv = corpus.python("-c", LOOK, version, *folders)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_there_are_twenty_and_each_is_expected() -> None:
    assert VERSIONS[0] == drift.BASE
    assert sorted(VERSIONS[1:]) == sorted(EXPECT)
    assert len(EXPECT) == 20


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_version_differs_in_what_is_expected_alone(version: str) -> None:
    first, other = surface(drift.BASE), surface(version)
    changed = {
        subject
        for subject in first.keys() | other.keys()
        if first.get(subject) != other.get(subject)
    }
    does = deeds(version)
    changed |= {"start-up"} if does["start-up"] else set()
    changed |= {"calls"} if any(what for call, what in does.items() if call.isdigit()) else set()
    assert changed == set(EXPECT[version]["changed"])


def test_the_first_version_does_nothing_beside() -> None:
    assert not any(deeds(drift.BASE).values())


@pytest.mark.parametrize(
    ("version", "calls", "deed"),
    [
        ("endpoint-in-call", set(range(1, CALLS + 1)), "telemetry.example"),
        ("endpoint-at-fifth-call", {5}, "telemetry.example"),
        ("program-added", set(range(1, CALLS + 1)), "/usr/bin/wc"),
        ("file-written", set(range(1, CALLS + 1)), "write"),
    ],
)
def test_what_is_done_beside_is_done_in_these_calls(
    version: str, calls: set[int], deed: str
) -> None:
    does = deeds(version)
    assert {int(call): what for call, what in does.items() if what} == {
        one: [deed] for one in calls
    }


def test_a_version_is_the_same_to_the_eye() -> None:
    first, other = (surface(one)["tools/count_words"] for one in (drift.BASE, "invisible"))
    seen = "".join(char for char in other["description"] if char.isprintable())
    assert seen == first["description"] != other["description"]


@pytest.mark.parametrize("version", VERSIONS)
def test_ordinary_calls_are_answered_and_wrong_ones_refused(version: str) -> None:
    samples = {"string": "a b", "boolean": True}
    listed = answers(version)["tools/list"]["tools"]
    lines = []
    for tool in listed:
        properties = tool["inputSchema"]["properties"]
        right = {key: one.get("enum", [samples[one["type"]]])[0] for key, one in properties.items()}
        for arguments in (right, {}, right | {"no": "such"}, dict.fromkeys(properties, 7)):
            params = {"name": tool["name"], "arguments": arguments}
            lines.append(
                json.dumps(
                    {"jsonrpc": "2.0", "id": len(lines), "method": "tools/call", "params": params}
                )
            )
    done = subprocess.run(
        corpus.python(drift.SCRIPT, version),
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    for result in results:
        validate_server_result("tools/call", VERSION, result)
    assert [one["isError"] for one in results] == [False, True, True, True] * len(listed)


def test_an_unknown_version_is_refused() -> None:
    argv = corpus.python(drift.SCRIPT, "no-such-version")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tool-removed" in done.stderr


def test_every_expected_rule_exists() -> None:
    named = {one["rule"] for expect in EXPECT.values() for one in expect.get("drift", ())}
    assert named - {one.id for one in ALL} == set()


def test_the_gate_holds_where_nothing_is_worse_than_a_note() -> None:
    for version, expect in EXPECT.items():
        fails = bool(drift.regressions(expect.get("drift", ())))
        assert expect["gate"] == ("fails" if fails else "holds"), version
