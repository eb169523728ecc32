"""Whatever a peer does over HTTP, the session ends with an outcome that has a name."""

from __future__ import annotations

import resource
import zlib
from collections import Counter
from dataclasses import dataclass, field

import pytest

from mcp_sandbox.model import (
    BreachKind,
    CallStatus,
    Era,
    Identity,
    Place,
    SessionEnd,
    Transcript,
    Transport,
)
from mcp_sandbox.probe.http.stream import OURS, HttpStream
from mcp_sandbox.probe.inputs import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import run
from support.http_abuse import GROWN, half_a_megabyte
from support.http_peer import MODES, SESSION, Peer, SocketConnection

B = BreachKind
IDENTITY = Identity("corpus-test", "1.0.0")
CALLS = 6
MEMORY_MIB = 96


@dataclass(frozen=True)
class Expect:
    """What has to come of a mode."""

    status: CallStatus = CallStatus.RPC_ERROR
    says: str = ""
    """What our error tells."""
    breach: BreachKind | None = None
    end: SessionEnd = SessionEnd.COMPLETED
    quick: dict[str, float] = field(default_factory=dict)
    """Of the plan, where waiting is the outcome."""


WAITS = {"call_timeout": 0.4}
EXPECT: dict[str, Expect] = {
    "good": Expect(CallStatus.RESULT),
    "never-answers": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "one-byte-at-a-time": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "endless-headers": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "one-long-header": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "endless-body": Expect(says="bytes", breach=B.OVERSIZED_LINE),
    "endless-events": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "endless-comments": Expect(says="bytes", breach=B.OVERSIZED_LINE),
    "endless-data-lines": Expect(says="lines", breach=B.HTTP_BROKEN),
    "one-long-event": Expect(says="bytes", breach=B.OVERSIZED_LINE),
    "inflates": Expect(says="gzip, which was not asked for", breach=B.ENCODED_BODY),
    "chunked-nonsense": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "too-short": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "two-lengths": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "negative-length": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "redirects-to-metadata": Expect(says="status 307", breach=B.REDIRECTED),
    "redirects-to-itself": Expect(says="status 308", breach=B.REDIRECTED),
    "two-answers": Expect(CallStatus.RESULT),
    "another-id": Expect(says="status 200", breach=B.EARLY_RESPONSE),
    "another-session": Expect(CallStatus.RESULT),
    "looping-ids": Expect(says="could not be resumed"),
    "resumes-for-ever": Expect(says="ended without an answer"),
    "closes-at-once": Expect(says="ended before an answer", breach=B.HTTP_BROKEN),
    "closes-in-the-status": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "closes-in-the-headers": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "closes-in-the-body": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "closes-in-an-event": Expect(says="ended without an answer"),
    "resets": Expect(says="broke", breach=B.HTTP_BROKEN),
    "old-version": Expect(CallStatus.RESULT),
    "no-http-at-all": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "continues-for-ever": Expect(says="interim answers", breach=B.HTTP_BROKEN),
    "cookies": Expect(CallStatus.RESULT),
    "upgrades": Expect(says="HTTP:", breach=B.HTTP_BROKEN),
    "tls-on-a-plain-port": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "invalid-utf8-in-events": Expect(CallStatus.RESULT, breach=B.INVALID_UTF8),
    "unknown-events": Expect(CallStatus.RESULT, breach=B.UNKNOWN_EVENT),
    "another-type": Expect(says="status 200", breach=B.CONTENT_TYPE),
    "forgets-the-session": Expect(says="status 404: Session not found"),
    "says-no": Expect(says="status 401"),
    "breaks-inside": Expect(says="status 500: Traceback"),
    "pretty-printed": Expect(CallStatus.RESULT),
    "answers-nothing": Expect(says="status 202"),
    "grows-without-end": Expect(says="gzip, which was not asked for", breach=B.ENCODED_BODY),
    "grows-unannounced": Expect(says="status 200", breach=B.NOT_JSON),
    "grows-by-transfer": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "ten-thousand-sessions": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "a-session-an-answer": Expect(CallStatus.RESULT),
    "wild-session-id": Expect(CallStatus.RESULT),
    "floods-the-stream-beside": Expect(CallStatus.RESULT),
    "answers-for-others": Expect(CallStatus.RESULT, breach=B.EARLY_RESPONSE),
    "endless-trailers": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "endless-chunk-header": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
    "one-byte-chunks": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "slow-headers": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "promises-an-exabyte": Expect(CallStatus.TIMEOUT, end=SessionEnd.UNRESPONSIVE, quick=WAITS),
    "wild-event-ids": Expect(says="could not be resumed"),
    "a-status-of-its-own": Expect(says="status 999: no"),
    "nothing-with-a-body": Expect(says="status 204"),
    "speaks-another-version": Expect(says="no HTTP/1.1", breach=B.HTTP_BROKEN),
}


def hold(
    peer: Peer, transport: Transport, path: str, **quick: float
) -> tuple[Transcript, HttpStream]:
    settings = {"start_timeout": 20.0, "call_timeout": 20.0, "session_timeout": 40.0} | quick
    stream = HttpStream(
        Place(transport, peer.port, path),
        SocketConnection,
        era=Era.HANDSHAKE,
        agent="corpus-test/1.0.0",
        call_timeout=settings["call_timeout"],
    )
    plan = Plan(
        role="main",
        era=Era.HANDSHAKE,
        identity=IDENTITY,
        targets=Targets(seed=1),
        max_calls=CALLS,
        **settings,
    )
    try:
        transcript = run(
            stream, plan, find=lambda _: (), mask=lambda text: text, record=lambda *_: None
        )
        stream.close_write()
    finally:
        stream.close()
    return transcript, stream


@pytest.mark.parametrize("name", sorted(EXPECT))
def test_every_outcome_has_a_name(name: str):
    expect = EXPECT[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Peer(MODES[name]) as peer:
        transcript, stream = hold(peer, Transport.HTTP, "/mcp", **expect.quick)
    assert transcript.end is expect.end, transcript.end_detail
    calls = transcript.calls
    assert calls
    assert calls[0].status is expect.status, calls[0]
    if expect.says:
        assert str(OURS) in calls[0].reply
        assert expect.says in calls[0].reply
    breaches = {one.kind for one in (*transcript.breaches, *stream.breaches)}
    assert expect.breach is None or expect.breach in breaches, breaches
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEMORY_MIB


def test_every_mode_is_expected():
    assert set(MODES) - {"endpoint-elsewhere"} == set(EXPECT)


def test_half_a_megabyte_is_what_it_says():
    packed = half_a_megabyte()
    assert len(packed) < 2**19 + 2**14
    inflate = zlib.decompressobj(31)
    grown = len(inflate.decompress(packed, 2**25))
    read = len(packed) - len(inflate.unconsumed_tail)
    assert grown / read > GROWN / 2**20 * 1.9


def test_the_session_is_the_one_that_the_opening_gave():
    with Peer(MODES["a-session-an-answer"]) as peer:
        hold(peer, Transport.HTTP, "/mcp")
    given = {headers.get("mcp-session-id", "") for *_, headers, _ in peer.asked}
    assert len(given) == 2  # none before it was given, one after
    assert peer.connections <= 3


def test_an_endpoint_on_another_host_is_told_and_not_gone_to():
    with Peer(MODES["endpoint-elsewhere"]) as peer:
        transcript, stream = hold(peer, Transport.SSE, "/sse", start_timeout=0.5, call_timeout=0.5)
    assert transcript.end is SessionEnd.REFUSED
    assert "on another origin" in transcript.end_detail
    assert [one.kind for one in stream.breaches] == [B.FOREIGN_ENDPOINT]
    assert Counter(method for method, *_ in peer.asked) == {"GET": 1}


def test_what_is_sent_is_what_the_protocol_asks_for():
    with Peer(MODES["good"]) as peer:
        transcript, stream = hold(peer, Transport.HTTP, "/mcp")
    assert transcript.version == "2025-11-25"
    opening, initialized, *rest = [
        headers for method, _, headers, _ in peer.asked if method == "POST"
    ]
    assert "mcp-session-id" not in opening
    assert "mcp-protocol-version" not in opening
    for headers in (initialized, *rest):
        assert headers["mcp-session-id"] == SESSION
        assert headers["mcp-protocol-version"] == "2025-11-25"
    for headers in (opening, initialized, *rest):
        assert headers["accept-encoding"] == "identity"
        assert headers["accept"] == "application/json, text/event-stream"
        assert headers["content-type"] == "application/json"
        assert "cookie" not in headers
    methods = Counter(method for method, *_ in peer.asked)
    assert (methods["GET"], methods["DELETE"]) == (1, 1)
    assert stream.facts.session == SESSION
    assert stream.facts.statuses["200"] == len(rest) + 1


def test_a_connection_is_used_again():
    with Peer(MODES["good"]) as peer:
        hold(peer, Transport.HTTP, "/mcp")
    posts = sum(method == "POST" for method, *_ in peer.asked)
    assert posts > CALLS
    assert peer.connections <= 3  # the calls', the stream's, and that of the session's end


def test_no_redirect_is_followed():
    with Peer(MODES["redirects-to-itself"]) as peer:
        hold(peer, Transport.HTTP, "/mcp")
    calls = [body for method, _, _, body in peer.asked if b"tools/call" in body]
    assert len(calls) == CALLS
