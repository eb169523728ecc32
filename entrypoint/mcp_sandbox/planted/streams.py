"""Finding and inflating compressed data inside other data, within bounds.

Gzip and zlib streams are recognised by their headers wherever they begin, as bytes, as base64 and
as hex; raw deflate has no header and is not found.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_INFLATED = 8 * 2**20
"""Bytes that one search inflates in all."""
MAX_STREAMS = 1_000
"""Possible beginnings of compressed data that one search tries."""
_FIRST, _CHUNK = 128, 4_096
_H, _ONE = b"H1"

_HEADS = (
    (b"\x8b", b"\x1f\x8b\x08", "gzip"),
    (b"\x9c", b"\x78\x9c", "deflate"),
    (b"\xda", b"\x78\xda", "deflate"),
    (b"\x01", b"\x78\x01", "deflate"),
    (b"\x5e", b"\x78\x5e", "deflate"),
)
"""The rarest byte of each header (one byte is looked for ten times faster than two), and itself."""
BASE64_HEAD = re.compile(rb"H4sI|eJ[w-z]|eA[E-H]|eN[o-r]|eF[4-7]")
_BASE64_RUNS = tuple(
    re.compile(head + rb"(?=[A-Za-z0-9+/_\-]{16})")
    for head in (b"H4sI", b"e(?:J[w-z]|A[E-H]|N[o-r]|F[4-7])")
)
"""The same, long enough to hold a secret before the first line break; each begins with one letter,
which makes it many times quicker to search for."""
HEX_HEAD = re.compile(rb"1f8b08|78(?:01|5e|9c|da)", re.IGNORECASE)
_HEX_RUN = re.compile(rb"[0-9a-f]{20}")
_AS_DIGITS = bytes(
    0 if byte in b"0123456789abcdefABCDEF" else min(byte, 127) | 1 for byte in range(256)
)
_DIGITS = bytes(20)
"""A run of hexadecimal digits, as ``_AS_DIGITS`` writes it: one search rules most data out."""
_HEX_MARKS = (b"1f8b08", b"789c", b"78da", b"7801", b"785e")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/_\-]")
_NOT_HEX = re.compile(rb"[^0-9A-Fa-f]")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass
class Budget:
    """What one search may still spend."""

    inflated: int = MAX_INFLATED
    streams: int = MAX_STREAMS


def streams(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    """Encoding and content of each stream in ``data``."""
    for byte, head, kind in _HEADS:
        at = data.find(head) if byte in data else -1
        while at >= 0:
            if out := _inflated(_slices(data, at), budget):
                yield kind, out
            at = data.find(head, at + 1)
    for at in _base64_heads(data):
        pieces = _decoded(data, at, _NOT_BASE64, _from_base64)
        if out := _inflated(pieces, budget):
            yield "base64+gzip" if data[at] == _H else "base64+deflate", out
    for at in _hex_heads(data):
        if out := _inflated(_decoded(data, at, _NOT_HEX, _from_hex), budget):
            yield "hex+gzip" if data[at] == _ONE else "hex+deflate", out


def _base64_heads(data: bytes) -> Iterator[int]:
    for run in _BASE64_RUNS:
        for match in run.finditer(data):
            yield match.start()


def _hex_heads(data: bytes) -> Iterator[int]:
    if _DIGITS in data.translate(_AS_DIGITS):
        small = data.lower()
        for mark in _HEX_MARKS:
            at = small.find(mark)
            while at >= 0:
                if _HEX_RUN.match(small, at):
                    yield at
                at = small.find(mark, at + 1)


def _slices(data: bytes, at: int) -> Iterator[bytes]:
    """Pieces, the first one short: most beginnings turn out to be none. No escape is cut."""
    size = _FIRST
    while at < len(data):
        end = at + size
        if data[end - 1 : end] == b"\\":
            end += 1
        yield data[at:end]
        at, size = end, _CHUNK


def _decoded(
    data: bytes, at: int, stop: re.Pattern[bytes], decode: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    """Decode piece by piece up to the first other character; line breaks are passed over."""
    rest = b""
    for piece in _slices(data, at):
        text = piece.replace(b"\\n", b"").replace(b"\\r", b"").translate(None, b" \t\r\n")
        end = stop.search(text)
        text = rest + (text[: end.start()] if end else text)
        whole = len(text) if end else len(text) // 4 * 4
        rest = text[whole:]
        yield decode(text[:whole])
        if end:
            return
    yield decode(rest)


def _from_base64(text: bytes) -> bytes:
    text = text.translate(_URL_SAFE)
    text = text[: len(text) - (len(text) % 4 == 1)]
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _from_hex(text: bytes) -> bytes:
    return binascii.unhexlify(text[: len(text) // 2 * 2])


def _inflated(pieces: Iterator[bytes], budget: Budget) -> bytes:
    """Inflate until the stream ends, breaks, or the budget is spent; what came out counts."""
    if budget.streams <= 0 or budget.inflated <= 0:
        return b""
    budget.streams -= 1
    stream = zlib.decompressobj(wbits=47)
    out = bytearray()
    try:
        for piece in pieces:
            out += stream.decompress(piece, budget.inflated - len(out))
            if stream.eof or len(out) >= budget.inflated:
                break
    except (zlib.error, binascii.Error):
        budget.inflated -= len(out)
        return bytes(out)
    budget.inflated -= len(out)
    return bytes(out)
