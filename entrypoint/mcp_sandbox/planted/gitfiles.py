"""The files of a git repository, made without git: objects and an index.

Formats: https://git-scm.com/docs/gitrepository-layout, https://git-scm.com/docs/gitformat-index.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence

_REGULAR = 0o100644
_ALIGNMENT = 8


class Objects:
    """Loose objects; ``files`` is path below ``.git/objects`` -> content."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, kind: str, content: bytes) -> str:
        """Store one. Returns its id, 40 hexadecimal digits."""
        data = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        self.files[f"{name[:2]}/{name[2:]}"] = zlib.compress(data)
        return name

    def tree(self, files: Mapping[str, bytes]) -> str:
        """A folder of regular files, and they themselves. Returns the tree's id."""
        entries = b"".join(
            f"100644 {name}\0".encode() + bytes.fromhex(self.add("blob", files[name]))
            for name in sorted(files)
        )
        return self.add("tree", entries)

    def commit(self, tree: str, who: str, message: str, parents: Sequence[str] = ()) -> str:
        """A commit. ``who``: name, address, time and zone. Returns its id."""
        above = "".join(f"parent {one}\n" for one in parents)
        head = f"tree {tree}\n{above}author {who}\ncommitter {who}\n"
        return self.add("commit", f"{head}\n{message}".encode())


def index(blobs: Mapping[str, tuple[str, int]], time: int = 0) -> bytes:
    """An index, version 2. ``blobs``: path -> object id and size in bytes.

    ``time``: of change, for git to tell a file that is as it was added from one that is not without
    reading it; 0 makes it compare the content.
    """
    data = struct.pack(">4sII", b"DIRC", 2, len(blobs))
    for path in sorted(blobs):
        blob, size = blobs[path]
        name = path.encode()
        entry = struct.pack(">10I20sH", 0, 0, time, 0, 0, 0, _REGULAR, 0, 0, size,
                            bytes.fromhex(blob), len(name)) + name  # fmt: skip
        data += entry + bytes(_ALIGNMENT - len(entry) % _ALIGNMENT)
    return data + hashlib.sha1(data, usedforsecurity=False).digest()
