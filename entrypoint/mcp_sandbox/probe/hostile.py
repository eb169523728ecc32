"""The hostile inputs of one listed item: which payloads, where, in which order.

Made one at a time while they are iterated, so a listing of a thousand tools costs little memory.
Each changes one argument of an ordinary call. Nonces and factors are hashes of the seed and of what
is called with what: the same run twice sends the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from mcp_sandbox.model import ItemKind, Json
from mcp_sandbox.probe.generate import Path
from mcp_sandbox.probe.hints import Hint
from mcp_sandbox.probe.payloads import (
    PLACEHOLDERS,
    Build,
    Family,
    Payload,
    Scope,
    Tier,
    build,
    families,
)
from mcp_sandbox.probe.schema import Checker

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz0123456789"
_LETTERS = bytes(_ALPHABET[byte % 26] for byte in range(256))
_DIGITS = bytes(_ALPHABET[byte % 36] for byte in range(256))
"""A byte of a hash as a letter, and as a letter or a digit."""
_ENUM_SHARE = 1
_PLAIN_SHARE = 11
"""Most payloads of one family for a place that does not look like the family's own."""
_ATTEMPTS = 100
_LEAST_FACTOR = 10_001
_FACTORS = 494_999
"""Odd numbers of five or six digits: their products end in no zeros."""
_TIERS = tuple(Tier)
_HINTED_PACE = 4
"""How many payloads of a family that fits go out for each one of a family that does not."""


@dataclass(frozen=True)
class Input:
    """One call to make. ``expected``, ``effect`` and ``learned`` are as in ``model.Call``."""

    kind: ItemKind
    target: str
    """Name of the tool or prompt, or the URI template."""
    parameter: str
    """JSON pointer of the argument that is hostile; empty for an ordinary call."""
    family: str
    payload: str
    """Empty for an ordinary call, unless it is one that was repaired after a refusal."""
    nonce: str
    arguments: Json
    expected: str
    effect: str
    learned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """What hostile input is aimed at. Paths are absolute, inside the server's container."""

    seed: int
    planted_file: str = ""
    """A planted file outside every folder that the server was given; empty when there is none."""
    passwd: str = "/etc/passwd"  # noqa: S105 - a path
    ssh_key: str = ""
    directories: tuple[str, ...] = ()
    """Folders that the server was given, from its arguments or its environment."""
    neighbour: str = ""
    """A planted file in a folder named like the first of them, and a bit more."""
    link: str = ""
    """A link in the first of them that leads to a planted file outside."""
    linked_file: str = ""
    """A planted file outside, by its path through a linked folder in the first of them."""
    repository: str = ""
    """A planted git repository outside of them."""
    valid_paths: tuple[str, ...] = ()
    """Files known to exist inside those folders."""
    kind: str = ""
    """The kind of file that the server's tools are about; see ``paths.common_kind``."""


@dataclass(frozen=True)
class Place:
    """Where a payload goes in: ``put`` makes the call's arguments from it."""

    pointer: str
    kind: str
    hints: tuple[Hint, ...]
    value: Json
    put: Callable[[Json], Json]
    check: Callable[[], Checker | None]
    raw: bool = False
    """The value goes into a URI unescaped."""


class Shape(NamedTuple):
    """All of a place that decides which payloads it gets, and when."""

    kind: str
    hints: tuple[Hint, ...]
    raw: bool


class _Step(NamedTuple):
    """One payload in one place, in its turn."""

    place: int | None
    """Index of the place; None: the call as a whole."""
    family: str
    payload: Payload


Refused = frozenset[tuple[int, str, str]]
"""Place, family and payload of what the place's own schema does not admit."""


@dataclass(frozen=True)
class Hostile:
    """The hostile inputs of one item; made anew by each iteration, always the same."""

    kind: ItemKind
    target: str
    targets: Targets
    places: tuple[Place, ...] = ()
    base: Json = None
    """The arguments that calls as a whole are derived from; None when there are no such calls."""
    required: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    """Strings in the ordinary arguments that are the server's own."""

    def __iter__(self) -> Iterator[Input]:
        """Most likely to prove first: tiers, then fitting families, then one payload of each."""
        for step in self._plan():
            made = self._input(step)
            if made is not None:
                yield made

    def __len__(self) -> int:
        return len(self._plan())

    def _plan(self) -> tuple[_Step, ...]:
        whole = self.kind is ItemKind.TOOLS and isinstance(self.base, dict)
        shapes = tuple(Shape(one.kind, one.hints, one.raw) for one in self.places)
        return _layout(shapes, self._known, whole, bool(self.required), self._refused())

    def _refused(self) -> Refused:
        found: set[tuple[int, str, str]] = set()
        for index, place in enumerate(self.places):
            checker = place.check() if place.kind in ("string", "enum") else None
            if checker is None:
                continue
            for family in families():
                for payload in _candidates(Shape(place.kind, place.hints, place.raw), family):
                    if not payload.placeholders <= self._known:
                        continue
                    values = self._values(place, family.family, payload)
                    if not checker.admits(payload.render(values).value):
                        found.add((index, family.family, payload.id))
        return frozenset(found)

    def _input(self, step: _Step) -> Input | None:
        if step.place is None:
            return self._whole(step.family, step.payload)
        place = self.places[step.place]
        for attempt in range(_ATTEMPTS):
            values = self._values(place, step.family, step.payload, attempt)
            rendered = step.payload.render(values)
            arguments = place.put(rendered.value)
            if rendered.expected and rendered.expected in json.dumps(arguments):
                continue  # the ordinary arguments happen to hold the product: take other factors
            return Input(
                kind=self.kind,
                target=self.target,
                parameter=place.pointer,
                family=step.family,
                payload=step.payload.id + ("-raw" if place.raw else ""),
                nonce=values["nonce"],
                arguments=arguments,
                expected=rendered.expected,
                effect=rendered.effect,
                learned=self.learned,
            )
        return None

    def _whole(self, family: str, payload: Payload) -> Input | None:
        """A call with an argument too many or too few."""
        if payload.build is None or not isinstance(self.base, dict):
            return None
        arguments = dict(self.base)
        if payload.build.kind is Build.REMOVE_REQUIRED:
            if not self.required:
                return None
            parameter = pointer_to((self.required[0],))
            del arguments[self.required[0]]
        else:
            arguments[str(build(payload.build))] = "sample"
            parameter = ""
        nonce = self._values(None, family, payload)["nonce"]
        return Input(
            kind=self.kind,
            target=self.target,
            parameter=parameter,
            family=family,
            payload=payload.id,
            nonce=nonce,
            arguments=arguments,
            expected="",
            effect="",
            learned=self.learned,
        )

    @cached_property
    def _known(self) -> frozenset[str]:
        """The placeholders that have a value in this run."""
        fixed = {name for name, value in self._fixed.items() if value}
        return frozenset(fixed | PLACEHOLDERS.keys() - self._fixed.keys())

    @cached_property
    def _fixed(self) -> dict[str, str]:
        """The placeholders that are the same for every payload; empty where there is no target."""
        targets = self.targets
        stem, dot, extension = targets.planted_file.rpartition(".")
        directory = targets.directories[0].rstrip("/") if targets.directories else ""
        parent = directory.rpartition("/")[0]
        beside = targets.neighbour.removeprefix(f"{parent}/") if targets.neighbour else ""
        return {
            "passwd": targets.passwd,
            "passwd-relative": targets.passwd.lstrip("/"),
            "planted": targets.planted_file,
            "planted-relative": targets.planted_file.lstrip("/"),
            "planted-stem": stem.lstrip("/") if dot and "/" not in extension else "",
            "ssh-key": targets.ssh_key,
            "directory": directory,
            "neighbour": targets.neighbour,
            "neighbour-relative": f"../{beside}" if beside else "",
            "link": targets.link,
            "link-relative": targets.link.removeprefix(f"{directory}/"),
            "linked": targets.linked_file,
            "repository": targets.repository,
            "repository-relative": targets.repository.lstrip("/"),
        }

    def _values(
        self, place: Place | None, family: str, payload: Payload, attempt: int = 0
    ) -> dict[str, str]:
        """Every placeholder's value for one payload in one place."""
        key = (
            f"{self.targets.seed}\n{self.kind}\n{self.target!r}"
            f"\n{place.pointer if place else ''!r}\n{place is not None and place.raw}"
            f"\n{family}\n{payload.id}\n{attempt}"
        )
        digest = hashlib.sha256(key.encode()).digest()
        first = _LEAST_FACTOR + 2 * (int.from_bytes(digest[:8], "big") % _FACTORS)
        second = _LEAST_FACTOR + 2 * (int.from_bytes(digest[8:16], "big") % _FACTORS)
        product = str(first * second)
        return self._fixed | {
            "nonce": (
                digest[16:17].translate(_LETTERS) + digest[17:28].translate(_DIGITS)
            ).decode(),
            "a": str(first),
            "b": str(second),
            "product": product,
            "product-base64": base64.b64encode(product.encode()).decode(),
            "valid": place.value if place and isinstance(place.value, str) else "1",
        }


@lru_cache(maxsize=256)
def _layout(
    shapes: tuple[Shape, ...], known: frozenset[str], whole: bool, required: bool, refused: Refused
) -> tuple[_Step, ...]:
    """Which payload goes where, in which order. Kept, because most tools look alike from here.

    ``whole``: calls as a whole are changed too; ``required``: there is an argument to leave out.
    """
    steps: list[tuple[tuple[int, ...], _Step]] = []
    for number, family in enumerate(families()):
        tier = _TIERS.index(family.tier)
        calls = [one for one in family.payloads if one.scope is Scope.CALL] if whole else []
        for rank, payload in enumerate(calls):
            if payload.build and (required or payload.build.kind is not Build.REMOVE_REQUIRED):
                key = (tier, 0, rank, 0, 0, number)
                steps.append((key, _Step(None, family.family, payload)))
        for index, shape in enumerate(shapes):
            fits = bool(set(shape.hints) & set(family.hints))
            chosen = [
                (int((index, family.family, payload.id) in refused), payload)
                for payload in _candidates(shape, family)
                if payload.placeholders <= known  # else this run has no such target
            ]
            chosen.sort(key=lambda one: one[0])
            if family.tier is Tier.PROOF and not fits:
                chosen = chosen[: _ENUM_SHARE if shape.kind == "enum" else _PLAIN_SHARE]
            for rank, (late, payload) in enumerate(chosen):
                pace = rank // _HINTED_PACE if fits else rank + 1
                key = (tier, late, pace, index, 0 if fits else 1, number)
                steps.append((key, _Step(index, family.family, payload)))
    steps.sort(key=lambda one: one[0])
    return tuple(step for _, step in steps)


def _candidates(shape: Shape, family: Family) -> Iterator[Payload]:
    """The family's payloads that make sense in such a place."""
    if shape.raw and Hint.PATH not in family.hints:
        return
    for payload in family.payloads:
        if payload.scope is not Scope.CALL and _applies(payload, shape):
            yield payload


def _applies(payload: Payload, shape: Shape) -> bool:
    takes_text = shape.kind in ("string", "enum", "untyped")
    return any(
        one == "every"
        or (one == "string" and takes_text)
        or (one == "number" and shape.kind == "number")
        or (one in shape.hints and takes_text)
        for one in payload.applies
    )


def pointer_to(path: Path) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
