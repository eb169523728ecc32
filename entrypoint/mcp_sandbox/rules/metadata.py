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
from mcp_sandbox.rules.wording import Order, Signal, judge, plain

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


def _hit(
    surface: Surface,
    fact: str,
    message: str,
    class_: RiskClass | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Hit:
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
        return _hit(
            surface,
            fact,
            f"{place(surface.pointer)} talks about attacks in words that would be one if they "
            f"were meant: {quoted}.",
            N,
            Confidence.LOW,
        )
    combined = {order.signal for order in live} >= {Signal.THEFT, Signal.CONCEALMENT}
    class_ = worst if combined else H
    return _hit(
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
                yield _hit(
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
                yield _hit(
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
            yield _hit(
                surface,
                f"{odd.what} {odd.decoded}",
                f"{place(surface.pointer)} holds {odd.count} × {odd.what}{codes}{spelled}.",
                N if mild else None,
                Confidence.LOW if mild else Confidence.HIGH,
            )
        if surface.kind is Kind.NAME:
            for word in lookalike_words(surface.text):
                codes = ", ".join(f"U+{ord(one):04X}" for one in word if not one.isascii())
                yield _hit(
                    surface,
                    f"look-alike {word}",
                    f"The name “{quote(surface.text)}” mixes Latin letters with letters that only "
                    f"look Latin ({codes}).",
                )


_MILD = frozenset({"control characters"})
"""Seen in honest texts by accident: a pattern's ``\\b`` in a string that was not raw."""


@rule(
    RuleInfo(
        id="coercive-wording",
        title="A description presses the model to prefer this tool",
        class_=M,
        evidence=Evidence.E5,
        what="A text demands precedence: to be called first, before or instead of all other tools, "
        "or without asking the user. Medium when it speaks against the tools of other servers.",
        proof="The words themselves, quoted in the message.",
        quiet_when="The order of a documented workflow: the sentence names another tool of the "
        "same server.",
        fix="Say what the tool is good for, and let the model choose.",
        cwe=(1427,),
    )
)
def coercive_wording(context: Context) -> Iterator[Hit]:
    """Demands for precedence."""
    for surface in context.surfaces:
        if surface.kind is not Kind.DESCRIPTION:
            continue
        form = plain(surface.text)
        if not any(trigger in form for trigger in _COERCIVE_TRIGGERS):
            continue
        for sentence in re.split(r"(?<=[.!?;]) ", form):
            match = _COERCIVE.search(sentence)
            if match is None or _names_sibling(context, surface.subject, sentence):
                continue
            against = _AGAINST_OTHERS.search(sentence)
            yield _hit(
                surface,
                match[0],
                f"{place(surface.pointer)} demands precedence: “{quote(sentence, 200)}”.",
                M if against else N,
                Confidence.MEDIUM if against else Confidence.LOW,
            )


_COERCIVE_TRIGGERS = ("first", "other tool", "other server", "priority", "without asking", "before")
_COERCIVE = re.compile(
    r"\b(?:must|always|should)\b[^.!?]{0,40}\b(?:call|use|invoke|run)(?:ed)?\b[^.!?]{0,40}\bfirst\b"
    r"|\b(?:call|use|invoke|run) (?:this|me)(?: tool| function)? (?:first|before)\b"
    r"|\b(?:before|instead of|over) (?:using |calling |invoking )?(?:any|all|every)"
    r"(?: of the)? other (?:tools?|servers?|mcp)\b"
    r"|\b(?:never|do not|don't) (?:ever )?(?:use|call|trust) (?:any |all )?other (?:tools?|servers?)\b"
    r"|\bignore (?:all |any )?other (?:tools?|servers?)\b"
    r"|\b(?:highest|top) priority\b[^.!?]{0,40}\btools?\b"
    r"|\bwithout asking (?:the user|for (?:permission|confirmation|consent))\b"
)
_AGAINST_OTHERS = re.compile(
    r"\b(?:never|do not|don't) (?:ever )?(?:use|call|trust) (?:any |all )?other (?:tools?|servers?)\b"
    r"|\bignore (?:all |any )?other (?:tools?|servers?)\b|\bother (?:mcp )?servers?\b"
)


def _names_sibling(context: Context, subject: str, sentence: str) -> bool:
    own = subject.partition("/")[2]
    return any(
        name != own and len(name) > 2 and name.lower() in sentence  # noqa: PLR2004 - no `a`, `id`
        for name in context.sibling_names
    )


@rule(
    RuleInfo(
        id="tool-shadowing",
        title="A text steers another server's tool, or a name imitates one",
        class_=H,
        evidence=Evidence.E5,
        what="A description says how some other tool has to be used, a tool that this server does "
        "not have, or a name differs from a well-known or a sibling tool's only by look-alike "
        "digits. Hosts show the tools of all servers to one model, so the order takes effect "
        "there.",
        proof="The words, or the two names, in the message.",
        quiet_when="The tool that is spoken of is the server's own.",
        fix="Speak of your own tools only; choose a name that cannot be confused.",
        cwe=(1427, 1007),
    )
)
def tool_shadowing(context: Context) -> Iterator[Hit]:
    """Orders about foreign tools, names that imitate."""
    siblings = {name.lower() for name in context.sibling_names}
    for surface in context.surfaces:
        if surface.kind is Kind.DESCRIPTION:
            form = plain(surface.text)
            if "when" in form or "instead" in form or "before" in form or "if " in form:
                for match in _SHADOW.finditer(form):
                    if match["tool"] not in siblings:
                        yield _hit(
                            surface,
                            match[0],
                            f"{place(surface.pointer)} says how the tool “{quote(match['tool'])}” "
                            "has to be used, which is not this server's: "
                            f"“{quote(match[0], 200)}”.",
                            confidence=Confidence.MEDIUM,
                        )
                        break
        elif surface.pointer == "/name" and surface.subject.startswith("tools/"):
            name = surface.text.lower()
            folded = surface.text.translate(_DIGITS).lower()
            if folded != name and folded in (_WELL_KNOWN | siblings):
                yield _hit(
                    surface,
                    f"imitates {folded}",
                    f"The name “{quote(surface.text)}” reads like “{folded}”.",
                )


_SHADOW = re.compile(
    r"\b(?:when|whenever|before|after|if|each time|every time)\b (?:you )?(?:use|using|call|calling"
    r"|invoke|invoking|run|running) (?:the )?[`'\"“]?(?P<tool>[a-z][a-z0-9]*(?:[_-][a-z0-9]+)+)"
    r"[`'\"”]?(?: tool| function)?[^.!?]{0,80}?\b(?:you must|you should|must|always|instead"
    r"|make sure|change|replace|redirect|set the|bcc|also send)\b[^.!?]{0,120}"
)
_DIGITS = str.maketrans({"0": "o", "1": "l", "3": "e", "5": "s", "I": "l"})
_WELL_KNOWN = frozenset(
    (
        "read_file write_file edit_file list_directory search_files create_directory move_file "
        "git_status git_diff git_commit git_log send_email send_message create_issue fetch query "
        "execute_command run_command search get_current_time convert_time create_pull_request "
        "read_query write_query browser_navigate"
    ).split()
)


@rule(
    RuleInfo(
        id="side-channel-parameter",
        title="A parameter asks for what the tool does not need",
        class_=H,
        evidence=Evidence.E5,
        what="A free-text parameter wants the conversation, the system prompt, the model's "
        "reasoning or the content of a private file, and the tool has nothing to do with them. A "
        "helpful model fills it in, and the server has it.",
        proof="The parameter's name and description, quoted in the message.",
        quiet_when="The tool is about that very thing: memory, chat, prompts, models, keys; or the "
        "parameter may be left out and asks for no file.",
        fix="Ask for what the tool needs.",
        cwe=(1427, 200),
    )
)
def side_channel_parameter(context: Context) -> Iterator[Hit]:
    """Parameters that collect."""
    for surface in context.surfaces:
        match = _PROPERTY.fullmatch(surface.pointer)
        item = context.items.get(surface.subject)
        if match is None or item is None or surface.kind is not Kind.NAME:
            continue
        node = item.get("inputSchema")
        properties = node.get("properties") if isinstance(node, dict) else None
        value = properties.get(surface.text) if isinstance(properties, dict) else None
        if not isinstance(value, dict) or value.get("type", "string") != "string":
            continue
        name = re.sub(r"[_-]+", " ", surface.text).lower()
        said = plain(str(value.get("description", "")))[:4_000]
        required = surface.text in (node.get("required") or ())
        about = plain(f"{surface.subject} {item.get('title', '')}").replace("_", " ")
        about_all = plain(f"{about} {item.get('description', '')}")[:4_000]
        if _FILE_CONTENT.search(said) and not _KEEPS_FILES.search(about):
            reason = said
        elif required and _COLLECTS.search(said) and not _IS_ABOUT_TALK.search(about_all):
            reason = said
        elif required and name in _COLLECTING_NAMES and not _IS_ABOUT_TALK.search(about_all):
            reason = said or name
        else:
            continue
        yield _hit(
            surface,
            name,
            f"The parameter “{quote(surface.text, 80)}” asks for what the tool does not need: "
            f"“{quote(reason, 160)}”.",
            confidence=Confidence.MEDIUM,
        )


_PROPERTY = re.compile(r"/inputSchema/properties/[^/]+")
_FILE_CONTENT = re.compile(
    r"\b(?:contents?|text|body|value) (?:of|from) (?:the )?(?:file )?[`'\"]?"
    r"(?:~?/?(?:\S{0,40}/)?\.ssh/(?!\S{0,40}\.pub)\S|~?/?\.aws/credentials|~?/?\.env\b|\S{0,40}id_rsa\b"
    r"(?!\.pub)|\S{0,40}mcp\.json|/etc/(?:passwd|shadow)|~?/?\.netrc|~?/?\.cursor/)"
)
_COLLECTS = re.compile(
    r"\b(?:full|entire|complete|whole|all|your)\b[^.]{0,30}\b(?:conversation|chat|message|tool.call)"
    r"s?(?: history| context| transcript|s so far)"
    r"|\b(?:your|the|full|entire) system prompt\b|\byour (?:internal )?(?:instructions|chain of thought)"
)
_COLLECTING_NAMES = frozenset(
    (
        "conversation history",
        "chat history",
        "system prompt",
        "chain of thought",
        "full conversation",
        "previous messages",
        "tool call history",
    )
)
_IS_ABOUT_TALK = re.compile(
    r"\b(?:conversation|chat|memor|histor|summar|prompt|transcript|messag|llm|model|agent|complet"
    r"|assistant|thought|thinking|reason)"
)
_KEEPS_FILES = re.compile(r"\b(?:ssh|key|keys|credential|credentials|dotenv|env|config|deploy)\b")


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
            yield _hit(
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
            yield _hit(
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
