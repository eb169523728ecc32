"""Who a server talks to: unasked, undeclared, or through names that carry data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mcp_sandbox import deeds
from mcp_sandbox.model import (
    Act,
    Confidence,
    Deed,
    Evidence,
    KernelEvent,
    Network,
    RiskClass,
    RuleInfo,
    Session,
    SinkEvent,
    SinkKind,
    Window,
)
from mcp_sandbox.rules import hosts
from mcp_sandbox.rules.context import Arrived, Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.secrets import entropy
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

TRAFFIC = frozenset(SinkKind) - {SinkKind.TAMPER}
CONNECTIONS = TRAFFIC - {SinkKind.DNS}
NAMES_PORT = 53
_OWN_ADDRESS = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "10.255.255.255", "10.254.254.254"})
"""Addresses that programs connect a datagram socket to, sending nothing, to learn their own."""
MAX_SHOWN = 4


def _unprompted(context: Context) -> dict[str, list[Arrived]]:
    """Domain -> what went there outside the calls, and was not begun by one."""
    found: dict[str, list[Arrived]] = {}
    for session in context.sessions:
        if not (arrived := _arrived(context, session)):
            continue
        # What is still heard after a call may be the end of what it began.
        begun = set(_ours(context, session))
        for one in arrived:
            own = hosts.domain(one.event.host)
            if one.event.kind not in TRAFFIC or hosts.is_nameless(one.event.host):
                continue
            if one.event.window is Window.CALL:
                begun.add(own)
            elif one.event.window is Window.START or not (own in begun or _computed(one)):
                found.setdefault(own, []).append(one)
    return found


def _ours(context: Context, session: Session) -> frozenset[str]:
    """Domains that our own arguments name."""
    return context.kept(
        f"domains asked for {id(session)}", lambda: hosts.asked_for(session.transcript.calls)
    )


_PRODUCT = re.compile(r"[0-9]+\.example")


def _computed(one: Arrived) -> bool:
    """A name that an input of ours had computed: the rule of its family tells of it."""
    first, _, rest = hosts.canonical(one.event.host).partition(".")
    return bool(_PRODUCT.fullmatch(rest)) and any(
        first == call.nonce for call in one.session.transcript.calls
    )


def _arrived(context: Context, session: Session) -> list[Arrived]:
    table = context.kept("arrived by session", lambda: _by_session(context))
    return table.get(id(session), [])


def _by_session(context: Context) -> dict[int, list[Arrived]]:
    table: dict[int, list[Arrived]] = {}
    for one in context.arrived:
        table.setdefault(id(one.session), []).append(one)
    return table


def unprompted(context: Context) -> dict[str, list[Arrived]]:
    """Domain -> what went there outside the calls; made once."""
    return context.kept("unprompted traffic", lambda: _unprompted(context))


def _why_mild(context: Context, own: str, arrived: Sequence[Arrived]) -> str:
    """What makes traffic to a domain no surprise; empty when it is one."""
    if own in hosts.declared(context):
        return ", which its own texts, its image or its arguments name"
    return ", which is known for telemetry or updates" if _all_known(arrived) else ""


def _all_known(arrived: Sequence[Arrived]) -> bool:
    return all(hosts.is_known(host) for host in {one.event.host for one in arrived})


@rule(
    RuleInfo(
        id="unprompted-network",
        title="The server uses the network without being asked",
        class_=H,
        evidence=Evidence.E3,
        what="At start-up, while its tools are listed, while nothing is asked or at its end, the "
        "server looks up a name, connects, or sends a datagram.",
        proof="What arrived at the sink outside the calls; without a sink, the kernel's record of "
        "the attempt.",
        quiet_when="The connection goes to the machine itself, or goes on from a call. A note when "
        "the server's texts, its image's settings, its arguments or `--allow` name the host, for "
        "known telemetry and questions for updates, and for a name that was asked for where there "
        "is no sink to say which.",
        fix="Use the network in answer to a call only; make telemetry and update checks something "
        "that the user turns on.",
        cwe=(506, 359),
    )
)
def unprompted_network(context: Context) -> Iterator[Hit]:
    """Traffic outside the calls, one hit a domain."""
    for own, arrived in unprompted(context).items():
        mild = _why_mild(context, own, arrived)
        first = arrived[0].session
        yield Hit(
            subject="server",
            fact=f"network {own}",
            message=f"Outside any call the server asked for {quote(own, 120)}{mild}.",
            class_=N if mild else None,
            session=first,
            sink=tuple(one.event for one in arrived if one.session is first)[:MAX_SHOWN],
            about=_objects(arrived),
        )
    for session in context.sessions:
        yield from _tried(context, session)


def _tried(context: Context, session: Session) -> Iterator[Hit]:
    """What the sink cannot have seen: there is none, or the datagram never left the machine."""
    container = session.container
    seen = {hosts.canonical(event.address) for event in container.sink if event.address}
    seen |= {hosts.canonical(event.host) for event in container.sink}
    for event in container.kernel:
        if event.window is Window.CALL or event.act not in {Act.CONNECT, Act.SEND}:
            continue
        address, port = hosts.split_port(event.object)
        if not address or hosts.scope(address) is hosts.Scope.LOOPBACK or address in seen:
            continue
        if container.network is Network.SINK and (event.act is Act.CONNECT or port == NAMES_PORT):
            continue  # the sink answers both, and a connection without a byte arrives there too
        mild = port == NAMES_PORT or address in _OWN_ADDRESS or address in hosts.declared(context)
        what = "asked for a name" if port == NAMES_PORT else f"tried to reach {address}"
        yield Hit(
            subject="server",
            fact="a name" if port == NAMES_PORT else f"tried {address}",
            message=f"Outside any call the server {what}.",
            class_=N if mild else None,
            confidence=Confidence.MEDIUM,
            evidence=Evidence.E3 if event.result == "ok" else Evidence.E4,
            session=session,
            kernel=(event,),
        )


@rule(
    RuleInfo(
        id="undeclared-endpoint",
        title="A call reaches a host that nothing names",
        class_=M,
        evidence=Evidence.E3,
        what="During a call the server turns to a host that neither the call's arguments nor the "
        "server's own texts nor its image's settings name. Nobody who approved the server could "
        "know of it.",
        proof="What arrived at the sink in that call's time.",
        quiet_when="An argument of ours, the listing, the image's environment or arguments, or "
        "`--allow` names the host, its domain, or its service by name. A note for known telemetry "
        "and questions for updates. Unprompted traffic, and planted secrets that were sent, are "
        "reported by their own rules.",
        fix="Name the hosts in the tool's description or in the README, or let the user set them.",
        cwe=(359, 912),
    )
)
def undeclared_endpoint(context: Context) -> Iterator[Hit]:
    """Domains in the windows of calls, one hit a domain."""
    told = set(unprompted(context))
    told |= {
        hosts.domain(one.event.host) for one in context.arrived if one.event.canaries
    }  # reported as what they are
    found: dict[str, list[Arrived]] = {}
    for session in context.sessions:
        if not (arrived := _arrived(context, session)):
            continue
        ours = _ours(context, session)
        for one in arrived:
            own = hosts.domain(one.event.host)
            if one.made is None or one.event.kind not in TRAFFIC or own in told or own in ours:
                continue
            if hosts.is_nameless(one.event.host) or own in hosts.declared(context):
                continue
            if _computed(one):
                continue
            found.setdefault(own, []).append(one)
    for own, arrived in found.items():
        first = arrived[0]
        known = _all_known(arrived)
        yield Hit(
            subject="server",
            fact=f"endpoint {own}",
            message=f"A call of “{quote(first.made.call.target if first.made else '', 80)}” made "
            f"the server turn to {quote(own, 120)}, which "
            + ("is known for telemetry or updates." if known else "nothing names."),
            class_=N if known else None,
            session=first.session,
            calls=(first.made.call,) if first.made else (),
            sink=tuple(
                one.event
                for one in arrived
                if one.session is first.session and one.event.call == first.event.call
            )[:MAX_SHOWN],
            about=_objects(arrived),
        )


def _objects(arrived: Sequence[Arrived]) -> tuple[Deed, ...]:
    found = {deed for one in arrived for deed in deeds.of_sink(one.session, one.event)}
    return tuple(found)


# --- data in names --------------------------------------------------------------------------------

MIN_LABELS = 10
LONG_LABEL = 30
MIN_ENTROPY = 3.2
"""Bits per character: hexadecimal has up to 4, a word that is said over and over 2.5 or less."""


@rule(
    RuleInfo(
        id="dns-tunnel",
        title="Data leaves in the names that are looked up",
        class_=H,
        evidence=Evidence.E3,
        what="The server looks up many long random names below one domain: whoever runs that "
        "domain's name server reads them, even where every connection is forbidden.",
        proof=f"At least {MIN_LABELS} different labels of more than {LONG_LABEL} random characters "
        "below one domain, asked of the sink.",
        quiet_when="One long name is asked for again and again, the labels are words, the call "
        "named them, or a domain that the server names is asked for a few of them a call, as a "
        "content network is. A planted secret in such names is canary-exfiltrated.",
        fix="Look up no name that is made of data.",
        cwe=(514, 506),
    )
)
def dns_tunnel(context: Context) -> Iterator[Hit]:
    """Domains with many long random labels in one session."""
    for session in context.sessions:
        found: dict[str, dict[str, Arrived]] = {}
        sent = ""
        for one in _arrived(context, session):
            if one.event.kind is not SinkKind.DNS:
                continue
            for label in one.event.host.lower().split("."):
                if _carries(label):
                    sent = sent or _sent(session)
                    if label not in sent:
                        found.setdefault(hosts.domain(one.event.host), {}).setdefault(label, one)
        for own, labels in found.items():
            asked = list(labels.values())
            if own in hosts.declared(context):
                asked = _most(asked)
            if len(asked) < MIN_LABELS:
                continue
            yield Hit(
                subject=asked[0].subject,
                fact=f"tunnel {own}",
                message=f"At least {MIN_LABELS} long random names below {quote(own, 120)} were "
                "looked up.",
                session=session,
                calls=(asked[0].made.call,) if asked[0].made else (),
                sink=tuple(one.event for one in asked[:MAX_SHOWN]),
            )


def _carries(label: str) -> bool:
    return len(label) > LONG_LABEL and (
        entropy(re.sub(r"[^a-z0-9]", "", label)) >= MIN_ENTROPY or "<planted:" in label
    )


def _sent(session: Session) -> str:
    return "\n".join(
        text.lower() for call in session.transcript.calls for text in hosts.strings(call)
    )


def _most(asked: list[Arrived]) -> list[Arrived]:
    """The questions of the window that has most of them."""
    windows: dict[tuple[Window, int], list[Arrived]] = {}
    for one in asked:
        windows.setdefault((one.event.window, one.event.call), []).append(one)
    return max(windows.values(), key=len)


def kernel_connects(session: Session, call: int) -> Iterator[tuple[KernelEvent, str, int]]:
    """(event, canonical address, port) of connections and datagrams in a call's window."""
    for event in session.container.kernel:
        if event.call == call and event.act in {Act.CONNECT, Act.SEND}:
            address, port = hosts.split_port(event.object)
            if address:
                yield event, address, port


def is_connection(event: SinkEvent) -> bool:
    """More than a question for a name."""
    return event.kind in CONNECTIONS
