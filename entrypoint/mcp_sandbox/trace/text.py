"""The text of strace: strings, descriptors and addresses, as regular expressions over bytes.

Names and payloads that a process chose appear in two places only. Inside quotes, where quotes,
backslashes and unprintable bytes are escaped; and inside ``<…>`` after a descriptor, where angle
brackets are escaped as well (the paths of UNIX sockets there are quoted). Each pattern below eats
such a place whole and never gives a part of it back, so no name can end its own string, and none
can look like a result or like another record.
Source: ``print_quoted_string_ex`` and ``printfd_pid`` of strace 6.13.
"""

from __future__ import annotations

import posixpath
import re

LONGEST = 1_024
"""Characters of an object."""

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
TEXT = STRING + rb"(?:\.\.\.)?"
"""Three dots follow a string that the tracer cut."""

_DEVICE = rb"(?:<[a-z]+ [^<>\"]*>)?"
_SOCKET = rb"[A-Z][A-Za-z0-9-]*:\[(?:->|[^\"<>\[\]]|\[[0-9a-fA-F:.%]*\]|@?" + STRING + rb")*+\]"
DESCRIPTOR = rb"<(?:/[^<>]*+" + _DEVICE + rb"|" + _SOCKET + rb"|[^/<>\"][^<>\"]*+)>(?:\(deleted\))?"
"""What ``-yy`` puts after a descriptor's number."""

POINTER = rb"NULL|0x[0-9a-f]+"
ADDRESS = rb"\{sa_family=(?:[^\"{}<>]|" + STRING + rb"|\{[^\"{}<>]*\})*+(?:\.\.\.)?\}|" + POINTER
"""A socket address, or the pointer to one."""

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


def _byte(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, named = match.groups()
    if octal:
        return bytes((int(octal, 8) & 255,))
    if hexadecimal:
        return bytes((int(hexadecimal, 16),))
    return _NAMED.get(named, named)


def decode(text: bytes) -> str:
    """What stands between quotes or brackets, unescaped; what is no UTF-8 with a backslash."""
    if b"\\" in text:
        text = _ESCAPE.sub(_byte, text)
    return text.decode("utf-8", "backslashreplace")


def unquote(text: bytes) -> str:
    """The content of a quoted string, with or without the dots of a cut."""
    return decode(text[1 : text.rindex(b'"')])


_PATH = re.compile(rb"<(/[^<>]*+)" + _DEVICE + rb">(?:\(deleted\))?")


def path_of(descriptor: bytes | None) -> str:
    """The path of a descriptor; the text in brackets where it is none; empty without one."""
    if not descriptor:
        return ""
    path = _PATH.fullmatch(descriptor)
    if path:
        return decode(path[1])
    return decode(descriptor.removesuffix(b"(deleted)")[1:-1])


_UNTIDY = re.compile(r"/\.|//|/$")


def join(base: str, name: str) -> str:
    """The absolute, normalised path of ``name`` as seen from the folder ``base``."""
    if name.startswith("/") and not _UNTIDY.search(name):
        return name
    path = posixpath.normpath(posixpath.join(base or "/", name))
    return path[1:] if path.startswith("//") else path


_INET = re.compile(
    rb"\{sa_family=AF_INET, sin_port=htons\((\d{1,5})\), "
    rb'sin_addr=inet_addr\("([0-9.]{1,15})"\)\}'
)
_INET6 = re.compile(
    rb"\{sa_family=AF_INET6, sin6_port=htons\((\d{1,5})\), [^\"{}]*"
    rb'inet_pton\(AF_INET6, "([0-9a-fA-F:.]{1,45})", &sin6_addr\)[^{}]*\}'
)
_UNIX = re.compile(rb"\{sa_family=AF_UNIX(?:, sun_path=(@?)(" + STRING + rb")(?:\.\.\.)?)?\}")
_FAMILY = re.compile(rb"\{sa_family=(?:AF_)?([A-Za-z0-9_]+)")


def address(text: bytes) -> str:
    """``ADDRESS:PORT``, ``[v6]:port``, ``unix:PATH``, ``unix:@NAME``, else the family's name.

    Empty for a pointer: the tracer could not read the address.
    """
    if inet := _INET.fullmatch(text):
        return f"{inet[2].decode()}:{inet[1].decode()}"
    if inet6 := _INET6.fullmatch(text):
        return f"[{inet6[2].decode()}]:{inet6[1].decode()}"
    if unix := _UNIX.fullmatch(text):
        if not unix[2]:
            return "unix:"
        name = unquote(unix[2])
        # An abstract name has no end of its own: padding up to the given length is a part of it.
        return f"unix:{unix[1].decode()}{name.rstrip(chr(0))}"
    family = _FAMILY.match(text)
    return family[1].decode().lower() if family else ""


_UNIX_END = re.compile(rb"<UNIX[A-Z-]*:\[\d+(?:->\d+)?(?:,(@?)(" + STRING + rb"))?\]>")
_INET_END = re.compile(
    rb"<(?:TCP|UDP|UDPLITE|DCCP|RAW|SCTP|PING)(?:v6)?:\[([^\"<>]*(?:->[^\"<>]*)?)\]>"
)
_NETLINK_END = re.compile(rb"<NETLINK:")


def ends(descriptor: bytes) -> tuple[str, str] | None:
    """Own and peer address of a socket's descriptor, empty where it has none; else None."""
    if inet := _INET_END.fullmatch(descriptor):
        own, _, peer = inet[1].decode("ascii", "backslashreplace").partition("->")
        # A socket without an address is shown by its number.
        return (own if ":" in own else ""), peer
    if unix := _UNIX_END.fullmatch(descriptor):
        name = f"unix:{unix[1].decode()}{unquote(unix[2]).rstrip(chr(0))}" if unix[2] else "unix:"
        return name, name
    if _NETLINK_END.match(descriptor):
        return "netlink", "netlink"
    if descriptor.startswith(b"<socket:["):
        return "", ""
    return None
