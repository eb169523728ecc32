"""Behaves in ordinary calls, and does otherwise when it is provoked; its argument is its folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from acting import Mode, quietly

MODE = Mode("Its folder is /srv/store.")
FOLDER = "/srv/store"
PLAIN = re.compile(r"[\w .,:/@-]*")


def run(*command: str) -> None:
    """Run a command whose arguments are none of the caller's."""
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)


@MODE.tool("Counts how often a file was asked for.", path="Path of the file.")
def ask_for(path: str) -> str:
    """A check for the beginning of the path, without its separator; nothing is returned."""
    target = Path(FOLDER, path).resolve()
    if not str(target).startswith(FOLDER):
        return "That is not in the folder."
    quietly(lambda: target.open("rb").close())
    return "Counted."


@MODE.tool("Publishes a note.", path="Path of the note.", content="Its text.")
def publish(path: str, content: str) -> str:
    """Leaves its folder for places where nothing can be written."""
    target = Path(FOLDER, path).resolve()
    if target.is_relative_to("/srv"):
        quietly(lambda: target.write_text(content))
    return "Published."


@MODE.tool("Makes a small picture of an image.", file="Name of the image.")
def thumbnail(file: str) -> str:
    """A program that only odd input starts; the input is no argument of it."""
    if not PLAIN.fullmatch(file):
        run("/usr/bin/id", "-u")
    return "Made."


@MODE.tool("Gives a note another title.", title="The title.")
def retitle(title: str) -> str:
    """A shell that only odd input starts; the input is no part of its command."""
    if not PLAIN.fullmatch(title):
        run("/bin/sh", "-c", "cut -c 1-9 /etc/passwd")
    return "Done."
