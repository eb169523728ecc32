"""Hosts in the forms in which texts and the kernel write them, and which of them a text names."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from functools import lru_cache

_NAME = re.compile(
    r"(?<![\w.-])(?:[a-z0-9](?:[a-z0-9_-]{0,62})\.)+[a-z][a-z0-9-]{1,23}(?![\w-])", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.])|\[[0-9a-f:.]{2,45}\]")
_NUMERIC = re.compile(r"(?:0x[0-9a-f]{1,8}|[0-9]{1,11})(?:\.(?:0x[0-9a-f]{1,8}|[0-9]{1,11})){0,3}")
MAX_TEXT = 20_000

_NUMBERS_FROM = 2**24
"""A bare number below this is taken for a port or a version, not for an address."""


@lru_cache(maxsize=4096)
def canonical(host: str) -> str:
    """A host as others are compared with it: lower case, an address in its usual form.

    Numbers in the forms that C libraries take (one number, octal, hexadecimal, fewer parts) become
    the address that they mean.
    """
    host = host.strip().strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if not _NUMERIC.fullmatch(host) or (host.isdecimal() and int(host) < _NUMBERS_FROM):
            return host
        try:
            return socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def is_address(host: str) -> bool:
    """An address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_port(thing: str) -> tuple[str, int]:
    """``ADDRESS:PORT`` of a kernel event -> canonical address and port; ``("", 0)`` for others."""
    address, _, port = thing.rpartition(":")
    if thing.startswith("unix:") or not address or not port.isdecimal():
        return "", 0
    return canonical(address), int(port)


def hosts_in(text: str) -> Iterator[str]:
    """Names and addresses in a text, canonical."""
    text = text[:MAX_TEXT]
    for pattern in (_NAME, _ADDRESS):
        for match in pattern.finditer(text):
            yield canonical(match[0])


def meant(value: str) -> frozenset[str]:
    """Every host that some reader of an address of ours may take for its host, canonical."""
    found = set()
    for part in re.split(r"[/?#@&=\s]+", value[:MAX_TEXT]):
        bare = part if part.count(":") > 1 else part.partition(":")[0]
        if part.startswith("["):
            bare = part.partition("]")[0]
        host = canonical(bare)
        if is_address(host) or host == "localhost" or _NAME.fullmatch(host):
            found.add(host)
    return frozenset(found)
