"""Servers whose standard output or error is more, or something else, than lines of JSON."""

from __future__ import annotations

import json
import threading
from typing import Any

from honest import ECHO, Message, RpcError, Server, text, write_all
from registry import Hostile, mode

HUGE_LINE = 64 * 10**6
HUGE_TEXT = 32 * 2**20
CHUNK = 2**16

TERMINAL = "\x1b[2J\x1b[31m\x1b]0;owned\x07"
COMMAND = "\r\n::error::injected\n::set-output name=verdict::pass\n"
MARKDOWN = (
    "</summary><script>alert(1)</script> | [click](javascript:alert(1)) `x` ![i](//e.invalid/i)"
)
ESCAPES = TERMINAL + COMMAND + MARKDOWN


@mode
def floods_stdout(server: Hostile) -> None:
    """Writes lines of text without end."""

    @server.replace
    def at_start() -> None:
        while True:
            server.write((b"x" * 1023 + b"\n") * 64)


@mode
def floods_blank_lines(server: Hostile) -> None:
    """Writes empty lines without end: the most lines that a byte budget can hold."""

    @server.replace
    def at_start() -> None:
        while True:
            server.write(b"\n" * CHUNK)


@mode
def floods_stderr(server: Hostile) -> None:
    """Honest on standard output, while standard error gets text without end."""

    def flood() -> None:
        while True:
            write_all(2, b"y" * (CHUNK - 1) + b"\n")

    threading.Thread(target=flood, daemon=True).start()


@mode
def huge_line(server: Hostile) -> None:
    """Writes one line of 64 MB, and only then its answers."""

    @server.replace
    def at_start() -> None:
        for _ in range(HUGE_LINE // CHUNK):
            server.write(b"z" * CHUNK)
        server.write(b"\n")


@mode
def endless_line(server: Hostile) -> None:
    """Writes one line without end."""

    @server.replace
    def at_start() -> None:
        while True:
            server.write(b"z" * CHUNK)


@mode
def endless_answer(server: Hostile) -> None:
    """Begins the answer to a call and never ends its text."""

    @server.replace
    def send(message: Message) -> None:
        if not server.calls:
            Server.send(server, message)
            return
        server.write(server.encode(message).partition(b'"text":"')[0] + b'"text":"')
        while True:
            server.write(b"z" * CHUNK)


@mode
def huge_result(server: Hostile) -> None:
    """Answers each call with a text of 32 MiB."""
    server.handle("tools/call")(lambda _: text("z" * HUGE_TEXT))


@mode
def bad_utf8_in_reply(server: Hostile) -> None:
    """Puts a byte that is no UTF-8 into the answer to each call."""

    @server.replace
    def encode(message: Message) -> bytes:
        line = Server.encode(server, message)
        return line.replace(b'"text":"', b'"text":"\xff\xfe') if server.calls else line


@mode
def bad_utf8_between(server: Hostile) -> None:
    """Writes a line that is no UTF-8 before each answer."""

    @server.replace
    def send(message: Message) -> None:
        server.write(b"\xc3\x28 \xff\xfe\n")
        Server.send(server, message)


@mode
def nul_bytes(server: Hostile) -> None:
    """Writes a line of NUL bytes before each answer."""

    @server.replace
    def send(message: Message) -> None:
        server.write(b"\0" * 16 + b"\n")
        Server.send(server, message)


@mode
def blank_lines(server: Hostile) -> None:
    """Writes empty lines, and lines of blanks, before each answer."""

    @server.replace
    def send(message: Message) -> None:
        server.write(b"\n\n   \n\r\n\t\n")
        Server.send(server, message)


@mode
def crlf_lines(server: Hostile) -> None:
    """Ends each line with CR LF, as a Windows program would: JSON allows it, no breach."""

    @server.replace
    def encode(message: Message) -> bytes:
        return Server.encode(server, message) + b"\r"


@mode
def banner(server: Hostile) -> None:
    """Prints a banner and log lines on standard output."""

    @server.replace
    def at_start() -> None:
        server.write("\x1b[32m✓ Server listening on stdio\x1b[0m\n".encode())

    @server.replace
    def send(message: Message) -> None:
        server.write(b"INFO answering a request\n")
        Server.send(server, message)


@mode
def scalar_lines(server: Hostile) -> None:
    """Writes lines that are JSON, but a number, a text and null, before each answer."""

    @server.replace
    def send(message: Message) -> None:
        server.write(b'42\n"hello"\nnull\n')
        Server.send(server, message)


@mode
def pretty_printed(server: Hostile) -> None:
    """Spreads each message over many lines."""

    @server.replace
    def encode(message: Message) -> bytes:
        return json.dumps(message, indent=2).encode()


@mode
def batches(server: Hostile) -> None:
    """Wraps each answer after the opening one into an array."""

    @server.replace
    def answer(request: Message) -> None:
        Server.answer(server, request)
        server.replace(send)

    def send(message: Message) -> None:
        Server.send(server, [message])


@mode
def no_newline(server: Hostile) -> None:
    """Ends no line: each answer is whole, but a reader of lines waits for more."""

    @server.replace
    def send(message: Message) -> None:
        server.write(server.encode(message))


@mode
def escapes_in_texts(server: Hostile) -> None:
    """Puts terminal, workflow-command and markup sequences into every text it sends."""
    server.info |= {"name": ESCAPES, "title": ESCAPES, "version": ESCAPES}
    server.instructions = ESCAPES
    server.tools = [
        ECHO | {"name": f"escape{ESCAPES}", "title": ESCAPES, "description": ESCAPES},
        ECHO | {"description": ESCAPES},
    ]

    @server.replace
    def at_start() -> None:
        write_all(2, ESCAPES.encode())

    @server.handle("tools/call")
    def call(params: Message) -> Any:
        server.notify("notifications/message", level="info", data=ESCAPES)
        if params.get("name") == "echo":
            return text(ESCAPES)
        raise RpcError(-32000, ESCAPES, ESCAPES)
