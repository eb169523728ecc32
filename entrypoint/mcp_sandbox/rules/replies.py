"""What a server said, without what we said to it: the probe's own text never counts."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator

from mcp_sandbox.model import Call, Json
from mcp_sandbox.rules.surfaces import MAX_DEPTH

SHORTEST = 4
"""Shorter strings of ours are not taken out: they would tear the server's words."""
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"?')


def strings_of(value: Json, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Every string of a JSON value, keys included, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple) and depth:
        for item in value:
            yield from strings_of(item, depth - 1)
    elif isinstance(value, dict) and depth:
        for key, item in value.items():
            yield str(key)
            yield from strings_of(item, depth - 1)


def said(call: Call) -> str:
    """The texts of a reply, decoded from JSON, one a line; a reply that was cut short as well."""
    try:
        value = json.loads(call.reply)
    except ValueError:
        return "\n".join(_literals(call.reply))
    return "\n".join(_spoken(value, MAX_DEPTH))


_FRAME = frozenset(
    {"content", "contents", "structuredContent", "messages", "type", "text", "isError", "error"}
    | {"code", "message", "data", "role", "mimeType", "resultType", "_meta"}
)
"""Keys of results and errors themselves; any other key is the server's own word."""


def _spoken(value: Json, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _spoken(item, depth - 1)
    elif isinstance(value, dict) and depth:
        for key, item in value.items():
            if key not in _FRAME:
                yield key
            if not (key == "type" and isinstance(item, str)):
                yield from _spoken(item, depth - 1)


def _literals(raw: str) -> Iterator[str]:
    for match in _LITERAL.finditer(raw):
        try:
            yield json.loads(f'"{match[1]}"', strict=False)
        except ValueError:
            yield match[1]


def sent(call: Call) -> tuple[str, ...]:
    """All strings we sent with a call, longest first."""
    strings = {text for text in strings_of(call.arguments) if text}
    strings |= {call.nonce, call.target} - {""}
    return tuple(sorted(strings, key=lambda text: (-len(text), text)))


def remainder(text: str, ours: Iterable[str]) -> str:
    """``text`` without our strings, in any of the forms in which servers repeat them."""
    for string in ours:
        for form in _forms(string):
            if form in text:
                text = text.replace(form, " ")
        if len(string) >= SHORTEST and (lowered := string.lower()) in text.lower():
            text = re.sub(re.escape(lowered), " ", text, flags=re.IGNORECASE)
    return text


def own_words(call: Call) -> str:
    """The server's own words in a reply."""
    return remainder(said(call), sent(call))


def _forms(string: str) -> Iterator[str]:
    if len(string) < SHORTEST:
        return
    stripped = string.strip()
    relative = re.sub(r"^(?:\.{1,2}/|/)+", "", stripped)
    for form in dict.fromkeys(
        (
            string,
            stripped,
            repr(string)[1:-1],
            json.dumps(string)[1:-1],
            string.replace("'", "\\'"),
            html.escape(string),
            html.escape(string, quote=False),
            urllib.parse.quote(string),
            urllib.parse.quote(string, safe=""),
            urllib.parse.unquote(string),
            urllib.parse.quote_plus(string),
            relative,
            " ".join(string.split()),
            string[::-1],
        )
    ):
        if len(form) >= SHORTEST:
            yield form


_NOT_WORD = re.compile(r"[\W_]+")


def squeezed(text: str) -> str:
    """Letters and digits only, lower case: to find our words in whatever form they come back."""
    return _NOT_WORD.sub("", text.lower())


def is_ours(words: str, ours: Iterable[str]) -> bool:
    """These words stood in what we sent, however they were wrapped or cut since."""
    wanted = squeezed(words)
    return bool(wanted) and any(wanted in squeezed(string) for string in ours)
