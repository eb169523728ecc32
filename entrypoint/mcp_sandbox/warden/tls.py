"""The beginning of a TLS connection: which name and which protocols were asked for (RFC 8446)."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HELLO = 32 * 2**10
"""Bytes, records' headers included; a hello with post-quantum keys has about 2 KiB."""
MAX_PROTOCOLS = 32

REFUSAL = b"\x15\x03\x03\x00\x02\x02\x28"
"""The fatal alert ``handshake_failure``."""

_HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16


class NotTls(ValueError):
    """The bytes are no client hello."""


@dataclass(frozen=True)
class Hello:
    """What a client hello says in the clear."""

    name: str = ""
    """As sent; empty when no name was sent."""
    protocols: tuple[str, ...] = ()


class _Reader:
    """Takes pieces off bytes; raises ``NotTls`` when there are not enough."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise NotTls("a length runs past the end")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def begins_like_tls(data: bytes) -> bool:
    """Whether bytes may be the beginning of a TLS record with a handshake."""
    return data[:1] == b"\x16" and data[1:2] in {b"", b"\x03"}


def hello(data: bytes) -> Hello | None:
    """What a client hello says; ``None`` while it is not whole. Raises ``NotTls``."""
    message = bytearray()
    at = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        header = data[at : at + 5]
        if header[:1] not in {b"", b"\x16"} or header[1:2] not in {b"", b"\x03"}:
            raise NotTls("no handshake record")
        if message and message[0] != _CLIENT_HELLO:
            raise NotTls("no client hello")
        if len(header) < 5 or len(data) > MAX_HELLO:
            if len(data) > MAX_HELLO:
                raise NotTls("too long")
            return None
        size = int.from_bytes(header[3:5], "big")
        if not size:
            raise NotTls("an empty record")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
        if at > len(data) and (
            len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big")
        ):
            if message and message[0] != _CLIENT_HELLO:
                raise NotTls("no client hello")
            return None
    if message[0] != _CLIENT_HELLO:
        raise NotTls("no client hello")
    return _read(bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")]))


def _read(body: bytes) -> Hello:
    reader = _Reader(body)
    reader.take(2 + 32)
    reader.vector(1)
    reader.vector(2)
    reader.vector(1)
    if not reader:
        return Hello()
    extensions = _Reader(reader.vector(2))
    name = ""
    protocols: tuple[str, ...] = ()
    while extensions:
        kind = extensions.number(2)
        content = extensions.vector(2)
        if kind == _SERVER_NAME and content:
            entries = _Reader(_Reader(content).vector(2))
            while entries:
                type_, value = entries.number(1), entries.vector(2)
                if type_ == 0 and not name:
                    name = value.decode("latin-1")
        elif kind == _ALPN and content:
            entries = _Reader(_Reader(content).vector(2))
            found = []
            while entries and len(found) < MAX_PROTOCOLS:
                found.append(entries.vector(1).decode("latin-1"))
            protocols = tuple(found)
    return Hello(name, protocols)
