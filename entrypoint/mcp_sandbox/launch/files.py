"""Files of the checkout as bytes: a stranger's, so no link is followed and all is bounded."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path, PurePosixPath

from mcp_sandbox.launch.tree import MAX_BYTES, Unreadable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(folder: Path, name: str, most: int = MAX_BYTES) -> bytes | None:
    """The content of ``name`` below ``folder``; ``None`` when there is no such file.

    ``name`` is one of ours, ``/``-separated. Raises ``Unreadable``: a link, no regular file, more
    than ``most`` bytes, no permission.
    """
    *folders, last = PurePosixPath(name).parts
    with contextlib.ExitStack() as opened:
        try:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, at)
            for part in folders:
                if stat.S_ISLNK(os.stat(part, dir_fd=at, follow_symlinks=False).st_mode):
                    raise Unreadable("lies behind a link, which is not followed")
                at = os.open(part, _FOLDER, dir_fd=at)
                opened.callback(os.close, at)
            about = os.stat(last, dir_fd=at, follow_symlinks=False)
            if stat.S_ISLNK(about.st_mode):
                raise Unreadable("is a link, which is not followed")
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable("is no regular file")
            file = opened.enter_context(os.fdopen(os.open(last, _FILE, dir_fd=at), "rb"))
            data = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise Unreadable(f"is larger than {most // 2**10} KiB")
    return data
