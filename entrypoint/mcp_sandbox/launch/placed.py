"""Files that a server says have to be there, at paths that it names itself.

Read from its last words: ``Please place keys.json in /home/me/.acme``, ``ENOENT …, open '/…'``.
Only what looks like a setting counts, and only where no program keeps its own parts: a data file
that an image has lost is no setting. The lines are a peer's, bounded by ``needs.readable``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.launch.kinds import words
from mcp_sandbox.model.launch import Needed, SettingKind, Where

_ENDING = r"\.(?:json|ya?ml|toml|ini|env|conf|cfg|txt)"
_PATH = r"(?:/[\w.@+-]{1,80}){1,12}"
_PLACE = re.compile(
    r"\b(?:place|put|save|store|copy|move|create|download|add|provide) (?:\S{1,30} ){0,4}?"
    rf"['\"`]?([\w.-]{{1,80}}{_ENDING})['\"`]? (?:file )?(?:in|into|at|to|under|as)\b"
    rf".{{0,80}}?(?<![\w./~])({_PATH})",
    re.IGNORECASE,
)
_OPENED = re.compile(
    r"(?:no such file or directory(?:, (?:open|stat|access|lstat))?:? |file not found:? "
    r"|(?:not found|missing|does not exist|doesn't exist|expected) (?:at|in):? )"
    rf"['\"`]?({_PATH}{_ENDING})(?![\w/])"
    rf"|(?:\bopen |['\"`])({_PATH}{_ENDING})['\"`]?:? "
    r"(?:no such file|(?:is )?not found|does not exist|doesn't exist)",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"/(?:usr|lib|lib64|bin|sbin|proc|sys|dev|run|boot|var/lib|tmp)(?:/|$)"
    r"|.*/(?:node_modules|site-packages|dist-packages|dist|build|\.\.?)(?:/|$)"
)
"""Folders of systems and programs, and what is no plain path."""
_A_SETTING = frozenset(
    [
        *("config", "configuration", "credential", "credentials", "key", "keys", "secret"),
        *("secrets", "token", "tokens", "oauth", "auth", "settings", "account", "client"),
    ]
)
_HIDDEN = re.compile(r"/(?:home/[\w.-]{1,40}|root)/\.[\w-]")
"""In a folder for the settings of a user."""


def in_line(line: str, source: str) -> Iterator[Needed]:
    """Files that a line says are missing. The name of each is its path."""
    for match in _PLACE.finditer(line):
        name, at = match[1], match[2].rstrip(".")
        path = at if at.endswith(name) else f"{at}/{name}"
        if _may_stand(path):
            yield Needed(path, Where.FILE, SettingKind.FILE, source)
    for match in _OPENED.finditer(line):
        path = match[1] or match[2]
        said = _A_SETTING.intersection(words(path.rpartition("/")[2]))
        if _may_stand(path) and (said or _HIDDEN.match(path)):
            yield Needed(path, Where.FILE, SettingKind.FILE, source)


def _may_stand(path: str) -> bool:
    return not _OWN.match(path)
