"""The wire: whatever bytes arrive, linear, bounded, never an exception."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.model import BreachKind
from mcp_sandbox.probe.wire import (
    MAX_DEPTH,
    LineFramer,
    Parser,
    cut_nesting,
    encode,
    sample,
    without_lone_surrogates,
)

decode = Parser().decode
"""One parser for all: what one line leaves behind must not show in the next."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.binary(max_size=400), st.lists(st.integers(0, 1000)), st.integers(1, 50))
def test_lines_are_the_same_however_the_bytes_are_cut(data, cuts, limit):
    framer = LineFramer(limit)
    lines = [line for chunk in chunks(data, cuts) for line in framer.feed(chunk)]
    *whole, rest = data.split(b"\n")
    assert [line.data for line in lines] == [part[:limit] for part in whole]
    assert [line.skipped for line in lines] == [max(0, len(part) - limit) for part in whole]
    left = framer.rest()
    assert (left.data if left else b"") == rest[:limit]
    assert left is None or not left.terminated


def test_a_long_line_is_never_held_whole():
    framer = LineFramer(10)
    for _ in range(1000):
        assert list(framer.feed(b"x" * 1000)) == []
        assert len(framer._buffer) <= 10
    (line,) = framer.feed(b"\n")
    assert (line.data, line.skipped) == (b"x" * 10, 1000 * 1000 - 10)


@given(st.binary(max_size=300))
def test_decoding_never_raises(data):
    decoded = decode(data)
    assert decoded.is_json or decoded.faults


@given(JSON)
def test_a_message_survives_the_way_there_and_back(value):
    decoded = decode(encode({"v": value}).rstrip(b"\n"))
    assert decoded.is_json
    assert decoded.value == {"v": without_lone_surrogates(value)}


def kinds(data: bytes) -> list[BreachKind]:
    return [kind for kind, _ in decode(data).faults]


def test_each_fault_has_its_name_and_the_value_is_kept_where_there_is_one():
    assert kinds(b'{"a": "\xff"}') == [BreachKind.INVALID_UTF8]
    assert decode(b'{"a": "\xff"}').value == {"a": "�"}
    assert kinds(b'{"a": 1, "a": 2}') == [BreachKind.DUPLICATE_KEY]
    assert kinds(b'{"a": NaN}') == [BreachKind.NOT_JSON]
    assert decode(b'{"a": Infinity, "b": 1}').value["b"] == 1
    assert kinds(b"hello") == [BreachKind.NOT_JSON]
    assert kinds(b"1" * 10_000) == [BreachKind.NOT_JSON]
    assert kinds(b'{"a": 1}') == []


def test_lone_surrogates_become_replacement_characters():
    value = decode(b'{"\\ud800": ["\\udfff", "\\ud83d\\ude00"]}').value
    assert value == {"�": ["�", "😀"]}
    json.dumps(value, ensure_ascii=False).encode()


def test_deep_nesting_loses_only_what_is_deep():
    deep = b"[" * 100_000 + b"]" * 100_000
    decoded = decode(b'{"good": [1, "]]"], "bad": ' + deep + b"}")
    assert BreachKind.NESTED_TOO_DEEP in [kind for kind, _ in decoded.faults]
    assert decoded.value["good"] == [1, "]]"]
    level, inner = 0, decoded.value["bad"]
    while isinstance(inner, list) and inner:
        level, inner = level + 1, inner[0]
    assert level == MAX_DEPTH - 1


@given(JSON)
def test_cutting_what_is_shallow_changes_nothing(value):
    text = json.dumps(value)
    assert cut_nesting(text) == text


@given(JSON, st.integers(1, 4))
def test_cut_text_is_json_of_at_most_that_depth(value, depth):
    def depth_of(node) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        below = max(map(depth_of, inner), default=0)
        return below + isinstance(node, dict | list)

    assert depth_of(json.loads(cut_nesting(json.dumps(value), depth))) <= depth


@given(st.binary(max_size=600))
def test_samples_are_short_printable_ascii(data):
    shown = sample(data)
    assert all(" " <= character <= "~" or character == "…" for character in shown)
    assert len(shown) <= 4 * 256 + 1
