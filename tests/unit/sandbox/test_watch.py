"""What a warden says and what it leaves out, and the few lines of a trace that end a server."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import COMPLETE, NOT_USED, Witness
from mcp_sandbox.sandbox import watch as watch_module
from mcp_sandbox.sandbox.spool import Trace
from mcp_sandbox.sandbox.stream import AttachedStream
from mcp_sandbox.sandbox.watch import END_TIMEOUT, Opened, Watch
from mcp_sandbox.warden import __main__ as warden_module
from mcp_sandbox.warden import handler

GATE = b"7     10.0 execve(0x7ffd, 0x7ffe, 0x7fff) = 0\n"
SERVER = b'7     10.1 execve("/bin/x", ["x"], 0x7f /* 1 var */) = 0\n'
EXIT = b"7     10.2 +++ exited with 3 +++\n"


class Warden:
    """The other end: says what it is told to, and answers the clock."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.number = 0

    def _frame(self, stream: int, data: bytes) -> None:
        self.connection.sendall(struct.pack(">BxxxI", stream, len(data)) + data)

    def raw(self, data: bytes) -> None:
        self._frame(1, data)

    def say(self, event: str, **fields: Any) -> None:
        self.number += 1
        self.raw(
            json.dumps({"seq": self.number, "at": 1.0, "event": event} | fields).encode() + b"\n"
        )

    def pass_on(self, trace: bytes) -> None:
        self._frame(2, trace)

    def end(self, count: int, **fields: Any) -> None:
        self.say("trace-end", **({"bytes": count, "dropped": 0, "ended": True} | fields))
        self.say("end", events=self.number)
        self.connection.close()


@pytest.fixture
def ends() -> Iterator[tuple[Watch, Warden]]:
    ours, theirs = socket.socketpair()
    trace = Trace(before=1)
    watch = Watch(AttachedStream(ours, trace), trace, sink=True, collect=True)
    yield watch, Warden(theirs)
    theirs.close()
    watch.close()
    trace.file.close()


Ends = tuple[Watch, Warden]


def whole(warden: Warden) -> None:
    warden.say("ready", sink=True, collect=True, ipv6=True)
    warden.pass_on(GATE + SERVER + EXIT)


def test_all_is_complete_when_all_was_said(ends: Ends):
    watch, warden = ends
    whole(warden)
    watch.ready()
    warden.say("dns", name="x.example", type="A", answer="1.2.3.4", address="192.0.2.53")
    warden.end(len(GATE + SERVER + EXIT))
    watch.finish()
    assert watch.witnesses == {Witness.TRACE: COMPLETE, Witness.SINK: COMPLETE}
    recorded = watch.recorded
    assert recorded.trace.read() == GATE + SERVER + EXIT
    assert recorded.trace_bytes == len(GATE + SERVER + EXIT)
    assert [event["name"] for event in recorded.events] == ["x.example"]


def gap(warden: Warden) -> None:
    warden.number += 1
    warden.end(len(GATE + SERVER + EXIT))


def full(warden: Warden) -> None:
    warden.say("full", text="no more than 9 events")
    warden.end(len(GATE + SERVER + EXIT))


def trouble(warden: Warden) -> None:
    warden.say("trouble", text="nft is missing")
    warden.end(len(GATE + SERVER + EXIT))


def no_json(warden: Warden) -> None:
    warden.raw(b"Traceback\n")
    warden.end(len(GATE + SERVER + EXIT))


def long_line(warden: Warden) -> None:
    for _ in range(0, watch_module.MAX_LINE + 1, 2**10):
        warden.raw(b"x" * 2**10)
    warden.raw(b"\n")
    warden.end(len(GATE + SERVER + EXIT))


BOTH = (False, False)


@pytest.mark.parametrize(
    ("then", "complete", "why"),
    [
        (gap, BOTH, "not all there"),
        (full, (True, False), "no more than 9"),
        (trouble, BOTH, "nft is missing"),
        (no_json, BOTH, "Traceback"),
        (long_line, BOTH, "the warden said"),
        (lambda warden: warden.connection.close(), BOTH, "ended before"),
        (lambda warden: warden.end(1), (False, True), "lost on the way"),
        (lambda warden: warden.end(len(GATE + SERVER + EXIT), dropped=1), (False, True), "lost"),
        (
            lambda warden: warden.end(len(GATE + SERVER + EXIT), ended=False),
            (False, True),
            "end of",
        ),
    ],
)
def test_whatever_is_missing_is_said(ends: Ends, then: Any, complete: tuple[bool, bool], why: str):
    watch, warden = ends
    whole(warden)
    then(warden)
    watch.finish()
    trace, sink = watch.witnesses[Witness.TRACE], watch.witnesses[Witness.SINK]
    assert (trace == COMPLETE, sink == COMPLETE) == complete
    assert why in trace + sink


def test_a_trace_without_the_servers_end_breaks_off(ends: Ends):
    watch, warden = ends
    warden.say("ready", sink=False, collect=True)
    warden.pass_on(GATE + SERVER)
    warden.end(len(GATE + SERVER))
    watch.finish()
    assert "breaks off" in watch.witnesses[Witness.TRACE]
    assert "not there" in watch.witnesses[Witness.SINK]


def test_a_warden_that_cannot_set_up_says_why(ends: Ends):
    watch, warden = ends
    warden.say("trouble", text="no NET_ADMIN")
    warden.connection.close()
    with pytest.raises(EngineFailed, match="no NET_ADMIN"):
        watch.ready()
    with pytest.raises(EngineFailed, match=r"is gone|does not answer"):
        watch.calibrate()


@pytest.mark.parametrize(
    ("trace", "opened"),
    [
        (GATE + SERVER, Opened.SERVER),
        (GATE + b"7 1.1 execve(\"/x\", 0x1 <unfinished ...>\n7 1.2 <... execve resumed>) = 0\n",
         Opened.SERVER),
        (GATE + b"7     10.1 +++ exited with 127 +++\n", Opened.REFUSED),
        (GATE + b"7     10.1 +++ exited with 255 +++\n", Opened.SERVER),
        (GATE + b"8 10.1 execve(\"/x\", [], 0x1) = 0\n7 10.1 execve(\"/x\") = -1 ENOENT (No)\n",
         Opened.UNKNOWN),
        (b"", Opened.UNKNOWN),
    ],
)  # fmt: skip
def test_what_becomes_of_the_gate(ends: Ends, trace: bytes, opened: Opened):
    watch, warden = ends
    told = []

    def answer() -> None:
        told.append(json.loads(warden.connection.recv(100)))
        warden.pass_on(trace)
        warden.connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=answer)
    thread.start()
    assert watch.go() is opened
    thread.join()
    assert told == [{"do": "go"}]


def test_the_clock_is_ours_within_a_round_trip_and_corrected_beyond(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
):
    watch, warden = ends
    for number in range(1, watch_module.PINGS + 1):
        warden.say("clock", id=number)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    watch.calibrate()
    assert watch.recorded.clock == 0.0
    monkeypatch.setattr(time, "time", lambda: 61.0)
    watch.calibrate()
    assert watch.recorded.clock == 60.0


def test_no_name_in_a_line_forges_an_end():
    """A line end inside a name is escaped by the tracer, so what looks like a line is none."""
    trace = Trace(before=0)
    trace.add(b'7 1.0 openat(AT_FDCWD, "\\n7 1.0 +++ exited with 0 +++", 0) = 3</x +++>\n')
    trace.add(b'17 1.0 +++ exited with 0 +++\n7 1.0 write(1, "7 1.0 +++ killed by SIGX +++") = 0\n')
    assert (trace.main, trace.exit) == (7, "")
    for byte in b"7 1.0 +++ killed by SIGSEGV +++\n":
        trace.add(bytes([byte]))
    assert trace.exit == "killed by SIGSEGV"
    trace.file.close()


def test_what_is_beyond_the_bound_is_dropped_and_counted():
    trace = Trace(before=0, limit=10)
    trace.add(b"7 1.0 x\n")
    trace.add(b"7 1.0 +++ exited with 0 +++\n")
    assert (trace.total, trace.dropped, trace.exit) == (36, 26, "exited with 0")
    trace.file.seek(0)
    assert trace.file.read() == b"7 1.0 x\n7 "
    trace.file.close()


def test_a_line_without_an_end_is_not_kept():
    trace = Trace(before=0)
    trace.add(b"7 1.0 x\n")
    for _ in range(100):
        trace.add(b"x" * 100_000)
    assert len(trace._rest) <= 4 * 4096
    trace.add(b"\n7 1.0 +++ exited with 1 +++\n")
    assert trace.exit == "exited with 1"
    trace.file.close()


def test_events_beyond_the_bound_are_counted(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    watch, warden = ends
    monkeypatch.setattr(watch_module, "MAX_EVENTS", 2)
    whole(warden)
    for _ in range(5):
        warden.say("icmp", address="1.2.3.4")
    warden.end(len(GATE + SERVER + EXIT))
    watch.finish()
    assert len(watch.recorded.events) == 2
    assert watch.witnesses[Witness.SINK].startswith("3 events")


def test_what_was_not_to_be_there_is_not_used():
    ours, theirs = socket.socketpair()
    trace = Trace(before=0)
    watch = Watch(AttachedStream(ours, trace), trace, sink=False, collect=False)
    Warden(theirs).end(0)
    watch.finish()
    assert set(watch.witnesses.values()) == {NOT_USED}
    trace.file.close()


def test_a_warden_has_the_time_to_say_what_it_could_not_do():
    """The trace is drained, late connections taken, open ones cut, and the events written."""
    waits = (
        warden_module.DRAIN_SECONDS,
        warden_module.LAST_SECONDS,
        handler.GRACE_SECONDS,
        handler.CUT_SECONDS,
        warden_module.DRAIN_SECONDS,
    )
    assert sum(waits) + 2 <= END_TIMEOUT
