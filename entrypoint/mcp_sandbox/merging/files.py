"""SARIF files within GitHub's limits, and a folder whose files are whole or not there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mcp_sandbox.errors import BadInput, OutputFailed
from mcp_sandbox.merging.alerts import MAX_RUNS, Run
from mcp_sandbox.merging.spool import Stored, store

MAX_PACKED = 9_000_000
"""Bytes of a file when it is compressed; GitHub takes 10 MB. The runs are packed one by one, which
takes more than packing the file."""

JSON, MARKDOWN, PAGE = "merged.json", "merged.md", "merged.html"
_OURS = re.compile(r"merged(?:\.sarif|-[0-9]+\.sarif|\.json|\.md|\.html)(?:\.partial)?")
_HEAD = b'{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[\n'


class Folder:
    """Where the merged files go."""

    def __init__(self, path: Path) -> None:
        """Make it, and remove what an earlier merge left.

        Raises ``BadInput`` when it cannot be used.
        """
        self.path = path
        self._owner: tuple[int, int] | None = None
        if path.is_symlink():
            raise BadInput(
                f"--out {path} is a link.",
                next_step="Name the folder itself that the results go to.",
            )
        try:
            above = next(one for one in (path, *path.absolute().parents) if one.exists())
            if os.geteuid() == 0:
                facts = above.stat()
                self._owner = (facts.st_uid, facts.st_gid)
            missing = [one for one in (path, *path.absolute().parents) if not one.exists()]
            path.mkdir(parents=True, exist_ok=True)
            for one in missing if self._owner else ():
                os.chown(one, *self._owner, follow_symlinks=False)  # type: ignore[misc]
            for old in path.iterdir():
                if _OURS.fullmatch(old.name):
                    old.unlink()
        except OSError as error:
            raise BadInput(
                f"--out {path} cannot be used: {error.strerror}.",
                next_step="Choose another folder with --out.",
            ) from error

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        """Write a file beside its place and move it there. Raises ``OutputFailed``."""
        final = self.path / name
        partial = self.path / f"{name}.partial"
        try:
            with suppress(FileNotFoundError):
                partial.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(partial, flags, 0o644), "wb") as file:
                if self._owner is not None:
                    os.fchown(file.fileno(), *self._owner)
                yield file
            partial.replace(final)
        except OSError as error:
            raise OutputFailed(f"{final} could not be written: {error.strerror}.") from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name. Raises ``OutputFailed``."""
        try:
            (self.path / old).rename(self.path / new)
        except OSError as error:
            raise OutputFailed(f"{self.path / new} could not be written: {error.strerror}.") from (
                error
            )


def within(run: Run) -> tuple[Stored, int]:
    """The run packed into a size that a file takes, and how many of its results had to go."""
    kept = run
    packed = store(kept)
    while len(packed.packed) > MAX_PACKED and kept.results:
        kept = kept.cut(kept.results // 2)
        packed = store(kept)
    return packed, run.results - kept.results


def write_sarif(folder: Folder, runs: Iterable[Stored]) -> tuple[str, ...]:
    """All runs in as many files as GitHub's limits ask for; the names of the files, in order.

    ``merged.sarif``, or ``merged-1.sarif`` and so on. Without any run there is no file: an upload
    of it would be refused. Raises ``OutputFailed``.
    """
    names: list[str] = []
    rest = iter(runs)
    run = next(rest, None)
    while run is not None:
        names.append(f"merged-{len(names) + 1}.sarif")
        size = count = 0
        with folder.new(names[-1]) as file:
            file.write(_HEAD)
            while run is not None and count < MAX_RUNS:
                size += len(run.packed)
                if count and size > MAX_PACKED:
                    break
                file.write(b",\n" if count else b"")
                file.write(run.data)
                count += 1
                run = next(rest, None)
            file.write(b"\n]}\n")
    if len(names) == 1:
        folder.rename(names[0], "merged.sarif")
        names = ["merged.sarif"]
    return tuple(names)
