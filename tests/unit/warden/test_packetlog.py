"""Packets as the kernel's log gives them."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden.packetlog import Packet, packet, packets

# As captured: a ping to 8.8.8.8, and a datagram to 224.0.0.251, in one piece each.
PING = (
    b"d\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x07\x08\x00\x01\x00"
    b"\x08\x00\x03\x00\x05\x00\n\x00\x00\x00\x00\x00\x08\x00\x05\x00\x00\x00\x00\x01\x08\x00\x0b\x00"
    b"\x00\x00\x00\x00\x08\x00\x0e\x00\x00\x00\x00\x00%\x00\t\x00E\x00\x00!\x9d\x01@\x00@\x01}\xbb"
    b"\x08\x08\x08\x08\x08\x08\x08\x08\x08\x00F\xd9mS\x00\x01hello\x00\x00\x00"
)
GROUP = (
    b"`\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x07\x08\x00\x01\x00"
    b"\x08\x00\x03\x00\x05\x00\n\x00\x00\x00\x00\x00\x08\x00\x05\x00\x00\x00\x00\x01\x08\x00\x0b\x00"
    b"\x00\x00\x00\x00\x08\x00\x0e\x00\x00\x00\x00\x00$\x00\t\x00E\x00\x00 "
    b"\x0b3@\x00\x01\x11\xac\xa3"
    b"\xe0\x00\x00\xfb\xe0\x00\x00\xfb\xe6\x83\x14\xe9\x00\x0c\xc2\x14mdns"
)


def test_what_the_kernel_gave_is_read():
    assert list(packets(PING + GROUP)) == [
        Packet(socket.IPPROTO_ICMP, "8.8.8.8", 0, b"\x08\x00F\xd9mS\x00\x01hello"),
        Packet(socket.IPPROTO_UDP, "224.0.0.251", 5353, b"mdns"),
    ]


def test_a_packet_of_version_6_is_read():
    head = b"\x60\x00\x00\x00\x00\x0c\x11\x40" + bytes(16) + socket.inet_pton(10, "ff02::fb")
    assert packet(head + struct.pack("!4H", 1, 5353, 12, 0) + b"mdns") == Packet(
        socket.IPPROTO_UDP, "ff02::fb", 5353, b"mdns"
    )


@pytest.mark.parametrize("data", [b"", b"E", b"E" * 19, b"\x60" * 39, b"\x00" * 60])
def test_what_is_no_packet_is_left_out(data: bytes):
    assert packet(data) is None


@given(st.binary(max_size=200), st.integers(0, len(PING)))
def test_no_bytes_do_harm(data: bytes, at: int):
    for one in packets(PING[:at] + data):
        assert len(one.data) <= len(PING) + len(data)
    packet(data)
