"""A server's ``/tmp`` with something in it: a volume in memory in place of a tmpfs.

The engine puts no file into a tmpfs, and into a volume it does. Both are the same file system with
the same bounds, seen from inside as well; the volume's content is there while a container that has
it runs, and is gone with the last one.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from mcp_sandbox import samples

MOUNT = samples.SCRATCH
HELD_AT = "/.mcp-sandbox/scratch"
"""Where a warden holds it for a server that is not started yet."""


def options(size: int) -> dict[str, Any]:
    """How the volume is made. ``size``: bytes that it holds at most."""
    rights = "mode=1777,nosuid,nodev,noexec"
    how = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},{rights}"}
    return {"driver": "local", "driver_opts": how}


def held(volume: str) -> dict[str, Any]:
    """The mount by which the warden holds it."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": HELD_AT,
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},
    }


def packed(files: Mapping[str, bytes], owner: tuple[int, int]) -> bytes:
    """A tar to be unpacked at ``MOUNT``. ``files``: absolute path below it -> content.

    A path that ends in ``/`` is a folder. All of it belongs to ``owner`` (uid, gid).
    """
    out = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in sorted(files.items()):
            parts = path.removeprefix(f"{MOUNT}/").split("/")
            for end in range(1, len(parts)):
                folder = "/".join(parts[:end])
                if folder not in folders:
                    folders.add(folder)
                    tar.addfile(_info(folder, owner, tarfile.DIRTYPE, 0o755))
            if parts[-1]:
                info = _info("/".join(parts), owner, tarfile.REGTYPE, 0o644)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _info(name: str, owner: tuple[int, int], kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.uid, info.gid = owner
    info.mtime, info.type, info.mode = samples.TIME, kind, mode
    return info
