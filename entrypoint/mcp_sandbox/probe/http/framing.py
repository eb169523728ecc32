"""Requests whose end can be read in two ways, and how many answers come to each.

Two servers in a row that disagree on where a request ends let one client put a request before
another's (RFC 9112, section 11.2). One server alone shows its half of it: it answers twice what was
sent as one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import h11

from mcp_sandbox.model import Connection, Place
from mcp_sandbox.model.http import HttpQuestion
from mcp_sandbox.probe.http.exchange import MAX_HEADERS

QUIET = 1.5
"""Seconds without a byte after the first answer, until no other one is waited for."""
MAX_READ = 256 * 2**10
ENOUGH = 2


def ambiguous(place: Place, method: str) -> Iterator[tuple[HttpQuestion, bytes]]:
    """Each question as bytes; what may be taken for a second request asks for nothing."""
    host = f"{place.host}:{place.port}"
    second = f"GET /second-request HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def made(body: bytes, *framing: str) -> bytes:
        lines = [
            f"{method} {place.path} HTTP/1.1",
            f"Host: {host}",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            *(one.format(len(body)) for one in framing),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    chunked = "Transfer-Encoding: chunked"
    yield (
        HttpQuestion.BOTH_LENGTHS,
        made(b"0\r\n\r\n" + second, "Content-Length: {}", chunked),
    )
    yield (
        HttpQuestion.TWO_LENGTHS,
        made(b"{}" + second, "Content-Length: 2", "Content-Length: {}"),
    )
    yield HttpQuestion.BARE_LINE_FEED, made(b"2\n{}\n0\n\n" + second, chunked)
    yield HttpQuestion.OVERSIZED_CHUNK, made(b"10000000000000000\r\n\r\n" + second, chunked)


def statuses(connection: Connection, until: float) -> tuple[int, ...]:
    """The statuses of the answers that come, two at most. Bytes that are no HTTP end them."""
    found: list[int] = []
    state, waiting, read = _fresh(), True, 0
    while waiting and len(found) < ENOUGH and read < MAX_READ:
        try:
            data = connection.recv(min(until, time.monotonic() + QUIET) if found else until)
        except (TimeoutError, ConnectionError):
            break
        read += len(data)
        waiting = bool(data)
        try:
            state.receive_data(data)
            state = _taken(state, found)
        except h11.RemoteProtocolError:
            break
    return tuple(found[:ENOUGH])


def _taken(state: h11.Connection, found: list[int]) -> h11.Connection:
    """Note each answer that has begun; the state for what comes next."""
    while len(found) < ENOUGH:
        event = state.next_event()
        if isinstance(event, h11.Response):
            found.append(event.status_code)
        elif isinstance(event, h11.EndOfMessage):
            rest = state.trailing_data[0]
            state = _fresh()
            if rest:
                state.receive_data(rest)
        elif not isinstance(event, h11.InformationalResponse | h11.Data):
            return state
    return state


def _fresh() -> h11.Connection:
    """A client that has just sent a request."""
    state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)
    state.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
    state.send(h11.EndOfMessage())
    return state
