"""Finding planted secrets in bytes, whole or in pieces, plain or encoded, and masking them.

Every core of a run holds one tag, so a search is a few ``bytes.find`` for the tag as each encoding
writes it, over the data with everything but letters and digits taken out: that alone joins pieces
(DNS labels, wrapped lines, hex dumps with separators, UTF-16). What stands beside the tag says
whose it is; a tag without its sides is still a hit, at the place ``unknown``. Escaped text is
unescaped and searched again; compressed data is inflated within bounds, also inside base64 and hex.

Limits: pieces with letters or digits of others between them where they cut the tag (numbered
chunks), encryption, base64 within base64, raw deflate, and what lies behind the bounds here and in
``streams``. Linear in the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mcp_sandbox.model import CanaryHit
from mcp_sandbox.planted.encodings import (
    JOINT,
    OTHERS,
    UNKNOWN,
    Variant,
    escaped_pattern,
    unescaped,
    variants,
)
from mcp_sandbox.planted.names import joined
from mcp_sandbox.planted.places import Planted
from mcp_sandbox.planted.streams import BASE64_HEAD, HEX_HEAD, Budget, streams

MAX_DEPTH = 3
"""So many layers of escapes and compression are taken off."""
MAX_TAGS = 4_096
"""Occurrences that one search looks at, per encoding."""

_COVERED = {
    # Squeezed escapes look like these encodings; the escape is the better name.
    "hex": "url",
    "decimal": "html",
    # Something beside the secret is escaped, or looks like it by chance (``0x4f`` in base64).
    **dict.fromkeys(("escape", "json", "url", "html"), "plain"),
}
"""An encoding, and the one that says better what it says."""
_RUN = re.compile(
    f"(?:{BASE64_HEAD.pattern.decode()})[A-Za-z0-9+/_=-]+"
    f"|(?:{HEX_HEAD.pattern.decode()})[0-9A-Fa-f]+"
)


BLOCK = 256 * 2**10
"""Bytes that ``find_in`` searches at once: they stay in the processor's cache."""
OVERLAP = 16 * 2**10

KEPT_ANSWER = 64 * 2**10
"""Bytes of an object whose answer is kept; a larger one would be kept alive for it."""


class Matcher:
    """Searches for the secrets of one run."""

    def __init__(self, planted: Planted) -> None:
        self.know(planted)

    def know(self, planted: Planted) -> None:
        """Search for these from now on."""
        self._values = sorted(
            ((value, place) for place, value in planted.values.items()),
            key=lambda one: -len(one[0]),
        )
        made = tuple(variants(planted))
        self._variants = made
        self._lowered = tuple((one.needle, one) for one in made if one.lowered)
        self._cased = tuple((one.needle, one) for one in made if not one.lowered)
        self._escaped = escaped_pattern(planted.tag)
        self._last: tuple[bytes, tuple[CanaryHit, ...]] = (b"", ())

    def find(self, data: bytes) -> tuple[CanaryHit, ...]:
        """Every planted secret in ``data``, once per place and encoding, sorted.

        The answer for the last object is kept: a line is searched when it is recorded, and again
        when its call is written up.
        """
        last, known = self._last  # read once: sessions search at the same time
        if data is last:
            return known
        hits = self._found(data)
        if len(data) <= KEPT_ANSWER:
            self._last = (data, hits)
        return hits

    def find_in(self, chunks: Iterable[bytes]) -> tuple[CanaryHit, ...]:
        """The same for data that is too large to be held, in pieces of any size.

        It is searched in blocks that overlap by ``OVERLAP`` bytes; of compressed data that goes
        on behind its block, what lies in the block counts.
        """
        hits: set[tuple[str, str]] = set()
        for block in _blocks(chunks):
            self._search(block, "", MAX_DEPTH, Budget(), hits)
        return _told(hits)

    def find_in_names(self, names: Iterable[str]) -> tuple[CanaryHit, ...]:
        """The same for names in the order in which a resolver was asked for them.

        What was split over several questions is put together first; see ``names``.
        """
        return self.find(joined(names))

    def _found(self, data: bytes) -> tuple[CanaryHit, ...]:
        hits: set[tuple[str, str]] = set()
        self._search(data, "", MAX_DEPTH, Budget(), hits)
        return _told(hits)

    def mask(self, text: str) -> str:
        """``text`` with each planted secret that ``find`` finds replaced by ``<planted:PLACE>``.

        Where it cannot be cut out exactly, more is taken out; in the last resort all of the text.
        ``find`` finds nothing in the result.
        """
        found = self.find(_bytes(text))
        if not found:
            return text
        for value, place in self._values:
            text = text.replace(value, f"<planted:{place}>")
        for variant in self._variants:
            text = self._masked(text, variant)
        if self.find(_bytes(text)):
            text = self._escaped.sub(self._marker, text)
        if self.find(_bytes(text)):
            text = _RUN.sub(self._marker, text)
        if self.find(_bytes(text)):
            places = ",".join(sorted({hit.place for hit in found}))
            return f"<planted:{places}> ({len(text)} characters withheld)"
        return text

    def _marker(self, match: re.Match[str]) -> str:
        """The mark of what is found in a piece of text; the piece itself when nothing is."""
        places = sorted({hit.place for hit in self.find(_bytes(match[0]))})
        return f"<planted:{','.join(places)}>" if places else match[0]

    def _masked(self, text: str, variant: Variant) -> str:
        """Replace what one encoding made of a core: in one piece first, then parted."""
        flags = re.IGNORECASE if variant.lowered else 0
        for joint in ("", JOINT):
            needle = joint.join(variant.needle.decode())
            if re.search(needle, text, flags):
                before = f"(?:[0-9A-Za-z]{joint}){{0,{variant.reach}}}?"
                after = f"(?:{joint}[0-9A-Za-z]){{0,{variant.reach}}}"
                text = re.sub(f"{before}{needle}{after}", self._marker, text, flags=flags)
        return text

    def _search(
        self, data: bytes, outer: str, depth: int, budget: Budget, hits: set[tuple[str, str]]
    ) -> None:
        cased = (_unbroken(data) if b"\\" in data else data).translate(None, OTHERS)
        lowered = cased.lower()
        for needle, variant in self._lowered:
            if needle in lowered:
                _note(lowered, variant, outer, hits)
        for needle, variant in self._cased:
            if needle in cased:
                _note(cased, variant, outer, hits)
        if depth == 0:
            return
        kind, plain = unescaped(data)
        if kind:
            self._search(plain, f"{outer}{kind}+", depth - 1, budget, hits)
        for kind, stream in streams(data, budget):
            self._search(stream, f"{outer}{kind}+", depth - 1, budget, hits)


def _told(hits: set[tuple[str, str]]) -> tuple[CanaryHit, ...]:
    """Without what another hit says better."""
    if not hits:
        return ()
    known = {encoding for place, encoding in hits if place != UNKNOWN}
    return tuple(
        CanaryHit(place, encoding)
        for place, encoding in sorted(hits)
        if (place != UNKNOWN or encoding not in known)
        and (place, _COVERED.get(encoding)) not in hits
    )


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of ``BLOCK`` bytes or a little more, each after the first with the end of the last."""
    waiting: list[bytes] = []
    size = fresh = 0
    for chunk in chunks:
        for at in range(0, len(chunk), BLOCK):
            piece = chunk[at : at + BLOCK]
            waiting.append(piece)
            size += len(piece)
            fresh += len(piece)
            if size >= BLOCK:
                block = b"".join(waiting)
                yield block
                waiting, size, fresh = [block[-OVERLAP:]], OVERLAP, 0
    if fresh:
        yield b"".join(waiting)


def _note(text: bytes, variant: Variant, outer: str, hits: set[tuple[str, str]]) -> None:
    """Record every occurrence of a variant that is known to be there."""
    inner = variant.encoding
    if outer:
        inner = outer[:-1] if inner == "plain" else outer + inner
    at = text.find(variant.needle)
    for _ in range(MAX_TAGS):
        hits.add((variant.owner(text, at), inner))
        at = text.find(variant.needle, at + len(variant.needle))
        if at < 0:
            return


def _unbroken(data: bytes) -> bytes:
    """``data`` without escaped line breaks and tabs: their letter would part a secret."""
    first, *rest = data.split(b"\\")
    return first + b"".join([part[part[:1] in b"nrt" :] for part in rest])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
