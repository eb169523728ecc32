"""What a clause of a refusal asks for, as changes to a call's arguments.

English of validators and of hand-written checks: something is missing, one of several is wanted,
two exclude each other, a flag must be true, a value is wrong (``corrected`` has others). A name
counts where it is quoted, or looks like no ordinary word, or where nothing else in the clause is a
name. All patterns are ours, and linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mcp_sandbox.model import Json
from mcp_sandbox.probe.corrected import MAX_WORD, QUOTED, corrected
from mcp_sandbox.probe.generate import Leaf, Path
from mcp_sandbox.probe.hints import words
from mcp_sandbox.probe.refusal import Clause

MAX_CLAUSE = 600
"""Characters of a clause that are read."""
_TOKEN = re.compile(r"[A-Za-z_$@][\w$.\[\]/-]{0,79}")
_SPLIT = re.compile(r"[.\[\]/]+")
_ROOTS = frozenset(("root", "body", "arguments", "args", "input", "params", "call", "data"))
_QUOTES = "\"'`“”‘’"
_CALLED = re.compile(r"\s(?:flag|parameter|option|argument|field|property)\b|\s?[=:]\s?\w")
_CONDITION = re.compile(r"\b(?:when|if|unless)\b", re.IGNORECASE)
_WANTS = re.compile(
    r"\b(?:require[sd]?|provided?|providing|specif(?:y|ied|ying)|missing|supply|supplied|needs?"
    r"|pass|set|use|undefined|empty|blank|include|give|given|choose|must)\b",
    re.IGNORECASE,
)
_EXCLUDES = re.compile(
    r"\b(?:exactly one|only one|not both|mutually exclusive|not (?:be )?(?:used |combined |given "
    r"|provided |specified |set )?(?:together|with|both))\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\b(?:one of|either|any of|at least one)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b|\band/or\b|\|", re.IGNORECASE)
_OR_LISTED = re.compile(r"\bor\b|\||,", re.IGNORECASE)
_EXTRA = re.compile(
    r"unrecognized key|additional propert|unexpected (?:keyword|argument|propert|field|key)"
    r"|extra inputs? (?:are|is) not|unknown (?:argument|parameter|propert|field|key)"
    r"|is not allowed|must not be (?:set|given|provided|present)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"[\"'`”’]?\s{0,2}(?:flag |parameter |option |argument |field )?"
    r"(?:[=:]|(?:must|should|has to|needs to) be(?: set)?(?: to)?|set to|to)\s{0,2}"
    r"([\"'`“‘]?)([\w.-]{1,80})"
)


@dataclass(frozen=True)
class Edit:
    """One place of the arguments changed."""

    path: Path
    value: Json = None
    drop: bool = False
    """Taken away."""
    learned: bool = False
    """The value is the server's own."""


Change = tuple[Edit, ...]


class _Mention(NamedTuple):
    """A place that a clause names."""

    path: Path
    start: int
    end: int
    sure: bool
    """It is quoted, or looks like no ordinary word."""


class Names:
    """The places of a tool's arguments by what they are called."""

    def __init__(self, leaves: Mapping[Path, Leaf]) -> None:
        self.leaves = leaves
        self._last: dict[str, Path] = {}
        self._said: dict[tuple[str, ...], Path] = {}
        for path in sorted(leaves, key=len):
            if path and isinstance(path[-1], str):
                self._last.setdefault(path[-1], path)
                self._said.setdefault(words(path[-1]), path)

    def leaf(self, path: Path) -> Leaf | None:
        """The leaf of a path; every item of an array is like its first."""
        return self.leaves.get(tuple(0 if isinstance(step, int) else step for step in path))

    def resolve(self, token: str) -> Path | None:
        """The place that a token names: ``content``, ``files.0.content``, ``/files/0/content``."""
        parts = [part for part in _SPLIT.split(token[:MAX_WORD]) if part]
        while len(parts) > 1 and parts[0] in _ROOTS and parts[0] not in self._last:
            parts = parts[1:]
        if len(parts) == 1:
            return self._last.get(parts[0]) or self._said.get(words(parts[0]))
        path: Path = tuple(
            int(one) if one.isascii() and one.isdigit() and len(one) < 3 else one  # noqa: PLR2004
            for one in parts
        )
        return path if path and self.leaf(path) is not None else None


def is_spoken_of(value: Json, text: str) -> bool:
    """Whether a text names a value, as a word of its own."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return False
    found = str(value)
    at = text.find(found)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(found) : at + len(found) + 1]
        if not (before.isalnum() or after.isalnum()):
            return True
        at = text.find(found, at + len(found))
    return False


def of_clauses(
    said: Sequence[Clause], names: Names, arguments: dict[str, Any]
) -> Iterator[list[Change]]:
    """The changes that each clause asks for, each by itself an answer to it; the best first.

    A clause that names no argument is about the one that the clause before it named.
    """
    before: Path | None = None
    for clause in said:
        changes, before = _of_clause(clause, names, arguments, before)
        if changes:
            yield changes


def _of_clause(
    clause: Clause, names: Names, arguments: dict[str, Any], before: Path | None
) -> tuple[list[Change], Path | None]:
    """Its changes, and the argument whose value it is about."""
    text = clause.text[:MAX_CLAUSE]
    place = next(filter(None, map(names.resolve, reversed(clause.places))), None)
    mentions = _mentions(text, names, place)
    if _EXTRA.search(text):
        extra = [one.path for one in mentions if _at(arguments, one.path) is not _NONE]
        extra = extra or ([place] if place else _quoted_keys(text, arguments))
        if extra:
            return [tuple(Edit(path, drop=True) for path in extra)], None
    spoken = _spoken_of(place, mentions, names, text, arguments)
    if spoken is None and place is None and not mentions:
        spoken = before
    found: list[Change] = []
    if spoken is not None:
        others = corrected(_at(arguments, spoken), names.leaf(spoken), text)
        found += [(Edit(spoken, value, learned=learned),) for value, learned in others]
    return found or list(_wanted(text, place, mentions, names, arguments)), spoken


# --- who is spoken of -----------------------------------------------------------------------------


class _None:
    """Stands for a place that holds nothing."""


_NONE = _None()


def _at(arguments: Any, path: Path) -> Any:
    """What a place holds."""
    here: Any = arguments
    for step in path:
        if isinstance(here, dict):
            here = here.get(step, _NONE)
        elif isinstance(here, list) and isinstance(step, int):
            here = here[step] if step < len(here) else _NONE
        else:
            return _NONE
    return here


def _mentions(text: str, names: Names, place: Path | None) -> list[_Mention]:
    """The places that a text names, in its order; plain words only where nothing else is named."""
    found: list[_Mention] = []
    for match in _TOKEN.finditer(text):
        token = match[0].rstrip(".-/[")
        for part, start in _parts(token, match.start(), names):
            path = names.resolve(part)
            if path is not None:
                end = start + len(part)
                sure = path == place or _is_sure(text, part, start, end)
                found.append(_Mention(path, start, end, sure))
    sure_ones = [one for one in found if one.sure]
    return sure_ones or found


def _is_sure(text: str, part: str, start: int, end: int) -> bool:
    """It is quoted, looks like no ordinary word, or is called a parameter."""
    quoted = start > 0 and text[start - 1] in _QUOTES and text[end : end + 1] in tuple(_QUOTES)
    shaped = not part.isalpha() or not (part.islower() or part.istitle())
    return quoted or shaped or _CALLED.match(text, end) is not None


def _parts(token: str, start: int, names: Names) -> Iterator[tuple[str, int]]:
    """A token as a whole, or what a slash divides (``all/update``)."""
    if "/" not in token or names.resolve(token) is not None:
        yield token, start
        return
    at = 0
    for part in token.split("/"):
        yield part, start + at
        at += len(part) + 1


def _spoken_of(
    place: Path | None, mentions: list[_Mention], names: Names, text: str, arguments: dict[str, Any]
) -> Path | None:
    """The one place whose value is wrong, if that can be told."""
    if place is not None:
        return place if _at(arguments, place) is not _NONE else None
    for path, leaf in names.leaves.items():
        here = _at(arguments, path) if path else _NONE
        if leaf.kind in ("string", "enum") and isinstance(here, str) and is_spoken_of(here, text):
            return path
    present = [one.path for one in mentions if _at(arguments, one.path) is not _NONE]
    return present[0] if len(set(present)) == 1 else None


def _quoted_keys(text: str, arguments: dict[str, Any]) -> list[Path]:
    return [(match[1],) for match in QUOTED.finditer(text) if match[1] in arguments]


# --- something is missing, or too much ------------------------------------------------------------


def _wanted(
    text: str, place: Path | None, mentions: list[_Mention], names: Names, arguments: dict[str, Any]
) -> Iterator[Change]:
    """Arguments to add, to set or to take away."""
    condition = _CONDITION.search(text)
    if condition is not None:
        head = (0, condition.start())
        if not any(one.start < condition.start() for one in mentions) and place is None:
            comma = text.find(",", condition.end())
            head = (comma, len(text)) if comma >= 0 else head
        mentions = [one for one in mentions if head[0] <= one.start < head[1]]
    excludes = _EXCLUDES.search(text) is not None
    if not excludes and not _WANTS.search(text) and "true" not in text:
        return
    groups = _groups(text, mentions, listed=_SEVERAL.search(text) is not None or excludes)
    if not groups and place is not None:
        groups = [[_Mention(place, 0, 0, sure=True)]]
    if excludes:
        yield from _one_of(groups, names, arguments)
        return
    answers = [change for group in groups if (change := _met(text, group, names, arguments))]
    yield from answers
    if len(answers) > 1:
        yield tuple(edit for change in answers for edit in change)


def _groups(text: str, mentions: list[_Mention], *, listed: bool) -> list[list[_Mention]]:
    """The alternatives that a clause names: what stands between one ``or`` and the next."""
    cuts = [match.start() for match in (_OR_LISTED if listed else _OR).finditer(text)]
    groups: list[list[_Mention]] = [[] for _ in range(len(cuts) + 1)]
    for one in mentions:
        groups[sum(cut < one.start for cut in cuts)].append(one)
    split: list[list[_Mention]] = []
    for group in groups:
        divided = [
            at for at in range(1, len(group))
            if text[group[at - 1].end : group[at].start] == "/"
        ]  # fmt: skip
        for begin, end in zip([0, *divided], [*divided, len(group)], strict=True):
            if group[begin:end]:
                split.append(group[begin:end])
    distinct: list[list[_Mention]] = []
    for group in split:
        if [one.path for one in group] not in [[two.path for two in other] for other in distinct]:
            distinct.append(group)
    return distinct


def _one_of(
    groups: list[list[_Mention]], names: Names, arguments: dict[str, Any]
) -> Iterator[Change]:
    """One alternative alone, each in its turn."""
    if len(groups) == 1:
        groups = [[one] for one in groups[0]]
    for group in groups if len(groups) > 1 else ():
        kept = {one.path for one in group}
        others = {one.path for other in groups for one in other} - kept
        dropped = [
            Edit(path, drop=True)
            for path in sorted(others, key=repr)
            if _at(arguments, path) is not _NONE
        ]
        added = [edit for one in group for edit in _added(one.path, names, arguments)]
        if dropped or added:
            yield (*dropped, *added)


def _met(text: str, group: list[_Mention], names: Names, arguments: dict[str, Any]) -> Change:
    """What makes one alternative hold."""
    edits: dict[Path, Edit] = {}
    for at, one in enumerate(group):
        until = group[at + 1].start if at + 1 < len(group) else len(text)
        for edit in (
            *_assigned(text[one.end : until][:MAX_WORD], one.path, names, arguments),
            *_added(
                one.path,
                names,
                arguments,
                truth="true" in text[one.end :].split("(", maxsplit=1)[0],
            ),
        ):
            edits.setdefault(edit.path, edit)
    return tuple(edits.values())


def _assigned(after: str, path: Path, names: Names, arguments: dict[str, Any]) -> Iterator[Edit]:
    """A value that the clause gives a name: ``force must be set to true``, ``action='list'``."""
    leaf = names.leaf(path)
    match = _ASSIGNED.match(after)
    if leaf is None or match is None:
        return
    value: Json = match[2].rstrip(".")
    if value in ("true", "false"):
        value = value == "true"
    elif leaf.kind == "number" and str(value).isdigit():
        value = int(str(value))
    elif leaf.kind not in ("string", "enum") or not match[1]:
        return
    if isinstance(value, bool) is (leaf.kind == "boolean") and _at(arguments, path) != value:
        yield Edit(path, value, learned=isinstance(value, str))


def _added(
    path: Path, names: Names, arguments: dict[str, Any], *, truth: bool = False
) -> Iterator[Edit]:
    """An argument that is missing or empty, with an ordinary value; a flag is raised."""
    leaf, here = names.leaf(path), _at(arguments, path)
    if leaf is None:
        return
    if leaf.kind == "boolean":
        if here is not True and (truth or here is _NONE):
            yield Edit(path, value=True)
    elif here is _NONE or (here in ("", [], {}, None) and here != leaf.value):
        yield Edit(path, leaf.value)
