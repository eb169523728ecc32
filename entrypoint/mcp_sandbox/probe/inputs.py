"""What to send: ordinary calls of a listed item, and hostile ones derived from them.

Everything is a function of the listed item, the targets and the seed. An item whose schema is
unusable is still called, with arguments guessed from whatever could be read (``warning`` says so):
an unreadable schema must not be a way out of the test.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mcp_sandbox.model import ItemKind, Json
from mcp_sandbox.probe import uri_template
from mcp_sandbox.probe.combine import elements, members
from mcp_sandbox.probe.generate import Leaf, Path, propose
from mcp_sandbox.probe.hints import Context, Guess, guess_text
from mcp_sandbox.probe.hostile import Hostile, Input, Place, Targets, pointer_to
from mcp_sandbox.probe.repair import Repaired as Accepted
from mcp_sandbox.probe.repair import Subject
from mcp_sandbox.probe.schema import Checker, UnusableSchema, compile_schema
from mcp_sandbox.probe.values import Unsatisfiable

__all__ = [
    "VALID",
    "Accepted",
    "Hostile",
    "Input",
    "Targets",
    "ToolInputs",
    "for_prompt",
    "for_template",
    "for_tool",
    "subject",
]

VALID = "valid"
"""The family of ordinary calls."""

MAX_NAME = 1_000
"""A longer name is not called; the listing's own bounds have cut others before."""
MAX_PLACES = 64
_CHOICES = 6
"""How many combinations of branches are tried."""
_UNDECLARED = ("path", "url", "command", "query", "code", "text")
"""Tried where a schema says nothing at all about its arguments."""
_DECLARING = ("type", "properties", "required", "$ref", "allOf", "anyOf", "oneOf")


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


def for_tool(item: Json, targets: Targets, accepted: Accepted | None = None) -> ToolInputs:
    """The calls of one entry of ``tools/list``. Never raises, whatever the entry holds.

    ``accepted``: arguments that the tool is known to take; hostile ones are derived from them.
    """
    return _for_schema(ItemKind.TOOLS, item, members(item).get("inputSchema"), targets, accepted)


def subject(item: Json, targets: Targets) -> Subject:
    """One entry of ``tools/list``, as far as the repairs of its calls need it."""
    schema = members(item).get("inputSchema")
    context = _context(item, targets)
    try:
        check: Checker | None = compile_schema(schema)
    except UnusableSchema:
        check = None
    leaves: dict[Path, Leaf] = {}
    full: list[Json] = []
    with suppress(Unsatisfiable):
        # What a parameter is by default is what the server took when it was left out.
        for leaf in propose(_undefaulted(schema), context, everything=True, choice=0).leaves:
            leaves.setdefault(leaf.path, leaf)
    for choice in range(_CHOICES):
        try:
            proposal = propose(schema, context, everything=True, choice=choice)
        except Unsatisfiable:
            continue
        for leaf in proposal.leaves:
            leaves.setdefault(leaf.path, leaf)
        if proposal.value not in full:
            full.append(proposal.value)
    return Subject(context.tool, check, leaves, tuple(full))


def _undefaulted(schema: Json) -> Json:
    """The schema without the defaults of plain strings at its top."""
    properties = {
        name: {key: value for key, value in one.items() if key != "default"}
        if isinstance(one, dict) and isinstance(one.get("default"), str) and "enum" not in one
        else one
        for name, one in members(members(schema).get("properties")).items()
    }
    return {**schema, "properties": properties} if properties else schema


def for_prompt(item: Json, targets: Targets) -> ToolInputs:
    """The calls of one entry of ``prompts/list``; prompt arguments are always strings."""
    properties: dict[str, Json] = {}
    required: list[str] = []
    for argument in map(members, elements(members(item).get("arguments"))):
        name = argument.get("name")
        if not isinstance(name, str):
            continue
        properties[name] = {"type": "string", "description": argument.get("description", "")}
        if not isinstance(argument.get("description"), str):
            del properties[name]["description"]
        if argument.get("required") is True:
            required.append(name)
    schema = {"type": "object", "properties": properties, "required": required}
    return _for_schema(ItemKind.PROMPTS, item, schema, targets)


def _context(item: Json, targets: Targets) -> Context:
    """What is known around the parameters of a listed item."""
    one = members(item)
    return Context(
        tool=_text(one.get("name")),
        description=f"{_text(one.get('description'))} {_text(one.get('title'))}",
        directories=targets.directories,
        paths=targets.valid_paths,
        seed=targets.seed,
        kind=targets.kind,
    )


def _for_schema(
    kind: ItemKind, item: Json, schema: Json, targets: Targets, accepted: Accepted | None = None
) -> ToolInputs:
    name = _text(members(item).get("name"))
    problem = _name_problem(name)
    if problem:
        return ToolInputs((), Hostile(kind, name[:MAX_NAME], targets), problem)
    context = _context(item, targets)
    warning = ""
    check: Checker | None = None
    try:
        check = compile_schema(schema)
    except UnusableSchema as error:
        warning = error.reason
    ordinary = _ordinary(schema, context, check)
    if not ordinary.sure and not warning:
        warning = "no arguments that the schema admits were found"
    base = accepted.arguments if accepted is not None else ordinary.calls[0]
    places = _places(schema, context, check, base)
    if not places and not any(keyword in members(schema) for keyword in _DECLARING):
        guessed = {"type": "object", "properties": {one: {"type": "string"} for one in _UNDECLARED}}
        places = _places(guessed, context, None, base)
    named = elements(members(schema).get("required"))
    required = tuple(one for one in named if isinstance(one, str) and one in base)
    learned = accepted.learned if accepted is not None else ()
    hostile = Hostile(
        kind, name, targets, places=places, base=base, required=required, learned=learned
    )
    valid = tuple(_valid(kind, name, arguments) for arguments in ordinary.calls)
    return ToolInputs(valid, hostile, warning=warning)


def for_template(item: Json, targets: Targets) -> ToolInputs:
    """The reads of one entry of ``resources/templates/list``; arguments are ``{"uri": …}``.

    Payloads stand in one variable: percent-encoded as the template says, and those that aim at
    paths once more unescaped (their id ends in ``-raw``).
    """
    template = _text(members(item).get("uriTemplate"))
    problem = _name_problem(template)
    try:
        parsed = uri_template.parse(template)
    except ValueError as error:
        problem = problem or str(error)
    if problem:
        return ToolInputs((), Hostile(ItemKind.TEMPLATES, template[:MAX_NAME], targets), problem)
    about = f"{_text(item.get('name'))} {_text(item.get('description'))}"
    context = Context(template, about, seed=targets.seed)
    guesses = {name: guess_text(name, about, context) for name in parsed.variables}
    values = {name: str(guess.value) for name, guess in guesses.items()}
    places = [
        _variable(parsed, name, guess, values, raw=raw)
        for name, guess in guesses.items()
        for raw in (False, True)
    ]
    hostile = Hostile(ItemKind.TEMPLATES, template, targets, tuple(places[:MAX_PLACES]))
    return ToolInputs(
        (_valid(ItemKind.TEMPLATES, template, {"uri": parsed.expand(values)}),), hostile
    )


def _variable(
    parsed: uri_template.Template, name: str, guess: Guess, values: dict[str, str], *, raw: bool
) -> Place:
    """One variable of a template as a place."""

    def put(value: Json) -> Json:
        text = value if isinstance(value, str) else json.dumps(value)
        return {"uri": parsed.expand({**values, name: text}, raw=name if raw else "")}

    return Place(pointer_to((name,)), "string", guess.hints, values[name], put, lambda: None, raw)


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


def _places(schema: Json, context: Context, check: Checker | None, base: Json) -> tuple[Place, ...]:
    """Every place of every branch, once, each with an ordinary call around it."""
    found: dict[Path, Place] = {}
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
    """The ordinary call, plus the argument that holds the leaf; the full one where that fails."""
    top = leaf.path[0]
    if not isinstance(base, dict) or not isinstance(full, dict):
        return full
    joined = {**base, top: full[top]}
    if check is None or check.admits(joined) or not check.admits(full):
        return joined
    return full


def _place(leaf: Leaf, around: Json) -> Place:
    return Place(
        pointer=pointer_to(leaf.path),
        kind=leaf.kind,
        hints=leaf.hints,
        value=leaf.value,
        put=lambda value: _replaced(around, leaf.path, value),
        check=leaf.checker,
    )


def _replaced(value: Any, path: Path, new: Json) -> Json:
    """A copy of ``value`` with ``new`` at ``path``; what lies beside the path is shared."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], new)
    return copy


# --- small things ---------------------------------------------------------------------------------


def _valid(kind: ItemKind, target: str, arguments: Json) -> Input:
    return Input(kind, target, "", VALID, "", "", arguments, "", "")


def _name_problem(name: str) -> str:
    """Why an item of this name cannot be called; empty when it can."""
    if not name:
        return "it has no name"
    if len(name) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} characters"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no valid Unicode"
    return ""


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
