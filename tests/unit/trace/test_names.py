"""Any name that a process may choose comes back as it was, and changes nothing else."""

import posixpath
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from writer import GATE, descriptor, escaped, here, line, string

from mcp_sandbox.model import Act
from mcp_sandbox.trace import Event, Reader
from mcp_sandbox.trace.files import CALLS, plain_open
from mcp_sandbox.trace.record import split

FORGED = [
    b'", O_RDONLY) = 3</etc/shadow>',
    b") = -1 ENOENT (No such file or directory)",
    b"x <unfinished ...>",
    b"<... openat resumed>) = 3</etc/shadow>",
    b"\n7     1700000000.000009 +++ exited with 0 +++",
    b'a\nb\tc\\d"e<f>g = 3',
    b"resumed>",
    b"-",
    b"->",
    b"(deleted)",
    b"\xff\xfe\x00"[:2],
    "café漢".encode(),
    b"1" + bytes([7]) + b"2",
]
SPECIAL = st.sampled_from(
    [*FORGED, b'"', b"\\", b"\\\\", b'\\"', b", ", b"<", b">", b"\n", b"{", b"}"]
)
NAMES = (
    st.lists(SPECIAL | st.binary(max_size=20), min_size=1, max_size=6)
    .map(b"".join)
    .map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"_")[:255])
    .filter(lambda name: name not in (b"", b".", b".."))
)


def text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def events_of(*records: bytes) -> list[Event]:
    reader = Reader()
    events = reader.feed(GATE + b"".join(line(record) for record in records))
    completeness = reader.close()
    assert completeness.lost == ()
    assert completeness.opaque == ()
    return events[1:]


def only(record: bytes) -> Event:
    (event,) = events_of(record)
    return event


@given(NAMES, NAMES)
@example(*FORGED[:2])
@example(b"harmless", b"shadow")
def test_the_path_of_the_descriptor_counts(asked: bytes, opened: bytes):
    # Another thread may have changed the name between the tracer's look and the kernel's.
    record = (
        b"openat("
        + here(b"/tmp")
        + b", "
        + string(b"/" + asked)
        + b", O_RDONLY|O_CLOEXEC) = "
        + descriptor(3, b"/real/" + opened)
    )
    event = only(record)
    assert (event.act, event.object, event.result) == (Act.OPEN, f"/real/{text(opened)}", "ok")
    assert event.detail == f"/{text(asked)}"


@given(NAMES, NAMES)
def test_a_refused_name_is_joined_to_its_folder(folder: bytes, asked: bytes):
    record = b"openat(" + here(b"/" + folder) + b", " + string(asked)
    event = only(record + b", O_WRONLY|O_CREAT, 0600) = -1 EROFS (Read-only file system)")
    assert (event.act, event.result) == (Act.WRITE, "EROFS")
    assert event.object == posixpath.normpath(f"/{text(folder)}/{text(asked)}")
    assert event.detail == text(asked)


@pytest.mark.parametrize("asked", ["/a/../etc/x", "//etc/x", "/etc/./x", "/etc//x/", "/../etc/x"])
def test_a_refused_name_is_tidied(asked: str):
    event = only(
        b'openat(AT_FDCWD</>, "' + asked.encode() + b'", O_RDONLY) = -1 EACCES (Permission denied)'
    )
    assert (event.object, event.detail) == ("/etc/x", asked)
    assert only(b'rmdir("' + asked.encode() + b'") = 0').object == "/etc/x"


@given(NAMES, NAMES)
def test_the_two_names_of_a_rename(old: bytes, new: bytes):
    event = only(b"rename(" + string(b"/a/" + old) + b", " + string(b"/b/" + new) + b") = 0")
    assert (event.act, event.object, event.other) == (
        Act.RENAME,
        f"/a/{text(old)}",
        f"/b/{text(new)}",
    )


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\0", b"0")), max_size=6), NAMES)
def test_the_arguments_of_a_program(arguments: list[bytes], program: bytes):
    argv = b"[" + b", ".join(string(one) for one in arguments) + b"]"
    event = only(b"execve(" + string(b"/" + program) + b", " + argv + b", 0x7f00 /* 3 vars */) = 0")
    assert event.object == f"/{text(program)}"
    assert event.argv == tuple(text(one) for one in arguments)


@given(NAMES)
def test_the_name_of_a_socket(name: bytes):
    name = name[:100]
    address = b"{sa_family=AF_UNIX, sun_path=" + string(b"/" + name) + b"}"
    event = only(b"connect(3<UNIX-STREAM:[12]>, " + address + b", 110) = 0")
    assert (event.act, event.object) == (Act.CONNECT, f"unix:/{text(name)}")
    end = b'3<UNIX-STREAM:[12->13,"/' + escaped(name) + b'"]>'
    assert only(b"dup2(" + end + b", 0</dev/null<char 1:3>>) = 0" + end[1:]).object == event.object


VSOCK = b"], msg_name={sa_family=AF_VSOCK, svm_cid=2}"


@given(st.binary(max_size=200))
def test_a_payload_cannot_name_an_address(payload: bytes):
    where = b'{sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.9")}'
    decoy = (
        b'", 1, 0, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("1.1.1.1")}, 16) = 1'
    )
    for data in (payload, payload + decoy, decoy + payload, b"msg_name=" + decoy, VSOCK):
        count = b"%d" % len(data)
        sendto = b"sendto(3<UDP:[1]>, " + string(data) + b", " + count + b", 0, "
        assert only(sendto + where + b", 16) = " + count).object == "192.0.2.9:53"
        assert events_of(sendto + b"NULL, 0) = " + count) == []
        message = b"[{iov_base=" + string(data) + b", iov_len=" + count + b"}], msg_iovlen=1}"
        sendmsg = b"{msg_name=" + where + b", msg_namelen=16, msg_iov=" + message
        assert only(b"sendmsg(3<UDP:[1]>, " + sendmsg + b", 0) = 1").object == "192.0.2.9:53"
        both = b"[{msg_hdr=" + sendmsg + b", msg_len=1}, {msg_hdr=" + sendmsg + b", msg_len=1}], 2"
        assert [e.object for e in events_of(b"sendmmsg(3<UDP:[1]>, " + both + b", 0) = 2")] == [
            "192.0.2.9:53"
        ]


@given(NAMES)
def test_a_name_in_the_first_half_does_not_end_it(name: bytes):
    head = b"openat(" + here(b"/") + b", " + string(b"/" + name) + b", O_RDONLY <unfinished ...>"
    rest = b"<... openat resumed>) = " + descriptor(3, b"/" + name)
    event = only(head + b"\n" + line(rest)[:-1])
    assert (event.object, event.detail) == (f"/{text(name)}", "")


@given(NAMES)
def test_the_short_way_reads_as_the_long_way(name: bytes):
    head = b"openat(" + here(b"/t") + b", " + string(name) + b", O_RDONLY) = "
    for end in (descriptor(3, b"/x/" + name), b"-1 EACCES (Permission denied)"):
        body, result = split(head + end)
        short = plain_open(head + end)
        assert short is not None
        assert short == CALLS[b"openat"](body, result)


@pytest.mark.parametrize("length", [1_023, 1_024, 1_025, 4_095])
def test_a_long_name_is_cut_after_it_is_decoded(length: int):
    name = "é".encode() * length
    event = only(b"unlink(" + string(b"/" + name) + b") = 0")
    assert event.object == ("/" + "é" * length)[:1_024]


@pytest.mark.parametrize("name", FORGED)
def test_forgeries_in_every_place(name: bytes):
    flat = name.replace(b"/", b"_").replace(b"\0", b"")
    records = [
        b"unlink(" + string(flat) + b") = 0",
        b"mkdirat(" + descriptor(4, b"/" + flat) + b", " + string(flat) + b", 0700) = 0",
        b"symlink(" + string(flat) + b", " + string(b"/" + flat) + b") = -1 EEXIST (File exists)",
        b"chdir(" + string(b"/" + flat) + b") = 0",
        b"memfd_create("
        + string(flat)
        + b", 0) = "
        + descriptor(3, b"/memfd:" + flat)
        + b"(deleted)",
        b"prctl(PR_SET_NAME, " + string(flat[:15]) + b") = 0",
        b"fchmod(" + descriptor(4, b"/" + flat) + b", 0600) = 0",
        b"mount("
        + string(flat)
        + b", "
        + string(b"/" + flat)
        + b', "tmpfs", 0, '
        + string(flat)
        + b") = -1 EPERM (Operation not permitted)",
    ]
    events = events_of(*records)
    assert [event.act for event in events] == [
        Act.UNLINK,
        Act.MKDIR,
        Act.LINK,
        Act.MEMFD,
        Act.CHMOD,
        Act.MOUNT,
    ]
    assert all(text(flat) in event.object for event in events)
