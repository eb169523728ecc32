"""An honest server whose schemas say less than it asks for: it refuses, and says in words why.

``--random`` gives every run other ids. ``--dies-on-repair`` ends when a flag is first raised, as a
call that asks again does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from honest import INVALID_PARAMS, Message, RpcError, Server, text

STRING: Message = {"type": "string"}
FLAG: Message = {"type": "boolean"}


def loose(name: str, required: tuple[str, ...] = (), **properties: Message) -> Message:
    """A tool with optional parameters."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": "", "inputSchema": schema}


TOOLS = [
    loose("add_paths", paths={"type": "array", "items": STRING}, all=FLAG, update=FLAG),
    loose("clean", force=FLAG, dryRun=FLAG, label=STRING),
    loose("scrape", url=STRING, alexandria={"type": "object", "properties": {"provider": STRING}}),
    loose("get_note", ("noteId",), noteId=STRING),
    loose("list_logs", level=STRING),
    loose("paint", ("color",), color={"type": "string", "minLength": 1}),
    loose("remove_note", ("noteId",), noteId=STRING),
    loose("create_note", ("content",), content=STRING),
    loose("unlock", ("secret",), secret=STRING, hint=STRING, note=STRING),
]


class Strict(Server):
    """Refuses what its schemas admit."""

    def __init__(self, *, random: bool, dies: bool) -> None:
        super().__init__("strict")
        self.tools = TOOLS
        self._random = random
        self._dies = dies
        self._notes: set[str] = set()

    def call_tool(self, params: Message) -> Message:
        """Each tool has its own way to refuse."""
        given: dict[str, Any] = params.get("arguments") or {}
        return getattr(self, f"_{params['name']}")(given)

    def _add_paths(self, given: dict[str, Any]) -> Message:
        if not given.get("paths") and not (given.get("all") or given.get("update")):
            wanted = "Either paths must be provided, or all/update must be true. at paths"
            return text(f"Invalid arguments for tool add_paths: {wanted}", error=True)
        return text("added")

    def _clean(self, given: dict[str, Any]) -> Message:
        if given.get("force") is not True:
            return text("force flag must be set to true (or use dryRun to preview)", error=True)
        if self._dies:
            sys.exit(3)
        return text("cleaned")

    def _scrape(self, given: dict[str, Any]) -> Message:
        if ("url" in given) == ("alexandria" in given):
            raise RpcError(INVALID_PARAMS, "root: Provide exactly one of url or alexandria.")
        return text("scraped")

    def _create_note(self, given: dict[str, Any]) -> Message:
        new = os.urandom(8).hex() if self._random else f"n-{len(self._notes) + 1}-7f3a"
        self._notes.add(new)
        return text(f"Created note\nNote ID: {new}")

    def _get_note(self, given: dict[str, Any]) -> Message:
        if given.get("noteId") not in self._notes:
            return text(f'Note "{given.get("noteId")}" does not exist.', error=True)
        return text(f"Note {given['noteId']}: Sample text.")

    def _remove_note(self, given: dict[str, Any]) -> Message:
        if given.get("noteId") not in self._notes:
            return text(f'Note "{given.get("noteId")}" does not exist.', error=True)
        self._notes.remove(given["noteId"])
        return text("removed")

    def _list_logs(self, given: dict[str, Any]) -> Message:
        if given.get("level") not in ("quiet", "loud"):
            said = "level: Invalid enum value. Expected 'quiet' | 'loud', received undefined"
            raise RpcError(INVALID_PARAMS, said)
        return text("nothing was logged")

    def _paint(self, given: dict[str, Any]) -> Message:
        if len(str(given.get("color", ""))) < 10:
            raise RpcError(
                INVALID_PARAMS,
                '[{"code": "too_small", "path": ["color"],'
                ' "message": "String must contain at least 10 character(s)"}]',
            )
        return text("painted")

    def _unlock(self, given: dict[str, Any]) -> Message:
        return text("A valid API key is required: secret was rejected", error=True)


if __name__ == "__main__":
    Strict(random="--random" in sys.argv, dies="--dies-on-repair" in sys.argv).serve()
