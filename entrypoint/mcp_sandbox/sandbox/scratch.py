"""A folder in memory with something in it, ``/tmp`` or a declared volume, in place of a tmpfs.

The engine puts no file into a tmpfs, and into a volume it does. Both are the same file system with
the same bounds, seen from inside as well; the volume's content is there while a container that has
it runs, and is gone with the last one.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Collection, Mapping
from typing import Any

from mcp_sandbox import samples

MOUNT = samples.SCRATCH
HELD_AT = "/.mcp-sandbox/scratch"
"""Below it a warden holds them for a server that is not started yet."""
_OTHERS = ("/dev", "/proc", "/sys", MOUNT)
"""What lies there is the engine's, or is filled by itself."""


def mount_of(path: str, volumes: Collection[str]) -> str:
    """The declared volume that holds ``path``, the innermost one; empty when none does.

    None is found for a path that is not plain, and for a volume within the engine's own folders.
    """
    if posixpath.normpath(path.rstrip("/")) != path.rstrip("/") or "\0" in path:
        return ""
    found = [one.rstrip("/") for one in volumes if path.startswith(one.rstrip("/") + "/")]
    own = [one for one in found if one and not any(_within(one, other) for other in _OTHERS)]
    return max(own, key=len, default="")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def options(size: int) -> dict[str, Any]:
    """How a volume is made. ``size``: bytes that it holds at most."""
    rights = "mode=1777,nosuid,nodev,noexec"
    how = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},{rights}"}
    return {"driver": "local", "driver_opts": how}


def held(volume: str, number: int) -> dict[str, Any]:
    """The mount by which the warden holds the ``number``-th of them."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": f"{HELD_AT}/{number}",
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},
    }


def packed(files: Mapping[str, bytes], owner: tuple[int, int], mount: str = MOUNT) -> bytes:
    """A tar to be unpacked at ``mount``. ``files``: absolute path below it -> content.

    A path that ends in ``/`` is a folder. All of it belongs to ``owner`` (uid, gid).
    """
    out = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in sorted(files.items()):
            parts = path.removeprefix(f"{mount}/").split("/")
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
