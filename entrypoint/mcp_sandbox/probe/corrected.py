"""Other values for one that a refusal calls wrong.

It should be one of a few, longer, shorter, larger, smaller, of another type or of another form: as
the refusal says it. All patterns are ours, and linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mcp_sandbox.model import Json
from mcp_sandbox.probe.generate import Leaf
from mcp_sandbox.probe.hints import SAMPLE_FILE, SCRATCH
from mcp_sandbox.probe.values import FORMATS

MAX_WORD = 80
"""Characters of a name or of an offered value."""
_MAX_LENGTH = 4_096
"""Longest string and largest array that a refusal has us make."""
_CHOICES = 3

_CHOICE = re.compile(
    r"\b(?:one of|expected|must be|should be|allowed|valid|supported|available|options|choose from"
    r"|possible|acceptable|accepted)\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r"[\"'`“‘]([^\"'`“”‘’]{1,80})[\"'`”’]")
_AFTER = re.compile(r"\b(?:received|got|but|instead|input_value)\b", re.IGNORECASE)
_LEAST = re.compile(
    r"(?:at least|minimum(?: of| length)?|>=|greater than or equal to|no (?:less|fewer) than"
    r"|longer than|greater than|more than|>)\s{0,2}(-?\d{1,9})",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:at most|maximum(?: of| length)?|<=|less than or equal to|no more than|shorter than"
    r"|less than|<)\s{0,2}(-?\d{1,9})",
    re.IGNORECASE,
)
_STRICT = re.compile(r"(?:longer|greater|more|shorter|less) than (?!or)|[<>](?!=)", re.IGNORECASE)
_TYPE = re.compile(
    r"\b(?:expected|must be|should be|is not of type|valid)\s{1,2}(?:an? )?(?:valid )?[\"'`]?"
    r"(string|integer|number|int|float|boolean|bool|array|list|object|dictionary|dict)\b",
    re.IGNORECASE,
)
_FILE = f"{SCRATCH}/{SAMPLE_FILE}"
"""What tools that write were told to write."""
_FORMS: tuple[tuple[re.Pattern[str], Json], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for pattern, value in (
        (r"\b(?:ENOENT|no such file|file (?:not found|does not exist))\b", _FILE),
        (r"\b(?:iso.?8601|date-?time|timestamp|rfc.?3339)\b", FORMATS["date-time"]),
        (r"\b(?:YYYY-MM-DD|valid date|invalid date|iso date)\b", FORMATS["date"]),
        (r"\bhttps://", "https://example.com/"),
        (r"\b(?:valid ur[li]|invalid ur[li]|ur[li] (?:must|format))\b|\"ur[li]\"", FORMATS["uri"]),
        (r"\be-?mail\b", FORMATS["email"]),
        (r"\b(?:uuid|guid)\b", FORMATS["uuid"]),
        (r"\b(?:ipv4|ip address)\b", FORMATS["ipv4"]),
        (r"\bjson\b", "{}"),
        (r"\bowner/(?:repo|name)", "sample/sample"),
        (r"\b(?:numeric|digits)\b", "1"),
        (r"\bhex(?:adecimal)?\b", "0123456789abcdef"),
        (r"\bbase64\b", FORMATS["byte"]),
        (r"\b(?:semver|semantic version)", "1.0.0"),
        (r"\b(?:regex|regular expression)\b", FORMATS["regex"]),
    )
)
_OF_TYPE: dict[str, Json] = {
    "string": "sample", "integer": 1, "int": 1, "number": 1, "float": 1, "boolean": True,
    "bool": True, "object": {}, "dictionary": {}, "dict": {},
}  # fmt: skip


_ABSOLUTE = re.compile(r"\babsolute\b", re.IGNORECASE)


class Other(NamedTuple):
    """A value to try."""

    value: Json
    learned: bool = False
    """It is the server's own word."""


def corrected(value: Json, leaf: Leaf | None, text: str) -> list[Other]:
    """Other values than the one that ``text`` is about, the best first; empty for none."""
    if isinstance(value, str):
        chosen = [Other(one, learned=True) for one in _choices(text) if one != value]
        if chosen:
            return chosen[:_CHOICES]
    wanted = _TYPE.search(text)
    for other in (
        _sized(value, text, leaf),
        _typed(value, wanted[1].lower()) if wanted else None,
        _formed(value, text) if leaf is None or leaf.kind != "enum" else None,
    ):
        if other is not None and other != value:
            return [Other(other)]
    return []


def _formed(value: Json, text: str) -> Json:
    """A value of the form that is named; None where none is, or the value is no string."""
    if not isinstance(value, str):
        return None
    if _ABSOLUTE.search(text):
        return f"{SCRATCH}/{value.rsplit('/', 1)[-1] or SAMPLE_FILE}"
    return next((formed for pattern, formed in _FORMS if pattern.search(text)), None)


def _choices(text: str) -> list[str]:
    """The values that a clause offers."""
    keyword = _CHOICE.search(text)
    if keyword is None:
        return []
    tail = text[keyword.end() :]
    after = _AFTER.search(tail)
    tail = tail[: after.start()] if after else tail
    offered = [match[1] for match in QUOTED.finditer(tail)]
    if not offered:
        listed = (
            tail.partition(":")[2] or tail.partition(" are ")[2] or (tail if "|" in tail else "")
        )
        offered = [one.strip(" .()[]{}\"'`") for one in re.split(r"[,|]|\bor\b|\band\b", listed)]
        offered = offered if len(offered) > 1 else []
    return [one for one in offered if one and " " not in one and len(one) <= MAX_WORD]


def _sized(value: Json, text: str, leaf: Leaf | None) -> Json:
    """The value longer, shorter, larger or smaller; None where nothing of the kind is said."""
    least, most = _LEAST.search(text), _MOST.search(text)
    match = least or most
    if match is None or isinstance(value, bool):
        return None
    strict = 1 if _STRICT.match(match[0]) else 0
    bound = int(match[1]) + (strict if least else -strict)
    if isinstance(value, int | float):
        return bound if (value < bound if least else value > bound) else None
    if not isinstance(value, str | list) or not 0 <= bound <= _MAX_LENGTH:
        return None
    if not least:
        return value[:bound]
    missing = bound - len(value)
    if isinstance(value, str):
        return value + (value[-1:] or "a") * missing
    model = value or (leaf.value if leaf is not None and isinstance(leaf.value, list) else [])
    return [*value, *model[:1] * missing]


def _typed(value: Json, wanted: str) -> Json:
    """The value as another type; None where it is of this type already."""
    if wanted in ("array", "list"):
        return None if isinstance(value, list) else [value]
    other = _OF_TYPE[wanted]
    if type(value) is type(other):
        return None
    if wanted == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return other
