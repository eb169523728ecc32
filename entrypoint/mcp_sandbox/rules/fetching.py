"""Addresses that the caller chose and the server opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.boundary import is_file_url, listed, places, value_of
from mcp_sandbox.rules.context import ANSWERED, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import said, sent
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_SSRF = "ssrf"


@rule(
    RuleInfo(
        id="ssrf",
        title="The server opens addresses that the caller chose",
        class_=H,
        evidence=Evidence.E1,
        what="An address given by the caller is opened from where the server stands: a local file "
        "through `file:`, the cloud's metadata service, the machine's own ports. Without a "
        "network nothing can arrive, so a network address is at most medium here: the kernel's "
        "refusal, named in the reply, shows that the server tried to connect instead of refusing. "
        "It is a note when only words say so, and for loopback on a tool made for fetching.",
        proof="For `file:`, the planted content in the reply. For the network, a connection error "
        "that the kernel gives, in the reply to that address and not in ordinary calls.",
        quiet_when="The address is refused by the server itself; ordinary calls fail the same way "
        "without naming the address; a tool that says it takes `file:` addresses (a note).",
        fix="Allow https and named hosts only; resolve once, refuse private, loopback and "
        "link-local addresses, and connect to the address that was checked.",
        cwe=(918,),
    )
)
def ssrf(context: Context) -> Iterator[Hit]:
    """``file:`` content, and connections that were tried."""
    for made in context.family(_SSRF, "path-traversal"):
        if made.call.family != _SSRF and not is_file_url(made):
            continue
        if found := places(made.call.canaries, files=True):
            by_design = capability.reads_file_urls(context, made)
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="file",
                message=f"The reply to “{value_of(made)}” holds the planted content of "
                f"{listed(found)}" + (", as the tool offers." if by_design else "."),
                class_=N if by_design else None,
                session=made.session,
                calls=(made.call,),
            )
        elif made.call.family == _SSRF and made.call.status in ANSWERED and _is_network(made):
            yield from _tried(context, made)


def _is_network(made: Made) -> bool:
    value = str(capability.value_at(made.call.arguments, made.call.parameter)).lower()
    return not value.startswith(("file:", "data:", "http+unix:"))


_ERRNO = re.compile(
    r"ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|network is unreachable|no route to host"
    r"|connection refused|connect call failed|\[Errno (?:101|111|113)\]|os error (?:101|111|113)",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"all connection attempts failed|failed to connect|cannot connect|could(?:n't| not) connect"
    r"|connection (?:error|issue|failed|timed out)|connecterror|max retries exceeded|fetch failed",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"not (?:a )?(?:allowed|permitted|public)|forbidden|blocked|disallowed|denied|unsafe|prohibited"
    r"|private (?:ip|addr|net)|internal (?:ip|addr)|restricted|only (?:https|public)"
    r"|refus(?:e|es|ed|ing) (?:to|the (?:address|host|url))",
    re.IGNORECASE,
)
_METADATA = re.compile(r"169\.254\.|metadata\.google|fd00:ec2|100\.100\.100\.200|2852039166|0xa9fe")


def _tried(context: Context, made: Made) -> Iterator[Hit]:
    text = said(made.call)
    logged = _logged(made)
    ours = sent(made.call)
    errno = _ERRNO.search(text) or _ERRNO.search(logged)
    match = errno or _WORDS.search(text)
    if match is None or _REFUSES.search(text) or any(match[0] in string for string in ours):
        return
    pattern = _ERRNO if errno else _WORDS
    if not (logged or _names_address(text, ours)) and any(
        pattern.search(said(other.call))
        for other in context.by_target[made.subject]
        if other.call.family != _SSRF
    ):
        return
    metadata = any(_METADATA.search(string.partition("?")[0]) for string in ours)
    milder = errno is None or (not metadata and capability.fetches(context, made))
    yield Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact="network",
        message=f"The server tried to connect to “{value_of(made)}” and did not refuse: "
        f"“{quote(match.string, 160)}”.",
        class_=N if milder else M,
        confidence=Confidence.LOW if errno is None else Confidence.MEDIUM,
        evidence=Evidence.E5 if errno is None else Evidence.E4,
        session=made.session,
        calls=(made.call,),
    )


def _logged(made: Made) -> str:
    """Lines of standard error that name the call."""
    nonce = made.call.nonce
    if not nonce or nonce not in made.session.container.stderr:
        return ""
    return "\n".join(line for line in made.session.container.stderr.splitlines() if nonce in line)


def _names_address(text: str, ours: tuple[str, ...]) -> bool:
    """The error names the host that we asked for."""
    hosts = {
        host
        for string in ours
        for host in re.findall(r"^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(\[[^\]]+\]|[^/:?#]+)", string)
    }
    return any(host in text for host in hosts if host)
