"""The pipe stream keeps the promises of ``model.ByteStream``, and orphans do not get away."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mcp_sandbox.model import ByteStream
from support.family import descendants
from support.stream import PipeStream


@contextmanager
def running(program: str) -> Iterator[tuple[subprocess.Popen[bytes], ByteStream]]:
    """A Python program and the stream to it."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", program],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield process, PipeStream(process)
        process.kill()


def wait_for(stream: ByteStream) -> bytes | None:
    """What comes next."""
    assert select.select([stream.fileno()], [], [], 30)[0]
    return stream.recv()


def test_nothing_then_bytes_then_the_end() -> None:
    with running("import sys; sys.stdout.write(sys.stdin.read())") as (_, stream):
        assert stream.recv() is None
        assert stream.send(memoryview(b"hello")) == 5
        assert stream.recv() is None
        stream.close_write()
        assert wait_for(stream) == b"hello"
        assert wait_for(stream) == b""


def test_a_full_pipe_takes_nothing_and_is_not_writable() -> None:
    with running("import signal; signal.pause()") as (_, stream):
        while stream.send(memoryview(bytes(2**20))):
            assert stream.recv() is None
        assert select.select([], [stream.write_fileno()], [], 0)[1] == []


def test_a_closed_input_is_a_broken_pipe_on_either_side() -> None:
    with running("import os, signal; os.close(0); print(flush=True); signal.pause()") as (
        _,
        stream,
    ):
        assert wait_for(stream) == b"\n"
        with pytest.raises(BrokenPipeError):
            stream.send(memoryview(b"x"))
    with running("input()") as (_, stream):
        stream.close_write()
        stream.close_write()
        with pytest.raises(BrokenPipeError):
            stream.send(memoryview(b"x"))
        assert stream.write_fileno() == -1


def test_a_process_without_pipes_is_refused() -> None:
    with (
        subprocess.Popen([sys.executable, "-S", "-c", ""]) as process,
        pytest.raises(ValueError, match="needs pipes"),
    ):
        PipeStream(process)


def test_descendants_are_the_live_ones() -> None:
    before = set(descendants())
    with running("input()") as (process, _):
        assert set(descendants()) - before == {process.pid}
        os.kill(process.pid, 9)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert set(descendants()) == before
