"""Enough of a mail server that a client hands over its message (RFC 5321)."""

from __future__ import annotations

PORTS = (25, 465, 587, 2525)
GREETING = b"220 mail ESMTP\r\n"
MAX_LINE = 4096
"""A line that is longer is taken as several."""


# Whoever offers a password on the line of AUTH is let in; others go on without.
_REPLIES = {
    b"QUIT": b"221 Bye\r\n",
    b"DATA": b"354 Go ahead\r\n",
    b"EHLO": b"250-mail\r\n250 AUTH PLAIN\r\n",
    b"AUTH": b"235 OK\r\n",
}


class Talk:
    """The server's side of one conversation; lines in, replies out."""

    def __init__(self) -> None:
        self.over = False
        self._line = bytearray()
        self._in_message = False

    def feed(self, data: bytes) -> bytes:
        """The replies to what has become whole with ``data``."""
        replies = bytearray()
        for piece in data.splitlines(keepends=True):
            self._line += piece
            if piece.endswith(b"\n") or len(self._line) >= MAX_LINE:
                replies += self._take(bytes(self._line).rstrip(b"\r\n"))
                self._line.clear()
        return bytes(replies)

    def _take(self, line: bytes) -> bytes:
        if self._in_message:
            if line != b".":
                return b""
            self._in_message = False
            return b"250 OK\r\n"
        verb = line[:4].upper()
        self.over = verb == b"QUIT"
        self._in_message = verb == b"DATA"
        return _REPLIES.get(verb, b"250 OK\r\n")
