"""What a server answers to questions that only HTTP can ask, as it was answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mcp_sandbox.model.transport import Place

SITE = "attacker.example"
"""The other site that questions come from; a name that nobody can own."""


NOBODYS = "00000000-0000-4000-8000-000000000000"
"""A session that no server gave."""


class HttpQuestion(StrEnum):
    """What was asked, each on a connection of its own."""

    ORDINARY = "ordinary"
    """The opening request, as any client makes it; the others differ from it in one thing."""
    FOREIGN_ORIGIN = "foreign-origin"
    """``Origin`` of another site, the server's own ``Host``."""
    FOREIGN_HOST = "foreign-host"
    """``Host`` and ``Origin`` of another site: what a rebound name makes a browser send."""
    PREFLIGHT = "preflight"
    """``OPTIONS``, by which a browser asks whether another site may post JSON."""
    TEXT_PLAIN = "text-plain"
    """As ``text/plain`` from another site, which a browser sends without asking first."""
    TEXT_PLAIN_LIST = "text-plain-list"
    """The same, of the list of tools, without a session."""
    UNKNOWN_VERSION = "unknown-version"
    """``MCP-Protocol-Version`` that no version has."""
    STATELESS = "stateless"
    """The opening request of the stateless era (2026-07-28)."""
    OTHER_METHOD = "other-method"
    """``Mcp-Method`` that is not the body's, in that era."""
    SESSION = "session"
    """The list of tools in a session that the server gave."""
    NO_SESSION = "no-session"
    """The same without a session, by a client that has one."""
    UNKNOWN_SESSION = "unknown-session"
    """The same in a session that no server gave."""
    UNKNOWN_STREAM = "unknown-stream"
    """The event stream of a session that no server gave."""
    CHOSEN_SESSION = "chosen-session"
    """The opening request with a session id of the client's own."""
    END = "end"
    """``DELETE`` of a session."""
    ENDED_SESSION = "ended-session"
    """The list of tools in a session that was ended."""
    BEHIND_TLS = "behind-tls"
    """The path with or without its last slash, from a proxy that says it was asked over TLS."""
    TRACE = "trace"
    PUT = "put"
    CONNECT = "connect"
    BOTH_LENGTHS = "both-lengths"
    """``Content-Length`` and ``Transfer-Encoding``; by either, another request follows or not."""
    TWO_LENGTHS = "two-lengths"
    """Two values of ``Content-Length``."""
    BARE_LINE_FEED = "bare-line-feed"
    """Chunks whose lines end in LF alone."""
    OVERSIZED_CHUNK = "oversized-chunk"
    """A chunk of 2^64 bytes, which is none in a 64-bit number."""


@dataclass(frozen=True)
class HttpAnswer:
    """What became of one question."""

    question: HttpQuestion
    request: str
    """Its first line and the headers that matter, at most 500 characters; without what differs from
    run to run: the session that a server gave, the query of its endpoint."""
    status: int = 0
    """0 when no answer came."""
    result: bool = False
    """It was answered in MCP: with a result, or with the older transport's endpoint."""
    headers: tuple[tuple[str, str], ...] = ()
    """Those that rules look at; names in lower case."""
    text: str = ""
    """The beginning of the body, planted secrets masked."""
    answers: int = 1
    """Answers to what was sent as one request."""
    why: str = ""
    """Why no whole answer came."""
    line: int = 0
    """Line of the answer in the evidence file."""

    def header(self, name: str) -> str:
        """The first one of that name; empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True)
class HttpChecks:
    """All questions, asked of a container of their own."""

    place: Place
    listeners: tuple[str, ...] = ()
    """``ADDRESS:PORT`` of each TCP socket that listens, sorted."""
    answers: tuple[HttpAnswer, ...] = ()
    sessions: tuple[str, ...] = ()
    """Session ids as they were given, one client after another."""
    crossed: tuple[str, ...] = ()
    """What came to another client than the one that it was meant for, one sentence each."""
    unasked: tuple[str, ...] = ()
    """Groups of questions that there was no time for, or not for all of them."""
    evidence: str = ""
    """Name of its file: ``evidence/NAME.jsonl``."""
