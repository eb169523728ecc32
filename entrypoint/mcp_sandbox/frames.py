"""Frames between the relay in a server's network and who connects through it.

One byte of kind, four of channel, four of length (big-endian), then the payload; what each kind
means stands in ``warden/relay``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

OPEN, DATA, SHUT, CLOSE, OPENED = range(1, 6)
MAX_PAYLOAD = 2**20
_HEADER = struct.Struct(">BII")


class NoFrames(Exception):
    """What came is no stream of frames."""


def pack(kind: int, number: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEADER.pack(kind, number, len(payload)) + payload


def taken(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Kind, channel and payload of each whole frame, which leave the buffer at the end.

    Raises ``NoFrames`` for a length beyond ``MAX_PAYLOAD``.
    """
    position = 0
    while len(buffer) - position >= _HEADER.size:
        kind, number, length = _HEADER.unpack_from(buffer, position)
        if length > MAX_PAYLOAD:
            raise NoFrames
        end = position + _HEADER.size + length
        if len(buffer) < end:
            break
        yield kind, number, bytes(buffer[position + _HEADER.size : end])
        position = end
    del buffer[:position]
