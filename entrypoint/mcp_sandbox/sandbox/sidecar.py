"""A service that the server needs on its network, beside it in the same sealed namespace, as data.

The policy names it; by default there is none. It is reached on ``localhost`` like a program on the
server's own machine, and has no way out that the server has not. It gets no capability: an image
that would run as root runs as the user that the policy gives, or as an unprivileged one. Its root
is read-only; ``/tmp``, ``/run`` and what it declares as a volume are empty, writable, in memory,
and belong to that user. Each container of the server has its own: no session sees another's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import LaunchFacts, Listener
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.sandbox.spec import UNPRIVILEGED
from mcp_sandbox.sandbox.stream import AttachedStream, HeadTail

ROLE = "sidecar"
READY_TIMEOUT = 60.0
"""Seconds until it listens."""
LOOK = 0.1
MEMORY = 512 * 2**20
"""Bytes, swap included."""
PIDS = 128
TMPFS = "256m"
MAX_LOG = 64 * 2**10
_MEMORY_FOLDERS = ("/tmp", "/run", "/var/run")  # noqa: S108 - the sidecar's


@dataclass(frozen=True)
class SidecarSpec:
    """One sidecar of one server."""

    asked: Sidecar
    image: str
    """The image's id."""
    launch: LaunchFacts
    network: str
    """The container whose network it joins."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Whom it runs as: the policy's word, the image's, else nobody in particular."""
        own = self.launch.user
        if self.asked.user:
            return self.asked.user
        return UNPRIVILEGED if own.partition(":")[0].strip() in {"", "0", "root"} else own

    def body(self) -> dict[str, Any]:
        """The request that creates the container (Docker engine API)."""
        folders = dict.fromkeys((*_MEMORY_FOLDERS, *self.launch.volumes))
        return {
            "Image": self.image,
            "User": self.user,
            "Env": list(self.asked.environment),
            "Labels": dict(self.labels),
            "Healthcheck": {"Test": ["NONE"]},
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
            "HostConfig": {
                "NetworkMode": f"container:{self.network}",
                "ReadonlyRootfs": True,
                "Memory": MEMORY,
                "MemorySwap": MEMORY,
                "NanoCpus": 1_000_000_000,
                "PidsLimit": PIDS,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "IpcMode": "private",
                "Tmpfs": {path: self._tmpfs() for path in folders if path.rstrip("/")},
                "LogConfig": {"Type": "none", "Config": {}},
                "RestartPolicy": {"Name": "no"},
            },
        }

    def _tmpfs(self) -> str:
        """Owned by its user where that is a number: databases want a folder of their own."""
        user, _, group = self.user.partition(":")
        if not user.isdecimal():
            return f"rw,size={TMPFS},mode=1777"
        owner = f",gid={group}" if group.isdecimal() else ""
        return f"rw,size={TMPFS},mode=0700,uid={user}{owner}"


def wait_until_it_listens(
    asked: Sidecar,
    stream: AttachedStream,
    said: HeadTail,
    listeners: Callable[[], tuple[Listener, ...]],
) -> None:
    """Raises ``EngineFailed`` with its last words when it ends, or does not listen in time."""
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        while stream.recv():
            pass  # it may print as much as it likes
        if stream.ended:
            break
        if any(one.port == asked.port for one in listeners()):
            return
        time.sleep(LOOK)
    what = "ended" if stream.ended else f"did not listen within {READY_TIMEOUT:g} seconds"
    raise EngineFailed(
        f"The sidecar {asked.name!r} ({asked.image}) {what}; port {asked.port} was expected.",
        next_step="Mend [launch.sidecar] in mcp-sandbox.toml: its image, its port, its user.",
        detail=b"\n".join(said.parts()).decode("utf-8", "replace")[-1_000:],
    )
