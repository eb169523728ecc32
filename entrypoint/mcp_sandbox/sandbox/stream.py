"""The attached streams of a container: Docker's frames taken apart, standard error kept aside.

The engine multiplexes both outputs over one connection: 8 bytes of header (stream number, three
zeros, length, big-endian), then that many bytes. A frame is passed on as it arrives, so that its
announced length costs nothing. Standard output goes to the reader whole; of standard error the
beginning and the end are kept, and its length. What lies between waits in a file without a name, up
to a bound, so that it can be searched: a chatty server is not an unexamined one.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Protocol

from mcp_sandbox.sandbox.engine import Engine

CHUNK = 64 * 2**10
_STDERR = 2
_MAX_HEADER = 16 * 2**10
_HEADER = struct.Struct(">BxxxI")


class Demultiplexer:
    """Takes frames apart, however the bytes were cut."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream = 0
        self._rest = 0

    @property
    def between_frames(self) -> bool:
        """Nothing of a frame is outstanding: an end here is a clean end."""
        return not self._header and not self._rest

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """``(stream, bytes)`` for every part of a frame in ``data``; the stream is 0, 1 or 2."""
        position = 0
        while position < len(data):
            if self._rest:
                part = data[position : position + self._rest]
                position += len(part)
                self._rest -= len(part)
                yield self._stream, part
                continue
            missing = _HEADER.size - len(self._header)
            part = data[position : position + missing]
            self._header += part
            position += len(part)
            if len(self._header) == _HEADER.size:
                self._stream, self._rest = _HEADER.unpack(self._header)
                self._header.clear()


ASIDE = 32
"""The middle of standard error is put aside up to so many times what is kept of it."""
_WINDOW = 2**20
_OVERLAP = 16 * 2**10
"""Windows share so many bytes, so that a cut hides nothing shorter."""


class HeadTail:
    """The first and the last ``half`` bytes of a stream, its length, and its middle put aside."""

    def __init__(self, half: int) -> None:
        self.half = half
        self.total = 0
        self.lost = 0
        """Bytes that were neither kept nor put aside."""
        self._head = bytearray()
        self._tail = bytearray()
        self._middle: IO[bytes] | None = None
        self._aside = 0

    def add(self, data: bytes) -> None:
        """Take more of the stream."""
        self.total += len(data)
        room = self.half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self.half:
            self._put_aside(memoryview(self._tail)[: -self.half].tobytes())
            del self._tail[: -self.half]

    def _put_aside(self, data: bytes) -> None:
        taken = data[: max(0, 2 * self.half * ASIDE - self._aside)]
        if taken:
            if self._middle is None:
                self._middle = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            self._middle.write(taken)
        self._aside += len(taken)
        self.lost += len(data) - len(taken)

    def windows(self) -> Iterator[bytes]:
        """Everything there is of the stream, in order, in pieces that overlap."""
        rest = bytes(self._head)
        if self._middle is not None:
            self._middle.seek(0)
            while piece := self._middle.read(_WINDOW):
                yield rest + piece
                rest = (rest + piece)[-_OVERLAP:]
        if self.lost:  # a gap: what stands on its two sides was not written together
            yield rest
            rest = b""
        yield rest + bytes(self._tail)

    def close(self) -> None:
        """Let the middle go."""
        if self._middle is not None:
            self._middle.close()
            self._middle = None

    @property
    def dropped(self) -> int:
        """How many bytes in the middle were not kept."""
        return self.total - len(self._head) - min(len(self._tail), self.half)

    def parts(self) -> tuple[bytes, bytes]:
        """Beginning and end; together they are the whole stream when nothing was dropped."""
        return bytes(self._head), bytes(self._tail[-self.half :])


class Kept(Protocol):
    """Where standard error goes."""

    def add(self, data: bytes) -> None:
        """Take more of it."""

    def close(self) -> None:
        """Let go what is held."""


class AttachedStream:
    """``model.ByteStream`` over the connection of an attach request.

    The socket must be handed over before the container starts, so that no byte is lost. The
    class owns it.
    """

    def __init__(self, connection: socket.socket, errors: Kept) -> None:
        """``errors`` takes standard error as it comes."""
        connection.setblocking(False)
        self._socket = connection
        self.errors = errors
        self._demultiplexer = Demultiplexer()
        self._write_closed = False
        self.stdout_bytes = 0
        self.ended = False
        """The peer's end was reached: nothing more will come."""
        self.broken = ""
        """Why the end was no clean one."""

    def fileno(self) -> int:
        """The connection, for ``select``."""
        return self._socket.fileno()

    def write_fileno(self) -> int:
        """The connection, for ``select``."""
        return self._socket.fileno()

    def recv(self) -> bytes | None:
        """Standard output that has arrived, ``None`` when there is none yet, ``b""`` at the end."""
        if self.ended:
            return b""
        try:
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self.broken = (
                f"the connection to the engine broke ({errno.errorcode.get(error.errno or 0)})"
            )
            data = b""
        if not data:
            self.ended = True
            if not self.broken and not self._demultiplexer.between_frames:
                self.broken = "the engine ended inside a frame"
            return b""
        out = []
        for stream, part in self._demultiplexer.feed(data):
            if stream == _STDERR:
                self.errors.add(part)
            else:
                out.append(part)
        taken = b"".join(out)
        self.stdout_bytes += len(taken)
        return taken or None

    def send(self, data: memoryview) -> int:
        """Write some of ``data``; 0 when the engine takes nothing now.

        Raises ``BrokenPipeError`` once standard input is closed on either side.
        """
        if self._write_closed or self.ended:
            raise BrokenPipeError(errno.EPIPE, "standard input is closed")
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except BrokenPipeError:
            raise
        except OSError as error:
            raise BrokenPipeError(errno.EPIPE, "standard input is closed") from error

    def close_write(self) -> None:
        """Close the server's standard input; its output can still be read."""
        if self._write_closed:
            return
        self._write_closed = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
                raise

    def let_go(self) -> None:
        """End the conversation while another thread is in it; that one sees the end and closes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        self._write_closed = self.ended = True
        self._socket.close()
        self.errors.close()


def open_attached(engine: Engine, container: str, *, stdin: bool, errors: Kept) -> AttachedStream:
    """Attach to a container that has not been started. Raises ``OSError``.

    The upgrade is spoken here, because docker-py gives no socket that can be half-closed and shut
    without reaching into its response objects.
    """
    connection = engine.connect()
    query = f"stdin={int(stdin)}&stdout=1&stderr=1&stream=1"
    try:
        _upgrade(connection, f"/v{engine.api.api_version}/containers/{container}/attach?{query}")
    except BaseException:
        connection.close()
        raise
    return AttachedStream(connection, errors)


def _upgrade(connection: socket.socket, target: str) -> None:
    connection.sendall(
        f"POST {target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
        "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode("ascii")
    )
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        # Byte by byte: what follows the header belongs to the stream.
        byte = connection.recv(1)
        if not byte or len(answer) > _MAX_HEADER:
            raise OSError(errno.EPROTO, "the engine broke off the attach request")
        answer += byte
    status = bytes(answer).split(b"\r\n", 1)[0].split(b" ")
    if status[1:2] not in ([b"101"], [b"200"]):
        text = b" ".join(status[1:]).decode("ascii", "replace")[:200]
        raise OSError(errno.EPROTO, f"the engine refused the attach request: {text}")
