"""The checkout as text: which files there are, and what stands in them.

The tree is the author's and may be built to hurt: links are never followed, special files never
opened, and the number and size of what is read is bounded. Nothing is executed.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from mcp_sandbox.model.locked import LOCK_FILE, POLICY_FILE

MAX_FILE_BYTES = 2**20
MAX_TOTAL_BYTES = 16 * 2**20
MAX_FILES = 5_000
MAX_ENTRIES = 50_000

_SKIPPED_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", ".venv", "venv", "site-packages", "__pycache__"),
        *("vendor", "third_party", "mcp-sandbox-report"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".next", ".turbo"),
    }
)
_CODE = frozenset(
    {
        *(".py", ".pyi", ".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx", ".go"),
        *(".rs", ".java", ".kt", ".kts", ".scala", ".cs", ".fs", ".rb", ".php", ".swift", ".c"),
        *(".h", ".cc", ".cpp", ".hpp", ".ex", ".exs", ".erl", ".clj", ".lua", ".pl", ".dart"),
        *(".zig", ".sh", ".jl", ".hs", ".nim"),
    }
)
_DATA = frozenset({".json", ".yaml", ".yml", ".toml", ".j2", ".tmpl", ".graphql", ".proto", ".sql"})
_NEVER = frozenset(
    {
        *("package-lock.json", "pnpm-lock.yaml", "npm-shrinkwrap.json", "composer.lock"),
        *(LOCK_FILE, POLICY_FILE),  # they say of the server what is written elsewhere
    }
)
_TEST_WORDS = frozenset(
    {"test", "tests", "spec", "specs", "mock", "mocks", "fixture", "fixtures", "examples"}
)
_SEPARATORS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Source:
    """One file that may define a tool. Lines end at LF, CR or CRLF, as GitHub counts them."""

    path: str
    """Relative to the searched folder, ``/``-separated."""
    text: str
    """Decoded with replacement; every line ending is one ``\\n``."""
    rank: tuple[int, int]
    """Lower is likelier: code before data, the program before its tests."""

    @cached_property
    def _line_ends(self) -> list[int]:
        return [at for at, character in enumerate(self.text) if character == "\n"]

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return self.text.split("\n")

    def line_at(self, offset: int) -> int:
        """The number of the line in which the character at ``offset`` stands, from 1."""
        return bisect_right(self._line_ends, offset - 1) + 1


FETCHED = "mcp-sandbox-source-"
"""How a folder in the machine's temporary one begins that holds what was fetched or unpacked."""


def root(context: Path) -> Path:
    """The repository that holds ``context``: the nearest folder upwards with a ``.git``.

    ``context`` itself when there is none. Paths of locations are relative to it.
    """
    resolved = context.resolve()
    temporary = Path(tempfile.gettempdir()).resolve()
    for folder in (resolved, *resolved.parents):
        # Whatever the temporary folder itself lies in, or holds, has nothing to do with it.
        fetched = folder.parent.parent == temporary and folder.parent.name.startswith(FETCHED)
        if fetched or (folder / ".git").exists():
            return folder
    return resolved


def read(root: Path, path: str) -> bytes | None:
    """The content of a regular file below ``root``.

    ``None`` when there is none, when it is larger than ``MAX_FILE_BYTES``, or when a link stands in
    its path.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        return None
    full = root.resolve().joinpath(*parts)
    try:
        if full.resolve() != full:
            return None
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(MAX_FILE_BYTES + 1)
    return data if len(data) <= MAX_FILE_BYTES else None


def sources(folder: Path, files: Sequence[str] | None) -> tuple[list[Source], bool]:
    """What can be searched, likeliest first, and whether it is all there is.

    ``files`` names what to read (relative to ``folder``); ``None`` walks the folder.
    """
    walk = _Walk(folder)
    names = sorted(walk.files() if files is None else files)
    wanted = sorted((rank, name) for name in names if (rank := _rank(name)) is not None)
    found: list[Source] = []
    left = MAX_TOTAL_BYTES
    for rank, name in wanted[:MAX_FILES]:
        data = read(folder, name)
        if data is None or b"\0" in data:
            continue
        left -= len(data)
        if left < 0:
            return found, False
        found.append(Source(name, text(data), rank))
    return found, walk.whole and len(wanted) <= MAX_FILES


def text(data: bytes) -> str:
    """Decoded with replacement; every line ending is one LF."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _rank(name: str) -> tuple[int, int] | None:
    path = PurePosixPath(name)
    if path.name in _NEVER:
        return None
    suffix = path.suffix.lower()
    kind = 0 if suffix in _CODE else 1 if suffix in _DATA else None
    if kind is None:
        return None
    words = _SEPARATORS.split(name.lower())
    return kind, int(not _TEST_WORDS.isdisjoint(words))


class _Walk:
    """One bounded walk that follows no link."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.whole = True
        """Whether nothing was too much or unreadable."""

    def files(self) -> Iterator[str]:
        entries = 0
        for at, folders, names in os.walk(self._folder, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
            relative = Path(at).relative_to(self._folder)
            entries += 1 + len(names)
            if entries > MAX_ENTRIES:
                self.whole = False
                return
            yield from ((relative / name).as_posix() for name in names)

    def _unreadable(self, _error: OSError) -> None:
        self.whole = False
