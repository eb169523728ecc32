"""What only HTTP can be asked is asked, of servers that take it and of servers that refuse it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_sandbox.model import Era, HttpChecks, Identity, Observations, Place, RiskClass, Transport
from mcp_sandbox.model.http import HttpAnswer, HttpQuestion
from mcp_sandbox.probe.http.questions import ask_all
from mcp_sandbox.probe.http.stranger import Stranger
from mcp_sandbox.rules import evaluate
from support.corpus import SERVERS, python
from support.http_peer import Gone, Peer, SocketConnection, Talk
from support.observed import observed

Q = HttpQuestion
PATIENCE = 30.0
"""Seconds; only a broken test waits this long."""


def ask(
    port: int,
    *,
    path: str = "/mcp",
    transport: Transport = Transport.HTTP,
    seconds: float = PATIENCE,
    own: tuple[tuple[str, str], ...] = (),
    lines: list[tuple[str, bytes]] | None = None,
) -> HttpChecks:
    place = Place(transport, port, path)
    return ask_all(
        Stranger(place, Era.HANDSHAKE, Identity("a host", "1.0"), own),
        SocketConnection,
        until=time.monotonic() + seconds,
        mask=lambda text: text.replace("SECRET", "<planted>"),
        record=lambda direction, data: None if lines is None else lines.append((direction, data)),
    )


def of(checks: HttpChecks, question: Q) -> HttpAnswer:
    return next(one for one in checks.answers if one.question is question)


@contextlib.contextmanager
def served(mode: str) -> Iterator[int]:
    """A server of the corpus, on a port of its own."""
    script: Path = SERVERS / "http" / "server.py"
    with subprocess.Popen(python(script, mode, "0"), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield int(process.stderr.readline().rsplit(" ", 1)[1])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def all_checks() -> dict[str, HttpChecks]:
    found = {}
    for name in ("careful", "careless", "shared"):
        with served(name) as port:
            found[name] = ask(port)
    return found


def judged(checks: HttpChecks) -> Observations:
    return observed(http=(checks,))


def rules(checks: HttpChecks) -> dict[str, RiskClass]:
    """The worst class that each rule on HTTP gives."""
    found: dict[str, RiskClass] = {}
    for one in evaluate(judged(checks)):
        if one.rule.startswith("http-"):
            found.setdefault(one.rule, one.class_)
    return found


@pytest.mark.parametrize("question", [one for one in Q if one is not Q.STATELESS])
def test_every_question_is_asked_of_both(question: Q, all_checks: dict[str, HttpChecks]):
    careful, careless = (of(all_checks[mode], question) for mode in ("careful", "careless"))
    assert careful.request
    assert (careful.status, careful.result, careful.answers) != (
        careless.status,
        careless.result,
        careless.answers,
    ) or question in {Q.ORDINARY, Q.SESSION, Q.END}


def test_nothing_is_said_of_a_careful_server(all_checks: dict[str, HttpChecks]):
    assert rules(all_checks["careful"]) == {}
    assert all_checks["careful"].unasked == ()


H, M = RiskClass.HIGH, RiskClass.MEDIUM


def test_all_is_said_of_a_careless_one(all_checks: dict[str, HttpChecks]):
    assert rules(all_checks["careless"]) == {
        "http-clients-mixed": H,
        "http-cors": H,
        "http-cross-site-request": H,
        "http-dns-rebinding": H,
        "http-header-mismatch": M,
        "http-method": M,
        "http-redirect": M,
        "http-request-smuggling": M,
        "http-session-fixation": M,
        "http-session-predictable": H,
        "http-session-survives": M,
        "http-session-unchecked": M,
        "http-version-ignored": RiskClass.NOTE,
    }


def test_one_session_for_all_is_told(all_checks: dict[str, HttpChecks]):
    found = rules(all_checks["shared"])
    assert found["http-session-shared"] is H
    assert "http-session-predictable" not in found
    assert "http-session-fixation" not in found


def test_smuggling_is_told_of_each_way(all_checks: dict[str, HttpChecks]):
    told = [
        one
        for one in evaluate(judged(all_checks["careless"]))
        if one.rule == "http-request-smuggling"
    ]
    assert len(told) == 4
    assert len({one.fingerprint for one in told}) == 4


def test_answers_name_their_line_of_the_evidence():
    lines: list[tuple[str, bytes]] = []
    with served("careful") as port:
        checks = ask(port, lines=lines)
    for one in checks.answers:
        direction, data = lines[one.line - 1]
        assert direction == "in"
        assert data.startswith(str(one.status).encode())


def test_what_pages_ask_carries_none_of_the_users_headers():
    with Peer(_echo) as peer:
        ask(peer.port, own=(("Authorization", "Bearer ours"),))
    foreign = [headers for _, _, headers, _ in peer.asked if "origin" in headers]
    assert foreign
    assert all("authorization" not in headers for headers in foreign)
    assert any("authorization" in headers for _, _, headers, _ in peer.asked)


def _echo(talk: Talk) -> None:
    if talk.method == "POST" and b'"initialize"' in talk.body:
        talk.json(talk.result, Mcp_Session_Id="abc")
    else:
        talk.answer(404)


# --- the older transport --------------------------------------------------------------------------


def older(*, careful: bool) -> Peer:
    """Streams with endpoints, one after another or random."""
    streams: dict[str, Talk] = {}
    random = iter(("a3f1c2d4e5b60718", "77b0c9d8e1f2a3b4", "0c1d2e3f4a5b6c7d"))

    def serve(talk: Talk) -> None:
        site = talk.headers.get("origin") or talk.headers["host"].startswith("attacker")
        if careful and site:
            talk.answer(403)
        elif talk.method == "GET" and talk.path == "/sse":
            number = str(len(streams) + 1)
            streams[number if not careful else next(random, number * 16)] = talk
            talk.begin_events()
            id_ = [*streams][-1]
            talk.raw(f"event: endpoint\ndata: /messages?session_id={id_}\n\n".encode())
            with contextlib.suppress(OSError):
                talk.sock.recv(1)
            raise Gone
        elif talk.method == "POST":
            own = streams.get(talk.path.rpartition("=")[2])
            if own is None:
                talk.answer(404 if careful else 202)
                return
            talk.answer(202)
            for one in [own] if careful else list(streams.values()):
                with contextlib.suppress(Gone):
                    one.raw(b"data: " + json.dumps(talk.result).encode() + b"\n\n")
        else:
            talk.answer(405)

    return Peer(serve)


def test_the_older_transport_is_asked_too():
    with older(careful=False) as peer:
        checks = ask(peer.port, path="/sse", transport=Transport.SSE)
    found = rules(checks)
    assert found["http-dns-rebinding"] is H
    assert found["http-session-predictable"] is H
    assert found["http-clients-mixed"] is H
    assert found["http-cross-site-request"] is M
    assert found["http-session-unchecked"] is M


def test_a_careful_server_of_the_older_transport():
    with older(careful=True) as peer:
        checks = ask(peer.port, path="/sse", transport=Transport.SSE)
    assert of(checks, Q.SESSION).result
    assert set(rules(checks)) <= {"http-session-predictable"}  # its ids are short


# --- hostile peers --------------------------------------------------------------------------------


def never(talk: Talk) -> None:
    with contextlib.suppress(OSError):
        while talk.sock.recv(65536):
            pass
    raise Gone


def endless_body(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(100_000):
        talk.raw(b" " * 4096)


def endless_events(talk: Talk) -> None:
    talk.begin_events()
    for number in range(1_000_000):
        talk.raw(b"event: endpoint\ndata: /x?s=%d\n\ndata: {}\n\n" % number)


def no_http(talk: Talk) -> None:
    talk.raw(b"SSH-2.0-OpenSSH_9.9\r\n")
    raise Gone


def odd_answers(talk: Talk) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": [], "result": {"tools": [7, {"inputSchema": {}}]}})
    talk.answer(
        200,
        body.encode(),
        Content_Type="application/json",
        Mcp_Session_Id="\xff" * 3000,
        Location="http://[",
    )


def secret(talk: Talk) -> None:
    talk.answer(500, b"the SECRET", Location="/SECRET")


@pytest.mark.parametrize("transport", [Transport.HTTP, Transport.SSE])
@pytest.mark.parametrize(
    "serve",
    [never, endless_body, endless_events, no_http, odd_answers],
    ids=lambda one: one.__name__,
)
def test_a_hostile_peer_ends_in_its_deadline(serve, transport: Transport):
    with Peer(serve) as peer:
        checks = ask(peer.port, transport=transport, seconds=0.7)
    assert checks.answers[0].question is Q.ORDINARY
    assert checks.unasked or serve is not never
    assert all(len(one.text) <= 300 and len(one.request) <= 500 for one in checks.answers)
    evaluate(judged(checks))


def test_who_is_not_there_gives_no_answer():
    with Peer(never) as peer:
        port = peer.port
    checks = ask(port)
    assert {one.status for one in checks.answers} == {0}
    assert rules(checks) == {}


def test_planted_secrets_are_masked():
    lines: list[tuple[str, bytes]] = []
    with Peer(secret) as peer:
        checks = ask(peer.port, lines=lines)
    assert "SECRET" not in repr(checks)
    assert of(checks, Q.ORDINARY).text == "the <planted>"


def test_what_was_asked_reads_the_same_in_every_run():
    """The session that a server gave is no part of a report that two runs share."""
    found = []
    for _ in range(2):
        with served("careful") as port:
            found.append([one.request.replace(str(port), "PORT") for one in ask(port).answers])
    assert found[0] == found[1]
    assert any("Mcp-Session-Id: …" in one for one in found[0])
    assert any("Mcp-Session-Id: 00000000" in one for one in found[0])
