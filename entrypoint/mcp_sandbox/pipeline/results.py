"""The output folder: every file written whole or not at all, owned by the folder's owner."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp_sandbox.errors import BadInput, OutputFailed
from mcp_sandbox.planted import Matcher
from mcp_sandbox.probe.conversation import Record

REPORT = "report.json"
SARIF = "results.sarif"
SUMMARY = "summary.md"
EVIDENCE = "evidence"

MAX_LINE = 64 * 2**10
"""Bytes kept of one line in a transcript file."""
MAX_TRANSCRIPT = 64 * 2**20
"""Bytes of one transcript file."""


class Results:
    """The files of one run below ``folder``.

    When we run as root in somebody's folder (in a container, usually), what we write is given to
    the owner of that folder: root-owned results break the next checkout of a self-hosted runner.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
            owner = existing.stat()
            self._owner = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
            missing = [p for p in (folder / EVIDENCE, folder) if not p.exists()]
            (folder / EVIDENCE).mkdir(parents=True, exist_ok=True)
            for path in missing:
                self._give(path)
            for old in (REPORT, SARIF, SUMMARY):
                # A result of an earlier run must not pass for one of this run.
                (folder / old).unlink(missing_ok=True)
            for old_evidence in (folder / EVIDENCE).glob("*.jsonl"):
                old_evidence.unlink()
        except OSError as error:
            raise BadInput(
                f"--out {folder}: {error.strerror}.", next_step="Choose another folder with --out."
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
            partial.write_bytes(data)
            self._give(partial)
            partial.replace(final)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputFailed(f"{final} could not be written: {error.strerror}.") from error

    @contextmanager
    def transcript(self, name: str, matcher: Matcher) -> Iterator[Record]:
        """Open ``evidence/NAME.jsonl``: one object a line, ``{"t", "dir", "line", "bytes"?}``.

        ``t`` is in seconds since the file was opened, ``line`` the message with planted secrets
        masked; ``bytes`` is there where a longer line was cut.
        """
        path = self._folder / EVIDENCE / f"{name}.jsonl"
        start = time.monotonic()
        room = MAX_TRANSCRIPT
        try:
            with path.open("w", encoding="utf-8") as file:
                self._give(path)

                def record(direction: str, data: bytes) -> None:
                    nonlocal room
                    if room <= 0:
                        return
                    text = data[:MAX_LINE].decode("utf-8", "replace").rstrip("\n")
                    # What we send never holds a planted secret.
                    entry: dict[str, object] = {
                        "t": round(time.monotonic() - start, 4),
                        "dir": direction,
                        "line": text if direction == "out" else matcher.mask(text),
                    }
                    if len(data) > MAX_LINE:
                        entry["bytes"] = len(data)
                    room -= file.write(json.dumps(entry) + "\n")

                yield record
        except OSError as error:
            raise OutputFailed(f"{path} could not be written: {error.strerror}.") from error

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner)
