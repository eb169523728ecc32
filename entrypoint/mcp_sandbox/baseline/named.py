"""What the calls of a session named: hosts, programs and paths that are no surprise afterwards.

Something counts as named from the call on that named it first, for the rest of the session: how
late an effect comes must not decide what it is called.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from mcp_sandbox import deeds, hostnames
from mcp_sandbox.baseline.normalise import strings
from mcp_sandbox.model import Call
from mcp_sandbox.model.locked import ARGUMENT

VALID = "valid"
_LONGEST = 4_096
"""Longer strings of ours are there to be long."""
_WORD = re.compile(r"[\w.+-]+")
_CLIMBS = re.compile(r"(?:\.{1,2}/)+")
_SPLIT = re.compile(r"[\s'\"`;|&<>(){}$,=]+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_WHOLE, _BEGINNING = 3, 5
"""Characters of ours that have to be a part of a path, or its beginning, to have named it."""


class Named:
    """What one session's calls named, and from which call on."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._hosts: dict[str, int] = {}
        self._programs: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._ordinary: dict[str, set[str]] = {}
        self._parts: dict[int, frozenset[str]] = {}
        self._roots: set[int] = set()
        self._forms: dict[str, tuple[str, ...]] = {}
        self._read: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {}
        nonces = {call.nonce for call in calls if len(call.nonce) >= _BEGINNING}
        products = {call.expected for call in calls if len(call.expected) >= _BEGINNING}
        computed = "|".join(re.escape(one) for one in sorted(nonces | products))
        self._computed = re.compile(computed or r"(?!)")
        self._called = {call.number: f"{call.kind.value}/{call.target}" for call in calls}
        self._hostile = {call.number for call in calls if call.family != VALID}
        for call in calls:
            self._learn(call)

    def _learn(self, call: Call) -> None:
        number = call.number
        subject = self._called[number]
        parts: set[str] = set()
        for text in {one for one in strings(call.arguments) if one and len(one) <= _LONGEST}:
            hosts, programs, paths = self._in(text)
            for known, found in (
                (self._hosts, hosts),
                (self._programs, programs),
                (self._paths, paths),
            ):
                for one in found:
                    known.setdefault(one, number)
            if "/" in paths:
                self._roots.add(number)
            parts.update(part for path in paths for part in path.split("/") if part)
            parts.add(text.strip())
            if call.family == VALID:
                self._ordinary.setdefault(subject, set()).update(paths - {"/"})
        self._parts[number] = frozenset(one for one in parts if len(one) >= _WHOLE)

    def _in(self, text: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Hosts, words and absolute paths of a string, in the forms that it may be decoded to."""
        if text not in self._read:
            hosts: set[str] = set()
            words: set[str] = set()
            paths: set[str] = set()
            for form in _decoded(text):
                hosts.update(hostnames.hosts_in(form), hostnames.meant(form))
                words.update(deeds.short(word) for word in _WORD.findall(form))
                paths.update(_paths(form))
            self._read[text] = frozenset(hosts), frozenset(words), frozenset(paths)
        return self._read[text]

    def computed(self, text: str) -> bool:
        """It holds a nonce or a product of ours."""
        return bool(self._computed.search(text))

    def host(self, number: int, host: str) -> bool:
        """A call up to this one named the host, or an input of ours had it computed."""
        return self.computed(host) or self._hosts.get(host, number + 1) <= number

    def program(self, number: int, name: str) -> bool:
        """A call up to this one holds the program's name as a word."""
        return self.computed(name) or self._programs.get(name, number + 1) <= number

    def path(self, number: int, path: str, planted: frozenset[str]) -> str:
        """The path with ``<argument>`` for what calls had named; ``planted``: places of secrets.

        What lies below a path that ordinary calls name keeps its rest; below one that hostile input
        names, nothing is kept.
        """
        ordinary = self._ordinary.get(self._called.get(number, ""), set())
        hostile = bool({number, number - 1} & self._hostile)
        if hostile and path in planted:
            return ARGUMENT
        base, rest = "", path
        for folder in _upwards(path):
            if folder in ordinary:
                base, rest = ARGUMENT, path[len(folder) :]
                break
            if folder != "/" and self._paths.get(folder, number + 1) <= number:
                return ARGUMENT
        if not base and hostile and {number, number - 1} & self._roots:
            return ARGUMENT
        if not base and path != "/" and self._above(path, number):
            return ARGUMENT
        return base + self._cut(rest, number)

    def _above(self, path: str, number: int) -> bool:
        """It is a folder on the way to something that a call had named."""
        beginning = f"{path}/"
        return any(
            first <= number and one.startswith(beginning) for one, first in self._paths.items()
        )

    def _cut(self, rest: str, number: int) -> str:
        """What is left of a path up to the first part that we named."""
        ours = self._parts.get(number, frozenset()) | self._parts.get(number - 1, frozenset())
        kept: list[str] = []
        for part in rest.split("/"):
            mine = self.computed(part) or part in ours
            if mine or any(len(one) >= _BEGINNING and part.startswith(one) for one in ours):
                return "/".join([*kept, ARGUMENT])
            kept.append(part)
        return "/".join(kept)


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
    for word in {text.strip(), *_SPLIT.split(text)}:
        bare = word.removeprefix("file://").replace("\\", "/")
        cut = bare.split("\0")[0]
        for one in {bare, cut}:
            climbed = _CLIMBS.sub("", one, count=1) if _CLIMBS.match(one) else None
            if one.startswith("/"):
                yield posixpath.normpath("/" + one.lstrip("/"))
            elif climbed is not None or one == "..":
                yield posixpath.normpath(f"/{climbed or ''}")
            elif "/" in one and "/../" in one:
                yield posixpath.normpath(f"/{one}")


def _upwards(path: str) -> Iterator[str]:
    """The path itself, then its folders; for the longest of them the names at the beginning."""
    yield path
    while path not in {"/", ""}:
        path = posixpath.dirname(path)
        yield path
