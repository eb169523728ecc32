"""Raw answers of engine, kernel and helper, turned into bounded facts."""

from __future__ import annotations

import io
import tarfile

from mcp_sandbox.model import CanaryHit, CgroupCounters, FileChange
from mcp_sandbox.sandbox import witnesses
from mcp_sandbox.sandbox.helper import _parse

SECRET = "s3cr3tvalue"
HIT = CanaryHit("env:T", "plain")


def find(data: bytes) -> tuple[CanaryHit, ...]:
    return (HIT,) if SECRET.encode() in data else ()


def mask(text: str) -> str:
    return text.replace(SECRET, "<planted:env:T>")


def tar(*entries: tuple[str, bytes | str | None]) -> io.BytesIO:
    """Name and content; ``None`` for a folder, a text for a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer


def test_entries_of_the_memory_folders():
    archive = tar(
        ("./tmp", None), ("./tmp/b", b"text"), ("./tmp/d", None), ("./dev/shm", None),
        ("./tmp/l", "/etc/passwd"), ("./dev/shm/x", b"\xff"),
    )  # fmt: skip
    entries, hits, trouble = witnesses.tmpfs_entries(archive, find, mask)
    assert [(e.path, e.kind, e.size, e.text, e.link) for e in entries] == [
        ("/dev/shm/x", "file", 1, "\ufffd", ""),
        ("/tmp/b", "file", 4, "text", ""),
        ("/tmp/d", "directory", 0, "", ""),
        ("/tmp/l", "link", 0, "", "/etc/passwd"),
    ]
    assert (hits, trouble) == ((), "")


def test_a_secret_is_found_in_names_links_and_anywhere_in_a_content():
    late = b"x" * (witnesses._WINDOW - 4) + SECRET.encode() + b"y" * 10
    archive = tar(
        ("./tmp/late", late), (f"./tmp/{SECRET}", b""), ("./tmp/link", SECRET), ("./tmp/no", b"-")
    )
    entries, hits, _ = witnesses.tmpfs_entries(archive, find, mask)
    assert {path for path, _ in hits} == {"/tmp/late", "/tmp/<planted:env:T>", "/tmp/link"}
    assert SECRET not in repr(entries) + repr(hits)


def test_an_archive_that_breaks_off_gives_what_came_before():
    whole = tar(("./tmp/a", b"a" * 600), ("./tmp/b", b"b" * 600)).getvalue()
    entries, _, trouble = witnesses.tmpfs_entries(io.BytesIO(whole[: 512 + 1024 + 700]), find, mask)
    assert [entry.path for entry in entries][:1] == ["/tmp/a"]
    assert "breaks off" in trouble


def test_too_many_entries_are_said():
    archive = tar(*[(f"./tmp/{n}", b"") for n in range(witnesses.MAX_ENTRIES + 1)])
    entries, _, trouble = witnesses.tmpfs_entries(archive, find, mask)
    assert len(entries) == witnesses.MAX_ENTRIES
    assert str(witnesses.MAX_ENTRIES) in trouble


def test_a_name_that_is_no_text_is_kept_readable():
    archive = tar(("./tmp/\udcff\n", b""))
    assert witnesses.tmpfs_entries(archive, find, mask)[0][0].path == "/tmp/\\xff\n"


def test_counters_of_both_cgroup_versions():
    v2 = {
        "memory.peak": b"100\n",
        "memory.events": b"low 0\noom 3\noom_kill 2\n",
        "pids.peak": b"7\n",
        "pids.events": b"max 5\n",
        "cpu.stat": b"usage_usec 9\nthrottled_usec 3500\n",
    }
    expected = CgroupCounters(
        memory_peak=100, pids_peak=7, pids_refused=5, oom_kills=2, throttled_ms=3
    )
    assert witnesses.counters({}, v2) == expected
    v1 = {
        "memory/memory.max_usage_in_bytes": b"100\n",
        "memory/memory.oom_control": b"oom_kill_disable 0\noom_kill 2\n",
        "pids/pids.peak": b"7\n",
        "pids/pids.events": b"max 5\n",
        "cpu/cpu.stat": b"throttled_time 3500000\n",
    }
    assert witnesses.counters({}, v1) == expected


def test_counters_that_nobody_keeps_are_unknown_and_not_zero():
    assert witnesses.counters({}, {}) == CgroupCounters()
    stats = {
        "memory_stats": {"max_usage": 5},
        "cpu_stats": {"throttling_data": {"throttled_time": 2_000_000}},
    }
    assert witnesses.counters(stats, {}) == CgroupCounters(memory_peak=5, throttled_ms=2)


def test_changes_without_the_engines_own_mount_points():
    answer = [
        {"Path": "/data", "Kind": 1},
        {"Path": "/tmp", "Kind": 1},
        {"Path": "/etc", "Kind": 0},
        {"Path": "/etc/hosts", "Kind": 2},
        {"Path": "/var/x", "Kind": 1},
    ]
    assert witnesses.changes(answer, ("/tmp", "/data")) == [
        FileChange("deleted", "/etc/hosts"),
        FileChange("added", "/var/x"),
    ]
    assert witnesses.changes(None, ()) == []


def test_the_first_process_comes_first():
    rows = [(30, "b"), (20, "z"), (40, "a")]
    assert witnesses.command_lines(rows) == ("z", "a", "b")
    assert len(witnesses.command_lines((n, "x") for n in range(10_000))) == 256


def test_rows_of_the_engines_list():
    answer = {"Titles": ["PID", "COMMAND"], "Processes": [["9", "b -x y"], ["7", "a"]]}
    assert witnesses.command_lines(witnesses.top_rows(answer)) == ("a", "b -x y")
    assert witnesses.top_rows({"Titles": ["PID"], "Processes": None}) == []


def test_standard_error_is_masked_before_it_is_cut():
    text = "a" * (witnesses.STDERR_HEAD - 3) + SECRET + "b" * 100_000
    shown = witnesses.stderr_text(text.encode(), b"", 0, mask)
    assert SECRET[:4] not in shown
    assert "characters …]" in shown
    assert len(shown) < 70_000
    assert witnesses.stderr_text(b"ab", b"cd", 0, mask) == "abcd"
    assert witnesses.stderr_text(b"ab", b"cd", 9, mask) == "ab\n[…]\ncd"


def test_the_helpers_report_cannot_be_forged_by_a_process_title():
    report = b"process 1 Y2F0AA==\nprocess x AAAA\ncgroup pids.peak Nwo=\nnonsense\nprocess 2 *\n"
    assert _parse(report) == ({1: b"cat\0"}, {"pids.peak": b"7\n"})
    rows = witnesses.proc_rows({1: b"cat\0-\0", 2: b""})
    assert rows == [(1, "cat -")]


def test_what_was_put_there_and_is_as_it_was_is_no_work_of_the_server():
    given = {"/tmp/notes.txt": b"Sample.", "/tmp/r/.git/HEAD": b"ref", "/tmp/spare/": b""}
    archive = tar(
        ("./tmp/notes.txt", b"Sample."),
        ("./tmp/r", None),
        ("./tmp/r/.git", None),
        ("./tmp/r/.git/HEAD", b"ref"),
        ("./tmp/spare", None),
    )
    entries, _, why = witnesses.tmpfs_entries(archive, find, mask)
    assert (len(entries), why) == (5, "")
    assert witnesses.without(entries, given, mask) == ()
    assert witnesses.without(entries, {}, mask) == entries


def test_what_the_server_made_of_it_is():
    given = {"/tmp/a": b"Sample.", "/tmp/b": b"Sample.", "/tmp/c": b"Sample.", "/tmp/d/": b""}
    archive = tar(
        ("./tmp/a", b"Sample!"),
        ("./tmp/b", b"Sample. And more"),
        ("./tmp/c", "/etc/passwd"),
        ("./tmp/d", b""),
        ("./tmp/e", None),
    )
    entries, _, _ = witnesses.tmpfs_entries(archive, find, mask)
    assert witnesses.without(entries, given, mask) == entries


def test_what_is_behind_the_beginning_counts_by_its_size_and_a_link_is_no_empty_file():
    long = b"x" * (8 * witnesses.TEXT_HEAD)
    given = {"/tmp/a": long, "/tmp/b": long, "/tmp/c": b""}
    archive = tar(("./tmp/a", long), ("./tmp/b", long + b"y"), ("./tmp/c", "/etc/passwd"))
    entries, _, _ = witnesses.tmpfs_entries(archive, find, mask)
    assert [one.path for one in witnesses.without(entries, given, mask)] == ["/tmp/b", "/tmp/c"]
