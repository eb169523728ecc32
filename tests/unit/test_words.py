"""A word diff holds both texts whole, and stays fast whatever they are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox import words
from mcp_sandbox.words import MAX_EDITS, Kind, Piece, diff

TEXT = st.text(st.sampled_from("ab \n.,\u200bé"), max_size=60)


@given(TEXT, TEXT)
def test_both_texts_can_be_read_from_it(before: str, after: str):
    pieces = diff(before, after)
    assert "".join(one.text for one in pieces if one.kind is not Kind.ADDED) == before
    assert "".join(one.text for one in pieces if one.kind is not Kind.REMOVED) == after
    assert all(one.text for one in pieces)
    kinds = [one.kind for one in pieces]
    assert all(left is not right for left, right in pairwise(kinds))


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("", "", ()),
        ("same", "same", (Piece(Kind.SAME, "same"),)),
        ("", "new", (Piece(Kind.ADDED, "new"),)),
        ("old", "", (Piece(Kind.REMOVED, "old"),)),
        (
            "Reads a file.",
            "Reads one file.",
            (
                Piece(Kind.SAME, "Reads "),
                Piece(Kind.REMOVED, "a"),
                Piece(Kind.ADDED, "one"),
                Piece(Kind.SAME, " file."),
            ),
        ),
        (
            "the old text here",
            "a new text here",
            (
                Piece(Kind.REMOVED, "the old"),
                Piece(Kind.ADDED, "a new"),
                Piece(Kind.SAME, " text here"),
            ),
        ),
        (
            "No network.",
            "No\u200b network.",
            (
                Piece(Kind.SAME, "No"),
                Piece(Kind.ADDED, "\u200b"),
                Piece(Kind.SAME, " network."),
            ),
        ),
    ],
)
def test_what_a_reader_sees(before: str, after: str, pieces: tuple[Piece, ...]):
    assert diff(before, after) == pieces


def test_texts_that_share_little_are_replaced_as_a_whole(monkeypatch: pytest.MonkeyPatch):
    """The search is given up, not left to run: its cost is the square of what differs."""
    monkeypatch.setattr(words, "MAX_EDITS", 3)
    before, after = "a b c d e f", "u b w d y f"
    assert diff(before, after)[0] == Piece(Kind.REMOVED, "a b c d e")
    monkeypatch.setattr(words, "MAX_EDITS", MAX_EDITS)
    monkeypatch.setattr(words, "MAX_WORDS", 5)
    assert diff("x " + before, "y " + after)[0].text == "x a b c d e"


def test_two_hostile_texts_take_a_bounded_search():
    before, after = "a " * 200_000, "b a " * 150_000
    pieces = diff(before, after)
    assert len(pieces) <= 2 * MAX_EDITS + 3
