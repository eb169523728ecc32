"""Inline pragmas of the checkout, and copies of the files without them.

For tools that have no switch against their own. Bounded; links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.scanners import run as tools

MAX_FILE = 8 * 2**20
MAX_FILES = 100_000
MAX_PLACES = 200


@dataclass(frozen=True)
class Found:
    """Where a pragma stands."""

    files: tuple[str, ...] = ()
    """Relative paths, as the file system has them."""
    places: tuple[str, ...] = ()
    """``PATH:LINE: what``."""
    left_out: tuple[str, ...] = ()


def find(root: Path, pragma: bytes) -> Found:
    """Every file below ``root`` that holds ``pragma``, ``.git`` left out."""
    files: list[str] = []
    places: list[str] = []
    large = 0
    left_out: list[str] = []
    for count, path in enumerate(_files(root)):
        if count >= MAX_FILES:
            left_out.append(f"pragmas in files after the first {MAX_FILES}")
            break
        data = tools.read(root, path, MAX_FILE)
        if data is None:
            large += 1
        elif pragma in data:
            files.append(path)
            places += _lines(path, data, pragma)
    if large:
        left_out.append(f"pragmas in {large} files that cannot be read or are too large")
    return Found(tuple(files), tuple(places[:MAX_PLACES]), tuple(left_out))


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file():
                yield path.relative_to(root).as_posix()


def _lines(path: str, data: bytes, pragma: bytes) -> list[str]:
    shown = tools.one_line(os.fsencode(path).decode("utf-8", "replace"))
    found: list[str] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if pragma in line:
            found.append(f"{shown}:{number}: {pragma.decode()}")
            if len(found) == MAX_PLACES:
                break
    return found


def write_copies(
    root: Path, files: Sequence[str], pragma: bytes, instead: bytes, target: Path
) -> None:
    """Copies below ``target`` with ``instead``, which is as long: lines and columns stay."""
    for path in files:
        data = tools.read(root, path, MAX_FILE)
        if data is not None:
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data.replace(pragma, instead))
