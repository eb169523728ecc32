"""What to send: ordinary calls of a listed item, and hostile ones derived from them.

Everything is a function of the listed item, the targets and the seed. Hostile inputs are made one at
a time while they are iterated, so a listing of a thousand tools costs little memory. Each changes
one argument of an ordinary call; what a payload would prove travels with it.

An item whose schema is unusable is still called, with arguments guessed from whatever could be read
(``warning`` says so): an unreadable schema must not be a way out of the test.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_sandbox.model import ItemKind, Json
from mcp_sandbox.probe import uri_template
from mcp_sandbox.probe.generate import Leaf, Path, Unsatisfiable, propose
from mcp_sandbox.probe.hints import Context, Hint, guess_text
from mcp_sandbox.probe.payloads import Build, Payload, Scope, Tier, build, families
from mcp_sandbox.probe.schema import Checker, UnusableSchema, compile_schema

VALID = "valid"
"""The family of ordinary calls."""

MAX_NAME = 1_000
"""A longer name is not called; the listing's own bounds have cut others before."""
MAX_PLACES = 64
_CHOICES = 6
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_ENUM_SHARE = 1
_PLAIN_SHARE = 11
"""Most payloads of one family for a place that does not look like the family's own."""
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
class _Place:
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
class Hostile:
    """The hostile inputs of one item; made anew by each iteration, always the same."""

    kind: ItemKind
    target: str
    targets: Targets
    places: tuple[_Place, ...] = ()
    base: Json = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Input]:
        """Most likely to prove first: tiers, then fitting families, then one payload of each."""
        for _, _, place, family, payload in self._plan():
            made = self._input(place, family, payload)
            if made is not None:
                yield made

    def __len__(self) -> int:
        return sum(1 for _ in self._plan())

    def _plan(self) -> list[tuple[tuple[int, ...], int, _Place | None, str, Payload]]:
        steps: list[tuple[tuple[int, ...], int, _Place | None, str, Payload]] = []
        tiers = list(Tier)
        for number, family in enumerate(families()):
            tier = tiers.index(family.tier)
            whole = [p for p in family.payloads if p.scope is Scope.CALL]
            for rank, payload in enumerate(whole):
                if self.kind is ItemKind.TOOLS and self._makes(None, family.family, payload):
                    steps.append(
                        ((tier, 0, rank, 0, number), len(steps), None, family.family, payload)
                    )
            for index, place in enumerate(self.places):
                fits = bool(set(place.hints) & set(family.hints))
                chosen = self._chosen(place, family.family, family.payloads, fits, family.tier)
                for rank, (refused, payload) in enumerate(chosen):
                    pace = rank // _HINTED_PACE if fits else rank + 1
                    key = (tier, refused, pace, index, 0 if fits else 1, number)
                    steps.append((key, len(steps), place, family.family, payload))
        steps.sort(key=lambda step: (step[0], step[1]))
        return steps

    def _chosen(
        self, place: _Place, family: str, payloads: tuple[Payload, ...], fits: bool, tier: Tier
    ) -> list[tuple[int, Payload]]:
        """The family's payloads for one place; those that its schema admits first."""
        checker = place.check() if place.kind in ("string", "enum") else None
        found: list[tuple[int, Payload]] = []
        for payload in payloads:
            if payload.scope is Scope.CALL or not _applies(payload, place):
                continue
            rendered = payload.render(self._values(place, family, payload))
            if rendered is None:
                continue
            refused = checker is not None and not checker.admits(rendered.value)
            found.append((int(refused), payload))
        found.sort(key=lambda one: one[0])
        if tier is Tier.PROOF and place.kind == "enum":
            return found[:_ENUM_SHARE]
        if tier is Tier.PROOF and not fits:
            return found[:_PLAIN_SHARE]
        return found

    def _makes(self, place: _Place | None, family: str, payload: Payload) -> bool:
        return self._input(place, family, payload) is not None

    def _input(self, place: _Place | None, family: str, payload: Payload) -> Input | None:
        if place is None:
            return self._whole(family, payload)
        values = self._values(place, family, payload)
        for attempt in range(100):
            rendered = payload.render(values)
            if rendered is None:
                return None
            arguments = place.put(rendered.value)
            if not rendered.expected or rendered.expected not in json.dumps(arguments):
                break
            values = self._values(place, family, payload, attempt + 1)
        return Input(
            kind=self.kind,
            target=self.target,
            parameter=place.pointer,
            family=family,
            payload=payload.id + ("-raw" if place.raw else ""),
            nonce=values["nonce"],
            arguments=arguments,
            expected=rendered.expected,
            effect=rendered.effect,
        )

    def _whole(self, family: str, payload: Payload) -> Input | None:
        if payload.build is None or not isinstance(self.base, dict):
            return None
        arguments = dict(self.base)
        if payload.build.kind is Build.REMOVE_REQUIRED:
            missing = next((name for name in self.required if name in arguments), None)
            if missing is None:
                return None
            del arguments[missing]
            pointer = _pointer((missing,))
        else:
            arguments[str(build(payload.build))] = "sample"
            pointer = ""
        nonce = self._values(None, family, payload)["nonce"]
        return Input(self.kind, self.target, pointer, family, payload.id, nonce, arguments, "", "")

    def _values(
        self, place: _Place | None, family: str, payload: Payload, attempt: int = 0
    ) -> dict[str, str]:
        targets = self.targets
        parts: list[Json] = [targets.seed, self.kind, self.target]
        parts += [place.pointer if place else "", family, payload.id]
        parts += [bool(place and place.raw), attempt]
        digest = hashlib.sha256(json.dumps(parts).encode()).digest()
        number = int.from_bytes(digest[:16], "big")
        first = 10_007 + number % 989_980 // 2 * 2
        second = 10_009 + (number >> 40) % 989_980 // 2 * 2
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


@dataclass(frozen=True)
class ToolInputs:
    """The calls of one listed item."""

    valid: tuple[Input, ...]
    """One or two ordinary calls, none when there is a problem."""
    hostile: Hostile
    problem: str = ""
    """Why it cannot be called; empty when it can."""
    warning: str = ""
    """What is wrong with its schema although it is called; empty when nothing is."""


def for_tool(item: Json, targets: Targets) -> ToolInputs:
    """The calls of one entry of ``tools/list``. Never raises, whatever the entry holds."""
    name = item.get("name") if isinstance(item, dict) else None
    problem = _name_problem(name)
    if problem:
        return _none(ItemKind.TOOLS, str(name)[:MAX_NAME], targets, problem)
    schema = item.get("inputSchema")
    about = _text(item.get("description")) + " " + _text(item.get("title"))
    context = Context(
        tool=name,
        description=about,
        directories=targets.directories,
        paths=targets.valid_paths,
        seed=targets.seed,
    )
    warning = ""
    check: Checker | None = None
    try:
        check = compile_schema(schema)
    except UnusableSchema as error:
        warning = error.reason
    ordinary = _ordinary(schema, context, check)
    if not ordinary.sure and not warning:
        warning = "no arguments that the schema admits were found"
    required = schema.get("required") if isinstance(schema, dict) else None
    hostile = Hostile(
        ItemKind.TOOLS,
        name,
        targets,
        places=_places(schema, context, check, ordinary.calls[0]),
        base=ordinary.calls[0],
        required=tuple(r for r in required if isinstance(r, str)) if _is_list(required) else (),
    )
    valid = tuple(_valid(ItemKind.TOOLS, name, arguments) for arguments in ordinary.calls)
    return ToolInputs(valid, hostile, warning=warning)


def for_prompt(item: Json, targets: Targets) -> ToolInputs:
    """The calls of one entry of ``prompts/list``; prompt arguments are always strings."""
    name = item.get("name") if isinstance(item, dict) else None
    problem = _name_problem(name)
    if problem:
        return _none(ItemKind.PROMPTS, str(name)[:MAX_NAME], targets, problem)
    properties: dict[str, Json] = {}
    required: list[str] = []
    listed = item.get("arguments")
    for argument in listed if _is_list(listed) else ():
        if isinstance(argument, dict) and isinstance(argument.get("name"), str):
            about = _text(argument.get("description"))
            properties[argument["name"]] = {"type": "string", "description": about}
            if argument.get("required") is True:
                required.append(argument["name"])
    schema = {"type": "object", "properties": properties, "required": required}
    made = for_tool({**item, "inputSchema": schema}, targets)
    hostile = replace(made.hostile, kind=ItemKind.PROMPTS)
    valid = tuple(replace(one, kind=ItemKind.PROMPTS) for one in made.valid)
    return replace(made, valid=valid, hostile=hostile)


def for_template(item: Json, targets: Targets) -> ToolInputs:
    """The reads of one entry of ``resources/templates/list``; arguments are ``{"uri": …}``.

    Payloads stand in one variable: percent-encoded as the template says, and once more unescaped
    (their id ends in ``-raw``) where that differs.
    """
    template = item.get("uriTemplate") if isinstance(item, dict) else None
    problem = _name_problem(template)
    if problem:
        return _none(ItemKind.TEMPLATES, str(template)[:MAX_NAME], targets, problem)
    try:
        parsed = uri_template.parse(template)
    except ValueError as error:
        return _none(ItemKind.TEMPLATES, template, targets, str(error))
    about = f"{_text(item.get('name'))} {_text(item.get('description'))}"
    context = Context(template, about, seed=targets.seed)
    guesses = {name: guess_text(name, about, context) for name in parsed.variables}
    values = {name: str(guess.value) for name, guess in guesses.items()}
    valid = _valid(ItemKind.TEMPLATES, template, {"uri": parsed.expand(values)})
    places = []
    for name, guess in guesses.items():
        for raw in (False, True):

            def put(value: Json, name: str = name, raw: bool = raw) -> Json:
                text = value if isinstance(value, str) else json.dumps(value)
                return {"uri": parsed.expand({**values, name: text}, raw=name if raw else "")}

            places.append(
                _Place(
                    _pointer((name,)), "string", guess.hints, values[name], put, lambda: None, raw
                )
            )
    hostile = Hostile(ItemKind.TEMPLATES, template, targets, tuple(places[:MAX_PLACES]))
    return ToolInputs((valid,), hostile)


# --- ordinary calls -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ordinary:
    calls: tuple[Json, ...]
    sure: bool
    """The schema admits them."""


def _ordinary(schema: Json, context: Context, check: Checker | None) -> _Ordinary:
    """The required arguments alone, then another ordinary call if there is one."""
    first = _attempt(schema, context, check, everything=False)
    full = _attempt(schema, context, check, everything=True)
    other = _attempt(schema, replace(context, absolute=True), check, everything=False)
    sure = [one for one in (first, other, full) if one is not None]
    if not sure:
        return _Ordinary((_guessed(schema, context),), sure=False)
    distinct: list[Json] = []
    for one in sure:
        if one not in distinct:
            distinct.append(one)
    return _Ordinary(tuple(distinct[:2]), sure=True)


def _attempt(schema: Json, context: Context, check: Checker | None, *, everything: bool) -> Json:
    """Arguments that the schema admits, or None."""
    if check is None:
        return None
    for choice in range(_CHOICES):
        try:
            made = propose(schema, context, everything=everything, choice=choice).value
        except Unsatisfiable:
            continue
        if isinstance(made, dict) and check.admits(made):
            return made
    return None


def _guessed(schema: Json, context: Context) -> Json:
    """Arguments for a schema that is unusable or that nothing was found for."""
    for everything in (False, True):
        try:
            made = propose(schema, context, everything=everything, choice=0).value
        except Unsatisfiable:
            continue
        if isinstance(made, dict):
            return made
    return {}


# --- places for payloads --------------------------------------------------------------------------


def _places(
    schema: Json, context: Context, check: Checker | None, base: Json
) -> tuple[_Place, ...]:
    """Every place of every branch, once, each with an ordinary call around it."""
    found: dict[Path, _Place] = {}
    for choice in range(_CHOICES):
        try:
            proposal = propose(schema, context, everything=True, choice=choice)
        except Unsatisfiable:
            continue
        for leaf in proposal.leaves:
            if leaf.path and leaf.path not in found and len(found) < MAX_PLACES:
                around = _around(leaf, base, proposal.value, check)
                found[leaf.path] = _place(leaf, around)
    return tuple(found.values())


def _around(leaf: Leaf, base: Json, full: Json, check: Checker | None) -> Json:
    """The ordinary call, plus the one argument the leaf stands in; the full one where that fails."""
    top = leaf.path[0]
    if not isinstance(base, dict) or not isinstance(full, dict):
        return full
    joined = {**base, top: full[top]}
    if check is None or check.admits(joined) or not check.admits(full):
        return joined
    return full


def _place(leaf: Leaf, around: Json) -> _Place:
    return _Place(
        pointer=_pointer(leaf.path),
        kind=leaf.kind,
        hints=leaf.hints,
        value=leaf.value,
        put=lambda value: _replaced(around, leaf.path, value),
        check=leaf.checker,
    )


def _replaced(value: Any, path: Path, new: Json) -> Json:
    if not path:
        return new
    step, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[step] = _replaced(copy[step], tuple(rest), new)
    return copy


def _applies(payload: Payload, place: _Place) -> bool:
    takes_text = place.kind in ("string", "enum", "untyped")
    if place.raw and Hint.PATH not in payload.applies and "string" not in payload.applies:
        return False
    return any(
        one == "every"
        or (one == "string" and takes_text)
        or (one == "number" and place.kind == "number")
        or (one in place.hints and takes_text)
        for one in payload.applies
    )


# --- small things ---------------------------------------------------------------------------------


def _valid(kind: ItemKind, target: str, arguments: Json) -> Input:
    return Input(kind, target, "", VALID, "", "", arguments, "", "")


def _none(kind: ItemKind, target: str, targets: Targets, problem: str) -> ToolInputs:
    return ToolInputs((), Hostile(kind, target, targets), problem=problem)


def _name_problem(name: Json) -> str:
    if not isinstance(name, str) or not name:
        return "it has no name"
    if len(name) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} characters"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no valid Unicode"
    return ""


def _pointer(path: Path) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _nonce(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    letters = _ALPHABET[10 + number % 26]
    number //= 26
    for _ in range(11):
        number, digit = divmod(number, 36)
        letters += _ALPHABET[digit]
    return letters


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _is_list(value: Json) -> bool:
    return isinstance(value, list)
