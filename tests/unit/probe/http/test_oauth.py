"""Who may call a server: read on its own origin, within bounds, and nowhere else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from mcp_sandbox.model import Identity, OAuthFacts, Place, Transport
from mcp_sandbox.probe.http import oauth
from support.http_peer import Mode, Peer, SocketConnection, Talk, good

IDENTITY = Identity("corpus-test", "1.0.0")
RESOURCE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"


RECORDED: list[tuple[str, bytes]] = []


def read(
    serve: Mode, *, path: str = "/mcp", seconds: float = 20.0, transport: Transport = Transport.HTTP
) -> tuple[OAuthFacts, Peer]:
    RECORDED.clear()
    with Peer(serve) as peer:
        facts = oauth.read(
            Place(transport, peer.port, path),
            SocketConnection,
            IDENTITY,
            mask=lambda text: text.replace("planted", "<masked>"),
            record=lambda *line: RECORDED.append(line),
            deadline=time.monotonic() + seconds,
        )
    return facts, peer


def locked(documents: dict[str, Any], challenge: str = "Bearer", *, opens: str = "") -> Mode:
    """Serves documents, and MCP to who brings the token ``opens``; PORT stands for its port."""

    def serve(talk: Talk) -> None:
        port = str(talk.peer.port)
        if talk.path in documents:
            talk.answer(200, json.dumps(documents[talk.path]).replace("PORT", port).encode())
        elif opens and opens in talk.headers.get("authorization", ""):
            good(talk)
        elif talk.path == "/mcp":
            talk.answer(401, WWW_Authenticate=challenge.replace("PORT", port))
        else:
            talk.answer(404)

    return serve


def targets(peer: Peer) -> list[str]:
    return [path for method, path, _, _ in peer.asked if method == "GET"]


def test_an_open_server_is_asked_for_its_documents_and_for_no_token():
    facts, peer = read(good)
    assert (facts.status, facts.locked, facts.invented) == (0, False, ())
    assert targets(peer) == [f"{RESOURCE}/mcp", RESOURCE, SERVER, oauth.OPENID]
    assert {one.problem for one in facts.resource} == {"status 405"}
    assert all("authorization" not in headers for _, _, headers, _ in peer.asked)


def test_the_challenge_leads_to_the_documents():
    facts, peer = read(
        locked(
            {
                "/here": {"resource": "x", "authorization_servers": ["http://localhost:PORT/as"]},
                f"{SERVER}/as": {"issuer": "http://localhost:PORT/as", "jwks_uri": "planted"},
            },
            'Bearer error="invalid_token", scope="a b", '
            'resource_metadata="http://localhost:PORT/here"',
        )
    )
    assert (facts.status, facts.locked, facts.scope) == (401, True, "a b")
    assert facts.metadata_url.endswith("/here")
    assert [one.path for one in facts.resource] == ["/here"]
    (server,) = facts.servers
    assert server.about == server.fields["issuer"] == f"http://localhost:{peer.port}/as"
    assert server.fields["jwks_uri"] == "<masked>"
    assert targets(peer) == ["/here", f"{SERVER}/as"]
    assert RECORDED[facts.line - 1][1].startswith(b"401\n")
    assert b'"authorization_servers"' in RECORDED[facts.resource[0].line - 1][1]
    assert [RECORDED[one.line - 1][1][:4] for one in facts.invented] == [b"401\n"] * 2


def test_another_origin_is_noted_and_never_asked():
    facts, peer = read(
        locked(
            {
                RESOURCE: {
                    "resource": "http://localhost:PORT/mcp",
                    "authorization_servers": ["https://login.example", "http://127.0.0.1:1/as"],
                },
                SERVER: {"issuer": "https://login.example", "token_endpoint": "file:///etc/passwd"},
            },
            "Bearer resource_metadata=http://192.0.2.1/metadata",
        )
    )
    assert facts.elsewhere == (
        "http://192.0.2.1/metadata",
        "https://login.example",
        "http://127.0.0.1:1/as",
        "file:///etc/passwd",
    )
    assert targets(peer) == [f"{RESOURCE}/mcp", RESOURCE, SERVER]
    assert {headers["host"] for *_, headers, _ in peer.asked} == {f"localhost:{peer.port}"}


def test_no_redirect_is_followed():
    def serve(talk: Talk) -> None:
        if talk.path == "/mcp":
            talk.answer(401)
        else:
            talk.answer(302, Location="http://169.254.169.254/latest")

    facts, peer = read(serve)
    assert "http://169.254.169.254/latest" in facts.elsewhere
    assert all("not followed" in one.problem for one in (*facts.resource, *facts.servers))
    assert len(targets(peer)) == 4


@pytest.mark.parametrize(
    ("opens", "accepted"), [("", []), ("bm9ib2R5LWl", ["random"]), ("eyJ", ["unsigned"])]
)
def test_tokens_that_nobody_issued_are_tried(opens: str, accepted: list[str]):
    facts, _ = read(locked({}, opens=opens))
    assert [one.token for one in facts.invented] == ["random", "unsigned"]
    assert [one.token for one in facts.invented if one.accepted] == accepted


def test_of_the_older_transport_the_stream_is_asked_for():
    def serve(talk: Talk) -> None:
        if talk.path == "/sse" and "authorization" in talk.headers:
            talk.begin_events()
            talk.raw(b"event: endpoint\ndata: /messages\n\n")
        else:
            talk.answer(401 if talk.path == "/sse" else 404)

    facts, peer = read(serve, path="/sse", transport=Transport.SSE)
    assert facts.status == 401
    assert [one.accepted for one in facts.invented] == [True, True]
    assert {method for method, *_ in peer.asked} == {"GET"}


@pytest.mark.parametrize(
    ("serve", "problem"),
    [
        (lambda talk: talk.answer(200, b"<html>"), "no JSON object"),
        (lambda talk: talk.answer(200, b"[" * 60_000), "no JSON object"),
        (lambda talk: talk.answer(200, b"\xff\xfe"), "no JSON object"),
        (lambda talk: talk.answer(200, b" " * 200_000), "more than 65536 bytes"),
        (lambda talk: talk.answer(200, b"{}", Content_Encoding="gzip"), "a body in an encoding"),
        (lambda talk: talk.answer(302, Location="http://[::bad"), "a redirect to"),
        (lambda talk: talk.raw(b"220 mail.example ESMTP\r\n"), "no HTTP/1.1"),
        (lambda talk: talk.sock.shutdown(2), "ended"),
    ],
)
def test_what_is_no_document_is_told(serve: Mode, problem: str):
    facts, _ = read(serve)
    assert problem in facts.resource[0].problem
    assert not facts.locked


def test_what_is_kept_is_bounded():
    facts, _ = read(
        locked(
            {
                RESOURCE: {
                    "resource": "r" * 10_000,
                    "authorization_servers": [f"https://{n}.example" for n in range(200)],
                    "scopes_supported": {"not": "a list"},
                    "private": "x",
                }
            },
            'Bearer realm="' + "y" * 10_000 + '"',
        )
    )
    fields = facts.resource[-1].fields
    assert len(facts.challenge) == oauth.MAX_CHALLENGE
    assert len(fields["resource"]) == oauth.MAX_TEXT
    assert len(fields["authorization_servers"]) == oauth.MAX_ITEMS
    assert fields["scopes_supported"] == "(dict)"
    assert "private" not in fields
    assert len(facts.elsewhere) == oauth.MAX_ELSEWHERE


def test_one_that_never_answers_costs_bounded_time():
    def serve(talk: Talk) -> None:
        while talk.sock.recv(100):
            pass

    facts, peer = read(serve, seconds=0.5)
    assert {one.problem for one in (*facts.resource, *facts.servers)} <= {
        "no answer in time",
        "there was no time to ask",
        "timed out",
    }
    assert peer.connections == 1
