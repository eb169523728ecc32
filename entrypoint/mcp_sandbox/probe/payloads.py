"""The hostile inputs: one YAML file a family in ``payloads/``, loaded and checked strictly.

An entry's ``value`` (and its ``expected`` and ``effect``) is a template: ``<<name>>`` is replaced,
everything else is sent as written. ``PLACEHOLDERS`` lists the names. An entry whose placeholder has
no value in a run (no directory is known, say) is left out of that run.

A proof is never something that the payload already holds: ``expected`` is the product of two
numbers that the payload only multiplies, ``effect`` is a path named after the call's own nonce.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mcp_sandbox.model import Json
from mcp_sandbox.probe.hints import Hint

PLACEHOLDERS: dict[str, str] = {
    "nonce": "twelve characters, unique to the call",
    "a": "first factor, five or six digits",
    "b": "second factor, five or six digits",
    "product": "their product; only in `expected`",
    "product-base64": "their product in base64",
    "valid": "the ordinary value of the parameter",
    "passwd": "the password file, absolute",
    "passwd-relative": "the same without its leading slash",
    "planted": "a planted file outside every allowed folder, absolute",
    "planted-relative": "the same without its leading slash",
    "planted-stem": "the planted file without its extension, without its leading slash",
    "ssh-key": "a planted private key, absolute",
    "directory": "the first folder that the server was given, absolute",
    "neighbour": "a planted file in a folder whose name only begins like that folder's",
    "neighbour-relative": "the same, relative to that folder",
    "link": "a link in that folder that leads to a planted file outside, absolute",
    "link-relative": "the same, relative to that folder",
    "linked": "a planted file outside, reached through a linked folder in that folder, absolute",
    "repository": "a planted git repository outside every allowed folder, absolute",
    "repository-relative": "the same without its leading slash",
}
_PLACEHOLDER = re.compile(r"<<([a-z0-9-]+)>>")
_COMPUTED = {"a", "b"}


class Tier(StrEnum):
    """When a family's turn comes, within one tool."""

    PROOF = "proof"
    CONFUSION = "confusion"
    SIZE = "size"


class Scope(StrEnum):
    """What an entry changes."""

    PARAMETER = "parameter"
    CALL = "call"
    """The arguments as a whole, once a tool: a missing argument, an extra one."""


class Build(StrEnum):
    """How a value too long or too odd to be written down is made."""

    REPEAT = "repeat"
    """``text`` repeated to ``count`` characters."""
    NESTED_ARRAYS = "nested-arrays"
    NESTED_OBJECTS = "nested-objects"
    ITEMS = "items"
    """An array of ``count`` times ``text``."""
    REMOVE_REQUIRED = "remove-required"
    """The call without one of its required arguments."""
    EXTRA_ARGUMENT = "extra-argument"
    """The call with one more argument, whose name is ``text`` repeated to ``count`` characters."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Made(_Strict):
    """A value that is built."""

    kind: Build
    count: Annotated[int, Field(ge=1, le=2**20)] = 1
    text: Annotated[str, Field(min_length=1, max_length=64)] = "A"


@dataclass(frozen=True)
class Rendered:
    """One payload with its placeholders filled in."""

    value: Json
    expected: str
    effect: str


class Payload(_Strict):
    """One hostile value, what it proves, and why it exists."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]
    why: Annotated[str, Field(min_length=10)]
    reference: Annotated[str, Field(min_length=3)]
    applies: tuple[Literal["string", "number", "every"] | Hint, ...] = ("string",)
    """``string``: every parameter that takes text; ``number``: every number; ``every``: whatever it
    takes; a hint: only parameters that look like it."""
    scope: Scope = Scope.PARAMETER
    value: str | None = None
    literal: Json = None
    """A JSON value sent as it is; ``value`` and ``build`` are absent then."""
    build: Made | None = None
    expected: str = ""
    effect: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.value is not None) + (self.build is not None) + self._has_literal > 1:
            raise ValueError("give one of value, literal and build")
        if self.value is None and self.build is None and not self._has_literal:
            raise ValueError("give one of value, literal and build")
        if not self.applies:
            raise ValueError("applies is empty: the payload would never be sent")
        used = self.placeholders
        unknown = used - PLACEHOLDERS.keys()
        if unknown:
            raise ValueError(f"unknown placeholder {min(unknown)!r}")
        inside = set(_PLACEHOLDER.findall(self.value or ""))
        if "product" in inside:
            raise ValueError("a payload must not hold its own proof")
        if self.expected not in ("", "<<product>>"):
            raise ValueError("expected is either empty or <<product>>")
        if self.expected and not (inside >= _COMPUTED or "product-base64" in inside):
            raise ValueError("expected is a product that the payload does not make")
        if self.effect and not (self.effect.startswith("/") and "<<nonce>>" in self.effect):
            raise ValueError("effect is an absolute path that holds <<nonce>>")
        if self.effect and "nonce" not in inside:
            raise ValueError("the payload does not name the nonce of its effect")
        return self

    @property
    def _has_literal(self) -> bool:
        return "literal" in self.model_fields_set

    @functools.cached_property
    def placeholders(self) -> set[str]:
        """Every placeholder of value, expected and effect."""
        text = f"{self.value or ''} {self.expected} {self.effect}"
        return set(_PLACEHOLDER.findall(text))

    def render(self, values: Mapping[str, str]) -> Rendered:
        """Fill the placeholders in. Raises ``KeyError`` when one of them is not in ``values``."""
        return Rendered(
            self._made(values), _fill(self.expected, values), _fill(self.effect, values)
        )

    def _made(self, values: Mapping[str, str]) -> Json:
        if self.value is not None:
            return _fill(self.value, values)
        if self.build is None:
            return self.literal
        return build(self.build)


class Family(_Strict):
    """The payloads of one weakness, most likely to prove first."""

    family: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Annotated[str, Field(min_length=10)]
    tier: Tier = Tier.PROOF
    hints: tuple[Hint, ...] = ()
    """A parameter that looks like one of these gets this family before the others."""
    payloads: Annotated[tuple[Payload, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        seen: set[str] = set()
        for payload in self.payloads:
            if payload.id in seen:
                raise ValueError(f"the id {payload.id!r} is used twice")
            seen.add(payload.id)
        return self


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where the wheel brings it: ten times quicker, and just as safe."""


def parse(text: str) -> Family:
    """Check one family file. Raises ``ValueError`` (pydantic's, or YAML's as one)."""
    try:
        raw: Any = yaml.load(text, Loader=_LOADER)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    return Family.model_validate(raw)


@functools.cache
def families() -> tuple[Family, ...]:
    """Every family, by file name. Raises ``ValueError`` when a file is wrong."""
    return tuple(_loaded())


def _loaded() -> Iterator[Family]:
    folder = files("mcp_sandbox.probe") / "payloads"
    found = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    for file in found:
        if not file.name.endswith(".yaml"):
            continue
        try:
            family = parse(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error
        if f"{family.family}.yaml" != file.name:
            raise ValueError(f"{file.name} holds the family {family.family!r}")
        yield family


@functools.cache
def build(made: Made) -> Json:
    """The value of a ``build`` entry; the two that change a call give the argument's name.

    The same object every time: it is sent, never changed.
    """
    if made.kind is Build.ITEMS:
        return [made.text] * made.count
    if made.kind in (Build.NESTED_ARRAYS, Build.NESTED_OBJECTS):
        value: Json = made.text
        for _ in range(made.count):
            value = [value] if made.kind is Build.NESTED_ARRAYS else {made.text: value}
        return value
    return (made.text * (made.count // len(made.text) + 1))[: made.count]


def _fill(template: str, values: Mapping[str, str]) -> str:
    if "<<" not in template:
        return template
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
