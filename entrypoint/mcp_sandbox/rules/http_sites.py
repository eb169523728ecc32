"""Who is answered over HTTP: other web sites, rebound names, anybody at all."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from mcp_sandbox.model import Confidence, Evidence, HttpChecks, RiskClass, RuleInfo
from mcp_sandbox.model.http import SITE, HttpAnswer
from mcp_sandbox.model.http import HttpQuestion as Q
from mcp_sandbox.rules import http_facts as facts
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
SESSION_ID = "mcp-session-id"
SHOWN = 3
"""Names that a message lists."""


@rule(
    RuleInfo(
        id="http-dns-rebinding",
        title="A request under another site's name is answered",
        class_=H,
        evidence=Evidence.E3,
        what="The opening request is answered although its `Host` and `Origin` name another site, "
        "and nobody had to authenticate. Who gets a user to open a page, and lets the page's name "
        "lead to the user's own machine or network, calls every tool from there and reads what "
        "comes back. High, because the user need do nothing but look at a page.",
        proof="The answer in MCP to that request.",
        quiet_when="Such a request is refused; or every request is, without credentials.",
        fix="Compare `Host` and `Origin` with a list of your own names and answer 421 or 403; the "
        "maintained SDKs do it when they are told the names.",
        cwe=(350, 346),
    )
)
def dns_rebinding(context: Context) -> Iterator[Hit]:
    """``Host`` and ``Origin`` of another site."""
    for checks in facts.each(context):
        rebound = facts.answer(checks, Q.FOREIGN_HOST)
        if rebound.result:
            yield facts.hit(
                context,
                checks,
                "host",
                f"A request with `Host: {SITE}` and its `Origin` was answered like any other.",
                rebound,
            )


@rule(
    RuleInfo(
        id="http-foreign-origin",
        title="A request from another origin is answered",
        class_=N,
        evidence=Evidence.E3,
        what="`Origin` names another site and the request is answered, which the protocol forbids "
        "(2025-11-25: 403). A note, because a browser sends such a request of JSON only where CORS "
        "lets it, and a rebound name fails at `Host`.",
        proof="The answer in MCP to that request.",
        quiet_when="Such a request is refused; or `Host` is not checked either "
        "(http-dns-rebinding).",
        fix="Refuse every `Origin` that is not on your own list.",
        cwe=(346,),
    )
)
def foreign_origin(context: Context) -> Iterator[Hit]:
    """``Origin`` alone of another site."""
    for checks in facts.each(context):
        foreign = facts.answer(checks, Q.FOREIGN_ORIGIN)
        if foreign.result and not facts.answer(checks, Q.FOREIGN_HOST).result:
            yield facts.hit(
                context,
                checks,
                "origin",
                f"A request with `Origin: http://{SITE}` was answered.",
                foreign,
            )


@rule(
    RuleInfo(
        id="http-cors",
        title="Any web site may read the answers",
        class_=H,
        evidence=Evidence.E3,
        what="`Access-Control-Allow-Origin` is `*` or repeats whatever origin asks. High when "
        "the preflight lets JSON through, the request itself is answered without credentials, and "
        "a session's id, where one is needed, may be read and sent: then any page that a user "
        "opens calls the tools and reads what they say. Medium when only a part of that is open, "
        "or when credentials are allowed as well but this request was refused; a note when nothing "
        "is answered without a token, which no page has.",
        proof="The headers of the answer, and of the preflight's.",
        quiet_when="No such header, or one that names fixed origins.",
        fix="Name the origins that need it; most servers need none.",
        cwe=(942,),
    )
)
def cors(context: Context) -> Iterator[Hit]:
    """A wildcard, or an origin that is repeated."""
    for checks in facts.each(context):
        asked = facts.answer(checks, Q.FOREIGN_ORIGIN)
        preflight = facts.answer(checks, Q.PREFLIGHT)
        shown = [one for one in (asked, preflight) if _allowed(one)]
        if not shown:
            continue
        allowed = _allowed(shown[0])
        with_credentials = allowed != "*" and any(
            one.header("access-control-allow-credentials").lower() == "true" for one in shown
        )
        admitted = _admitted(checks, asked, preflight)
        readable = asked.result and bool(_allowed(asked))
        if readable and admitted:
            class_ = H
        elif readable or (with_credentials and admitted):
            class_ = M
        else:
            class_ = N
        yield facts.hit(
            context,
            checks,
            "repeated" if allowed != "*" else "wildcard",
            f"`Access-Control-Allow-Origin: {allowed}` for a page of {SITE}"
            + (", with credentials" if with_credentials else "")
            + ("." if class_ is H else ", which does not open all of it."),
            *shown,
            class_=None if class_ is H else class_,
        )


def _allowed(one: HttpAnswer) -> str:
    """The open origin that an answer allows; empty for none, or for a fixed one."""
    value = one.header("access-control-allow-origin").strip()
    return value if value in {"*", f"http://{SITE}"} else ""


def _admitted(checks: HttpChecks, asked: HttpAnswer, preflight: HttpAnswer) -> bool:
    """A page can go on after the first answer: post JSON, and in the session that it was given."""
    open_ = facts.succeeded(preflight) and bool(_allowed(preflight))
    if facts.older(checks):
        return open_ or facts.answer(checks, Q.TEXT_PLAIN).result
    wanted = {"content-type"}
    if checks.sessions and not facts.answer(checks, Q.NO_SESSION).result:
        wanted.add(SESSION_ID)
        if not {"*", SESSION_ID} & _names(asked, "access-control-expose-headers"):
            return False
    allowed = _names(preflight, "access-control-allow-headers")
    return open_ and ("*" in allowed or wanted <= allowed)


def _names(one: HttpAnswer, header: str) -> set[str]:
    return {name.strip() for name in one.header(header).lower().split(",")}


@rule(
    RuleInfo(
        id="http-cross-site-request",
        title="A request that any page can send is obeyed",
        class_=H,
        evidence=Evidence.E3,
        what="A body of the type `text/plain`, sent from another origin, is taken as a message. A "
        "browser sends such a request without asking first, whatever CORS says; only the answer "
        "is kept from the page. High when that works without a session, for then a page calls "
        "tools blindly; medium when a session is needed, whose id the page does not learn.",
        proof="The answer in MCP to that request.",
        quiet_when="Another type, or another origin, is refused.",
        fix="Refuse every `Content-Type` but `application/json` with 415, and check `Origin`.",
        cwe=(352,),
    )
)
def cross_site_request(context: Context) -> Iterator[Hit]:
    """``text/plain`` from another site."""
    for checks in facts.each(context):
        opening = facts.answer(checks, Q.TEXT_PLAIN)
        listing = facts.answer(checks, Q.TEXT_PLAIN_LIST)
        if listing.result or opening.result:
            yield facts.hit(
                context,
                checks,
                "text/plain",
                f"A `text/plain` request of {SITE} was obeyed"
                + (", without any session." if listing.result else ", in a session."),
                listing if listing.result else opening,
                class_=None if listing.result else M,
            )


@rule(
    RuleInfo(
        id="http-no-authentication",
        title="Tools that change things need no authentication",
        class_=M,
        evidence=Evidence.E3,
        what="Nothing was asked of the client but the message, and tools were seen to change files "
        "or to send changing requests, or say of themselves that they do. Medium when MCP is "
        "spoken on every address, so that whoever reaches the port may use them; a note on "
        "loopback only, where that is every program of the machine.",
        proof="The answer without credentials; the kernel's or the sink's record of the change in "
        "an ordinary call, or the tool's own annotations (then with medium confidence).",
        quiet_when="Requests without credentials are refused; no tool is known to change anything.",
        fix="Ask for a token (the protocol's authorization, or one of your own), or listen on "
        "loopback and say so.",
        cwe=(306,),
    )
)
def no_authentication(context: Context) -> Iterator[Hit]:
    """Changing tools that anybody may call."""
    for checks in facts.each(context):
        ordinary = facts.answer(checks, Q.ORDINARY)
        if not ordinary.result:
            continue
        seen = facts.seen_changing(context)
        tools = seen or facts.said_changing(context)
        if tools:
            names = ", ".join(quote(one.removeprefix("tools/"), 60) for one in tools[:SHOWN])
            more = f" and {len(tools) - SHOWN} more" if len(tools) > SHOWN else ""
            yield facts.hit(
                context,
                checks,
                "no credentials",
                f"Without any credentials the server answered; its tools {names}{more} "
                + ("changed something when called." if seen else "say that they change something."),
                ordinary,
                class_=None if facts.reached_everywhere(checks) else N,
                confidence=Confidence.HIGH if seen else Confidence.MEDIUM,
            )


@rule(
    RuleInfo(
        id="http-listens-everywhere",
        title="The server listens on every address",
        class_=N,
        evidence=Evidence.E3,
        what="A socket is bound to `0.0.0.0` or `::`. A note with medium confidence: in a "
        "container it usually must be, for a published port to lead to it; run without one, the "
        "same command opens the server to the whole network.",
        proof="The kernel's list of listening sockets.",
        quiet_when="Every socket is bound to a loopback address.",
        fix="Bind to 127.0.0.1 unless told otherwise, and make the address a setting.",
        cwe=(1327,),
    )
)
def listens_everywhere(context: Context) -> Iterator[Hit]:
    """Sockets on wildcard addresses."""
    for checks in facts.each(context):
        if found := facts.everywhere(checks):
            yield facts.hit(
                context,
                checks,
                "wildcard address",
                f"It listens on {', '.join(quote(one, 60) for one in found[:SHOWN])}.",
                confidence=Confidence.MEDIUM,
            )


@rule(
    RuleInfo(
        id="http-redirect",
        title="A redirect leads out of TLS, or to another origin",
        class_=M,
        evidence=Evidence.E3,
        what="Behind a proxy that ends TLS (`X-Forwarded-Proto: https`), the path with or without "
        "its last slash is redirected to `http://`: a client that follows sends its token in the "
        "clear. Or a redirect names another host altogether.",
        proof="The `Location` of the answer. Of TLS with medium confidence: the proxy may rewrite "
        "it.",
        quiet_when="The redirect is relative, or stays within scheme and host; there is none.",
        fix="Serve both spellings of the path, or redirect to a relative one; tell your framework "
        "which proxies it may believe.",
        cwe=(319, 601),
    )
)
def redirect(context: Context) -> Iterator[Hit]:
    """``Location`` in answers to questions under the server's own name."""
    for checks in facts.each(context):
        for question in (Q.ORDINARY, Q.BEHIND_TLS):
            one = facts.answer(checks, question)
            if why := _leads_away(checks, one):
                yield facts.hit(
                    context,
                    checks,
                    why,
                    f"A redirect (status {one.status}) to "
                    f"“{quote(one.header('location'), 120)}” leads {why}.",
                    one,
                    confidence=Confidence.MEDIUM if why == "out of TLS" else Confidence.HIGH,
                )


def _leads_away(checks: HttpChecks, one: HttpAnswer) -> str:
    if not 300 <= one.status < 400:  # noqa: PLR2004
        return ""
    try:
        to = urlsplit(one.header("location"))
    except ValueError:
        return "to what is no URL"
    if not to.netloc:
        return ""
    if (to.hostname or "") not in {checks.place.host, "localhost", "127.0.0.1", "::1"}:
        return "to another origin"
    return "out of TLS" if one.question is Q.BEHIND_TLS and to.scheme == "http" else ""
