"""How deep a JSON value is nested."""

from __future__ import annotations

from typing import Any


def deeper(value: Any, levels: int) -> bool:
    """Something in an object or array is nested deeper than so many levels.

    Found without recursion, so a peer's value may be nested as deep as it likes.
    """
    waiting: list[Any] = [value]
    for _ in range(levels):
        waiting = [
            inner
            for outer in waiting
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not waiting:
            return False
    return True
