"""What a server tells over one transport and not over another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mcp_sandbox.model import (
    Confidence,
    Evidence,
    ItemKind,
    Moment,
    RiskClass,
    RuleInfo,
    Session,
    Transport,
)
from mcp_sandbox.rules.change import differences, transport
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import NAME_KEY, quote

M = RiskClass.MEDIUM

_OVER = {
    Transport.STDIO: "the standard streams",
    Transport.HTTP: "streamable HTTP",
    Transport.SSE: "HTTP with server-sent events",
}


@rule(
    RuleInfo(
        id="transport-dependent",
        title="The server tells different transports different things",
        class_=M,
        evidence=Evidence.E3,
        what="One client is shown other tools, prompts or instructions over one transport than "
        "over another. What was reviewed over the one is not what is used over the other.",
        proof="The listings of the two sessions, compared item by item as raw JSON.",
        quiet_when="The server speaks one transport only, the eras or the clients differ, a "
        "listing is not whole, or two sessions over one transport differ as well. A note when the "
        "words are the same in another order.",
        fix="Build the listing from one definition, whatever carries it.",
        cwe=(1059,),
    )
)
def transport_dependent(context: Context) -> Iterator[Hit]:
    """First listings of sessions that differ in the transport only."""
    pairs = [
        (one, other)
        for one, other in combinations(context.sessions, 2)
        if one.transcript.era is other.transcript.era
        and one.transcript.identity == other.transcript.identity
        and one.container.relaxation is other.container.relaxation
    ]
    unsteady = {
        subject
        for one, other in pairs
        if transport(one) is transport(other)
        for subject, *_ in differences(context, one, other)
    }
    told: set[str] = set()
    for one, other in pairs:
        if transport(one) is transport(other):
            continue
        for subject, what, kind, class_ in differences(context, one, other):
            if subject in unsteady or subject in told:
                continue
            told.add(subject)
            yield Hit(
                subject=subject,
                fact="transport",
                message=_one_side(context, (one, other), subject, kind)
                or f"Over {_OVER[transport(one)]} and over {_OVER[transport(other)]}: {what}.",
                class_=class_,
                confidence=Confidence.HIGH if class_ is None else Confidence.LOW,
                session=other,
                lists=kind,
            )


def _one_side(
    context: Context, pair: tuple[Session, Session], subject: str, kind: ItemKind | None
) -> str:
    """Who is told of it and who is not; empty when both are."""
    if kind is None:
        return ""
    name = subject.partition("/")[2]
    told = [one for one in pair if _lists(context, one, kind, name)]
    if len(told) != 1:
        return ""
    yes, no = told[0], pair[1] if told[0] is pair[0] else pair[0]
    return (
        f"“{quote(name, 80)}” is listed over {_OVER[transport(yes)]} and not over "
        f"{_OVER[transport(no)]}."
    )


def _lists(context: Context, session: Session, kind: ItemKind, name: str) -> bool:
    items = context.listed(session, kind, Moment.BEFORE) or ()
    return any(isinstance(item, dict) and str(item.get(NAME_KEY[kind])) == name for item in items)
