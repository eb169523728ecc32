"""The entries of a policy: what is accepted, what is allowed, and other classes."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta

from mcp_sandbox.model import RISK_ORDER, Json, RiskClass
from mcp_sandbox.model.locked import Acceptance, ClassOverride, Permission
from mcp_sandbox.policy.lines import Path
from mcp_sandbox.policy.objects import PARSERS
from mcp_sandbox.policy.reading import Reader, is_proof, worst

MAX_DAYS = 366
"""Days that an acceptance may last from the day it is read: a year, leap years too."""

ACCEPT = ("rule", "tool", "subject", "about", "fingerprint", "reason", "expires")
NEEDED = ("rule", "reason", "expires")
PERMISSION = (*PARSERS, "reason")
CLASS = ("class", "reason", "tool")

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def accepted(reader: Reader, value: Json) -> list[Acceptance]:
    """All ``[[accept]]``, in order."""
    if not isinstance(value, list):
        reader.fail(("accept",), "each acceptance stands below a line [[accept]] of its own")
    found: dict[tuple[str, ...], Acceptance] = {}
    for number, table in enumerate(value):
        one = _acceptance(reader, ("accept", number), table)
        key = (one.rule, one.tool, one.subject, one.about, one.fingerprint)
        if key in found:
            reader.fail(("accept", number), f"line {found[key].line} accepts the same")
        found[key] = one
    return list(found.values())


def _acceptance(reader: Reader, path: Path, value: Json) -> Acceptance:
    table = reader.table(path, value, ACCEPT)
    for key in NEEDED:
        if key not in table:
            reader.fail(path, f"an acceptance needs {key!r}")
    tool = reader.scanner((*path, "tool"), table["tool"]) if "tool" in table else ""
    rule = reader.text((*path, "rule"), table["rule"])
    subject = reader.optional(path, table, "subject")
    if not tool:
        reader.rule((*path, "rule"), rule)
        if subject:
            reader.subject((*path, "subject"), subject)
    about = reader.optional(path, table, "about")
    fingerprint = reader.optional(path, table, "fingerprint")
    if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
        reader.fail((*path, "fingerprint"), "a fingerprint is 64 hexadecimal digits")
    narrow = tool or subject or about or fingerprint
    if not narrow and worst(reader.rules[rule]) is RiskClass.CRITICAL:
        reader.fail(
            path,
            f"{rule} can be critical: say with 'subject', 'about' or 'fingerprint' which finding "
            "is accepted",
        )
    return Acceptance(
        rule=rule,
        reason=reader.text((*path, "reason"), table["reason"]),
        expires=_expiry(reader, (*path, "expires"), table["expires"]),
        subject=subject,
        about=about,
        fingerprint=fingerprint,
        tool=tool,
        line=reader.line(path),
    )


def _expiry(reader: Reader, path: Path, value: Json) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        reader.fail(path, "'expires' is a day without quotes and time, such as 2027-01-31")
    if (value - reader.today) > timedelta(days=MAX_DAYS):
        reader.fail(path, f"{value} is more than a year ahead; a decision is looked at again")
    return value


def permission(
    reader: Reader, path: Path, subject: str, value: Json, keys: Collection[str] = PERMISSION
) -> Permission:
    """What one place may do; one that allows nothing is no mistake."""
    table = reader.table(path, value, keys)
    allowed = {
        key: _objects(reader, (*path, key), key, table[key]) for key in PARSERS if key in table
    }
    if any(allowed.values()) and "reason" not in table:
        reader.fail(path, "what is allowed needs a 'reason'")
    return Permission(
        subject=subject,
        reason=reader.optional(path, table, "reason"),
        line=reader.line(path),
        **allowed,
    )


def _objects(reader: Reader, path: Path, key: str, value: Json) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for one in reader.texts(path, value):
        try:
            found[PARSERS[key](one)] = None
        except ValueError as error:
            reader.fail(path, f"{one[:100]!r}: {str(error)[:300]}")
    return tuple(found)


def classes(reader: Reader, path: Path, value: Json, subject: str) -> list[ClassOverride]:
    """The classes of rules, everywhere (empty ``subject``) or for one tool."""
    if not isinstance(value, dict):
        reader.fail(path, "'classes' is a table, with a rule before each class")
    return [_override(reader, (*path, rule), rule, one, subject) for rule, one in value.items()]


def _override(reader: Reader, path: Path, rule: str, value: Json, subject: str) -> ClassOverride:
    table = {"class": value} if isinstance(value, str) else reader.table(path, value, CLASS)
    if "class" not in table:
        reader.fail(path, f"{rule[:100]!r} needs a 'class'")
    tool = reader.scanner((*path, "tool"), table["tool"]) if "tool" in table else ""
    said = reader.text((*path, "class"), table["class"])
    class_ = RiskClass(reader.known((*path, "class"), said, list(RiskClass), "class"))
    reason = reader.optional(path, table, "reason")
    milder = False
    if not tool:
        info = reader.rules[reader.rule(path, rule)]
        milder = RISK_ORDER.index(class_) > RISK_ORDER.index(worst(info))
        if milder and is_proof(info):
            reader.fail(
                path,
                f"{rule} is critical and proved by what happened: accept what was found with "
                "[[accept]], until a date",
            )
    if (milder or tool) and not reason:
        what = "a scanner's" if tool else "a milder"
        reader.fail(path, f"{what} class needs a reason: {{ class = {said!r}, reason = '…' }}")
    return ClassOverride(
        rule=rule,
        class_=class_,
        subject=subject,
        reason=reason,
        tool=tool,
        caps=milder,
        line=reader.line(path),
    )
