"""Breaches of the protocol, and listings that are hard to use."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import BreachKind, Evidence, ItemKind, Json, RiskClass, RuleInfo
from mcp_sandbox.rules.context import Context, compact
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote

M, N = RiskClass.MEDIUM, RiskClass.NOTE

POLLUTION = frozenset({BreachKind.NOT_JSON, BreachKind.NOT_AN_OBJECT, BreachKind.NOT_JSONRPC})
"""Lines on standard output that are no message."""
BREAKING = frozenset(
    {
        BreachKind.INVALID_UTF8,
        BreachKind.OVERSIZED_LINE,
        BreachKind.UNTERMINATED_LINE,
        BreachKind.NESTED_TOO_DEEP,
        BreachKind.UNKNOWN_ID,
        BreachKind.DUPLICATE_RESPONSE,
        BreachKind.EARLY_RESPONSE,
        BreachKind.ID_TYPE_CHANGED,
        BreachKind.RESULT_AND_ERROR,
        BreachKind.MALFORMED_RESPONSE,
        BreachKind.UNDECLARED_REQUEST,
        BreachKind.REQUEST_FLOOD,
        BreachKind.NOTIFICATION_FLOOD,
        BreachKind.CURSOR_LOOP,
        BreachKind.TOO_MANY_PAGES,
    }
)
"""Breaches that make clients lose answers, hang or do what they were not asked for."""
OFTEN = 3
"""From so many polluted lines on it is no banner."""
LARGE_LISTING = 64 * 2**10
LARGE_TEXT = 10 * 2**10
CUT_TEXT = 64 * 2**10
"""Longer texts are not kept whole by the probe, so no rule has read them to their end."""


@rule(
    RuleInfo(
        id="protocol-breach",
        title="The server breaks the protocol",
        class_=M,
        evidence=Evidence.E3,
        what="A message that the protocol forbids. Medium for kinds that make clients lose "
        "answers, hang, or act unasked; a note for the others.",
        proof="The raw bytes of the first one, in the observations.",
        quiet_when="The message is only unusual.",
        fix="Use a maintained SDK, and let nothing else write to the transport.",
        cwe=(1286, 436),
    )
)
def protocol_breach(context: Context) -> Iterator[Hit]:
    """Breaches other than stray lines."""
    for session in context.sessions:
        for breach in session.transcript.breaches:
            if breach.kind in POLLUTION:
                continue
            yield Hit(
                subject="server",
                fact=breach.kind.value,
                message=f"{breach.kind.value} × {breach.count}: {quote(breach.detail, 200)}"
                + (f" (“{quote(breach.sample, 120)}”)." if breach.sample else "."),
                class_=None if breach.kind in BREAKING else N,
                session=session,
            )


@rule(
    RuleInfo(
        id="stdout-pollution",
        title="Standard output carries what is no message",
        class_=M,
        evidence=Evidence.E3,
        what="Log lines, banners or other text on standard output, which belongs to the protocol. "
        f"A note for fewer than {OFTEN} lines, which most clients survive.",
        proof="The raw bytes of the first line, in the observations.",
        quiet_when="Logs go to standard error.",
        fix="Log to standard error.",
        cwe=(116,),
    )
)
def stdout_pollution(context: Context) -> Iterator[Hit]:
    """Lines that are no JSON-RPC message."""
    for session in context.sessions:
        stray = [one for one in session.transcript.breaches if one.kind in POLLUTION]
        if stray:
            count = sum(one.count for one in stray)
            yield Hit(
                subject="server",
                fact="stdout",
                message=f"Lines on standard output that are no message: {count}; the first: "
                f"“{quote(stray[0].sample, 160)}”.",
                class_=None if count >= OFTEN else N,
                session=session,
            )


@rule(
    RuleInfo(
        id="loose-schema",
        title="A schema does not say what it takes",
        class_=N,
        evidence=Evidence.E5,
        what="A tool's input schema is missing, is no object, or has a parameter of no stated "
        "type. The model guesses, and nothing is checked.",
        proof="The schema itself.",
        quiet_when="The type is given by `$ref`, `enum`, `const` or a combination.",
        fix="Give every parameter a type, and `required` where it is.",
        cwe=(1287,),
    )
)
def loose_schema(context: Context) -> Iterator[Hit]:
    """Tools whose schema leaves the input open."""
    for session in context.sessions:
        for listing in session.transcript.listings:
            if listing.kind is not ItemKind.TOOLS:
                continue
            for item in listing.items:
                if isinstance(item, dict) and (why := _loose(item.get("inputSchema"))):
                    yield Hit(
                        subject=f"tools/{item.get('name')}",
                        fact="schema",
                        message=f"The input schema {why}.",
                        session=session,
                        lists=ItemKind.TOOLS,
                    )


_TYPED = frozenset(
    {"type", "$ref", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "properties", "items"}
)


def _loose(schema: Json) -> str:
    if not isinstance(schema, dict):
        return "is missing"
    if schema.get("type") != "object":
        return "is no object's"
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        return "has properties that are no object"
    open_ones = [
        name
        for name, value in properties.items()
        if not (isinstance(value, dict) and value.keys() & _TYPED)
    ]
    if open_ones:
        return f"states no type for {quote(', '.join(sorted(open_ones)), 120)}"
    return ""


@rule(
    RuleInfo(
        id="oversized-listing",
        title="The listing fills the model's context",
        class_=M,
        evidence=Evidence.E3,
        what=f"The tools together take more than {LARGE_LISTING // 2**10} KiB, or one text more "
        f"than {LARGE_TEXT // 2**10} KiB; every conversation pays for it. Medium when one text is "
        f"longer than the {CUT_TEXT // 2**10} KiB that are read of it: what stands behind is "
        "judged by no rule.",
        proof="The sizes.",
        quiet_when="The listing is smaller.",
        fix="Shorten the descriptions; split the server.",
        cwe=(400,),
    )
)
def oversized_listing(context: Context) -> Iterator[Hit]:
    """Large listings and large texts."""
    for session in context.sessions:
        for listing in session.transcript.listings:
            if listing.kind is ItemKind.TOOLS:
                size = sum(len(compact(item)) for item in listing.items)
                if size > LARGE_LISTING:
                    yield Hit(
                        subject="server",
                        fact="tools",
                        message=f"The {len(listing.items)} tools take {size // 1024} KiB.",
                        class_=N,
                        session=session,
                        lists=ItemKind.TOOLS,
                    )
    for surface in context.surfaces:
        if len(surface.text) > LARGE_TEXT:
            cut = len(surface.text) >= CUT_TEXT
            yield Hit(
                subject=surface.subject,
                pointer=surface.pointer,
                fact="text",
                message="The text is longer than what was read of it."
                if cut
                else f"The text takes {len(surface.text) // 1024} KiB.",
                class_=None if cut else N,
                session=surface.session,
                lists=surface.lists,
            )
