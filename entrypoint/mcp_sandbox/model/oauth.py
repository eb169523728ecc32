"""What a server says of who may call it: its challenge and its well-known documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """One well-known document, asked for on the server's own origin."""

    path: str
    """The request's target."""
    status: int = 0
    """0 when no answer came."""
    problem: str = ""
    """Why it is of no use; empty for a JSON object."""
    about: str = ""
    """The issuer that it was asked for; empty where none had been named."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Those members that RFC 9728 and RFC 8414 name: texts of at most 2,048 characters, and lists
    of at most 64 of them."""
    line: int = 0
    """Line of the answer in the evidence file."""


@dataclass(frozen=True)
class Invented:
    """What became of an opening request with a token that nobody had issued."""

    token: str
    """Its kind: ``random``, ``unsigned`` (a JWT with ``alg: none``)."""
    status: int
    accepted: bool
    """It was answered in MCP."""
    line: int = 0


@dataclass(frozen=True)
class OAuthFacts:
    """What was read of a server's authorization, without leaving its sandbox."""

    port: int
    path: str
    """Where it speaks MCP, or would."""
    status: int = 0
    """Of the opening request without a token; 0 when it was answered in MCP."""
    challenge: str = ""
    """``WWW-Authenticate``, at most 1,024 characters."""
    metadata_url: str = ""
    """``resource_metadata`` in it."""
    scope: str = ""
    """``scope`` in it."""
    resource: tuple[Document, ...] = ()
    """Protected resource metadata (RFC 9728), each place that was asked, in order."""
    servers: tuple[Document, ...] = ()
    """Authorization server metadata (RFC 8414, OpenID discovery), likewise."""
    elsewhere: tuple[str, ...] = ()
    """URLs that were named and lie on another origin: recorded, never fetched."""
    invented: tuple[Invented, ...] = ()
    line: int = 0
    """Line of the answer to the opening request without a token."""
    evidence: str = ""
    """Name of its file: ``evidence/NAME.jsonl``."""

    @property
    def locked(self) -> bool:
        """Nobody is answered without a token."""
        return self.status in {401, 403}
