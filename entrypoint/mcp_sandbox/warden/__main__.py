"""The warden's front door: ``python -m mcp_sandbox.warden --help``."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from mcp_sandbox.endpoints import all_allowed
from mcp_sandbox.warden import arrival, datagrams, netns, packetlog
from mcp_sandbox.warden.collect import Collector, NotCollected
from mcp_sandbox.warden.events import Recorder
from mcp_sandbox.warden.loop import Loop
from mcp_sandbox.warden.names import Names
from mcp_sandbox.warden.sockets import listening
from mcp_sandbox.warden.streams import Streams

if TYPE_CHECKING:
    from mcp_sandbox.warden.handler import Handler

CHANNEL = Path("/opt/mcp-sandbox/channel")
STDIN, STDOUT, STDERR = 0, 1, 2
DRAIN_SECONDS = 4.0
"""For a reader to take the rest of the trace, and then of the events."""
LAST_SECONDS = 1.0
"""For what had arrived before we were told to finish."""
MAX_COMMAND = 4096
MAX_SOCKETS = 256
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_TRIES = 50


class NotUnderstood(Exception):
    """The command line is wrong."""


class NoHandler(Exception):
    """Nothing can be let out, or decrypted."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Standard error is not for words.
        raise NotUnderstood(message)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line. Raises ``NotUnderstood``."""
    parser = _Parser(prog="warden", description=__doc__, allow_abbrev=False)
    parser.add_argument("--sink", action="store_true", help="answer in place of the network")
    parser.add_argument("--collect", action="store_true", help="copy the trace to standard error")
    parser.add_argument("--tls", choices=("observe", "terminate"), default="observe")
    parser.add_argument("--allow", action="append", default=[], metavar="HOST:PORT")
    parser.add_argument(
        "--egress", type=Path, metavar="SOCKET", help="where allowed connections go"
    )
    parser.add_argument("--channel", type=Path, default=CHANNEL, metavar="FOLDER")
    parser.add_argument("--no-tproxy", action="store_true", help="as on a kernel that lacks it")
    options = parser.parse_args(argv)
    try:
        options.allow = all_allowed(tuple(options.allow))
    except ValueError as error:
        parser.error(f"--allow: {error}")
    if options.allow and not options.egress:
        parser.error("--allow needs --egress")
    return options


class Commands:
    """JSON lines from standard input."""

    def __init__(
        self, recorder: Recorder, collector: Collector | None, own_ports: Collection[int]
    ) -> None:
        self._recorder = recorder
        self._collector = collector
        self._own_ports = own_ports
        self._buffer = b""
        self.finished = False

    def read(self) -> None:
        """Take what has arrived; the end of input is the command to finish."""
        data = os.read(STDIN, MAX_COMMAND)
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            self._obey(line)
        if len(self._buffer) > MAX_COMMAND:
            self._recorder.trouble("a command is too long")
            self._buffer = b""
        if not data:
            self.finished = True

    def _obey(self, line: bytes) -> None:
        try:
            command = json.loads(line)
            do = command["do"]
        except (ValueError, TypeError, KeyError):
            self._recorder.trouble("a command cannot be read")
            return
        if do == "clock":
            self._recorder.tell("clock", id=command.get("id"))
        elif do == "sockets":
            found = listening(but=self._own_ports)[:MAX_SOCKETS]
            self._recorder.tell("sockets", id=command.get("id"), listening=found)
        elif do == "finish":
            self.finished = True
        elif do == "go":
            if self._collector is not None:
                try:
                    self._collector.go()
                except NotCollected as error:
                    self._recorder.trouble(str(error))
        else:
            self._recorder.trouble("a command is not known")


def listeners(*, ipv6: bool) -> tuple[socket.socket, ...]:
    """Bound TCP sockets with one free port on both loopback addresses. Raises ``OSError``."""
    for attempt in range(_TRIES):
        # Not the kernel's choice: that comes from the range that clients' own ports come from.
        port = 20_000 + secrets.randbelow(10_000)
        made = []
        try:
            made.append(_listener(socket.AF_INET, port))
            if ipv6:
                made.append(_listener(socket.AF_INET6, port))
        except OSError:
            for sock in made:
                sock.close()
            if attempt == _TRIES - 1:
                raise
        else:
            return tuple(made)
    raise AssertionError


def _listener(family: socket.AddressFamily, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        sock.setblocking(False)
        # Accepted connections have the port they were going to: with this option they do not keep
        # the server from listening on it. It does not let anyone share a port that is listened on.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        arrival.stamp(sock)
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


def sink(
    loop: Loop, recorder: Recorder, handler: Handler | None, *, ipv6: bool, tproxy: bool
) -> int:
    """Set up the namespace and answer in it, at the port that is returned.

    Raises ``OSError`` and ``netns.NotPrepared``.
    """
    tcp = listeners(ipv6=ipv6)
    port = int(tcp[0].getsockname()[1])
    prepared = netns.prepare(port, ipv6=ipv6, tproxy=tproxy)
    names = Names(ipv6=ipv6)
    logged = _log_packets(loop, recorder, names, datagrams=not prepared.tproxy)
    if not prepared.tproxy and not logged:
        recorder.trouble(
            f"datagrams are seen on port 53 only, for the kernel has no tproxy: {prepared.why}"
        )
    destination = _local if prepared.tproxy else netns.original_destination
    streams = Streams(
        loop,
        recorder,
        names,
        destination=destination,
        handler=handler,
        hand_over=handler.threads.hand_over if handler else lambda _: False,
    )
    packets = datagrams.Datagrams(recorder, names, tproxy=prepared.tproxy)
    for listener in tcp:
        loop.watch(listener, lambda one=listener: streams.accept(one))  # type: ignore[misc]
        sock = datagrams.open_socket(listener.family, port, tproxy=prepared.tproxy)
        loop.watch(sock, lambda one=sock: packets.read(one))  # type: ignore[misc]
    return port


def _log_packets(loop: Loop, recorder: Recorder, names: Names, *, datagrams: bool) -> bool:
    """See pings and the like too, where the kernel can show them."""
    if not netns.add(packetlog.rules(datagrams=datagrams)):
        return False
    try:
        sock = packetlog.open_socket()
    except OSError:
        return False
    log = packetlog.PacketLog(recorder, names)
    loop.watch(sock, lambda: log.read(sock))
    return True


def _handler(options: argparse.Namespace, recorder: Recorder) -> Handler | None:
    """What takes connections over, if anything does. Raises ``NoHandler``."""
    if not options.allow and options.tls == "observe":
        return None
    # Imported where they are used: ssl and asyncio take longer than all the rest.
    from mcp_sandbox.warden.authority import AuthorityFailed  # noqa: PLC0415
    from mcp_sandbox.warden.handler import handler  # noqa: PLC0415

    try:
        return handler(
            recorder,
            allowed=options.allow,
            gateway=options.egress if options.allow else None,
            published=options.channel if options.tls == "terminate" else None,
        )
    except AuthorityFailed as error:
        raise NoHandler(str(error)) from error


def _local(sock: socket.socket) -> tuple[str, int]:
    address, port = sock.getsockname()[:2]
    return str(address), int(port)


def run(options: argparse.Namespace, recorder: Recorder) -> int:
    """Everything from set-up to ``end``; the exit code."""
    loop = Loop()
    ipv6 = options.sink and netns.has_ipv6()
    collector = None
    handler = None
    own: tuple[int, ...] = ()
    try:
        if options.sink:
            handler = _handler(options, recorder)
            port = sink(loop, recorder, handler, ipv6=ipv6, tproxy=not options.no_tproxy)
            own = (port,)
        if options.collect:
            collector = Collector(options.channel)
            collector.start(STDERR)
    except (OSError, netns.NotPrepared, NotCollected, NoHandler) as error:
        recorder.trouble(f"not set up: {error}")
        return 1
    commands = Commands(recorder, collector, own)
    loop.watch(STDIN, commands.read)
    recorder.tell("ready", sink=options.sink, collect=options.collect, ipv6=ipv6)
    told_end = collector is None
    while not commands.finished:
        loop.step(0.25)
        if collector is not None and not told_end and not collector.running:
            told_end = True
            _trace_end(recorder, collector)
    loop.unwatch(STDIN)
    if collector is not None and not told_end:
        if not collector.finish(DRAIN_SECONDS):
            recorder.trouble("the trace was not read in time")
        _trace_end(recorder, collector)
    # What had arrived before we were told to finish is still taken.
    last = time.monotonic() + LAST_SECONDS
    while options.sink and time.monotonic() < last and loop.busy():
        loop.step(0)
    loop.close()
    if handler is not None:
        handler.finish()
    return 0


def _trace_end(recorder: Recorder, collector: Collector) -> None:
    if collector.fault:
        recorder.trouble(collector.fault)
    recorder.tell("trace-end", bytes=collector.bytes, dropped=0, ended=collector.ended)


def main(argv: list[str]) -> int:
    """Run, and say at the end how many events there were."""
    recorder = Recorder(STDOUT)

    def fault(kind: type[BaseException], error: BaseException | None) -> None:
        recorder.trouble(f"fault in the warden: {kind.__name__}: {error}")

    def in_main(
        kind: type[BaseException], error: BaseException, _where: TracebackType | None
    ) -> None:
        fault(kind, error)
        recorder.close(DRAIN_SECONDS)

    def in_thread(args: Any) -> None:
        fault(args.exc_type, args.exc_value)

    # Standard error carries the trace and nothing else.
    sys.excepthook = in_main
    threading.excepthook = in_thread
    try:
        code = run(arguments(argv), recorder)
    except NotUnderstood as error:
        recorder.trouble(f"the command line: {error}")
        code = 2
    recorder.tell("end", events=recorder.seen)
    if not recorder.close(DRAIN_SECONDS):
        return 1
    return code or int(recorder.troubles > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
