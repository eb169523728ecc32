"""Arguments that a tool wants repeated in HTTP headers (``x-mcp-header``, protocol 2026-07-28)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.model import Confidence, Evidence, ItemKind, Json, RiskClass, RuleInfo, Session
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import MAX_DEPTH, quote

M, N = RiskClass.MEDIUM, RiskClass.NOTE

KEY = "x-mcp-header"
_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are no schemas."""
_TYPES = frozenset({"string", "integer", "boolean"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = frozenset(
    {"apikey", "credential", "credentials", "passphrase", "passwd", "password", "secret"}
    | {"ssn", "token"}
)
_KEYS = frozenset({"access", "api", "auth", "encryption", "private", "secret", "signing"})
"""What makes a key one that nobody else may have."""
_CURSORS = frozenset({"continuation", "cursor", "next", "page", "sync"})
"""What makes a token a mere place in a list."""


@dataclass(frozen=True)
class _Declared:
    """One declaration and where it stands."""

    path: tuple[str, ...] | None
    """Names of the properties that lead to it; ``None`` where no such way does."""
    schema: dict[str, Json]

    @property
    def header(self) -> Json:
        return self.schema[KEY]

    @property
    def pointer(self) -> str:
        return "".join(f"/{name}" for name in self.path or ())


def _declared(schema: Json) -> Iterator[_Declared]:
    """All declarations of an input schema."""
    waiting: list[tuple[tuple[str, ...] | None, Json, int]] = [((), schema, 0)]
    while waiting:
        path, node, depth = waiting.pop()
        if depth > MAX_DEPTH or not isinstance(node, dict | list):
            continue
        if isinstance(node, list):
            waiting += [(None, one, depth + 1) for one in node]
            continue
        if KEY in node:
            yield _Declared(path, node)
        for keyword, value in node.items():
            if keyword == "properties" and isinstance(value, dict):
                for name, inner in value.items():
                    to = None if path is None else (*path, str(name))
                    waiting.append((to, inner, depth + 1))
            elif keyword not in _DATA and keyword != KEY:
                waiting.append((None, value, depth + 1))


def _tools(context: Context) -> Iterator[tuple[Session, str, list[_Declared]]]:
    for session in context.sessions:
        for listing in session.transcript.listings:
            if listing.kind is not ItemKind.TOOLS:
                continue
            for item in listing.items:
                if isinstance(item, dict) and (found := list(_declared(item.get("inputSchema")))):
                    yield session, f"tools/{item.get('name')}", found


@rule(
    RuleInfo(
        id="secret-in-header",
        title="A secret argument is repeated in a header",
        class_=M,
        evidence=Evidence.E5,
        what="`x-mcp-header` stands on a parameter that is named like a secret. Its value is sent "
        "as an HTTP header too, where proxies, load balancers and their logs read it.",
        proof="The parameter in the tool's schema.",
        quiet_when="The parameter is a cursor, a count or any other ordinary value.",
        fix="Take `x-mcp-header` off parameters that hold passwords, keys or tokens.",
        cwe=(532, 201),
    )
)
def secret_in_header(context: Context) -> Iterator[Hit]:
    """Declarations on parameters that hold secrets."""
    for session, subject, found in _tools(context):
        for one in found:
            if one.path and _is_secret(one.path[-1]):
                yield Hit(
                    subject=subject,
                    pointer=one.pointer,
                    fact="secret",
                    message=f"The value of “{quote(one.path[-1], 80)}” is sent as the header "
                    f"`Mcp-Param-{quote(str(one.header)[:100], 80)}` too.",
                    confidence=Confidence.MEDIUM,
                    session=session,
                    lists=ItemKind.TOOLS,
                )


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not words:
        return False
    before = words[-2] if len(words) > 1 else ""
    if words[-1] == "key":
        return before in _KEYS
    return words[-1] in _SECRETS and before not in _CURSORS


@rule(
    RuleInfo(
        id="unusable-header",
        title="A tool is left out by clients for the headers that it wants",
        class_=M,
        evidence=Evidence.E3,
        what="A declaration of `x-mcp-header` that the protocol forbids: clients of 2026-07-28 "
        "have to leave the tool out, and older ones show it. Medium where the name holds what ends "
        "a header's line, by which a client that does not check would send headers of the "
        "server's making; a note otherwise.",
        proof="The declaration in the tool's schema.",
        quiet_when="The name is a token, unique in the tool, on a string, an integer or a boolean "
        "that is reached by properties alone.",
        fix="Name the header by a plain token, once, on a parameter of a simple type.",
        cwe=(113, 436),
    )
)
def unusable_header(context: Context) -> Iterator[Hit]:
    """Declarations that are none."""
    for session, subject, found in _tools(context):
        names: set[str] = set()
        for one in sorted(found, key=lambda one: (one.path is None, one.path or ())):
            if why := _unusable(one, names):
                injects = isinstance(one.header, str) and re.search(r"[\r\n]", one.header)
                yield Hit(
                    subject=subject,
                    pointer=one.pointer,
                    fact=f"header {why}",
                    message=f"`x-mcp-header` {why}: “{quote(str(one.header)[:200], 120)}”.",
                    class_=None if injects else N,
                    session=session,
                    lists=ItemKind.TOOLS,
                )
            names.add(str(one.header).lower())


def _unusable(one: _Declared, names: set[str]) -> str:
    if not isinstance(one.header, str) or not _TOKEN.fullmatch(one.header):
        return "names no header"
    if not one.path:
        return "stands where no property leads"
    kind = one.schema.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return "stands on what is no string, integer or boolean"
    return "names a header twice" if one.header.lower() in names else ""
