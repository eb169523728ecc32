"""Ordinary calls are valid and sensible; hostile ones are ordered, bounded and repeatable."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_sandbox.model import ItemKind
from mcp_sandbox.probe.inputs import (
    VALID,
    Input,
    Targets,
    ToolInputs,
    for_prompt,
    for_template,
    for_tool,
)
from mcp_sandbox.probe.payloads import families

TARGETS = Targets(seed=5, planted_file="/opt/backup/service-token.txt", ssh_key="/root/.ssh/id_rsa")
TOLD = Targets(
    seed=5,
    planted_file="/opt/backup/service-token.txt",
    directories=("/srv/allow",),
    neighbour="/srv/allow-evil/service-token.txt",
)


def tool(properties: Any, required: Any = None, *, name: str = "t", about: str = "") -> Any:
    schema = {"type": "object", "properties": properties}
    schema["required"] = list(properties) if required is None else required
    return {"name": name, "description": about, "inputSchema": schema}


def of(schema: Any, targets: Targets = TARGETS) -> ToolInputs:
    return for_tool({"name": "t", "inputSchema": schema}, targets)


def arguments(made: ToolInputs) -> Any:
    return made.valid[0].arguments


@pytest.mark.parametrize(
    ("name", "properties", "same"),
    [
        ("move_file", {"source": {"type": "string"}, "destination": {"type": "string"}}, False),
        ("t", {"source_path": {"type": "string"}, "destination_path": {"type": "string"}}, False),
        ("edit", {"old_string": {"type": "string"}, "new_string": {"type": "string"}}, False),
        ("rename", {"new_name": {"type": "string"}, "old_name": {"type": "string"}}, False),
        ("relate", {"from": {"type": "string"}, "to": {"type": "string"}}, True),
        ("rename", {"old": {"enum": ["a"]}, "new": {"enum": ["a"]}}, True),
        ("rename", {"old": {"type": "string"}, "new": {"type": "string", "maxLength": 6}}, True),
        ("move", {"destination": {"type": "string"}, "name": {"type": "string"}}, True),
    ],
)
def test_what_is_moved_or_replaced_ends_elsewhere(
    name: str, properties: dict[str, Any], same: bool
) -> None:
    made = for_tool(tool(properties, name=name), TARGETS)
    assert made.warning == ""
    for one in made.valid:
        assert (len(set(one.arguments.values())) == 1) is same
    ends = [one.value for one in made.hostile.places]
    assert set(ends) == set(made.valid[0].arguments.values())


# --- ordinary calls: sensible ---------------------------------------------------------------------

STRING = {"type": "string"}
NUMBER = {"type": "integer"}
USUAL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("read_file", {"path": STRING}, {"path": "notes.txt"}),
    ("write_file", {"file_path": STRING, "content": STRING},
     {"file_path": "notes.txt", "content": "Sample text."}),
    ("safe_read_file", {"filename": STRING}, {"filename": "notes.txt"}),
    ("list_directory", {"path": STRING}, {"path": "/tmp"}),
    ("git_status", {"repo_path": STRING}, {"repo_path": "/tmp/repository"}),
    (
        "git_diff",
        {"repo_path": STRING, "target": STRING},
        {"repo_path": "/tmp/repository", "target": "HEAD"},
    ),
    ("convert_time", {"source_timezone": STRING, "time": STRING, "target_timezone": STRING},
     {"source_timezone": "Europe/Berlin", "time": "12:30", "target_timezone": "America/New_York"}),
    ("fetch", {"url": {"type": "string", "format": "uri"}}, {"url": "http://example.com/"}),
    ("read_query", {"query": {"type": "string", "description": "SELECT SQL query to execute"}},
     {"query": "SELECT 1"}),
    ("search_notes", {"query": STRING, "limit": NUMBER}, {"query": "notes", "limit": 5}),
    ("calculate", {"expression": STRING}, {"expression": "1+1"}),
    ("run_command", {"command": STRING}, {"command": "echo hello"}),
    ("book", {"date": STRING, "email": STRING},
     {"date": "2026-01-15", "email": "user@example.com"}),
    ("listen", {"host": STRING, "port": NUMBER}, {"host": "example.com", "port": 8080}),
    ("choose", {"mode": {"type": "string", "enum": ["fast", "slow"]}}, {"mode": "fast"}),
    ("given", {"a": {"examples": ["one"]}, "b": {"type": "integer", "default": 7}},
     {"a": "one", "b": 7}),
    ("flag", {"verbose": {"type": "boolean"}}, {"verbose": False}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "properties", "expected"), USUAL)
def test_an_ordinary_call_makes_sense(
    name: str, properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = for_tool(tool(properties, name=name), TARGETS)
    assert (arguments(made), made.problem, made.warning) == (expected, "", "")


def test_files_lie_in_the_folder_that_the_server_was_given() -> None:
    for name, file in (
        ("path", "notes"),
        ("file_path", "notes"),
        ("destination_path", "new-notes"),
    ):
        made = for_tool(tool({name: STRING}, name="edit_file"), TOLD)
        assert arguments(made) == {name: f"/srv/allow/{file}.txt"}
    assert arguments(for_tool(tool({"directory": STRING}), TOLD)) == {"directory": "/srv/allow"}
    known = Targets(seed=1, directories=("/srv/allow",), valid_paths=("/srv/allow/readme.md",))
    assert arguments(for_tool(tool({"path": STRING}), known)) == {"path": "/srv/allow/readme.md"}


def test_an_absolute_path_is_tried_too_where_nothing_decides() -> None:
    made = for_tool(tool({"path": STRING}, name="read_file"), TARGETS)
    assert [one.arguments["path"] for one in made.valid] == ["notes.txt", "/tmp/notes.txt"]
    said = {"path": {"type": "string", "description": "Absolute path of the file"}}
    assert arguments(for_tool(tool(said), TARGETS)) == {"path": "/tmp/notes.txt"}


def test_optional_arguments_come_in_the_second_call() -> None:
    made = for_tool(tool({"text": STRING, "style": STRING}, ["text"]), TARGETS)
    assert [sorted(one.arguments) for one in made.valid] == [["text"], ["style", "text"]]


# --- ordinary calls: valid ------------------------------------------------------------------------

TREE = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": STRING, "children": {"type": "array", "items": {"$ref": "#/$defs/n"}}},
}
HARD: list[dict[str, Any]] = [
    {"type": "object"},
    {},
    {"$schema": "http://json-schema.org/draft-07/schema#"},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"],
     "$defs": {"n": TREE}},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
     "required": ["a"]},
    {"type": "object", "oneOf": [{"required": ["a"], "properties": {"a": {"const": 1}}},
                                 {"required": ["b"], "properties": {"b": STRING}}]},
    {"type": "object", "properties": {"a": {"allOf": [{"minLength": 4}, {"maxLength": 6}, STRING]}},
     "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [STRING, NUMBER],
                                            "items": False}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array", "items": NUMBER, "minItems": 5,
                                            "uniqueItems": True}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array", "items": STRING, "minItems": 3,
                                            "uniqueItems": True}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array", "contains": {"const": 3}}},
     "required": ["a"]},
    {"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"],
     "if": {"properties": {"kind": {"const": "x"}}}, "then": {"required": ["path"]},
     "else": {"required": ["url"]}},
    {"type": "object", "minProperties": 2, "additionalProperties": NUMBER},
    {"type": "object", "patternProperties": {"^s": STRING}, "required": ["s1"]},
    {"type": "object", "required": ["undeclared"]},
    {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a"],
     "dependentRequired": {"a": ["b"]}},
    {"type": ["object", "null"], "properties": {"a": {"type": ["integer", "null"]}},
     "required": ["a"]},
    *({"type": "object", "properties": {"a": one}, "required": ["a"]} for one in (
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        {"type": "string", "pattern": r"^(?:foo|bar)\.(txt|md)$"},
        {"type": "string", "pattern": r"^[\w.-]+@[\w-]+\.[a-z]{2,}$"},
        {"type": "string", "pattern": r"^(?=.{3,10}$)[a-z]+$"},
        {"type": "string", "pattern": r"^\p{L}+$"},
        {"type": "string", "pattern": "^[^/]+/[^/]+$", "minLength": 3},
        {"type": "string", "pattern": "^https?://[^ ]+$"},
        {"type": "string", "minLength": 300},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "ipv6"},
        {"type": "integer", "minimum": 10, "maximum": 12},
        {"type": "integer", "exclusiveMinimum": 10, "multipleOf": 7},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "maximum": -5.5},
        {"type": "number", "multipleOf": 0.25, "minimum": 1.1},
        {"type": "integer", "minimum": -(2**70), "maximum": -(2**69)},
        {"minimum": 3},
        {"const": {"deep": [1]}},
        {"enum": [[1], {"a": 2}]},
        {"not": {"type": "null"}},
        True,
    )),
]  # fmt: skip


@pytest.mark.parametrize("schema", HARD, ids=lambda schema: json.dumps(schema)[:60])
def test_an_ordinary_call_is_valid(schema: dict[str, Any]) -> None:
    made = of(schema)
    assert (made.problem, made.warning) == ("", "")
    checker = jsonschema.Draft202012Validator(
        json.loads(json.dumps(schema).replace(r"\\p{L}", "[a-z]"))
    )
    for one in made.valid:
        checker.validate(one.arguments)


def test_what_no_value_satisfies_is_called_anyway_and_said() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"minimum": 5, "maximum": 1}},
        "required": ["a"],
    }
    made = of(schema)
    assert "no arguments" in made.warning
    assert len(made.valid) == 1
    assert made.problem == ""


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"path": {"$ref": "http://example.com/a"}}},
        {"type": "object", "properties": {"path": STRING}, "$ref": "#/nowhere"},
        {"properties": {"path": STRING, "x": {"type": "no such type"}}, "required": ["path"]},
    ],
)
def test_an_unusable_schema_is_no_way_out_of_the_test(schema: Any) -> None:
    made = of(schema)
    assert made.warning
    assert made.problem == ""
    assert made.valid
    assert "/path" in {one.parameter for one in made.hostile}


@pytest.mark.parametrize("schema", [None, 7, "x", [], {}, {"$schema": "http://example.com/"}])
def test_a_schema_that_says_nothing_gets_the_usual_names(schema: Any) -> None:
    parameters = {one.parameter for one in of(schema).hostile}
    assert parameters >= {"/path", "/url", "/command"}


def test_a_tool_that_takes_nothing_is_left_in_peace() -> None:
    for schema in ({"type": "object"}, {"type": "object", "properties": {}}):
        assert {one.family for one in of(schema).hostile} == {"type-confusion", "size"}


@pytest.mark.parametrize(
    "item", [None, 7, [], {}, {"name": 7}, {"name": ""}, {"name": "a" * 5_000}]
)
def test_what_has_no_usable_name_is_a_problem(item: Any) -> None:
    for make in (for_tool, for_prompt, for_template):
        made = make(item, TARGETS)
        assert made.problem
        assert made.valid == ()
        assert list(made.hostile) == []


NAMES = st.sampled_from(["path", "url", "query", "n", "a b", "x/y", "~", "", "é"])
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.just({"type": "string"}),
    st.builds(lambda low: {"type": "string", "minLength": low, "maxLength": low + 3},
              st.integers(0, 9)),
    st.builds(lambda low, width: {"type": "integer", "minimum": low, "maximum": low + width},
              st.integers(-99, 99), st.integers(0, 5)),
    st.just({"type": ["boolean", "null"]}),
    st.builds(lambda some: {"enum": some},
              st.lists(st.integers() | st.text(max_size=3), min_size=1)),
    st.just({"type": "string", "pattern": "^[a-c]{2}[0-9]$"}),
)  # fmt: skip
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(
            lambda props: {"type": "object", "properties": props, "required": sorted(props)[:2]},
            st.dictionaries(NAMES, inner, max_size=4),
        ),
        st.builds(lambda one, low: {"type": "array", "items": one, "minItems": low},
                  inner, st.integers(0, 3)),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(NAMES, SCHEMAS, max_size=4))
@settings(max_examples=150)
def test_every_satisfiable_schema_gets_a_valid_call(properties: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    made = of(schema)
    assert made.warning == ""
    for one in made.valid:
        jsonschema.Draft202012Validator(schema).validate(one.arguments)
    for one in islice(made.hostile, 40):
        json.dumps(one.arguments)
        assert one.arguments != arguments(made) or one.payload in ("empty-string", "not-a-number")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "properties", "items", "$ref", "allOf", "anyOf", "pattern", "enum", "minimum",
             "required", "default", "examples", "prefixItems", "minItems", "name", "inputSchema",
             "arguments", "uriTemplate", "description", "if", "then", "dependentRequired"]
        ),
        inner, max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(JUNK, JUNK)
@example({"required": [[], {}, None]}, None)
@settings(max_examples=100)
def test_junk_never_raises(schema: Any, description: Any) -> None:
    item = {"name": "t", "description": description, "inputSchema": schema}
    for made in (for_tool(item, TOLD), for_prompt({"name": "p", "arguments": schema}, TOLD)):
        assert made.valid
        json.dumps([one.arguments for one in islice(made.hostile, 30)])


@given(
    st.text(max_size=30) | st.sampled_from(["{", "{}", "{a", "{+a}/{?b,c}{/d*}{e:3}", "x://{a}"])
)
def test_any_template_is_expanded_or_refused(template: str) -> None:
    made = for_template({"uriTemplate": template}, TARGETS)
    assert bool(made.problem) is not bool(made.valid)
    json.dumps([one.arguments for one in islice(made.hostile, 30)])


# --- hostile calls --------------------------------------------------------------------------------


def everything() -> Iterator[Input]:
    properties = {"path": STRING, "query": STRING, "n": NUMBER, "list": {"items": STRING},
                  "any": {}, "obj": {"type": "object", "properties": {"url": STRING}},
                  "mode": {"enum": ["a", "b"]}}  # fmt: skip
    yield from for_tool(tool(properties), TOLD).hostile
    yield from for_prompt({"name": "p", "arguments": [{"name": "path"}]}, TOLD).hostile
    yield from for_template({"uriTemplate": "file:///{path}/{?q}"}, TOLD).hostile


def test_every_nonce_is_its_own_and_well_formed() -> None:
    sent = list(everything())
    nonces = [one.nonce for one in sent]
    assert all(re.fullmatch(r"[a-z][a-z0-9]{11}", nonce) for nonce in nonces)
    assert len(set(nonces)) == len(nonces)


def test_no_proof_is_in_what_is_sent() -> None:
    proofs = 0
    for one in everything():
        if one.expected:
            proofs += 1
            assert re.fullmatch(r"[0-9]{9,12}", one.expected)
            assert one.expected not in json.dumps(one.arguments)
        if one.effect:
            assert one.nonce in one.effect
            assert one.effect.startswith("/")
    assert proofs > 100


def test_a_product_that_the_ordinary_arguments_hold_is_not_used() -> None:
    properties = {"code": STRING, "other": STRING}
    first = next(one for one in for_tool(tool(properties), TARGETS).hostile if one.expected)
    spoiled = {"code": STRING, "other": {"type": "string", "default": f"n {first.expected}"}}
    again = [one for one in for_tool(tool(spoiled), TARGETS).hostile if one.nonce]
    same = next(
        one for one in again
        if (one.parameter, one.payload) == (first.parameter, first.payload)
    )  # fmt: skip
    assert same.expected not in json.dumps(same.arguments)
    assert same.expected != first.expected


def test_the_same_seed_sends_the_same_and_another_seed_does_not() -> None:
    item = tool({"path": STRING, "query": STRING})
    assert list(for_tool(item, TARGETS).hostile) == list(for_tool(item, TARGETS).hostile)
    made = for_tool(item, TARGETS)
    assert list(made.hostile) == list(made.hostile), "it can be iterated again"
    other = {one.nonce for one in for_tool(item, Targets(seed=6)).hostile}
    assert not other & {one.nonce for one in made.hostile}


def test_the_length_is_known() -> None:
    for made in (for_tool(tool({"path": STRING, "n": NUMBER}), TOLD), of({"type": "object"})):
        assert len(made.hostile) == len(list(made.hostile))


def test_a_parameter_that_looks_like_nothing_gets_a_bounded_share() -> None:
    assert len(list(for_tool(tool({"x": STRING}), TARGETS).hostile)) <= 70


@pytest.mark.parametrize(
    ("parameter", "family"),
    [
        ("path", "path-traversal"),
        ("command", "command-injection"),
        ("target", "command-injection"),
        ("query", "sql-injection"),
        ("url", "ssrf"),
        ("expression", "code-evaluation"),
        ("template", "template-injection"),
    ],
)
def test_what_fits_the_parameter_comes_first(parameter: str, family: str) -> None:
    sent = list(for_tool(tool({parameter: STRING}), TARGETS).hostile)
    assert {one.family for one in sent[:3]} == {family}
    assert len({one.family for one in sent}) == len(families()), "but nothing is left out"


def test_a_short_budget_reaches_every_parameter_and_proof_comes_before_confusion() -> None:
    sent = list(for_tool(tool({"a": STRING, "b": STRING, "c": STRING}), TARGETS).hostile)
    assert {one.parameter for one in sent[:21]} == {"/a", "/b", "/c"}
    order = [one.family for one in sent]
    confusion = order.index("type-confusion")
    assert not {"type-confusion", "size"} & set(order[:confusion])
    assert set(order[confusion : order.index("size")]) == {"type-confusion"}
    assert set(order[order.index("size") :]) == {"size"}


def test_a_choice_among_given_words_gets_one_payload_of_each_family() -> None:
    sent = for_tool(tool({"mode": {"enum": ["a", "b"]}}), TARGETS).hostile
    counts = [one.family for one in sent if one.family not in ("type-confusion", "size")]
    assert len(counts) == len(set(counts))


def test_what_the_schema_admits_comes_first() -> None:
    sent = list(for_tool(tool({"x": {"type": "string", "maxLength": 24}}), TARGETS).hostile)
    proofs = [one for one in sent if one.family not in ("type-confusion", "size")]
    fits = [len(one.arguments["x"]) <= 24 for one in proofs]
    assert fits == sorted(fits, reverse=True)
    assert any(fits)
    assert not all(fits)


def test_one_place_changes_at_a_time() -> None:
    made = for_tool(
        tool({"path": STRING, "text": STRING, "more": STRING}, ["path", "text"]), TARGETS
    )
    base = arguments(made)
    for one in made.hostile:
        if one.parameter and one.payload != "missing-required":
            name = one.parameter[1:]
            assert {k: v for k, v in one.arguments.items() if k != name} == {
                k: v for k, v in base.items() if k != name
            }


def test_text_inside_arrays_objects_and_other_branches_is_reached() -> None:
    schema = {
        "type": "object",
        "properties": {
            "edits": {"type": "array", "items": {"type": "object", "properties": {"old": STRING}}},
            "either": {"anyOf": [NUMBER, STRING]},
            "free": {},
        },
        "oneOf": [{"properties": {"deep": {"properties": {"er": STRING}}}}, {"required": ["none"]}],
    }
    reached = {one.parameter for one in of(schema).hostile if one.family == "command-injection"}
    assert reached >= {"/edits/0/old", "/either", "/free", "/deep/er"}


def test_pointers_are_escaped() -> None:
    assert {one.parameter for one in of({"properties": {"a/b~c": STRING}}).hostile} >= {"/a~1b~0c"}


def test_a_missing_and_an_extra_argument_are_tried_once_a_tool() -> None:
    made = for_tool(tool({"a": STRING, "b": STRING}), TARGETS)
    confused = {one.payload: one for one in made.hostile if one.family == "type-confusion"}
    assert confused["missing-required"].arguments.keys() == {"b"}
    assert confused["extra-argument"].arguments.keys() > {"a", "b"}
    prompt = for_prompt({"name": "p", "arguments": [{"name": "a", "required": True}]}, TARGETS)
    assert not {"missing-required", "extra-argument"} & {one.payload for one in prompt.hostile}


def test_an_entry_without_its_target_is_left_out() -> None:
    bare = {one.payload for one in for_tool(tool({"path": STRING}), Targets(seed=1)).hostile}
    told = {one.payload for one in for_tool(tool({"path": STRING}), TOLD).hostile}
    assert {"neighbour", "absolute-planted"} <= told
    assert not {"neighbour", "absolute-planted"} & bare
    assert "up-three-passwd" in bare


def test_prompts_and_templates_say_what_they_are() -> None:
    prompt = for_prompt({"name": "p", "arguments": [{"name": "topic", "required": True}]}, TARGETS)
    assert {one.kind for one in (*prompt.valid, *prompt.hostile)} == {ItemKind.PROMPTS}
    assert all(isinstance(v, str) for v in prompt.valid[0].arguments.values())
    assert prompt.valid[0].family == VALID
    template = for_template({"uriTemplate": "file:///{path}"}, TARGETS)
    assert template.valid[0].arguments == {"uri": "file:///notes.txt"}
    uris = {one.arguments["uri"] for one in template.hostile}
    assert "file:///..%2F..%2F..%2Fetc%2Fpasswd" in uris
    assert "file:///../../../etc/passwd" in uris


def test_a_tool_costs_little_memory() -> None:
    items = [tool({"path": STRING, "query": STRING, "n": NUMBER}, name=f"t{n}") for n in range(50)]
    families()
    tracemalloc.start()
    made = [for_tool(item, TARGETS) for item in items]
    for one in made:
        next(iter(one.hostile))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(made) < 20_000, "bytes a tool"
