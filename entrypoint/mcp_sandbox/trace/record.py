"""The shape of a record: its arguments, its result, and what a reading of it gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from mcp_sandbox.model import Act
from mcp_sandbox.trace.events import UNKNOWN
from mcp_sandbox.trace.text import (
    ADDRESS,
    DESCRIPTOR,
    LONGEST,
    POINTER,
    STRING,
    TEXT,
    join,
    path_of,
    unquote,
)


class Unreadable(ValueError):
    """A record that is not as the tracer writes it."""


class Kind(Enum):
    """What the reader has to do with a call beside handing it on."""

    PLAIN = auto()
    EXEC = auto()
    FORK = auto()
    TARGET = auto()
    FOLDER = auto()


class Call(NamedTuple):
    """A finished call. Paths that are not absolute still have to be joined to the folder.

    A tuple, as the other types here: a flood of new names makes one per line, and a frozen class
    takes five times as long to make.
    """

    act: Act | None
    object: str
    result: str
    argv: tuple[str, ...] = ()
    detail: str = ""
    other: str = ""
    kind: Kind = Kind.PLAIN
    relative: bool = False
    """Object or other are to be joined to the folder of the process."""
    folder: str = ""
    """The folder that the process was in, where the record says so."""
    opaque: bool = False
    """The tracer could not read the argument, and the call is not one that fails for that."""
    number: int = 0
    """Process of a fork or of a target, as the tracer numbers it if ``translated``."""
    inner: int = 0
    """That process as the caller numbers it."""
    translated: bool = False
    thread: bool = False
    more: tuple[Call, ...] = ()


class Result(NamedTuple):
    """What stands after the last equals sign."""

    value: bytes
    descriptor: bytes | None
    errno: bytes | None
    own: bytes | None
    """The process as the tracer numbers it, where the tracer translates."""

    @property
    def text(self) -> str:
        """``ok`` or the errno's name."""
        if self.errno:
            return "EINTR" if self.errno.startswith(b"ERESTART") else self.errno.decode()
        return "EINTR" if self.value == b"?" else "ok"

    @property
    def ok(self) -> bool:
        """The kernel did it."""
        return self.value != b"?" and not self.errno


ATOMS = rb"(?:=>|<<|[^\"<>=)]++|[=)]|" + STRING + rb"|" + DESCRIPTOR + rb")*"
_VALUE = (
    rb"(-?[0-9]{1,20}|0x[0-9a-f]{1,16}|\?)(" + DESCRIPTOR + rb")?"
    rb"(?: /\* ([0-9]{1,10}) in strace's PID NS \*/)?"
    rb"(?: (E[A-Z0-9]+|<unavailable>))?(?: \([^\"<>]*\))?"
)
_RESULT = re.compile(_VALUE)
_RECORD = re.compile(
    rb"[a-z0-9_]+\((" + ATOMS + rb")(?: <unfinished \.\.\.>)?\) += " + _VALUE, re.DOTALL
)
_NAMED_RESULT = (b">", b">(deleted)")
"""How a record ends whose result is a descriptor with its name."""
_BROKEN_OFF = b" <unfinished ...>"


def split(record: bytes) -> tuple[bytes, Result]:
    """Arguments and result. A process has no say in a result, but for the name of a descriptor."""
    if record.endswith(_NAMED_RESULT):
        found = _RECORD.fullmatch(record)
        if found is None:
            raise Unreadable(record[:80].decode("ascii", "backslashreplace"))
        return found[1], Result(found[2], found[3], found[5], found[4])
    equals = record.rfind(b" = ")
    end = len(record[: max(equals, 0)].rstrip(b" ")) - 1
    found = _RESULT.fullmatch(record, equals + 3)
    if found is None or record[end : end + 1] != b")":
        raise Unreadable(record[:80].decode("ascii", "backslashreplace"))
    body = record[record.index(b"(") + 1 : end].removesuffix(_BROKEN_OFF)
    errno = found[4] if found[4] != b"<unavailable>" else None
    return body, Result(found[1], found[2], errno, found[3])


Handler = Callable[[bytes, Result], Call | None]
"""Reads the arguments of one kind of call; None when they say nothing that counts."""

FD = rb"(?:AT_FDCWD|-?\d+)(?:" + DESCRIPTOR + rb")?"
NAME = TEXT + rb"|" + POINTER


def pattern(text: bytes, **parts: bytes) -> re.Pattern[bytes]:
    """A pattern with ``{FD}``, ``{NAME}`` and the like filled in; each is one group."""
    for name, part in {"FD": FD, "NAME": NAME, "ADDRESS": ADDRESS, **parts}.items():
        text = text.replace(b"{" + name.encode() + b"}", b"(" + part + b")")
    return re.compile(text, re.DOTALL)


def match(pattern: re.Pattern[bytes], body: bytes) -> re.Match[bytes]:
    """The arguments as a pattern has them, from the left. Raises ``Unreadable``."""
    found = pattern.match(body)
    if found is None:
        raise Unreadable(body[:80].decode("ascii", "backslashreplace"))
    return found


def base_of(descriptor: bytes) -> tuple[str, bool]:
    """Path of a folder's descriptor, and whether it is the process's own."""
    number, bracket, rest = descriptor.partition(b"<")
    return path_of(bracket + rest), number == b"AT_FDCWD"


def cut(text: str) -> str:
    """As much of a name as an event keeps."""
    return text[:LONGEST]


class Name(NamedTuple):
    """A path argument: where it leads as far as the record tells, and as it was asked for."""

    path: str
    asked: str
    relative: bool = False
    folder: str = ""
    unread: bool = False

    def opaque(self, result: Result) -> bool:
        """Bad pointers fail in the kernel too; any other call knew a name that we do not."""
        return self.unread and result.text not in ("EFAULT", "EBADF")


def name_of(text: bytes, at: bytes | None = None) -> Name:
    """A path argument and the folder's descriptor before it, if there is one."""
    base, own = base_of(at) if at else ("", False)
    folder = base if own else ""
    if not text.startswith(b'"'):
        return Name(UNKNOWN, "", folder=folder, unread=text != b"NULL")
    asked = unquote(text)
    if at and not asked:
        return Name(base or UNKNOWN, "", folder=folder, unread=not base)
    if asked.startswith("/"):
        return Name(join("/", asked), asked, folder=folder)
    if base.startswith("/"):
        return Name(join(base, asked), asked, folder=folder)
    # Seen from a folder that the tracer could not name: anybody's guess.
    return Name(
        asked, asked, relative=True, folder=folder, unread=bool(at) and not own and not base
    )


def one(act: Act, name: Name, result: Result, other: str = "") -> Call:
    """A call about one path."""
    said = result.text
    return Call(
        act,
        name.path if name.relative else name.path[:LONGEST],
        said,
        (),
        name.asked[:LONGEST] if name.asked != name.path else "",
        other,
        Kind.PLAIN,
        name.relative,
        name.folder,
        # Bad pointers fail in the kernel too; any other call knew a name that we do not.
        name.unread and said not in ("EFAULT", "EBADF"),
    )


def two(act: Act, first: Name, second: Name, result: Result) -> Call:
    """A call about two paths."""
    call = one(act, first, result)
    return call._replace(
        other=second.path,
        relative=first.relative or second.relative,
        folder=first.folder or second.folder,
        opaque=call.opaque or second.opaque(result),
    )


FD_FIRST = pattern(rb"{FD}(?:, ([^\"<>]*))?")
"""A descriptor and what follows it."""
PATH_FIRST = pattern(rb"{NAME}(?:, ([^\"<>]*))?")
"""A path and what follows it."""
