"""Addresses that the caller chose and the server opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    Act,
    Confidence,
    Evidence,
    KernelEvent,
    Network,
    RiskClass,
    RuleInfo,
    SinkEvent,
)
from mcp_sandbox.rules import capability, hosts
from mcp_sandbox.rules.boundary import is_file_url, opened_outside, value_of
from mcp_sandbox.rules.context import ANSWERED, VALID, Context, Made
from mcp_sandbox.rules.hosts import Scope
from mcp_sandbox.rules.network import is_connection, kernel_connects
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import said, sent
from mcp_sandbox.rules.secrets_out import listed, places
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
        "through `file:`, the cloud's metadata service, the machine's own ports, its private "
        "network. A name that is public when it is checked and the machine itself when it is "
        "connected to counts as well.",
        proof="For `file:`, the planted content in the reply (medium when the kernel opened the "
        "file and nothing came back). For the network, the request at the sink, with the call's "
        "nonce (E2) or at the address that the call named (E3); for the machine itself, the "
        "kernel's record of the connection. Without a network and a trace, a connection error that "
        "the kernel gives, in the reply to that address and not in ordinary calls: at most medium.",
        quiet_when="The address is refused by the server itself, or only its name is looked up; "
        "start-up or ordinary calls reach it too. On a tool made for fetching, the machine itself "
        "and private addresses are a note, metadata services are not; one that refuses the machine "
        "itself and is led there by a name whose address changes is high. A tool that says it "
        "takes `file:` addresses, and mere words of a failure, give a note.",
        fix="Allow https and named hosts only; resolve once, refuse private, loopback and "
        "link-local addresses, and connect to the address that was checked.",
        cwe=(918,),
    )
)
def ssrf(context: Context) -> Iterator[Hit]:
    """``file:`` content, and connections that were made or tried."""
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
        elif is_file_url(made) and (opened := opened_outside(context, made)):
            by_design = capability.reads_file_urls(context, made)
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="file",
                message=f"At “{value_of(made)}” the server opened the planted "
                f"{quote(opened[0].object, 120)}; nothing of it came back.",
                class_=N if by_design else M,
                evidence=Evidence.E3,
                session=made.session,
                calls=(made.call,),
                kernel=opened,
            )
        elif made.call.family == _SSRF and _is_network(made):
            yield from _reached(context, made)
            if made.session.container.network is Network.NONE and made.call.status in ANSWERED:
                yield from _tried(context, made)


def _is_network(made: Made) -> bool:
    value = str(capability.value_at(made.call.arguments, made.call.parameter)).lower()
    return not value.startswith(("file:", "data:", "http+unix:"))


_REBIND = "rebind-"
"""How the first label of a name begins that our name server answers anew with 127.0.0.1."""
_METADATA_ADDRESS = "169.254.169.254"
_OPEN = "EINPROGRESS"
_UNANSWERED = frozenset(
    {"ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL", "EACCES", "EPERM"}
)
_STREAM, _DATAGRAM = "TCP", "UDP"


def _aims(made: Made) -> frozenset[str]:
    """Canonical hosts inside the machine or its network that the call's address may mean."""
    value = capability.value_at(made.call.arguments, made.call.parameter)
    if not isinstance(value, str):
        return frozenset()
    aims = {
        host
        for host in hosts.meant(value)
        if hosts.scope(host) is not Scope.PUBLIC or host.startswith(_REBIND)
    }
    # The name server gives the names of metadata services the address that they have everywhere.
    if any(hosts.scope(host) is Scope.METADATA and not hosts.is_address(host) for host in aims):
        aims.add(_METADATA_ADDRESS)
    return frozenset(aims)


def _reached(context: Context, made: Made) -> Iterator[Hit]:
    """What arrived at an internal address because of the call, best proof first."""
    aims = _aims(made)
    if not aims:
        return
    container = made.session.container
    ordinary = context.kept("reached ordinarily", lambda: _ordinarily(context))
    for event in container.sink:
        if not is_connection(event) or not _of_call(event, made):
            continue
        there = {hosts.canonical(event.host), hosts.canonical(event.address)} & aims
        there = {host for host in there if not host.startswith(_REBIND)}
        if there and not any((id(made.session), made.subject, one) in ordinary for one in there):
            nonce = bool(made.call.nonce) and made.call.nonce in event.text
            proof = Evidence.E2 if nonce else Evidence.E3
            yield _hit(context, made, min(there), proof, sink=(event,))
            return
    loopback = any(hosts.scope(one) is Scope.LOOPBACK or one.startswith(_REBIND) for one in aims)
    port = _port(made)
    for kernel, address, at in kernel_connects(made.session, made.call.number):
        inside = loopback and hosts.scope(address) is Scope.LOOPBACK
        if not (inside or (container.network is Network.NONE and address in aims)):
            continue
        if (port and at != port) or (id(made.session), made.subject, kernel.object) in ordinary:
            continue
        if (level := _kernel_proof(kernel, inside=inside)) is not None:
            yield _hit(context, made, address, level, kernel=(kernel,))
            return


def _kernel_proof(event: KernelEvent, *, inside: bool) -> Evidence | None:
    """``None`` for a datagram socket that was connected: nothing was sent by that.

    The C library does it with every address of a name, in order to sort them.
    """
    if event.act is Act.CONNECT and event.detail == _DATAGRAM:
        return None
    if event.result in _UNANSWERED:
        return Evidence.E4
    if event.result == _OPEN or not inside:
        return Evidence.E3 if event.result in {_OPEN, "ok"} else None
    told = event.detail == _STREAM or event.act is Act.SEND
    return Evidence.E3 if event.result == "ok" and told else None


def _of_call(event: SinkEvent, made: Made) -> bool:
    """The request holds the call's nonce; one without any belongs to the call of its time."""
    return event.call == made.call.number or (
        bool(made.call.nonce) and made.call.nonce in event.text
    )


def _ordinarily(context: Context) -> frozenset[tuple[int, str, str]]:
    """(session, subject, host or kernel object) of what ordinary calls and start-up reach."""
    found: set[tuple[int, str, str]] = set()
    unasked: dict[int, set[str]] = {}
    for one in context.arrived:
        names = {hosts.canonical(one.event.host), hosts.canonical(one.event.address)} - {""}
        if one.made is None:
            unasked.setdefault(id(one.session), set()).update(names)
        elif one.made.call.family == VALID:
            found |= {(id(one.session), one.subject, name) for name in names}
    for did in context.did:
        if did.made is None:
            unasked.setdefault(id(did.session), set()).add(did.event.object)
        elif did.made.call.family == VALID:
            found.add((id(did.session), did.subject, did.event.object))
    found |= {
        (session, subject, name)
        for session, names in unasked.items()
        for subject in context.by_target
        for name in names
    }
    return frozenset(found)


def _port(made: Made) -> int:
    """The port that an address asks for; 0 where it asks for none and any would do."""
    value = str(capability.value_at(made.call.arguments, made.call.parameter))
    if "://" not in value:
        return 0
    named = re.match(r"[a-z+]+://[^/?#]*?:([0-9]{1,5})(?:[/?#]|$)", value, re.IGNORECASE)
    return int(named[1]) if named else 443 if value.lower().startswith("https:") else 80


def _hit(
    context: Context,
    made: Made,
    host: str,
    proof: Evidence,
    *,
    kernel: tuple[KernelEvent, ...] = (),
    sink: tuple[SinkEvent, ...] = (),
) -> Hit:
    metadata = hosts.scope(host) is Scope.METADATA
    rebound = any(one.startswith(_REBIND) for one in _aims(made))
    by_design = capability.fetches(context, made) and not metadata
    slipped = by_design and rebound and _refuses_itself(context, made)
    return Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact="rebinding" if slipped else "network",
        message=f"At “{value_of(made)}” the server connected to {host}"
        + (
            ", which it refuses when it is named openly."
            if slipped
            else ", as a tool that fetches does."
            if by_design
            else "."
        ),
        class_=N if by_design and not slipped else None,
        evidence=proof,
        session=made.session,
        calls=(made.call,),
        kernel=kernel,
        sink=sink,
    )


def _refuses_itself(context: Context, made: Made) -> bool:
    """Calls that named the machine itself were made, and none of them led to a connection."""
    open_ones = [
        other
        for other in context.by_target[made.subject]
        if other.call.family == _SSRF
        and other.session is made.session
        and other.call.parameter == made.call.parameter
        and any(hosts.scope(one) is Scope.LOOPBACK for one in _aims(other))
    ]
    return bool(open_ones) and not any(
        hosts.scope(address) is Scope.LOOPBACK and _kernel_proof(event, inside=True)
        for other in open_ones
        for event, address, _ in kernel_connects(other.session, other.call.number)
    )


# --- words, where there is no network -------------------------------------------------------------

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
