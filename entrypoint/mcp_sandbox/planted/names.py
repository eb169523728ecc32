"""Secrets carried out in questions for names: the pieces put together again.

A label holds 63 bytes and a name 253, so what is longer travels in several questions below one
zone, often with a counter or a session's id as a label of its own. For each zone the labels of all
its names are joined in the order of the questions, in a few ways: all of them, without the first
or the last label, without counters, and in the order of the counters.

Limits: pieces under different zones, counters that are no decimal number inside a label, and
pieces of one secret with other names of the same zone between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_NAMES = 20_000
"""Different names that are looked at."""
_MAX_NAME = 1_024
_ZONE_LABELS = 2
_COUNTER = re.compile(r"[0-9]{1,6}")
_NUMBERED = re.compile(r"(?:[A-Za-z]?[0-9]{1,4}[-_])")
_BETWEEN = "\0"
"""Ends a piece of base64, unlike a line break."""


def joined(names: Iterable[str]) -> bytes:
    """All names, and for each zone what its names hold when they are put together."""
    asked: dict[str, None] = {}
    for name in names:
        asked[name[:_MAX_NAME].rstrip(".")] = None
        if len(asked) >= MAX_NAMES:
            break
    zones: dict[tuple[str, ...], list[list[str]]] = {}
    for name in asked:
        labels = name.split(".")
        zone = tuple(label.lower() for label in labels[-_ZONE_LABELS:])
        zones.setdefault(zone, []).append(labels[:-_ZONE_LABELS] or labels)
    pieces = ["\n".join(asked)]
    for found in zones.values():
        ended = _without_shared(found, end=True)
        pieces += _together(ended)
        pieces += _together(_without_shared(ended, end=False))
    return _BETWEEN.join(dict.fromkeys(pieces)).encode("utf-8", "surrogatepass")


def _without_shared(names: list[list[str]], *, end: bool) -> list[list[str]]:
    """Without the labels that all names of a zone end (or begin) in."""
    if len(names) == 1:
        return names
    shared = 0
    for column in zip(*(labels[:0:-1] if end else labels[:-1] for labels in names), strict=False):
        if len({label.lower() for label in column}) > 1:
            break
        shared += 1
    return [labels[: len(labels) - shared] if end else labels[shared:] for labels in names]


def _together(names: list[list[str]]) -> Iterator[str]:
    yield _join(names)
    if len(names) == 1:
        return
    yield _join([labels[1:] for labels in names])
    yield _join([labels[:-1] for labels in names])
    yield _join([_payload(labels) for labels in names])
    for position in (0, -1):
        if all(_COUNTER.fullmatch(labels[position]) for labels in names):
            ordered = sorted(names, key=lambda labels: int(labels[position]))
            yield _join([_payload(labels) for labels in ordered])


def _payload(labels: list[str]) -> list[str]:
    """Without counters, as labels or in front of them."""
    return [_NUMBERED.sub("", label, count=1) if _NUMBERED.match(label) else label
            for label in labels if not _COUNTER.fullmatch(label)]  # fmt: skip


def _join(names: list[list[str]]) -> str:
    return "".join("".join(labels) for labels in names)
