"""The record: numbered without gaps, in bounds, and honest about what is not in it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden import events
from mcp_sandbox.warden.events import Recorder, shorten


class Reader:
    """Reads what a recorder writes."""

    def __init__(self) -> None:
        source, self.target = os.pipe()
        self._read = b""
        self._source = os.fdopen(source, "rb")
        self._thread = threading.Thread(target=self._all)
        self._thread.start()

    def _all(self) -> None:
        self._read = self._source.read()

    def lines(self) -> list[bytes]:
        os.close(self.target)
        self._thread.join()
        self._source.close()
        return self._read.splitlines()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def reader() -> Iterator[Reader]:
    return Reader()


def test_lines_are_numbered_whoever_writes_them(reader: Reader):
    recorder = Recorder(reader.target)
    writers = [
        threading.Thread(target=lambda: [recorder.record("udp", 1.5, size=n) for n in range(200)])
        for _ in range(4)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    recorder.tell("end", events=recorder.seen)
    assert recorder.close(30)
    found = reader.events()
    assert [one["seq"] for one in found] == list(range(1, 802))
    assert found[0]["at"] == 1.5
    assert found[-1]["events"] == 800


@pytest.mark.parametrize("character", ["a", "\x00", "\xff", '"'])
def test_no_line_is_too_long(reader: Reader, character: str):
    recorder = Recorder(reader.target)
    recorder.record(
        "http", 1.0, host=character * 9999, text=character * 99_999, name=character * 9999
    )
    assert recorder.close(30)
    (line,) = reader.lines()
    assert len(line) < events.MAX_LINE
    assert json.loads(line)["text"][:100] == character * 100


def test_after_the_last_event_one_full_is_written(reader: Reader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_EVENTS", 3)
    recorder = Recorder(reader.target)
    for _ in range(10):
        recorder.record("udp", 1.0)
    recorder.tell("clock", id=1)
    assert recorder.close(30)
    assert [one["event"] for one in reader.events()] == ["udp"] * 3 + ["full", "clock"]
    assert recorder.seen == 10


def test_bytes_are_bounded_too(reader: Reader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_BYTES", 5_000)
    recorder = Recorder(reader.target)
    for _ in range(10):
        recorder.record("http", 1.0, text="x" * 2_000)
    assert recorder.close(30)
    assert [one["event"] for one in reader.events()] == ["http"] * 3 + ["full"]


def test_a_reader_that_does_not_read_costs_events_and_no_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_PENDING", 200_000)
    source, target = os.pipe()
    recorder = Recorder(target)
    for _ in range(100):
        recorder.record("http", 1.0, text="x" * 20_000)
    assert recorder.close(0.01) is False
    assert recorder.seen == 100
    data = b""
    while b'"full"' not in data:
        data += os.read(source, 2**16)
    assert data.count(b'"http"') < 20
    assert recorder.close(30)
    os.close(source)
    os.close(target)


def test_trouble_is_counted_and_bounded(reader: Reader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_TROUBLES", 2)
    recorder = Recorder(reader.target)
    for _ in range(5):
        recorder.trouble("no")
    assert recorder.close(30)
    assert [one["event"] for one in reader.events()] == ["trouble"] * 2
    assert recorder.troubles == 5


@given(st.text(max_size=200), st.integers(8, 300))
def test_shortening_keeps_a_beginning(text: str, limit: int):
    short = shorten(text, limit)
    assert text.startswith(short)
    assert len(json.dumps(short)) <= limit
