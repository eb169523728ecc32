"""What the server takes its time for: a notification is waited for, a call is given up in time."""

from __future__ import annotations

import json
import select
import threading

from mcp_sandbox.model import Era, Place, Transport
from mcp_sandbox.probe.http.stream import HttpStream
from mcp_sandbox.probe.wire import encode
from support.http_peer import Peer, SocketConnection, Talk, good

PATIENCE = 20.0


def stream_to(peer: Peer) -> HttpStream:
    return HttpStream(
        Place(Transport.HTTP, peer.port, "/mcp"),
        SocketConnection,
        era=Era.HANDSHAKE,
        agent="unhurried/1",
        call_timeout=PATIENCE,
    )


def asked(id_: int, method: str) -> memoryview:
    return memoryview(encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": {}}))


def answer(stream: HttpStream) -> bytes:
    assert select.select([stream.fileno()], [], [], PATIENCE)[0]
    return stream.recv() or b""


def lines(stream: HttpStream, count: int) -> list[bytes]:
    found = b""
    while found.count(b"\n") < count:
        found += answer(stream)
    return found.splitlines()


def test_the_stream_is_asked_for_however_soon_the_next_request_comes():
    told, taken, streams = threading.Event(), threading.Event(), threading.Event()

    def serve(talk: Talk) -> None:
        if talk.method == "GET":
            streams.set()
        elif talk.message.get("method") == "notifications/initialized":
            told.set()
            taken.wait(PATIENCE)
        good(talk)

    with Peer(serve) as peer:
        stream = stream_to(peer)
        try:
            stream.send(asked(1, "initialize"))
            assert b'"protocolVersion"' in answer(stream)
            notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            stream.send(memoryview(encode(notice)))
            assert told.wait(PATIENCE)
            stream.send(asked(2, "tools/list"))  # while the notification is on its way
            taken.set()
            assert b'"tools"' in answer(stream)
            assert streams.wait(PATIENCE)
            assert stream.breaches == ()
        finally:
            taken.set()
            stream.close()


def test_what_we_give_up_is_not_broken_by_the_server():
    called, over = threading.Event(), threading.Event()

    def serve(talk: Talk) -> None:
        if talk.is_call:
            called.set()
            over.wait(PATIENCE)
        good(talk)

    with Peer(serve) as peer:
        stream = stream_to(peer)
        try:
            stream.send(asked(1, "tools/call"))
            assert called.wait(PATIENCE)
            stream.send(asked(2, "tools/list"))
            first, second = lines(stream, 2)
            assert (json.loads(first)["id"], json.loads(second)["id"]) == (1, 2)
            assert "given up" in json.loads(first)["error"]["message"]
            assert stream.breaches == ()
        finally:
            over.set()
            stream.close()
