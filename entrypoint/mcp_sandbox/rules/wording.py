"""Reads a text as a model would: does it give orders that it has no business giving.

``judge`` looks for English wording only, on a form of the text in which invisible characters are
dropped, look-alike letters folded and spacing collapsed (``plain``), so that a disguise does not
help. Every pattern is bounded and is tried only on a text that holds a trigger word of each of its
groups, so the time is linear in the text. Limits: other languages, and orders worded without any of
the known phrases, are not seen; proof by planted secrets and side effects needs no wording.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

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
    r"(?:(?:~/|/\S{0,40}/)?\.ssh/\S{0,40}|\bid_(?:rsa|ed25519|ecdsa)\b|\.aws/credentials|\.netrc\b"
    r"|\.npmrc\b|\.pypirc\b|\.git-credentials|(?<!\w)\.env\b|\bmcp\.json|\.cursor/\S{0,40}"
    r"|claude_desktop_config|/etc/(?:passwd|shadow)|\.kube/config|\.docker/config|_history\b"
    r"|wallet\.dat|/proc/\S{0,20}/environ)(?!\.pub)"
)
_FILE_TRIGGERS = (
    ".ssh",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    ".aws/",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".env",
    "mcp.json",
    ".cursor/",
    "claude_desktop_config",
    "/etc/",
    ".kube/",
    ".docker/",
    "_history",
    "wallet.dat",
    "/environ",
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

_PATTERNS: tuple[tuple[Signal, tuple[tuple[str, ...], ...], re.Pattern[str]], ...] = tuple(
    (signal, tuple(tuple(group.split("|")) for group in triggers.split("&")), re.compile(pattern))
    for signal, triggers, pattern in (
        (
            Signal.OVERRIDE,
            "ignore|disregard|forget&instruction|prompt|directive|rules|guid|guardrail|message",
            r"(?<!not )(?<!n't )(?<!never )\b(?:ignore|disregard|forget)\b(?: [\w']{1,20}){0,3}"
            r" (?:previous|prior|above|earlier|preceding|original|system|safety|your|other|former)"
            r"(?: [\w']{1,20}){0,3} (?:instructions?|prompts?|directives?|rules|guidelines"
            r"|guardrails|messages?)\b",
        ),
        (
            Signal.OVERRIDE,
            "ignore|disregard|forget&instruction|prompt|directive|rules|guid|guardrail|message",
            r"(?<!not )(?<!n't )(?<!never )\b(?:ignore|disregard|forget) (?:all|any|every)"
            r" (?:of )?(?:the |your )?(?:instructions?|guidelines|directives)\b"
            r"(?! (?:in|within|from|inside|contained|embedded|found|that|it|which|on|you find))",
        ),
        (
            Signal.OVERRIDE,
            "override|bypass|discard&instruction|prompt|guid|guardrail|directive",
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
            "assistant|model|agent&must|shall|has to&follow|obey|execute|comply|perform|ignore",
            r"\b(?:the |this )(?:ai |language )?(?:assistant|model|agent) (?:must|shall|has to)"
            r" (?:now |always |first |immediately |silently )*"
            r"(?:follow|obey|execute|comply|perform|ignore)\b",
        ),
        (
            Signal.OVERRIDE,
            "system&:|]|>",
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
            "not |never|n't|dont&tell|inform|warn&user|human|operator|anyone|anybody|people",
            rf"(?<!does )(?<!will ){_NOT}(?: ever| even)? (?:tell|inform|warn) {_USER}"
            r"(?! (?:how|which|to|if|whether)\b)",
        ),
        (
            Signal.CONCEALMENT,
            "not |never|n't|dont&notify|alert&user|human|operator|anyone|anybody|people",
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
            "not |never|n't|dont&reveal|disclose|expose|show|display|share|discuss|explain|describe"
            "|report&user|human|operator|anyone|anybody|people",
            rf"{_NOT}(?: ever| even)? (?:reveal|disclose|expose|show|display|share|discuss|explain"
            rf"|describe|report) {_THIS}(?: [\w']{{1,20}}){{0,5}} (?:to|with) {_USER}",
        ),
        (
            Signal.CONCEALMENT,
            " let &know|see|notice|find out|realize",
            rf"\b(?:not|never|n't)(?: even)? let {_USER} (?:know|see|notice|find out|realize)",
        ),
        (
            Signal.CONCEALMENT,
            "user|human|operator|anyone|anybody|people"
            "&must not|mustn't|should not|shouldn't|shall not|may not"
            "&know|notice|realize|find out|told|informed|aware",
            rf"{_USER} (?:must|should|shall|may)(?: not|n't)(?: ever)? (?:know|notice|realize"
            r"|find out|be (?:told|informed|made aware|aware))\b",
        ),
        (
            Signal.CONCEALMENT,
            "keep|hide|conceal|withhold& from ",
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
            "environment|env vars|system prompt| key| token|passwords|credentials&http|parameter"
            "|argument|field|this tool|this server|sidenote|note|context",
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

_FILE = re.compile(_PRIVATE_FILE)
_TAKES = re.compile(rf"\b{_TAKE}\b(?=[^!?]*$)")
_FRAMED = re.compile(rf"{_FRAME} (?:[\w',]{{1,20}} ){{0,4}}$")
_HANDED_ON = re.compile(
    rf"[^!?]{{0,60}}\b(?:and|then|to)\b[^.!?]{{0,20}}\b(?:{_GIVE}|include|put|provide)\b"
)
NEAR, FRAME_REACH, ENOUGH = 80, 160, 100
"""Characters between a verb and its object, and before the verb; matches that are looked at."""

_HARMLESS = re.compile(r"\b(?:keys?|tokens?|secrets?|passwords?|pin|internal|raw)\b")
"""Keeping these to oneself is good advice, not concealment."""
_TALKS_ABOUT = re.compile(
    r"\b(?:detect|scan|check|flag|identif|block|filter|classif|analy[sz]|prevent|saniti|guard"
    r"|protect|defen[ds]|reject|catch|attempt|attack|inject|jailbreak|malicious|phrase|pattern"
    r"|example|such as|e\.g\.|for instance|like|test|poison|suspicious|known)"
)
_ATTACK_NOUN = re.compile(
    r"\b(?:attempts?|attacks?|injections?|jailbreaks?|phrases?|patterns?)\b"
    r"|\b(?:text|content|prompts?|messages?|inputs?) (?:that|which) (?:asks?|tells?|tries)\b"
)
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
    spans = [(signal, pattern.finditer(form)) for signal, pattern in _tried(form)]
    found = [_order(form, signal, (one.span() for one in matches)) for signal, matches in spans]
    found.append(_order(form, Signal.THEFT, _thefts(form)))
    return tuple(order for order in found if order is not None)


def _tried(form: str) -> Iterator[tuple[Signal, re.Pattern[str]]]:
    """The patterns for which the text holds a word of each group."""
    for signal, triggers, pattern in _PATTERNS:
        if all(any(one in form for one in group) for group in triggers):
            yield signal, pattern


def _order(form: str, signal: Signal, spans: Iterable[tuple[int, int]]) -> Order | None:
    """The first span that is meant, else the first one at all.

    A text with more than ``ENOUGH`` of them is meant: nobody describes that much.
    """
    first: tuple[int, int] | None = None
    for number, (start, end) in enumerate(spans):
        if signal is Signal.CONCEALMENT and _HARMLESS.search(form, start, end):
            continue
        if number >= ENOUGH or not _described(form, start, end):
            return Order(signal, form[start:end][:200], described=False)
        first = first or (start, end)
    return Order(signal, form[slice(*first)][:200], described=True) if first else None


def _thefts(form: str) -> Iterator[tuple[int, int]]:
    """Private files that the reader shall take, in so many words, or take and hand on."""
    if not any(trigger in form for trigger in _FILE_TRIGGERS):
        return
    for file in islice(_FILE.finditer(form), 2 * ENOUGH):
        near = max(0, file.start() - NEAR)
        handed_on = _HANDED_ON.match(form, file.end(), file.end() + FRAME_REACH)
        for verb in _TAKES.finditer(form[near : file.start()]):
            start = near + verb.start()
            before = form[max(0, start - FRAME_REACH) : start]
            if framed := _FRAMED.search(before):
                yield start - len(before) + framed.start(), file.end()
            elif handed_on and not before.endswith("not "):
                yield start, handed_on.end()


def _described(form: str, begin: int, finish: int) -> bool:
    """The sentence talks about attacks, and the words are a quotation or an example of one."""
    reach = max(0, begin - 300)
    start = max(form.rfind(end, reach, begin) for end in (". ", "! ", "? ", "; "))
    before = form[max(start, reach) : begin]
    if not _TALKS_ABOUT.search(before):
        return False
    opened = before.rstrip()[-1:]
    after = form[finish : finish + 120]
    quoted = any(mark in before for mark in _OPENING) and any(mark in after for mark in _CLOSING)
    return (bool(opened) and opened in _OPENING) or quoted or bool(_ATTACK_NOUN.search(before))


def signals(orders: tuple[Order, ...]) -> frozenset[Signal]:
    """What the orders that are meant are about."""
    return frozenset(order.signal for order in orders if not order.described)
