"""Texts that differ: between two listings of a session, between clients, between eras."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from mcp_sandbox.model import (
    Confidence,
    Evidence,
    ItemKind,
    Json,
    Moment,
    RiskClass,
    RuleInfo,
    Session,
    Transport,
)
from mcp_sandbox.rules.context import Context, compact
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import NAME_KEY, quote

H, N = RiskClass.HIGH, RiskClass.NOTE

_ADVERTISED = (ItemKind.TOOLS, ItemKind.PROMPTS, ItemKind.TEMPLATES)
"""Kinds whose items are the server's own words. Resources come and go with the data."""
_CHANGED = {
    ItemKind.TOOLS: "notifications/tools/list_changed",
    ItemKind.PROMPTS: "notifications/prompts/list_changed",
    ItemKind.RESOURCES: "notifications/resources/list_changed",
    ItemKind.TEMPLATES: "notifications/resources/list_changed",
}


def _by_name(kind: ItemKind, items: tuple[Json, ...]) -> dict[str, list[str]]:
    """Name -> its items as text, sorted: order does not count, duplicates do."""
    found: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, dict):
            name = str(item.get(NAME_KEY[kind]))
            found.setdefault(name, []).append(compact(without_enums(item)))
    return {name: sorted(texts) for name, texts in found.items()}


def without_enums(value: Json) -> Json:
    """An item without its enums, which may follow the data; their texts are judged elsewhere."""
    if isinstance(value, dict):
        return {
            key: "enum" if key == "enum" and isinstance(inner, list) else without_enums(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_enums(inner) for inner in value]
    return value


def _only_numbers(before: list[str], after: list[str]) -> bool:
    return [re.sub(r"[0-9]+", "0", one) for one in before] == [
        re.sub(r"[0-9]+", "0", one) for one in after
    ]


def _shuffled(before: list[str], after: list[str]) -> RiskClass | None:
    """A note for the same words in another order."""
    words = [sorted(re.findall(r"[^\W_]+", " ".join(one))) for one in (before, after)]
    return N if words[0] == words[1] else None


def _difference(before: str, after: str) -> str:
    """The first words that differ, with a little before them."""
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    at = at or min(len(before), len(after))
    start = max(0, at - 20)
    return f"“{quote(before[start : at + 80], 100)}” became “{quote(after[start : at + 80], 100)}”"


@rule(
    RuleInfo(
        id="rug-pull",
        title="The server changed its texts during the session",
        class_=H,
        evidence=Evidence.E3,
        what="A tool, prompt or resource that was listed before the calls reads differently after "
        "them, or tools came or went without notice. What a person approved is not what the model "
        "is told later.",
        proof="The two listings of one session, compared item by item as raw JSON.",
        quiet_when="The order differs, an enum follows the data, resources come and go. Tools that "
        "come or go after the protocol's own notice, and texts that differ in numbers only, are "
        "notes.",
        fix="Keep names, descriptions and schemas constant for the life of the server.",
        cwe=(494, 1427),
    )
)
def rug_pull(context: Context) -> Iterator[Hit]:
    """Items that differ between the first and the second listing."""
    for session in context.sessions:
        for kind in ItemKind:
            before = context.listed(session, kind, Moment.BEFORE)
            after = context.listed(session, kind, Moment.AFTER)
            if before is None or after is None or before is after:
                continue
            yield from _pulled(session, kind, _by_name(kind, before), _by_name(kind, after))


def _pulled(
    session: Session, kind: ItemKind, before: dict[str, list[str]], after: dict[str, list[str]]
) -> Iterator[Hit]:
    noticed = session.transcript.notifications.get(_CHANGED[kind], 0) > 0
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None or new is None:
            if kind not in _ADVERTISED:
                continue
            what = "appeared" if old is None else "was gone"
            tail = ", which the server had announced" if noticed else " without notice"
            message = f"After the calls “{quote(name, 80)}” {what}{tail}."
            class_ = N if noticed else None
        else:
            what = "changed"
            message = (
                f"After the calls the text differs: {_difference(''.join(old), ''.join(new))}."
            )
            class_ = N if _only_numbers(old, new) else None
        yield Hit(
            subject=f"{kind.value}/{name}",
            fact=what,
            message=message,
            class_=class_,
            confidence=Confidence.MEDIUM if class_ is N else Confidence.HIGH,
            session=session,
            lists=kind,
        )


@rule(
    RuleInfo(
        id="identity-dependent",
        title="The server tells different clients different things",
        class_=H,
        evidence=Evidence.E3,
        what="Two clients with the same capabilities and different names are shown different "
        "tools, prompts or instructions. A server that knows its auditor can behave.",
        proof="The listings of the two sessions, compared item by item as raw JSON.",
        quiet_when="The clients' capabilities or protocol eras differ, a listing is not whole, or "
        "two sessions of one and the same client differ as well. A note when the words are the "
        "same in another order: a set of the server's comes out anew at each start.",
        fix="Show every client the same.",
        cwe=(807,),
    )
)
def identity_dependent(context: Context) -> Iterator[Hit]:
    """First listings of sessions that differ in the client's name only."""
    unsteady = {
        subject
        for one, other in combinations(context.sessions, 2)
        if _alike(one, other) and one.transcript.identity == other.transcript.identity
        for subject, *_ in differences(context, one, other)
    }
    for one, other in combinations(context.sessions, 2):
        if not _alike(one, other) or one.transcript.identity == other.transcript.identity:
            continue
        for subject, message, kind, class_ in differences(context, one, other):
            if subject not in unsteady:
                names = one.transcript.identity.name, other.transcript.identity.name
                yield Hit(
                    subject=subject,
                    fact="identity",
                    message=f"Shown to “{quote(names[0], 40)}” and “{quote(names[1], 40)}”: "
                    f"{message}.",
                    class_=class_,
                    confidence=Confidence.HIGH if class_ is None else Confidence.LOW,
                    session=other,
                    lists=kind,
                )


def _alike(one: Session, other: Session) -> bool:
    a, b = one.transcript, other.transcript
    return (
        a.era is b.era
        and a.identity.capabilities == b.identity.capabilities
        and transport(one) is transport(other)
        and one.container.relaxation is other.container.relaxation
    )


def transport(session: Session) -> Transport:
    """What a conversation was held over."""
    http = session.transcript.http
    return http.place.transport if http else Transport.STDIO


def differences(
    context: Context, one: Session, other: Session
) -> Iterator[tuple[str, str, ItemKind | None, RiskClass | None]]:
    """(subject, what differs, the list it stands in, class) between the first listings of two."""
    a, b = one.transcript, other.transcript
    if a.version and b.version and not _only_numbers([a.instructions], [b.instructions]):
        what = f"the instructions: {_difference(a.instructions, b.instructions)}"
        yield "server", what, None, _shuffled([a.instructions], [b.instructions])
    for kind in _ADVERTISED:
        first = context.listed(one, kind, Moment.BEFORE)
        second = context.listed(other, kind, Moment.BEFORE)
        if first is None or second is None or first is second:
            continue
        left, right = _by_name(kind, first), _by_name(kind, second)
        for name in sorted(left.keys() | right.keys()):
            subject = f"{kind.value}/{name}"
            if name not in left or name not in right:
                yield subject, "only one of them is told of it", kind, None
            elif not _only_numbers(left[name], right[name]):
                what = _difference("".join(left[name]), "".join(right[name]))
                yield subject, what, kind, _shuffled(left[name], right[name])


@rule(
    RuleInfo(
        id="era-difference",
        title="The two protocol eras are told different things",
        class_=N,
        evidence=Evidence.E3,
        what="A server that speaks both families of protocol versions lists other tools or "
        "prompts, or words them differently, in one of them.",
        proof="The listings of the two sessions, compared item by item.",
        quiet_when="The server speaks one era only, a listing is not whole, or members that only "
        "one era has make the difference.",
        fix="Build both listings from one definition.",
    )
)
def era_difference(context: Context) -> Iterator[Hit]:
    """Names and descriptions that differ between eras."""
    for one, other in combinations(context.sessions, 2):
        if one.transcript.era is other.transcript.era or transport(one) is not transport(other):
            continue
        for kind in _ADVERTISED:
            first = context.listed(one, kind, Moment.BEFORE)
            second = context.listed(other, kind, Moment.BEFORE)
            if first is None or second is None:
                continue
            left, right = _described(kind, first), _described(kind, second)
            for name in sorted(left.keys() | right.keys()):
                if left.get(name) != right.get(name):
                    yield Hit(
                        subject=f"{kind.value}/{name}",
                        fact="era",
                        message=f"“{quote(name, 80)}” is "
                        + (
                            "described differently in the two eras."
                            if name in left and name in right
                            else "listed in one era only."
                        ),
                        session=other,
                        lists=kind,
                    )


def _described(kind: ItemKind, items: tuple[Json, ...]) -> dict[str, str]:
    return {
        str(item.get(NAME_KEY[kind])): str(item.get("description", ""))
        for item in items
        if isinstance(item, dict)
    }
