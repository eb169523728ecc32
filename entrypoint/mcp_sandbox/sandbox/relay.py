"""Connections to a server's own loopback, from outside its network.

No port is published and no route leads there: a container of our image joins the server's network
and carries bytes between its standard streams and ``127.0.0.1`` (``warden/relay.py`` has the
frames). To who connects, a ``Channel`` is an ordinary blocking connection with deadlines.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_sandbox import background
from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.frames import CLOSE, DATA, OPEN, OPENED, SHUT, NoFrames, pack, taken
from mcp_sandbox.sandbox.pod import our_body
from mcp_sandbox.sandbox.stream import AttachedStream

RELAY = ("/opt/mcp-sandbox/bin/python", "-I", "-m", "mcp_sandbox.warden.relay")
_PIECE = 64 * 2**10
MAX_HELD = 16 * 2**20
"""Bytes of one channel that nobody has taken yet; a channel that has more is broken off."""
ANSWER = 10.0
"""Seconds for the relay itself to answer."""


@dataclass(frozen=True)
class RelaySpec:
    """The relay of one server."""

    image: str
    network_of: str
    """The container whose network it joins."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request that creates the container (Docker engine API)."""
        host = {
            "NetworkMode": f"container:{self.network_of}",
            "Memory": 128 * 2**20,
            "MemorySwap": 128 * 2**20,
            "PidsLimit": 8,
            "NanoCpus": 1_000_000_000,
            "Ulimits": [{"Name": "nofile", "Soft": 16384, "Hard": 16384}],
        }
        return our_body(self.image, self.labels, host) | {
            "Entrypoint": list(RELAY),
            "Cmd": None,
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
        }


class Channel:
    """One connection. ``model.Connection``."""

    def __init__(self, relay: Relay, number: int) -> None:
        self._relay = relay
        self._number = number
        self._ready = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._opened = False
        self._ended = False
        self._broken = ""

    def send(self, data: bytes, deadline: float) -> None:
        """Raises ``TimeoutError``, ``ConnectionError``."""
        with self._ready:
            if self._broken:
                raise ConnectionResetError(self._broken)
        for at in range(0, len(data), _PIECE):
            self._relay.say(DATA, self._number, data[at : at + _PIECE], deadline)

    def recv(self, deadline: float) -> bytes:
        """Bytes that have arrived, ``b""`` at the end.

        Raises ``TimeoutError``, ``ConnectionError``.
        """
        with self._ready:
            self._wait(lambda: bool(self._pieces or self._ended or self._broken), deadline)
            if self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                return piece
            if self._broken:
                raise ConnectionResetError(self._broken)
            return b""

    @property
    def ended(self) -> bool:
        """The peer has ended its side, or it is broken."""
        with self._ready:
            return self._ended or bool(self._broken)

    def shut(self, deadline: float) -> None:
        """Send no more."""
        self._relay.say(SHUT, self._number, b"", deadline)

    def close(self) -> None:
        """Give it up, whoever waits for it."""
        self._relay.forget(self._number)
        self.took(CLOSE, b"closed")

    def opened(self, deadline: float) -> None:
        """Wait until the server has accepted.

        Raises ``TimeoutError``, ``ConnectionRefusedError``.
        """
        with self._ready:
            self._wait(lambda: self._opened or bool(self._broken), deadline)
            if self._broken:
                raise ConnectionRefusedError(self._broken)

    def took(self, kind: int, payload: bytes) -> bool:
        """A frame has come; false when it is one too many."""
        with self._ready:
            if kind == DATA:
                self._held += len(payload)
                if self._held > MAX_HELD:
                    self._broken = "ENOBUFS"
                else:
                    self._pieces.append(payload)
            elif kind == SHUT:
                self._ended = True
            elif kind == OPENED:
                self._opened = True
            elif kind == CLOSE:
                self._broken = self._broken or payload.decode("ascii", "replace")[:40] or "closed"
            self._ready.notify_all()
            return self._held <= MAX_HELD

    def _wait(self, ready: Any, deadline: float) -> None:
        rest = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
        if not self._ready.wait_for(ready, rest):
            raise TimeoutError("the server took too long")


class Relay:
    """The relay of one server, started. Owns its stream; safe to use from several threads."""

    def __init__(self, stream: AttachedStream) -> None:
        self._stream = stream
        self._writing = threading.Lock()
        self._guard = threading.Lock()
        self._channels: dict[int, Channel] = {}
        self._next = 1
        self._over = False
        self._waker, self._wake = os.pipe()
        self._thread = background.thread("relay", self._read)
        self._thread.start()

    def connect(self, port: int, deadline: float, address: str = "") -> Channel:
        """Connect to a port of the server's loopback.

        Raises ``ConnectionRefusedError`` (with the errno's name), ``TimeoutError``, and
        ``EngineFailed`` when the relay is gone.
        """
        with self._guard:
            if self._over:
                raise EngineFailed("The relay into the server's network has ended.")
            number, self._next = self._next, self._next + 1
            channel = self._channels[number] = Channel(self, number)
        try:
            self.say(OPEN, number, f"{address} {port}".strip().encode("ascii"), deadline)
            channel.opened(deadline)
        except BaseException:
            self.forget(number)
            raise
        return channel

    def say(self, kind: int, number: int, payload: bytes, deadline: float) -> None:
        """Send a frame. Raises ``TimeoutError``, ``ConnectionError``."""
        rest = memoryview(pack(kind, number, payload))
        with self._writing:
            while rest:
                try:
                    sent = self._stream.send(rest)
                except BrokenPipeError as error:
                    raise ConnectionResetError("the relay is gone") from error
                rest = rest[sent:]
                if rest:
                    # A frame that was begun has to be finished, or the stream is lost to all.
                    select.select([], [self._stream.write_fileno()], [], 1.0)
        if time.monotonic() > deadline:
            raise TimeoutError("the relay took too long")

    def forget(self, number: int) -> None:
        """Give a channel up, on both sides."""
        with self._guard:
            known = self._channels.pop(number, None)
        if known is not None and not self._over:
            try:
                self.say(CLOSE, number, b"", time.monotonic() + ANSWER)
            except (TimeoutError, ConnectionError):
                return

    def close(self) -> None:
        """End it and everything that goes through it."""
        with self._guard:
            if self._wake < 0:
                return
            wake, self._wake = self._wake, -1
        os.close(wake)
        self._thread.join()
        os.close(self._waker)
        self._stream.close()

    def _read(self) -> None:
        buffer = bytearray()
        try:
            while True:
                ready, _, _ = select.select([self._stream.fileno(), self._waker], [], [])
                if self._waker in ready:
                    return
                data = self._stream.recv()
                if data is None:
                    continue
                if not data:
                    return
                buffer += data
                self._frames(buffer)
        except NoFrames:
            return
        finally:
            with self._guard:
                self._over = True
                channels = list(self._channels.values())
            for channel in channels:
                channel.took(CLOSE, b"the relay is gone")

    def _frames(self, buffer: bytearray) -> None:
        for kind, number, payload in taken(buffer):
            with self._guard:
                channel = self._channels.get(number)
            if channel is not None and not channel.took(kind, payload):
                self.forget(number)
