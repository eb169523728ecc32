"""``mcp-sandbox.toml``: read strictly, every mistake named with its line and the likely word."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

from mcp_sandbox import settings
from mcp_sandbox.errors import BadInput, PolicyUnreadable
from mcp_sandbox.model import (
    RISK_ORDER,
    Evidence,
    ItemKind,
    Json,
    RiskClass,
    RuleInfo,
)
from mcp_sandbox.model.locked import (
    IDLE,
    IMAGE,
    POLICY_FILE,
    SERVER,
    START,
    Acceptance,
    ClassOverride,
    Permission,
    Policy,
)
from mcp_sandbox.policy import complaints, lines, objects
from mcp_sandbox.policy.lines import Path

MAX_BYTES = 256 * 2**10
MAX_ENTRIES = 1_000
"""Acceptances, permissions and classes together."""
MAX_TEXT = 500
"""Characters of a reason, a subject, or the words of a message."""
MAX_DAYS = 366
"""Days that an acceptance may last from the day it is read: a year, leap years too."""

ALL = "*"
"""The subject of permissions in ``[all]``."""

GATE = ("fail_on", "fail_below")
LAUNCH = (
    "dockerfile",
    "build_network",
    "build_timeout",
    "transport",
    "network",
    "allow",
    "tls",
    "env",
    "args",
    "memory",
    "cpus",
    "pids",
    "start_timeout",
    "call_timeout",
    "timeout",
    "max_calls",
)
"""Settings that say how the server is built, started and tried."""

TABLES = ("gate", "launch", "classes", "accept", "tools", START, IDLE, "all")
ACCEPT = ("rule", "tool", "subject", "about", "fingerprint", "reason", "expires")
PERMISSION = ("endpoints", "programs", "paths", "reason")
CLASS = ("class", "reason", "tool")

_SUBJECTS = (SERVER, IMAGE, START, IDLE, *(f"{kind.value}/NAME" for kind in ItemKind))
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SCANNERS = {one.value for one in settings.ScannerName} - {settings.ScannerName.AUTO.value}


def load(
    data: bytes,
    name: str = POLICY_FILE,
    *,
    rules: Iterable[RuleInfo],
    today: date,
    path: str = "",
) -> Policy:
    """The policy that a file holds. ``name`` is for messages, ``path`` is in the repository.

    ``rules``: all of our own there are. ``today``: the day of the run, UTC. Raises
    ``PolicyUnreadable`` with one sentence that names the file, the line and what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise PolicyUnreadable(f"{name} is larger than {MAX_BYTES // 2**10} KiB.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyUnreadable(f"{name} line {line} is not UTF-8.") from error
    try:
        for _ in lines.statements(text):
            pass  # its bounds hold before anything that could be slow looks at it
        document = tomllib.loads(text)
    except lines.TooDeep as error:
        raise PolicyUnreadable(f"{name} line {error.line} {error}.") from error
    except ValueError as error:
        raise PolicyUnreadable(f"{name} is no TOML: {_said(error)}.") from error
    reader = _Reader(name, lines.lines(text), {one.id: one for one in rules}, today)
    return reader.policy(document, path)


def _said(error: ValueError) -> str:
    text = str(error)[:300].rstrip(".")
    return text[:1].lower() + text[1:]


@dataclass(frozen=True)
class _Reader:
    """What every part of the file is checked against."""

    name: str
    places: dict[Path, int]
    rules: Mapping[str, RuleInfo]
    today: date

    # --- mistakes ---------------------------------------------------------------------------------

    def fail(self, path: Path, text: str) -> NoReturn:
        line = lines.line_of(self.places, path)
        raise PolicyUnreadable(f"{self.name} line {line}: {text}")

    def known(self, path: Path, word: str, words: Collection[str], what: str) -> str:
        """``word``, when it is one of ``words``; else a mistake with the nearest of them."""
        if word not in words:
            near = difflib.get_close_matches(word[:100], words, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f", only {_listed(words)}"
            text = f"there is no {what} {word[:100]!r}{hint}"
            self.fail(path, text.removesuffix("?") + ("?" if near else ""))
        return word

    def table(self, path: Path, value: Json, keys: Collection[str]) -> dict[str, Json]:
        """A table with known keys only."""
        if not isinstance(value, dict):
            self.fail(path, f"{path[-1]!r} is a table, not {_kind(value)}")
        for key in value:
            self.known((*path, key), key, keys, "key")
        return value

    def text(self, path: Path, value: Json) -> str:
        """A text with something in it, on one line."""
        if not isinstance(value, str):
            self.fail(path, f"{path[-1]!r} is a text in quotes, not {_kind(value)}")
        said = " ".join(value.split())
        if not said or len(said) > MAX_TEXT:
            self.fail(path, f"{path[-1]!r} has 1 to {MAX_TEXT} characters")
        return said

    def optional(self, path: Path, table: dict[str, Json], key: str) -> str:
        return self.text((*path, key), table[key]) if key in table else ""

    # --- the whole --------------------------------------------------------------------------------

    def policy(self, document: dict[str, Json], path: str) -> Policy:
        self.table((), document, TABLES)
        gate = self.settings("gate", document.get("gate", {}), GATE)
        launch = self.settings("launch", document.get("launch", {}), LAUNCH)
        accept = self.accepted(document.get("accept", []))
        allow = [
            self.permission((key,), subject, document[key], PERMISSION)
            for key, subject in ((START, START), (IDLE, IDLE), ("all", ALL))
            if key in document
        ]
        classes = self.classes(("classes",), document.get("classes", {}), "")
        tools = document.get("tools", {})
        if not isinstance(tools, dict):
            self.fail(("tools",), "'tools' is a table of tables, one for each tool")
        for tool, value in tools.items():
            here: Path = ("tools", tool)
            subject = f"{ItemKind.TOOLS.value}/{tool}"
            table = self.table(here, value, (*PERMISSION, "classes"))
            allow.append(self.permission(here, subject, table, (*PERMISSION, "classes")))
            classes += self.classes((*here, "classes"), table.get("classes", {}), subject)
        if len(accept) + len(allow) + len(classes) > MAX_ENTRIES:
            raise PolicyUnreadable(f"{self.name} has more than {MAX_ENTRIES} entries.")
        return Policy(
            origin=self.name,
            path=path,
            accept=tuple(accept),
            allow=tuple(one for one in allow if one.endpoints or one.programs or one.paths),
            classes=tuple(classes),
            settings=gate | launch,
        )

    # --- settings ---------------------------------------------------------------------------------

    def settings(self, name: str, value: Json, fields: tuple[str, ...]) -> dict[str, Json]:
        """Settings by their field names, each of them checked alone."""
        keys = {field.replace("_", "-"): field for field in fields}
        if not isinstance(value, dict):
            self.fail((name,), f"{name!r} is a table, not {_kind(value)}")
        for key in value:
            if key not in keys and key.replace("-", "_") in settings.Settings.model_fields:
                elsewhere = {*GATE, *LAUNCH} & {key.replace("-", "_")}
                self.fail(
                    (name, key),
                    f"{key!r} does not stand in [{name}] but in the other table of settings"
                    if elsewhere
                    else f"{key!r} is an option of the command, and not for the policy to say",
                )
            self.known((name, key), key, keys, "key")
        return {keys[key]: self.setting((name, key), keys[key], one) for key, one in value.items()}

    def setting(self, path: Path, field: str, value: Json) -> Json:
        if isinstance(value, bool) or not isinstance(value, str | int | float | list):
            self.fail(path, f"{path[-1]!r} cannot be {_kind(value)}")
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            self.fail(path, f"{path[-1]!r} is a list of texts in quotes")
        try:
            settings.load({"context": ".", field: value})
        except BadInput as error:
            said = error.what.removeprefix("--").replace(field.replace("_", "-"), "", 1).strip()
            self.fail(path, f"{path[-1]} {said}".rstrip("."))
        return value

    # --- acceptances ------------------------------------------------------------------------------

    def accepted(self, value: Json) -> list[Acceptance]:
        if not isinstance(value, list):
            self.fail(("accept",), "each acceptance stands below a line [[accept]] of its own")
        return [self.acceptance(("accept", number), one) for number, one in enumerate(value)]

    def acceptance(self, path: Path, value: Json) -> Acceptance:
        table = self.table(path, value, ACCEPT)
        for key in ("rule", "reason", "expires"):
            if key not in table:
                self.fail(path, f"an acceptance needs {key!r}")
        rule, tool = self.rule(path, table)
        subject = self.optional(path, table, "subject")
        if subject and not tool:
            self.subject((*path, "subject"), subject)
        about = self.optional(path, table, "about")
        fingerprint = self.optional(path, table, "fingerprint")
        if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
            self.fail((*path, "fingerprint"), "a fingerprint is 64 hexadecimal digits")
        named = tool or subject or about or fingerprint
        if not named and worst(self.rules[rule]) is RiskClass.CRITICAL:
            self.fail(
                path,
                f"{rule} can be critical: say with 'subject', 'about' or 'fingerprint' which "
                "finding is accepted",
            )
        return Acceptance(
            rule=rule,
            reason=self.text((*path, "reason"), table["reason"]),
            expires=self.expiry((*path, "expires"), table["expires"]),
            subject=subject,
            about=about,
            fingerprint=fingerprint,
            tool=tool,
            line=lines.line_of(self.places, path),
        )

    def rule(self, path: Path, table: dict[str, Json]) -> tuple[str, str]:
        """Rule and scanner of an entry; a scanner's own ids are not ours to know."""
        rule = self.text((*path, "rule"), table["rule"])
        if "tool" in table:
            return rule, self.scanner((*path, "tool"), table["tool"])
        return self.own_rule((*path, "rule"), rule), ""

    def own_rule(self, path: Path, rule: str) -> str:
        if rule not in self.rules:
            near = difflib.get_close_matches(rule[:100], self.rules, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "a scanner's rule needs its 'tool'"
            self.fail(path, f"there is no rule {rule[:100]!r}; {hint}")
        if rule in complaints.IDS:
            self.fail(path, f"{rule} is about this file, which cannot excuse itself")
        return rule

    def scanner(self, path: Path, value: Json) -> str:
        return self.known(path, self.text(path, value).casefold(), _SCANNERS, "scanner")

    def subject(self, path: Path, subject: str) -> None:
        kind, slash, _ = subject.partition("/")
        if slash and kind in set(ItemKind):
            return
        base = subject.partition("#")[0]
        if base not in _SUBJECTS or base.endswith("/NAME"):
            self.known(path, subject, _SUBJECTS, "subject")

    def expiry(self, path: Path, value: Json) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            self.fail(path, "'expires' is a day without quotes and time, such as 2027-01-31")
        if value > self.today + timedelta(days=MAX_DAYS):
            self.fail(path, f"{value} is more than a year ahead: an acceptance is looked at again")
        return value

    # --- permissions and classes ------------------------------------------------------------------

    def permission(
        self, path: Path, subject: str, value: Json, keys: Collection[str]
    ) -> Permission:
        table = self.table(path, value, keys)
        allowed = {
            key: self.objects((*path, key), key, table[key])
            for key in objects.PARSERS
            if key in table
        }
        if any(allowed.values()) and "reason" not in table:
            self.fail(path, "what is allowed needs a 'reason'")
        return Permission(
            subject=subject,
            reason=self.optional(path, table, "reason"),
            line=lines.line_of(self.places, path),
            **allowed,
        )

    def objects(self, path: Path, key: str, value: Json) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.fail(path, f"{key!r} is a list of texts in quotes")
        found = []
        for one in value:
            try:
                found.append(objects.PARSERS[key](one))
            except ValueError as error:
                self.fail(path, f"{one[:100]!r}: {str(error).rstrip('.')}")
        return tuple(dict.fromkeys(found))

    def classes(self, path: Path, value: Json, subject: str) -> list[ClassOverride]:
        if not isinstance(value, dict):
            self.fail(path, "'classes' is a table of rules")
        return [self.override((*path, rule), rule, one, subject) for rule, one in value.items()]

    def override(self, path: Path, rule: str, value: Json, subject: str) -> ClassOverride:
        table = {"class": value} if isinstance(value, str) else self.table(path, value, CLASS)
        if "class" not in table:
            self.fail(path, "a class is needed")
        tool = self.scanner((*path, "tool"), table["tool"]) if "tool" in table else ""
        if not tool:
            self.own_rule(path, rule)
        said = self.text((*path, "class"), table["class"])
        class_ = RiskClass(self.known((*path, "class"), said, list(RiskClass), "class"))
        reason = self.optional(path, table, "reason")
        milder = not tool and _index(class_) > _index(worst(self.rules[rule]))
        if milder and proved(self.rules[rule]):
            self.fail(
                path,
                f"{rule} is critical and proved by what happened: accept what is found one by one, "
                "with [[accept]]",
            )
        if (milder or tool) and not reason:
            self.fail(path, "a milder class, or a scanner's, needs a 'reason'")
        return ClassOverride(
            rule=rule,
            class_=class_,
            subject=subject,
            reason=reason,
            tool=tool,
            caps=milder,
            line=lines.line_of(self.places, path),
        )


def worst(info: RuleInfo) -> RiskClass:
    """The worst class that a rule gives under any profile."""
    classes = [info.class_] + ([info.seed_class] if info.seed_class else [])
    return min(classes, key=_index)


def proved(info: RuleInfo) -> bool:
    """Critical, and shown by a planted secret or a computed effect."""
    return info.class_ is RiskClass.CRITICAL and info.evidence in {Evidence.E1, Evidence.E2}


def _index(class_: RiskClass) -> int:
    return RISK_ORDER.index(class_)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or a time")
