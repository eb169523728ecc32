"""Calls about sockets: where a process connected, sent, listened."""

from __future__ import annotations

import re

from mcp_sandbox.model import Act
from mcp_sandbox.trace.events import UNKNOWN
from mcp_sandbox.trace.record import (
    FD_FIRST,
    NAME,
    Call,
    Handler,
    Result,
    Unreadable,
    cut,
    match,
    pattern,
)
from mcp_sandbox.trace.text import ADDRESS, DESCRIPTOR, POINTER, STRING, address, ends

_SOCKADDR = pattern(rb"{FD}, {ADDRESS}")
_SENDTO = pattern(rb"{FD}, (?:" + NAME + rb"), \d+, [^\"<>,]*, {ADDRESS}")
_SENT = re.compile(
    rb', (NULL|\{sa_family=AF_INET6?, [^"\\{}<>]*"[0-9a-fA-F.:]+"[^"\\{}<>]*\}), \d+\Z'
)
"""The end of a ``sendto``, from the right: there is no quote in it that a payload could have made,
because quotes in a payload have a backslash before them."""
_ADDRESS_LENGTH = 256
_SENDMSG = pattern(rb"{FD}, (?:\{msg_name={ADDRESS}|(" + POINTER + rb"))")
_MESSAGES = re.compile(rb"msg_name=(" + ADDRESS + rb")|" + STRING, re.DOTALL)
MOST_ADDRESSES = 16
"""Different addresses of one ``sendmmsg``; more of them are lost."""
_BAD_ADDRESS = ("EFAULT", "EINVAL", "EBADF", "ENOTSOCK")


_TRANSPORT = re.compile(rb"\d+<([A-Z]+)(?:v6)?:")
_INTERNET = re.compile(rb"\{sa_family=AF_INET6?,")


def _reached(act: Act, body: bytes, text: bytes, result: Result) -> Call | None:
    """A call with an address, and the transport; none where there is no address to speak of."""
    where = address(text)
    if where == "unspec" or (act is Act.SEND and text == b"NULL"):
        return None
    unread = not where and result.text not in _BAD_ADDRESS
    socket = _TRANSPORT.match(body) if _INTERNET.match(text) else None
    transport = socket[1].decode() if socket else ""
    return Call(act, cut(where) or UNKNOWN, result.text, detail=transport, opaque=unread)


def _addressed(act: Act) -> Handler:
    def read(body: bytes, result: Result) -> Call | None:
        return _reached(act, body, match(_SOCKADDR, body)[2], result)

    return read


_NETLINK = re.compile(rb"\d+<NETLINK:")


def _sendto(body: bytes, result: Result) -> Call | None:
    if _NETLINK.match(body):
        return Call(Act.SEND, "netlink", result.text)
    short = _SENT.search(body, max(len(body) - _ADDRESS_LENGTH, 0))
    where = short[1] if short else match(_SENDTO, body)[2]
    return _reached(Act.SEND, body, where, result)


def _sendmsg(body: bytes, result: Result) -> Call | None:
    if _NETLINK.match(body):
        return Call(Act.SEND, "netlink", result.text)
    found = match(_SENDMSG, body)
    return _reached(Act.SEND, body, found[2] or found[3], result)


def _sendmmsg(body: bytes, result: Result) -> Call | None:
    if _NETLINK.match(body):
        return Call(Act.SEND, "netlink", result.text)
    match(FD_FIRST, body)
    names = dict.fromkeys(found[1] for found in _MESSAGES.finditer(body) if found[1])
    calls = [_reached(Act.SEND, body, name, result) for name in names]
    sent = [call for call in calls if call is not None]
    if not names and result.ok and result.value != b"0":
        return Call(Act.SEND, UNKNOWN, result.text, opaque=True)
    if len(sent) > MOST_ADDRESSES:
        raise Unreadable("a sendmmsg with too many addresses")
    return sent[0]._replace(more=tuple(sent[1:])) if sent else None


def _listen(body: bytes, result: Result) -> Call:
    found = match(FD_FIRST, body)
    own = ends(b"<" + found[1].partition(b"<")[2])
    return Call(Act.LISTEN, cut(own[0]) if own and own[0] else UNKNOWN, result.text)


_DUP = pattern(rb"\d+({DESCRIPTOR}), ([012])(?![0-9])", DESCRIPTOR=DESCRIPTOR)


def _dup(body: bytes, result: Result) -> Call | None:
    found = _DUP.match(body)
    pair = ends(found[1]) if found else None
    if found is None or pair is None:
        return None
    where = pair[1] or pair[0] or UNKNOWN
    return Call(Act.DUP, cut(where), result.text, detail=f"descriptor {found[3].decode()}")


CALLS: dict[bytes, Handler] = {
    b"connect": _addressed(Act.CONNECT),
    b"bind": _addressed(Act.BIND),
    b"listen": _listen,
    b"sendto": _sendto,
    b"sendmsg": _sendmsg,
    b"sendmmsg": _sendmmsg,
    b"dup2": _dup,
    b"dup3": _dup,
}
"""Calls about sockets, by name."""
