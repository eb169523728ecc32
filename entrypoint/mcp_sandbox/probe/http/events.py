"""Server-sent events (WHATWG HTML, section 9.2), bounded and in linear time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.probe.wire import LineFramer

MAX_LINE = 8 * 2**20
MAX_EVENT = 8 * 2**20
"""Bytes of one event's data; what is beyond is dropped and counted."""
MAX_ID = 1024
MAX_FIELDS = 100_000
"""Lines of one event."""


class TooManyFields(Exception):
    """An event has more lines than any needs."""


@dataclass(frozen=True)
class Event:
    """One event."""

    kind: str
    data: bytes
    id: str = ""
    retry: int | None = None
    """Milliseconds to wait before connecting again."""
    skipped: int = 0
    """Bytes that were dropped."""


class Events:
    """Takes a stream apart, however its bytes were cut. A last event without its end is dropped."""

    def __init__(self) -> None:
        self._framer = LineFramer(MAX_LINE)
        self._carriage = False
        self._data: list[bytes] = []
        self._size = 0
        self._skipped = 0
        self._kind = ""
        self._id = ""
        self._retry: int | None = None
        self._first = True
        self._fields = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Every event that ``piece`` completes. Raises ``TooManyFields``."""
        for line in self._framer.feed(self._newlines(piece)):
            data = line.data
            if self._first:
                data = data.removeprefix(b"\xef\xbb\xbf")
                self._first = False
            self._skipped += line.skipped
            if data or line.skipped:
                self._field(data)
            elif (event := self._event()) is not None:
                yield event

    def _newlines(self, piece: bytes) -> bytes:
        """CR, LF and CRLF all end a line."""
        if self._carriage and piece.startswith(b"\n"):
            piece = piece[1:]
            self._carriage = False
        if piece:
            self._carriage = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _field(self, line: bytes) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TooManyFields(f"an event of more than {MAX_FIELDS} lines")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            room = max(0, MAX_EVENT - self._size)
            if room:
                self._data.append(value[:room])
            self._size += len(value[:room]) + 1
            self._skipped += max(0, len(value) - room)
        elif name == b"event":
            self._kind = value[:256].decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value[:MAX_ID].decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self._retry = int(value[:9])

    def _event(self) -> Event | None:
        """The event that an empty line ends; one without data only moves id and retry."""
        event = Event(
            self._kind or "message", b"\n".join(self._data), self._id, self._retry, self._skipped
        )
        useful = bool(self._data) or self._skipped or self._retry is not None
        self._data, self._size, self._skipped, self._kind = [], 0, 0, ""
        self._fields = 0
        self._retry = None
        return event if useful else None
