"""Host names and endpoints as text: checked once, written one way, compared as they are.

A host is a name in lower case without its last dot, non-ASCII labels as A-labels (RFC 5890), or an
IP address in its canonical form. What ends in a number is an address or nothing: a resolver would
read ``127.1`` or ``0x7f.1`` as one (WHATWG URL, "ends in a number").
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_NAME = 253
"""Characters of a name in the DNS, without the last dot (RFC 1035)."""
MAX_ALLOWED = 64
"""Endpoints of one run."""
DEFAULT_PORTS = (80, 443)
"""What a host without a port stands for."""

OWN = ("10.244.1.23", "fd00:10:244:1::17")
"""The addresses that a server finds as its own: such as pods of a cluster have, so that none looks
made for a test, and none that an engine gives to the containers of its own bridge."""

OWN_NAME = "mcp-server"
"""The name that a server finds as its own machine's."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LAST_PORT = 65535
_MAX_TEXT = 300


@dataclass(frozen=True, order=True)
class Endpoint:
    """A host, written as ``host`` writes it, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> IPAddress | None:
    """An IP address, or ``None`` for what is none; one with a zone is none.

    An IPv4 address mapped into IPv6 is the IPv4 address that it stands for.
    """
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found


def host(text: str) -> str:
    """A name or an address in its one form. Raises ``ValueError`` with a sentence."""
    found = address(text)
    if found is not None:
        return str(found)
    name = text.removesuffix(".")
    # Before the codec, whose work grows faster than the length of a label.
    if not name or len(name) > MAX_NAME:
        raise ValueError(f"a host name has 1 to {MAX_NAME} characters")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ValueError(f"{text!r} is no internationalised host name") from error
        if len(name) > MAX_NAME:
            raise ValueError(f"a host name has 1 to {MAX_NAME} characters")
    name = name.lower()
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{text!r} is neither a host name nor an IP address")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{text!r} ends in a number and is no IP address")
    return name


def parse_allowed(text: str) -> tuple[Endpoint, ...]:
    """``HOST[:PORT]`` -> the endpoints it allows: without a port, those of ``DEFAULT_PORTS``.

    An IPv6 address with a port stands in brackets. Raises ``ValueError`` with a sentence.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a host name has 1 to {MAX_NAME} characters")
    if "*" in text:
        raise ValueError("a host is allowed by its whole name: there are no wildcards")
    if "/" in text or "@" in text:
        raise ValueError("expected HOST or HOST:PORT, not a URL or a range of addresses")
    name, port = _split(text)
    if not name:
        raise ValueError("expected HOST or HOST:PORT")
    checked = host(name)
    found = address(checked)
    if found is not None and (found.is_loopback or found.is_unspecified or found.is_multicast):
        raise ValueError(f"{checked} is no address of another host")
    if checked in OWN:
        raise ValueError(f"{checked} is the server's own address in the sandbox")
    if checked == "localhost" or checked.endswith(".localhost"):
        raise ValueError(f"{checked} is the server's own loopback, which is not kept from it")
    if port is None:
        return tuple(Endpoint(checked, each) for each in DEFAULT_PORTS)
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= _LAST_PORT:
        raise ValueError(f"a port is a number from 1 to {_LAST_PORT}, not {port!r}")
    return (Endpoint(checked, int(port)),)


def _split(text: str) -> tuple[str, str | None]:
    """The host without brackets, and the port when there is one."""
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        found = address(name)
        if not closed or found is None or ":" not in name or (rest and not rest.startswith(":")):
            raise ValueError(
                "expected an IPv6 address and perhaps a port: [ADDRESS] or [ADDRESS]:PORT"
            )
        return name, rest[1:] if rest else None
    if text.count(":") > 1:
        if address(text) is None:
            raise ValueError(
                "expected HOST or HOST:PORT; an IPv6 address with a port is [ADDRESS]:PORT"
            )
        return text, None
    name, colon, port = text.partition(":")
    return name, port if colon else None


def all_allowed(texts: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """The endpoints of several ``HOST[:PORT]``, each once, sorted. Raises ``ValueError``."""
    found = {endpoint for text in texts for endpoint in parse_allowed(text)}
    if len(found) > MAX_ALLOWED:
        raise ValueError(f"at most {MAX_ALLOWED} endpoints can be allowed, not {len(found)}")
    return tuple(sorted(found))


def reachable(found: IPAddress) -> bool:
    """Whether a *name* may lead to this address.

    Never to the machine itself, nor to a link-local one: who rules over a name's DNS would
    otherwise lead us to a cloud's metadata service. The user may name such an address itself.
    """
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return not (
        found.is_loopback
        or found.is_link_local
        or found.is_unspecified
        or found.is_multicast
        or found.is_reserved
        or found in _METADATA
    )


_METADATA = frozenset(
    {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
)
"""Metadata services at addresses that look like any private one (AWS over IPv6, Alibaba Cloud)."""
