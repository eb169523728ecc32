"""The volumes that tie a server's container to those that watch it.

The *bundle* holds the tracer and the gate (``bundle.sh`` says what exactly). There is one per
version of our image, shared by all runs, mounted read-only. The engine fills it: an empty volume
that is mounted over a folder of an image takes on that folder. Two runs may do so at the same time,
and an engine may be ended meanwhile, so every run compares what is there with the image's manifest.

The *channel* is one server's: two FIFOs, filled in the same way from the image when the warden is
created.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

import docker.errors

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import ROLE_LABEL, RUN_LABEL
from mcp_sandbox.sandbox import seccomp
from mcp_sandbox.sandbox.engine import Engine

HOME = "/opt/mcp-sandbox"
"""Folder of our image."""
TRACER = f"{HOME}/tracer"
CHANNEL = f"{HOME}/channel"
MANIFEST = f"{HOME}/tracer.manifest"
SECCOMP = f"{HOME}/seccomp.json"
BUNDLE = "bundle"
"""The role of the volume, and in place of a run's id: no run's end takes it away."""
MAX_BUNDLE = 32 * 2**20
PATIENCE = 10.0
"""Seconds that another run may take to fill the volume."""
_POLL = 0.1


@dataclass(frozen=True)
class Bundle:
    """What the containers of a run need of our image."""

    volume: str
    seccomp: str
    """The profile of the servers, JSON."""


def prepare(engine: Engine, image: str, labels: Mapping[str, str]) -> Bundle:
    """Fill the volume of this image, unless it is there, and hold it.

    A container that is never started holds it, so that nobody removes it between two servers; it
    has ``labels``, the run's, and goes with the run. Raises ``EngineFailed`` when the image is not
    there or none of ours, or the volume stays wrong.
    """
    with engine.guard(f"The helper image {image!r} cannot be used"):
        id_ = str(engine.api.inspect_image(image)["Id"])
    name = volume_name(id_, RUN_LABEL)
    for last in (False, True):
        container = _holder(engine, name, id_, labels)
        try:
            manifest = _file(engine, container, MANIFEST)
            if _whole(engine, container, manifest):
                return Bundle(name, seccomp.profile(_file(engine, container, SECCOMP)))
        except BaseException:
            engine.remove_container(container)
            raise
        engine.remove_container(container)
        if not last:  # left half full, by an engine that was ended
            with engine.guard(f"The volume {name} is damaged and cannot be removed"):
                engine.api.remove_volume(name)
    raise EngineFailed(f"The volume {name} does not hold what the helper image has.")


def volume_name(image: str, label: str) -> str:
    """The bundle's volume of the image with that id.

    The label is part of the name: whoever clears away under another one does not meet it.
    """
    return f"mcp-sandbox-bundle-{hashlib.sha256(f'{label} {image}'.encode()).hexdigest()[:16]}"


def _holder(engine: Engine, name: str, image: str, labels: Mapping[str, str]) -> str:
    """A container of our image, never started, with the volume where the bundle was made."""
    with engine.guard("The volume of the tracer cannot be made"):
        engine.made(
            lambda: engine.api.create_volume(name, labels={RUN_LABEL: BUNDLE, ROLE_LABEL: BUNDLE})
        )
        request = {
            "Image": image,
            "Labels": dict(labels),
            "HostConfig": {
                "NetworkMode": "none",
                "LogConfig": {"Type": "none", "Config": {}},
                "Mounts": [{"Type": "volume", "Source": name, "Target": TRACER}],
            },
        }
        created = engine.made(lambda: engine.api.create_container_from_config(request))
    return str(created["Id"])


def _whole(engine: Engine, container: str, manifest: bytes) -> bool:
    """Whether the volume holds what the manifest says, at once or after another run filled it."""
    wanted = sorted(manifest.decode("ascii", "replace").splitlines())
    deadline = time.monotonic() + PATIENCE
    while _listing(engine, container) != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _listing(engine: Engine, container: str) -> list[str]:
    """``MODE SHA256 NAME`` of each file, sorted."""
    lines = []
    try:
        with tarfile.open(fileobj=_archive(engine, container, TRACER), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
                    lines.append(f"{member.mode:o} {digest} {member.name.partition('/')[2]}")
    except tarfile.TarError as error:
        raise EngineFailed("The engine's copy of the tracer cannot be read.") from error
    return sorted(lines)


def _file(engine: Engine, container: str, path: str) -> bytes:
    try:
        with tarfile.open(fileobj=_archive(engine, container, path), mode="r:") as tar:
            member = tar.next()
            file = tar.extractfile(member) if member and member.isreg() else None
            return file.read() if file else b""
    except tarfile.TarError as error:
        raise EngineFailed(f"The engine's copy of {path} cannot be read.") from error


def _archive(engine: Engine, container: str, path: str) -> io.BytesIO:
    with engine.guard(f"{path} of the helper image cannot be read"):
        try:
            chunks, _ = engine.api.get_archive(container, path)
        except docker.errors.NotFound:
            raise EngineFailed(
                f"The helper image has no {path}: it is not the image of this project.",
                next_step="Name that image with --helper-image.",
            ) from None
        data = bytearray()
        for chunk in chunks:
            data += chunk
            if len(data) > MAX_BUNDLE:
                chunks.close()
                raise EngineFailed(f"{path} of the helper image is larger than expected.")
    return io.BytesIO(bytes(data))
