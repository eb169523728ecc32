"""The family of versions under ``tests/servers/drift``, and what a comparison says of them."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest

from support.corpus import SERVERS, python

FAMILY = "drift"
BASE = "base"
"""The version that the baseline is taken of."""
CONDITION = "no drift"
"""The gate's condition."""

_FOLDER = SERVERS / FAMILY
SCRIPT = _FOLDER / "server.py"


def versions() -> list[str]:
    """Names of all versions, the first one included."""
    argv = python(SCRIPT, "--list")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def expectations() -> dict[str, dict[str, Any]]:
    """``expect.toml``: version -> what a reviewer would say of it."""
    return tomllib.loads((_FOLDER / "expect.toml").read_text(encoding="utf-8"))


Key = tuple[str, str, str]
"""Rule, subject without its pointer, class."""


def keys(findings: Iterable[dict[str, Any]]) -> list[Key]:
    """What tells findings apart, sorted; those that are suppressed left out."""
    return sorted(
        (one["rule"], one["subject"].partition("#")[0], one["class"])
        for one in findings
        if not one.get("suppressed")
    )


def regressions(findings: Iterable[dict[str, Any]]) -> list[Key]:
    """Those above a note."""
    return [one for one in keys(findings) if one[2] != "note"]


def unsaid(report: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Words that an expected finding must hold and does not."""
    (key,) = keys([expected])
    found = [one["message"] for one in report["drift"] if keys([one]) == [key]]
    return [word for word in expected["says"] if not any(word in message for message in found)]


def gate(report: dict[str, Any]) -> str:
    """``holds`` or ``fails``: the gate's condition on drift. Raises ``ValueError`` without one."""
    (held,) = [one["held"] for one in report["gate"] if one["name"] == CONDITION]
    return "holds" if held else "fails"


def shown(report: dict[str, Any]) -> str:
    """What was compared, in short, for the message of a failed test."""
    lines = [f"{report['verdict']}: {report['error']} {report['coverage']['missing']}"]
    lines += [f"{one['name']}: {one['value']}, {one['held']}" for one in report["gate"]]
    lines += [
        f"{one['class']} {one['rule']} {one['subject']}: {one['message']}"
        for one in report["drift"] or ()
    ]
    lines += [
        f"{one['direction']} {one['part']} {one['subject']}{one['pointer']}: "
        f"{one['before']} -> {one['after']}"
        for one in report["changes"]
    ]
    return "\n".join(line[:400] for line in lines)


def selected(request: pytest.FixtureRequest) -> list[str]:
    """Versions that the selected tests of a file ask for."""
    items = [item for item in request.session.items if item.path == request.path]
    calls = [getattr(item, "callspec", None) for item in items]
    asked = {call.params["version"] for call in calls if call and "version" in call.params}
    return sorted(asked)
