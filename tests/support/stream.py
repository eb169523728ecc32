"""A ``model.ByteStream`` over the pipes of a child process.

Demo: ``python tests/support/stream.py python tests/servers/good/server.py`` opens a conversation
with a server and prints what it answers.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

CHUNK = 2**16


class PipeStream:
    """Non-blocking reads from a process's standard output, writes to its standard input.

    The process must have been started with both as pipes. It is not ended by this class.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes for standard input and output")
        self._input, self._output = process.stdin, process.stdout
        self._write_fd = self._input.fileno()
        os.set_blocking(self._write_fd, False)
        os.set_blocking(self._output.fileno(), False)

    def fileno(self) -> int:
        """The descriptor to read from."""
        return self._output.fileno()

    def write_fileno(self) -> int:
        """The descriptor to write to; -1, which ``poll`` ignores, once it is closed."""
        return self._write_fd

    def recv(self) -> bytes | None:
        """Up to 64 KiB that have arrived, ``None`` when there are none yet, ``b""`` at the end."""
        try:
            return os.read(self._output.fileno(), CHUNK)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        """Write what the pipe takes now; ``BrokenPipeError`` when nobody will read it."""
        if self._write_fd < 0:
            raise BrokenPipeError("standard input is closed")
        try:
            return os.write(self._write_fd, data)
        except BlockingIOError:
            return 0

    def close_write(self) -> None:
        """Close the peer's standard input."""
        if self._write_fd >= 0:
            self._write_fd = -1
            self._input.close()


def main() -> None:
    """Say hello to the server that the command line names."""
    with subprocess.Popen(
        sys.argv[1:], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        stream = PipeStream(process)
        hello = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n'
        print("sent", stream.send(memoryview(hello)), "bytes")
        stream.close_write()
        while (data := stream.recv()) != b"":
            if data is None:
                select.select([stream], [], [])
            else:
                print("received", data)


if __name__ == "__main__":
    main()
