"""Packets that no socket of ours gets: pings, datagrams to groups, rare protocols (NFLOG).

The kernel copies the packets that the rules name to a netlink socket; that needs the right to
administer the network, and not the one to read it raw.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.warden import netns
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.names import Names
from mcp_sandbox.warden.talks import FIRST

GROUP = 77

# linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_log.h.
_NETLINK_NETFILTER = 12
_REQUEST_ACK = 5
_ERROR = 2
_LOG_PACKET, _LOG_CONFIG = 4 << 8, (4 << 8) | 1
_CFG_CMD, _CFG_MODE, _CFG_QTHRESH = 1, 2, 5
_BIND = b"\x01"
_COPY_PACKET = 2
_PAYLOAD = 9
_HEAD, _GENERIC, _ATTRIBUTE = 16, 4, 4
_TYPE_MASK = 0x3FFF
_TURN = 64
_BUFFER = 2**20

_V4, _V6 = 4, 6
_LEAST = {_V4: 20, _V6: 40}
_PORTS = 4
_UDP_HEADER = 8


def rules(*, datagrams: bool) -> str:
    """The rules that name the packets; ``datagrams``: all of them but DNS, for want of a way."""
    rest = f"udp dport != 53 log group {GROUP} accept" if datagrams else ""
    return f"""
table inet mcp_sandbox_log {{
  chain sent {{
    type filter hook output priority 0; policy accept;{netns.EXEMPT}
    {rest}
    icmp type echo-request log group {GROUP}
    icmpv6 type echo-request log group {GROUP}
    ip daddr 224.0.0.0/4 meta l4proto udp log group {GROUP}
    ip6 daddr ff00::/8 meta l4proto udp log group {GROUP}
    meta l4proto != {{ tcp, udp, icmp, ipv6-icmp, igmp }} log group {GROUP}
  }}
}}
"""


@dataclass(frozen=True)
class Packet:
    """One IP packet that was sent."""

    protocol: int
    address: str
    port: int
    """0 for a protocol without ports."""
    data: bytes
    """After the UDP header, or after the IP header."""


def packets(message: bytes) -> Iterator[Packet]:
    """The packets in what the netlink socket gave; what cannot be read is left out."""
    for kind, body in _split(message):
        if kind != _LOG_PACKET:
            continue
        for attribute, value in _attributes(body[_GENERIC:]):
            found = packet(value) if attribute == _PAYLOAD else None
            if found is not None:
                yield found


def packet(data: bytes) -> Packet | None:
    """Read an IP packet (its beginning); ``None`` when it is none."""
    version = data[0] >> 4 if data else 0
    if len(data) < _LEAST.get(version, len(data) + 1):
        return None
    if version == _V4:
        protocol, address, rest = data[9], data[16:20], data[(data[0] & 0xF) * 4 :]
    else:
        protocol, address, rest = data[6], data[24:40], data[40:]
    port = 0
    if protocol == socket.IPPROTO_UDP and len(rest) >= _UDP_HEADER:
        port, rest = int.from_bytes(rest[2:_PORTS], "big"), rest[_UDP_HEADER:]
    return Packet(protocol, str(ipaddress.ip_address(address)), port, rest)


def _split(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEAD <= len(message):
        size, kind = struct.unpack_from("=IH", message, at)
        if size < _HEAD:
            return
        yield kind, message[at + _HEAD : at + size]
        at += (size + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < _ATTRIBUTE:
            return
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE : at + size]
        at += (size + 3) & ~3


def open_socket() -> socket.socket:
    """A netlink socket that gets what the rules log. Raises ``OSError``."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((0, 0))
        sock.settimeout(5)
        for kind, value in (
            (_CFG_CMD, _BIND),
            (_CFG_MODE, struct.pack("!IBx", FIRST + 100, _COPY_PACKET)),
            # Each packet at once: the kernel's default is to gather them for a second.
            (_CFG_QTHRESH, struct.pack("!I", 1)),
        ):
            sock.send(_request(kind, value))
            _check(sock.recv(_BUFFER))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _check(answer: bytes) -> None:
    for kind, body in _split(answer):
        code = -struct.unpack_from("=i", body)[0] if kind == _ERROR else errno.EPROTO
        if code:
            raise OSError(code, "the kernel does not log packets")


def _request(kind: int, value: bytes) -> bytes:
    attribute = (
        struct.pack("=HH", _ATTRIBUTE + len(value), kind) + value + b"\0" * (-len(value) % 4)
    )
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, GROUP) + attribute
    return struct.pack("=IHHII", _HEAD + len(body), _LOG_CONFIG, _REQUEST_ACK, 1, 0) + body


class PacketLog:
    """Writes down what ``open_socket`` gets."""

    def __init__(self, recorder: Recorder, names: Names) -> None:
        self._recorder = recorder
        self._names = names

    def read(self, sock: socket.socket) -> None:
        """Take what waits (a few, so that others have their turn)."""
        for _ in range(_TURN):
            try:
                message = sock.recv(_BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                self._recorder.full(f"packets came faster than they could be read ({error})")
                return
            for one in packets(message):
                self._take(one)

    def _take(self, one: Packet) -> None:
        at, host = time.time(), self._names.name(one.address)
        if one.protocol in {socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6}:
            self._recorder.record(
                "icmp", at, host=host, address=one.address, first=one.data[:FIRST].hex()
            )
            return
        note = {} if one.protocol == socket.IPPROTO_UDP else {"note": f"IP protocol {one.protocol}"}
        self._recorder.record(
            "udp",
            at,
            host=host,
            port=one.port,
            address=one.address,
            first=one.data[:FIRST].hex(),
            size=len(one.data),
            **note,
        )
