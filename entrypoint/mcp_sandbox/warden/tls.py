"""The beginning of a TLS connection: which name and which protocols were asked for (RFC 8446)."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HELLO = 32 * 2**10
"""Bytes, records' headers included; a hello with post-quantum keys has about 2 KiB."""
MAX_PROTOCOLS = 32

REFUSAL = b"\x15\x03\x03\x00\x02\x02\x28"
"""The fatal alert ``handshake_failure``."""

_RECORD = 5
_MESSAGE = 4
"""Bytes before the content of a record, and of a handshake message."""
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
    if len(data) > MAX_HELLO:
        raise NotTls("too long")
    message = bytearray()
    at = 0
    while at < len(data):
        header = data[at : at + _RECORD]
        if not begins_like_tls(header):
            raise NotTls("no handshake record")
        # A hello may be cut into many records (RFC 8446 5.1), but none of them may be empty.
        size = int.from_bytes(header[3:], "big") if len(header) == _RECORD else -1
        if size == 0:
            raise NotTls("an empty record")
        message += data[at + _RECORD : at + _RECORD + max(size, 0)]
        if message and message[0] != _CLIENT_HELLO:
            raise NotTls("no client hello")
        end = _MESSAGE + int.from_bytes(message[1:_MESSAGE], "big")
        if len(message) >= max(end, _MESSAGE):
            return _read(bytes(message[_MESSAGE:end]))
        at += _RECORD + max(size, 0)
    return None


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
            found: list[str] = []
            while entries and len(found) < MAX_PROTOCOLS:
                found.append(entries.vector(1).decode("latin-1"))
            protocols = tuple(found)
    return Hello(name, protocols)
