"""Carries byte streams into the server's loopback: ``python -m mcp_sandbox.warden.relay``.

It stands in the server's network namespace without a capability and speaks frames on standard input
and output: one byte of kind, four of channel, four of length (big-endian), then the payload.

========  =========  ==================================================================
kind      direction  payload
========  =========  ==================================================================
OPEN      in         the port in decimal, and an address before it where it is not
                     ``127.0.0.1``: ``ADDRESS PORT``
DATA      both       bytes
SHUT      both       none: no more bytes will come from this side
CLOSE     both       none, or why the connection broke (an errno's name)
OPENED    out        none
========  =========  ==================================================================

A channel that is not read does not keep the others waiting: each has a bounded buffer towards the
server, and what the server sends is read only while standard output takes it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import selectors
import socket
from dataclasses import dataclass, field

from mcp_sandbox.frames import (
    CLOSE,
    DATA,
    MAX_PAYLOAD,
    OPEN,
    OPENED,
    SHUT,
    NoFrames,
    pack,
    taken,
)

CHUNK = 64 * 2**10
MAX_CHANNELS = 12_000
MAX_WAITING = 16 * 2**20
"""Bytes towards the server of one channel; who sends more has it broken off."""
MAX_OUT = 4 * 2**20
"""Bytes towards standard output; while so many wait, nothing is read from the server."""
LOOPBACK = "127.0.0.1"


@dataclass
class Channel:
    """One connection to the server."""

    number: int
    sock: socket.socket
    connected: bool = False
    waiting: bytearray = field(default_factory=bytearray)
    shut: bool = False
    """No more will come for the server, once ``waiting`` is written."""
    ended: bool = False
    """The server has ended its side."""


class Relay:
    """The loop between standard input, standard output and the channels."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._in = bytearray()
        self._out = bytearray()
        self._channels: dict[int, Channel] = {}
        self._selector = selectors.DefaultSelector()
        self._over = False
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        self._selector.register(source, selectors.EVENT_READ)

    def run(self) -> None:
        """Until standard input ends. Raises ``NoFrames``, ``BrokenPipeError``."""
        writing = False
        while not self._over:
            if bool(self._out) != writing:
                writing = not writing
                if writing:
                    self._selector.register(self._sink, selectors.EVENT_WRITE)
                else:
                    self._selector.unregister(self._sink)
                self._watch_all()
            for key, mask in self._selector.select():
                if key.fileobj == self._source:
                    self._take()
                elif key.fileobj == self._sink:
                    self._write_out()
                elif isinstance(key.data, Channel) and key.data.number in self._channels:
                    self._serve(key.data, mask)

    # --- standard input and output ---

    def _take(self) -> None:
        data = os.read(self._source, CHUNK)
        if not data:
            self._over = True
            return
        self._in += data
        for kind, number, payload in taken(self._in):
            self._obey(kind, number, payload)

    def _say(self, kind: int, number: int, payload: bytes = b"") -> None:
        self._out += pack(kind, number, payload)
        if len(self._out) < MAX_PAYLOAD:
            self._write_out()

    def _write_out(self) -> None:
        full = len(self._out) >= MAX_OUT
        try:
            written = os.write(self._sink, self._out)
        except BlockingIOError:
            return
        del self._out[:written]
        if full and len(self._out) < MAX_OUT:
            self._watch_all()

    # --- channels ---

    def _obey(self, kind: int, number: int, payload: bytes) -> None:
        if kind == OPEN:
            self._open(number, payload)
            return
        channel = self._channels.get(number)
        if channel is None:
            return  # it has been closed, and its owner does not know yet
        if kind == DATA:
            channel.waiting += payload
            if len(channel.waiting) > MAX_WAITING:
                self._close(channel, "ENOBUFS")
                return
        elif kind == SHUT:
            channel.shut = True
        elif kind == CLOSE:
            self._drop(channel)
            return
        else:
            raise NoFrames
        if channel.connected:
            self._send(channel)
        self._watch(channel)

    def _open(self, number: int, payload: bytes) -> None:
        address, _, port = payload.decode("ascii", "replace").rpartition(" ")
        if number in self._channels or len(self._channels) >= MAX_CHANNELS:
            self._say(CLOSE, number, b"EMFILE")
            return
        try:
            target = ipaddress.ip_address(address or LOOPBACK)
            family = socket.AF_INET6 if target.version == 6 else socket.AF_INET  # noqa: PLR2004
            sock = socket.socket(family, socket.SOCK_STREAM)
        except (ValueError, OSError) as error:
            self._say(CLOSE, number, _name(error))
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel = self._channels[number] = Channel(number, sock)
        try:
            code = sock.connect_ex((str(target), int(port)))
        except (ValueError, OverflowError) as error:
            self._close(channel, _name(error).decode())
            return
        if code in {0, errno.EINPROGRESS}:
            self._watch(channel)
        else:
            self._close(channel, errno.errorcode.get(code, "EIO"))

    def _serve(self, channel: Channel, mask: int) -> None:
        if not channel.connected:
            code = channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._close(channel, errno.errorcode.get(code, "EIO"))
                return
            channel.connected = True
            self._say(OPENED, channel.number)
        if mask & selectors.EVENT_WRITE:
            self._send(channel)
        if channel.number in self._channels and mask & selectors.EVENT_READ:
            self._receive(channel)
        if channel.number in self._channels:
            self._watch(channel)

    def _send(self, channel: Channel) -> None:
        try:
            while channel.waiting:
                del channel.waiting[: channel.sock.send(channel.waiting[:CHUNK])]
            if channel.shut:
                channel.sock.shutdown(socket.SHUT_WR)
                channel.shut = False
        except BlockingIOError:
            return
        except OSError as error:
            self._close(channel, _name(error).decode())

    def _receive(self, channel: Channel) -> None:
        if len(self._out) >= MAX_OUT:
            return
        try:
            data = channel.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(channel, _name(error).decode())
            return
        if data:
            self._say(DATA, channel.number, data)
        else:
            channel.ended = True
            self._say(SHUT, channel.number)

    def _watch_all(self) -> None:
        for channel in self._channels.values():
            self._watch(channel)

    def _watch(self, channel: Channel) -> None:
        wanted = 0
        if not channel.connected or channel.waiting or channel.shut:
            wanted |= selectors.EVENT_WRITE
        if channel.connected and not channel.ended and len(self._out) < MAX_OUT:
            wanted |= selectors.EVENT_READ
        registered = channel.sock in self._selector.get_map()
        if wanted and registered:
            self._selector.modify(channel.sock, wanted, channel)
        elif wanted:
            self._selector.register(channel.sock, wanted, channel)
        elif registered:
            self._selector.unregister(channel.sock)

    def _close(self, channel: Channel, why: str) -> None:
        self._drop(channel)
        self._say(CLOSE, channel.number, why.encode("ascii"))

    def _drop(self, channel: Channel) -> None:
        del self._channels[channel.number]
        if channel.sock in self._selector.get_map():
            self._selector.unregister(channel.sock)
        channel.sock.close()


def _name(error: Exception) -> bytes:
    code = error.errno if isinstance(error, OSError) else errno.EINVAL
    return errno.errorcode.get(code or errno.EIO, "EIO").encode("ascii")
