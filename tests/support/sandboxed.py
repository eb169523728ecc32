"""Talking to a sandboxed server in tests: wait for what it prints, with a deadline."""

from __future__ import annotations

import select
import time

from mcp_sandbox.model import ByteStream

PATIENCE = 30.0
"""Seconds; only a broken test waits this long."""


def read_until(stream: ByteStream, marker: bytes) -> bytes:
    """Everything printed up to and with ``marker``; fails when it does not come."""
    taken = b""
    deadline = time.monotonic() + PATIENCE
    while marker not in taken:
        rest = deadline - time.monotonic()
        assert rest > 0, f"no {marker!r} in {taken[-2000:]!r}"
        select.select([stream.fileno()], [], [], rest)
        data = stream.recv()
        assert data != b"", f"the output ended without {marker!r}: {taken[-2000:]!r}"
        taken += data or b""
    return taken


def read_to_end(stream: ByteStream) -> bytes:
    """Everything that is still printed."""
    taken = b""
    deadline = time.monotonic() + PATIENCE
    while True:
        rest = deadline - time.monotonic()
        assert rest > 0, f"no end after {taken[-2000:]!r}"
        select.select([stream.fileno()], [], [], rest)
        data = stream.recv()
        if data == b"":
            return taken
        taken += data or b""
