"""Requests over HTTP that a server should refuse, and does not."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.model.http import SITE
from mcp_sandbox.model.http import HttpQuestion as Q
from mcp_sandbox.rules import http_facts as facts
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule

M, N = RiskClass.MEDIUM, RiskClass.NOTE

_READ = {
    Q.TWO_LENGTHS: "by the first of two lengths",
    Q.BARE_LINE_FEED: "by chunks whose lines end in LF alone",
    Q.OVERSIZED_CHUNK: "by a chunk size cut to 64 bits",
}
"""How a request was read that has to be refused."""
TWICE = 2


@rule(
    RuleInfo(
        id="http-request-smuggling",
        title="One request is read as two",
        class_=M,
        evidence=Evidence.E3,
        what="A request whose end is ambiguous, and that has to be refused, was answered twice: "
        "with two lengths, with chunks whose lines end in LF alone, or with a chunk size beyond 64 "
        "bits. A proxy in front that reads it as one lets a client put a request before another "
        "one's. A note for `Content-Length` beside `Transfer-Encoding`: the chunks rightly count, "
        "but the connection has to be closed after the first answer (RFC 9112, 6.3). Judged of "
        "this server alone, so with medium confidence.",
        proof="Two answers on one connection to what was sent as one request.",
        quiet_when="The request is refused, or the connection closed after one answer.",
        fix="Take a maintained HTTP parser, in its strict mode, and put a proxy in front that "
        "refuses such requests.",
        cwe=(444,),
    )
)
def request_smuggling(context: Context) -> Iterator[Hit]:
    """Two answers to one request."""
    for checks in facts.each(context):
        for question, how in _READ.items():
            one = facts.answer(checks, question)
            if one.answers >= TWICE:
                yield facts.hit(
                    context,
                    checks,
                    question.value,
                    f"One request was answered twice: it was read {how}.",
                    one,
                    confidence=Confidence.MEDIUM,
                )
        both = facts.answer(checks, Q.BOTH_LENGTHS)
        if both.answers >= TWICE:
            yield facts.hit(
                context,
                checks,
                Q.BOTH_LENGTHS.value,
                "After a request with both `Content-Length` and `Transfer-Encoding` the connection "
                "was used for another one.",
                both,
                class_=N,
                confidence=Confidence.MEDIUM,
            )


@rule(
    RuleInfo(
        id="http-method",
        title="A method is served that should be refused",
        class_=M,
        evidence=Evidence.E3,
        what="`TRACE` gives the request's headers back (and with them what a proxy added), or "
        "`CONNECT` opens a tunnel. A note for `PUT` that is taken as `POST` is.",
        proof="The answer.",
        quiet_when="They are answered with 405, 404, 501 or 400.",
        fix="Serve `GET`, `POST`, `DELETE` and `OPTIONS` only.",
        cwe=(650,),
    )
)
def method(context: Context) -> Iterator[Hit]:
    """``TRACE``, ``CONNECT`` and ``PUT``."""
    for checks in facts.each(context):
        trace, connect = facts.answer(checks, Q.TRACE), facts.answer(checks, Q.CONNECT)
        put = facts.answer(checks, Q.PUT)
        if facts.succeeded(trace) and SITE in trace.text:
            said = "`TRACE` gave the request's headers back."
            yield facts.hit(context, checks, "trace", said, trace)
        if facts.succeeded(connect):
            said = f"`CONNECT` was answered with status {connect.status}."
            yield facts.hit(context, checks, "connect", said, connect)
        if put.result:
            said = "A message that came by `PUT` was answered."
            yield facts.hit(context, checks, "put", said, put, class_=N)


@rule(
    RuleInfo(
        id="http-version-ignored",
        title="A protocol version that does not exist is accepted",
        class_=N,
        evidence=Evidence.E3,
        what="A request with `MCP-Protocol-Version: 1999-01-01` is answered; the protocol asks for "
        "400. A note: client and server may take the same message for two different things.",
        proof="The answer to that request.",
        quiet_when="It is refused; the same request with the right version is not answered either.",
        fix="Compare the header with the versions that you speak.",
        cwe=(1286,),
    )
)
def version_ignored(context: Context) -> Iterator[Hit]:
    """A version that nobody speaks."""
    for checks in facts.each(context):
        odd = facts.answer(checks, Q.UNKNOWN_VERSION)
        if odd.result:
            yield facts.hit(
                context, checks, "version", "A version that does not exist was accepted.", odd
            )


@rule(
    RuleInfo(
        id="http-header-mismatch",
        title="Headers that contradict the message are accepted",
        class_=M,
        evidence=Evidence.E3,
        what="`Mcp-Method` names another method than the body, and the body is obeyed. A proxy "
        "that lets requests through by that header, as the protocol (2026-07-28) means it to, is "
        "told one thing and the server does another.",
        proof="The answer in MCP to that request.",
        quiet_when="It is refused (400, error −32020); the server does not speak that version.",
        fix="Compare `Mcp-Method`, `Mcp-Name` and `MCP-Protocol-Version` with the body.",
        cwe=(436, 863),
    )
)
def header_mismatch(context: Context) -> Iterator[Hit]:
    """A method in the header that is not the body's."""
    for checks in facts.each(context):
        other = facts.answer(checks, Q.OTHER_METHOD)
        if other.result:
            yield facts.hit(
                context,
                checks,
                "method",
                "`Mcp-Method: ping` was sent with another method in the body, which was obeyed.",
                other,
            )
