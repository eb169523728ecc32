"""What the engine and the helper saw, turned into facts: pure functions over their answers.

All of it is the server's own text or numbers, so all of it is bounded: entries, names, bytes.
Planted secrets are looked for in everything and masked in what is kept.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mcp_sandbox.model import CanaryHit, CgroupCounters, FileChange, TmpfsEntry

Find = Callable[[bytes], tuple[CanaryHit, ...]]
"""Planted secrets in some bytes."""
Mask = Callable[[str], str]
"""The text with every planted secret replaced."""

MAX_ENTRIES = 2_000
MAX_CHANGES = 2_000
MAX_PROCESSES = 256
MAX_NAME = 1_024
TEXT_HEAD = 4 * 2**10
STDERR_HEAD = 16 * 2**10
STDERR_TAIL = 48 * 2**10
_WINDOW = 4 * 2**20
_OVERLAP = 16 * 2**10

_ENGINE_PATHS = frozenset(
    {"/.dockerenv", "/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/etc", "/etc/hostname"}
    | {"/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/sys"}
)
"""What the engine itself makes in the container's top layer."""
_KINDS = {0: "changed", 1: "added", 2: "deleted"}


def command_lines(rows: Iterable[tuple[int, str]], *, without: int = 0) -> tuple[str, ...]:
    """``(pid, command line)`` in any order -> the first process, then the others sorted.

    ``without`` is the process id of the tracer, which is no process of the server's.
    """
    ordered = sorted(row for row in rows if row[0] != without)
    lines = [line.strip()[:MAX_NAME] for _, line in ordered]
    return (*lines[:1], *sorted(lines[1:])[: MAX_PROCESSES - 1])


def top_rows(answer: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The rows of the engine's ``top`` (``ps -eo pid,args``)."""
    return [(int(row[0]), str(row[-1])) for row in answer.get("Processes") or ()]


def proc_rows(processes: Mapping[int, bytes]) -> list[tuple[int, str]]:
    """The rows of the helper; a process without a command line (a zombie) has none."""
    return [
        (pid, raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace"))
        for pid, raw in processes.items()
        if raw
    ]


def changes(answer: Iterable[Mapping[str, Any]] | None, mounts: Iterable[str]) -> list[FileChange]:
    """The engine's diff, sorted, without the mount points that the engine made itself."""
    ours = set(_ENGINE_PATHS)
    for mount in mounts:
        parts = mount.strip("/").split("/")
        ours |= {"/" + "/".join(parts[: index + 1]) for index in range(len(parts))}
    found = [
        FileChange(_KINDS.get(int(one["Kind"]), str(one["Kind"])), str(one["Path"])[:MAX_NAME])
        for one in answer or ()
        if not (one["Path"] in ours and int(one["Kind"]) in (0, 1))
    ]
    return sorted(found, key=lambda change: (change.path, change.kind))


def counters(
    stats: Mapping[str, Any], files: Mapping[str, bytes], *, tracers: int = 0
) -> CgroupCounters:
    """Counters of cgroup v1 or v2, from the kernel's files first, else from the engine's stats.

    ``tracers``: how many of the processes are not the server's.
    """
    table = {name: _table(text) for name, text in files.items()}
    v2_events, v1_oom = table.get("memory.events", {}), table.get("memory/memory.oom_control", {})
    cpu2, cpu1 = table.get("cpu.stat", {}), table.get("cpu/cpu.stat", {})
    memory = stats.get("memory_stats") or {}
    throttled = ((stats.get("cpu_stats") or {}).get("throttling_data") or {}).get("throttled_time")

    def number(*names: str) -> int | None:
        for name in names:
            text = files.get(name, b"").strip()
            if text.isdigit():
                return int(text)
        return None

    def first(*values: int | None) -> int | None:
        return next((value for value in values if value is not None), None)

    def scaled(value: int | None, divisor: int) -> int | None:
        return None if value is None else value // divisor

    pids = number("pids.peak", "pids/pids.peak")
    return CgroupCounters(
        memory_peak=first(
            number("memory.peak", "memory/memory.max_usage_in_bytes"), memory.get("max_usage")
        ),
        pids_peak=None if pids is None else max(0, pids - tracers),
        pids_refused=first(
            table.get("pids.events", {}).get("max"), table.get("pids/pids.events", {}).get("max")
        ),
        oom_kills=first(v2_events.get("oom_kill"), v1_oom.get("oom_kill")),
        throttled_ms=first(
            scaled(cpu2.get("throttled_usec"), 1_000),
            scaled(cpu1.get("throttled_time"), 1_000_000),
            scaled(throttled, 1_000_000),
        ),
    )


def _table(text: bytes) -> dict[str, int]:
    rows = [line.split() for line in text.decode("ascii", "replace").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}  # noqa: PLR2004


def tmpfs_entries(
    archive: io.BytesIO, find: Find, mask: Mask
) -> tuple[tuple[TmpfsEntry, ...], tuple[tuple[str, CanaryHit], ...], str]:
    """Entries, planted secrets in names and contents, and why the list is not whole.

    The mount points themselves are left out. A truncated archive gives what came before the cut.
    """
    entries: list[TmpfsEntry] = []
    hits: list[tuple[str, CanaryHit]] = []
    trouble = ""
    archive.seek(0)
    try:
        with tarfile.open(
            fileobj=archive, mode="r|", encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for member in tar:
                path = "/" + member.name.removeprefix("./").lstrip("/")
                if member.isdir() and path.count("/") == 1 + (path == "/dev/shm"):  # noqa: S108
                    continue
                if len(entries) >= MAX_ENTRIES:
                    trouble = f"there were more than {MAX_ENTRIES} entries"
                    break
                text, found = _content(tar, member, find, mask)
                plain = path.encode("utf-8", "surrogateescape")
                found += find(plain) + find(member.linkname.encode("utf-8", "surrogateescape"))
                shown = mask(plain.decode("utf-8", "backslashreplace"))[:MAX_NAME]
                hits += [(shown, hit) for hit in dict.fromkeys(found)]
                link = member.linkname if member.issym() or member.islnk() else ""
                entries.append(
                    TmpfsEntry(
                        path=shown,
                        kind=_kind(member),
                        size=member.size if member.isreg() else 0,
                        text=text,
                        link=mask(_clean(link))[:MAX_NAME],
                    )
                )
    except (tarfile.TarError, EOFError) as error:
        trouble = f"its archive breaks off ({error})"
    return tuple(sorted(entries, key=lambda e: e.path)), tuple(sorted(hits, key=_order)), trouble


def without(
    entries: Iterable[TmpfsEntry], given: Mapping[str, bytes], mask: Mask
) -> tuple[TmpfsEntry, ...]:
    """What the server made or changed: without what was put there and is as it was.

    ``given``: path -> content, that of a folder ends in ``/``. A file counts as it was when its
    size and the beginning that was kept are; the kernel's record has what was written behind that.
    """
    folders = {path for one in given for path in _folders(one)}

    def as_it_was(entry: TmpfsEntry) -> bool:
        if entry.kind == "directory":
            return entry.path in folders
        content = given.get(entry.path)
        if content is None or entry.kind != "file" or entry.size != len(content):
            return False
        return entry.text == _head(content, mask)

    return tuple(entry for entry in entries if not as_it_was(entry))


def _folders(path: str) -> Iterator[str]:
    """``/a/b/c`` and ``/a/b/`` -> ``/a/b``, ``/a``."""
    while path := path.rpartition("/")[0]:
        yield path


def _order(hit: tuple[str, CanaryHit]) -> tuple[str, str, str]:
    return hit[0], hit[1].place, hit[1].encoding


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _kind(member: tarfile.TarInfo) -> str:
    if member.isreg():
        return "file"
    if member.isdir():
        return "directory"
    return "link" if member.issym() or member.islnk() else "other"


def _content(
    tar: tarfile.TarFile, member: tarfile.TarInfo, find: Find, mask: Mask
) -> tuple[str, tuple[CanaryHit, ...]]:
    """The beginning of a file, and the secrets in all of it, read window by window."""
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        return "", ()
    found: dict[CanaryHit, None] = {}
    head: bytes | None = None
    carried = b""
    while data := file.read(_WINDOW):
        window = carried + data
        head = window if head is None else head
        found |= dict.fromkeys(find(window))
        carried = window[-_OVERLAP:]
    return _head(head or b"", mask), tuple(found)


def _head(data: bytes, mask: Mask) -> str:
    """The beginning as text, masked before it is cut."""
    return mask(data[: 4 * TEXT_HEAD].decode("utf-8", "replace"))[:TEXT_HEAD]


def stderr_text(head: bytes, tail: bytes, dropped: int, mask: Mask) -> str:
    """Beginning and end of standard error, masked before it is cut."""
    if not dropped:
        text = mask((head + tail).decode("utf-8", "replace"))
        if len(text) <= STDERR_HEAD + STDERR_TAIL:
            return text
        cut = len(text) - STDERR_HEAD - STDERR_TAIL
        return f"{text[:STDERR_HEAD]}\n[… {cut} characters …]\n{text[-STDERR_TAIL:]}"
    first, last = (mask(part.decode("utf-8", "replace")) for part in (head, tail))
    return f"{first[:STDERR_HEAD]}\n[…]\n{last[-STDERR_TAIL:]}"
