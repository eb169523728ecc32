"""Which item of one lock is which of another, where the name does not say it.

Likeness is that of the texts or that of the definitions, whichever is less, each as the share of
features (Jaccard) that two items have in common: runs of two words, and every member with its
place. Two tools that take the same parameter and do different things are so not taken for one. Two
items are looked at together only when they share a feature that few others have, so that the work
grows with the number of items and not with its square.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TypeVar
from zlib import crc32

from mcp_sandbox.model import Json
from mcp_sandbox.model.locked import Item

T = TypeVar("T")

ALIKE = 0.5
"""Likeness from which one item is taken for another under a new name."""
SAME = 0.8
"""Likeness from which a name that stayed is said to stand for what another was."""
MIN_RUNS, MIN_MEMBERS = 2, 10
"""Runs of words, or members, without which an item has nothing that tells it from others."""
MAX_FEATURES = 128
"""Of one text or definition: those with the smallest hashes, a fair sample (minhash)."""
MAX_SHARERS = 16
"""Items that may share a feature before it tells nothing."""
MAX_TEXT = 4_000
"""Characters of title and description."""
MAX_MEMBERS = 500
MAX_DEPTH = 16
MAX_PATH = 200

_WORD = re.compile(r"\w+")


Row = tuple[Item, str]
"""An item and all that it says but its name, as one line of JSON."""


@dataclass(frozen=True)
class Match:
    """Two items that are one under two names."""

    old: Item
    new: Item

    @property
    def items(self) -> tuple[Item, Item]:
        """Old and new."""
        return self.old, self.new


def renamed(lost: list[Row], gained: list[Row]) -> tuple[list[Match], list[Row], list[Row]]:
    """Pairs of items that are alike, and what is left of both sides; each item in one pair at most.

    Of several copies the one with the likest name is the renamed one, the others are new. Of a
    split, it is the part that kept most.
    """
    found, old, new = _equal(lost, gained)
    pairs = sorted(_candidates(old, new), key=lambda one: _order(one, old, new))
    taken: tuple[set[int], set[int]] = set(), set()
    for likeness, left, right in pairs:
        if likeness >= ALIKE and left not in taken[0] and right not in taken[1]:
            taken[0].add(left)
            taken[1].add(right)
            found.append(Match(old[left][0], new[right][0]))
    return (
        found,
        [row for number, row in enumerate(old) if number not in taken[0]],
        [row for number, row in enumerate(new) if number not in taken[1]],
    )


def _equal(lost: list[Row], gained: list[Row]) -> tuple[list[Match], list[Row], list[Row]]:
    """Items that say exactly the same: the likest name first where there are few, else in order."""
    found: list[Match] = []
    sides: dict[tuple[str, str], tuple[list[Item], list[Item]]] = {}
    for side, rows in enumerate((lost, gained)):
        for item, said in rows:
            sides.setdefault((item.kind.value, said), ([], []))[side].append(item)
    rest: tuple[list[Row], list[Row]] = ([], [])
    for (_, said), (old, new) in sides.items():
        left, right = _sorted_by_name(old, new)
        pairs = min(len(left), len(right))
        if pairs and not features_of(left[0]).telling:
            pairs = 0
        found += [Match(one, other) for one, other in zip(left[:pairs], right, strict=False)]
        rest[0].extend((item, said) for item in left[pairs:])
        rest[1].extend((item, said) for item in right[pairs:])
    return found, *rest


def _sorted_by_name(old: list[Item], new: list[Item]) -> tuple[list[Item], list[Item]]:
    """Both so that those with like names stand at the same place, as far as that is cheap."""
    left, right = sorted(old, key=lambda one: one.name), sorted(new, key=lambda one: one.name)
    if len(left) * len(right) > MAX_SHARERS**2 or not left or not right:
        return left, right
    pairs = sorted(
        (-_share(_letters(one.name), _letters(other.name)), number, other_number)
        for number, one in enumerate(left)
        for other_number, other in enumerate(right)
    )
    order: tuple[list[int], list[int]] = ([], [])
    for _, number, other_number in pairs:
        if number not in order[0] and other_number not in order[1]:
            order[0].append(number)
            order[1].append(other_number)
    return _reordered(left, order[0]), _reordered(right, order[1])


def _reordered(items: list[Item], first: list[int]) -> list[Item]:
    return [items[at] for at in first] + [one for at, one in enumerate(items) if at not in first]


def taken_over(before: list[Row], after: list[Row]) -> list[Match]:
    """Items whose name stayed and which are now what another name stood for: a swap, a take-over.

    ``before`` and ``after`` are the items that both locks have under one name and that differ, in
    the same order.
    """
    said: dict[str, list[int]] = {}
    for number, (_, words) in enumerate(before):
        said.setdefault(words, []).append(number)
    best: dict[int, tuple[float, int]] = {}
    itself: dict[int, float] = {}
    for number, (_, words) in enumerate(after):
        if words in said and features_of(after[number][0]).telling:
            best[number] = (1.0, -said[words][0])
    for likeness, left, right in _candidates(before, after):
        if left == right:
            itself[right] = likeness
        elif likeness >= SAME:
            best[right] = max(best.get(right, (0.0, 0)), (likeness, -left))
    return [
        Match(before[-left][0], after[right][0])
        for right, (likeness, left) in sorted(best.items())
        if itself.get(right, 0.0) < likeness
    ]


def _order(pair: tuple[float, int, int], old: list[Row], new: list[Row]) -> tuple[object, ...]:
    likeness, left, right = pair
    one, other = old[left][0], new[right][0]
    return -likeness, -_share(_letters(one.name), _letters(other.name)), one.name, other.name


def _candidates(old: list[Row], new: list[Row]) -> Iterator[tuple[float, int, int]]:
    """(likeness, position in ``old``, position in ``new``) of pairs that may be one item."""
    features = [features_of(item) for item, _ in old], [features_of(item) for item, _ in new]
    owners: dict[int, list[int]] = {}
    for number, own in enumerate(features[0]):
        for feature in own.text | own.members:
            owners.setdefault(feature, []).append(number)
    for right, own in enumerate(features[1]):
        shared: Counter[int] = Counter()
        for feature in own.text | own.members:
            sharers = owners.get(feature, ())
            if len(sharers) <= MAX_SHARERS:
                shared.update(sharers)
        near = sorted(shared, key=lambda one: (-shared[one], one))[:MAX_SHARERS]
        for left in near:
            if old[left][0].kind is new[right][0].kind:
                yield features[0][left].like(own), left, right


@dataclass(frozen=True)
class Features:
    """Hashes of what makes an item itself; its name is not of it."""

    text: frozenset[int]
    members: frozenset[int]

    @property
    def telling(self) -> bool:
        """There is enough of them to know an item by."""
        return len(self.text) >= MIN_RUNS or len(self.members) >= MIN_MEMBERS

    def like(self, other: Features) -> float:
        """0 to 1."""
        if not (self.telling and other.telling):
            return 0.0
        shares = [
            _share(one, another)
            for one, another in ((self.text, other.text), (self.members, other.members))
            if one or another
        ]
        return min(shares)


def features_of(item: Item) -> Features:
    """What an item is known by."""
    words = _WORD.findall(f"{item.title} {item.description}"[:MAX_TEXT].lower())
    runs = {f"{one} {other}" for one, other in pairwise(words)} or set(words)
    members = set(islice(_members(item.definition, "", MAX_DEPTH), MAX_MEMBERS))
    return Features(_sample(runs), _sample(members))


def _sample(features: set[str]) -> frozenset[int]:
    hashes = sorted({crc32(one.encode("utf-8", "replace")) for one in features})
    return frozenset(hashes[:MAX_FEATURES])


def _members(value: Json, path: str, depth: int) -> Iterator[str]:
    """Every member with its place, and every value."""
    if not depth:
        return
    if isinstance(value, dict):
        for key in sorted(value):
            yield f"{path}/{key}"
            yield from _members(value[key], f"{path}/{key}"[-MAX_PATH:], depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner, f"{path}/*", depth - 1)
    else:
        yield f"{path}={str(value)[:MAX_PATH]}"


def _letters(name: str) -> frozenset[str]:
    """Pairs of neighbouring letters, however the name is cased or joined."""
    bare = re.sub(r"[\W_]+", "", name.lower())[:MAX_PATH]
    return frozenset(bare[at : at + 2] for at in range(max(1, len(bare) - 1)))


def _share(one: frozenset[T], other: frozenset[T]) -> float:
    together = len(one | other)
    return len(one & other) / together if together else 0.0
