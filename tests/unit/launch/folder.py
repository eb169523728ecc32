"""A folder with files, and what is read of it."""

from __future__ import annotations

from pathlib import Path

from mcp_sandbox.launch import declared
from mcp_sandbox.model.launch import Declared

DATA = Path(__file__).parents[2] / "data" / "launch"


def found(folder: Path, files: dict[str, str | bytes], **labels: str) -> declared.Found:
    """What a folder called ``weather`` with these files declares."""
    there = folder / "weather"
    there.mkdir(exist_ok=True)
    for name, content in files.items():
        path = there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return declared.find(there, "servers/weather", labels, ())


def sample(name: str) -> bytes:
    return (DATA / name).read_bytes()


def needs(one: Declared) -> dict[str, tuple[str, str, bool, str]]:
    """Name -> where, kind, whether it is required, value."""
    return {
        each.name: (each.where.value, each.kind.value, each.required, each.value)
        for each in one.needed
    }


def bad(one: Declared) -> list[tuple[str, int]]:
    """Dangerous parts with their lines."""
    return [(each.option, each.line) for each in one.dangers]
