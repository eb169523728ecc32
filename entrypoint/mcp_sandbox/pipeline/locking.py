"""The lock file on disk: the one that is there, and its replacement, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.baseline import file as lock_file
from mcp_sandbox.baseline.finding import Wanted, read
from mcp_sandbox.errors import BaselineUnreadable, OutputFailed
from mcp_sandbox.model.locked import LOCK_FILE


@dataclass(frozen=True)
class OldLock:
    """What stands where a lock file is to be written."""

    there: bool
    why: str = ""
    """Why it cannot be compared with; empty when it can."""

    @property
    def usable(self) -> bool:
        """Whether it can be compared with."""
        return self.there and not self.why


def old_lock(path: Path) -> OldLock:
    """What is there. Raises ``BadInput`` for a link, a folder, or what is too large to be one."""
    data = read(Wanted(LOCK_FILE, "--file", str(path), lock_file.MAX_BYTES), path)
    if data is None:
        return OldLock(there=False)
    try:
        lock_file.load(data, str(path))
    except BaselineUnreadable as error:
        return OldLock(there=True, why=error.what)
    return OldLock(there=True)


def write_lock(path: Path, data: bytes) -> bool:
    """Put ``data`` in the file's place; ``False`` when it is what is there already.

    Written beside it and moved, so that the old one stays until the new one is whole. Run as root,
    it is given to the owner of its folder. Raises ``OutputFailed``.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(partial, flags, 0o644), "wb") as file:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputFailed(
            f"{path} could not be written: {error.strerror}.",
            next_step="Name another place with --file, or free some space.",
        ) from error
    return True
