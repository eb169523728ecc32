"""A git repository, written without git: one commit, an index, and a checked-out file.

Every kind of reading shows the secret: it stands in the name of the branch (``status``,
``branch``), in the commit's message (``log``), and in a file whose commit, index and working copy
differ by a line (``show``, both kinds of ``diff``).

Formats: https://git-scm.com/docs/gitrepository-layout, https://git-scm.com/docs/gitformat-index.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

CHECKED_OUT = "service-token.txt"
"""The one file of the repository."""
_TIME = 1_735_732_800
"""2025-01-01T12:00:00Z."""
_WHO = f"Backup Service <backup@internal.example> {_TIME} +0000"
_CONFIG = (
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
    "\tlogallrefupdates = true\n"
)
_REGULAR = 0o100644
_ALIGNMENT = 8


def repository(core: str) -> dict[str, bytes]:
    """Path below the repository's folder -> content. ``core``: letters and digits."""
    committed = f"token={core}\n".encode()
    staged = committed + b"rotated=2025-01-01\n"
    objects: dict[str, bytes] = {}
    blob = _add(objects, "blob", committed)
    tree = _add(objects, "tree", f"100644 {CHECKED_OUT}\0".encode() + bytes.fromhex(blob))
    message = f"Rotate the backup token\n\nNow {core}, until the next rotation.\n"
    commit = _add(
        objects, "commit", f"tree {tree}\nauthor {_WHO}\ncommitter {_WHO}\n\n{message}".encode()
    )
    branch = f"refs/heads/rotate-{core}"
    index = _index(_add(objects, "blob", staged), len(staged))
    return {
        ".git/HEAD": f"ref: {branch}\n".encode(),
        ".git/config": _CONFIG.encode(),
        ".git/index": index,
        ".git/packed-refs": f"{commit} {branch}\n".encode(),  # keeps the secret out of paths
        ".git/refs/heads/main": f"{commit}\n".encode(),
        **{f".git/objects/{path}": data for path, data in objects.items()},
        CHECKED_OUT: staged + b"owner=backup\n",
    }


def _add(objects: dict[str, bytes], kind: str, content: bytes) -> str:
    """Store a loose object. Returns its id."""
    data = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    objects[f"{name[:2]}/{name[2:]}"] = zlib.compress(data)
    return name


def _index(blob: str, size: int) -> bytes:
    """An index, version 2, with one entry; no times, so that git compares the content."""
    name = CHECKED_OUT.encode()
    entry = struct.pack(">10I20sH", 0, 0, 0, 0, 0, 0, _REGULAR, 0, 0, size, bytes.fromhex(blob),
                        len(name)) + name  # fmt: skip
    entry += bytes(_ALIGNMENT - len(entry) % _ALIGNMENT)
    data = struct.pack(">4sII", b"DIRC", 2, 1) + entry
    return data + hashlib.sha1(data, usedforsecurity=False).digest()
