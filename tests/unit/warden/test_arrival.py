"""What arrives has the time at which it did, however late the warden comes to it."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.warden.arrival import ANCILLARY, stamp, stamped
from mcp_sandbox.warden.datagrams import Datagrams
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.loop import Loop
from mcp_sandbox.warden.names import Names
from mcp_sandbox.warden.streams import Streams

LATE = 0.3
"""Seconds that the warden is busy with something else."""
SLACK = 0.05
"""The kernel counts the age of a connection in ticks of its own, of 1 to 10 milliseconds."""


class Record:
    """A recorder, and what it wrote."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self.recorder = Recorder(self._descriptor)

    def events(self) -> list[dict[str, Any]]:
        assert self.recorder.close(10)
        os.close(self._descriptor)
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "events")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


@pytest.fixture
def clock() -> Iterator[None]:
    """The kernel dates packets from some moment after the first socket that asks for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        stamp(sock)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        for _ in range(100_000):
            sock.sendto(b"x", sock.getsockname())
            sent = time.time()
            at = stamped(sock.recvmsg(10, ANCILLARY)[1])
            assert at is not None
            if at < sent:
                break
        else:
            pytest.fail("the kernel dates nothing")
        yield


def be_late() -> None:
    """Let time pass, as a warden does that gets no processor."""
    until = time.monotonic() + LATE
    while time.monotonic() < until:
        pass


@pytest.mark.parametrize("destination", [("192.0.2.1", 4444), None], ids=["out", "the sink itself"])
def test_a_connection_belongs_to_the_time_when_it_was_made(
    record: Record, listener: socket.socket, destination: tuple[str, int] | None
):
    loop = Loop()
    where = destination or listener.getsockname()
    streams = Streams(loop, record.recorder, Names(ipv6=False), destination=lambda _: where)
    before = time.time()
    with socket.create_connection(listener.getsockname()) as client:
        after = time.time()
        client.sendall(b"hello\n")
        be_late()
        streams.accept(listener)
    loop.close()
    (event,) = record.events()
    assert event["event"] == ("tcp" if destination else "tamper")
    assert before <= event["at"] <= after + SLACK


def test_no_connection_is_dated_before_it_was_made(record: Record, listener: socket.socket):
    """Whatever part of a tick has passed: many are made and taken at once."""
    loop = Loop()
    streams = Streams(
        loop, record.recorder, Names(ipv6=False), destination=lambda _: ("192.0.2.1", 9)
    )
    made = []
    for _ in range(300):
        before = time.time()
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"hello\n")
            streams.accept(listener)
        made.append(before)
        loop.step(0)
        loop.step(0)
    loop.close()
    events = sorted(event["at"] for event in record.events())
    assert len(events) == len(made)
    assert [at for before, at in zip(made, events, strict=True) if at < before] == []


@pytest.mark.usefixtures("clock")
def test_a_connection_that_brings_data_is_dated_by_it_and_to_less_than_a_tick(
    record: Record, listener: socket.socket
):
    """Many at once: the client is done with all of them before one is taken."""
    loop = Loop()
    stamp(listener)
    streams = Streams(
        loop, record.recorder, Names(ipv6=False), destination=lambda _: ("192.0.2.1", 9)
    )
    clients, times = [], []
    for _ in range(20):
        before = time.time()
        clients.append(socket.create_connection(listener.getsockname()))
        clients[-1].sendall(b"hello\n")
        times.append((before, time.time()))
    streams.accept(listener)
    loop.step(0.1)
    loop.close()
    for client in clients:
        client.close()
    dated = sorted(event["at"] for event in record.events())
    assert len(dated) == len(times)
    wrong = [
        (before, at, after)
        for (before, after), at in zip(times, dated, strict=True)
        if not before <= at <= after
    ]
    assert wrong == []


@pytest.mark.usefixtures("clock")
def test_a_connection_that_brings_data_late_has_the_time_of_its_making(
    record: Record, listener: socket.socket
):
    loop = Loop()
    stamp(listener)
    streams = Streams(
        loop, record.recorder, Names(ipv6=False), destination=lambda _: ("192.0.2.1", 9)
    )
    with socket.create_connection(listener.getsockname()) as client:
        streams.accept(listener)
        accepted = time.time()
        be_late()
        client.sendall(b"hello\n")
        loop.step(0.1)
    loop.close()
    (event,) = record.events()
    assert event["at"] <= accepted


@pytest.mark.usefixtures("clock")
def test_a_datagram_belongs_to_the_time_when_it_arrived(record: Record):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        stamp(sock)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            before = time.time()
            client.sendto(b"hello", sock.getsockname())
            after = time.time()
        be_late()
        Datagrams(record.recorder, Names(ipv6=False), tproxy=True).read(sock)
    (event,) = record.events()
    assert event["event"] == "tamper"
    assert before <= event["at"] <= after


def test_a_time_that_the_kernel_does_not_give_is_ours(
    record: Record, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mcp_sandbox.warden.arrival._TCP_INFO", struct.Struct("@8x4000I"))
    streams = Streams(
        Loop(), record.recorder, Names(ipv6=False), destination=socket.socket.getsockname
    )
    with socket.create_connection(listener.getsockname()):
        before = time.time()
        streams.accept(listener)
    (event,) = record.events()
    assert before <= event["at"] <= time.time()
