"""Compiling a hostile schema: bounded, never fetching, never raising anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.probe.schema import (
    MAX_DEPTH,
    MAX_NODES,
    UnusableSchema,
    compile_schema,
    resolve,
)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    steps: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$defs": steps | {f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (None, "no object"),
        ([], "no object"),
        ("object", "no object"),
        (nested(3_000), f"deeper than {MAX_DEPTH}"),
        (nested(200_000), f"deeper than {MAX_DEPTH}"),
        ({"enum": list(range(2 * MAX_NODES))}, f"more than {MAX_NODES} nodes"),
        ({"allOf": [{"pattern": "a"}] * 600}, "patterns"),
        ({"patternProperties": {"a" * 3_000: {}}}, "longer than"),
        (doubling(40), "expand"),
        ({"type": "strng"}, "does not compile"),
        ({"pattern": "("}, "does not compile"),
        ({"pattern": "(((a{100}){100}){100}){100}"}, "does not compile"),
        ({"$ref": "#/nowhere"}, "does not compile"),
        ({"const": "\ud800"}, "does not compile"),
    ],
)
def test_what_is_unusable_says_why(schema: Any, reason: str) -> None:
    with pytest.raises(UnusableSchema, match=reason) as caught:
        compile_schema(schema)
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"items": {"$ref": "https://example.com/a.json#/b"}}}},
        {"$id": "http://example.com/root", "properties": {"a": {"$ref": "other.json"}}},
    ],
)
def test_a_remote_reference_is_refused_not_fetched(schema: Any) -> None:
    with pytest.raises(UnusableSchema, match="nothing is fetched"):
        compile_schema(schema)


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(?=a)(a+)+$", "^(?!b)(a|aa)+$", r"^(\w+\s?)*$"]
)
def test_a_pattern_that_explodes_ends(pattern: str) -> None:
    checker = compile_schema({"type": "string", "pattern": pattern})
    assert checker.admits("a" * 200 + "!") is False


def test_dialects_are_honoured_and_unknown_ones_read_as_the_newest() -> None:
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1}
    assert not compile_schema(draft_4 | {"exclusiveMinimum": True}).admits(1)
    with pytest.raises(UnusableSchema):
        compile_schema({"minimum": 1, "exclusiveMinimum": True})
    assert compile_schema({"$schema": "http://example.com/own", "type": "object"}).admits({})


def test_recursion_and_look_around_are_no_problem() -> None:
    tree = {
        "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}, "type": "object"}},
        "$ref": "#/$defs/node",
    }
    assert compile_schema(tree).admits({"next": {"next": {}}})
    assert not compile_schema(tree).admits({"next": {"next": 1}})
    assert compile_schema({"pattern": "^(?!b)a"}).admits("ab")
    assert compile_schema(doubling(8)).admits("a")


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", {"$defs": {"a/b": {"x": [1, 2]}, "c": {"$anchor": "here", "type": "null"}}}),
        ("#/$defs/a~1b/x/1", 2),
        ("#/$defs/a~1b/x/9", None),
        ("#/$defs/a~1b/x/" + "9" * 50, None),
        ("#here", {"$anchor": "here", "type": "null"}),
        ("#nowhere", None),
        ("http://example.com/", None),
        (7, None),
    ],
)
def test_local_references_are_resolved(reference: Any, found: Any) -> None:
    root = {"$defs": {"a/b": {"x": [1, 2]}, "c": {"$anchor": "here", "type": "null"}}}
    assert resolve(root, reference) == found


KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "$ref", "allOf", "anyOf", "pattern", "enum", "minimum",
     "$schema", "$id", "$defs", "if", "not", "required", "const", "multipleOf", "$dynamicRef"]
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["#", "#/$defs/a", "string", "object", "(", "http://a/"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(KEYWORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JUNK, JUNK)
def test_whatever_comes_the_answer_is_a_check_or_a_reason(schema: Any, value: Any) -> None:
    try:
        checker = compile_schema(schema)
    except UnusableSchema as error:
        checker = None
        reason = error.reason
    assert reason if checker is None else checker.admits(value) in (True, False)
