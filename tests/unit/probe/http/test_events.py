"""Server-sent events, however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.probe.http import events as events_
from mcp_sandbox.probe.http.events import MAX_FIELDS, Event, Events, TooManyFields

STREAM = (
    b"\xef\xbb\xbfdata: one\n\n: a comment\nevent: endpoint\r\ndata:/post\r\n\r\n"
    b"id: 7\rdata: a\rdata: b\r\rretry: 250\n\ndata\n\n"
    b"id: x\0y\ndata:  two spaces\n\nunknown: 1\n\n"
)
WHOLE = [
    Event("message", b"one"),
    Event("endpoint", b"/post"),
    Event("message", b"a\nb", "7"),
    Event("message", b"", "7", 250),
    Event("message", b"", "7"),
    Event("message", b" two spaces", "7"),
]


def read(*pieces: bytes) -> list[Event]:
    reader = Events()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_every_field_and_every_line_end():
    assert read(STREAM) == WHOLE


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_how_it_is_cut_makes_no_difference(cuts: list[int]):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(edges))) == WHOLE


@given(st.binary(max_size=300))
def test_nothing_breaks_it(data: bytes):
    for event in read(data, b"\n\n"):
        assert len(event.data) <= len(data)


def test_an_event_without_its_end_is_none():
    assert read(b"data: half\n") == []


def test_what_is_too_long_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_, "MAX_EVENT", 10)
    (event,) = read(b"data: 12345\ndata: 67890\ndata: x\n\n")
    assert event.data == b"12345\n6789"
    assert event.skipped == 2


def test_an_event_of_too_many_lines_is_refused():
    assert read(b"data:\n" * MAX_FIELDS) == []
    with pytest.raises(TooManyFields):
        read(b"data:\n" * (MAX_FIELDS + 1))
