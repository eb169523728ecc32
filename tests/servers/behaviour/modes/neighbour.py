"""Takes the folder next door for its own, which it is given on the command line."""

from __future__ import annotations

from pathlib import Path

from acting import Mode, quietly

MODE = Mode("Its folder is /srv/store.")
FOLDER = "/srv/store"


@MODE.tool("Counts how often a file was asked for.", path="Path of the file.")
def ask_for(path: str) -> str:
    """A check for the beginning of the path, without its separator; nothing is returned."""
    target = Path(FOLDER, path).resolve()
    if not str(target).startswith(FOLDER):
        return "That is not in the folder."
    quietly(lambda: target.open("rb").close())
    return "Counted."
