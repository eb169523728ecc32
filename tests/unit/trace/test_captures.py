"""Traces that Debian's strace 6.13 wrote of real programs, x86_64, in a sealed container."""

import json
from pathlib import Path

import pytest

from mcp_sandbox.model import Act, Tracing
from mcp_sandbox.trace import Completeness, Event, Reader

DATA = Path(__file__).parents[2] / "data" / "trace"
CAPTURES = sorted(path.stem for path in DATA.glob("*.trace"))
TRACING = {"outside": Tracing.OUTSIDE}


def read(name: str) -> tuple[list[Event], Completeness]:
    reader = Reader(TRACING.get(name, Tracing.INSIDE))
    events = reader.feed((DATA / f"{name}.trace").read_bytes())
    return events, reader.close()


def row(event: Event) -> list[object]:
    """An event without its time, as the lists of expected events have it."""
    return [
        event.line,
        event.pid,
        event.act.value,
        event.object,
        event.result,
        event.program,
        list(event.argv),
        event.detail,
        event.other,
    ]


def of(events: list[Event], *acts: Act) -> list[tuple[str, str]]:
    return [(event.object, event.result) for event in events if event.act in acts]


@pytest.mark.parametrize("name", [path.stem for path in sorted(DATA.glob("*.events"))])
def test_every_event_is_as_expected(name: str):
    expected = [json.loads(line) for line in (DATA / f"{name}.events").read_text().splitlines()]
    assert [row(event) for event in read(name)[0]] == expected


@pytest.mark.parametrize("name", CAPTURES)
def test_nothing_is_lost(name: str):
    events, completeness = read(name)
    assert events
    assert completeness.lost == ()
    assert completeness.lines == (DATA / f"{name}.trace").read_bytes().count(b"\n")
    assert completeness.bytes == (DATA / f"{name}.trace").stat().st_size
    assert completeness.began
    assert completeness.ended
    assert bool(completeness.opaque) == (name == "unreadable-program")
    assert bool(completeness.why) == (name == "unreadable-program")


@pytest.mark.parametrize("name", CAPTURES)
def test_every_call_of_the_trace_comes_back_once(name: str):
    text = (DATA / f"{name}.trace").read_text()
    opens = (
        sum(" open" in line[:35] and "<... " not in line[:35] for line in text.splitlines()) - 1
    )  # the gate's own
    seen = [event for event in read(name)[0] if event.act in (Act.OPEN, Act.WRITE)]
    by_descriptor = sum("truncate" in event.other for event in seen)
    assert len(seen) - by_descriptor == opens + text.count(" creat(")


def test_the_server_is_told_from_the_gate():
    events, completeness = read("python")
    first = events[0]
    assert (first.act, first.object, first.line) == (Act.EXEC, "/usr/bin/python3", 6)
    assert first.argv == ("python3", "-c", "import json, ssl, asyncio")
    assert first.program.endswith("/tracer/gate")
    assert {event.program for event in events[1:]} == {"/usr/bin/python3"}
    assert completeness.exit == "exited with 0"


def test_a_start_of_python_reads_and_tries_but_does_nothing_else():
    events, _ = read("python")
    assert {event.act for event in events} == {Act.EXEC, Act.OPEN, Act.EXIT}
    assert {event.result for event in events} == {"ok", "ENOENT"}


def test_programs_of_children():
    events, _ = read("node")
    assert [(e.program, e.object, e.argv) for e in events if e.act is Act.EXEC][1:] == [
        ("/usr/bin/node", "/bin/sh", ("/bin/sh", "-c", "id -u; echo $((6*7))")),
        ("/bin/sh", "/usr/bin/id", ("id", "-u")),
    ]
    (listener,) = [e.object for e in events if e.act is Act.LISTEN]
    assert (listener, "EINPROGRESS") in of(events, Act.CONNECT)


@pytest.mark.parametrize("name", ["node", "threads"])
def test_the_own_entries_of_a_process_have_no_number(name: str):
    entries = {e.object for e in read(name)[0] if e.object.startswith("/proc/")}
    assert "/proc/self/maps" in entries
    assert not any(character.isdigit() for entry in entries for character in entry)


def test_a_name_that_is_looked_up_and_an_address_that_is_not_reached():
    events, _ = read("lookup")
    assert of(events, Act.CONNECT) == [
        ("unix:/var/run/nscd/socket", "ENOENT"),
        ("unix:/var/run/nscd/socket", "ENOENT"),
        ("10.255.255.53:53", "ENETUNREACH"),
        ("10.255.255.53:53", "ENETUNREACH"),
        ("198.51.100.7:80", "ENETUNREACH"),
    ]


def test_threads_belong_to_their_process_and_ends_are_told_once():
    events, completeness = read("threads")
    first = events[0].pid
    threads = {e.pid for e in events if e.program == "/usr/bin/python3"} - {first}
    assert threads
    forks = {int(e.object.split()[1]) for e in events if e.act is Act.FORK}
    ends = [e.pid for e in events if e.act in (Act.EXIT, Act.SIGNAL)]
    assert sorted(ends) == sorted({*forks, first})
    assert completeness.exit == "killed by SIGSEGV"
    killed = [e for e in events if e.act is Act.SIGNAL]
    assert [(e.object, e.program) for e in killed] == [
        ("SIGKILL", "/usr/bin/sleep"),
        ("SIGSEGV", "/usr/bin/python3"),
    ]


def test_a_search_for_a_program_leaves_refusals():
    events, _ = read("threads")
    sleeps = [
        (e.object, e.result) for e in events if e.act is Act.EXEC and e.argv[:1] == ("sleep",)
    ]
    assert sleeps == [
        ("/usr/local/sbin/sleep", "ENOENT"),
        ("/usr/local/bin/sleep", "ENOENT"),
        ("/usr/sbin/sleep", "ENOENT"),
        ("/usr/bin/sleep", "ok"),
    ]


def test_a_thread_that_executes_a_program_becomes_its_process():
    # strace says ENOSYS of that very exec.
    events, completeness = read("thread-exec")
    execs = [e for e in events if e.act is Act.EXEC]
    assert (execs[-1].object, execs[-1].result, execs[-1].argv) == (
        "/bin/sh",
        "ok",
        ("sh", "-c", "exit 5"),
    )
    assert execs[-1].pid == execs[0].pid
    assert events[-1].program == "/bin/sh"
    assert completeness.exit == "exited with 5"


def test_a_program_that_the_tracer_cannot_read_makes_the_record_opaque():
    events, completeness = read("unreadable-program")
    assert completeness.opaque == ("/src/unreadable",)
    assert "/src/unreadable" in completeness.why
    hidden = [e for e in events if e.object == "?"]
    assert [(e.act, e.program) for e in hidden] == [(Act.OPEN, "/src/unreadable")] * 2


def test_an_unreadable_loader_hides_the_gate_alone():
    events, completeness = read("unreadable-loader")
    assert completeness.why == ""
    assert events[0].object == "/usr/bin/sh"
    assert of(events, Act.KILL) == [("tracer", "ok"), ("self", "ok")]


def test_a_tracer_outside_numbers_processes_in_its_own_way():
    events, completeness = read("outside")
    assert completeness.why == ""
    assert of(events, Act.KILL) == [("child", "ok"), ("self", "ok"), ("self", "ok")]
    hidden = [e.object for e in events if e.program == "/src/unreadable" and e.act is Act.OPEN]
    assert hidden == ["/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6"]


def test_the_wrong_kind_of_trace_does_not_begin():
    reader = Reader(Tracing.INSIDE)
    data = (DATA / "python.trace").read_bytes().split(b"\n", 5)[5]  # from the server's exec on
    assert reader.feed(data) == []
    assert reader.close().why == "the start of the server is not in the trace"


def test_a_trace_without_its_end_is_not_whole():
    reader = Reader()
    data = (DATA / "python.trace").read_bytes()
    reader.feed(data[: data.rindex(b"+++ exited") - 30])
    assert not reader.close().ended
    assert reader.close().why
