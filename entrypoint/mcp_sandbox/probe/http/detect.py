"""Finds out where a server speaks MCP over HTTP: asks, and believes only an answer in MCP.

The places come from a short list, from what the server printed, and from redirects (each a place to
try, on the same origin; none is followed). Every question has a deadline, and so has the whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mcp_sandbox.model import Dial, Era, Identity, Listener, Place, Transport
from mcp_sandbox.probe.eras import opening_request
from mcp_sandbox.probe.http.events import TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Head, Headers, Request
from mcp_sandbox.probe.http.reading import endpoint, message
from mcp_sandbox.probe.http.urls import split
from mcp_sandbox.probe.wire import encode

PATHS = ("/mcp", "/sse", "/", "/mcp/", "/api/mcp", "/mcp/sse", "/v1/mcp", "/stream", "/message")
HOSTS = ("localhost", "127.0.0.1")
"""What servers that check ``Host`` accept."""
QUESTION = 3.0
"""Seconds for one question."""
MAX_PLACES = 24
UNAUTHORIZED = 401
_PRINTED = re.compile(rb"https?://[\w.\[\]:-]{1,255}?(?::(\d{1,5}))?(/[\w./-]{0,200})")
_PATH = re.compile(rb"(?<![\w./:])(/(?:[\w-]{1,40}/){0,3}(?:mcp|sse)\b)")


@dataclass(frozen=True)
class Found:
    """Where it is, or the best reason why it is nowhere."""

    place: Place | None
    why: str = ""
    asked: tuple[str, ...] = ()
    """``PORT PATH (HOST): outcome``, in order."""
    locked: Place | None = None
    """The first place that answers nobody without a token; ``None`` where one was found open."""


def paths_in(printed: bytes) -> tuple[str, ...]:
    """Paths that a server's own output names, in order."""
    found = [match[2].decode("ascii", "replace") for match in _PRINTED.finditer(printed[:65536])]
    found += [match[1].decode("ascii", "replace") for match in _PATH.finditer(printed[:65536])]
    return tuple(dict.fromkeys(path for path in found if path))[:8]


def look(
    listeners: Iterable[Listener],
    dial: Dial,
    identity: Identity,
    *,
    wanted: Transport,
    printed: bytes,
    deadline: float,
    headers: Headers = (),
    hint: tuple[int | None, str] = (None, ""),
) -> Found:
    """Ask every listener. ``wanted``: ``auto``, or the one transport that counts.

    ``headers``: the user's own, sent with every question. ``hint``: a port and a path that are
    tried before all others; ``None`` and an empty one are not known.
    """
    looking = _Looking(dial, identity, wanted, deadline, headers)
    asked: list[str] = []
    best, locked = "", None
    told = (*filter(None, hint[1:]), *paths_in(printed))
    for port in sorted({one.port for one in listeners}, key=lambda one: (one != hint[0], one)):
        for place, answer in _port(port, looking, told):
            asked.append(f"{port} {place.path} ({place.host}): {answer.said}")
            if answer.place is not None:
                return Found(answer.place, asked=tuple(asked))
            if answer.mcp and locked is None:
                best = f"port {port}, {place.path}: {answer.said}"
            locked = locked or answer.locked
        if time.monotonic() > deadline:
            return Found(None, best or "there was no time to ask", tuple(asked), locked)
    return Found(None, best or (asked[-1] if asked else "nothing listens"), tuple(asked), locked)


@dataclass(frozen=True)
class _Looking:
    """What all questions of one look have in common."""

    dial: Dial
    identity: Identity
    wanted: Transport
    deadline: float
    headers: Headers


def _port(
    port: int, looking: _Looking, printed: tuple[str, ...]
) -> Iterator[tuple[Place, _Answer]]:
    """Ask one port at place after place; whoever has seen enough stops."""
    candidates = list(dict.fromkeys((*printed, *PATHS)))
    for path in _growing(candidates):
        for host in HOSTS:
            if time.monotonic() > looking.deadline:
                return
            place = Place(Transport.HTTP, port, path, host)
            answer = _ask(place, looking)
            yield place, answer
            if answer.gone:
                return
            if answer.moved:
                candidates.insert(candidates.index(path) + 1, answer.moved)
            if not answer.other_host:
                break


def _growing(candidates: list[str]) -> Iterator[str]:
    """Each candidate once, those too that are added while others are tried."""
    done: set[str] = set()
    while len(done) < MAX_PLACES:
        path = next((one for one in candidates if one not in done), None)
        if path is None:
            return
        done.add(path)
        yield path


@dataclass(frozen=True)
class _Answer:
    said: str
    place: Place | None = None
    moved: str = ""
    """A path on the same origin that it points to."""
    mcp: bool = False
    """It is MCP's, though not usable."""
    other_host: bool = False
    """Another ``Host`` may be welcome."""
    gone: bool = False
    """The port speaks no HTTP at all."""
    locked: Place | None = None
    """It answers nobody without a token."""


def _ask(place: Place, looking: _Looking) -> _Answer:
    dial, wanted, deadline, own = looking.dial, looking.wanted, looking.deadline, looking.headers
    posted = _Answer("not asked")
    if wanted in {Transport.AUTO, Transport.HTTP}:
        for era in (Era.HANDSHAKE, Era.STATELESS):
            posted = _question(place, dial, opening(place, era, looking.identity, own), deadline)
            if posted.place or posted.gone or not posted.mcp:
                break
        if posted.place or posted.gone or wanted is Transport.HTTP or posted.moved:
            return posted
    headers = (("Host", f"{place.host}:{place.port}"), ("Accept", "text/event-stream"), *own)
    older = Place(Transport.SSE, place.port, place.path, place.host)
    got = _question(older, dial, Request("GET", place.path, headers), deadline)
    return got if got.place or wanted is Transport.SSE or not posted.mcp else posted


def opening(place: Place, era: Era, identity: Identity, own: Headers = ()) -> Request:
    """The opening request of an era, as a client would make it. ``own``: further headers."""
    method, params = opening_request(era, identity)
    headers = [
        ("Host", f"{place.host}:{place.port}"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Accept-Encoding", "identity"),
    ]
    if era is Era.STATELESS:
        version = params["_meta"]["io.modelcontextprotocol/protocolVersion"]
        headers += [("Mcp-Method", method), ("MCP-Protocol-Version", version)]
    line = encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return Request("POST", place.path, (*headers, *own), line)


def _question(place: Place, dial: Dial, request: Request, deadline: float) -> _Answer:
    until = min(deadline, time.monotonic() + QUESTION)
    try:
        exchange = Exchange(dial(place.port, until))
    except (ConnectionError, TimeoutError) as error:
        return _Answer(f"no connection ({error})", gone=True)
    try:
        head = exchange.ask(request, until)
        return _judged(place, exchange, head, until)
    except (Broken, TooManyFields) as error:
        return _Answer(str(error), gone="no HTTP" in str(error))
    except TimeoutError:
        return _Answer("no answer in time")
    finally:
        exchange.close()


def _judged(  # noqa: PLR0911 - one per kind of answer
    place: Place, exchange: Exchange, head: Head, until: float
) -> _Answer:
    said = f"status {head.status}"
    if 300 <= head.status < 400:  # noqa: PLR2004
        to = head.get("location")[:2048]
        return _Answer(f"{said} to {to[:100]}", moved=_path_here(to, place.port))
    if place.transport is Transport.SSE:
        streams = head.status == 200 and head.media_type == "text/event-stream"  # noqa: PLR2004
        if streams and endpoint(exchange, until):
            return _Answer("an endpoint event", place)
        unknown = place if head.status == UNAUTHORIZED else None
        return _Answer(said, other_host=head.status in {400, 403, 421}, locked=unknown)
    if answer := message(exchange, head, until):
        if "result" in answer:
            return _Answer("an answer in MCP", place)
        error = answer.get("error")
        words = error.get("message", "") if isinstance(error, dict) else ""
        return _Answer(
            f"{said}: {str(words)[:100]}",
            mcp=True,
            other_host=head.status in {403, 421},
            locked=place if head.status == UNAUTHORIZED else None,
        )
    if head.status in {401, 403}:
        challenge = head.get("www-authenticate")
        wants_token = head.status == UNAUTHORIZED or bool(challenge)
        return _Answer(
            f"{said}, {challenge[:100] or 'no way to authenticate named'}",
            mcp=wants_token,
            other_host=head.status == 403,  # noqa: PLR2004
            locked=place if wants_token else None,
        )
    return _Answer(said, other_host=head.status in {400, 421})


def _path_here(url: str, port: int) -> str:
    """The path of a URL on the same origin; empty for any other, and for what is no URL."""
    to = split(url)
    if to is None or to.hostname not in {None, *HOSTS} or to.port not in {None, port}:
        return ""
    return to.path if to.path.startswith("/") else ""
