"""What has another name is known by what it says and takes, with work that is bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcp_sandbox.baseline import likeness
from mcp_sandbox.baseline.items import whole
from mcp_sandbox.baseline.likeness import Features, Row, renamed, taken_over
from mcp_sandbox.model import ItemKind
from mcp_sandbox.model.locked import Item
from support.observed import tool


def item(name: str, description: str, *parameters: str, kind: ItemKind = ItemKind.TOOLS) -> Item:
    schema = tool(name, description, **dict.fromkeys(parameters, "What it is."))["inputSchema"]
    return Item(kind, name, "", "", description, {"inputSchema": schema})


def rows(*items: Item) -> list[Row]:
    return [(one, whole(one)) for one in items]


def pairs(old: list[Item], new: list[Item]) -> tuple[Any, ...]:
    found, lost, gained = renamed(rows(*old), rows(*new))
    return (
        {one.old.name: one.new.name for one in found},
        [one.name for one, _ in lost],
        [one.name for one, _ in gained],
    )


SORT = "Sort the lines of a text by the alphabet."
COUNT = "Count how many words a text has."


def test_the_same_under_another_name():
    assert pairs([item("a", SORT, "text")], [item("b", SORT, "text")]) == ({"a": "b"}, [], [])


def test_nearly_the_same_under_another_name():
    new = item("b", SORT.replace("alphabet", "alphabet, or backwards"), "text")
    assert pairs([item("a", SORT, "text")], [new]) == ({"a": "b"}, [], [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (item("read_file", "Read a file.", "path"), item("delete_file", "Delete a file.", "path")),
        (item("a", SORT, "text"), item("b", SORT, "url", "method", "body", "header")),
        (item("a", SORT, "text"), item("b", SORT, "text", kind=ItemKind.PROMPTS)),
        (
            item(
                "a",
                "",
            ),
            item("b", ""),
        ),
        (item("a", "Ping."), item("b", "Ping.")),
    ],
    ids=["same schema", "same text", "another kind", "says nothing", "says next to nothing"],
)
def test_what_is_not_the_same(old: Item, new: Item):
    assert pairs([old], [new]) == ({}, [old.name], [new.name])


def test_of_copies_the_likest_name_is_the_renamed_one():
    old = [item("sort_lines", SORT, "text")]
    new = [item("a_copy", SORT, "text"), item("sortLinesOf", SORT, "text")]
    for order in (new, new[::-1]):
        assert pairs(old, order) == ({"sort_lines": "sortLinesOf"}, [], ["a_copy"])


def test_of_a_split_it_is_the_part_that_kept_most():
    both = item("both", f"{SORT} {COUNT}", "text")
    sort, count = item("sort", f"{SORT} Count how many.", "text"), item("count", COUNT, "text")
    assert pairs([both], [count, sort])[0] == {"both": "sort"}
    assert pairs([both], [count, sort])[2] == ["count"]


def test_two_that_swap_names_are_told():
    old = rows(item("a", SORT, "text"), item("b", COUNT, "text"))
    new = rows(item("a", COUNT, "text"), item("b", SORT, "text"))
    assert {(one.old.name, one.new.name) for one in taken_over(old, new)} == {
        ("a", "b"),
        ("b", "a"),
    }


def test_a_reworded_one_is_not_taken_over():
    old = rows(item("a", SORT, "text"), item("b", COUNT, "text"))
    new = rows(item("a", f"{SORT} Fast.", "text"), item("b", f"{COUNT} Fast.", "text"))
    assert taken_over(old, new) == []


def test_of_two_that_are_alike_each_stays_itself():
    long = "Sort the lines of a text by the alphabet, in the order that its language has for them"
    old = [
        item("up", f"{long} upwards.", "text"),
        item("down", f"{long} downwards.", "text"),
    ]
    new = [replace(one, description=f"{one.description} Fast.") for one in old]
    like = likeness.features_of(old[0]).like(likeness.features_of(new[1]))
    assert like >= likeness.SAME
    assert taken_over(rows(*old), rows(*new)) == []


def test_what_many_share_leads_to_no_pairs(monkeypatch: pytest.MonkeyPatch):
    """The work grows with the items, not with its square: 600 on each side all share one text."""
    looked = []
    like = Features.like
    monkeypatch.setattr(Features, "like", lambda one, other: looked.append(1) or like(one, other))
    old = [item(f"a{number}", f"{SORT} {number}", "text") for number in range(600)]
    new = [item(f"b{number}", f"{SORT} {number} x", "text") for number in range(600)]
    found, _, _ = renamed(rows(*old), rows(*new))
    assert 600 <= len(looked) <= 2 * 600
    assert {(one.old.name[1:], one.new.name[1:]) for one in found} == {
        (f"{number}", f"{number}") for number in range(600)
    }
