"""A refused ordinary call, asked again better: arguments changed as the refusal says.

From a tool's schema, the arguments that were sent, the words of the refusal and what accepted calls
brought to light, a few other argument sets are made. Each is admitted by the schema, or it is not
sent. Deterministic, and bounded by the bounds of what it reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp_sandbox.model import Json
from mcp_sandbox.probe import wishes
from mcp_sandbox.probe.generate import Leaf, Path
from mcp_sandbox.probe.hints import words
from mcp_sandbox.probe.known import Known
from mcp_sandbox.probe.refusal import clauses, said
from mcp_sandbox.probe.schema import Checker
from mcp_sandbox.probe.wishes import Change, Edit, Names

MAX_REPAIRS = 3
"""Most argument sets made of one refusal."""
MAX_BYTES = 2**16
"""Larger arguments are not sent again."""
_MAX_VALUES = 4
_MAX_INDEX = 16

_MISSED = re.compile(
    r"not found|n[o']t exist|no such|unknown|expired|invalid|no \w+ (?:found|with|for)|not "
    r"(?:recogni[sz]ed|registered|open|active|available|running|valid)|no longer",
    re.IGNORECASE,
)
"""Words of a refusal that has looked for something in vain."""
_INPUT = re.compile(
    r"\b(?:invalid|argument|parameter|required?|must|provided?|expected|missing|specif(?:y|ied)"
    r"|validation|input|schema|undefined|null|none|keyerror|typeerror)\b",
    re.IGNORECASE,
)
"""Words of a refusal that may be about its arguments, though it does not say how."""
_ENDING = frozenset(("kill", "terminate", "signal", "shutdown"))
"""A tool named so ends what it is given: a process that we did not begin may be the server's."""


@dataclass(frozen=True)
class Subject:
    """A tool, as far as its repairs need it."""

    name: str
    check: Checker | None
    """None where the schema is unusable: then anything is sent."""
    leaves: Mapping[Path, Leaf]
    """Every place of every branch that was tried, with an ordinary value."""
    full: tuple[Json, ...]
    """Ordinary arguments with all that is optional, one for each branch."""

    @cached_property
    def names(self) -> Names:
        """Its places by what they are called."""
        return Names(self.leaves)

    def admits(self, arguments: Json) -> bool:
        """Whether the schema admits them."""
        return self.check is None or self.check.admits(arguments)


@dataclass(frozen=True)
class Repaired:
    """Arguments to try."""

    arguments: Json
    learned: tuple[str, ...] = ()
    """Strings in them that are the server's own words."""


def repairs(
    subject: Subject,
    arguments: Json,
    refusal: Sequence[str],
    known: Known,
    tried: Iterable[Json] = (),
) -> tuple[Repaired, ...]:
    """Better arguments than those that were refused with these texts, the best first.

    ``tried``: arguments that are not made again. At most ``MAX_REPAIRS``.
    """
    if not isinstance(arguments, dict):
        return ()
    taken = {canonical(one) for one in (arguments, *tried)}
    found: list[Repaired] = []
    for change in _changes(subject, arguments, refusal, known):
        made = _applied(subject, arguments, change)
        key = canonical(made.arguments)
        if key in taken or len(key) > MAX_BYTES or not subject.admits(made.arguments):
            continue
        taken.add(key)
        found.append(made)
        if len(found) == MAX_REPAIRS:
            break
    return tuple(found)


def canonical(arguments: Json) -> str:
    """Equal arguments as equal text."""
    return json.dumps(arguments, sort_keys=True)


def _changes(
    subject: Subject, arguments: dict[str, Any], refusal: Sequence[str], known: Known
) -> Iterator[Change]:
    """What to change, best first: all that is asked for at once, then the alternatives."""
    asked = list(wishes.of_clauses(clauses(refusal), subject.names, arguments))
    values = list(_values(subject, arguments, said(refusal), known))
    for turn in range(MAX_REPAIRS):
        change = [edit for one in asked for edit in one[min(turn, len(one) - 1)]]
        if values:
            change += values[min(turn, len(values) - 1)]
        yield tuple(change)
    for alternatives in asked:
        yield from alternatives
    yield from values
    if _INPUT.search(said(refusal)):
        for full in subject.full:
            yield tuple(Edit((key,), value) for key, value in full.items())
        for full in subject.full:
            dropped = [Edit((key,), drop=True) for key in arguments if key not in full]
            yield (*dropped, *(Edit((key,), value) for key, value in full.items()))
        if not asked:
            missing = [path for path in subject.leaves if len(path) == 1]
            missing = [path for path in missing if path[0] not in arguments]
            missing.sort(key=lambda path: subject.leaves[path].kind != "string")
            for path in missing:
                yield (Edit(path, subject.leaves[path].value),)


def _values(
    subject: Subject, arguments: dict[str, Any], text: str, known: Known
) -> Iterator[Change]:
    """Values that other calls brought to light, in place of made-up ones."""
    if _ENDING & frozenset(words(subject.name)):
        return
    wanted: list[tuple[Path, list[Json]]] = []
    named: list[bool] = []
    for path, leaf in subject.leaves.items():
        if len(path) != 1 or path[0] not in arguments or leaf.kind in ("enum", "boolean"):
            continue
        here = arguments[path[0]]
        plain = here[0] if isinstance(here, list) and here else here
        fitting = _as_kind(known.fitting(str(path[0]), subject.name), leaf.kind, plain)
        if not fitting:
            continue
        inside = [[one] for one in fitting] if isinstance(here, list) else list(fitting)
        wanted.append((path, inside))
        named.append(wishes.is_spoken_of(plain, text))
    if any(named):
        wanted = [one for one, is_named in zip(wanted, named, strict=True) if is_named]
    elif not _MISSED.search(text):
        return
    for turn in range(max((len(fitting) for _, fitting in wanted), default=0)):
        yield tuple(
            Edit(path, value, learned=True)
            for path, fitting in wanted
            for value in (fitting[min(turn, len(fitting) - 1)],)
        )


def _as_kind(values: Iterable[Json], kind: str, unlike: Json) -> list[Json]:
    """The values that a place of this kind can take, and that it does not have already."""
    if kind == "number":
        values = [one for one in values if isinstance(one, int)]
    elif kind == "string":
        values = dict.fromkeys(map(str, values))
    return [one for one in values if one != unlike][:_MAX_VALUES]


# --- making the change ----------------------------------------------------------------------------


def _applied(subject: Subject, arguments: dict[str, Any], change: Change) -> Repaired:
    made: Any = arguments
    learned: dict[str, None] = {}
    for edit in change:
        made = _with(made, edit.path, edit, subject.leaves, ())
        if edit.learned:
            learned.update(dict.fromkeys(_strings(edit.value)))
    return Repaired(made, tuple(learned))


def _strings(value: Json) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield one


def _with(value: Any, path: Path, edit: Edit, leaves: Mapping[Path, Leaf], above: Path) -> Any:
    """A copy of ``value`` changed at ``path``; what it lies in is made where it is missing."""
    if not path:
        return edit.value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        copy: Any = list(value) if isinstance(value, list) else []
        if edit.drop and not rest:
            return copy[:step] + copy[step + 1 :]
        while len(copy) <= min(step, _MAX_INDEX):
            copy.append(_ordinary(leaves, (*above, 0)))
        at = min(step, _MAX_INDEX)
        copy[at] = _with(copy[at], rest, edit, leaves, (*above, 0))
        return copy
    copy = dict(value) if isinstance(value, dict) else {}
    if edit.drop and not rest:
        copy.pop(step, None)
        return copy
    inner = copy.get(step)
    if rest and inner is None:
        inner = _ordinary(leaves, (*above, step))
    copy[step] = _with(inner, rest, edit, leaves, (*above, step))
    return copy


def _ordinary(leaves: Mapping[Path, Leaf], path: Path) -> Json:
    leaf = leaves.get(path)
    return leaf.value if leaf is not None else None
