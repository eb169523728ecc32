"""What a server may be taken from, besides an image and a folder: the forms, and what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

MAX_SHOWN = 100


class Kind(StrEnum):
    """Where a source comes from: what it begins with."""

    PYPI = "pypi"
    NPM = "npm"
    BUNDLE = "mcpb"
    """A file: a zip with a ``manifest.json``."""
    GIT = "https"


FORMS = {
    Kind.PYPI: "pypi:NAME==VERSION",
    Kind.NPM: "npm:NAME@VERSION",
    Kind.BUNDLE: "mcpb:FILE",
    Kind.GIT: "https://HOST/PATH@REF",
}

_PATTERNS = {
    Kind.PYPI: re.compile(
        r"pypi:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,99}[A-Za-z0-9])?)"
        r"(?:\[(?P<extras>[A-Za-z0-9._,-]{1,99})\])?"
        r"==(?P<version>[0-9][A-Za-z0-9.!+_-]{0,49})"
    ),
    Kind.NPM: re.compile(
        r"npm:(?P<name>(?:@[a-z0-9~-][a-z0-9._~-]{0,99}/)?[a-z0-9~-][a-z0-9._~-]{0,199})"
        r"@(?P<version>[0-9][A-Za-z0-9.+-]{0,49})"
    ),
    Kind.BUNDLE: re.compile(r"mcpb:(?P<name>[^\x00-\x1f\x7f]{1,4096})"),
    Kind.GIT: re.compile(
        r"(?P<name>https://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?"
        r"/[A-Za-z0-9._~/-]{1,300})"
        r"@(?P<version>[A-Za-z0-9][A-Za-z0-9._/-]{0,199})"
    ),
}


@dataclass(frozen=True)
class Source:
    """One source."""

    kind: Kind
    text: str
    """As it was given."""
    name: str
    """Package, path of the file, or address of the repository."""
    version: str = ""
    """Of a package, or the ref of a repository."""
    extras: str = ""
    """Of a Python package, separated by commas."""

    @property
    def told(self) -> str:
        """Without version and folder: the same from one version to the next."""
        if self.kind is Kind.GIT:
            return self.name.removeprefix("https://").removesuffix(".git")
        name = self.name if self.kind is not Kind.BUNDLE else PurePosixPath(self.name).stem
        return f"{self.kind}/{name}"


def is_one(text: str) -> bool:
    """Whether ``text`` is meant as a source: it begins like one."""
    return text.partition(":")[0] in set(Kind) and ":" in text


def parse(text: str) -> Source:
    """Raises ``ValueError`` with a phrase that names the forms there are."""
    for kind, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            return Source(
                kind, text, found["name"], found.get("version", ""), found.get("extras") or ""
            )
    raise ValueError(f"{text[:MAX_SHOWN]!r} is none of {', '.join(FORMS.values())}")
