"""Finding the line of a name or a description in many files, in one pass over each.

The cost is linear in the text: descriptions are looked up by runs of words in a table, names in a
set, and every pattern matches a bounded piece or disjoint pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from mcp_sandbox.locate.tree import Source

SHINGLE = 5
"""Words that must follow each other for a description to be recognised."""
MIN_CHARACTERS = 12
"""A description with less than this in its words is no proof of anything."""
MAX_WORDS = 100
NEAR = 5
"""Lines above a quoted name in which its registration call is looked for."""
NEAR_DEFINITION = 3
MAX_CANDIDATES = 5_000
"""Places of one file that are weighed for names; a real file has a few dozen."""
MAX_NAME = 128

_WORD = re.compile(r"\w+")
_ESCAPE = re.compile(r"\\(?:[abfnrtv0'\"`\\]|\n)")
_QUOTED = re.compile(r"""(["'`])([^"'`\n\\]{1,128})\1""")
_DEFINITION = re.compile(
    r"\b(?:def|fn|function|fun|func(?:[ \t]++\([^()\n]{0,100}\))?)[ \t]++(\w{1,128})[ \t]*+[(<]"
)
_CLIENT_CALLS = ("call_tool(", "calltool(", "get_prompt(", "getprompt(")
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, order=True)
class Hit:
    """A line that may define a subject; the smallest is the best."""

    weight: int
    rank: tuple[int, int]
    path: str
    line: int


def folded(name: str) -> str:
    """``read-file``, ``read_file`` and ``readFile`` are one name."""
    return _NOT_WORD.sub("", name).lower()


def _blanked(code: str) -> str:
    """Escapes of string literals as blanks of the same length, so that offsets stay true."""
    return _ESCAPE.sub("  ", code)


# --- descriptions ---------------------------------------------------------------------------------


def by_description(sources: Iterable[Source], texts: Mapping[str, str]) -> dict[str, Hit]:
    """Subject -> where the longest run of its description's own words begins.

    Words that also stand in another subject's description tell nothing and are left out.
    """
    found: dict[str, Hit] = {}
    tables = _tables(texts)
    for source in sources:
        blanked = _blanked(source.text)
        words = _WORD.findall(blanked)
        for size, table in tables.items():
            runs = zip(*(words[shift:] for shift in range(size)), strict=False)
            marks = [(at, table[run]) for at, run in enumerate(runs) if run in table]
            if marks:
                starts = [match.start() for match in _WORD.finditer(blanked)]
                for subject, hit in _longest(source, marks, starts):
                    found[subject] = min(hit, found.get(subject, hit))
    return found


def _tables(texts: Mapping[str, str]) -> dict[int, dict[tuple[str, ...], str]]:
    """Length of a run -> run of words -> the only subject that has it."""
    owners: dict[int, dict[tuple[str, ...], str | None]] = {}
    for subject, text in texts.items():
        words = _WORD.findall(text[: MAX_WORDS * 20])[:MAX_WORDS]
        if sum(map(len, words)) < MIN_CHARACTERS:
            continue
        size = min(SHINGLE, len(words))
        table = owners.setdefault(size, {})
        for run in zip(*(words[shift:] for shift in range(size)), strict=False):
            table[run] = subject if table.get(run, subject) == subject else None
    return {
        size: {run: subject for run, subject in table.items() if subject is not None}
        for size, table in owners.items()
    }


def _longest(
    source: Source, marks: list[tuple[int, str]], starts: list[int]
) -> Iterable[tuple[str, Hit]]:
    """For each unbroken series of marks of one subject, where it begins; longer weighs less."""
    begin = 0
    for end in range(1, len(marks) + 1):
        position, subject = marks[end - 1]
        if end < len(marks) and marks[end] == (position + 1, subject):
            continue
        line = source.line_at(starts[marks[begin][0]])
        yield subject, Hit(begin - end, source.rank, source.path, line)
        begin = end


# --- names ----------------------------------------------------------------------------------------


def by_registration(sources: Iterable[Source], names: Mapping[str, str]) -> dict[str, Hit]:
    """Subject -> the quoted name on, or shortly below, a line that registers such a thing.

    A subject is ``KIND/NAME``; the line must hold the kind's word (``tool``) or a ``name`` key.
    """
    return _best(sources, _QUOTED, 2, _wanted(names, str), _registration_weight, folds=str)


def by_definition(sources: Iterable[Source], names: Mapping[str, str]) -> dict[str, Hit]:
    """Subject -> the function of that name, however it is cased; one below a decorator first."""
    return _best(sources, _DEFINITION, 1, _wanted(names, folded), _definition_weight, folds=folded)


def _wanted(names: Mapping[str, str], folds: Callable[[str], str]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for subject, name in names.items():
        if len(name) <= MAX_NAME and folds(name):
            wanted.setdefault(folds(name), []).append(subject)
    return wanted


def _best(
    sources: Iterable[Source],
    pattern: re.Pattern[str],
    group: int,
    wanted: Mapping[str, list[str]],
    weigh: Callable[[Source, int, re.Match[str], str], int | None],
    *,
    folds: Callable[[str], str],
) -> dict[str, Hit]:
    """The best place of each subject among the pattern's matches."""
    found: dict[str, Hit] = {}
    for source in sources:
        candidates = (
            (match, subject)
            for match in pattern.finditer(source.text)
            for subject in wanted.get(folds(match[group]), ())
        )
        for match, subject in islice(candidates, MAX_CANDIDATES):
            line = source.line_at(match.start(group))
            weight = weigh(source, line, match, _kind(subject))
            if weight is not None:
                hit = Hit(weight, source.rank, source.path, line)
                found[subject] = min(hit, found.get(subject, hit))
    return found


def _kind(subject: str) -> str:
    """``tools/x`` -> ``tool``, the word that a registration of it is expected to hold."""
    return subject.partition("/")[0].removesuffix("s").lower()


def _registration_weight(source: Source, line: int, match: re.Match[str], kind: str) -> int | None:
    """0 right behind a call, 1 as the value of ``name``, 2 below a call; ``None`` for neither."""
    before = source.text[max(0, match.start() - 80) : match.start()].rsplit("\n", 1)[-1]
    before = before.lower().rstrip()
    if before.endswith("(") and kind in before and not before.endswith(_CLIENT_CALLS):
        return 0
    is_value = before.endswith((":", "=")) and not before.endswith(("==", "!="))
    if is_value and before.rstrip(":= \"'").endswith("name"):
        return 1
    return 2 if before in {"", "("} and _stands_above(source, line, NEAR, kind) else None


def _definition_weight(source: Source, line: int, _match: re.Match[str], kind: str) -> int:
    return 0 if _stands_above(source, line, NEAR_DEFINITION, kind) else 1


def _stands_above(source: Source, line: int, lines: int, word: str) -> bool:
    above = source.lines[max(0, line - 1 - lines) : line - 1]
    return any(word in text[:400].lower() for text in above)
