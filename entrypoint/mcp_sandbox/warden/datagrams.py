"""UDP: DNS questions are answered, everything else is written down."""

from __future__ import annotations

import socket
import struct
import time

from mcp_sandbox.warden import arrival, dns
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.names import Names
from mcp_sandbox.warden.netns import REPLY_MARK
from mcp_sandbox.warden.talks import FIRST, record_questions

# linux/in.h, linux/in6.h, asm-generic/socket.h: not all of them are in the socket module.
_IP_TRANSPARENT = 19
_IP_RECVORIGDSTADDR = 20
_IP_PKTINFO = 8
_IPV6_PKTINFO = 50
_IPV6_RECVORIGDSTADDR = 74
_IPV6_TRANSPARENT = 75
_SO_RCVBUFFORCE = 33
_SO_MARK = 36
_SO_RXQ_OVFL = 40

_BUFFER = 4 * 2**20
_TURN = 64
_DNS, _HTTPS = 53, 443
_QUIC_LONG = 0xC0
_QUIC_LEAST = 1200
"""Bytes of the smallest datagram that begins a connection (RFC 9000)."""


def open_socket(family: socket.AddressFamily, port: int, *, tproxy: bool) -> socket.socket:
    """A socket that gets every redirected datagram. Raises ``OSError``."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
    arrival.stamp(sock)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if tproxy:
        sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, REPLY_MARK)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVORIGDSTADDR, 1)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
    return sock


class Datagrams:
    """Reads the sockets of ``open_socket``."""

    def __init__(self, recorder: Recorder, names: Names, *, tproxy: bool) -> None:
        self._recorder = recorder
        self._names = names
        self._tproxy = tproxy

    def read(self, sock: socket.socket) -> None:
        """Take what waits (a few, so that others have their turn)."""
        for _ in range(_TURN):
            try:
                data, extra, _flags, peer = sock.recvmsg(2**16, arrival.ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                # An error that a datagram of ours came back with (no such port).
                continue
            at = arrival.stamped(extra) or time.time()
            self._take(sock, data, peer, self._destination(sock, extra), at)

    def _destination(
        self, sock: socket.socket, extra: list[tuple[int, int, bytes]]
    ) -> tuple[str, int]:
        own: tuple[str, int] = sock.getsockname()[:2]
        # Redirected datagrams have lost theirs: only DNS comes that way.
        found = own if self._tproxy else ("", _DNS)
        for level, kind, value in extra:
            if (level, kind) == (socket.IPPROTO_IP, _IP_RECVORIGDSTADDR):
                found = socket.inet_ntop(socket.AF_INET, value[4:8]), _port(value)
            elif (level, kind) == (socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR):
                found = socket.inet_ntop(socket.AF_INET6, value[8:24]), _port(value)
            elif (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL) and any(value):
                self._recorder.full("datagrams came faster than they could be read")
        return found

    def _take(
        self,
        sock: socket.socket,
        data: bytes,
        peer: tuple[str, int],
        destination: tuple[str, int],
        at: float,
    ) -> None:
        address, port = destination
        if (address, port) == sock.getsockname()[:2]:
            self._recorder.record("tamper", at, text="a datagram to the sink's own port")
            return
        if port == _DNS:
            try:
                reply, questions = dns.answer(data, self._names)
            except dns.NotDns:
                pass
            else:
                record_questions(self._recorder, questions, at, address)
                if questions:
                    self._answer(sock, reply, peer, address)
                    return
        quic = port == _HTTPS or (
            data[:1] and data[0] & _QUIC_LONG == _QUIC_LONG and len(data) >= _QUIC_LEAST
        )
        self._recorder.record(
            "quic" if quic else "udp",
            at,
            host=self._names.name(address),
            port=port,
            address=address,
            first=data[:FIRST].hex(),
            size=len(data),
        )

    def _answer(
        self, sock: socket.socket, reply: bytes, peer: tuple[str, int], address: str
    ) -> None:
        extra: list[tuple[int, int, bytes]] = []
        if self._tproxy:
            # Sent from the address that was asked; the rules set the port to 53.
            if sock.family == socket.AF_INET6:
                packed = socket.inet_pton(socket.AF_INET6, address)
                extra.append((socket.IPPROTO_IPV6, _IPV6_PKTINFO, packed + struct.pack("@i", 0)))
            else:
                packed = socket.inet_pton(socket.AF_INET, address)
                extra.append(
                    (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("@i", 0) + packed + bytes(4))
                )
        try:
            sock.sendmsg([reply], extra, 0, peer)
        except OSError:
            # The asker is gone, or asked from where nothing can be sent to.
            return


def _port(value: bytes) -> int:
    return int.from_bytes(value[2:4], "big")
