"""Where a server speaks MCP over HTTP, found by asking."""

from __future__ import annotations

import json
import time

import pytest

from mcp_sandbox.model import Identity, Listener, Place, Transport
from mcp_sandbox.probe.http.detect import HOSTS, MAX_PLACES, PATHS, Found, look, paths_in
from mcp_sandbox.probe.http.exchange import Headers
from support.http_peer import MODES, Gone, Mode, Peer, SocketConnection, Talk, good

IDENTITY = Identity("corpus-test", "1.0.0")


def at(path: str, serve: Mode = good) -> Mode:
    """Only there; 404 elsewhere."""

    def only(talk: Talk) -> None:
        serve(talk) if talk.path == path else talk.answer(404, b"Not Found")

    return only


def older(talk: Talk) -> None:
    """The transport of 2024-11-05, at ``/sse``."""
    if (talk.method, talk.path) != ("GET", "/sse"):
        talk.answer(404)
        return
    talk.begin_events()
    talk.raw(b"event: endpoint\ndata: /messages?session=1\n\n")
    while talk.sock.recv(100):
        pass
    raise Gone


def stateless(talk: Talk) -> None:
    """A server of 2026-07-28 alone."""
    if talk.message.get("method") == "server/discover" and talk.headers.get("mcp-method"):
        talk.json({"jsonrpc": "2.0", "id": talk.message["id"], "result": {}})
    else:
        error = {"code": -32601, "message": "Method not found"}
        talk.json({"jsonrpc": "2.0", "id": talk.message.get("id"), "error": error})


def found(
    serve: Mode,
    *,
    wanted: Transport = Transport.AUTO,
    printed: bytes = b"",
    seconds: float = 20.0,
    headers: Headers = (),
    hint: tuple[int | None, str] = (None, ""),
) -> tuple[Found, Peer]:
    with Peer(serve) as peer:
        listeners = [Listener("inet", "127.0.0.1", peer.port)]
        deadline = time.monotonic() + seconds
        answer = look(
            listeners,
            SocketConnection,
            IDENTITY,
            wanted=wanted,
            printed=printed,
            deadline=deadline,
            headers=headers,
            hint=hint,
        )
    return answer, peer


@pytest.mark.parametrize(
    ("serve", "transport", "path"),
    [
        (good, Transport.HTTP, "/mcp"),
        (at("/"), Transport.HTTP, "/"),
        (at("/api/mcp"), Transport.HTTP, "/api/mcp"),
        (older, Transport.SSE, "/sse"),
        (stateless, Transport.HTTP, "/mcp"),
    ],
)
def test_the_place_is_found(serve: Mode, transport: Transport, path: str):
    answer, peer = found(serve)
    assert answer.place == Place(transport, peer.port, path)


def test_a_path_that_was_printed_is_tried_first():
    printed = (
        b"INFO Listening on http://0.0.0.0:8080/odd/place\nINFO see https://example.com/docs\n"
    )
    answer, peer = found(at("/odd/place"), printed=printed)
    assert answer.place == Place(Transport.HTTP, peer.port, "/odd/place")
    assert len(answer.asked) == 1
    assert paths_in(printed) == ("/odd/place", "/docs")


def test_a_path_that_a_file_names_is_tried_before_all_others():
    answer, peer = found(at("/told"), printed=b"at /said/mcp", hint=(None, "/told"))
    assert answer.place == Place(Transport.HTTP, peer.port, "/told")
    assert len(answer.asked) == 1


def test_a_port_that_a_file_names_is_asked_before_all_others():
    with Peer(good) as one, Peer(good) as other:
        for hinted in (one.port, other.port):
            answer = look(
                [Listener("inet", "127.0.0.1", each.port) for each in (one, other)],
                SocketConnection,
                IDENTITY,
                wanted=Transport.AUTO,
                printed=b"",
                deadline=time.monotonic() + 20,
                hint=(hinted, ""),
            )
            assert answer.place == Place(Transport.HTTP, hinted, PATHS[0])


def test_a_redirect_on_the_same_origin_is_another_place_to_try():
    def moved(talk: Talk) -> None:
        if talk.path == "/mcp":
            talk.answer(307, Location="/moved/mcp/")
        else:
            at("/moved/mcp/")(talk)

    answer, peer = found(moved)
    assert answer.place == Place(Transport.HTTP, peer.port, "/moved/mcp/")


def test_a_redirect_to_another_host_is_not():
    answer, peer = found(lambda talk: talk.answer(307, Location="http://192.0.2.1/mcp"))
    assert answer.place is None
    assert all(path in {"/mcp", "/sse", "/"} or path for _, path, _, _ in peer.asked)
    assert {headers["host"].partition(":")[0] for _, _, headers, _ in peer.asked} <= set(HOSTS)


def test_a_server_that_checks_host_is_asked_as_it_likes():
    def picky(talk: Talk) -> None:
        if talk.headers["host"].startswith("localhost"):
            talk.answer(421, b"Invalid Host header")
        else:
            good(talk)

    answer, peer = found(picky)
    assert answer.place == Place(Transport.HTTP, peer.port, "/mcp", "127.0.0.1")


def test_one_that_wants_to_know_who_asks_is_named():
    answer, _ = found(lambda talk: talk.answer(401, WWW_Authenticate='Bearer realm="mcp"'))
    assert answer.place is None
    assert 'status 401, Bearer realm="mcp"' in answer.why
    assert answer.locked is not None
    assert answer.locked.path == "/mcp"


def test_one_that_is_given_what_it_wants_is_found():
    def serve(talk: Talk) -> None:
        good(talk) if talk.headers.get("authorization") == "Bearer t" else talk.answer(401)

    own = (("Authorization", "Bearer t"),)
    assert found(serve)[0].locked is not None
    answer, peer = found(serve, headers=own)
    assert (answer.place, answer.locked) == (Place(Transport.HTTP, peer.port, "/mcp"), None)


@pytest.mark.parametrize("location", ["http://[::bad", "http://h:99999/x", "//", "\x00", "mcp"])
def test_a_redirect_that_is_no_url_leads_nowhere(location: str):
    answer, peer = found(
        lambda talk: talk.raw(
            b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: " + location.encode() + b"\r\n\r\n"
        )
    )
    assert answer.place is None
    assert {path for _, path, _, _ in peer.asked} <= set(PATHS)


@pytest.mark.parametrize(
    "serve",
    [
        lambda talk: talk.answer(200, b"<html>hello</html>", Content_Type="text/html"),
        lambda talk: talk.answer(404),
        lambda talk: talk.json({"jsonrpc": "1.0", "result": {}}),
        lambda talk: talk.json([1, 2]),
        lambda talk: talk.answer(200, b"[" * 100_000, Content_Type="application/json"),
    ],
)
def test_a_plain_web_server_is_none(serve: Mode):
    answer, peer = found(serve)
    assert answer.place is None
    assert len({path for _, path, _, _ in peer.asked}) <= MAX_PLACES


def test_another_protocol_is_left_at_once():
    answer, peer = found(lambda talk: talk.raw(b"220 mail.example ESMTP\r\n"))
    assert answer.place is None
    assert peer.connections == 1


@pytest.mark.parametrize("wanted", [Transport.HTTP, Transport.SSE])
def test_only_what_is_wanted_counts(wanted: Transport):
    other = older if wanted is Transport.HTTP else good
    answer, _ = found(other, wanted=wanted)
    assert answer.place is None


@pytest.mark.parametrize(
    "name", ["endless-headers", "endless-body", "endless-comments", "never-answers"]
)
def test_a_hostile_one_costs_bounded_time(name: str):
    def serve(talk: Talk) -> None:
        talk.body = json.dumps({"method": "tools/call", "id": 1}).encode()
        MODES[name](talk)

    answer, _ = found(serve, seconds=1.0)
    assert answer.place is None
    assert answer.why


def test_what_is_printed_is_bounded():
    assert len(paths_in(b"http://h:1/a/mcp " * 100_000)) == 1
    many = b" ".join(b"http://h/%d" % number for number in range(1000))
    assert len(paths_in(many)) == 8
