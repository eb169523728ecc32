"""What the kernel and the sink recorded is brought to the call that it belongs to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_sandbox.model import (
    COMPLETE,
    Act,
    ContainerFacts,
    Network,
    Relaxation,
    SinkKind,
    TmpfsEntry,
    Tracing,
    Window,
    Witness,
)
from mcp_sandbox.pipeline import witnessing
from mcp_sandbox.pipeline.witnessing import Windows, opaque, witnessed
from mcp_sandbox.planted import Matcher, Planted, make
from mcp_sandbox.probe.session import Mark
from mcp_sandbox.sandbox import Recorded

MARKS = (
    Mark(0.0, Window.START),
    Mark(100.0, Window.LISTING),
    Mark(110.0, Window.CALL, 1),
    Mark(120.0, Window.CALL, 2),
    Mark(130.0, Window.SHUTDOWN),
)
HEAD = (
    '7 1.000000 execve("/.mcp-sandbox/tracer/gate", ["gate"], 0x7ffe /* 3 vars */) = 0\n'
    '7 90.000000 execve("/usr/bin/server", ["server"], 0x7ffd3c /* 3 vars */) = 0\n'
)
TAIL = "7 131.000000 +++ exited with 0 +++\n"


@dataclass
class Folder:
    """Evidence files in memory."""

    files: dict[str, bytes] = field(default_factory=dict)

    @contextmanager
    def open(self, kind: str) -> Iterator[Callable[[bytes], None]]:
        written: list[bytes] = []
        yield written.append
        self.files[kind] = b"".join(written)


def opened(at: float, path: str, pid: int = 7) -> str:
    """A line of the trace."""
    return f'{pid} {at:.6f} openat(AT_FDCWD</>, "{path}", O_RDONLY) = 3<{path}>\n'


def facts(**changes: Any) -> ContainerFacts:
    """A traced container whose witnesses are complete."""
    return ContainerFacts(
        **{
            "relaxation": Relaxation.NONE,
            "user": "65532:65532",
            "command_line": (),
            "tracing": Tracing.INSIDE,
            "network": Network.SINK,
            "witnesses": {one.value: COMPLETE for one in Witness},
        }
        | changes
    )


@pytest.fixture(scope="module")
def planted() -> Planted:
    return make("test", home="/home/user")


@pytest.fixture(scope="module")
def matcher(planted: Planted) -> Matcher:
    return Matcher(planted)


def record(text: str = "", *events: dict[str, Any], clock: float = 0.0) -> Recorded:
    """What a sandbox hands over."""
    data = text.encode()
    return Recorded(trace=io.BytesIO(data), events=events, clock=clock, trace_bytes=len(data))


def see(
    matcher: Matcher,
    container: ContainerFacts,
    recorded: Recorded,
    folder: Folder | None = None,
    bait: frozenset[str] = frozenset(),
) -> ContainerFacts:
    """The container's facts, witnessed."""
    files = (folder or Folder()).open
    return witnessed(container, recorded, MARKS, matcher=matcher, files=files, bait=bait)


def test_time_decides_and_clocks_are_brought_together():
    windows = Windows(MARKS, clock=0.0)
    assert windows.at(-5) == (Window.START, 0)
    assert windows.at(99.9) == (Window.START, 0)
    assert windows.at(110.0) == (Window.CALL, 1)
    assert windows.at(119.9) == (Window.CALL, 1)
    assert windows.at(200) == (Window.SHUTDOWN, 0)
    assert Windows(MARKS, clock=10.0).at(110.0) == (Window.CALL, 2)


def test_events_belong_to_calls_and_alike_ones_are_counted(matcher: Matcher):
    folder = Folder()
    text = (
        HEAD
        + opened(95, "/opt/data")
        + opened(111, "/opt/data")
        + opened(112, "/opt/data")
        + opened(121, "/opt/data")
        + TAIL
    )
    seen = see(matcher, facts(), record(text), folder)
    opens = [one for one in seen.kernel if one.act is Act.OPEN]
    assert [(one.window, one.call, one.count, one.line) for one in opens] == [
        (Window.START, 0, 1, 3),
        (Window.CALL, 1, 2, 4),
        (Window.CALL, 2, 1, 6),
    ]
    assert seen.witnesses[Witness.TRACE] == COMPLETE
    assert folder.files["trace"].decode() == text


def test_a_record_that_breaks_off_is_said(matcher: Matcher):
    seen = see(matcher, facts(), record(HEAD))
    assert seen.witnesses[Witness.TRACE] not in {COMPLETE, ""}
    assert not opaque(seen)


def test_what_the_collector_said_is_not_overwritten(matcher: Matcher):
    lost = facts(witnesses=facts().witnesses | {Witness.TRACE.value: "the warden ended"})
    seen = see(matcher, lost, record(HEAD + TAIL))
    assert seen.witnesses[Witness.TRACE] == "the warden ended"


def test_an_opaque_program_is_told_apart(matcher: Matcher):
    hidden = "7 111.000000 openat(AT_FDCWD</>, 0x7ffd12, O_RDONLY) = -1 EACCES (Denied)\n"
    seen = see(matcher, facts(), record(HEAD + hidden + TAIL))
    assert opaque(seen)


def test_a_flood_of_different_events_is_not_complete(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(witnessing, "MAX_LOUD", 10)
    monkeypatch.setattr(witnessing, "MAX_QUIET", 10)
    quiet = HEAD + "".join(opened(111, f"/usr/lib/{n}.so") for n in range(50)) + TAIL
    seen = see(matcher, facts(), record(quiet))
    assert seen.witnesses[Witness.TRACE] == COMPLETE
    assert len([one for one in seen.kernel if one.act is Act.OPEN]) == 10
    loud = HEAD + "".join(opened(111, f"/home/user/.ssh/{n}") for n in range(50)) + TAIL
    seen = see(matcher, facts(), record(loud))
    assert "more than 10" in seen.witnesses[Witness.TRACE]


def test_looking_up_a_name_in_each_call_leaves_room_for_the_rest(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(witnessing, "MAX_QUIET", 0)
    sorting = (
        "7 111.000000 connect(4<UDP:[1]>, {sa_family=AF_INET, sin_port=htons(0), "
        'sin_addr=inet_addr("46.29.16.1")}, 16) = 0\n'
    )
    looked_up = "".join(opened(111, f"/etc/{one}") for one in ("hosts", "resolv.conf"))
    text = HEAD + looked_up + sorting + TAIL
    seen = see(matcher, facts(), record(text))
    assert seen.witnesses[Witness.TRACE] == COMPLETE
    assert not [one for one in seen.kernel if one.act in {Act.OPEN, Act.CONNECT}]
    reached = sorting.replace("htons(0)", "htons(443)") + opened(111, "/etc/passwd")
    seen = see(matcher, facts(), record(HEAD + reached + TAIL))
    assert {one.act for one in seen.kernel} >= {Act.OPEN, Act.CONNECT}


def test_processes_by_the_thousand_leave_room_for_files(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(witnessing, "MAX_QUIET", 5)
    forked = "".join(
        f"7 111.000000 clone(child_stack=NULL, flags=SIGCHLD) = {20 + n}\n" for n in range(9)
    )
    seen = see(matcher, facts(), record(HEAD + forked + opened(111, "/data/x") + TAIL))
    assert len([one for one in seen.kernel if one.act is Act.FORK]) == 5
    assert [one.object for one in seen.kernel if one.act is Act.OPEN] == ["/data/x"]


def test_what_was_planted_is_never_too_quiet(matcher: Matcher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(witnessing, "MAX_QUIET", 2)
    text = HEAD + "".join(opened(111, f"/opt/{n}") for n in range(9)) + TAIL
    bait = frozenset({"/opt/8"})
    seen = see(matcher, facts(), record(text), bait=bait)
    assert [one.object for one in seen.kernel if one.act is Act.OPEN] == [
        "/opt/0",
        "/opt/1",
        "/opt/8",
    ]


def test_a_secret_cut_over_questions_is_told_at_the_last_one(planted: Planted, matcher: Matcher):
    place, core = next(iter(planted.cores.items()))
    names = [f"{n}.{core[at : at + 5]}.z.example" for n, at in enumerate(range(0, 25, 5))]
    asked = [
        {"seq": n, "at": 111.0 + n, "event": "dns", "name": name, "type": "A", "answer": "x"}
        for n, name in enumerate(names)
    ]
    seen = see(matcher, facts(), record(HEAD + TAIL, *asked))
    told = [one for one in seen.sink if one.canaries]
    assert [(one.host, one.call, one.canaries[0].place) for one in told] == [(names[-1], 1, place)]
    fewer = see(matcher, facts(), record(HEAD + TAIL, *asked[:2]))
    assert not any(one.canaries for one in fewer.sink)


def test_secrets_are_found_and_masked_in_arguments(planted: Planted, matcher: Matcher):
    place, value = next(iter(planted.values.items()))
    folder = Folder()
    text = (
        HEAD
        + f'8 111.000000 execve("/usr/bin/curl", ["curl", "{value}"], 0x7ffd3c /* 3 vars */) = 0\n'
        + TAIL
    )
    seen = see(matcher, facts(), record(text), folder)
    run = next(one for one in seen.kernel if one.act is Act.EXEC and one.call == 1)
    assert [hit.place for hit in run.canaries] == [place]
    assert value not in run.detail
    assert value.encode() not in folder.files["trace"]
    assert len(folder.files["trace"].splitlines()) == len(text.splitlines())


def test_what_arrived_belongs_to_calls_and_hides_no_secret(planted: Planted, matcher: Matcher):
    place, value = next(iter(planted.values.items()))
    folder = Folder()
    asked = {"seq": 1, "at": 111.0, "event": "dns", "name": "a.example", "type": "A", "answer": "x"}
    posted = {
        "seq": 3,
        "at": 121.0,
        "event": "http",
        "host": "evil.example",
        "port": 80,
        "address": "23.1.2.3",
        "tls": False,
        "text": f"POST / HTTP/1.1\r\n\r\n{value}",
        "size": 99,
    }
    raw = {
        "seq": 4,
        "at": 50.0,
        "event": "tcp",
        "host": "23.1.2.3",
        "port": 9,
        "address": "23.1.2.3",
        "first": value.encode().hex(),
        "size": 40,
    }
    clock = {"seq": 5, "at": 51.0, "event": "clock", "id": 1}
    recorded = record(HEAD + TAIL, asked, {**asked, "seq": 2}, posted, raw, clock)
    seen = see(matcher, facts(), recorded, folder)
    name, request, first = seen.sink
    assert (name.kind, name.host, name.text, name.count, name.call) == (
        SinkKind.DNS,
        "a.example",
        "A",
        2,
        1,
    )
    assert (request.call, request.line, request.host) == (2, 3, "evil.example")
    assert [hit.place for hit in request.canaries] == [place]
    assert value not in request.text
    assert (first.window, [hit.place for hit in first.canaries]) == (Window.START, [place])
    lines = folder.files["sink.jsonl"].decode().splitlines()
    assert len(lines) == 4
    assert value not in folder.files["sink.jsonl"].decode()
    assert value.encode().hex() not in folder.files["sink.jsonl"].decode()
    assert json.loads(lines[2])["window"] == "call"


def test_an_untraced_container_has_no_trace_file(matcher: Matcher):
    folder = Folder()
    entry = TmpfsEntry("/tmp/x", "file", 1, "y")
    seen = see(matcher, facts(tracing=Tracing.NONE, tmpfs=(entry,)), record(), folder)
    assert seen.kernel == ()
    assert set(folder.files) == {"files.jsonl"}
    assert json.loads(folder.files["files.jsonl"])["path"] == "/tmp/x"
