"""Two locks, and every difference once with the direction it goes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.baseline.compare import compare
from mcp_sandbox.model import ItemKind, Network, Profile, Relaxation, Tls
from mcp_sandbox.model.locked import (
    Behaviour,
    Ceilings,
    Change,
    Direction,
    Effect,
    Item,
    Launch,
    Lock,
    Part,
)
from support.observed import tool

GAINED, LOST, CHANGED = Direction.GAINED, Direction.LOST, Direction.CHANGED
FIND = Item(
    ItemKind.TOOLS,
    "find",
    "",
    "",
    "Find a thing in the notes.",
    {"inputSchema": tool(name="The name.")["inputSchema"]},
)
SUM = replace(FIND, name="sum", description="Add up all the numbers that are given.")
TIDY = Item(
    ItemKind.PROMPTS, "tidy", "", "", "Tidy up.", {"arguments": [{"name": "text"}, {"name": "how"}]}
)


def lock(*items: Item, **facts: Any) -> Lock:
    return Lock("1.0", items=items, score=facts.pop("score", 100.0), **facts)


def defined(item: Item = FIND, **members: Any) -> Lock:
    return lock(replace(item, definition={**item.definition, **members}))


def acts(**subjects: Behaviour) -> Lock:
    names = {"find": "tools/find", "sum": "tools/sum", "start": "start-up"}
    return lock(FIND, SUM, behaviour={names.get(key, key): one for key, one in subjects.items()})


def only(old: Lock, new: Lock) -> Change:
    (one,) = compare(old, new)
    return one


CASES: dict[str, tuple[Lock, Lock, Change]] = {
    "tool": (
        lock(FIND),
        lock(FIND, SUM),
        Change(Part.ITEM, GAINED, "tools/sum", after="…"),
    ),
    "title": (
        lock(FIND),
        lock(replace(FIND, title="Find")),
        Change(Part.TITLE, GAINED, "tools/find", "", "Find", "/title", Effect.WORDS),
    ),
    "description": (
        lock(FIND),
        lock(replace(FIND, description="Find it.")),
        Change(
            Part.DESCRIPTION,
            CHANGED,
            "tools/find",
            FIND.description,
            "Find it.",
            "/description",
            Effect.WORDS,
        ),
    ),
    "input schema": (
        defined(inputSchema={"maxProperties": 1}),
        defined(inputSchema={"maxProperties": 2}),
        Change(
            Part.SCHEMA,
            CHANGED,
            "tools/find",
            "1",
            "2",
            "/inputSchema/maxProperties",
            Effect.WIDER,
        ),
    ),
    "output schema": (
        defined(outputSchema={"type": "object"}),
        defined(outputSchema={"type": "object", "maxProperties": 2}),
        Change(
            Part.SCHEMA,
            CHANGED,
            "tools/find",
            "",
            "2",
            "/outputSchema/maxProperties",
            Effect.NARROWER,
        ),
    ),
    "meta": (
        lock(FIND),
        defined(_meta={"a": 1}),
        Change(Part.META, GAINED, "tools/find", "", '{"a":1}', "/_meta"),
    ),
    "optional argument": (
        lock(TIDY),
        defined(TIDY, arguments=[*TIDY.definition["arguments"], {"name": "x"}]),
        Change(
            Part.SCHEMA,
            GAINED,
            "prompts/tidy",
            "",
            '{"name":"x"}',
            "/arguments/x",
            Effect.WIDER,
        ),
    ),
    "argument is required": (
        lock(TIDY),
        defined(TIDY, arguments=[{"name": "text", "required": True}, {"name": "how"}]),
        Change(
            Part.SCHEMA,
            GAINED,
            "prompts/tidy",
            "",
            "true",
            "/arguments/text/required",
            Effect.NARROWER,
        ),
    ),
    "arguments in another order": (
        lock(TIDY),
        defined(TIDY, arguments=TIDY.definition["arguments"][::-1]),
        Change(
            Part.SCHEMA,
            CHANGED,
            "prompts/tidy",
            '[{"name":"text"},{"name":"how"}]',
            '[{"name":"how"},{"name":"text"}]',
            "/arguments",
            Effect.WORDS,
        ),
    ),
    "instructions": (
        lock(),
        lock(instructions="Use it."),
        Change(Part.INSTRUCTIONS, GAINED, "server", "", "Use it.", "/instructions", Effect.WORDS),
    ),
    "server": (
        lock(server={"name": "x", "version": "1"}),
        lock(server={"name": "x", "version": "2"}),
        Change(Part.SERVER, CHANGED, "server", "1", "2", "/serverInfo/version"),
    ),
    "capability": (
        lock(capabilities={"tools": {}}),
        lock(capabilities={"tools": {}, "prompts": {}}),
        Change(Part.CAPABILITY, GAINED, "server", "", "{}", "/capabilities/prompts"),
    ),
    "capabilities that are none": (
        lock(capabilities={"tools": {}}),
        lock(capabilities=[]),
        Change(Part.CAPABILITY, CHANGED, "server", '{"tools":{}}', "[]", "/capabilities"),
    ),
    "user": (
        lock(launch=Launch(user="1")),
        lock(launch=Launch(user="0")),
        Change(Part.LAUNCH, CHANGED, "image", "1", "0", "/user"),
    ),
    "environment": (
        lock(launch=Launch(environment=("A=1",))),
        lock(launch=Launch(environment=("A=1", "B=2"))),
        Change(Part.LAUNCH, GAINED, "image", "", "B=2", "/environment"),
    ),
    "limit": (
        lock(ceilings=Ceilings(memory=1)),
        lock(ceilings=Ceilings(memory=2)),
        Change(Part.CEILING, CHANGED, "server", "1", "2", "/memory", Effect.WIDER),
    ),
    "relaxation": (
        lock(),
        lock(ceilings=Ceilings(relaxation=Relaxation.IMAGE_USER)),
        Change(Part.CEILING, CHANGED, "server", "none", "image-user", "/relaxation", Effect.WIDER),
    ),
    "score": (lock(), lock(score=90.0), Change(Part.SCORE, LOST, "server", "100", "90")),
    "no score": (lock(), lock(score=None), Change(Part.SCORE, LOST, "server", "100", "")),
    "network": (
        lock(),
        lock(network=Network.NONE),
        Change(Part.SETTING, CHANGED, "server", "sink", "none", "/network", Effect.NARROWER),
    ),
    "tls": (
        lock(),
        lock(tls=Tls.TERMINATE),
        Change(Part.SETTING, CHANGED, "server", "observe", "terminate", "/tls"),
    ),
    "uncalled": (
        lock(FIND),
        lock(FIND, uncalled=("tools/find",)),
        Change(Part.SETTING, GAINED, "tools/find", "", "", "/uncalled", Effect.NARROWER),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_difference_is_one_change(name: str):
    old, new, expected = CASES[name]
    one = only(old, new)
    if expected.after == "…":
        assert '"description"' in one.after
        expected = replace(expected, after=one.after)
    assert one == expected


@pytest.mark.parametrize("name", CASES)
def test_what_is_gained_is_lost_when_turned_around(name: str):
    old, new, _ = CASES[name]
    one, back = only(old, new), only(new, old) if name != "no score" else None
    if back is None:
        assert compare(new, old) == ()
        return
    flipped = {GAINED: LOST, LOST: GAINED, CHANGED: CHANGED}
    assert back.direction is flipped[one.direction]
    assert (back.part, back.subject, back.pointer) == (one.part, one.subject, one.pointer)
    if one.part is not Part.SCORE:
        assert (back.before, back.after) == (one.after, one.before)


# --- annotations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "before", "after", "effect"),
    [
        ("readOnlyHint", True, None, Effect.WEAKER),
        ("readOnlyHint", True, False, Effect.WEAKER),
        ("readOnlyHint", None, True, Effect.STRONGER),
        ("readOnlyHint", None, False, Effect.WORDS),
        ("destructiveHint", False, None, Effect.WEAKER),
        ("destructiveHint", False, True, Effect.WEAKER),
        ("destructiveHint", True, False, Effect.STRONGER),
        ("destructiveHint", None, True, Effect.WORDS),
        ("idempotentHint", True, False, Effect.WEAKER),
        ("openWorldHint", False, None, Effect.WEAKER),
        ("openWorldHint", True, None, Effect.WORDS),
        ("readOnlyHint", True, "true", Effect.OTHER),
        ("readOnlyHint", True, 1, Effect.OTHER),
        ("unknownHint", None, True, Effect.OTHER),
        ("title", "A", "B", Effect.WORDS),
    ],
)
def test_hints_are_compared_by_what_they_promise(
    hint: str, before: Any, after: Any, effect: Effect
):
    locks = [
        defined(annotations={"other": 1, **({} if value is None else {hint: value})})
        for value in (before, after)
    ]
    one = only(*locks)
    assert (one.part, one.pointer, one.effect) == (Part.ANNOTATION, f"/annotations/{hint}", effect)


def test_annotations_that_are_gone_are_promises_that_are_gone():
    one = only(defined(annotations={"readOnlyHint": True}), lock(FIND))
    assert (one.direction, one.effect) == (LOST, Effect.WEAKER)
    one = only(defined(annotations={"readOnlyHint": True}), defined(annotations=[]))
    assert (one.direction, one.effect) == (CHANGED, Effect.OTHER)


# --- behaviour ------------------------------------------------------------------------------------

HOST = Behaviour(endpoints=("a.example:443",))
LOOK = Behaviour(endpoints=("a.example",))
NONE = Behaviour()


def done(old: Lock, new: Lock) -> list[tuple[Direction, str]]:
    return [(one.direction, one.subject) for one in compare(old, new)]


@pytest.mark.parametrize("field", ["endpoints", "programs", "writes", "reads"])
def test_every_kind_of_behaviour_is_compared(field: str):
    more = Behaviour(**{field: ("x",)})
    assert only(acts(), acts(find=more)) == Change(Part(field), GAINED, "tools/find", after="x")
    assert only(acts(find=more), acts()) == Change(Part(field), LOST, "tools/find", before="x")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (acts(start=HOST), acts(idle=HOST), []),
        (acts(start=HOST), acts(start=HOST, find=HOST), []),
        (acts(start=HOST), acts(find=HOST), [(LOST, "start-up")]),
        (acts(find=HOST), acts(start=HOST), [(GAINED, "start-up")]),
        (acts(find=HOST), acts(sum=HOST), [(LOST, "tools/find"), (GAINED, "tools/sum")]),
        (acts(find=HOST), acts(find=LOOK), [(LOST, "tools/find")]),
        (acts(find=LOOK), acts(find=HOST), [(GAINED, "tools/find")]),
        (acts(start=HOST), acts(start=HOST, find=LOOK), []),
    ],
    ids=[
        "moved from start-up to idle",
        "unasked before, in a call too",
        "unasked before, in a call only",
        "in a call before, unasked now",
        "moved from one tool to another",
        "only looked up now",
        "connected to now",
        "looked up in a call, connected to unasked",
    ],
)
def test_who_asked_for_it_decides(old: Lock, new: Lock, expected: list[Any]):
    assert done(old, new) == expected


def test_behaviour_goes_with_a_renamed_tool_and_with_one_that_is_gone():
    old = lock(FIND, behaviour={"tools/find": HOST})
    new = lock(replace(FIND, name="search"), behaviour={"tools/search": HOST})
    assert [one.direction for one in compare(old, new)] == [Direction.RENAMED]
    assert [one.part for one in compare(old, lock())] == [Part.ITEM]
    assert [one.part for one in compare(lock(), old)] == [Part.ITEM, Part.ENDPOINT]


def test_what_cannot_be_seen_is_not_lost():
    both = replace(HOST, programs=("git",))
    blind = compare(acts(find=both), replace(acts(), network=Network.NONE))
    assert [one.part for one in blind] == [Part.SETTING, Part.PROGRAM]
    uncalled = compare(acts(find=both), replace(acts(), uncalled=("tools/find",)))
    assert [one.part for one in uncalled] == [Part.SETTING]
    assert done(replace(acts(), network=Network.NONE), acts(find=HOST))[-1][0] is GAINED


def test_scores_of_two_profiles_are_not_compared():
    other = lock(score=3.0, profile=Profile.SEED)
    assert [one.part for one in compare(lock(), other)] == [Part.SETTING]


# --- items ----------------------------------------------------------------------------------------


def test_a_swap_is_told_beside_what_differs_under_each_name():
    swapped = lock(replace(SUM, name="find"), replace(FIND, name="sum"))
    found = compare(lock(FIND, SUM), swapped)
    assert [(one.direction, one.before, one.after) for one in found if one.part is Part.ITEM] == [
        (Direction.RENAMED, "sum", "find"),
        (Direction.RENAMED, "find", "sum"),
    ]
    assert sum(one.part is Part.DESCRIPTION for one in found) == 2


def test_of_several_with_one_name_only_what_differs_is_told():
    other = replace(FIND, description="Find nothing at all.")
    assert compare(lock(FIND, other), lock(other, FIND)) == ()
    (one,) = compare(lock(FIND), lock(other, FIND))
    assert (one.part, one.direction) == (Part.ITEM, GAINED)


def test_a_digest_is_not_believed():
    old, new = replace(FIND, digest="same"), replace(FIND, digest="same", description="Else.")
    assert [one.part for one in compare(lock(old), lock(new))] == [Part.DESCRIPTION]
    assert compare(lock(old), lock(replace(old, digest="other"))) == ()


def test_the_scanners_version_and_what_was_normalised_are_no_difference():
    assert compare(lock(), replace(lock(), scanner="2", normalised=("a date",))) == ()


TEXT = st.sampled_from(["", "a", "Find a thing in the notes.", "Add up the numbers here."])
ITEM = st.builds(
    Item,
    st.sampled_from(ItemKind),
    st.sampled_from(["a", "b", "c"]),
    st.just(""),
    TEXT,
    TEXT,
    st.dictionaries(
        st.sampled_from(["inputSchema", "annotations", "arguments", "_meta", "icons"]),
        st.sampled_from(
            [None, 1, {}, [], {"type": "object"}, {"readOnlyHint": True}, [{"name": "x"}], "x"]
        ),
        max_size=3,
    ),
)
ACTS = st.builds(
    Behaviour,
    st.lists(st.sampled_from(["h", "h:1", "h:1/udp", "<argument>"]), unique=True).map(tuple),
    st.lists(st.sampled_from(["sh", "git"]), unique=True).map(tuple),
)
LOCK = st.builds(
    Lock,
    st.just("1"),
    profile=st.sampled_from(Profile),
    network=st.sampled_from(Network),
    server=st.sampled_from([None, {}, {"name": "x"}, [1], "x"]),
    capabilities=st.sampled_from([None, {}, {"tools": {}}]),
    instructions=TEXT,
    items=st.lists(ITEM, max_size=4).map(tuple),
    behaviour=st.dictionaries(
        st.sampled_from(["start-up", "idle", "tools/a", "tools/b", "prompts/a"]), ACTS, max_size=4
    ),
    uncalled=st.sampled_from([(), ("tools/a",)]),
    launch=st.builds(Launch, user=st.sampled_from(["", "1"])),
    ceilings=st.builds(Ceilings, memory=st.integers(0, 1)),
    score=st.sampled_from([None, 1.0, 2.0]),
)


@given(LOCK)
def test_no_lock_differs_from_itself(one: Lock):
    assert compare(one, one) == ()


@given(LOCK, LOCK, st.randoms())
def test_the_order_of_a_listing_does_not_count(old: Lock, new: Lock, chance: random.Random):
    def shuffled(one: Lock) -> Lock:
        items, behaviour = list(one.items), list(one.behaviour.items())
        chance.shuffle(items)
        chance.shuffle(behaviour)
        return replace(one, items=tuple(items), behaviour=dict(behaviour))

    assert compare(shuffled(old), shuffled(new)) == compare(old, new)


@given(LOCK, LOCK)
def test_as_many_items_are_gained_one_way_as_lost_the_other(old: Lock, new: Lock):
    def count(one: Lock, other: Lock, direction: Direction) -> int:
        changes = compare(one, other)
        return sum(each.part is Part.ITEM and each.direction is direction for each in changes)

    assert count(old, new, GAINED) == count(new, old, LOST)


@given(LOCK, LOCK)
def test_what_a_tool_gained_it_did_not_do_before(old: Lock, new: Lock):
    for one in compare(old, new):
        if one.part in {Part.ENDPOINT, Part.PROGRAM} and one.direction is GAINED:
            assert one.after in getattr(new.behaviour[one.subject], one.part.value)
            if not any(each.direction is Direction.RENAMED for each in compare(old, new)):
                before = old.behaviour.get(one.subject, NONE)
                assert one.after not in getattr(before, one.part.value)
