"""Which folders of a checkout belong to nothing that is built: other servers, other tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MAX_FOLDERS = 1_000
"""On one level. What is found in the others is left out afterwards; it only takes its time."""


def beside(root: Path, context: Path, dockerfile: str) -> Iterator[Path]:
    """Real folders of ``root`` on the way neither to the context nor to its Dockerfile.

    There are none when the context is the checkout itself, or is not inside it, and none in a
    folder that cannot be read.
    """
    if not context.is_relative_to(root) or ".." in context.parts:
        return
    ends = {context, (root / dockerfile).parent}
    ways = {folder for end in ends for folder in (end, *end.parents)}
    for folder in (context, *context.parents):
        if folder != context:
            yield from islice((one for one in _folders(folder) if one not in ways), MAX_FOLDERS)
        if folder == root:
            return


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return []
