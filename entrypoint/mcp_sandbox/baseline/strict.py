"""JSON that somebody may have damaged or made to harm: read whole, or refused in a sentence."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from mcp_sandbox.errors import BaselineUnreadable
from mcp_sandbox.nesting import deeper

MAX_BYTES = 32 * 2**20
"""The largest lock file that is read."""
MAX_DEPTH = 120
"""Levels of nesting."""


def parsed(data: bytes, name: str) -> dict[str, Any]:
    """The object in a lock file. Raises ``BaselineUnreadable``."""
    if len(data) > MAX_BYTES:
        raise BaselineUnreadable(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BaselineUnreadable(f"{name} is not UTF-8 (byte {error.start})") from error
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except _Twice as error:
        raise BaselineUnreadable(f"{name} has the key {error.key!r} twice in one object") from error
    except RecursionError as error:
        raise BaselineUnreadable(f"{name} is nested too deep") from error
    except json.JSONDecodeError as error:
        raise BaselineUnreadable(
            f"{name} is not whole JSON (line {error.lineno}): it may be truncated, or hold the "
            "marks of a merge"
        ) from error
    except ValueError as error:  # a number of thousands of digits, NaN
        raise BaselineUnreadable(f"{name} holds a number that is none") from error
    if not isinstance(document, dict):
        raise BaselineUnreadable(f"{name} is JSON, but no lock file: it is no object")
    if deeper(document, MAX_DEPTH):
        raise BaselineUnreadable(f"{name} is nested too deep")
    return document


class _Twice(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key[:200]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        raise _Twice(counted.most_common(1)[0][0])
    return found


def _no_number(text: str) -> Any:
    raise ValueError(text)
