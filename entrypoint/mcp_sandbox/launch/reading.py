"""One configuration file while it is read: where it stands, and what in it is not as it should be.

A wrong type is no reason to give a whole file up: what is left of it may still say what the server
needs. What was passed over is told, once for each kind of mistake and not more than a few times.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_sandbox.launch.tree import Node

MAX_NOTES = 4
"""Of one file; how many more there are is told."""
MAX_TEXT = 4_096
"""Characters of one name, value or argument."""
MAX_ITEMS = 200
"""Arguments, settings or servers of one list."""


@dataclass
class File:
    """A file by its path from the repository's root, and what was wrong in it."""

    path: str
    problems: list[str] = field(default_factory=list)
    _more: int = 0

    def at(self, line: int) -> str:
        """``PATH:LINE``; the path alone for what has no lines."""
        return f"{self.path}:{line}" if line else self.path

    def problem(self, line: int, what: str) -> None:
        """Keep one; ``what`` ends the sentence that the place begins."""
        told = f"{self.at(line)} {what}"
        if told in self.problems:
            return
        if len(self.problems) < MAX_NOTES:
            self.problems.append(told)
        else:
            self._more += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What was wrong, one sentence each."""
        more = (f"{self.path}: {self._more} more like that",) if self._more else ()
        return (*(f"{one}." for one in self.problems), *more)

    def fields(self, node: Node | None, what: str) -> dict[str, Node]:
        """The members of an object; none of what is not there or is something else."""
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.problem(node.line, f"has {what} that is {node.kind}, not an object")
            return {}
        return self._bounded_fields(node.value, node.line, what)

    def _bounded_fields(self, value: dict[str, Node], line: int, what: str) -> dict[str, Node]:
        if len(value) > MAX_ITEMS:
            self.problem(line, f"has {what} of {len(value):,} members; {MAX_ITEMS} were read")
            return dict(list(value.items())[:MAX_ITEMS])
        return value

    def items(self, node: Node | None, what: str) -> list[Node]:
        """The items of a list; none of what is not there or is something else."""
        if node is None or node.value is None:
            return []
        if not isinstance(node.value, list):
            self.problem(node.line, f"has {what} that is {node.kind}, not a list")
            return []
        if len(node.value) > MAX_ITEMS:
            self.problem(
                node.line, f"has {what} of {len(node.value):,} items; {MAX_ITEMS} were read"
            )
        return node.value[:MAX_ITEMS]

    def text(self, node: Node | None, what: str) -> str:
        """A text, a number or a truth value as text; empty for what is none or cannot be used."""
        if node is None or node.value is None:
            return ""
        if isinstance(node.value, bool):
            return str(node.value).lower()
        if not isinstance(node.value, str):
            self.problem(node.line, f"has {what} that is {node.kind}, not a text")
            return ""
        if why := unusable(node.value):
            self.problem(node.line, f"has {what} that {why}")
            return ""
        return node.value

    def flag(self, node: Node | None, what: str) -> bool:
        """A truth value; not there is false."""
        if node is None or node.value is None:
            return False
        if not isinstance(node.value, bool):
            self.problem(node.line, f"has {what} that is {node.kind}, not true or false")
            return False
        return node.value


def unusable(text: str) -> str:
    """Why a text cannot be an argument or a variable; empty when it can."""
    if len(text) > MAX_TEXT:
        return f"is longer than {MAX_TEXT:,} characters"
    if "\0" in text:
        return "holds a NUL character"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "holds half a character"
    return ""
