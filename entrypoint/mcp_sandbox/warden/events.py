"""The warden's record: one JSON object per line, numbered without gaps, bounded."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque

MAX_EVENTS = 20_000
MAX_BYTES = 64 * 2**20
MAX_PENDING = 16 * 2**20
"""Bytes that wait for a reader; a slow one costs events, never a connection's time."""
MAX_LINE = 64 * 2**10
MAX_TEXT = 32 * 2**10
MAX_TROUBLES = 100
_SPARE = 4 * 2**10
"""Room in a line for all but its longest field."""


def shorten(text: str, limit: int = MAX_LINE - _SPARE) -> str:
    """The longest beginning of ``text`` (nearly) whose JSON form has at most ``limit`` bytes."""
    text = text[:MAX_TEXT]
    size = len(json.dumps(text))
    while size > limit:
        # The cut is proportional, so that text of one kind needs one more round at most.
        text = text[: min(len(text) * limit // size, len(text) - 1)]
        size = len(json.dumps(text))
    return text


class Recorder:
    """Writes events to a descriptor from a thread of its own; every method may be called anywhere.

    ``tell`` is for what the reader waits for, ``record`` for what the peer caused: only the latter
    is counted against the bounds, and lost to them after one ``full``.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._sequence = 0
        self._recorded = 0
        self._bytes = 0
        self._pending = 0
        self._full: set[str] = set()
        self._closed = False
        self.troubles = 0
        self.seen = 0
        """Events of the peer, those that were not recorded included."""
        self._thread = threading.Thread(target=self._write, name="events", daemon=True)
        self._thread.start()

    def tell(self, kind: str, /, **fields: object) -> None:
        """Write a line of the protocol."""
        with self._changed:
            self._append(kind, time.time(), fields)

    def trouble(self, text: str) -> None:
        """Say that something failed: the record is not complete."""
        with self._changed:
            self.troubles += 1
            if self.troubles <= MAX_TROUBLES:
                self._append("trouble", time.time(), {"text": shorten(text)})

    def full(self, text: str) -> None:
        """Say, once for each bound, that something was not recorded."""
        with self._changed:
            self._say_full(text)

    def record(self, kind: str, at: float, /, **fields: object) -> None:
        """Write what the peer did at ``at`` (Unix time), unless a bound forbids."""
        for name in ("text", "name", "host"):
            value = fields.get(name)
            if isinstance(value, str):
                fields[name] = shorten(value, MAX_LINE - _SPARE if name == "text" else _SPARE // 3)
        with self._changed:
            self.seen += 1
            if self._recorded >= MAX_EVENTS:
                self._say_full(f"more than {MAX_EVENTS} events")
            elif self._bytes >= MAX_BYTES:
                self._say_full(f"more than {MAX_BYTES} bytes of events")
            elif self._pending >= MAX_PENDING:
                self._say_full(f"more than {MAX_PENDING} bytes of events that nobody had read")
            else:
                self._recorded += 1
                self._bytes += self._append(kind, at, fields)

    def close(self, seconds: float) -> bool:
        """Write what is left; false when the reader took longer than ``seconds``."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _say_full(self, text: str) -> None:
        if text not in self._full:
            self._full.add(text)
            self._append("full", time.time(), {"text": text})

    def _append(self, kind: str, at: float, fields: dict[str, object]) -> int:
        self._sequence += 1
        line = json.dumps({"seq": self._sequence, "at": at, "event": kind, **fields}) + "\n"
        data = line.encode("ascii")
        self._lines.append(data)
        self._pending += len(data)
        self._changed.notify()
        return len(data)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closed:
                    self._changed.wait()
                if not self._lines:
                    return
                data = self._lines.popleft()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            with self._changed:
                self._pending -= len(data)
