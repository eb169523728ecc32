"""What the calls of a session named: hosts, programs and paths that are no surprise afterwards.

Something counts as named from the call on that named it first, for the rest of the session: how
late an effect comes must not decide what it is called.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from mcp_sandbox import deeds, hostnames
from mcp_sandbox.baseline.normalise import strings
from mcp_sandbox.model import Call
from mcp_sandbox.model.locked import ARGUMENT

VALID = "valid"
_LONGEST = 1_024
"""Characters of a string that are looked at."""
MAX_LEVELS = 24
"""Folders above a file that a lock names."""
_MOST = 64
"""Words of one string that are looked at as paths."""
_WORD = re.compile(r"[\w.+-]+")
_CLIMBS = re.compile(r"(?:\.{1,2}/)+")
_SPLIT = re.compile(r"[\s'\"`;|&<>(){}$,=]+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_WHOLE, _BEGINNING = 3, 5
"""Characters of ours that have to be a part of a path, or its beginning, to have named it."""


class _Names(NamedTuple):
    """What one string names."""

    hosts: frozenset[str]
    programs: frozenset[str]
    paths: frozenset[str]


class Named:
    """What one session's calls named, and from which call on."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._hosts: dict[str, int] = {}
        self._programs: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._parents: dict[str, int] = {}
        self._ordinary: dict[str, set[str]] = {}
        self._parts: dict[int, frozenset[str]] = {}
        self._hostile_parts: dict[int, frozenset[str]] = {}
        self._roots: set[int] = set()
        self._read: dict[str, _Names] = {}
        self._known: dict[str, bool] = {}
        computed = {text for call in calls for text in (call.nonce, call.expected)}
        self._computed = frozenset(one for one in computed if len(one) >= _BEGINNING)
        self._lengths = sorted({len(one) for one in self._computed})
        self._called = {call.number: f"{call.kind.value}/{call.target}" for call in calls}
        self._hostile = {call.number for call in calls if call.family != VALID}
        usual: dict[str, set[str]] = {}
        for call in calls:
            self._learn(call, usual.setdefault(self._called[call.number], set()))

    def _learn(self, call: Call, usual: set[str]) -> None:
        """``usual``: the strings of the ordinary calls of this tool so far."""
        number = call.number
        parts: set[str] = set()
        hostile: set[str] = set()
        given = frozenset(call.learned)  # what the server told us to say is not ours
        said = (one for one in strings(call.arguments) if one and one not in given)
        for text in {one[:_LONGEST] for one in said}:
            names = self._in(text)
            _first(self._hosts, names.hosts, number)
            _first(self._programs, names.programs, number)
            _first(self._paths, names.paths, number)
            _first(self._parents, (up for one in names.paths for up in _above(one)), number)
            if "/" in names.paths:
                self._roots.add(number)
            parts.add(text.strip())
            parts.update(posixpath.basename(path) for path in (text, *names.paths))
            if call.family == VALID:
                usual.add(text)
                paths = self._ordinary.setdefault(self._called[number], set())
                paths.update(names.paths - {"/"})
            elif text not in usual:
                hostile.update(text.split("/", _MOST)[:_MOST])
                hostile.update(part for path in names.paths for part in path.split("/"))
        self._parts[number] = frozenset(one for one in parts if len(one) >= _WHOLE)
        self._hostile_parts[number] = frozenset(hostile - {""})

    def _in(self, text: str) -> _Names:
        """What a string names, in the forms that it may be decoded to."""
        if text not in self._read:
            hosts: set[str] = set()
            words: set[str] = set()
            paths: set[str] = set()
            for form in _decoded(text):
                hosts.update(hostnames.hosts_in(form), hostnames.meant(form))
                found = _WORD.findall(form)
                words.update(deeds.short(word) for word in found)
                # A program takes any word for the name of a host.
                hosts.update(word.rstrip(".").lower() for word in found)
                paths.update(_paths(form))
            self._read[text] = _Names(frozenset(hosts), frozenset(words), frozenset(paths))
        return self._read[text]

    def computed(self, text: str) -> bool:
        """It holds a nonce or a product of ours."""
        if text not in self._known:
            self._known[text] = any(
                text[at : at + length] in self._computed
                for length in self._lengths
                for at in range(len(text) - length + 1)
            )
        return self._known[text]

    def host(self, number: int, host: str) -> bool:
        """A call up to this one named the host, or an input of ours had it computed."""
        return self.computed(host) or self._hosts.get(host, number + 1) <= number

    def program(self, number: int, name: str) -> bool:
        """A call up to this one holds the program's name as a word."""
        return self.computed(name) or self._programs.get(name, number + 1) <= number

    def path(self, number: int, path: str, planted: frozenset[str]) -> str:
        """The path with ``<argument>`` for what calls had named; ``planted``: places of secrets.

        What lies below a path that ordinary calls of the same tool name, or beside it, keeps its
        rest; below one that hostile input names, nothing is kept.
        """
        ordinary = self._ordinary.get(self._called.get(number, ""), set())
        hostile = bool({number, number - 1} & self._hostile)
        if hostile and path in planted:
            return ARGUMENT
        base, rest = "", path
        for folder in (path, *_above(path), "/"):
            if folder in ordinary:
                base, rest = ARGUMENT, path[len(folder) :]
                break
            if folder != "/" and self._by_hostile(self._paths, folder, number):
                return ARGUMENT
        if not base and (beside := _beside(path, ordinary)):
            base, rest = ARGUMENT, path[len(beside) :]
        if not base and hostile and {number, number - 1} & self._roots:
            return ARGUMENT
        if not base and self._parents.get(path, number + 1) <= number:
            return ARGUMENT
        return base + self._cut(rest, number)

    def _by_hostile(self, known: dict[str, int], what: str, number: int) -> bool:
        """It was named so far, and by hostile input first."""
        first = known.get(what, number + 1)
        return first <= number and first in self._hostile

    def _cut(self, rest: str, number: int) -> str:
        """What is left of a path up to the first part that we named."""
        none: frozenset[str] = frozenset()
        hostile = self._hostile_parts.get(number, none) | self._hostile_parts.get(number - 1, none)
        ours = self._parts.get(number, none) | self._parts.get(number - 1, none) | hostile
        kept: list[str] = []
        for part in rest.split("/"):
            mine = self.computed(part) or part in ours or part.partition(".")[0] in hostile
            if mine or any(len(one) >= _BEGINNING and part.startswith(one) for one in ours):
                return "/".join([*kept, ARGUMENT])
            kept.append(part)
        return "/".join(kept)


def _first(known: dict[str, int], found: Iterable[str], number: int) -> None:
    for one in found:
        known.setdefault(one, number)


def _absolute(path: str) -> str:
    """Below the root, with one slash at its beginning: ``normpath`` would leave two."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def _above(path: str) -> Iterator[str]:
    """The folders that an absolute path lies in, the nearest first, without the root."""
    parts = path.split("/")[:MAX_LEVELS]
    for end in range(len(parts) - 1, 1, -1):
        yield "/".join(parts[:end])


def _beside(path: str, ordinary: set[str]) -> str:
    """The ordinary path that this one begins with in the same folder: a temporary copy of it."""
    fitting = (one for one in ordinary if path.startswith(one) and path[len(one)] in "._~-#")
    return max(fitting, key=len, default="")


def _decoded(text: str) -> tuple[str, ...]:
    once = unquote(text)
    forms = dict.fromkeys((text, once, unquote(once)))
    for match in _BASE64.finditer(text):
        try:
            forms[base64.b64decode(match[0], validate=True).decode()] = None
        except (binascii.Error, UnicodeDecodeError):
            continue
    return tuple(forms)


def _paths(text: str) -> Iterator[str]:
    """The absolute paths that a text may lead to: as a whole, and word by word."""
    for word in {text.strip(), *_SPLIT.split(text, _MOST)[:_MOST]}:
        bare = word.removeprefix("file://").replace("\\", "/")
        cut = bare.split("\0")[0]
        for one in {bare, cut}:
            climbed = _CLIMBS.sub("", one, count=1) if _CLIMBS.match(one) else None
            if one.startswith("/"):
                yield _absolute(one)
            elif climbed is not None or one == "..":
                yield _absolute(climbed or "")
            elif "/" in one and "/../" in one:
                yield _absolute(one)
