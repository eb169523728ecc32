"""Missing settings that are told of over several lines: lists, pydantic, zod, clap."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from mcp_sandbox.launch.kinds import is_status, kind, may_be_set
from mcp_sandbox.model.launch import Needed, SettingKind, Where

MAX_FOLLOWING = 16
"""Lines of a list that are read."""

_HEADER = re.compile(
    r"\b(?:missing|required?|not (?:set|provided|present|defined)|must be set|please set|invalid"
    r"|set (?:the )?(?:following|these))\b",
    re.IGNORECASE,
)
_OF_WHAT = re.compile(
    r"\b(?:variables?|vars?|environment|env|arguments?|options?|settings?|config\w*|flags?"
    r"|parameters?|keys?|credentials?|following|secrets?|tokens?)\b",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"^[^\w<>$]{0,12}(?:\d{1,2}[.)] )?"
    r"(?:\$?\{?([A-Z][A-Z0-9_]{2,63})(?![\w(])|(--[A-Za-z][\w-]{1,60})|<([A-Za-z][\w-]{0,40})>)"
)
_VALIDATION = re.compile(r"\bvalidation errors? for (\w{1,80})")
_FIELD = re.compile(r"^[A-Za-z_][\w.-]{0,80}$")
_SUFFIXES = ("settings", "configuration", "config", "environment", "env", "options")
_WHAT_KIND: tuple[tuple[str, SettingKind], ...] = (
    ("valid url", SettingKind.URL),
    ("valid integer", SettingKind.NUMBER),
    ("valid number", SettingKind.NUMBER),
    ("valid boolean", SettingKind.BOOLEAN),
    ("valid email", SettingKind.EMAIL),
    ("path does not point to a file", SettingKind.FILE),
    ("path does not point to a directory", SettingKind.FOLDER),
)
_ABSENT = re.compile(
    r"received:? ['\"]?undefined|['\"`:]\s?Required\b|\bis required", re.IGNORECASE
)
_ZOD_PATH = re.compile(r"['\"]?path['\"]?: {0,4}\[(?: {0,8}['\"]([A-Za-z]\w{1,63})['\"])?")
_ZOD_NAME = re.compile(r"^\s{0,40}['\"]([A-Za-z]\w{1,63})['\"]\s{0,4}$")
_ZOD_AT = re.compile(r"→ at ([A-Za-z][\w.]{1,80})")
_FLATTENED = re.compile(
    r"(?:^|[\s{,])['\"]?([A-Z][A-Z0-9_]{2,63})['\"]?: {0,4}\[? {0,4}"
    r"['\"](?:Required|Invalid input: expected \w{1,20}, received undefined)"
)
_LOWER_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def as_variable(name: str) -> str:
    """``apiKey``, ``api-key``, ``api.key`` -> ``API_KEY``."""
    if name.isupper():
        return name
    return re.sub(r"[.\-]", "_", _LOWER_UPPER.sub("_", name[:80])).upper()


def in_lines(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """Every setting that a block of lines says is missing."""
    for number, line in enumerate(lines):
        heads = line.endswith((":", ": [", ": {", ":["))
        if heads and _HEADER.search(line) and _OF_WHAT.search(line):
            yield from _listed(lines[number + 1 : number + 1 + MAX_FOLLOWING], source)
        if match := _VALIDATION.search(line):
            yield from _pydantic(match[1], lines[number + 1 : number + 80], source)
    yield from _zod(lines, source)


def _listed(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """The items of a list below its heading, up to the first line that is none."""
    for line in lines:
        match = _ITEM.search(line)
        if match is None and line.strip():
            return
        if match is None:
            continue
        if match[1] and may_be_set(match[1]) and not is_status(match[1]):
            yield Needed(match[1], Where.ENVIRONMENT, kind(match[1], line), source)
        elif match[2]:
            yield Needed(match[2], Where.FLAG, kind(match[2], line), source)
        elif match[3]:
            yield Needed(match[3], Where.POSITIONAL, kind(match[3], line), source)


def _pydantic(title: str, lines: Sequence[str], source: str) -> Iterator[Needed]:
    """Fields of a model of settings, with the prefix that its name suggests as well."""
    for field, said in pairwise(lines):
        if not _FIELD.match(field) or not said.startswith(" "):
            continue
        plain = said.strip().lower()
        wanted = next((one for words, one in _WHAT_KIND if words in plain), None)
        if wanted is None and not plain.startswith("field required"):
            continue
        name = as_variable(field)
        model = _prefix(title)
        prefixes = dict.fromkeys(one for one in (model.upper(), as_variable(model)) if one)
        names = [name, *(f"{one}_{name}" for one in prefixes if not name.startswith(one))]
        if "." in field:
            names.append(field.replace(".", "__").upper())
        for one in names:
            if may_be_set(one):
                yield Needed(one, Where.ENVIRONMENT, wanted or kind(one), source)


def _prefix(title: str) -> str:
    """``GitHubSettings`` -> ``GitHub``."""
    for suffix in _SUFFIXES:
        if title.lower().endswith(suffix):
            return title[: -len(suffix)].rstrip("_")
    return ""


def _zod(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """Issues of zod, as JSON, as objects that Node printed, flattened or made pretty."""
    names: list[str] = []
    absent = False
    for number, line in enumerate(lines):
        absent = absent or bool(_ABSENT.search(line))
        names += _FLATTENED.findall(line)
        if match := _ZOD_PATH.search(line):
            following = _ZOD_NAME.match(lines[number + 1]) if number + 1 < len(lines) else None
            names += [match[1]] if match[1] else [following[1]] if following else []
        names += _ZOD_AT.findall(line)
    for name in dict.fromkeys(map(as_variable, names)) if absent else ():
        if may_be_set(name):
            yield Needed(name, Where.ENVIRONMENT, kind(name), source)
