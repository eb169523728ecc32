"""Reads a text as a model would: does it give orders that it has no business giving.

``judge`` looks for English wording only, on a form of the text in which invisible characters are
dropped, look-alike letters folded and spacing collapsed (``plain``), so that a disguise does not
help. Every pattern is bounded and is tried only where one of its trigger words stands, so the time
is linear in the text. Limits: other languages, and orders worded without any of the known phrases,
are not seen; proof by planted secrets and side effects does not depend on wording.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from mcp_sandbox.rules.invisible import LOOKALIKES, without_hidden


class Signal(StrEnum):
    """What an order is about."""

    OVERRIDE = "overrides other instructions"
    CONCEALMENT = "hides something from the user"
    THEFT = "takes a secret"
    ROLE = "imitates the markup of a chat"


@dataclass(frozen=True)
class Order:
    """One order found in a text."""

    signal: Signal
    quote: str
    """The words, in plain form, lower case."""
    described: bool
    """Only talked about, as by a scanner that names what it looks for."""


_NOT = (
    r"(?:do not|don'?t|never|must not|mustn'?t|should not|shouldn'?t|cannot|can'?t|and not|now not)"
)
_USER = r"(?:the |your |any |our )?(?:end[- ])?(?:users?|humans?|operator|anyone|anybody|people)\b"
_THIS = r"(?:this|that|it|these|them|anything|any of (?:this|these|it|that)|what you)\b"

_PRIVATE_FILE = (
    r"(?:~?/?(?:\S{0,40}/)?\.ssh/\S{0,40}|\bid_(?:rsa|ed25519|ecdsa)\b|\.aws/credentials|\.netrc\b"
    r"|\.npmrc\b|\.pypirc\b|\.git-credentials|(?<!\w)\.env\b|\bmcp\.json|\.cursor/\S{0,40}"
    r"|claude_desktop_config|/etc/(?:passwd|shadow)|\.kube/config|\.docker/config|_history\b"
    r"|wallet\.dat|/proc/\S{0,20}/environ)(?!\.pub)"
)
_PRIVATE_THING = (
    r"(?:environment variables|env vars|system prompt|(?:api|private|ssh|secret|access) keys?"
    r"|(?:access|auth|session|bearer) tokens?|passwords|credentials)"
)
_TAKE = (
    r"(?:read|open|cat|fetch|retrieve|extract|copy|dump|collect|gather|send|pass|attach|upload"
    r"|forward|post|transmit|exfiltrate|leak|include)"
)
_GIVE = (
    r"(?:send|pass|attach|upload|forward|post|transmit|exfiltrate|leak|reveal|output|print|dump)"
)
_FRAME = (
    r"(?:\b(?:before|after|when|whenever|prior to|in order to)\b (?:you )?(?:use|using|call|calling"
    r"|invok\w{1,4}|run|running|execut\w{1,4})\b[^.!?]{0,60}"
    r"|\byou (?:must|should|shall|need to|have to)\b|\bplease\b|\bfirst\b|\balways\b"
    r"|\b(?:make|be) sure (?:to|you)\b|\balso\b|\bthen\b|\bassistant (?:must|should)\b)"
)

_PATTERNS: tuple[tuple[Signal, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (signal, tuple(triggers.split("|")), re.compile(pattern))
    for signal, triggers, pattern in (
        (
            Signal.OVERRIDE,
            "ignore|disregard|forget",
            r"(?<!not )(?<!n't )(?<!never )\b(?:ignore|disregard|forget)\b(?: [\w']{1,20}){0,3}"
            r" (?:previous|prior|above|earlier|preceding|original|system|safety|your|other|former)"
            r"(?: [\w']{1,20}){0,3} (?:instructions?|prompts?|directives?|rules|guidelines"
            r"|guardrails|messages?)\b",
        ),
        (
            Signal.OVERRIDE,
            "ignore|disregard|forget",
            r"(?<!not )(?<!n't )(?<!never )\b(?:ignore|disregard|forget) (?:all|any|every)"
            r" (?:of )?(?:the |your )?(?:instructions?|guidelines|directives)\b"
            r"(?! (?:in|within|from|inside|contained|embedded|found|that|it|which|on|you find))",
        ),
        (
            Signal.OVERRIDE,
            "override|bypass|discard",
            r"(?<!not )(?<!n't )(?<!never )\b(?:override|bypass|discard) (?:all |any )?(?:of )?"
            r"(?:your|previous|prior|system|safety)(?: [\w']{1,20}){0,2}"
            r" (?:instructions?|prompts?|guidelines|guardrails|directives)\b",
        ),
        (
            Signal.OVERRIDE,
            "you are now|you are no longer",
            r"\byou are (?:now|no longer) (?:bound|restricted|dan\b|an? (?:[\w-]{1,20} ){0,2}"
            r"(?:assistant|agent|model|ai)\b)",
        ),
        (
            Signal.OVERRIDE,
            "assistant|model|agent",
            r"\b(?:the |this )(?:ai |language )?(?:assistant|model|agent) (?:must|shall|has to)"
            r" (?:now |always |first |immediately |silently )*"
            r"(?:follow|obey|execute|comply|perform|ignore)\b",
        ),
        (
            Signal.OVERRIDE,
            "system",
            r"(?<!operating )(?<!file )\bsystem(?: message| prompt| override| note| instruction)?"
            r" ?(?::|\]|>) ?(?:you (?:must|are|should)|the (?:assistant|model) (?:must|should)"
            r"|ignore|from now|never tell)\b",
        ),
        (
            Signal.OVERRIDE,
            "from now on",
            r"\bfrom now on,? (?:you (?:must|will|should|are)|always|never)\b",
        ),
        (
            Signal.CONCEALMENT,
            "user|human|operator|anyone|anybody|people",
            rf"(?<!does )(?<!will ){_NOT}(?: ever| even)? (?:tell|inform|warn) {_USER}"
            r"(?! (?:how|which|to|if|whether)\b)",
        ),
        (
            Signal.CONCEALMENT,
            "user|human|operator|anyone|anybody|people",
            rf"(?<!does )(?<!will ){_NOT}(?: ever| even)? (?:notify|alert) {_USER}"
            r" (?:about|of|that)\b",
        ),
        (
            Signal.CONCEALMENT,
            "without",
            rf"\bwithout (?:telling|informing|mentioning (?:it|this|that) to) {_USER}",
        ),
        (
            Signal.CONCEALMENT,
            "mention",
            rf"{_NOT}(?: ever| even)? mention(?: to {_USER})? {_THIS}",
        ),
        (
            Signal.CONCEALMENT,
            "user|human|operator|anyone|anybody|people",
            rf"{_NOT}(?: ever| even)? (?:reveal|disclose|expose|show|display|share|discuss|explain"
            rf"|describe|report) {_THIS}(?: [\w']{{1,20}}){{0,5}} (?:to|with) {_USER}",
        ),
        (
            Signal.CONCEALMENT,
            "let",
            rf"\b(?:not|never|n't)(?: even)? let {_USER} (?:know|see|notice|find out|realize)",
        ),
        (
            Signal.CONCEALMENT,
            "user|human|operator",
            rf"{_USER} (?:must|should|shall|may)(?: not|n't)(?: ever)? (?:know|notice|realize"
            r"|find out|be (?:told|informed|made aware|aware))\b",
        ),
        (
            Signal.CONCEALMENT,
            "keep|hide|conceal|withhold",
            r"\b(?:keep|hide|conceal|withhold) (?:all of )?(?:this|it|that|these|what you"
            rf"|the (?:fact|instructions?))\b(?: [\w']{{1,20}}){{0,5}} from {_USER}",
        ),
        (
            Signal.CONCEALMENT,
            "secretly|covertly",
            rf"\b(?:secretly|covertly) {_TAKE}\b",
        ),
        (
            Signal.THEFT,
            "before|after|when|order|prior|must|should|shall|need|have|please|first|always|sure|also"
            "|then",
            rf"{_FRAME} (?:[\w',]{{1,20}} ){{0,4}}?{_TAKE}\b[^!?]{{0,80}}?{_PRIVATE_FILE}",
        ),
        (
            Signal.THEFT,
            "parameter|argument|field|as |into|in ",
            rf"(?<!not )\b{_TAKE}\b[^!?]{{0,60}}?{_PRIVATE_FILE}[^!?]{{0,60}}\b(?:and|then|to)\b"
            rf"[^.!?]{{0,20}}\b(?:{_GIVE}|include|put|provide)\b",
        ),
        (
            Signal.THEFT,
            "environment|env |prompt|key|token|passwords|credentials",
            rf"(?<!not )(?<!never )(?<!n't )\b{_GIVE}\b (?:me |us )?"
            rf"(?:all |any |the |your |every |its |user'?s? ){{1,3}}(?:[\w]{{1,20}} ){{0,2}}"
            rf"{_PRIVATE_THING}[^.!?]{{0,40}}"
            r"\b(?:to|in|as|into|with)\b [^.!?]{0,40}\b(?:https?://|parameter|argument|field"
            r"|this tool|this server|sidenote|note|context)",
        ),
        (
            Signal.ROLE,
            "<|im_|<|start_header|<<sys>>|[inst]|[/inst]",
            r"<\|(?:im_start|im_end|start_header_id)\|>|<<sys>>|\[/?inst\]",
        ),
    )
)

_HARMLESS = re.compile(r"\b(?:keys?|tokens?|secrets?|passwords?|pin|internal|raw)\b")
"""Keeping these to oneself is good advice, not concealment."""
_TALKS_ABOUT = re.compile(
    r"\b(?:detect|scan|check|flag|identif|block|filter|classif|analy[sz]|prevent|saniti|guard"
    r"|protect|defen[ds]|reject|catch|attempt|attack|inject|jailbreak|malicious|phrase|pattern"
    r"|example|such as|e\.g\.|for instance|like|test|poison|suspicious|known)"
)
_ATTACK_NOUN = re.compile(r"\b(?:attempts?|attacks?|injections?|jailbreaks?|phrases?|patterns?)\b")
_OPENING = "\"'`“‘«„("
_CLOSING = "\"'`”’»“)"


def plain(text: str) -> str:
    """Lower case, invisible characters dropped, look-alikes folded, spacing collapsed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", without_hidden(text))
        text = re.sub(r"[^\W\d_]+", lambda word: _folded(word[0]), text)
        text = text.replace("’", "'")
    return " ".join(text.lower().split())


def _folded(word: str) -> str:
    """A word that mixes Latin letters with their look-alikes, in Latin letters."""
    if word.isascii() or not any(one.isascii() for one in word):
        return word
    return word.translate(LOOKALIKES)


def judge(text: str) -> tuple[Order, ...]:
    """The orders in a text, one a pattern, in the order of the patterns."""
    form = plain(text)
    found: list[Order] = []
    for signal, triggers, pattern in _PATTERNS:
        if not any(trigger in form for trigger in triggers):
            continue
        matches = [
            match
            for match in pattern.finditer(form)
            if not (signal is Signal.CONCEALMENT and _HARMLESS.search(match[0]))
        ]
        if not matches:
            continue
        live = [match for match in matches if not _described(form, match)]
        best = (live or matches)[0]
        found.append(Order(signal, best[0][:200], described=not live))
    return tuple(found)


def _described(form: str, match: re.Match[str]) -> bool:
    """The sentence talks about attacks, and the words are a quotation or an example of one."""
    start = max(form.rfind(end, 0, match.start()) for end in (". ", "! ", "? ", "; "))
    before = form[max(start, match.start() - 300, 0) : match.start()]
    if not _TALKS_ABOUT.search(before):
        return False
    opened = before.rstrip()[-1:]
    after = form[match.end() : match.end() + 120]
    quoted = any(mark in before for mark in _OPENING) and any(mark in after for mark in _CLOSING)
    return (bool(opened) and opened in _OPENING) or quoted or bool(_ATTACK_NOUN.search(before))


def signals(orders: tuple[Order, ...]) -> frozenset[Signal]:
    """What the orders that are meant are about."""
    return frozenset(order.signal for order in orders if not order.described)
