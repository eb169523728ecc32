"""Reads what a server says of who may call it, on its own origin and nowhere else.

In the order of the authorization part of the MCP specification: an opening request without a token,
the protected resource metadata (RFC 9728) that its challenge names or that lies at the well-known
place, the authorization server metadata (RFC 8414, OpenID discovery) that this names. A URL on
another origin is noted and never fetched, no redirect is followed, and where a token is wanted, two
are tried that nobody has issued.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from mcp_sandbox.model import Dial, Era, Identity, Json, OAuthFacts, Place, Transport
from mcp_sandbox.model.oauth import Document, Invented
from mcp_sandbox.probe.conversation import Record
from mcp_sandbox.probe.http import reading
from mcp_sandbox.probe.http.detect import opening
from mcp_sandbox.probe.http.events import TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Head, Headers, Request
from mcp_sandbox.probe.http.urls import split

REFUSALS = frozenset({401, 403})
_FAILURES = (Broken, TooManyFields, ConnectionError, TimeoutError)
READING = 15.0
"""Seconds for all of it."""
QUESTION = 3.0
"""Seconds for one question."""
MAX_DOCUMENT = 64 * 2**10
MAX_TEXT = 2048
MAX_ITEMS = 64
MAX_CHALLENGE = 1024
MAX_SERVERS = 4
"""Authorization servers whose metadata is asked for."""
MAX_ELSEWHERE = 32

RESOURCE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_URLS = (
    *("authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri"),
    *("introspection_endpoint", "revocation_endpoint", "userinfo_endpoint", "issuer"),
)
_FIELDS = frozenset(
    {*_URLS, "resource", "authorization_servers", "scopes_supported", "bearer_methods_supported"}
    | {"response_types_supported", "grant_types_supported", "code_challenge_methods_supported"}
    | {"token_endpoint_auth_methods_supported", "client_id_metadata_document_supported"}
)
_PARAMETER = re.compile(r"\b(resource_metadata|scope)\s{0,8}=\s{0,8}(?:\"([^\"]*)\"|([^\s,\"]+))")

MAX_EVIDENCE = 4096

Mask = Callable[[str], str]
T = TypeVar("T")


def read(
    place: Place,
    dial: Dial,
    identity: Identity,
    *,
    mask: Mask,
    record: Record,
    deadline: float,
) -> OAuthFacts:
    """Ask, and keep what was answered. ``mask`` hides planted secrets in text that is kept.

    ``record`` takes every request and every answer, at most 4 KiB of each.

    Never raises for anything the peer does.
    """
    asker = _Asker(place, dial, mask, record, deadline)
    alone = asker.opened(identity)
    challenge = alone.challenge
    named = {match[1]: match[2] or match[3] or "" for match in _PARAMETER.finditer(challenge)}
    url = named.get("resource_metadata", "")[:MAX_TEXT]
    resource = asker.first((target, "") for target in _resources(place, asker.here(url)))
    listed = _texts(_fields(resource).get("authorization_servers"))
    asked = [(target, issuer) for issuer in listed[:MAX_SERVERS] for target in asker.places(issuer)]
    servers = asker.first(asked)
    if not _fields(servers):
        # The server itself, as of 2025-03-26; or under the name that it has elsewhere.
        known = {target for target, _ in asked}
        servers += asker.first((one, "") for one in (SERVER, OPENID) if one not in known)
    for document in (*resource, *servers):
        asker.note(_urls(document.fields))
    return OAuthFacts(
        port=place.port,
        path=place.path,
        status=0 if alone.answered else alone.status,
        challenge=mask(challenge),
        metadata_url=mask(url),
        scope=mask(named.get("scope", "")[:MAX_TEXT]),
        resource=resource,
        servers=servers,
        elsewhere=tuple(map(mask, asker.elsewhere)),
        line=alone.line,
        invented=tuple(_tried(asker, identity)) if alone.status in REFUSALS else (),
    )


def _tried(asker: _Asker, identity: Identity) -> Iterable[Invented]:
    """Tokens that nobody has issued; a server that takes one takes all."""
    claims = {"iss": "https://issuer.example", "sub": "nobody", "scope": "*", "exp": 4102444800}
    unsigned = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
    for kind, token in (("random", "bm9ib2R5LWlzc3VlZC10aGlz"), ("unsigned", unsigned)):
        brought = asker.opened(identity, (("Authorization", f"Bearer {token}"),))
        yield Invented(kind, brought.status, brought.answered, brought.line)


def _part(value: Json) -> str:
    """A part of a JWT (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _resources(place: Place, named: str) -> tuple[str, ...]:
    """Where the protected resource metadata may be (RFC 9728, section 3.1)."""
    path = "" if place.path == "/" else place.path
    return tuple(dict.fromkeys(one for one in (named, RESOURCE + path, RESOURCE) if one))


def _fields(documents: tuple[Document, ...]) -> dict[str, Json]:
    """The members of the one that is of use."""
    return next((one.fields for one in documents if not one.problem), {})


def _texts(value: Json) -> list[str]:
    items = value if isinstance(value, list) else []
    return [one for one in items if isinstance(one, str)]


def _urls(fields: dict[str, Json]) -> list[str]:
    listed = _texts(fields.get("authorization_servers"))
    return listed + _texts([fields.get(name) for name in _URLS])


def _challenge(head: Head) -> str:
    wanted = [value for name, value in head.headers if name == "www-authenticate"]
    return ", ".join(wanted)[:MAX_CHALLENGE]


@dataclass(frozen=True)
class _Opened:
    """What an opening request brought."""

    status: int = 0
    """0 when no answer came."""
    challenge: str = ""
    answered: bool = False
    """In MCP."""
    line: int = 0


@dataclass
class _Asker:
    """Asks one origin, and notes the others."""

    place: Place
    dial: Dial
    mask: Mask
    record: Record
    deadline: float

    def __post_init__(self) -> None:
        self.lines = 0
        self.elsewhere: dict[str, None] = {}

    def here(self, url: str) -> str:
        """The request target of a URL on this origin; empty, and noted, for any other."""
        parts = split(url)
        if (
            parts is not None
            and parts.scheme == "http"
            and parts.hostname in LOOPBACK
            and parts.port == self.place.port
        ):
            return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.note([url])
        return ""

    def note(self, urls: Iterable[str]) -> None:
        """Keep those that lie on another origin."""
        for url in urls:
            parts = split(url)
            ours = parts is not None and (parts.hostname, parts.port) in {
                (host, self.place.port) for host in LOOPBACK
            }
            if url and not ours and len(self.elsewhere) < MAX_ELSEWHERE:
                self.elsewhere.setdefault(url[:MAX_TEXT])

    def places(self, issuer: str) -> list[str]:
        """Where an issuer's metadata may be (RFC 8414, section 3.1); none for one elsewhere."""
        target = self.here(issuer)
        if not target:
            return []
        path = target.partition("?")[0].rstrip("/")
        return list(dict.fromkeys((SERVER + path, OPENID + path, path + OPENID)))

    def first(self, targets: Iterable[tuple[str, str]]) -> tuple[Document, ...]:
        """Ask at one target after the other, until a document is of use; all that were asked."""
        asked: list[Document] = []
        for target, about in targets:
            asked.append(self._document(target, about))
            if not asked[-1].problem:
                break
        return tuple(asked)

    def opened(self, identity: Identity, headers: Headers = ()) -> _Opened:
        """Make an opening request, in the other era too where the first one is not answered."""
        older = self.place.transport is Transport.SSE
        judge = self._judged_older if older else self._judged_opening
        brought = _Opened()
        for era in (Era.HANDSHAKE,) if older else (Era.HANDSHAKE, Era.STATELESS):
            request = opening(self.place, era, identity, headers)
            if older:
                accept = ("Accept", "text/event-stream")
                request = Request("GET", self.place.path, (*self._headers(), accept, *headers))
            try:
                brought = replace(self._asked(request, judge), line=self.lines)
            except _FAILURES:
                return _Opened()
            if brought.answered or brought.status in REFUSALS:
                break
        return brought

    @staticmethod
    def _judged_opening(exchange: Exchange, head: Head, until: float) -> _Opened:
        answer = reading.message(exchange, head, until) if head.status < 400 else {}  # noqa: PLR2004
        return _Opened(head.status, _challenge(head), "result" in answer)

    @staticmethod
    def _judged_older(exchange: Exchange, head: Head, until: float) -> _Opened:
        streams = head.status == 200  # noqa: PLR2004
        return _Opened(
            head.status, _challenge(head), streams and bool(reading.endpoint(exchange, until))
        )

    def _document(self, target: str, about: str) -> Document:
        request = Request(
            "GET",
            target,
            (*self._headers(), ("Accept", "application/json"), ("Accept-Encoding", "identity")),
        )
        try:
            made = self._asked(request, lambda *got: self._judged(target, about, *got))
            return replace(made, line=self.lines)
        except _FAILURES as error:
            return Document(target, problem=str(error)[:200] or "no answer in time", about=about)

    def _judged(
        self, target: str, about: str, exchange: Exchange, head: Head, until: float
    ) -> Document:
        problem = ""
        if 300 <= head.status < 400:  # noqa: PLR2004
            to = head.get("location")[:MAX_TEXT]
            self.note([to] if split(to) is None or "//" in to else [])
            problem = f"a redirect to {self.mask(to[:200])}, which is not followed"
        elif head.status != 200:  # noqa: PLR2004
            problem = f"status {head.status}"
        elif head.get("content-encoding") not in {"", "identity"}:
            problem = "a body in an encoding that was not asked for"
        if problem:
            return Document(target, head.status, problem, about)
        body = bytearray()
        for piece in exchange.body(until):
            body += piece
            if len(body) > MAX_DOCUMENT:
                return Document(target, 200, f"more than {MAX_DOCUMENT} bytes", about)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        self._note("in", bytes(body))
        if not isinstance(found, dict):
            return Document(target, 200, "no JSON object", about)
        return Document(target, 200, "", about, self._kept(found))

    def _kept(self, found: dict[str, Json]) -> dict[str, Json]:
        """The members that are judged, within bounds."""
        kept: dict[str, Json] = {}
        for name in sorted(_FIELDS & found.keys()):
            value = found[name]
            if isinstance(value, list):
                kept[name] = [self.mask(one[:MAX_TEXT]) for one in _texts(value[:MAX_ITEMS])]
            elif isinstance(value, str):
                kept[name] = self.mask(value[:MAX_TEXT])
            elif isinstance(value, bool) or value is None:
                kept[name] = value
            else:
                kept[name] = f"({type(value).__name__})"
        return kept

    def _asked(self, request: Request, judge: Callable[[Exchange, Head, float], T]) -> T:
        until = min(self.deadline, time.monotonic() + QUESTION)
        if time.monotonic() >= until:
            raise TimeoutError("there was no time to ask")
        exchange = Exchange(self.dial(self.place.port, until))
        named = "\n".join(f"{name}: {value}" for name, value in request.headers)
        self._note("out", f"{request.method} {request.path}\n{named}\n\n".encode() + request.body)
        try:
            head = exchange.ask(request, until)
            named = "\n".join(f"{name}: {value}" for name, value in head.headers)
            self._note("in", f"{head.status}\n{named}".encode())
            return judge(exchange, head, until)
        finally:
            exchange.close()

    def _note(self, direction: str, data: bytes) -> None:
        self.record(direction, data[:MAX_EVIDENCE])
        self.lines += 1

    def _headers(self) -> Headers:
        return (("Host", f"{self.place.host}:{self.place.port}"),)
