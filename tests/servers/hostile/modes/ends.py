"""Servers that end, hang, or stop using one of their streams."""

from __future__ import annotations

import os
import signal
import sys
import time

from honest import Message, Server
from registry import Hostile, mode, opens

TRICKLE_S = 0.2
LATE_S = 0.5


def hang() -> None:
    """Do nothing until killed."""
    while True:
        signal.pause()


@mode
def never_answers(server: Hostile) -> None:
    """Reads everything, answers nothing."""

    @server.replace
    def on_message(_: Message) -> None:
        """Keep silent."""


@mode
def never_reads(server: Hostile) -> None:
    """Neither reads nor writes."""

    @server.replace
    def at_start() -> None:
        hang()


@mode
def stops_reading(server: Hostile) -> None:
    """Lists its tools, then reads nothing more and answers nothing more."""

    @server.replace
    def answer(request: Message) -> None:
        Server.answer(server, request)
        if request["method"] == "tools/list":
            hang()


@mode
def exits_at_once_0(server: Hostile) -> None:
    """Ends before it reads, with exit code 0."""

    @server.replace
    def at_start() -> None:
        sys.exit(0)


@mode
def exits_at_once_3(server: Hostile) -> None:
    """Complains on standard error and ends before it reads, with exit code 3."""

    @server.replace
    def at_start() -> None:
        print("fatal: the variable API_KEY is not set", file=sys.stderr)
        sys.exit(3)


@mode
def exits_after_initialize(server: Hostile) -> None:
    """Answers the opening request and ends."""

    @server.replace
    def answer(request: Message) -> None:
        Server.answer(server, request)
        sys.exit(0)


@mode
def exits_in_a_call(server: Hostile) -> None:
    """Ends, with exit code 1, instead of answering a call."""

    @server.handle("tools/call")
    def call(_: Message) -> None:
        sys.exit(1)


@mode
def exits_in_mid_answer(server: Hostile) -> None:
    """Writes half of the answer to a call and ends."""

    @server.replace
    def send(message: Message) -> None:
        line = server.encode(message) + b"\n"
        if server.calls:
            server.write(line[: len(line) // 2])
            sys.exit(0)
        server.write(line)


@mode
def crashes_by_signal(server: Hostile) -> None:
    """Dies of SIGABRT in a call."""

    @server.handle("tools/call")
    def call(_: Message) -> None:
        os.abort()  # a signal to itself would not end the first process of a container


@mode
def hangs_in_a_call(server: Hostile) -> None:
    """Never answers a call, nor anything after it."""

    @server.handle("tools/call")
    def call(_: Message) -> None:
        hang()


@mode
def hangs_on_second_call(server: Hostile) -> None:
    """Answers the first call of each tool; every further call of it stays without an answer."""
    called: set[str] = set()

    @server.replace
    def answer(request: Message) -> None:
        name = request.get("params", {}).get("name", "")
        if request["method"] != "tools/call" or name not in called:
            Server.answer(server, request)
            called.add(name)


@mode
def answers_late(server: Hostile) -> None:
    """Answers each call half a second late."""

    @server.replace
    def answer(request: Message) -> None:
        if request["method"] == "tools/call":
            time.sleep(LATE_S)
        Server.answer(server, request)


@mode
def lists_late(server: Hostile) -> None:
    """Answers the opening request at once and hangs when its tools are asked for."""

    @server.replace
    def answer(request: Message) -> None:
        if not opens(request):
            hang()
        Server.answer(server, request)


@mode
def trickles(server: Hostile) -> None:
    """Writes one byte every 0.2 seconds."""

    @server.replace
    def write(data: bytes) -> None:
        for position in range(len(data)):
            Server.write(server, data[position : position + 1])
            time.sleep(TRICKLE_S)


@mode
def closes_stdout(server: Hostile) -> None:
    """Lists its tools, then closes standard output and lives on."""

    @server.replace
    def answer(request: Message) -> None:
        Server.answer(server, request)
        if request["method"] == "tools/list":
            os.close(1)
            hang()


@mode
def closes_stdin(server: Hostile) -> None:
    """Lists its tools, then closes standard input and lives on."""

    @server.replace
    def answer(request: Message) -> None:
        Server.answer(server, request)
        if request["method"] == "tools/list":
            os.close(0)
            hang()


@mode
def ignores_goodbye(server: Hostile) -> None:
    """Honest, but neither the end of its input nor SIGTERM ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    @server.replace
    def serve() -> None:
        Server.serve(server)
        hang()
