"""What in a configuration is a secret that somebody left there; never its value."""

from __future__ import annotations

import re

from mcp_sandbox.launch.kinds import kind
from mcp_sandbox.model.launch import SettingKind
from mcp_sandbox.rules.secrets import entropy, secrets_in

MIN_LENGTH = 16
MIN_PASSWORD = 10
"""Characters of a password within an address."""
MIN_ENTROPY = 3.0
MAX_VALUE = 2_048

MASK = "…"
"""Stands for the value of what may be a secret."""

_REFERENCE = re.compile(r"\$\{?[\w:.-]{1,100}\}?|\$\{\{[^{}]*\}\}|%\w+%|\{\{[^{}]*\}\}|<[^<>]*>")
_PLACEHOLDER = re.compile(
    r"(?i)example|sample|placeholder|change[\W_]?(?:me|it|this)|replace|your|dummy|fake|redacted"
    r"|xxx|\.\.\.|\*\*\*|…|test|insert|here|todo|secret|password|passwd|token|api[\W_]?key"
    r"|123456|000000|abcdef|foobar|localhost"
)
_IN_URL = re.compile(r"://[^/\s:@]{1,100}:([^/\s@]{1,200})@")


def is_reference(value: str) -> bool:
    """Whether a value only says where the real one comes from: ``${API_KEY}``, ``<your key>``."""
    return bool(_REFERENCE.fullmatch(value[:MAX_VALUE].strip()))


def held(name: str, value: str) -> str:
    """What secret a setting holds, in words; empty when it holds none.

    A value counts by its form, or by its name and by looking random.
    """
    value = value[:MAX_VALUE].strip()
    for what, _ in secrets_in(value):
        return what
    if in_url := _IN_URL.search(value):
        password = in_url[1]
        if not _REFERENCE.search(password) and not _weak(password, MIN_PASSWORD):
            return "a password within an address"
    if kind(name) is not SettingKind.SECRET or _REFERENCE.search(value) or _weak(value):
        return ""
    return "something that is named like a secret and looks like one"


def _weak(value: str, least: int = MIN_LENGTH) -> bool:
    """Whether a value is a placeholder, or nothing that anybody would guard."""
    return (
        len(value) < least
        or _PLACEHOLDER.search(value) is not None
        or entropy(value) < MIN_ENTROPY
        or re.fullmatch(r"[a-z]+|[A-Z_]+|[/~.][\w./~-]*|https?://[^@]*", value) is not None
    )


def shown(name: str, value: str) -> str:
    """A value as a report may show it: nothing of what is a secret, or is named like one."""
    value = value[:MAX_VALUE]
    if is_reference(value) or not value:
        return value
    return MASK if kind(name) is SettingKind.SECRET or held(name, value) else value
