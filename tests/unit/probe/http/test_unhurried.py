"""A notification that the server takes its time to accept is not given up for the next request."""

from __future__ import annotations

import select
import threading

from mcp_sandbox.model import Era, Place, Transport
from mcp_sandbox.probe.http.stream import HttpStream
from mcp_sandbox.probe.wire import encode
from support.http_peer import Peer, SocketConnection, Talk, good

PATIENCE = 20.0


def asked(id_: int, method: str) -> memoryview:
    return memoryview(encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": {}}))


def answer(stream: HttpStream) -> bytes:
    assert select.select([stream.fileno()], [], [], PATIENCE)[0]
    return stream.recv() or b""


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
        stream = HttpStream(
            Place(Transport.HTTP, peer.port, "/mcp"),
            SocketConnection,
            era=Era.HANDSHAKE,
            agent="unhurried/1",
            call_timeout=PATIENCE,
        )
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
