"""Texts inside texts: what base64, hexadecimal, percent signs, entities or ROT13 spell."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import urllib.parse
from collections.abc import Iterator

MAX_DECODED = 16
"""Encoded runs of one text that are looked at."""
PRINTABLE = 0.9
"""Share of printable characters from which bytes count as text."""

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}={0,2}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}){16,}(?![0-9A-Za-z])")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}){8,}")
_ENTITIES = re.compile(r"(?:&#x?[0-9a-fA-F]{2,6};){8,}")
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}){8,}")
_ROT13_TRIGGERS = (
    "vtaber",
    "qvfertneq",
    "vafgehpgvba",
    "gur hfre",
    "cnffjbeq",
    "perqragvny",
    "ffu",
)


def decoded(text: str, depth: int = 2) -> Iterator[tuple[str, str]]:
    """(encoding, plain text) of what a text hides, at most ``depth`` layers deep."""
    for encoding, inner in _layers(text):
        yield encoding, inner
        if depth > 1:
            for deeper, innermost in decoded(inner, depth - 1):
                yield f"{encoding}, {deeper}", innermost


def _layers(text: str) -> Iterator[tuple[str, str]]:
    for run in _runs(_BASE64, text):
        yield from _readable("base64", _from_base64(run))
    for run in _runs(_HEX, text):
        yield from _readable("hexadecimal", bytes.fromhex(run))
    for run in _runs(_ESCAPES, text):
        digits = re.findall(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", run)
        yield "escapes", "".join(chr(int(long or short, 16)) for long, short in digits)
    if _PERCENT.search(text):
        yield "percent signs", urllib.parse.unquote(text)
    if _ENTITIES.search(text):
        yield "entities", html.unescape(text)
    lowered = text.lower()
    if any(trigger in lowered for trigger in _ROT13_TRIGGERS):
        yield "ROT13", codecs.decode(text, "rot13")
    if "snoitcurtsni" in lowered or "resu eht" in lowered:
        yield "reversed letters", text[::-1]


def _runs(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for number, match in enumerate(pattern.finditer(text)):
        if number == MAX_DECODED:
            return
        yield match[0]


def _from_base64(run: str) -> bytes:
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return b""


def _readable(encoding: str, data: bytes) -> Iterator[tuple[str, str]]:
    text = data.decode("utf-8", "replace")
    good = sum(one.isprintable() or one in "\n\t\r" for one in text if one != "\ufffd")
    if text and good >= PRINTABLE * len(text):
        yield encoding, text
