"""The trace's FIFOs: opened, taken out of sight, copied whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_sandbox.warden import collect
from mcp_sandbox.warden.collect import Collector, NotCollected


class Other:
    """The tracer's end of ``log`` and the gate's end of ``go``, opened as those open them."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "log")
        os.mkfifo(folder / "go")
        self.log = self.go = -1
        self._folder = folder
        self._thread = threading.Thread(target=self._open)
        self._thread.start()

    def _open(self) -> None:
        self.log = os.open(self._folder / "log", os.O_WRONLY)
        self.go = os.open(self._folder / "go", os.O_RDONLY)

    def opened(self) -> None:
        self._thread.join(30)


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(tmp_path)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_both_are_out_of_sight_and_the_gate_is_shut(other: Other, tmp_path: Path):
    collector = Collector(tmp_path)
    other.opened()
    assert list(tmp_path.iterdir()) == []
    os.set_blocking(other.go, False)
    with pytest.raises(BlockingIOError):
        os.read(other.go, 1)
    collector.go()
    assert os.read(other.go, 10) == b"\n"
    assert os.read(other.go, 10) == b""
    collector.go()


def test_every_byte_is_copied_and_the_end_is_seen(
    other: Other, tmp_path: Path, pipe: tuple[int, int]
):
    collector = Collector(tmp_path)
    other.opened()
    collector.start(pipe[1])
    sent = os.urandom(3 * 2**20)
    os.set_blocking(other.log, True)

    def write() -> None:
        view = memoryview(sent)
        while view:
            view = view[os.write(other.log, view) :]
        os.close(other.log)

    writer = in_thread(write)
    got = b""
    while len(got) < len(sent):
        got += os.read(pipe[0], 2**16)
    writer.join(30)
    assert collector.finish(30)
    assert got == sent
    assert (collector.bytes, collector.ended, collector.fault) == (len(sent), True, "")


def test_a_tracer_that_does_not_end_is_not_taken_for_ended(
    other: Other, tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(collect, "GRACE", 0.0)
    collector = Collector(tmp_path)
    other.opened()
    os.write(other.log, b"one line\n")
    collector.start(pipe[1])
    assert collector.finish(30)
    assert os.read(pipe[0], 100) == b"one line\n"
    assert (collector.bytes, collector.ended) == (9, False)


def test_a_reader_that_does_not_read_is_noticed(
    other: Other, tmp_path: Path, pipe: tuple[int, int]
):
    collector = Collector(tmp_path)
    other.opened()
    collector.start(pipe[1])
    writer = in_thread(lambda: os.write(other.log, bytes(300_000)))
    writer.join(30)
    assert collector.finish(0.01) is False
    assert collector.running
    left = 300_000
    os.close(other.log)
    while left:
        left -= len(os.read(pipe[0], left))
    assert collector.finish(30)
    assert collector.ended


def test_a_reader_that_is_gone_is_a_fault(other: Other, tmp_path: Path):
    source, target = os.pipe()
    os.close(source)
    collector = Collector(tmp_path)
    other.opened()
    collector.start(target)
    os.write(other.log, b"x")
    assert collector.finish(30)
    assert "handed on" in collector.fault
    assert collector.ended is False
    os.close(target)


def test_without_a_tracer_it_fails(tmp_path: Path):
    os.mkfifo(tmp_path / "log")
    with pytest.raises(NotCollected, match="other end of log"):
        Collector(tmp_path, seconds=0.05)
    # Lets the thread that still waits go.
    os.close(os.open(tmp_path / "log", os.O_WRONLY))


def test_without_a_gate_it_fails(tmp_path: Path):
    os.mkfifo(tmp_path / "log")
    os.mkfifo(tmp_path / "go")
    tracer = in_thread(lambda: os.close(os.open(tmp_path / "log", os.O_WRONLY)))
    with pytest.raises(NotCollected, match="other end of go"):
        Collector(tmp_path, seconds=0.5)
    tracer.join(30)
    os.close(os.open(tmp_path / "go", os.O_RDONLY))


def test_without_the_fifos_it_fails(tmp_path: Path):
    with pytest.raises(NotCollected, match="log: No such file"):
        Collector(tmp_path, seconds=5)


def test_a_gate_that_is_gone_is_said(other: Other, tmp_path: Path):
    collector = Collector(tmp_path)
    other.opened()
    os.close(other.go)
    with pytest.raises(NotCollected, match="the gate"):
        collector.go()
