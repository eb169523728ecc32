"""The output folder: every file written whole or not at all, owned by the folder's owner."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mcp_sandbox.errors import BadInput, OutputFailed
from mcp_sandbox.model import EVIDENCE
from mcp_sandbox.model.locked import LOCK_FILE
from mcp_sandbox.planted import Matcher
from mcp_sandbox.probe.conversation import Record

REPORT = "report.json"
SARIF = "results.sarif"
COMPLETE_SARIF = "results-full.sarif"
"""With what was accepted; never for an upload."""
SUMMARY = "summary.md"

PACKED = "build.tar"
"""What an image of ours was built from, among the evidence."""

MAX_LINE = 64 * 2**10
"""Bytes kept of one line in a transcript file."""
MAX_TRANSCRIPT = 64 * 2**20
"""Bytes of one file of evidence."""


class Results:
    """The files of one run below ``folder``.

    When we run as root in somebody's folder (in a container, usually), what we write is given to
    the owner of that folder: root-owned results break the next checkout of a self-hosted runner.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, and remove the results of an earlier run from it.

        Raises ``BadInput`` when it cannot be used.
        """
        self._folder = folder
        self._owner: tuple[int, int] | None = None
        try:
            for place in (folder, folder / EVIDENCE):
                # The folder often lies in the checkout that is scanned, and its author may have
                # put links there that lead to other files of this machine.
                if place.is_symlink():
                    raise BadInput(
                        f"--out {place} is a link.",
                        next_step="Name the folder itself that the results go to.",
                    )
            existing = next(p for p in folder.absolute().parents if p.exists())
            place = folder if folder.exists() else existing
            owner = place.stat()
            if os.geteuid() == 0:
                self._owner = (owner.st_uid, owner.st_gid)
            evidence = folder.absolute() / EVIDENCE
            missing = [p for p in (evidence, *evidence.parents) if not p.exists()]
            evidence.mkdir(parents=True, exist_ok=True)
            for path in missing:
                self._give(path)
            for old in (REPORT, SARIF, COMPLETE_SARIF, SUMMARY, LOCK_FILE):
                # A result of an earlier run must not pass for one of this run.
                (folder / old).unlink(missing_ok=True)
            for kind in ("*.jsonl", "*.trace", PACKED):
                for old_evidence in evidence.glob(kind):
                    old_evidence.unlink()
        except OSError as error:
            raise BadInput(
                f"--out {folder} cannot be used: {error.strerror}.",
                next_step="Choose another folder with --out.",
            ) from error

    def path(self, name: str) -> Path:
        """Where a result stands."""
        return self._folder / name

    def write(self, name: str, data: bytes) -> None:
        """Write one file beside its place and move it there.

        Raises ``OutputFailed``; nothing half-written stays.
        """
        final = self._folder / name
        partial = final.with_name(final.name + ".partial")
        try:
            with self._new(partial, "wb") as file:
                file.write(data)
            partial.replace(final)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OutputFailed(f"{final} could not be written: {error.strerror}.") from error

    def remove(self, name: str) -> None:
        """Remove a result that does not hold any more. Raises ``OutputFailed``."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputFailed(
                f"{self._folder / name} could not be removed: {error.strerror}."
            ) from error

    @contextmanager
    def transcript(self, name: str, matcher: Matcher) -> Iterator[Record]:
        """Open ``evidence/NAME.jsonl``: one object a line, ``{"t", "dir", "line", "bytes"?}``.

        ``t`` is in seconds since the file was opened, ``line`` the message with planted secrets
        masked; ``bytes`` is there where a longer line was cut.
        """
        path = self._folder / EVIDENCE / f"{name}.jsonl"
        start = time.monotonic()
        room = MAX_TRANSCRIPT
        failed = f"{path} could not be written"
        try:
            with self._new(path, "w") as file:

                def record(direction: str, data: bytes) -> None:
                    nonlocal room
                    if room <= 0:
                        return
                    text = data.decode("utf-8", "replace").rstrip("\n")
                    # What we send never holds a planted secret. Masked before it is cut: half of
                    # one is not recognised.
                    if direction == "in" and matcher.find(data):
                        text = matcher.mask(text)
                    cut = f', "bytes": {len(data)}' if len(data) > MAX_LINE else ""
                    # By hand, because every call writes two of these.
                    entry = (
                        f'{{"t": {time.monotonic() - start:.4f}, "dir": "{direction}", '
                        f'"line": {json.dumps(text[:MAX_LINE])}{cut}}}\n'
                    )
                    try:
                        room -= file.write(entry)
                    except OSError as error:
                        raise OutputFailed(f"{failed}: {error.strerror}.") from error

                yield record
        except OSError as error:
            raise OutputFailed(f"{failed}: {error.strerror}.") from error

    @contextmanager
    def evidence(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Open ``evidence/NAME`` for bytes; what goes beyond ``MAX_TRANSCRIPT`` is not written.

        Raises ``OutputFailed``.
        """
        path = self._folder / EVIDENCE / name
        room = MAX_TRANSCRIPT
        try:
            with self._new(path, "wb") as file:

                def write(data: bytes) -> None:
                    nonlocal room
                    if room > 0:
                        room -= file.write(data)

                yield write
        except OSError as error:
            raise OutputFailed(f"{path} could not be written: {error.strerror}.") from error

    def _new(self, path: Path, mode: str) -> IO[Any]:
        """A new file in place of whatever stood there; a link is replaced, not followed."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)
        return open(descriptor, mode, encoding=None if "b" in mode else "utf-8")  # noqa: PTH123

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)
