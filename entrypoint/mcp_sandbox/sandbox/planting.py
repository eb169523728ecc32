"""Files put into an image without running it, and the few that are read from it.

A container is created from the image and never started; the engine resolves every path inside its
file system, so that a link of the image cannot lead out of it. What is already there stays as it
is: only lines are appended, and only where that was asked for. The result is committed to an image
whose configuration is the old one plus our labels.

Nothing can be planted where the engine mounts something later (``/tmp``, ``/dev``, ``/proc``,
``/sys``, declared volumes); such paths are named with the reason.
"""

from __future__ import annotations

import base64
import io
import json
import posixpath
import stat
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import docker.errors

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.sandbox.engine import API_TIMEOUT, Engine

MAX_READ = 2**20
"""Bytes of a file that is read from an image."""
MAX_PLANTED = 4 * 2**20
"""Bytes of all planted files."""
MAX_LINKS = 8
_TIME = 946_684_800
_GO_DIRECTORY = 1 << 31
_GO_LINK = 1 << 27
_COVERED = ("/tmp", "/dev", "/proc", "/sys")  # noqa: S108 - of the server


@dataclass(frozen=True)
class _Found:
    """What stands at a path of the image."""

    directory: bool
    link: str


@dataclass(frozen=True)
class _File:
    """A regular file of the image, at its real path."""

    path: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


class Planting:
    """One container that is never started."""

    def __init__(self, engine: Engine, image: str, labels: Mapping[str, str]) -> None:
        """Create it. Raises ``EngineFailed``."""
        self._engine = engine
        request = {
            "Image": image,
            "Labels": dict(labels),
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none", "Config": {}}},
        }
        with engine.guard("No container can be created from the image"):
            config = engine.api.inspect_image(image).get("Config") or {}
            if not config.get("Cmd") and not config.get("Entrypoint"):
                request["Cmd"] = ["-"]  # the engine wants one; every start names its own
            volumes = config.get("Volumes") or {}
            request["HostConfig"] |= {"Tmpfs": dict.fromkeys(volumes, "rw,size=1m")}  # type: ignore[operator] # the literal's type is too narrow
            created = engine.made(lambda: engine.api.create_container_from_config(request))
            self.id = str(created["Id"])
        self._covered = (*_COVERED, *volumes)
        self._known: dict[str, _Found | None] = {}

    def close(self) -> None:
        """Remove the container."""
        self._engine.remove_container(self.id)

    def read(self, path: str) -> bytes | None:
        """The content of a regular file, links followed inside the image; ``None`` when absent.

        Raises ``EngineFailed`` for one larger than ``MAX_READ``.
        """
        found = self._file(path)
        return None if found is None else found.content

    def plant(
        self,
        files: Mapping[str, bytes],
        appended: Mapping[str, bytes],
        links: Mapping[str, str] | None = None,
        owned: Sequence[str] = (),
        owner: tuple[int, int] = (0, 0),
    ) -> tuple[dict[str, str], int]:
        """Write them. Returns path -> why it could not be planted, and how many were.

        ``links``: path -> where it leads, made only in folders of the image. ``owned``: folders
        whose content, and they themselves where they are new, get the ``owner`` (uid, gid).
        """
        skipped: dict[str, str] = {}
        archive = io.BytesIO()
        made: set[str] = set()
        count = size = 0
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, content, append in sorted(
                [(path, data, False) for path, data in files.items()]
                + [(path, data, True) for path, data in appended.items()]
            ):
                size += len(content)
                if size > MAX_PLANTED:
                    raise EngineFailed(f"More than {MAX_PLANTED} bytes were to be planted.")
                target = self._target(path, content, append=append)
                if isinstance(target, str):
                    skipped[path] = target
                    continue
                for folder in self._missing_parents(target.path):
                    if folder not in made:
                        made.add(folder)
                        info = _info(folder, 0o755, tarfile.DIRTYPE)
                        info.uid, info.gid = owner if _below(folder, owned) else (0, 0)
                        tar.addfile(info)
                info = _info(target.path, target.mode)
                info.size = len(target.content)
                info.uid, info.gid = (
                    owner if _below(target.path, owned) else (target.uid, target.gid)
                )
                tar.addfile(info, io.BytesIO(target.content))
                count += 1
            count += self._link(tar, links or {}, skipped)
        if count:
            with self._engine.guard("The planted files cannot be written into the image"):
                self._engine.api.put_archive(self.id, "/", archive.getvalue())
            self._known.clear()
        return skipped, count

    def beside(self, files: Mapping[str, bytes]) -> int:
        """Write files whose folder the image has. Returns how many; the others are left out."""
        there = {path: data for path, data in files.items() if not self._no_link(path)}
        return self.plant(there, {})[1] if there else 0

    def _link(self, tar: tarfile.TarFile, links: Mapping[str, str], skipped: dict[str, str]) -> int:
        """Add the links that can be made, and note why the others cannot. Returns how many."""
        count = 0
        for path, leads_to in sorted(links.items()):
            if why := self._no_link(path):
                skipped[path] = why
                continue
            info = _info(path, 0o777, tarfile.SYMTYPE)
            info.linkname = leads_to
            tar.addfile(info)
            count += 1
        return count

    def commit(self) -> str:
        """The id of the image with the planted files. It inherits the container's labels."""
        with self._engine.guard("The image with the planted files cannot be saved"):
            return str(self._engine.made(lambda: self._engine.api.commit(self.id))["Id"])

    def _target(self, path: str, content: bytes, *, append: bool) -> _File | str:
        """What to write and where, or why not."""
        if obstacle := self._obstacle(path):
            return obstacle
        if self._stat(path) is None:
            return _File(path, content)
        if not append:
            return "the image has a file there"
        old = self._file(path)
        if old is None:
            return "the image has something there that is no file"
        glue = b"" if not old.content or old.content.endswith(b"\n") else b"\n"
        return _File(old.path, old.content + glue + content, old.mode, old.uid, old.gid)

    def _no_link(self, path: str) -> str:
        """Why nothing can be put there: what makes its folder, too, would change the server."""
        if obstacle := self._obstacle(path):
            return obstacle
        if self._stat(posixpath.dirname(path)) is None:
            return "the image has no such folder"
        return "the image has a file there" if self._stat(path) else ""

    def _obstacle(self, path: str) -> str:
        """Why nothing at ``path`` would be there for the server to see."""
        if not path.startswith("/") or posixpath.normpath(path) != path or "\0" in path:
            return "not a plain absolute path"
        for top in self._covered:
            if path == top or path.startswith(top.rstrip("/") + "/"):
                return f"{top} is mounted over when the server starts"
        for parent in _parents(path):
            found = self._stat(parent)
            if found is None:
                break
            real = self._resolve(parent)
            if real is None:
                return f"{parent} is a link that leads nowhere"
            if found.link:
                found = self._stat(real)
                if obstacle := self._obstacle(f"{real}/x"):
                    return obstacle
            if found is None or not found.directory:
                return f"{parent} is no folder"
        return ""

    def _missing_parents(self, path: str) -> list[str]:
        return [parent for parent in _parents(path) if self._stat(parent) is None]

    def _stat(self, path: str) -> _Found | None:
        """What the image has at ``path``, asked for once."""
        if path not in self._known:
            self._known[path] = self._looked_at(path)
        return self._known[path]

    def _looked_at(self, path: str) -> _Found | None:
        """What is at ``path``; the engine resolves links in its parents, not in itself."""
        api = self._engine.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self.id}/archive"
        with self._engine.guard(f"{path} in the image cannot be looked at"):
            answer = api.head(url, params={"path": path}, timeout=API_TIMEOUT)
            if answer.status_code == 404:  # noqa: PLR2004 - HTTP
                return None
            answer.raise_for_status()
            raw = answer.headers["X-Docker-Container-Path-Stat"]
        try:
            fields = json.loads(base64.b64decode(raw))
            mode, link = int(fields["mode"]), str(fields.get("linkTarget") or "")
        except (ValueError, KeyError, TypeError) as error:
            raise EngineFailed(f"The engine's answer on {path} cannot be read.") from error
        return _Found(bool(mode & _GO_DIRECTORY), link if mode & _GO_LINK else "")

    def _resolve(self, path: str) -> str | None:
        """The path behind a chain of links; ``None`` when it is broken or too long."""
        for _ in range(MAX_LINKS):
            found = self._stat(path)
            if found is None:
                return None
            if not found.link:
                return path
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.link))
        return None

    def _file(self, path: str) -> _File | None:
        real = self._resolve(path)
        if real is None:
            return None
        with self._engine.guard(f"{path} in the image cannot be read"):
            try:
                chunks, _ = self._engine.api.get_archive(self.id, real)
            except docker.errors.NotFound:
                return None
            data = bytearray()
            for chunk in chunks:
                data += chunk
                if len(data) > MAX_READ + 64 * 2**10:
                    chunks.close()
                    raise EngineFailed(f"{path} in the image is larger than {MAX_READ} bytes.")
        try:
            with tarfile.open(fileobj=io.BytesIO(bytes(data)), mode="r:") as tar:
                member = tar.next()
                file = tar.extractfile(member) if member and member.isreg() else None
                if member is None or file is None:
                    return None
                return _File(real, file.read(MAX_READ), member.mode, member.uid, member.gid)
        except tarfile.TarError as error:
            raise EngineFailed(f"The engine's copy of {path} cannot be read.") from error


def _parents(path: str) -> list[str]:
    """``/a/b/c`` -> ``/a``, ``/a/b``."""
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: index + 1]) for index in range(len(parts))]


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in folders)


def _info(path: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode = stat.S_IMODE(mode)
    info.mtime = _TIME
    info.type = kind
    return info
