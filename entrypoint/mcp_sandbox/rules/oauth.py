"""Who may call a server over HTTP: its challenge, its metadata, and tokens that nobody issued.

What the documents have to say: RFC 9728 (protected resource), RFC 8414 (authorization server), and
the authorization part of the MCP specification, which asks for PKCE with S256 and for https.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from mcp_sandbox.model import Confidence, Evidence, Json, OAuthFacts, RiskClass, RuleInfo
from mcp_sandbox.model.oauth import Document
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
UNAUTHORIZED = 401
ENDPOINTS = (
    *("authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri"),
    *("introspection_endpoint", "revocation_endpoint", "userinfo_endpoint"),
)
_STRANGE = re.compile(r"[\s`\"<>|\\^\x00-\x1f]|\$\(")
"""What no web address holds unescaped, and a shell or a page would act on."""
_BROAD = re.compile(
    r"(?:.*[:./])?(?:\*|all|full|full[-_]?access|root|superuser|everything)", re.IGNORECASE
)


def _usable(documents: tuple[Document, ...]) -> Document | None:
    return next((one for one in documents if not one.problem), None)


def _facts(context: Context) -> OAuthFacts | None:
    return context.observations.oauth


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _shown(facts: OAuthFacts, *lines: int) -> tuple[str, ...]:
    """Lines of the evidence, as a hit names them."""
    found = dict.fromkeys(line for line in lines if line)
    return tuple(f"{facts.evidence}.jsonl:{line}" for line in found) if facts.evidence else ()


def _read(facts: OAuthFacts) -> tuple[str, ...]:
    """Where the challenge and the documents stand."""
    documents = (_usable(facts.resource), _usable(facts.servers))
    return _shown(facts, facts.line, *(one.line for one in documents if one is not None))


def _texts(value: Json) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _named(facts: OAuthFacts) -> Iterator[tuple[str, str]]:
    """(where it stands, URL) of all that a client would turn to."""
    if facts.metadata_url:
        yield "resource_metadata", facts.metadata_url
    if resource := _usable(facts.resource):
        for url in _texts(resource.fields.get("authorization_servers")):
            yield "authorization_servers", url
    if server := _usable(facts.servers):
        for name in ("issuer", *ENDPOINTS):
            value = server.fields.get(name)
            if isinstance(value, str):
                yield name, value


@rule(
    RuleInfo(
        id="token-not-checked",
        title="A token that nobody issued opens the server",
        class_=H,
        evidence=Evidence.E3,
        what="The server refuses a request without a token and answers one with a token that was "
        "made up: a random one, or a JWT that says it is not signed.",
        proof="The opening request's answers without a token and with the made-up one.",
        quiet_when="Made-up tokens are refused, or none is asked for.",
        fix="Check signature, issuer, audience and expiry of every token; refuse `alg: none`.",
        cwe=(287, 347),
    )
)
def token_not_checked(context: Context) -> Iterator[Hit]:
    """Answers that a made-up token brought."""
    facts = _facts(context)
    if facts is None or not facts.locked:
        return
    for tried in facts.invented:
        if tried.accepted:
            what = "a random token" if tried.token == "random" else "an unsigned JWT"  # noqa: S105
            yield Hit(
                subject="server",
                fact=tried.token,
                message=f"At port {facts.port}, {quote(facts.path, 80)}, a request without a token "
                f"is answered with status {facts.status}, and one with {what} in MCP.",
                lines=_shown(facts, facts.line, tried.line),
            )


@rule(
    RuleInfo(
        id="oauth-hostile-url",
        title="The metadata names what is no web address",
        class_=H,
        evidence=Evidence.E3,
        what="A URL in the authorization metadata has another scheme than http or https, or holds "
        "characters that a shell or a page acts on. Clients hand these URLs to the system's "
        "browser, some of them through a shell.",
        proof="The document as it was served.",
        quiet_when="The URL is an ordinary http or https one.",
        fix="Publish plain https URLs, from configuration and not from input.",
        cwe=(78, 939),
    )
)
def oauth_hostile_url(context: Context) -> Iterator[Hit]:
    """URLs that do more than name a place."""
    facts = _facts(context)
    if facts is None:
        return
    for name, url in _named(facts):
        if why := _hostile(url):
            yield Hit(
                subject="server",
                fact=f"{name} {why}",
                message=f"`{name}` {why}: “{quote(url, 160)}”.",
                lines=_read(facts),
            )


def _hostile(url: str) -> str:
    parts = _parts(url)
    if parts is None:
        return "is no URL"
    if parts.scheme not in {"http", "https"}:
        return "has a scheme that no web address has" if parts.scheme else "is no absolute URL"
    return "holds characters that no URL holds unescaped" if _STRANGE.search(url) else ""


@rule(
    RuleInfo(
        id="oauth-insecure-url",
        title="Authorization goes through an address that anybody can read or change",
        class_=M,
        evidence=Evidence.E3,
        what="An issuer, an authorization server or an endpoint in the metadata is not https, or "
        "an issuer carries a query or a fragment, which the standard forbids.",
        proof="The document as it was served.",
        quiet_when="The URL is https, or on the loopback, where a server under test stands.",
        fix="Publish https URLs; an issuer has neither query nor fragment.",
        cwe=(319,),
    )
)
def oauth_insecure_url(context: Context) -> Iterator[Hit]:
    """Cleartext and malformed places."""
    facts = _facts(context)
    if facts is None:
        return
    for name, url in _named(facts):
        if not _hostile(url) and (why := _insecure(name, url)):
            yield Hit(
                subject="server",
                fact=f"{name} {why}",
                message=f"`{name}` {why}: “{quote(url, 160)}”.",
                lines=_read(facts),
            )


def _insecure(name: str, url: str) -> str:
    parts = _parts(url)
    if parts is None:
        return ""
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "is not https"
    if "#" in url:
        return "carries a fragment"
    if name in {"issuer", "authorization_servers"} and "?" in url:
        return "carries a query"
    return ""


@rule(
    RuleInfo(
        id="oauth-without-pkce",
        title="The authorization server does not offer PKCE",
        class_=M,
        evidence=Evidence.E3,
        what="The authorization server's metadata does not name `S256` among its code challenge "
        "methods. A stolen authorization code is then as good as a token, and clients that keep to "
        "the specification refuse to go on.",
        proof="The metadata as it was served.",
        quiet_when="`S256` is named, or no grant with an authorization code is offered.",
        fix='Support PKCE and publish `code_challenge_methods_supported: ["S256"]`.',
        cwe=(345,),
    )
)
def oauth_without_pkce(context: Context) -> Iterator[Hit]:
    """Metadata without S256."""
    facts = _facts(context)
    server = _usable(facts.servers) if facts else None
    if facts is None or server is None:
        return
    grants = server.fields.get("grant_types_supported")
    if isinstance(grants, list) and "authorization_code" not in grants:
        return
    methods = _texts(server.fields.get("code_challenge_methods_supported"))
    if "S256" not in methods:
        named = f"names only {quote(', '.join(methods), 80)}" if methods else "names none"
        yield Hit(
            subject="server",
            fact="pkce",
            message=f"{quote(server.path, 120)} {named} in `code_challenge_methods_supported`.",
            lines=_shown(facts, server.line),
        )


@rule(
    RuleInfo(
        id="oauth-issuer-mismatch",
        title="The metadata is not that of the issuer it was asked for",
        class_=M,
        evidence=Evidence.E3,
        what="The `issuer` in the authorization server's metadata is missing, or is not the "
        "identifier that the metadata was found by. A client has to refuse it: it may belong to "
        "another server, to which its token would be sent. A note for a slash at the end.",
        proof="The two documents as they were served.",
        quiet_when="They are equal, or no authorization server is named.",
        fix="Serve the identifier that the protected resource names, letter by letter.",
        cwe=(346,),
    )
)
def oauth_issuer_mismatch(context: Context) -> Iterator[Hit]:
    """Issuers that are not who was asked."""
    facts = _facts(context)
    server = _usable(facts.servers) if facts else None
    if facts is None or server is None:
        return
    issuer = server.fields.get("issuer")
    if not isinstance(issuer, str) or not issuer:
        message = f"{quote(server.path, 120)} names no `issuer`."
        shown = _shown(facts, server.line)
        yield Hit(subject="server", fact="no issuer", message=message, lines=shown)
        return
    resource = _usable(facts.resource)
    named = _texts(resource.fields.get("authorization_servers")) if resource else []
    wanted = [server.about] if server.about else named
    if not wanted or issuer in wanted:
        return
    slash = issuer.rstrip("/") in {one.rstrip("/") for one in wanted}
    yield Hit(
        subject="server",
        fact="issuer",
        message=f"The issuer is “{quote(issuer, 120)}”; asked for was "
        f"“{quote(' or '.join(wanted), 160)}”.",
        class_=N if slash else None,
        lines=_read(facts),
    )


@rule(
    RuleInfo(
        id="oauth-resource-mismatch",
        title="The protected resource names another resource than itself",
        class_=M,
        evidence=Evidence.E3,
        what="The `resource` in the protected resource metadata is missing, is no absolute URL "
        "without a fragment, or names another path or port than the one that it is served for. "
        "Clients refuse such metadata, or ask for tokens that are good elsewhere.",
        proof="The document as it was served, and where the server speaks MCP.",
        quiet_when="The path is the server's own or above it. The name of the host is not judged: "
        "a server under test does not stand where it is deployed.",
        fix="Put the server's own URL into `resource`.",
        cwe=(346,),
    )
)
def oauth_resource_mismatch(context: Context) -> Iterator[Hit]:
    """Resource identifiers that are another's."""
    facts = _facts(context)
    document = _usable(facts.resource) if facts else None
    if facts is None or document is None:
        return
    resource = document.fields.get("resource")
    if why := _mismatch(resource, facts):
        shown = f": “{quote(resource, 160)}”" if isinstance(resource, str) and resource else ""
        yield Hit(
            subject="server",
            fact=why,
            message=f"`resource` {why}{shown}.",
            lines=_shown(facts, document.line),
        )


def _mismatch(resource: Json, facts: OAuthFacts) -> str:
    if not isinstance(resource, str) or not resource:
        return "is missing"
    parts = _parts(resource)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return "is no absolute URL"
    if "#" in resource:
        return "carries a fragment"
    if parts.hostname in LOOPBACK and parts.port not in {None, facts.port}:
        return "names another port"
    path, own = parts.path.rstrip("/"), facts.path.rstrip("/")
    if path and path != own and not own.startswith(f"{path}/"):
        return "names another path"
    return ""


@rule(
    RuleInfo(
        id="oauth-undiscoverable",
        title="The server wants a token and does not say where to get one",
        class_=N,
        evidence=Evidence.E3,
        what="A request without a token is refused, and neither its challenge nor the well-known "
        "places lead to metadata; or the refusal is not 401 with `WWW-Authenticate`, by which a "
        "client knows that a token would help.",
        proof="The answers as they came.",
        quiet_when="No token is wanted, or the metadata is found.",
        fix='Answer 401 with `WWW-Authenticate: Bearer resource_metadata="…"` and serve the '
        "document that it names (RFC 9728).",
        cwe=(1059,),
    )
)
def oauth_undiscoverable(context: Context) -> Iterator[Hit]:
    """Refusals that lead nowhere."""
    facts = _facts(context)
    if facts is None or not facts.locked:
        return
    for fact, message in _silences(facts):
        asked = (one.line for one in facts.resource)
        shown = _shown(facts, facts.line, *(asked if fact == "metadata" else ()))
        yield Hit(subject="server", fact=fact, message=message, lines=shown)


def _silences(facts: OAuthFacts) -> Iterator[tuple[str, str]]:
    if facts.status != UNAUTHORIZED:
        yield "status", f"Without a token the answer is {facts.status}, where 401 belongs."
    elif not facts.challenge:
        yield "challenge", "The answer 401 carries no `WWW-Authenticate`."
    if facts.metadata_url and facts.metadata_url in facts.elsewhere:
        return  # it leads to another origin, where nobody looked
    if _usable(facts.resource) is None and _usable(facts.servers) is None:
        asked = ", ".join(f"{one.path} ({one.problem})" for one in facts.resource[:3])
        yield "metadata", f"No metadata was found; asked: {quote(asked, 300)}."


@rule(
    RuleInfo(
        id="oauth-broad-scope",
        title="A scope grants everything at once",
        class_=N,
        evidence=Evidence.E5,
        what="The scopes that are published or asked for hold a wildcard or one that stands for "
        "all of them. Hosts ask for what is listed, and people grant it unread.",
        proof="The challenge or the metadata as it was served.",
        quiet_when="The scopes name what they grant.",
        fix="Publish narrow scopes, and ask for those that the call at hand needs.",
        cwe=(250,),
    )
)
def oauth_broad_scope(context: Context) -> Iterator[Hit]:
    """Scopes that stand for all."""
    facts = _facts(context)
    if facts is None:
        return
    found = facts.scope.split()[:64]
    for document in (_usable(facts.resource), _usable(facts.servers)):
        found += _texts(document.fields.get("scopes_supported")) if document else []
    broad = sorted({one for one in found if len(one) <= 100 and _BROAD.fullmatch(one)})  # noqa: PLR2004
    if broad:
        yield Hit(
            subject="server",
            fact=" ".join(broad),
            message=f"Scopes that grant everything: {quote(', '.join(broad), 160)}.",
            confidence=Confidence.MEDIUM,
            lines=_read(facts),
        )
