"""Calls about processes: forks, signals, tracing, namespaces, memory files, options."""

from __future__ import annotations

import re

from mcp_sandbox.model import Act
from mcp_sandbox.trace.events import UNKNOWN
from mcp_sandbox.trace.record import (
    ATOMS,
    FD_FIRST,
    PATH_FIRST,
    Call,
    Handler,
    Kind,
    Result,
    Unreadable,
    base_of,
    cut,
    match,
    name_of,
)
from mcp_sandbox.trace.text import decode, path_of

_NUMBER = rb"(-?\d{1,10})(?: /\* ([0-9]{1,10}) in strace's PID NS \*/)?"
_PTRACE = re.compile(rb"([A-Za-z0-9_]+)(?: /\*[^*\"]*\*/)?(?:, " + _NUMBER + rb")?")
_TARGET = re.compile(_NUMBER + rb"(?:, ([^\"<>]*))?")
_PRCTL = re.compile(rb"([A-Za-z0-9_]+)(?: /\*[^*\"]*\*/)?(?:, (" + ATOMS + rb"))?", re.DOTALL)
_NEW = re.compile(rb"CLONE_NEW[A-Z]+")

_OPTIONS = frozenset(
    f"PR_{name}".encode()
    for name in (
        "SET_DUMPABLE",
        "SET_PTRACER",
        "SET_SECCOMP",
        "SET_NO_NEW_PRIVS",
        "SET_MM",
        "SET_SECUREBITS",
        "SET_KEEPCAPS",
        "CAP_AMBIENT",
        "SET_SYSCALL_USER_DISPATCH",
    )
)
"""Options about who may look at a process, and about what it may do; names and timers are noise."""


def _aimed(act: Act, found: re.Match[bytes], result: Result, detail: str) -> Call:
    return Call(
        act,
        "",
        result.text,
        detail=detail,
        kind=Kind.TARGET,
        number=int(found[2] or found[1]),
        translated=found[2] is not None,
    )


def _ptrace(body: bytes, result: Result) -> Call:
    found = match(_PTRACE, body)
    request = found[1].decode()
    if request == "PTRACE_TRACEME" or found[2] is None:
        return Call(Act.PTRACE, "self", result.text, detail=request)
    number = int(found[3] or found[2])
    return Call(
        Act.PTRACE,
        "",
        result.text,
        detail=request,
        kind=Kind.TARGET,
        number=number,
        translated=found[3] is not None,
    )


def _target(act: Act, note: str = "") -> Handler:
    def read(body: bytes, result: Result) -> Call:
        found = match(_TARGET, body)
        call = _aimed(act, found, result, note or decode(found[3] or b"")[:64])
        # A process that signals itself to death never sees the call return.
        return call._replace(result="ok") if act is Act.KILL and result.value == b"?" else call

    return read


def _prctl(body: bytes, result: Result) -> Call | None:
    found = match(_PRCTL, body)
    if found[1] not in _OPTIONS:
        return None
    return Call(Act.PRCTL, found[1].decode(), result.text, detail=cut(decode(found[2] or b"")))


def _unshare(body: bytes, result: Result) -> Call | None:
    spaces = _NEW.findall(body)
    if not spaces:
        if body.startswith(b"0x"):
            return Call(Act.NAMESPACE, decode(body)[:64], result.text)
        return None
    return Call(Act.NAMESPACE, b"|".join(spaces[:16]).decode(), result.text, detail="unshare")


def _setns(body: bytes, result: Result) -> Call:
    found = match(FD_FIRST, body)
    space = base_of(found[1])[0] or decode(found[1])
    return Call(Act.NAMESPACE, cut(space), result.text, detail="setns")


def _fork(body: bytes, result: Result) -> Call | None:
    """A new process or thread; refused ones are told only where they ask for namespaces."""
    spaces = _NEW.findall(body)
    if not result.ok and not spaces:
        return None
    if result.ok and not result.value.isdigit():
        raise Unreadable("a fork without a number")
    number = int(result.own or result.value) if result.ok else 0
    return Call(
        Act.NAMESPACE if spaces else Act.FORK,
        b"|".join(spaces[:16]).decode() if spaces else f"pid {number}",
        result.text,
        detail="clone" if spaces else "",
        kind=Kind.FORK if result.ok else Kind.PLAIN,
        number=number,
        inner=int(result.value) if result.ok else 0,
        translated=result.own is not None,
        thread=b"CLONE_THREAD" in body,
    )


def _memfd(body: bytes, result: Result) -> Call:
    found = match(PATH_FIRST, body)
    name = name_of(found[1])
    path = path_of(result.descriptor) or (f"/memfd:{name.asked}" if not name.unread else UNKNOWN)
    return Call(Act.MEMFD, cut(path), result.text, opaque=name.opaque(result))


CALLS: dict[bytes, Handler] = {
    b"ptrace": _ptrace,
    b"process_vm_readv": _target(Act.PTRACE, "process_vm_readv"),
    b"process_vm_writev": _target(Act.PTRACE, "process_vm_writev"),
    b"kill": _target(Act.KILL),
    b"tkill": _target(Act.KILL),
    b"tgkill": _target(Act.KILL),
    b"prctl": _prctl,
    b"unshare": _unshare,
    b"setns": _setns,
    b"fork": _fork,
    b"vfork": _fork,
    b"clone": _fork,
    b"clone3": _fork,
    b"memfd_create": _memfd,
}
"""Calls about processes, by name."""
