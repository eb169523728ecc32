"""The relay's two halves, as two real processes over pipes."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.sandbox import relay as ours
from mcp_sandbox.sandbox.relay import Channel, Relay
from mcp_sandbox.warden import relay as theirs
from mcp_sandbox.warden.sockets import listening
from support.stream import PipeStream

FAR = 60.0


def deadline(seconds: float = FAR) -> float:
    return time.monotonic() + seconds


class _Attached(PipeStream):
    """As the engine's connection: closing gives both sides up."""

    close = PipeStream.close_write


@contextmanager
def relayed() -> Iterator[tuple[Relay, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "mcp_sandbox.warden.relay"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        relay = Relay(_Attached(process))
        try:
            yield relay, process
        finally:
            relay.close()
            process.kill()


@contextmanager
def server(count: int = 1) -> Iterator[tuple[int, list[socket.socket]]]:
    """A listener, and the connections that it has accepted."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:

        def accept() -> None:
            for _ in range(count):
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], accepted
            thread.join(FAR)
        finally:
            for sock in accepted:
                sock.close()


def _read_to_the_end(channel: Channel) -> None:
    while channel.recv(deadline()):
        pass


def test_both_halves_speak_the_same_frames():
    assert (ours.OPEN, ours.DATA, ours.SHUT, ours.CLOSE, ours.OPENED) == (
        theirs.OPEN,
        theirs.DATA,
        theirs.SHUT,
        theirs.CLOSE,
        theirs.OPENED,
    )
    assert (ours.pack, ours.taken) == (theirs.pack, theirs.taken)


def test_bytes_go_both_ways_and_ends_are_told():
    with relayed() as (relay, _), server() as (port, accepted):
        channel = relay.connect(port, deadline())
        channel.send(b"question" * 100_000, deadline())
        channel.shut(deadline())
        (peer,) = accepted
        asked = b"".join(iter(lambda: peer.recv(65536), b""))
        assert asked == b"question" * 100_000
        assert not channel.ended
        peer.sendall(b"answer")
        peer.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: channel.recv(deadline()), b""))
        assert said == b"answer"
        assert channel.ended


def test_a_port_where_nobody_listens_refuses():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with relayed() as (relay, _), pytest.raises(ConnectionRefusedError, match="ECONNREFUSED"):
        relay.connect(port, deadline())


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none_refuses(port: int):
    with relayed() as (relay, _), pytest.raises(ConnectionRefusedError):
        relay.connect(port, deadline())


def test_a_silent_server_ends_in_the_deadline():
    with relayed() as (relay, _), server() as (port, _):
        channel = relay.connect(port, deadline())
        with pytest.raises(TimeoutError):
            channel.recv(deadline(0.05))


def test_channels_do_not_wait_for_each_other():
    with relayed() as (relay, _), server(2) as (port, accepted):
        flooded = relay.connect(port, deadline())
        other = relay.connect(port, deadline())
        while len(accepted) < 2:
            threading.Event().wait(0.001)
        first, second = accepted

        def flood() -> None:
            try:
                while True:
                    first.sendall(b"x" * 65536)
            except OSError:
                return

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        thread.join(FAR)  # until it is broken off
        # Nobody reads the flood; beyond its bound that channel is broken off, the other is not.
        second.sendall(b"still here")
        assert other.recv(deadline()) == b"still here"
        with pytest.raises(ConnectionResetError, match="ENOBUFS"):
            _read_to_the_end(flooded)


def test_who_waits_sees_the_end_of_the_relay():
    with relayed() as (relay, process), server() as (port, _):
        channel = relay.connect(port, deadline())
        process.kill()
        with pytest.raises(ConnectionResetError, match="relay is gone"):
            channel.recv(deadline())
        with pytest.raises((EngineFailed, ConnectionError)):
            relay.connect(port, deadline())


def test_closing_a_channel_wakes_who_waits_for_it():
    with relayed() as (relay, _), server() as (port, _):
        channel = relay.connect(port, deadline())
        seen: list[str] = []

        def wait() -> None:
            try:
                channel.recv(deadline())
            except ConnectionResetError as error:
                seen.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        channel.close()
        thread.join(FAR)
        assert seen == ["closed"]


def test_many_connections_one_after_another():
    with relayed() as (relay, _), server(300) as (port, accepted):
        for _ in range(300):
            relay.connect(port, deadline()).close()
    assert len(accepted) == 300


def test_what_is_no_frame_ends_the_relay():
    command = [sys.executable, "-m", "mcp_sandbox.warden.relay"]
    done = subprocess.run(
        command, input=b"\xff" * 64, capture_output=True, timeout=FAR, check=False
    )
    assert done.returncode == 1
    assert done.stdout == b""


def test_listeners_are_read_from_the_kernel():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ("inet", "127.0.0.1", port) in listening()
        assert ("inet", "127.0.0.1", port) not in listening(but=[port])
    if socket.has_ipv6:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            assert ("inet6", "::1", listener.getsockname()[1]) in listening()
