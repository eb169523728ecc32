"""The corpus of servers does what it says: by raw pipes, without our prober.

The hostile server's every mode is sent one script, and its output is held against ``expect.toml``.
The honest servers' every answer is held against the types of the ``mcp-types`` package.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import Any

import mcp_types
import pytest
from mcp_types.methods import validate_server_result

from support import corpus
from support.corpus import Outcome

EXPECT = corpus.expectations()
MODES = corpus.modes()
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "script", "version": "1.0.0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
CALLS = range(3, 9)


def request(number: int, method: str, params: dict[str, Any], *, stateless: bool) -> str:
    """One request as a line."""
    meta = {"_meta": META} if stateless else {}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params | meta})


def script(*, stateless: bool) -> list[str]:
    """Open, list, call ``add`` six times (and answer a ping each time), list again."""
    opening = "server/discover" if stateless else "initialize"
    offer = {} if stateless else {"protocolVersion": "2025-11-25", "capabilities": {}}
    add = {"name": "add", "arguments": {"a": 1, "b": 2}}
    lines = [
        request(1, opening, offer, stateless=stateless),
        request(2, "tools/list", {}, stateless=stateless),
    ]
    for number in CALLS:
        lines.append(request(number, "tools/call", add, stateless=stateless))
        lines.append(json.dumps({"jsonrpc": "2.0", "id": f"ping-{number}", "result": {}}))
    return [*lines, request(9, "tools/list", {}, stateless=stateless)]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """What became of each mode that a selected test asks for."""
    wanted = {
        item.callspec.params["mode"]
        for item in request.session.items
        if item.path == request.path and "mode" in getattr(item, "fixturenames", ())
    }
    return corpus.run(
        {
            "id": mode,
            "kind": "raw",
            "command": corpus.hostile(mode),
            "lines": script(stateless=mode.startswith("stateless-")),
            "patterns": EXPECT[mode].get("shows", []) + EXPECT[mode].get("lacks", []),
            "lives_on": EXPECT[mode].get("exit") == "alive",
            "watch": EXPECT[mode].get("watch", 30),
        }
        for mode in sorted(wanted & EXPECT.keys())
    )


def test_every_mode_has_an_expectation_and_the_other_way_round() -> None:
    assert sorted(MODES) == sorted(EXPECT)


def test_every_expectation_says_what_is_to_be_seen() -> None:
    assert [mode for mode, expect in EXPECT.items() if not {"shows", "lacks"} & expect.keys()] == []


@pytest.mark.parametrize("mode", MODES)
def test_mode_misbehaves_as_its_name_says(mode: str, outcomes: dict[str, Outcome]) -> None:
    expect, seen = EXPECT[mode], outcomes[mode]
    assert "error" not in seen, seen["error"]
    shown = {key: base64.b64decode(seen[key])[:600] for key in ("head", "tail")}
    assert seen["found"] == expect.get("shows", []), shown
    assert ("alive" if seen["exit"] is None else seen["exit"]) == expect.get("exit", 0), shown
    assert seen["left"] == expect.get("left", 0)
    assert seen["alive"] == 0


@pytest.mark.parametrize("name", ["no-such-mode", "--help"])
def test_an_unknown_mode_is_refused(name: str) -> None:
    done = subprocess.run(corpus.hostile(name), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "never-answers" in done.stderr


# --- honest servers -------------------------------------------------------------------------------


def converse(command: list[str], lines: list[str]) -> dict[Any, dict[str, Any]]:
    """Send lines, close, and return id -> answer."""
    done = subprocess.run(
        command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer in answers:
        mcp_types.jsonrpc_message_adapter.validate_python(answer)
    assert len(answers) == len(lines)
    return {answer["id"]: answer for answer in answers}


ASKED: dict[str, list[dict[str, Any]]] = {
    "tools/list": [{}, {"cursor": "after-1"}, {"cursor": "after-2"}],
    "tools/call": [
        {"name": "echo", "arguments": {"text": "héllo"}},
        {"name": "add", "arguments": {"a": 2, "b": 40}},
        {"name": "upper", "arguments": {"text": "a"}},
        {"name": "add", "arguments": {"a": 2}},
        {"name": "add", "arguments": {"a": 2, "b": True}},
    ],
    "prompts/list": [{}],
    "prompts/get": [{"name": "greet", "arguments": {"who": "you"}}],
    "resources/list": [{}],
    "resources/templates/list": [{}],
    "resources/read": [{"uri": "note://welcome"}, {"uri": "note://day/monday"}],
}
REFUSED = [
    ("tools/call", {"name": "none", "arguments": {}}, -32602),
    ("tools/list", {"cursor": "after-7"}, -32602),
    ("prompts/get", {"name": "greet"}, -32602),
    ("resources/read", {"uri": "file:///etc/passwd"}, -32602),
    ("no/such/method", {}, -32601),
]


@pytest.mark.parametrize(
    ("command", "version"),
    [
        (corpus.python(corpus.GOOD), "2025-11-25"),
        (corpus.python(corpus.STATELESS), "2026-07-28"),
        (corpus.python(corpus.STATELESS, "dual"), "2025-11-25"),
        (corpus.python(corpus.STATELESS, "dual"), "2026-07-28"),
    ],
    ids=["good", "stateless", "dual-handshake", "dual-stateless"],
)
def test_honest_servers_answer_in_the_shape_of_their_version(
    command: list[str], version: str
) -> None:
    stateless = version == "2026-07-28"
    opening = "server/discover" if stateless else "initialize"
    offer = {} if stateless else {"protocolVersion": version, "capabilities": {}, "clientInfo": {}}
    asked = [(opening, offer)]
    asked += [(method, params) for method, many in ASKED.items() for params in many]
    sent = [*asked, *((method, params) for method, params, _ in REFUSED)]
    lines = [request(n, *one, stateless=stateless) for n, one in enumerate(sent)]
    answers = converse(command, lines)

    for number, (method, _) in enumerate(asked):
        validate_server_result(method, version, answers[number]["result"])
    codes = [answers[number]["error"]["code"] for number in range(len(asked), len(sent))]
    assert codes == [code for _, _, code in REFUSED]
    lists = [answers[n]["result"]["tools"] for n, (m, _) in enumerate(asked) if m == "tools/list"]
    assert [[tool["name"] for tool in page] for page in lists] == [["echo"], ["add"], ["upper"]]
    calls = [answers[n]["result"] for n, (m, _) in enumerate(asked) if m == "tools/call"]
    assert [call["content"][0]["text"] for call in calls[:3]] == ["héllo", "42", "A"]
    assert [call["isError"] for call in calls] == [False, False, False, True, True]


def test_stateless_server_wants_its_envelope_and_its_version() -> None:
    bare = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
    other = bare.replace('"id": 1', '"id": 2').replace(
        '"params": {}',
        '"params": ' + json.dumps({"_meta": META}).replace("2026-07-28", "2099-01-01"),
    )
    greeting = request(3, "initialize", {"protocolVersion": "2025-11-25"}, stateless=False)
    answers = converse(corpus.python(corpus.STATELESS), [bare, other, greeting])
    assert [answers[n]["error"]["code"] for n in (1, 2, 3)] == [-32602, -32022, -32602]
    assert answers[2]["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


def test_handshake_server_does_not_know_discovery() -> None:
    answers = converse(
        corpus.python(corpus.GOOD), [request(1, "server/discover", {}, stateless=True)]
    )
    assert answers[1]["error"]["code"] == -32601


def test_modes_that_harm_a_machine_refuse_to_run_outside_a_sandbox() -> None:
    assert "MCP_TEST_IN_SANDBOX" not in os.environ
    guarded = [mode for mode, expect in EXPECT.items() if expect.get("sandbox")]
    assert guarded == ["fork-bomb", "fills-tmp", "eats-memory"]
    for mode in guarded:
        done = subprocess.run(
            corpus.hostile(mode), input="", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (78, "")
