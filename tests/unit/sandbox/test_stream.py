"""The attached streams: frames cut anywhere, bounded standard error, ends of every kind."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.sandbox.stream import ASIDE, AttachedStream, Demultiplexer, HeadTail


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(payload)) + payload


FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_however_the_bytes_are_cut(frames: list[tuple[int, bytes]], cuts: list[int]):
    wire = b"".join(frame(*one) for one in frames)
    taken = {1: b"", 2: b""}
    demultiplexer = Demultiplexer()
    position = number = 0
    while position < len(wire):
        size = cuts[number % len(cuts)]
        for stream, part in demultiplexer.feed(wire[position : position + size]):
            taken[stream] += part
        position += size
        number += 1
    for stream, data in taken.items():
        assert data == b"".join(part for which, part in frames if which == stream)
    assert demultiplexer.between_frames


def test_a_huge_frame_is_passed_on_as_it_comes():
    demultiplexer = Demultiplexer()
    head = struct.pack(">BxxxI", 1, 2**32 - 1)
    assert list(demultiplexer.feed(head + b"abc")) == [(1, b"abc")]
    assert list(demultiplexer.feed(b"d" * 1000)) == [(1, b"d" * 1000)]
    assert not demultiplexer.between_frames


@given(parts=st.lists(st.binary(max_size=30), max_size=12), half=st.integers(1, 20))
def test_beginning_and_end_are_kept(parts: list[bytes], half: int):
    kept = HeadTail(half)
    for part in parts:
        kept.add(part)
    whole = b"".join(parts)
    head, tail = kept.parts()
    assert kept.total == len(whole)
    assert head == whole[:half]
    assert tail == whole[half:][-half:]
    assert kept.dropped == max(0, len(whole) - 2 * half)
    windows = list(kept.windows())
    kept.close()
    assert all(window in whole for window in windows)
    if not kept.lost:
        pairs = [whole[at : at + 2] for at in range(len(whole) - 1)]
        assert all(any(pair in window for window in windows) for pair in pairs)


def test_what_is_searched_overlaps_and_has_an_end():
    half = 64 * 2**10
    kept = HeadTail(half)
    room = 2 * half * ASIDE
    letters = b"".join(b"%07d" % number for number in range(room // 7))
    for start in range(0, room, 1000):
        kept.add(letters[start : start + 1000])
    windows = list(kept.windows())
    assert kept.lost == 0
    assert len(windows) > 2
    for number in range(0, room // 7, 111):
        word = b"%07d" % number
        assert any(word in window for window in windows)
    for start in range(0, 4 * room, room):
        kept.add(b"z" * room)
        assert kept.lost > start
    assert sum(map(len, kept.windows())) < 2 * room
    kept.close()


def test_two_sides_of_a_gap_are_not_joined():
    kept = HeadTail(4)
    kept.add(b"a" * 4 + b"b" * 4 * 2 * ASIDE)
    for _ in range(40):
        kept.add(b"c" * 8)
    assert kept.lost
    assert not any(b"bc" in window for window in kept.windows())
    kept.close()


@pytest.fixture
def pair() -> Iterator[tuple[AttachedStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    stream = AttachedStream(ours, HeadTail(4))
    with theirs:
        yield stream, theirs
    stream.close()


Pair = tuple[AttachedStream, socket.socket]


def test_nothing_yet_then_something_then_the_end(pair: Pair):
    stream, engine = pair
    stderr = stream.errors
    assert isinstance(stderr, HeadTail)
    assert stream.recv() is None
    engine.sendall(frame(1, b"out") + frame(2, b"0123456789") + frame(1, b"put"))
    assert stream.recv() == b"output"
    assert (stderr.parts(), stderr.total) == ((b"0123", b"6789"), 10)
    engine.sendall(frame(2, b"only err"))
    assert stream.recv() is None
    engine.close()
    assert stream.recv() == b""
    assert (stream.ended, stream.broken) == (True, "")
    assert stream.recv() == b""


def test_an_end_inside_a_frame_is_no_clean_end(pair: Pair):
    stream, engine = pair
    engine.sendall(frame(1, b"whole")[:-2])
    assert stream.recv() == b"who"
    engine.close()
    assert stream.recv() == b""
    assert "inside a frame" in stream.broken


def test_writing_until_nobody_takes_more(pair: Pair):
    stream, engine = pair
    while stream.send(memoryview(b"x" * 65536)):
        pass
    assert stream.send(memoryview(b"x")) == 0
    assert len(engine.recv(10)) == 10


def test_input_is_closed_once_and_then_refuses(pair: Pair):
    stream, engine = pair
    assert stream.send(memoryview(b"abc")) == 3
    stream.close_write()
    stream.close_write()
    assert (engine.recv(10), engine.recv(10)) == (b"abc", b"")
    with pytest.raises(BrokenPipeError):
        stream.send(memoryview(b"x"))
    engine.sendall(frame(1, b"still"))
    assert stream.recv() == b"still"


def test_a_peer_that_is_gone_is_a_broken_pipe(pair: Pair):
    stream, engine = pair
    engine.close()
    with pytest.raises(BrokenPipeError):
        stream.send(memoryview(b"x"))
