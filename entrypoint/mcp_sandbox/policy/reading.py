"""What every part of a policy file is checked against, and how a mistake is told."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NoReturn

from mcp_sandbox.errors import PolicyUnreadable
from mcp_sandbox.model import RISK_ORDER, Evidence, ItemKind, Json, RiskClass, RuleInfo
from mcp_sandbox.model.locked import IDLE, IMAGE, SERVER, START
from mcp_sandbox.policy import complaints
from mcp_sandbox.policy.lines import Path, line_of
from mcp_sandbox.settings import ScannerName

MAX_TEXT = 500
"""Characters of a reason, a subject, or the words of a message."""
SCANNERS = tuple(one.value for one in ScannerName if one is not ScannerName.AUTO)
SUBJECTS = (SERVER, IMAGE, START, IDLE, *(f"{kind.value}/NAME" for kind in ItemKind))
_SHOWN = 100


@dataclass(frozen=True)
class Reader:
    """One file: its name, where its keys stand, the rules there are, and the day."""

    name: str
    places: dict[Path, int]
    rules: Mapping[str, RuleInfo]
    today: date

    def line(self, path: Path) -> int:
        """The line on which something stands."""
        return line_of(self.places, path)

    def fail(self, path: Path, text: str) -> NoReturn:
        """Tell a mistake, with its line. Always raises ``PolicyUnreadable``."""
        raise PolicyUnreadable(f"{self.name} line {self.line(path)}: {text}")

    def known(self, path: Path, word: str, words: Collection[str], what: str) -> str:
        """``word``, when it is one of ``words``; else a mistake with the nearest of them."""
        if word not in words:
            near = difflib.get_close_matches(word[:_SHOWN], words, n=1)
            hint = f"did you mean {str(near[0])!r}?" if near else f"there are {', '.join(words)}"
            self.fail(path, f"there is no {what} {word[:_SHOWN]!r}; {hint}")
        return word

    def table(self, path: Path, value: Json, keys: Collection[str]) -> dict[str, Json]:
        """A table with known keys only."""
        if not isinstance(value, dict):
            self.fail(path, f"{_named(path)} is a table, not {kind(value)}")
        for key in value:
            self.known((*path, key), key, keys, "key")
        return value

    def text(self, path: Path, value: Json) -> str:
        """A text with something in it, on one line."""
        if not isinstance(value, str):
            self.fail(path, f"{_named(path)} is a text in quotes, not {kind(value)}")
        said = " ".join(value.split())
        if not said or len(said) > MAX_TEXT:
            self.fail(path, f"{_named(path)} has 1 to {MAX_TEXT} characters")
        return said

    def optional(self, path: Path, table: dict[str, Json], key: str) -> str:
        """The text under a key, or nothing."""
        return self.text((*path, key), table[key]) if key in table else ""

    def texts(self, path: Path, value: Json) -> list[str]:
        """A list of texts."""
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.fail(path, f"{_named(path)} is a list of texts in quotes")
        return value

    def rule(self, path: Path, rule: str) -> str:
        """The id of a rule of ours, and not one about this file."""
        if rule not in self.rules:
            near = difflib.get_close_matches(rule[:_SHOWN], self.rules, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "a scanner's rule needs its 'tool'"
            self.fail(path, f"there is no rule {rule[:_SHOWN]!r}; {hint}")
        if rule in complaints.IDS:
            self.fail(path, f"{rule} is about this file, which cannot excuse itself")
        return rule

    def scanner(self, path: Path, value: Json) -> str:
        """The name of a scanner, as the settings write it."""
        return self.known(path, self.text(path, value).casefold(), SCANNERS, "scanner")

    def subject(self, path: Path, subject: str) -> str:
        """What a finding of ours can be about."""
        first, slash, name = subject.partition("/")
        if not (slash and name and first in set(ItemKind)):
            self.known(path, subject.partition("#")[0], SUBJECTS, "subject")
        return subject


def worst(info: RuleInfo) -> RiskClass:
    """The worst class that a rule gives under any profile."""
    return min([info.class_, info.seed_class or info.class_], key=RISK_ORDER.index)


def is_proof(info: RuleInfo) -> bool:
    """Critical, and shown by a planted secret or a computed effect."""
    return info.class_ is RiskClass.CRITICAL and info.evidence in {Evidence.E1, Evidence.E2}


def kind(value: object) -> str:
    """What a value of TOML is, for a sentence."""
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or a time")


def _named(path: Path) -> str:
    """The last key of a path in quotes; a number is the place in a list."""
    return next((repr(part[:_SHOWN]) for part in reversed(path) if isinstance(part, str)), "it")
