"""What the texts of a listing say: orders, disguises, keys. Here the text itself is the attack."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mcp_sandbox.model import Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.encodings import decoded
from mcp_sandbox.rules.invisible import lookalike_words, oddities
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.secrets import secrets_in
from mcp_sandbox.rules.surfaces import Kind, Surface, place, quote
from mcp_sandbox.rules.wording import Order, Signal, judge

H, N = RiskClass.HIGH, RiskClass.NOTE


def hit_on(
    surface: Surface,
    fact: str,
    message: str,
    class_: RiskClass | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Hit:
    """A hit on a text: what stands there is part of the fact."""
    return Hit(
        subject=surface.subject,
        fact=f"{surface.pointer} {fact}",
        message=message,
        pointer=surface.pointer,
        class_=class_,
        confidence=confidence,
        session=surface.session,
        lists=surface.lists,
    )


def _ordered(surface: Surface, orders: tuple[Order, ...], worst: RiskClass) -> Hit:
    """A hit for a text with orders: a note when all of them are only talked about."""
    live = [order for order in orders if not order.described]
    shown = live or list(orders)
    what = ", ".join(dict.fromkeys(order.signal.value for order in shown))
    quoted = "; ".join(f"“{quote(order.quote, 160)}”" for order in shown[:3])
    fact = " ".join(order.quote for order in shown)
    if not live:
        return hit_on(
            surface,
            fact,
            f"{place(surface.pointer)} talks about attacks in words that would be one if they "
            f"were meant: {quoted}.",
            N,
            Confidence.LOW,
        )
    combined = {order.signal for order in live} >= {Signal.THEFT, Signal.CONCEALMENT}
    class_ = worst if combined else H
    return hit_on(
        surface,
        fact,
        f"{place(surface.pointer)} gives the model orders ({what}): {quoted}.",
        class_,
        Confidence.HIGH if combined or len(live) > 1 else Confidence.MEDIUM,
    )


@rule(
    RuleInfo(
        id="hidden-instruction",
        title="A description gives the model orders",
        class_=RiskClass.CRITICAL,
        evidence=Evidence.E5,
        what="A text of the listing commands the model to act unasked, to hide what it does from "
        "the user, to drop its other instructions, or to take a secret. The model reads it at "
        "every listing; a person hardly ever does. Critical when one text both takes a secret and "
        "conceals it.",
        proof="The words themselves, quoted in the message, after invisible characters, look-alike "
        "letters and spacing have been undone.",
        quiet_when="The words are a quotation or an example in a sentence about attacks, as in the "
        "description of a scanner (then a note); advice to keep keys secret or to distrust what a "
        "page says.",
        fix="Describe what the tool does and what its parameters mean, and nothing else.",
        cwe=(1427,),
    )
)
def hidden_instruction(context: Context) -> Iterator[Hit]:
    """Orders in descriptions, instructions, annotations and ``_meta``."""
    for surface in context.surfaces:
        if surface.kind is Kind.DESCRIPTION and (orders := judge(surface.text)):
            yield _ordered(surface, orders, RiskClass.CRITICAL)


@rule(
    RuleInfo(
        id="schema-poisoning",
        title="A schema's values give the model orders",
        class_=H,
        evidence=Evidence.E5,
        what="Orders stand where nobody looks for prose: in a default, an enum, an example, a "
        "title, an `x-` extension, or in a parameter's very name.",
        proof="The words themselves, quoted in the message.",
        quiet_when="The value is data, even data about secrets (a default path, an enum of file "
        "names).",
        fix="Keep schema values to data. Say what a parameter means in its description.",
        cwe=(1427,),
    )
)
def schema_poisoning(context: Context) -> Iterator[Hit]:
    """Orders in the parts of a schema that are no description."""
    for surface in context.surfaces:
        if surface.kind is Kind.SCHEMA and (orders := judge(surface.text)):
            yield _ordered(surface, orders, H)
        elif surface.kind is Kind.NAME and len(surface.text) >= _LONG_NAME:
            words = re.sub(r"[_\-.]+", " ", surface.text)
            if _NAME_ORDER.search(words.lower()) or _live(judge(words)):
                yield hit_on(
                    surface,
                    words,
                    f"The name “{quote(surface.text)}” tells the model what to put there.",
                )


_LONG_NAME = 12
_NAME_ORDER = re.compile(
    r"\b(?:contents?|data|text) (?:of|from) (?:reading )?(?:the )?(?:\w+ ){0,2}?"
    r"(?:ssh|id rsa|aws credentials|env file|etc passwd|mcp json|private key)\b"
)


def _live(orders: Iterable[Order]) -> bool:
    return any(not order.described for order in orders)


@rule(
    RuleInfo(
        id="encoded-instruction",
        title="An encoded text spells an order",
        class_=H,
        evidence=Evidence.E5,
        what="A text of the listing holds base64, hexadecimal, escapes, entities, ROT13 or "
        "reversed letters that spell an order. Models decode these without being asked to.",
        proof="The decoded words, quoted in the message.",
        quiet_when="What is decoded is no order: hashes, keys, icons, encoded sample data.",
        fix="Remove the encoded text.",
        cwe=(1427, 506),
    )
)
def encoded_instruction(context: Context) -> Iterator[Hit]:
    """Orders under one or two layers of encoding."""
    for surface in context.surfaces:
        if len(surface.text) < _SHORTEST_ENCODED:
            continue
        for encoding, inner in decoded(surface.text):
            orders = judge(inner)
            if _live(orders):
                yield hit_on(
                    surface,
                    orders[0].quote,
                    f"{place(surface.pointer)} spells an order in {encoding}: "
                    f"“{quote(orders[0].quote, 160)}”.",
                )
                break


_SHORTEST_ENCODED = 16


@rule(
    RuleInfo(
        id="invisible-text",
        title="A text holds characters that nobody sees",
        class_=H,
        evidence=Evidence.E5,
        what="Zero-width, direction, tag or control characters, variation selectors that select "
        "nothing, blank space that pushes text out of sight, or a name that mixes Latin letters "
        "with look-alikes. A reviewer sees one text, the model reads another.",
        proof="The code points, counted in the message, and what they spell where they spell "
        "something.",
        quiet_when="Emoji joiners, flags and selectors; joiners of Arabic, Persian and Indic "
        "scripts; direction marks in right-to-left texts; a byte order mark at the beginning; "
        "names wholly in another script.",
        fix="Remove the characters, or write the name in one script.",
        cwe=(1007, 451),
    )
)
def invisible_text(context: Context) -> Iterator[Hit]:
    """Hidden characters in any text, look-alikes in names."""
    for surface in context.surfaces:
        for odd in oddities(surface.text):
            mild = odd.what in _MILD
            spelled = f", which spell “{quote(odd.decoded, 120)}”" if odd.decoded.strip() else ""
            codes = f" ({', '.join(odd.codes)})" if odd.codes else ""
            yield hit_on(
                surface,
                f"{odd.what} {odd.decoded}",
                f"{place(surface.pointer)} holds {odd.count} × {odd.what}{codes}{spelled}.",
                N if mild else None,
                Confidence.LOW if mild else Confidence.HIGH,
            )
        if surface.kind is Kind.NAME:
            for word in lookalike_words(surface.text):
                codes = ", ".join(f"U+{ord(one):04X}" for one in word if not one.isascii())
                yield hit_on(
                    surface,
                    f"look-alike {word}",
                    f"The name “{quote(surface.text)}” mixes Latin letters with letters that only "
                    f"look Latin ({codes}).",
                )


_MILD = frozenset({"control characters"})
"""Seen in honest texts by accident: a pattern's ``\\b`` in a string that was not raw."""


@rule(
    RuleInfo(
        id="secret-in-metadata",
        title="A listing holds a key",
        class_=H,
        evidence=Evidence.E5,
        what="A description, default or example holds a string that verifies as a key by form and "
        "entropy. Everybody who lists the tools has it.",
        proof="The kind of key and its first characters; the rest is masked.",
        quiet_when="Placeholders and the well-known example keys.",
        fix="Revoke the key, then remove it.",
        cwe=(798, 200),
    )
)
def secret_in_metadata(context: Context) -> Iterator[Hit]:
    """Keys in any text of a listing."""
    for surface in context.surfaces:
        for what, shown in secrets_in(surface.text):
            yield hit_on(
                surface, f"{what} {shown}", f"{place(surface.pointer)} holds {what} ({shown})."
            )


@rule(
    RuleInfo(
        id="cleartext-endpoint",
        title="A text names an unencrypted endpoint",
        class_=N,
        evidence=Evidence.E5,
        what="A text of the listing names an `http://` address on another machine.",
        proof="The address, in the message.",
        quiet_when="Loopback and private names, example domains, XML and JSON schema namespaces.",
        fix="Use `https://`.",
        cwe=(319,),
    )
)
def cleartext_endpoint(context: Context) -> Iterator[Hit]:
    """``http://`` to another machine."""
    for surface in context.surfaces:
        if "http://" not in surface.text:
            continue
        hosts = [
            host.lower() for host in re.findall(r"http://([A-Za-z0-9.-]{1,253})", surface.text)
        ]
        foreign = sorted({host.strip(".") for host in hosts if not _NOT_FOREIGN.search(host)})
        if foreign:
            yield hit_on(
                surface,
                " ".join(foreign),
                f"{place(surface.pointer)} names http:// on {quote(', '.join(foreign), 160)}.",
            )


_NOT_FOREIGN = re.compile(
    r"^(?:localhost|127\.|10\.|192\.168\.|0\.0\.0\.0|host\.docker\.internal)|^[^.]*$"
    r"|(?:^|\.)example(?:\.(?:com|org|net))?\.?$|\.(?:local|internal|test|invalid|localhost)\.?$"
    r"|(?:^|\.)(?:json-schema\.org|w3\.org|xmlsoap\.org|openxmlformats\.org|purl\.org"
    r"|schema\.org|ogp\.me)\.?$"
)
