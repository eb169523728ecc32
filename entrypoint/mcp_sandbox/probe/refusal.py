"""What a refusal says, clause by clause, and which argument each clause speaks of.

Reads the words of MCP error results and JSON-RPC errors, and the lists of issues that the usual
validators (zod, pydantic, ajv) put into them. The words are a peer's: they are cut to a bounded
length, read in linear time, and nothing in them is ever used as a pattern.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mcp_sandbox.model import CallStatus, Json
from mcp_sandbox.probe.combine import elements, members

MAX_TEXT = 4_000
"""Characters of a refusal that are read."""
MAX_ISSUES = 16_000
"""Characters that are read as JSON: a list of issues is wordy."""
MAX_CLAUSES = 24
_MAX_NODES = 500
_STARTS = 2
"""Places in a text where JSON may begin."""

_OUTSIDE = re.compile(
    r"\b(?:api.?keys?|(?:access|auth|bearer) tokens?|credentials?|unauthori[sz]ed|unauthenticated"
    r"|authenticat(?:ion|ed)|forbidden|signed in|log(?:ged)? ?in"
    r"|E(?:CONNREFUSED|NOTFOUND|AI_AGAIN|TIMEDOUT|NETUNREACH|PROTO)|getaddrinfo|fetch failed"
    r"|connection (?:refused|error|failed)|network (?:error|is unreachable)|handshake failure"
    r"|timed? ?out|rate limit(?:ed)?)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;!?](?=[\s,]|$)|,\s+(?=[\w.\[\]/$-]{1,80}:\s)")
_PLACE = re.compile(r"([\w.\[\]/$-]{1,80}):(?=\s|$)")
_AT = re.compile(r"(?:^|\s)at [\"'`]?([\w.\[\]/$-]{1,80})[\"'`]?\s*$")
_LONE = re.compile(r"[A-Za-z_][\w.-]{0,80}$")
_NOTES = (" [type=", "For further information visit")
"""Where pydantic's own remarks on an error begin."""


class Clause(NamedTuple):
    """One thing that a refusal says."""

    places: tuple[str, ...]
    """What may be the name of the argument that it is about, the likeliest last."""
    text: str


def is_about_input(status: CallStatus, text: str) -> bool:
    """Whether other arguments may be taken: nothing is said of a network or a key that lacks."""
    refused = status in {CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR}
    return refused and _OUTSIDE.search(text) is None


def texts(body: Json) -> tuple[str, ...]:
    """The texts of a result or an error, in order; at most ``MAX_ISSUES`` characters in all."""
    found: list[str] = []
    left = MAX_ISSUES
    for text in _texts(body):
        found.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return tuple(found)


def said(refusal: Sequence[str]) -> str:
    """A refusal's texts, one a line; at most ``MAX_TEXT`` characters."""
    return "\n".join(refusal)[:MAX_TEXT]


def clauses(refusal: Sequence[str]) -> tuple[Clause, ...]:
    """What a refusal's texts say; a list of issues in them is read as such."""
    found: list[Clause] = []
    plain: list[str] = []
    for text in refusal:
        issues = list(_issues(text))
        found += issues
        if not issues:
            plain.append(text)
    for text in plain:
        found += _spoken(text[:MAX_TEXT])
        if len(found) >= MAX_CLAUSES:
            break
    return tuple(found[:MAX_CLAUSES])


def _texts(body: Json) -> Iterator[str]:
    """The strings of a reply, in order, without its frame."""
    frame = members(body)
    if isinstance(frame.get("message"), str):
        yield frame["message"]
    for one in elements(frame.get("content"))[:_MAX_NODES]:
        text = members(one).get("text")
        if isinstance(text, str):
            yield text
    todo: list[Json] = [frame.get("data"), frame.get("structuredContent")]
    for _ in range(_MAX_NODES):
        if not todo:
            return
        value = todo.pop(0)
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            if _is_issue(value):
                yield json.dumps(value)[:MAX_ISSUES]
            else:
                todo += list(value.values())[:_MAX_NODES]
        elif isinstance(value, list):
            todo += value[:_MAX_NODES]


# --- lists of issues ------------------------------------------------------------------------------


def _issues(text: str) -> Iterator[Clause]:
    """The issues of the first JSON that a text holds; nothing where it holds none."""
    head = text[:MAX_ISSUES]
    start = 0
    for _ in range(_STARTS):
        found_at = [at for at in map(head.find, "[{", (start, start)) if at >= 0]
        start = min(found_at, default=-1)
        if start < 0:
            return
        try:
            value, _ = json.JSONDecoder().raw_decode(head, start)
        except (ValueError, RecursionError):
            start += 1
            continue
        found = [_issue(one) for one in _listed(value) if _is_issue(one)]
        yield from found[:MAX_CLAUSES]
        return


def _listed(value: Json) -> list[Json]:
    """The issues of a document: itself, its items, or those of its ``issues`` or ``errors``."""
    if isinstance(value, list):
        return value[:MAX_CLAUSES]
    for key in ("issues", "errors", "details", "detail"):
        if elements(members(value).get(key)):
            return elements(value[key])[:MAX_CLAUSES]
    return [value]


def _is_issue(value: Json) -> bool:
    one = members(value)
    where = one.get("path", one.get("loc", one.get("instancePath")))
    return isinstance(where, list | str) and isinstance(one.get("message", one.get("msg")), str)


def _issue(one: Json) -> Clause:
    where = one.get("path", one.get("loc", one.get("instancePath")))
    steps = where.strip("/").split("/") if isinstance(where, str) else map(str, where[:24])
    place = ".".join(step[:80] for step in steps if step)
    text = str(one.get("message", one.get("msg")))[:MAX_TEXT]
    for key in ("options", "values", "keys"):
        words = [f"'{word}'" for word in elements(one.get(key))[:24] if isinstance(word, str)]
        if words and words[0] not in text:
            text += f": one of {' | '.join(words)}" if key != "keys" else f": {', '.join(words)}"
    return Clause((place,) if place else (), text)


# --- sentences ------------------------------------------------------------------------------------


def _spoken(text: str) -> Iterator[Clause]:
    above = ""
    previous: Clause | None = None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(("→ at ", "-> at ")) and previous is not None:
            previous = previous._replace(places=(stripped.split(" at ", 1)[1].strip(),))
            continue
        if previous is not None:
            yield previous
            previous = None
        if not stripped:
            continue
        if _LONE.match(stripped) and not line.startswith((" ", "\t")):
            above = stripped
            continue
        inherited = (above,) if above and line.startswith((" ", "\t")) else ()
        above = above if inherited else ""
        for note in _NOTES:
            stripped = stripped.split(note, 1)[0]
        for sentence in filter(None, map(str.strip, _SENTENCE.split(stripped))):
            if previous is not None:
                yield previous
            own = tuple(match[1] for match in _PLACE.finditer(sentence))[-8:]
            at = _AT.search(sentence)
            inherited = (*own, *((at[1],) if at else ())) or inherited
            previous = Clause(inherited, sentence)
    if previous is not None:
        yield previous
