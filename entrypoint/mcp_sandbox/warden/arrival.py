"""When something arrived, as the kernel knows it: nobody waits for us to come to it.

A client that sends and goes on may have begun its next call before we read what it sent.
"""

from __future__ import annotations

import socket
import struct

ANCILLARY = 512
"""Bytes of ancillary data that ``recvmsg`` has to take."""
MAX_AGE = 60.0
"""Seconds that a connection may have waited for us to accept it."""
TICK = 0.01
"""Seconds of the longest tick that kernels are built with (``HZ=100``)."""

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h: not in the socket module
_TIME = struct.Struct("@ll")
_TCP_INFO = struct.Struct("@8x10I")


def stamp(sock: socket.socket) -> None:
    """Have the kernel date what arrives at a socket, or at those that it accepts."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def stamped(extra: list[tuple[int, int, bytes]]) -> float | None:
    """The kernel's Unix time of what ``recvmsg`` returned; ``None`` where it gives none."""
    for level, kind, value in extra:
        if (level, kind, len(value)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _TIME.size):
            seconds, nanoseconds = _TIME.unpack(value)
            return float(seconds + nanoseconds / 1e9)
    return None


def peek(sock: socket.socket, size: int) -> tuple[bytes, float | None]:
    """What has arrived on a connection, left to be read, and when."""
    try:
        data, extra, _flags, _peer = sock.recvmsg(size, ANCILLARY, socket.MSG_PEEK)
    except OSError:
        return b"", None
    return data, stamped(extra)


def age(sock: socket.socket) -> float:
    """Seconds, at least, since the kernel completed a connection that was just accepted.

    The kernel counts from the connection's making what it calls the time since data was sent last,
    as long as none was (``tcpi_last_data_sent``, the tenth number of ``struct tcp_info`` after
    eight bytes).
    """
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        milliseconds = int(_TCP_INFO.unpack(told)[-1])
    except (OSError, struct.error):
        return 0.0
    # Counted in ticks: up to one more than there was. No connection is made older than it is, which
    # would bring it to a call before.
    return min(max(milliseconds / 1000 - TICK, 0.0), MAX_AGE)
