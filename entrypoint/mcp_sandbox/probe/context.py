"""What is known around a parameter, and what is guessed of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mcp_sandbox.model import Json

MAX_TEXT = 2_000
"""Characters of a description that are looked at."""


class Hint(StrEnum):
    """What a parameter looks like."""

    PATH = "path"
    DIRECTORY = "directory"
    URL = "url"
    HOST = "host"
    COMMAND = "command"
    ARGUMENT = "argument"
    """Something that ends up as an argument of a program: a revision, a branch, options."""
    SQL = "sql"
    SEARCH = "search"
    CODE = "code"
    TEMPLATE = "template"
    DATA = "data"
    """Text that is parsed: JSON, YAML, XML."""
    TEXT = "text"
    NAME = "name"
    IDENTIFIER = "identifier"


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def words(text: str) -> tuple[str, ...]:
    """``filePath_2`` -> ``("file", "path", "2")``."""
    return tuple(word.lower() for word in _WORD.findall(text[:MAX_TEXT]))


def prose(text: str) -> frozenset[str]:
    """The words of a sentence, which may have names of programs in it: ``SQLite`` is one, too."""
    return frozenset(words(text)) | frozenset(words(text[:MAX_TEXT].lower()))


@dataclass(frozen=True)
class Context:
    """What is known around a parameter."""

    tool: str = ""
    description: str = ""
    """The tool's."""
    directories: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Files that exist inside the server's allowed folders."""
    absolute: bool = False
    """Prefer absolute paths, in the one folder that can surely be written."""
    seed: int = 0
    kind: str = ""
    """The kind of file that most tools of the server are about; empty without one."""

    @cached_property
    def named(self) -> frozenset[str]:
        """The words of the tool's name."""
        return frozenset(words(self.tool))

    @cached_property
    def said(self) -> frozenset[str]:
        """The words of the tool's name and description."""
        return self.named | prose(self.description)


@dataclass(frozen=True)
class Guess:
    """Hints, best first, and an ordinary value (a string or a number)."""

    hints: tuple[Hint, ...]
    value: Json
