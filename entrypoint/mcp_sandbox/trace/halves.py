"""Calls that have begun and not come back, and what had to be given up: both with bounds."""

from __future__ import annotations

from typing import NamedTuple

MOST_BYTES = 16 * 2**20
MOST_SAMPLES = 8


class Half(NamedTuple):
    """The first half of a call."""

    line: int
    at: float
    text: bytes


class Halves:
    """The first halves, by task: a task is in one call at a time."""

    def __init__(self) -> None:
        self._halves: dict[int, Half] = {}
        self._bytes = 0

    def keep(self, task: int, half: Half) -> bool:
        """Whether there was room for it."""
        self.take(task)
        if self._bytes + len(half.text) > MOST_BYTES:
            return False
        self._halves[task] = half
        self._bytes += len(half.text)
        return True

    def take(self, task: int) -> Half | None:
        """The half of a task, which is forgotten."""
        half = self._halves.pop(task, None)
        if half is not None:
            self._bytes -= len(half.text)
        return half


class Losses:
    """What could not be read: how much, and the first of it."""

    def __init__(self) -> None:
        self._samples: list[str] = []
        self._count = 0

    def add(self, line: int, what: str) -> None:
        """One more, at most 200 characters of it."""
        self._count += 1
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append(f"line {line}: {what}"[:200])

    def told(self) -> tuple[str, ...]:
        """The samples, then how many more."""
        more = self._count - len(self._samples)
        return (*self._samples, f"and {more} more") if more else tuple(self._samples)
