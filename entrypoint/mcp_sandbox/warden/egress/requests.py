"""Reads the requests of an HTTP/1 connection as they pass, to write them down.

It follows the framing of RFC 9112 and decides nothing: where a client's framing is not plain (two
lengths, an upgrade, another protocol), it notes the beginning and reads no further.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_RECORD = 32 * 2**10
"""Bytes of one request that are noted: request line, headers, beginning of the body."""
MAX_RAW = 4 * 2**10
"""Bytes that are noted of what is no HTTP/1; the text is their hex."""

_START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [^\s]+ HTTP/1\.[01]\r?\n")
_BEGINNING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}( .*)?")
_END = re.compile(rb"\r?\n\r?\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_MAX_LINE = 4096
_CHUNKED = -1


class Requests:
    """Fed with what a client sends; gives each request's text once, as soon as it is read.

    A text is request line, headers and the beginning of the body without its chunk sizes, as
    Latin-1; of anything else it is the first bytes, as hex. Not more than one record and one fed
    piece are held.
    """

    def __init__(self) -> None:
        self.opaque = False
        """What comes next cannot be read as requests."""
        self._buffer = bytearray()
        self._looked = 0
        self._record = bytearray()
        self._given = False
        self._left = 0
        """Bytes still to come of a body, a chunk, or the trailers."""
        self._texts: list[str] = []
        self._step: Callable[[], bool] = self._head

    def feed(self, data: bytes) -> list[str]:
        """The texts of the requests that are complete, or noted as far as they will be."""
        if not self.opaque:
            self._buffer += data
            while self._step():
                pass
        return self._taken()

    def flush(self) -> list[str]:
        """The text of a request that broke off."""
        if self._buffer:
            self._give_up()
        self._give()
        return self._taken()

    def _taken(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts

    def _note(self, data: bytes | bytearray) -> None:
        self._record += data[: max(0, MAX_RECORD - len(self._record))]
        if len(self._record) >= MAX_RECORD:
            self._give()

    def _give(self) -> None:
        if self._record and not self._given:
            self._texts.append(self._record.decode("latin-1"))
            self._given = True

    # Each step takes one element off the buffer; it returns whether to go on.

    def _finish(self) -> bool:
        self._give()
        self._record.clear()
        self._given = False
        self._step = self._head
        return bool(self._buffer)

    def _give_up(self) -> bool:
        if self._record or _START.match(self._buffer):
            self._note(self._buffer)
            self._give()
        elif self._buffer:
            self._texts.append(self._buffer[:MAX_RAW].hex())
        self._buffer.clear()
        self._record.clear()
        self.opaque = True
        return False

    def _head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # allowed before a request
            del self._buffer[:2]
        end = _END.search(self._buffer, max(0, self._looked - 3))
        if end is None:
            self._looked = len(self._buffer)
            fits = self._looked <= MAX_RECORD and _may_begin(self._buffer)
            return not fits and self._give_up()
        self._looked = 0
        head = bytes(self._buffer[: end.end()])
        length = framing(head) if _START.match(head) and len(head) <= MAX_RECORD else None
        if length is None:
            return self._give_up()
        del self._buffer[: end.end()]
        self._note(head)
        if length == 0:
            return self._finish()
        self._left = max(0, length)
        self._step = self._size if length == _CHUNKED else self._body
        return True

    def _body(self) -> bool:
        return self._content() and self._finish()

    def _chunk(self) -> bool:
        if not self._content():
            return False
        self._step = self._gap
        return True

    def _content(self) -> bool:
        """Note what there is of a body or chunk; whether it is whole."""
        part = self._buffer[: self._left]
        del self._buffer[: len(part)]
        self._left -= len(part)
        self._note(part)
        return not self._left

    def _line(self) -> bytes | None:
        """The next line without its end; ``None`` when it is not there yet."""
        end = self._buffer.find(b"\n", 0, _MAX_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE:
                self._give_up()
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _SIZE.fullmatch(line)
        if match is None:
            return self._give_up()
        self._left = int(match[1], 16)
        self._step = self._chunk
        if not self._left:
            self._left = MAX_RECORD
            self._step = self._trailer
        return True

    def _gap(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            return self._give_up()
        self._step = self._size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:
            return self._finish()
        self._note(line + b"\r\n")
        self._left -= len(line)
        return self._left > 0 or self._give_up()


def _may_begin(data: bytes | bytearray) -> bool:
    """Whether a request may begin like this, as far as its first line is there."""
    if b"\n" in data:
        return _START.match(data) is not None
    return data in (b"", b"\r") or _BEGINNING.fullmatch(data) is not None


def framing(head: bytes) -> int | None:
    """Bytes of the body that follows, -1 for a chunked one, ``None`` when it is not plain."""
    lines = head.rstrip(b"\r\n").split(b"\n")
    lengths: set[bytes] = set()
    encodings: list[bytes] = []
    if lines[0].startswith(b"CONNECT "):
        return None
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            return None  # folded, or no header: what it means differs between readers
        name, value = name.lower(), value.strip()
        if name == b"upgrade":
            return None
        if name == b"content-length":
            lengths.add(value)
        elif name == b"transfer-encoding":
            encodings.append(value.lower())
    if encodings:
        return _CHUNKED if encodings == [b"chunked"] and not lengths else None
    if not lengths:
        return 0
    (length, *more) = lengths
    return int(length) if not more and _DIGITS.fullmatch(length) else None
