"""What a peer calls a URL: whatever it is, nobody falls over it."""

from __future__ import annotations

import time

import pytest

from mcp_sandbox.model import Era, Identity, Place, SessionEnd, Transport
from mcp_sandbox.probe.http import questions
from mcp_sandbox.probe.http.stranger import Stranger
from mcp_sandbox.probe.http.urls import MAX_URL, split
from support.http_peer import Mode, Peer, SocketConnection, Talk, held
from unit.probe.http.test_hostile_http import hold

NONE = ["http://[", "http://h:99999/", "http://h:port/", "//[::bad"]


@pytest.mark.parametrize("url", NONE)
def test_what_is_no_url_has_no_parts(url: str):
    assert split(url) is None


def test_a_url_is_cut():
    parts = split("http://h/" + "x" * 10_000)
    assert parts is not None
    assert len(parts.path) < MAX_URL


def pointing(endpoint: str) -> Mode:
    """The older transport, with that endpoint."""

    def serve(talk: Talk) -> None:
        if talk.method != "GET" or talk.path != "/sse":
            talk.answer(404)
            return
        talk.begin_events()
        talk.raw(
            b"event: endpoint\ndata: " + endpoint.replace("PORT", str(talk.peer.port)).encode()
        )
        talk.raw(b"\n\n")
        held(talk)

    return serve


@pytest.mark.parametrize("endpoint", [*NONE, "http://localhost:PORT//[x", "\x00", "?", "/a b"])
def test_an_endpoint_that_is_no_url_ends_the_conversation_and_nothing_else(endpoint: str):
    with Peer(pointing(endpoint)) as peer:
        transcript, _ = hold(peer, Transport.SSE, "/sse", start_timeout=0.5, call_timeout=0.5)
        checks = questions.ask_all(
            Stranger(Place(Transport.SSE, peer.port, "/sse"), Era.HANDSHAKE, Identity("test", "1")),
            SocketConnection,
            until=time.monotonic() + 2,
            mask=lambda text: text,
            record=lambda *_: None,
        )
    assert transcript.end in {SessionEnd.REFUSED, SessionEnd.NEVER_ANSWERED}
    assert checks.answers
