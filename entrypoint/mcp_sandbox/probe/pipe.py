"""The two streams of a peer: what is to be written waits, what arrives comes as bounded lines."""

from __future__ import annotations

import select

from mcp_sandbox.model import ByteStream
from mcp_sandbox.probe.wire import Line, LineFramer

MAX_WAIT = 60.0
"""Seconds of one wait; longer ones are made of several."""


class BudgetExhausted(Exception):
    """A bound on the whole conversation is reached; the text says which."""


class Pipe:
    """Non-blocking on both sides. A peer that reads nothing or sends without end cannot hang us."""

    def __init__(self, stream: ByteStream, budget: int) -> None:
        """``budget``: bytes that the peer may send in all."""
        self._stream = stream
        self._budget = budget
        self._framer = LineFramer()
        self._outbox = bytearray()
        self._input_closed = False
        self._poll = select.poll()
        self._poll.register(stream.fileno(), select.POLLIN)
        self.closed = False
        """The peer has closed its output."""

    @property
    def blocked(self) -> bool:
        """Something is still to be written, and the peer could take it."""
        return bool(self._outbox) and not self._input_closed

    def write(self, line: bytes) -> None:
        """Write what the peer takes now; the rest goes out during later waits."""
        if self._outbox or self._input_closed:
            self._outbox += line
        else:
            # Nearly always the peer takes it at once: no copy.
            self._outbox += line[self._send(memoryview(line)) :]
        self._flush()

    def read(self, seconds: float) -> list[Line]:
        """Wait once, at most ``seconds``; the lines that have arrived.

        Raises ``BudgetExhausted``.
        """
        if not self._ready(seconds):
            return []
        data = self._stream.recv()
        if data is None:
            return []
        if not data:
            self.closed = True
            return []
        self._budget -= len(data)
        if self._budget < 0:
            raise BudgetExhausted("the server sent more bytes than one conversation may hold")
        return list(self._framer.feed(data))

    def rest(self) -> Line | None:
        """What came after the last newline."""
        return self._framer.rest()

    def _ready(self, seconds: float) -> bool:
        """Wait for either side; write what can be written."""
        milliseconds = max(1, min(seconds, MAX_WAIT) * 1000)
        if not self.blocked:
            return bool(self._poll.poll(milliseconds))
        reader, writer = self._stream.fileno(), self._stream.write_fileno()
        self._poll.register(writer, select.POLLOUT | (select.POLLIN if reader == writer else 0))
        try:
            ready = bool(self._poll.poll(milliseconds))
        finally:
            if reader == writer:
                self._poll.modify(reader, select.POLLIN)
            else:
                self._poll.unregister(writer)
        if ready:
            self._flush()
        return ready

    def _flush(self) -> None:
        while self.blocked:
            sent = self._send(memoryview(bytes(self._outbox)))
            if not sent:
                return
            del self._outbox[:sent]

    def _send(self, data: memoryview) -> int:
        try:
            return self._stream.send(data)
        except BrokenPipeError:
            # The peer may still print an answer to what it has read.
            self._input_closed = True
            return 0
