"""Divides a session's time among its targets, so that one slow tool leaves the others their turn.

A server that retries for seconds where no network answers would use up the whole session on its
first tools. Quick servers never meet a bound here, so two runs of one still make the same calls.
"""

from __future__ import annotations

from mcp_sandbox.probe.hostile import Input

VALID = "valid"
LEAST = 2.0
"""Seconds that every target gets for hostile input."""
ORDINARY = 4
"""Ordinary calls are made a second time only while a session is younger than this part of it."""
REPAIRED = 2
"""And what was refused is asked again while it is younger than this part."""

CLOSING = 10
"""This part of a session is kept for the listings after the calls."""


class Shares:
    """Says which calls are still within their share. Ask in the order in which calls are made."""

    def __init__(self, begin: float, end: float) -> None:
        self._end = end - (end - begin) / CLOSING
        self._young = begin + (end - begin) / ORDINARY
        self._middle = begin + (end - begin) / REPAIRED
        self._seen: set[int] = set()
        self._target = ("", "")
        self._until = 0.0
        self._begun = 0

    def why_not(self, item: Input, targets: int, now: float) -> str:
        """Why ``item`` is left out at the moment ``now``; empty when it is not.

        ``targets``: how many items have calls in all. The item must live as long as the session.
        """
        if item.family == VALID:
            again = id(item) in self._seen
            self._seen.add(id(item))
            if item.payload and now > self._middle:
                return f"{item.target}: a repair of its ordinary call, for want of time"
            if again and now > self._young:
                return f"{item.target}: its second ordinary call, for want of time"
            return ""
        if (item.kind, item.target) != self._target:
            self._target = (item.kind, item.target)
            share = (self._end - now) / max(1, targets - self._begun)
            self._until = now + max(LEAST, share)
            self._begun += 1
        if now > self._until:
            return f"{item.target}: hostile inputs after its share of the session's time"
        return ""
