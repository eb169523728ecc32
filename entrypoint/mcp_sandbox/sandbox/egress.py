"""The container that leads out what the user allowed: one per run, with a network and no server.

It shares one volume with the wardens of the run, which holds its socket; no server ever has it. It
checks every connection against its own list, so a warden that was taken over gains no more than the
server was allowed anyway.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import docker.errors

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.sandbox.engine import Engine
from mcp_sandbox.sandbox.stream import AttachedStream, HeadTail, open_attached

FOLDER = "/run/mcp-sandbox-egress"
"""Where the volume is, in the gateway's container and in the wardens'."""
SOCKET = f"{FOLDER}/socket"
READY_TIMEOUT = 15.0
"""Seconds until it listens."""
ROLE = "egress"

_GATEWAY = ("/opt/mcp-sandbox/bin/python", "-I", "-m", "mcp_sandbox.warden.egress")
_READY = b"ready\n"


@dataclass(frozen=True)
class EgressSpec:
    """What the gateway is started with, as data."""

    image: str
    """Our own."""
    volume: str
    allow: tuple[str, ...]
    """``HOST[:PORT]`` each."""
    labels: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request that creates the container (Docker engine API)."""
        arguments = ["--listen", SOCKET]
        for place in self.allow:
            arguments += ["--allow", place]
        return {
            "Image": self.image,
            "User": "0:0",
            "Entrypoint": list(_GATEWAY),
            "Cmd": arguments,
            "WorkingDir": "/",
            "Labels": self.labels,
            "Healthcheck": {"Test": ["NONE"]},
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
            "HostConfig": {
                "NetworkMode": "bridge",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Memory": 128 * 2**20,
                "MemorySwap": 128 * 2**20,
                "PidsLimit": 64,  # the resolver's threads
                "NanoCpus": 1_000_000_000,
                "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 1024}],
                "IpcMode": "private",
                "Mounts": [_mount(self.volume, read_only=False)],
                "LogConfig": {"Type": "none", "Config": {}},
                "RestartPolicy": {"Name": "no"},
            },
        }


def _mount(volume: str, *, read_only: bool) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": volume,
        "Target": FOLDER,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True},
    }


def warden_mount(volume: str) -> dict[str, Any]:
    """The volume as a warden has it: a socket can be connected to where nothing can be written."""
    return _mount(volume, read_only=True)


def warden_arguments(allow: tuple[str, ...]) -> list[str]:
    """What a warden is told of the way out."""
    return ["--egress", SOCKET, *(word for place in allow for word in ("--allow", place))]


class Egress:
    """The running gateway. Its container and volume carry the run's labels, as all others do."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        allow: tuple[str, ...],
        *,
        name: str,
        labels: Callable[[str], dict[str, str]],
    ) -> None:
        """Make the volume ``name`` and the container of the same name; wait until it listens.

        ``labels``: role -> labels. Raises ``EngineFailed``; what was made then is removed.
        """
        self._engine = engine
        self.volume = name
        self.container = ""
        try:
            with engine.guard("The volume of the way out cannot be made"):
                engine.made(lambda: engine.api.create_volume(name, labels=labels(ROLE)))
            body = EgressSpec(image, name, allow, labels(ROLE)).body()
            with engine.guard("The way out cannot be started"):
                created = engine.made(
                    lambda: engine.api.create_container_from_config(body, name=name)
                )
                self.container = str(created["Id"])
                engine.patiently(self._open)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        said = HeadTail(16 * 2**10)
        stream = open_attached(self._engine, self.container, stdin=False, errors=said)
        try:
            self._engine.start(self.container)
            _await_ready(stream, said)
        finally:
            stream.close()

    def close(self) -> None:
        """Remove container and volume; once is enough. Raises ``EngineFailed``."""
        if self.container:
            self._engine.remove_container(self.container)
            self.container = ""
        with (
            self._engine.guard("The volume of the way out cannot be removed"),
            contextlib.suppress(docker.errors.NotFound),
        ):
            self._engine.api.remove_volume(self.volume)


def _await_ready(stream: AttachedStream, said: HeadTail) -> None:
    taken = b""
    deadline = time.monotonic() + READY_TIMEOUT
    while _READY not in taken:
        rest = deadline - time.monotonic()
        if stream.ended or rest <= 0:
            words = b"".join(said.parts()).decode("utf-8", "replace").strip()[-500:]
            raise EngineFailed("The way out does not open.", detail=words)
        if select.select([stream], [], [], rest)[0]:
            taken += stream.recv() or b""
