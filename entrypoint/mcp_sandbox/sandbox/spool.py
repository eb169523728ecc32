"""The kernel trace of one server as it arrives: kept in a file, read for its few vital lines."""

from __future__ import annotations

import re
import tempfile
from typing import IO

MAX_TRACE = 256 * 2**20
_KEPT = 4096
"""Bytes that are looked at of the beginning and of the end of a line."""


class Trace:
    """The spooled trace, and the few of its lines that the sandbox itself needs.

    ``main`` is the process id (in the tracer's namespace) of the server's own process: that of the
    first line. A name in a line cannot forge another line, because the tracer escapes line ends.
    """

    def __init__(self, *, before: int, limit: int = MAX_TRACE) -> None:
        """``before``: successful executions that are traced before the server's own."""
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - handed on to the caller
        self.total = 0
        self.dropped = 0
        self.main = 0
        self.execs = -before
        """Successful executions by the server's own process; the first one makes the server."""
        self.exit = ""
        """How the server's own process ended, in the tracer's words."""
        self._limit = limit
        self._rest = b""
        self._wanted: re.Pattern[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Take more of the trace."""
        taken = data[: max(0, self._limit - self.total)]
        self.file.write(taken)
        self.total += len(data)
        self.dropped += len(data) - len(taken)
        if not self.exit:
            self._look(data)

    def close(self) -> None:
        """Nothing to let go: the file is handed on."""

    def _look(self, data: bytes) -> None:
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        # A line is told by its beginning and its end, so the middle of a long one may go.
        self._rest = rest if len(rest) <= 2 * _KEPT else rest[:_KEPT] + rest[-_KEPT:]
        lines = whole + newline
        if self._wanted is None and (first := re.match(rb"(\d+) ", lines)):
            self.main = int(first[1])
            self._wanted = re.compile(
                rb"^%d +[\d.]+ (?:(execve)\(.* = 0|<\.\.\. (execve) resumed>.* = 0"
                rb"|\+\+\+ ((?:exited with|killed by) [^+\n]*?) \+\+\+)$" % self.main,
                re.MULTILINE,
            )
        if self._wanted is not None:
            for found in self._wanted.finditer(lines):
                self.execs += 1 if found[1] or found[2] else 0
                self.exit = self.exit or (found[3] or b"").decode("ascii", "replace")
