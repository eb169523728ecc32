"""An HTTP/1 request, read as it arrives (RFC 9112); what is kept of it is bounded."""

from __future__ import annotations

import re
from enum import Enum

MAX_HEAD = 64 * 2**10
MAX_BODY = 256 * 2**10
KEPT = 32 * 2**10
"""Bytes of head and body that are kept."""
MAX_CHUNK_LINE = 1024
MAX_DIGITS = 18

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n"
    b"Connection: close\r\n\r\nService unavailable\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_METHOD = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,31}")
_LINE = re.compile(rb"([A-Za-z][A-Za-z0-9_-]{0,31}) +([^ ]+) +HTTP/[01]\.[0-9]\r?")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([^:/?#@\[\]]{1,253}))(?::([0-9]{1,5}))?")


class State(Enum):
    """How far a request was read."""

    UNDECIDED = "undecided"
    """It may still turn out to be something else."""
    OTHER = "other"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


class _Chunk(Enum):
    SIZE = "size"
    DATA = "data"
    END = "end"
    TRAILER = "trailer"


class Request:
    """``feed`` it until ``state`` is ``DONE`` or ``OTHER``; it takes time linear in the bytes."""

    def __init__(self) -> None:
        self.state = State.UNDECIDED
        self.method = ""
        self.target = ""
        self.wants_continue = False
        self.size = 0
        """Bytes fed."""
        self._kept = bytearray()
        self._line = bytearray()
        self._head = 0
        self._body = 0
        self._left: int | None = 0
        """Bytes of the body to come; ``None`` when only the end of the connection tells."""
        self._chunked = False
        self._chunk_left = 0
        self._chunk = _Chunk.SIZE

    @property
    def text(self) -> str:
        """Request line, headers and the beginning of the body, with the chunks joined."""
        return self._kept.decode("latin-1")

    @property
    def authority(self) -> tuple[str, int] | None:
        """Host and port that a proxy was asked for, ``None`` where none was."""
        target = self.target
        port = 443 if self.method == "CONNECT" else 80
        if self.method != "CONNECT":
            scheme, separator, rest = target.partition("://")
            if not separator or scheme.lower() not in {"http", "https", "ftp", "ws", "wss"}:
                return None
            port = {"https": 443, "wss": 443, "ftp": 21}.get(scheme.lower(), 80)
            target = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
        found = _AUTHORITY.fullmatch(target)
        if not found:
            return None
        asked = int(found[3]) if found[3] else port
        return (found[1] or found[2]), asked if asked < 2**16 else port

    def feed(self, data: bytes) -> None:
        """Read on; bytes after the end of the request are counted and otherwise ignored."""
        self.size += len(data)
        at = 0
        while at < len(data) and self.state not in {State.DONE, State.OTHER}:
            if self.state in {State.UNDECIDED, State.HEAD}:
                at = self._feed_head(data, at)
            elif self._chunked:
                at = self._feed_chunks(data, at)
            else:
                at = self._feed_plain(data, at)

    def _keep(self, data: bytes) -> None:
        self._kept += data[: max(0, KEPT - len(self._kept))]

    def _feed_head(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        piece = data[at : end + 1] if end >= 0 else data[at:]
        self._line += piece
        self._head += len(piece)
        self._keep(piece)
        if self._head > MAX_HEAD:
            # The first line may be that long already: then nothing says that it is HTTP.
            self.state = State.OTHER if self.state is State.UNDECIDED else State.DONE
        elif self.state is State.UNDECIDED and not _may_begin(self._line):
            self.state = State.OTHER
        elif end >= 0:
            self._take_line(bytes(self._line[:-1]))
            self._line.clear()
        return at + len(piece)

    def _take_line(self, line: bytes) -> None:
        if self.state is State.UNDECIDED:
            found = _LINE.fullmatch(line)
            if not found:
                self.state = State.OTHER
                return
            self.method, self.target = found[1].decode("ascii"), found[2].decode("latin-1")
            self.state = State.HEAD
            return
        line = line.rstrip(b"\r")
        if line:
            self._take_header(line)
        else:
            self.state = State.DONE if self._left == 0 and not self._chunked else State.BODY

    def _take_header(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip().lower()
        if name == b"transfer-encoding" and b"chunked" in value:
            self._chunked = True
        elif name == b"content-length":
            usable = value.isdigit() and len(value) <= MAX_DIGITS
            # Two lengths that differ are an attack on somebody: read on until the end.
            again = self._left not in {0, int(value)} if usable else True
            self._left = None if again else int(value)
        elif name == b"expect" and value == b"100-continue":
            self.wants_continue = True

    def _take_body(self, data: bytes) -> None:
        self._keep(data)
        self._body += len(data)
        if self._body >= MAX_BODY:
            self.state = State.DONE

    def _feed_plain(self, data: bytes, at: int) -> int:
        piece = data[at:] if self._left is None else data[at : at + self._left]
        if self._left is not None:
            self._left -= len(piece)
        self._take_body(piece)
        if self._left == 0:
            self.state = State.DONE
        return at + len(piece)

    def _feed_chunks(self, data: bytes, at: int) -> int:
        if self._chunk is _Chunk.DATA:
            piece = data[at : at + self._chunk_left]
            self._chunk_left -= len(piece)
            self._take_body(piece)
            if not self._chunk_left:
                self._chunk = _Chunk.END
            return at + len(piece)
        end = data.find(b"\n", at)
        piece = data[at : end + 1] if end >= 0 else data[at:]
        self._line += piece
        # Framing counts as body: chunks of one byte each must not read for ever.
        self._body += len(piece)
        if len(self._line) > MAX_CHUNK_LINE or self._body >= MAX_BODY:
            self.state = State.DONE
        elif end >= 0:
            self._take_chunk_line(bytes(self._line).strip())
            self._line.clear()
        return at + len(piece)

    def _take_chunk_line(self, line: bytes) -> None:
        if self._chunk is _Chunk.END:
            self._chunk = _Chunk.SIZE
            if not line:
                return
        if self._chunk is _Chunk.TRAILER:
            if not line:
                self.state = State.DONE
            return
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            self._keep(line)
            self.state = State.DONE
            return
        self._chunk_left = int(size, 16)
        self._chunk = _Chunk.DATA if self._chunk_left else _Chunk.TRAILER


def _may_begin(line: bytearray) -> bool:
    """Whether this may become a request line; its end is checked when it is whole."""
    method, blank, _ = bytes(line[:64]).partition(b" ")
    if not blank:
        method = method.rstrip(b"\r\n")
        if len(method) < len(line[:64]):
            return False
    return bool(_METHOD.fullmatch(method))
