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
from dataclasses import dataclass, field

from mcp_sandbox.model import ItemKind, Json
from mcp_sandbox.probe.generate import Path
from mcp_sandbox.probe.hints import Hint
from mcp_sandbox.probe.payloads import Build, Family, Payload, Scope, Tier, build, families
from mcp_sandbox.probe.schema import Checker

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
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
    """One call to make. ``expected`` and ``effect`` are as in ``model.Call``."""

    kind: ItemKind
    target: str
    """Name of the tool or prompt, or the URI template."""
    parameter: str
    """JSON pointer of the argument that is hostile; empty for an ordinary call."""
    family: str
    payload: str
    nonce: str
    arguments: Json
    expected: str
    effect: str


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
    valid_paths: tuple[str, ...] = ()
    """Files known to exist inside those folders."""


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


@dataclass(frozen=True)
class _Step:
    """One payload in one place; the key is its turn."""

    key: tuple[int, ...]
    place: Place | None
    """None: the call as a whole."""
    family: str
    payload: Payload


@dataclass(frozen=True)
class Hostile:
    """The hostile inputs of one item; made anew by each iteration, always the same."""

    kind: ItemKind
    target: str
    targets: Targets
    places: tuple[Place, ...] = ()
    base: Json = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Input]:
        """Most likely to prove first: tiers, then fitting families, then one payload of each."""
        for step in self._plan():
            made = self._input(step)
            if made is not None:
                yield made

    def __len__(self) -> int:
        return len(self._plan())

    def _plan(self) -> list[_Step]:
        steps: list[_Step] = []
        for number, family in enumerate(families()):
            tier = _TIERS.index(family.tier)
            whole = [one for one in family.payloads if one.scope is Scope.CALL]
            for rank, payload in enumerate(whole if self.kind is ItemKind.TOOLS else ()):
                if self._whole(family.family, payload) is not None:
                    key = (tier, 0, rank, 0, 0, number)
                    steps.append(_Step(key, None, family.family, payload))
            for index, place in enumerate(self.places):
                fits = bool(set(place.hints) & set(family.hints))
                for rank, (refused, payload) in enumerate(self._chosen(place, family, fits)):
                    pace = rank // _HINTED_PACE if fits else rank + 1
                    key = (tier, refused, pace, index, 0 if fits else 1, number)
                    steps.append(_Step(key, place, family.family, payload))
        steps.sort(key=lambda step: step.key)
        return steps

    def _chosen(self, place: Place, family: Family, fits: bool) -> list[tuple[int, Payload]]:
        """The family's payloads for one place; those that its schema admits first."""
        if place.raw and Hint.PATH not in family.hints:
            return []
        checker = place.check() if place.kind in ("string", "enum") else None
        found: list[tuple[int, Payload]] = []
        for payload in family.payloads:
            if payload.scope is Scope.CALL or not _applies(payload, place):
                continue
            rendered = payload.render(self._values(place, family.family, payload))
            if rendered is not None:
                refused = checker is not None and not checker.admits(rendered.value)
                found.append((int(refused), payload))
        found.sort(key=lambda one: one[0])
        if family.tier is not Tier.PROOF or fits:
            return found
        return found[: _ENUM_SHARE if place.kind == "enum" else _PLAIN_SHARE]

    def _input(self, step: _Step) -> Input | None:
        if step.place is None:
            return self._whole(step.family, step.payload)
        for attempt in range(_ATTEMPTS):
            values = self._values(step.place, step.family, step.payload, attempt)
            rendered = step.payload.render(values)
            if rendered is None:
                return None
            arguments = step.place.put(rendered.value)
            if rendered.expected and rendered.expected in json.dumps(arguments):
                continue  # the ordinary arguments happen to hold the product: take other factors
            return Input(
                kind=self.kind,
                target=self.target,
                parameter=step.place.pointer,
                family=step.family,
                payload=step.payload.id + ("-raw" if step.place.raw else ""),
                nonce=values["nonce"],
                arguments=arguments,
                expected=rendered.expected,
                effect=rendered.effect,
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
            self.kind, self.target, parameter, family, payload.id, nonce, arguments, "", ""
        )

    def _values(
        self, place: Place | None, family: str, payload: Payload, attempt: int = 0
    ) -> dict[str, str]:
        targets = self.targets
        parts: list[Json] = [targets.seed, self.kind, self.target]
        parts += [place.pointer if place else "", family, payload.id]
        parts += [bool(place and place.raw), attempt]
        digest = hashlib.sha256(json.dumps(parts).encode()).digest()
        number = int.from_bytes(digest[:16], "big")
        first = _LEAST_FACTOR + 2 * (number % _FACTORS)
        second = _LEAST_FACTOR + 2 * ((number >> 40) % _FACTORS)
        product = str(first * second)
        stem, dot, extension = targets.planted_file.rpartition(".")
        directory = targets.directories[0].rstrip("/") if targets.directories else ""
        parent = directory.rpartition("/")[0]
        beside = targets.neighbour.removeprefix(f"{parent}/") if targets.neighbour else ""
        return {
            "nonce": _nonce(digest[16:]),
            "a": str(first),
            "b": str(second),
            "product": product,
            "product-base64": base64.b64encode(product.encode()).decode(),
            "valid": place.value if place and isinstance(place.value, str) else "1",
            "passwd": targets.passwd,
            "passwd-relative": targets.passwd.lstrip("/"),
            "planted": targets.planted_file,
            "planted-relative": targets.planted_file.lstrip("/"),
            "planted-stem": stem.lstrip("/") if dot and "/" not in extension else "",
            "ssh-key": targets.ssh_key,
            "directory": directory,
            "neighbour": targets.neighbour,
            "neighbour-relative": f"../{beside}" if beside and "/" in beside else "",
        }


def _applies(payload: Payload, place: Place) -> bool:
    takes_text = place.kind in ("string", "enum", "untyped")
    return any(
        one == "every"
        or (one == "string" and takes_text)
        or (one == "number" and place.kind == "number")
        or (one in place.hints and takes_text)
        for one in payload.applies
    )


def pointer_to(path: Path) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _nonce(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    letters = _ALPHABET[10 + number % 26]
    number //= 26
    for _ in range(11):
        number, digit = divmod(number, 36)
        letters += _ALPHABET[digit]
    return letters
