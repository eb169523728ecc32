"""What no tracer would write, and what one writes without end: nothing raises, nothing grows."""

import random
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from writer import GATE, line

from mcp_sandbox.model import Act, Tracing
from mcp_sandbox.trace import Completeness, Event, Reader, halves, processes, reader

DATA = Path(__file__).parents[2] / "data" / "trace"
CAPTURES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.trace"))}
ROUNDS = 30
"""Mutations of each capture: 300 of them in two seconds."""
PIECES = [
    b"<unfinished ...>",
    b"<... openat resumed>",
    b"+++ exited with 0 +++",
    b"\n",
    b'"',
    b"\\",
    b"<",
    b">",
    b") = ",
    b" = -1 EPERM (Operation not permitted)",
    b"execve(",
    b"openat(AT_FDCWD</>, ",
    b"clone(flags=CLONE_THREAD",
    b"sendmmsg(3, ",
    b"msg_name=",
    b"NULL",
    b"0x7f00",
    b"{",
    b"}",
    b"1700000000.000001 ",
    b"7     ",
    b"\xff",
    b"\x00",
    b"99999999999999999999",
    b" ",
]


def read(data: bytes, tracing: Tracing = Tracing.INSIDE) -> tuple[list[Event], Completeness]:
    one = Reader(tracing)
    events = one.feed(data)
    return events, one.close()


def most(data: bytes) -> int:
    """The most events that there may be: one for a line, more only for many addresses."""
    return data.count(b"\n") + data.count(b"msg_name=")


@given(st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_no_bytes_raise_or_make_more_events_than_lines(data: bytes):
    for text in (data, GATE + data, GATE + line(data)):
        events, completeness = read(text)
        assert len(events) <= most(text)
        assert completeness.bytes == len(text)


@given(st.sampled_from(sorted(CAPTURES)), st.lists(st.integers(0, 70_000), max_size=8))
def test_where_the_bytes_are_split_does_not_matter(name: str, cuts: list[int]):
    data = CAPTURES[name]
    tracing = Tracing.OUTSIDE if name == "outside" else Tracing.INSIDE
    one, events, last = Reader(tracing), [], 0
    for at in [*sorted(cut % len(data) for cut in cuts), len(data)]:
        events += one.feed(data[last:at])
        last = at
    assert (events, one.close()) == read(data, tracing)


def test_byte_by_byte():
    one = Reader()
    data = CAPTURES["exotic"]
    events = [event for at in range(len(data)) for event in one.feed(data[at : at + 1])]
    assert (events, one.close()) == read(data)


def mutations(data: bytes, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        text = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(text))
            match chance.randrange(4):
                case 0:
                    text[at] = chance.randrange(256)
                case 1:
                    del text[at : at + chance.randint(1, 200)]
                case 2:
                    text[at:at] = chance.choice(PIECES)
                case _:
                    other = chance.randrange(len(text))
                    text[at:at] = text[other : other + chance.randint(1, 400)]
        yield bytes(text)


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_damaged_traces_do_not_raise(name: str):
    damaged = 0
    for data in mutations(CAPTURES[name], seed=sum(name.encode())):
        events, completeness = read(data)
        assert len(events) <= most(data)
        damaged += completeness.why != ""
    assert damaged


@pytest.mark.parametrize(
    "damage",
    [
        line(b"<... openat resumed>) = 3</etc/passwd>"),
        line(b'openat(AT_FDCWD</>, "/etc/pas'),
        line(b'openat(AT_FDCWD</>, "/x", O_RDONLY) = 3</x> and more'),
        line(b"unlink(/x) = 0"),
        line(b"what is this?"),
        b"7 no time at all\n",
        b"\n",
        line(b"+++ gone +++"),
        line(b"+++ superseded by execve in pid 9 +++"),
        line(b"connect(3<TCP:[1]>, {sa_family=AF_INET"),
        line(b"execve(" + b"x" * (reader.LONGEST_LINE + 1)),
        b"7     1700000000.000003 openat(",
        line(b"clone(child_stack=NULL, flags=SIGCHLD) = -17"),
    ],
)
def test_what_cannot_be_read_is_told(damage: bytes):
    completeness = read(GATE + damage)[1]
    assert completeness.lost
    assert "could not be read" in completeness.why


@pytest.mark.parametrize(
    "record",
    [
        b"openat(AT_FDCWD, 0x7ffd00, O_RDONLY) = 3",
        b"openat(AT_FDCWD</>, 0x7ffd00, O_RDONLY) = -1 ENOENT (No such file or directory)",
        b'openat(AT_FDCWD</>, "/harmless", O_RDONLY) = 3',
        b"execve(0x7ffd00, 0x7ffd10, 0x7ffd20) = 0",
        b"connect(3, 0x7ffd00, 16) = -1 ECONNREFUSED (Connection refused)",
        b"sendto(3, 0x7ffd00, 3, 0, 0x7ffd08, 16) = 3",
        b"sendmsg(3, 0x7ffd00, 0) = 3",
        b"unlink(0x7ffd00) = 0",
        b'rename("/a", 0x7ffd00) = 0',
    ],
)
def test_what_the_tracer_could_not_read_is_told(record: bytes):
    _, completeness = read(GATE + line(record))
    assert completeness.opaque == ("/bin/server",)
    assert completeness.why.startswith("the tracer could not read")


@pytest.mark.parametrize(
    "record",
    [
        b"openat(AT_FDCWD</>, 0x8, O_RDONLY) = -1 EFAULT (Bad address)",
        b"openat(AT_FDCWD</>, NULL, O_RDONLY) = -1 EFAULT (Bad address)",
        b"execve(NULL, NULL, NULL) = -1 EFAULT (Bad address)",
        b"connect(3<TCP:[1]>, 0x7ffd00, 1) = -1 EINVAL (Invalid argument)",
        b"sendto(3<TCP:[1]>, 0x7ffd00, 3, 0, NULL, 0) = 3",
    ],
)
def test_what_the_kernel_could_not_read_either_is_not(record: bytes):
    assert read(GATE + line(record))[1].opaque == ()


def test_no_more_than_some_opaque_programs_are_named():
    hidden = line(b"openat(AT_FDCWD, 0x7ffd00, O_RDONLY) = 3")
    records = b"".join(
        line(b'execve("/p/%d", ["x"], 0x7f00 /* 1 var */) = 0' % n) + hidden for n in range(100)
    )
    completeness = read(GATE + records)[1]
    assert len(completeness.opaque) == reader.MOST_OPAQUE
    assert completeness.why


def peak(chunks: Iterator[bytes]) -> int:
    """The most bytes that a reader holds while it is fed."""
    one = Reader()
    one.feed(GATE)
    tracemalloc.start()
    try:
        for chunk in chunks:
            one.feed(chunk)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def flood(lines: int, record: str) -> Iterator[bytes]:
    for at in range(0, lines, 100):
        yield b"".join(line(record.replace("@", str(n)).encode()) for n in range(at, at + 100))


@pytest.mark.parametrize(
    "record",
    [
        'openat(AT_FDCWD</>, "/tmp/@", O_RDONLY) = 3</tmp/@>',
        'chdir("/tmp/@") = 0',
        'execve("/tmp/@", ["x"], 0x7f00 /* 1 var */) = 0',
        "openat(AT_FDCWD, 0x7f@, O_RDONLY) = 3",
        "what is @ this?",
    ],
)
def test_memory_is_flat_in_the_length_of_a_flood(record: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "REMEMBERED", 200)
    short, long = (peak(flood(lines, record)) for lines in (2_000, 8_000))
    assert long < short * 1.1 + 50_000


def test_memory_is_flat_in_the_number_of_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "REMEMBERED", 200)

    def forks(count: int) -> Iterator[bytes]:
        parent = 7
        for n in range(10, 10 + count):
            yield line(b"clone(child_stack=NULL, flags=SIGCHLD) = %d" % n, parent)
            yield line(b"+++ exited with 0 +++", parent)
            parent = n

    short, long = peak(forks(2_000)), peak(forks(8_000))
    assert long < short * 1.1 + 50_000


def test_living_processes_have_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "MOST_TASKS", 50)
    records = b"".join(line(b"vfork() = %d" % n) for n in range(10, 100))
    completeness = read(GATE + records)[1]
    assert any("processes too many" in lost for lost in completeness.lost)


def test_calls_under_way_have_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(halves, "MOST_BYTES", 1_000)
    records = b"".join(
        line(b'unlink("/tmp/some/name" <unfinished ...>', pid) for pid in range(10, 100)
    )
    assert "too many calls at once" in read(GATE + records)[1].lost[0]


def test_a_long_line_is_passed_over_and_the_next_one_is_read():
    for size in (reader.LONGEST_LINE, 3 * reader.LONGEST_LINE):
        one = Reader()
        one.feed(GATE)
        noise = line(b"recvmsg(3, " + b"x" * size + b") = 1")
        events = [e for at in range(0, len(noise), 999) for e in one.feed(noise[at : at + 999])]
        events += one.feed(line(b'unlink("/x") = 0'))
        assert [(e.object, e.line) for e in events] == [("/x", 4)]
        assert one.close().lost == ()  # what it receives says nothing


def test_a_flood_of_addresses_in_one_call_is_lost_not_cut():
    names = b", ".join(
        b"{msg_hdr={msg_name={sa_family=AF_INET, sin_port=htons(%d), "
        b'sin_addr=inet_addr("1.2.3.4")}}}' % port
        for port in range(1, 40)
    )
    assert read(GATE + line(b"sendmmsg(3<UDP:[1]>, [" + names + b"], 39, 0) = 39"))[1].lost
    two = names[: names.index(b"htons(3)")].rsplit(b", {msg_hdr", 1)[0]
    events, completeness = read(GATE + line(b"sendmmsg(3<UDP:[1]>, [" + two + b"], 2, 0) = 2"))
    assert completeness.lost == ()
    assert [e.object for e in events if e.act is Act.SEND] == ["1.2.3.4:1", "1.2.3.4:2"]


def test_a_datagram_that_was_broken_off_is_told():
    where = b'{sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}'
    head = b'sendto(3<UDP:[1]>, "x", 1, 0, ' + where + b", 16"
    events, completeness = read(GATE + line(head + b" <unfinished ...>) = ?"))
    assert completeness.lost == ()
    assert [(e.object, e.result) for e in events[1:]] == [("192.0.2.1:53", "EINTR")]
    (kill,) = read(GATE + line(b"kill(1, SIGKILL <unfinished ...>) = ?"))[0][1:]
    assert (kill.object, kill.detail, kill.result) == ("tracer", "SIGKILL", "ok")


def test_a_call_that_was_broken_off_is_told():
    where = b'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}'
    head = b"connect(3<TCP:[1]>, " + where + b", 16"
    for record in (
        line(head + b") = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"),
        line(head + b" <unfinished ...>") + line(b"<... connect resumed>) = ?"),
        line(head + b" <unfinished ...>") + line(b"<... connect resumed> <unfinished ...>) = ?"),
    ):
        events, completeness = read(GATE + record)
        assert completeness.lost == ()
        assert [(e.object, e.result) for e in events[1:]] == [("192.0.2.1:80", "EINTR")]
