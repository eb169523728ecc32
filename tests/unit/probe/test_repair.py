"""What is tried after a refusal, in the words of real servers and validators."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_sandbox.model import CallStatus
from mcp_sandbox.probe.inputs import Targets, subject
from mcp_sandbox.probe.known import Known
from mcp_sandbox.probe.refusal import (
    MAX_CLAUSES,
    MAX_ISSUES,
    MAX_TEXT,
    clauses,
    is_about_input,
    texts,
)
from mcp_sandbox.probe.repair import MAX_REPAIRS, repairs

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
MANY = {"type": "array", "items": TEXT}


def schema(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def better(
    properties: dict[str, Any], sent: Any, refusal: str | dict[str, Any], known: Known | None = None
) -> list[Any]:
    """What is tried of a tool named ``t``."""
    body = {"message": refusal, "code": -32602} if isinstance(refusal, str) else refusal
    about = subject({"name": "t", "inputSchema": properties}, Targets(seed=1))
    return [one.arguments for one in repairs(about, sent, texts(body), known or Known())]


FILES = schema(
    "files",
    files={
        "type": "array",
        "items": schema("file_path", file_path=TEXT, content=TEXT, action={"enum": ["create"]}),
    },
)

ASKED: list[tuple[str, dict[str, Any], Any, Any]] = [
    (
        "Either paths must be provided, or all/update must be true. at paths",
        schema(paths=MANY, all=FLAG, update=FLAG),
        {},
        [{"paths": ["notes.txt"]}, {"all": True}, {"update": True}],
    ),
    (
        "force flag must be set to true to clean files (or use dryRun to preview) at force",
        schema(force=FLAG, dryRun=FLAG),
        {},
        {"force": True},
    ),
    (
        "Path is not a git repository: /tmp. Pass initializeIfNotPresent: true to run 'git init'",
        schema("path", path=TEXT, initializeIfNotPresent=FLAG),
        {"path": "/tmp"},
        {"path": "/tmp", "initializeIfNotPresent": True},
    ),
    (
        "Either mergeRequestIid or branchName must be provided",
        schema("id", id=TEXT, merge_request_iid=TEXT, branch_name=TEXT),
        {"id": "1"},
        {"id": "1", "merge_request_iid": "sample"},
    ),
    (
        "Invalid arguments: : At least one of 'body' or 'resolved' must be provided",
        schema(body=TEXT, resolved=FLAG),
        {},
        [{"body": "Sample text."}, {"resolved": True}, {"body": "Sample text.", "resolved": True}],
    ),
    (
        "root: Provide exactly one of url or alexandria. Please check the parameter types",
        schema(url=TEXT, alexandria=schema(provider=TEXT)),
        {"url": "http://example.com/", "alexandria": {"provider": "sample"}},
        [{"url": "http://example.com/"}, {"alexandria": {"provider": "sample"}}],
    ),
    (
        "root: Provide either 'url' (interact directly) or 'scrapeId' (reuse a scrape), not "
        "both., root: Either 'code' or 'prompt' must be provided..",
        schema(url=TEXT, scrapeId=TEXT, code=TEXT, prompt=TEXT),
        {"scrapeId": "sample", "url": "http://example.com/"},
        {"url": "http://example.com/", "code": "1+1"},
    ),
    (
        "Invalid arguments: files.0.content: content is required when action is 'create'",
        FILES,
        {"files": [{"file_path": "notes.txt"}]},
        {"files": [{"file_path": "notes.txt", "content": "Sample text."}]},
    ),
    (
        "No session working directory set. Please specify a 'path' or use 'git_set_dir' first.",
        schema(path={**TEXT, "default": ".", "description": "folder"}, force=FLAG),
        {},
        {"path": "/tmp"},
    ),
    ("title: Required", schema(title=TEXT, other=TEXT), {}, {"title": "Sample text."}),
    (
        '[{"code": "invalid_type", "path": ["options", "title"], "message": "Required"}]',
        schema(options=schema(title=TEXT, other=TEXT)),
        {"options": {}},
        {"options": {"title": "Sample text."}},
    ),
    (
        "1 validation error for call[t]\ntitle\n  Field required [type=missing, input_value={}, "
        "input_type=dict]\n    For further information visit https://errors.example/",
        schema(title=TEXT, input_type=TEXT),
        {},
        {"title": "Sample text."},
    ),
    (
        "✖ String must contain at least 10 character(s)\n  → at title",
        schema("title", title=TEXT),
        {"title": "sample"},
        {"title": "sampleeeee"},
    ),
    (
        "mode: Invalid enum value. Expected 'fast' | 'slow', received 'sample'",
        schema("mode", mode=TEXT),
        {"mode": "sample"},
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    (
        'Invalid option: expected one of "fast"|"slow" at mode',
        schema("mode", mode=TEXT),
        {"mode": "sample"},
        [{"mode": "fast"}, {"mode": "slow"}],
    ),
    (
        'Key "sample" is not configurable via this tool. Allowed keys: blockedCommands, shell',
        schema("key value", key=TEXT, value=TEXT),
        {"key": "sample", "value": "other"},
        [{"key": "blockedCommands", "value": "other"}, {"key": "shell", "value": "other"}],
    ),
    ("since: Invalid datetime", schema("since", since=TEXT), {"since": "sample"},
     {"since": "2026-01-15T12:30:00Z"}),
    ("file must be an absolute path", schema("file", file=TEXT), {"file": "a/notes.txt"},
     {"file": "/tmp/notes.txt"}),
    ("limit must be greater than or equal to 10", schema("limit", limit={"type": "integer"}),
     {"limit": 5}, {"limit": 10}),
    ("/tags must NOT have fewer than 1 items: at least 1", schema("tags", tags=MANY), {"tags": []},
     {"tags": ["sample"]}),
    ("Unrecognized key(s) in object: 'verbose'", schema(verbose=FLAG, name=TEXT),
     {"verbose": False, "name": "sample"}, {"name": "sample"}),
    ("names: Expected array, received string", schema(names={}), {"names": "a"}, {"names": ["a"]}),
    ("Must provide either (old + fresh) or (range + content)",
     schema("file", file=TEXT, old=TEXT, fresh=TEXT, range=TEXT, content=TEXT),
     {"file": "notes.txt"}, {"file": "notes.txt", "old": "sample", "fresh": "sample"}),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "properties", "sent", "wanted"), ASKED)
def test_what_is_asked_for_is_tried_first(
    refusal: str, properties: dict[str, Any], sent: Any, wanted: Any
) -> None:
    wanted = wanted if isinstance(wanted, list) else [wanted]
    assert better(properties, sent, refusal)[: len(wanted)] == wanted


@pytest.mark.parametrize(
    ("refusal", "properties", "sent"),
    [
        ("Chrome is not installed. Run npx install chrome", schema(path=TEXT, url=TEXT), {}),
        ("write_pdf is deprecated and can no longer be used", schema(path=TEXT), {}),
        ("ps: not found", schema(filter=TEXT), {}),
        ("the folder is empty of notes.txt", schema("path", path=TEXT), {"path": "notes.txt"}),
        ("title: Required", schema("title", title={"const": "a"}), {"title": "a"}),
        ("mode must be one of: 'x' | 'y'", schema("mode", mode={"const": "a"}), {"mode": "a"}),
        ("title must be at least 10 characters", schema("title", title={**TEXT, "maxLength": 6}),
         {"title": "Sample"}),
    ],
)  # fmt: skip
def test_nothing_is_tried_where_nothing_is_asked_for_or_the_schema_forbids_it(
    refusal: str, properties: dict[str, Any], sent: Any
) -> None:
    assert better(properties, sent, refusal) == []


def test_a_refusal_that_does_not_say_how_gets_all_that_is_optional_then_one_at_a_time() -> None:
    tried = better(schema(limit={"type": "integer"}, path=TEXT), {}, "Invalid arguments")
    assert tried[0].keys() == {"limit", "path"}
    assert tried[1:] == [{"path": tried[0]["path"]}, {"limit": tried[0]["limit"]}]


@pytest.mark.parametrize(
    ("status", "said", "repaired"),
    [
        (CallStatus.TOOL_ERROR, "path is required", True),
        (CallStatus.RPC_ERROR, "Invalid params", True),
        (CallStatus.TIMEOUT, "", False),
        (CallStatus.CLOSED, "", False),
        (CallStatus.MALFORMED, "path is required", False),
        (CallStatus.TOOL_ERROR, "An API key is required", False),
        (CallStatus.TOOL_ERROR, "401 Unauthorized", False),
        (CallStatus.TOOL_ERROR, "getaddrinfo ENOTFOUND api.example.com", False),
        (CallStatus.RPC_ERROR, "Request timed out", False),
        (CallStatus.TOOL_ERROR, "The key 'a' is not one of these keys", True),
    ],
)
def test_only_what_other_arguments_may_mend_is_repaired(
    status: CallStatus, said: str, repaired: bool
) -> None:
    assert is_about_input(status, said) is repaired


# --- values of other calls ------------------------------------------------------------------------


def told(tool: str, result: Any) -> Known:
    known = Known()
    known.learn(tool, result)
    return known


def spoken(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("tool", "result", "parameter", "asking", "value"),
    [
        ("connect", {"structuredContent": {"connectionId": "c-1"}}, "connectionId", "find", "c-1"),
        ("list-connections", spoken('[{"id": "c-1"}]'), "connection_id", "list-databases", None),
        ("list", spoken('{"connections": [{"id": "c-1"}]}'), "connectionId", "find", "c-1"),
        ("create_entity", spoken("Created.\nID: e7"), "id", "get_entity", "e7"),
        ("create_entity", spoken("- **Entity ID**: e7"), "entityId", "read", "e7"),
        ("start_process", spoken("Process started with PID 127 (shell: sh)"), "pid", "read", "127"),
        ("start_search", spoken("Started file search session: search_1_99"), "sessionId", "more",
         "search_1_99"),
        ("create_entity", spoken('{"id": "e7"}'), "id", "get_order", "e7"),
        ("create_entity", spoken('{"id": "e7"}'), "title", "get_entity", None),
        ("create_entity", spoken('{"text": "e7"}'), "id", "get_entity", None),
        ("create_entity", spoken("the identity of e7 is idle"), "id", "get_entity", None),
        ("create_entity", spoken('{"id": "' + "7" * 500 + '"}'), "id", "get_entity", None),
        ("create_entity", spoken('{"id": true}'), "id", "get_entity", None),
        ("get_stats", spoken('{"value": "2"}'), "value", "set_stats", None),
        ("get_stats", spoken('{"value": "12.5 GB"}'), "value", "set_stats", None),
        ("open_page", spoken("Handle of it: tab-7f3a"), "it", "close_page", "tab-7f3a"),
    ],
)  # fmt: skip
def test_a_value_goes_to_the_parameters_that_its_name_fits(
    tool: str, result: Any, parameter: str, asking: str, value: Any
) -> None:
    if parameter == "connection_id":
        value = "c-1"  # the tool's own name says what its `id` is one of
    assert next(iter(told(tool, result).fitting(parameter, asking)), None) == value


def test_a_value_that_is_not_known_is_replaced_and_marked_as_the_servers() -> None:
    known = told("connect", spoken('{"connectionId": "c-1"}'))
    about = subject(
        {"name": "find", "inputSchema": schema("connectionId", connectionId=TEXT, limit=TEXT)},
        Targets(seed=1),
    )
    refusal = ('Connection "sample" does not exist. Call the "list-connections" tool.',)
    first = repairs(about, {"connectionId": "sample", "limit": "5"}, refusal, known)[0]
    assert first.arguments == {"connectionId": "c-1", "limit": "5"}
    assert first.learned == ("c-1",)


def test_a_value_that_the_schema_does_not_admit_is_not_sent() -> None:
    known = told("connect", spoken('{"connectionId": "c-1"}'))
    numbers = schema("connectionId", connectionId={"type": "integer"})
    assert better(numbers, {"connectionId": 1}, "connection 1 not found", known) == []


def test_a_number_is_taken_from_running_text() -> None:
    known = told("start_process", spoken("Process started with PID 127 (shell: sh)"))
    about = schema("pid", pid={"type": "integer"})
    assert better(about, {"pid": 3}, "No session found for PID 3", known)[0] == {"pid": 127}


def test_nothing_is_killed_that_another_tool_named() -> None:
    known = told("list_processes", spoken('{"pid": 1}'))
    about = subject(
        {"name": "kill_process", "inputSchema": schema("pid", pid={"type": "integer"})},
        Targets(seed=1),
    )
    assert repairs(about, {"pid": 3}, ("no such process",), known) == ()


def test_what_is_known_is_bounded() -> None:
    known = Known()
    for number in range(2_000):
        known.learn(f"tool{number}", {"structuredContent": {f"a{number}Id": f"x{number}"}})
        known.learn("one", {"structuredContent": {"id": f"y{number}"}})
    assert known.count <= 256 + 4
    assert len(known.fitting("id", "one")) <= 256 + 4


# --- any text and any schema ----------------------------------------------------------------------

_NAMES = st.sampled_from(["path", "all", "fileName", "user_id", "mode", "tags", "options"])
_PLACES = st.recursive(
    st.sampled_from(
        [
            TEXT, FLAG, {"type": "integer", "minimum": 3}, {"enum": ["a", "b"]}, {},
            {"type": "string", "pattern": "^[a-z]{3,9}$"}, {"type": "string", "maxLength": 4},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.dictionaries(_NAMES, inner, max_size=3).map(lambda some: schema(**some)),
    ),
    max_leaves=6,
)  # fmt: skip
_SCHEMAS = st.dictionaries(_NAMES, _PLACES, max_size=5).flatmap(
    lambda some: (
        st.lists(st.sampled_from(sorted(some)), unique=True).map(
            lambda required: schema(" ".join(required), **some)
        )
        if some
        else st.just(schema())
    )
)
_SAID = (
    "path all fileName user_id 'mode' tags options either or exactly one of not both must be true "
    "required at least 3 at most 2 characters items expected array string 'a' | 'b' , . : sample "
    "when if unknown not found absolute datetime json [ ] { } / -> unrecognized key"
)
_WORDS = st.lists(st.sampled_from([*_SAID.split(), "\n"]), max_size=30).map(" ".join)
_TEXTS = st.one_of(_WORDS, st.text(max_size=200))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(_SCHEMAS, _TEXTS, st.text(max_size=40))
def test_what_is_tried_satisfies_the_schema_and_was_not_tried_before(
    properties: dict[str, Any], refusal: str, reply: str
) -> None:
    about = subject({"name": "t", "inputSchema": properties}, Targets(seed=1))
    known = told("t", {"structuredContent": {"path": reply, "user_id": reply, "id": 7}})
    sent = {"path": "sample"}
    found = repairs(about, sent, (refusal,), known)
    assert found == repairs(about, sent, (refusal,), known)
    assert len(found) <= MAX_REPAIRS
    keys = [json.dumps(one.arguments, sort_keys=True) for one in (*found,)]
    assert len({*keys, json.dumps(sent)}) == len(keys) + 1
    assert about.check is not None
    for one in found:
        assert about.check.admits(one.arguments)


@pytest.mark.parametrize(
    "refusal",
    [
        "a" * 10**6, "path " * 10**5, "path:" * 10**5, "[" * 10**6, '{"' * 10**5, "a.b" * 10**5,
        "'path' or " * 10**5, "\n".join(["path"] * 10**5), "expected " + "'a' | " * 10**5,
        '[{"path": ["path"], "message": "' + "must be " * 10**5 + '"}]', "must be set to" * 10**5,
        " at path" * 10**5, "either " * 10**5, "id " * 10**5, "path=" + "a" * 10**6,
    ],
)  # fmt: skip
def test_of_a_long_refusal_only_the_beginning_is_read(refusal: str) -> None:
    kept = texts({"message": refusal, "data": [refusal] * 9})
    assert sum(map(len, kept)) <= MAX_ISSUES
    found = clauses(kept)
    assert len(found) <= MAX_CLAUSES
    assert sum(len(one.text) for one in found) <= MAX_TEXT + MAX_CLAUSES * MAX_TEXT
    about = subject({"name": "t", "inputSchema": LONG}, Targets(seed=1))
    assert len(repairs(about, {"path": "a"}, kept, told("t", spoken(refusal)))) <= MAX_REPAIRS


LONG = schema(path=TEXT, all=FLAG, id=TEXT)


def test_junk_in_a_reply_never_raises() -> None:
    for body in (None, 3, [], {"content": 3}, {"content": [3, {"text": 4}]}, {"data": [[[{}]]]}):
        assert clauses(texts(body)) == ()
        assert told("t", body).count == 0
