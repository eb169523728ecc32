"""Calls about files: opens, programs, names, modes, mounts, folders."""

from __future__ import annotations

import re

from mcp_sandbox.model import Act
from mcp_sandbox.trace.events import UNKNOWN
from mcp_sandbox.trace.record import (
    FD_FIRST,
    PATH_FIRST,
    Call,
    Handler,
    Kind,
    Name,
    Result,
    base_of,
    cut,
    match,
    name_of,
    one,
    pattern,
    two,
)
from mcp_sandbox.trace.text import LONGEST, POINTER, STRING, TEXT, decode, join, path_of, unquote

_PLAIN_OPEN = re.compile(
    rb'openat\((AT_FDCWD|\d+)<(/[^<>"]*+)>, "((?!")[^"\\]*+(?:\\.[^"\\]*+)*+)", '
    rb"([A-Z_|]+)(?:, 0[0-7]*)?\) = "
    rb"(?:\d+<(/[^<>]*+)>|-1 (E[A-Z0-9]+) \([^()\"<>]*\))",
    re.DOTALL,
)
"""Nearly every line of a real trace, in one step: no comments, no odd descriptors."""

_WRITES = re.compile(rb"O_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")


def _opened(name: Name, flags: bytes, result: Result) -> Call:
    """An open: the path that counts is that of the descriptor that came back."""
    act = Act.WRITE if _WRITES.search(flags) else Act.OPEN
    shown = decode(flags)[:128]
    resolved = path_of(result.descriptor)
    if not resolved:
        call = one(act, name, result, shown)
        # Given out but not named: the descriptor was gone before the tracer could look.
        return call._replace(opaque=True) if result.ok else call
    asked = name.asked if name.asked != resolved else ""
    return Call(act, cut(resolved), result.text, detail=cut(asked), other=shown, folder=name.folder)


_OPENAT = pattern(rb"{FD}, {NAME}, (?:\{flags=)?([^\"<>,}]*)")


def _openat(body: bytes, result: Result) -> Call:
    found = match(_OPENAT, body)
    return _opened(name_of(found[2], found[1]), found[3], result)


def _open(body: bytes, result: Result) -> Call:
    found = match(PATH_FIRST, body)
    return _opened(name_of(found[1]), found[2] or b"", result)


def _creat(body: bytes, result: Result) -> Call:
    return _opened(name_of(match(PATH_FIRST, body)[1]), b"O_WRONLY|O_CREAT|O_TRUNC", result)


_ARGV = rb"\[(?:" + TEXT + rb"|, |\.\.\.|" + POINTER + rb")*+\]|" + POINTER
_EXECVE = pattern(rb"{NAME}, {ARGV}", ARGV=_ARGV)
_EXECVEAT = pattern(rb"{FD}, {NAME}, {ARGV}", ARGV=_ARGV)
_STRING = re.compile(STRING, re.DOTALL)


def _argv(text: bytes) -> tuple[str, ...]:
    return tuple(unquote(found[0]) for found in _STRING.finditer(text))


def _executed(name: Name, argv: bytes, result: Result) -> Call:
    call = one(Act.EXEC, name, result)
    unread = call.opaque or (argv.startswith(b"0x") and result.ok)
    return call._replace(argv=_argv(argv), kind=Kind.EXEC, opaque=unread)


def _execve(body: bytes, result: Result) -> Call:
    found = match(_EXECVE, body)
    return _executed(name_of(found[1]), found[2], result)


def _execveat(body: bytes, result: Result) -> Call:
    found = match(_EXECVEAT, body)
    return _executed(name_of(found[2], found[1]), found[3], result)


_AT_PATH = pattern(rb"{FD}, {NAME}(?:, ([^\"<>]*))?")
_PATHS = pattern(rb"{NAME}, {NAME}")
_AT_PATHS = pattern(rb"{FD}, {NAME}, {FD}, {NAME}")
_SYMLINKAT = pattern(rb"{NAME}, {FD}, {NAME}")


def _path(act: Act, note: str = "", *, shown: bool = False) -> Handler:
    """A call whose first argument is a path; the second goes to ``other`` if ``shown``."""

    def read(body: bytes, result: Result) -> Call:
        found = match(PATH_FIRST, body)
        other = note or (decode(found[2] or b"")[:128] if shown else "")
        return one(act, name_of(found[1]), result, other)

    return read


def _at_path(act: Act, *, shown: bool = False) -> Handler:
    """The same with a folder's descriptor before the path."""

    def read(body: bytes, result: Result) -> Call:
        found = match(_AT_PATH, body)
        other = decode(found[3] or b"")[:128] if shown else ""
        return one(act, name_of(found[2], found[1]), result, other)

    return read


def _of_fd(act: Act, note: str = "") -> Handler:
    """A call about an open descriptor."""

    def read(body: bytes, result: Result) -> Call:
        found = match(FD_FIRST, body)
        path = base_of(found[1])[0]
        missing = not path and result.ok
        other = note or decode(found[2] or b"")[:128]
        return Call(act, cut(path) or UNKNOWN, result.text, other=other, opaque=missing)

    return read


def _paths(act: Act) -> Handler:
    def read(body: bytes, result: Result) -> Call:
        found = match(_PATHS, body)
        return two(act, name_of(found[1]), name_of(found[2]), result)

    return read


def _at_paths(act: Act) -> Handler:
    def read(body: bytes, result: Result) -> Call:
        found = match(_AT_PATHS, body)
        return two(act, name_of(found[2], found[1]), name_of(found[4], found[3]), result)

    return read


def _linked(target: bytes, link: Name, result: Result) -> Call:
    """A symbolic link: a relative target is seen from the link's own folder."""
    aim = name_of(target)
    if aim.relative and not link.relative:
        aim = aim._replace(path=join(join(link.path, ".."), aim.asked), relative=False)
    return two(Act.LINK, aim, link, result)


def _symlink(body: bytes, result: Result) -> Call:
    found = match(_PATHS, body)
    return _linked(found[1], name_of(found[2]), result)


def _symlinkat(body: bytes, result: Result) -> Call:
    found = match(_SYMLINKAT, body)
    return _linked(found[1], name_of(found[3], found[2]), result)


_MOUNT = pattern(rb"{NAME}, {NAME}, {NAME}, ([^\"<>,]*)")


def _mount(body: bytes, result: Result) -> Call:
    found = match(_MOUNT, body)
    call = one(Act.MOUNT, name_of(found[2]), result)
    source, kind = (unquote(part) if part.startswith(b'"') else "" for part in (found[1], found[3]))
    detail = " ".join(filter(None, (kind, decode(found[4]))))
    return call._replace(other=cut(source), detail=cut(detail))


def _chdir(body: bytes, result: Result) -> Call | None:
    name = name_of(match(PATH_FIRST, body)[1])
    if not result.ok or name.unread:
        return None
    return Call(None, name.path, "ok", kind=Kind.FOLDER, relative=name.relative)


def _fchdir(body: bytes, result: Result) -> Call | None:
    path = base_of(match(FD_FIRST, body)[1])[0]
    return Call(None, path, "ok", kind=Kind.FOLDER) if result.ok and path else None


CALLS: dict[bytes, Handler] = {
    b"open": _open,
    b"creat": _creat,
    b"openat": _openat,
    b"openat2": _openat,
    b"execve": _execve,
    b"execveat": _execveat,
    b"unlink": _path(Act.UNLINK),
    b"unlinkat": _at_path(Act.UNLINK, shown=True),
    b"rmdir": _path(Act.UNLINK),
    b"rename": _paths(Act.RENAME),
    b"renameat": _at_paths(Act.RENAME),
    b"renameat2": _at_paths(Act.RENAME),
    b"link": _paths(Act.LINK),
    b"linkat": _at_paths(Act.LINK),
    b"symlink": _symlink,
    b"symlinkat": _symlinkat,
    b"mkdir": _path(Act.MKDIR),
    b"mkdirat": _at_path(Act.MKDIR),
    b"mknod": _path(Act.MKNOD, shown=True),
    b"mknodat": _at_path(Act.MKNOD, shown=True),
    b"chmod": _path(Act.CHMOD, shown=True),
    b"fchmod": _of_fd(Act.CHMOD),
    b"fchmodat": _at_path(Act.CHMOD, shown=True),
    b"fchmodat2": _at_path(Act.CHMOD, shown=True),
    b"chown": _path(Act.CHMOD, shown=True),
    b"lchown": _path(Act.CHMOD, shown=True),
    b"fchown": _of_fd(Act.CHMOD),
    b"fchownat": _at_path(Act.CHMOD, shown=True),
    b"truncate": _path(Act.WRITE, "truncate"),
    b"ftruncate": _of_fd(Act.WRITE, "truncate"),
    b"mount": _mount,
    b"umount2": _path(Act.MOUNT, "umount"),
    b"umount": _path(Act.MOUNT, "umount"),
    b"chdir": _chdir,
    b"fchdir": _fchdir,
}
"""Calls about files, by name."""


def plain_open(record: bytes) -> Call | None:
    """An ordinary open; None sends the record the long way round."""
    found = _PLAIN_OPEN.fullmatch(record)
    if found is None:
        return None
    at, base, name, flags, opened, errno = found.groups()
    folder, asked = decode(base), decode(name)
    if opened is not None:
        path, result = decode(opened), "ok"
    else:
        path, result = join(folder, asked), errno.decode()
    return Call(
        Act.WRITE if _WRITES.search(flags) else Act.OPEN,
        path[:LONGEST],
        result,
        (),
        asked[:LONGEST] if asked != path else "",
        flags.decode()[:128],
        Kind.PLAIN,
        False,
        folder if at == b"AT_FDCWD" else "",
    )
