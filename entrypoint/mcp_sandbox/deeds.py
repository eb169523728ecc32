"""What was done, in the words of a lock file and of a policy: where, to which object.

One place names endpoints, programs and paths, so that what is found, what is locked and what is
allowed can be compared as text.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator

from mcp_sandbox import endpoints
from mcp_sandbox.model import Act, Call, Deed, KernelEvent, Session, SinkEvent, SinkKind, Window
from mcp_sandbox.model.locked import IDLE, START, Part

UDP = "/udp"
"""Ends an endpoint of datagrams."""

_MULTI_CALL = frozenset({"busybox", "toybox"})
_VERSION = re.compile(r"-?[0-9][0-9.]*$")
_DATAGRAMS = frozenset({SinkKind.UDP, SinkKind.QUIC})
_LOOKED_UP = frozenset({SinkKind.DNS, SinkKind.ICMP})
_CHANGES = frozenset({Act.WRITE, Act.UNLINK, Act.MKDIR, Act.MKNOD, Act.CHMOD})
_TWO_NAMES = frozenset({Act.RENAME, Act.LINK})


def argv(event: KernelEvent) -> tuple[str, ...]:
    """The arguments of an exec, the program's own name first."""
    try:
        return tuple(shlex.split(event.detail))
    except ValueError:  # cut short in the middle of a quotation
        return tuple(event.detail.split())


def short(path: str) -> str:
    """The name by which a program is known: no folder, no version (``python3.13``: ``python``)."""
    name = posixpath.basename(path)
    for one in ("nc", "netcat"):
        if name.startswith(one + "."):  # nc.openbsd, nc.traditional
            return one
    return _VERSION.sub("", name) or name


def program(event: KernelEvent) -> str:
    """The name of the program that an exec started; of busybox and its like the applet's."""
    name = short(event.object)
    if name in _MULTI_CALL:
        words = [short(word) for word in argv(event)[:2]]
        return next((word for word in words if word not in _MULTI_CALL), name)
    return name


def host(text: str) -> str:
    """A host as a policy writes it; what is no host name stays as it was, in lower case."""
    text = text.strip("[]")
    try:
        return endpoints.host(text)
    except ValueError:
        return text.lower()


def endpoint(name: str, port: int, *, datagrams: bool = False) -> str:
    """``HOST:PORT``, ``[v6]:PORT``, with ``/udp`` for datagrams; a bare ``HOST`` without a port."""
    known = host(name)
    if not port:
        return known
    shown = f"[{known}]" if ":" in known else known
    return f"{shown}:{port}{UDP if datagrams else ''}"


def place(session: Session, window: Window, number: int) -> str:
    """Where something was done: the call's ``tools/NAME``, ``start-up``, or ``idle``."""
    if window in {Window.START, Window.LISTING}:
        return START
    if window is not Window.CALL:
        return IDLE
    call = _call(session, number)
    return f"{call.kind.value}/{call.target}" if call else IDLE


def _call(session: Session, number: int) -> Call | None:
    calls = session.transcript.calls
    if 0 < number <= len(calls) and calls[number - 1].number == number:
        return calls[number - 1]
    return next((one for one in calls if one.number == number), None)


def of_sink(session: Session, event: SinkEvent) -> tuple[Deed, ...]:
    """What arrived at the sink, as a deed; none for what was done to the sink itself."""
    if event.kind is SinkKind.TAMPER:
        return ()
    where = place(session, event.window, event.call)
    port = 0 if event.kind in _LOOKED_UP else event.port
    named = endpoint(event.host, port, datagrams=event.kind in _DATAGRAMS)
    return (Deed(where, Part.ENDPOINT.value, named),)


def of_kernel(session: Session, event: KernelEvent) -> tuple[Deed, ...]:
    """What the kernel recorded, as deeds; none for acts on no program, path or endpoint."""
    where = place(session, event.window, event.call)
    return tuple(Deed(where, part.value, name) for part, name in _objects(event))


def _objects(event: KernelEvent) -> Iterator[tuple[Part, str]]:
    if event.act is Act.EXEC:
        yield Part.PROGRAM, program(event)
    elif event.act is Act.OPEN:
        yield Part.READ, event.object
    elif event.act in _CHANGES:
        yield Part.WRITE, event.object
    elif event.act in _TWO_NAMES:
        yield Part.WRITE, event.object
        yield Part.WRITE, event.detail
    elif event.act in {Act.CONNECT, Act.SEND} and not event.object.startswith("unix:"):
        address, _, port = event.object.rpartition(":")
        if address and port.isdecimal():
            named = endpoint(address, int(port), datagrams=event.detail == "UDP")
            yield Part.ENDPOINT, named
