"""What a refusal over HTTP says of the version, and what its body is taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mcp_sandbox.model import BreachKind, Era, Identity, Place, SessionEnd, Transcript, Transport
from mcp_sandbox.probe.http.stream import HttpStream
from mcp_sandbox.probe.inputs import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import run
from support.http_peer import Peer, SocketConnection, Talk

IDENTITY = Identity("refused", "1")


def hold(serve: Callable[[Talk], None], era: Era) -> tuple[Transcript, list[str]]:
    """One session; also the methods that the peer was asked for."""
    with Peer(serve) as peer:
        stream = HttpStream(
            Place(Transport.HTTP, peer.port, "/mcp"),
            SocketConnection,
            era=era,
            agent="refused/1",
            call_timeout=10,
        )
        plan = Plan(role="main", era=era, identity=IDENTITY, targets=Targets(seed=1))
        try:
            held = run(stream, plan, find=lambda _: (), mask=str, record=lambda *_: None)
        finally:
            stream.close()
        methods = [json.loads(body)["method"] for _, _, _, body in peer.asked if body]
    return held, methods


def refusing(data: Any, times: int) -> Callable[[Talk], None]:
    """Refuses the version of the first requests, then answers."""
    left = [times]

    def serve(talk: Talk) -> None:
        asked = talk.message
        if left[0]:
            left[0] -= 1
            error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
            body = {"jsonrpc": "2.0", "id": asked["id"], "error": error}
            talk.answer(400, json.dumps(body).encode(), Content_Type="application/json")
        elif asked["method"] == "server/discover":
            found = {"resultType": "complete", "supportedVersions": ["2026-07-28"]}
            talk.json({"jsonrpc": "2.0", "id": asked["id"], "result": found})
        else:
            talk.json({"jsonrpc": "2.0", "id": asked["id"], "result": {"resultType": "complete"}})

    return serve


def test_a_version_that_the_refusal_names_is_asked_for_once_more():
    held, methods = hold(refusing({"supported": ["2026-07-28"]}, 1), Era.STATELESS)
    assert held.version == "2026-07-28"
    assert methods[:3] == ["server/discover", "server/discover", "tools/list"]


@pytest.mark.parametrize(
    "data",
    [None, [], {"supported": ["1999-12-31"]}, {"supported": "2026-07-28"}, {"supported": None}],
)
def test_another_refusal_is_the_end(data: Any):
    held, methods = hold(refusing(data, 1), Era.STATELESS)
    assert (held.end, methods) == (SessionEnd.REFUSED, ["server/discover"])
    assert "-32022" in held.end_detail


def test_it_is_asked_for_once_more_and_no_more():
    held, methods = hold(refusing({"supported": ["2026-07-28"]}, 9), Era.STATELESS)
    assert (held.end, methods) == (SessionEnd.REFUSED, ["server/discover"] * 2)


def naming(versions: Any) -> Callable[[Talk], None]:
    """Tells of itself, and of these versions."""

    def serve(talk: Talk) -> None:
        found = {"resultType": "complete", "supportedVersions": versions}
        talk.json({"jsonrpc": "2.0", "id": talk.message["id"], "result": found})

    return serve


def test_a_server_of_the_handshake_era_alone_may_say_so():
    held, _ = hold(naming(["2025-11-25", "2025-06-18"]), Era.STATELESS)
    assert (held.end, held.version, held.breaches) == (SessionEnd.REFUSED, "", ())
    assert held.end_detail == "the server names versions of the handshake era alone"


@pytest.mark.parametrize("versions", [[], ["1999-12-31"], ["2025-11-25", 7], "2025-11-25", None])
def test_versions_that_do_not_exist_are_a_breach(versions: Any):
    held, _ = hold(naming(versions), Era.STATELESS)
    assert [one.kind for one in held.breaches] == [BreachKind.UNKNOWN_VERSION]


def test_the_body_of_a_refusal_is_no_message():
    """An error of OAuth is JSON, and not the protocol's."""

    def refuse(talk: Talk) -> None:
        body = b'{"error": "invalid_token", "error_description": "Missing Authorization header"}'
        talk.answer(401, body, Content_Type="application/json")

    held, _ = hold(refuse, Era.HANDSHAKE)
    assert held.end is SessionEnd.REFUSED
    assert "status 401" in held.end_detail
    assert "Missing Authorization header" in held.end_detail
    assert held.breaches == ()
