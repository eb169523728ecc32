"""Expanding the URI templates that servers list (RFC 6570, one string a variable).

Operators are honoured for their separators and their escaping; modifiers (``*``, ``:3``) are read
and ignored, because every value here is one string and a cut payload proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

MAX_VARIABLES = 32
_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_.%-]+")
_RESERVED = ":/?#[]@!$&'()*+,;="
# operator -> (first, separator, named)
_OPERATORS = {
    "": ("", ",", False),
    "+": ("", ",", False),
    "#": ("#", ",", False),
    ".": (".", ".", False),
    "/": ("/", "/", False),
    ";": (";", ";", True),
    "?": ("?", "&", True),
    "&": ("&", "&", True),
}


@dataclass(frozen=True)
class Template:
    """A parsed template: literals and expressions in turn."""

    parts: tuple[str | tuple[str, tuple[str, ...]], ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables' names, each once, in order."""
        names = [name for part in self.parts if isinstance(part, tuple) for name in part[1]]
        return tuple(dict.fromkeys(names))

    def expand(self, values: Mapping[str, str], *, raw: str = "") -> str:
        """The URI with every variable filled in; the one named ``raw`` without escaping."""
        return "".join(
            part if isinstance(part, str) else _expanded(part[0], part[1], values, raw)
            for part in self.parts
        )


def parse(template: str) -> Template:
    """Read a template. Raises ``ValueError`` with one clause when it is none."""
    parts: list[str | tuple[str, tuple[str, ...]]] = []
    at = count = 0
    for match in _EXPRESSION.finditer(template):
        parts.append(template[at : match.start()])
        at = match.end()
        body = match[1]
        operator = body[0] if body[:1] in _OPERATORS and body[:1] else ""
        names = []
        for variable in body[len(operator) :].split(","):
            name = variable.removesuffix("*").split(":")[0]
            if not _NAME.fullmatch(name):
                raise ValueError("its URI template has an expression that cannot be read")
            names.append(name)
        count += len(names)
        if count > MAX_VARIABLES:
            raise ValueError(f"its URI template has more than {MAX_VARIABLES} variables")
        parts.append((operator, tuple(names)))
    parts.append(template[at:])
    return Template(tuple(parts))


def _expanded(operator: str, names: tuple[str, ...], values: Mapping[str, str], raw: str) -> str:
    first, separator, named = _OPERATORS[operator]
    safe = _RESERVED if operator in ("+", "#") else ""
    pieces = []
    for name in names:
        value = values[name] if name == raw else quote(values[name], safe=safe)
        pieces.append(f"{name}={value}" if named else value)
    return first + separator.join(pieces)
