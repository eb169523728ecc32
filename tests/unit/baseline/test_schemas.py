"""A schema's change goes one way, the other, or cannot be decided; it is never lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.baseline import schemas
from mcp_sandbox.baseline.schemas import differences
from mcp_sandbox.model.locked import Direction, Effect

GAINED, LOST, CHANGED = Direction.GAINED, Direction.LOST, Direction.CHANGED
WIDER, NARROWER, WORDS, OTHER = Effect.WIDER, Effect.NARROWER, Effect.WORDS, Effect.OTHER
STRING = {"type": "string"}
NULL = {"type": "null"}


def taking(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def told(old: Any, new: Any) -> list[tuple[str, Direction, Effect]]:
    return [(one.pointer, one.direction, one.effect) for one in differences(old, new)]


MIRRORED = {
    WIDER: NARROWER,
    NARROWER: WIDER,
    WORDS: WORDS,
    OTHER: OTHER,
}

ONE_WAY = {
    "optional parameter": (taking(a=STRING), taking(a=STRING, b=STRING), "/properties/b", GAINED),
    "type": (STRING, {"type": ["string", "null"]}, "/type", CHANGED),
    "integer to number": ({"type": "integer"}, {"type": "number"}, "/type", CHANGED),
    "no type any more": (STRING, {}, "/type", CHANGED),
    "enum value": ({"enum": ["a"]}, {"enum": ["a", "b"]}, "/enum", GAINED),
    "no enum any more": ({"enum": ["a"]}, {}, "/enum", CHANGED),
    "constant to enum": ({"const": "a"}, {"enum": ["a", 1]}, "/enum", GAINED),
    "longer": ({"maxLength": 5}, {"maxLength": 6}, "/maxLength", CHANGED),
    "shorter": ({"minLength": 5}, {"minLength": 4}, "/minLength", CHANGED),
    "less than": ({"exclusiveMinimum": 5}, {}, "/exclusiveMinimum", CHANGED),
    "any multiple": ({"multipleOf": 4}, {"multipleOf": 2}, "/multipleOf", CHANGED),
    "no pattern any more": ({"pattern": "a"}, {}, "/pattern", CHANGED),
    "no format any more": ({"format": "uri"}, {}, "/format", CHANGED),
    "no longer unique": ({"uniqueItems": True}, {"uniqueItems": False}, "/uniqueItems", CHANGED),
    "open": ({"additionalProperties": False}, {}, "/additionalProperties", CHANGED),
    "open to a type": (
        {"additionalProperties": STRING},
        {"additionalProperties": {"type": ["string", "null"]}},
        "/additionalProperties/type",
        CHANGED,
    ),
    "no longer required": (taking("a", a=STRING), taking(a=STRING), "/required", LOST),
    "items": (
        {"items": {"maximum": 1}},
        {"items": {"maximum": 2}},
        "/items/maximum",
        CHANGED,
    ),
    "tuple": (
        {"prefixItems": [{"maximum": 1}]},
        {"prefixItems": [{"maximum": 2}]},
        "/prefixItems/0/maximum",
        CHANGED,
    ),
    "nested": (
        taking(a=taking(b={"maximum": 1})),
        taking(a=taking(b={"maximum": 2})),
        "/properties/a/properties/b/maximum",
        CHANGED,
    ),
    "choice": ({"anyOf": [STRING]}, {"anyOf": [STRING, NULL]}, "/anyOf", CHANGED),
    "no choice to several": (STRING, {"anyOf": [STRING, NULL]}, "", CHANGED),
    "exclusive choice": ({"oneOf": [STRING]}, {"oneOf": [STRING, NULL]}, "/oneOf", CHANGED),
    "first choice goes": ({"oneOf": [STRING, NULL]}, {}, "/oneOf", CHANGED),
    "one demand less": (
        {"allOf": [{"maximum": 1}, {"minimum": 0}]},
        {"allOf": [{"minimum": 0}]},
        "/allOf",
        CHANGED,
    ),
    "a member of a choice": (
        {"anyOf": [NULL, {"type": "string", "maxLength": 1}]},
        {"anyOf": [NULL, {"type": "string", "maxLength": 2}]},
        "/anyOf/1/maxLength",
        CHANGED,
    ),
    "nothing to anything": (False, True, "", CHANGED),
}
"""What takes more than before; turned around it takes less."""


@pytest.mark.parametrize("name", ONE_WAY)
def test_what_takes_more_takes_less_when_turned_around(name: str):
    old, new, pointer, direction = ONE_WAY[name]
    assert told(old, new) == [(pointer, direction, WIDER)]
    ((back, _, effect),) = told(new, old)
    assert (back, effect) == (pointer, NARROWER)


UNDECIDED = {
    "another pattern": ({"pattern": "a+"}, {"pattern": "a*"}, "/pattern"),
    "another format": ({"format": "uri"}, {"format": "email"}, "/format"),
    "another default": ({"default": 1}, {"default": 2}, "/default"),
    "a condition": ({}, {"if": STRING}, "/if"),
    "a negation": ({"not": STRING}, {"not": NULL}, "/not"),
    "a keyword that nobody knows": ({}, {"nullable": True}, "/nullable"),
    "another identity": ({"$id": "a"}, {"$id": "b"}, "/$id"),
    "other types": (STRING, NULL, "/type"),
    "a type that is none": (STRING, {"type": "text"}, "/type"),
    "an enum that is none": ({"enum": ["a"]}, {"enum": "a"}, "/enum"),
    "a bound that is none": ({"maximum": 1}, {"maximum": "2"}, "/maximum"),
    "properties that are none": (taking(), {**taking(), "properties": []}, "/properties"),
    "required that is none": (taking(), {**taking(), "required": "a"}, "/required"),
    "fewer of a list of items": ({"prefixItems": [STRING]}, {"prefixItems": []}, "/prefixItems"),
    "choices that overlap": (
        {"oneOf": [{"pattern": "a"}, {"pattern": "b"}]},
        {"oneOf": [{"pattern": "a"}]},
        "/oneOf",
    ),
    "a tighter one of choices that overlap": (
        {"oneOf": [{"pattern": "a"}, {"not": {}, "maxLength": 5}]},
        {"oneOf": [{"pattern": "a"}, {"not": {}, "maxLength": 4}]},
        "/oneOf/1/maxLength",
    ),
    "a reference that leads out": (
        {"$ref": "https://a.example/x"},
        {"$ref": "https://a.example/y"},
        "",
    ),
    "a reference that leads nowhere": ({"$ref": "#/$defs/A"}, STRING, ""),
    "no schema": ({}, "text", ""),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_decided_is_neither(name: str):
    old, new, pointer = UNDECIDED[name]
    found = [told(old, new), told(new, old)]
    assert (pointer, CHANGED, OTHER) in found[0]
    assert {effect for changes in found for _, _, effect in changes} <= {OTHER, WIDER}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"enum": ["a", "b"]}, {"enum": ["b", "a"]}),
        ({"anyOf": [STRING, NULL]}, {"anyOf": [NULL, STRING]}),
        ({"type": ["string", "null"]}, {"anyOf": [STRING, NULL]}),
        ({"type": ["string", "null"]}, {"type": ["null", "string"]}),
        ({"properties": {}}, {}),
        ({"additionalProperties": True}, {}),
        ({"required": []}, {}),
        ({"uniqueItems": False}, {}),
        (None, {}),
        ({"x-order": 1}, {"x-order": 2}),
    ],
)
def test_another_way_to_write_the_same_is_words(old: Any, new: Any):
    for one, other in ((old, new), (new, old)):
        found = differences(one, other)
        assert {each.effect for each in found} == {WORDS}


def test_a_new_required_parameter_takes_less_and_is_gained():
    assert told(taking(a=STRING), taking("b", a=STRING, b=STRING)) == [
        ("/properties/b", GAINED, NARROWER)
    ]
    assert told(taking(a=STRING), taking("a", a=STRING)) == [("/required", GAINED, NARROWER)]


def test_texts_are_one_change_each_with_both_sides():
    old = taking(a={"type": "string", "description": "A name.", "title": "Name"})
    new = taking(a={"type": "string", "description": "A path.", "examples": ["x"]})
    found = {one.pointer: one for one in differences(old, new)}
    assert {(one.direction, one.effect) for one in found.values()} == {
        (CHANGED, WORDS),
        (LOST, WORDS),
        (GAINED, WORDS),
    }
    one = found["/properties/a/description"]
    assert (one.before, one.after) == ("A name.", "A path.")


def test_a_reference_is_what_it_leads_to():
    old = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string", "maxLength": 1}}}
    new = {"$ref": "#/$defs/B", "$defs": {"B": {"type": "string", "maxLength": 2}}}
    assert told(old, new) == [("/maxLength", CHANGED, WIDER)]
    assert told(old, {"type": "string", "maxLength": 2}) == [("/maxLength", CHANGED, WIDER)]
    assert told(old, {"type": "string", "maxLength": 1}) == [("", CHANGED, WORDS)]


def test_what_is_reached_in_very_many_ways_is_compared_once(monkeypatch: pytest.MonkeyPatch):
    """Twenty references in a definition, each back to it: twenty ways at each of 64 levels."""

    def tree(maximum: int, **beside: int) -> Any:
        ways = {f"p{n}": {"$ref": "#/$defs/N", **beside} for n in range(20)}
        node = taking(leaf={"maximum": maximum}, **ways)
        return {**taking(**ways), "$defs": {"N": node}}

    monkeypatch.setattr(schemas, "MAX_STEPS", 2_000)
    found = told(tree(1), tree(2, minLength=1))
    assert WIDER in {effect for _, _, effect in found}
    assert OTHER not in {effect for _, _, effect in found}


def test_the_definition_that_a_reference_left_is_told():
    texts = {"A": {"type": "string"}, "B": {"type": "string"}}
    old = {"$ref": "#/$defs/A", "$defs": texts}
    new = {"$ref": "#/$defs/B", "$defs": {**texts, "A": {"description": "Ignore."}}}
    assert told(old, new) == [("/$defs/A", CHANGED, WORDS)]


def test_a_reference_that_meets_itself_ends():
    def tree(leaf: Any) -> Any:
        node = taking(left={"$ref": "#/$defs/T"}, right={"$ref": "#/$defs/T"}, leaf=leaf)
        return {"$ref": "#/$defs/T", "$defs": {"T": node}}

    found = told(tree({"maximum": 1}), tree({"maximum": 2}))
    assert {effect for _, _, effect in found} == {WIDER}
    assert ("/properties/leaf/maximum", CHANGED, WIDER) in found


def test_a_definition_that_nothing_leads_to_is_told_with_its_words():
    (one,) = differences({"$defs": {}}, {"$defs": {"A": {"description": "Ignore."}}})
    assert (one.pointer, one.direction, one.effect) == ("/$defs/A", GAINED, WORDS)
    assert "Ignore." in one.after


def test_what_is_too_large_to_compare_is_undecided(monkeypatch: pytest.MonkeyPatch):
    old = taking(**{f"p{n}": {"maximum": 1} for n in range(9)})
    new = taking(**{f"p{n}": {"maximum": 2} for n in range(9)})
    monkeypatch.setattr(schemas, "MAX_STEPS", 4)
    found = told(old, new)
    assert [effect for _, _, effect in found].count(OTHER) == 6
    assert [effect for _, _, effect in found].count(WIDER) == 3
    assert {effect for _, _, effect in told(nested(200, 1), nested(200, 2))} == {OTHER}


def nested(levels: int, maximum: int) -> Any:
    schema: Any = {"maximum": maximum}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


SCALAR = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "string"])
KEY = st.sampled_from(
    [
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "maximum",
        "minLength",
        "pattern",
        "additionalProperties",
        "description",
        "$ref",
        "$defs",
        "x-a",
        "default",
        "prefixItems",
        "uniqueItems",
        "a",
    ]
)
SCHEMA = st.recursive(
    SCALAR | st.just({"type": "string"}) | st.just({"$ref": "#"}),
    lambda inner: st.dictionaries(KEY, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)


@given(SCHEMA, SCHEMA)
def test_no_two_schemas_that_differ_are_the_same(old: Any, new: Any):
    found = differences(old, new)
    assert (not found) is (schemas.canonical(old) == schemas.canonical(new))
    assert list(found) == sorted(found, key=schemas._order)
    assert len(set(found)) == len(found)


@given(SCHEMA)
def test_no_schema_differs_from_itself(schema: Any):
    assert differences(schema, schema) == ()
