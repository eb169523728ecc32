"""The server's image: built from a folder or taken by reference; an immutable id from then on.

A build gets no secret, no SSH agent, no extra entitlement, and a context that was filtered here
(``context``). Its RUN steps do run foreign code on the engine, in BuildKit's own sandbox, with a
network unless ``none`` is asked for; ``none`` covers the RUN steps, not what ``FROM`` and ``ADD``
name. The build cache is left alone. Engines are reached by ``unix://`` and plain ``tcp://``.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils
import requests.exceptions

from mcp_sandbox import interrupts, proc
from mcp_sandbox.errors import EngineFailed, EngineUnavailable, ImageMissing
from mcp_sandbox.image import buildx
from mcp_sandbox.image import context as context_
from mcp_sandbox.model import (
    EXPIRES_LABEL,
    ROLE_LABEL,
    RUN_LABEL,
    STANDIN_LABEL,
    BuildFacts,
    ImageFacts,
    LaunchFacts,
)

DEFAULT_HOST = "unix:///var/run/docker.sock"
PULL_TIMEOUT = 600.0
"""Seconds."""
_API_TIMEOUT = 60
_LIFETIME = 6 * 3600
_ID = re.compile(r"sha256:[0-9a-f]{64}")


MAX_SAVED = 16 * 2**30
"""Bytes of an image that is saved for the scanners."""


class ImageStore:
    """The images of one run on one engine."""

    def __init__(self, docker_host: str | None, run_id: str) -> None:
        """Connect. Raises ``EngineUnavailable`` when nothing answers at the address."""
        self._address = docker_host or DEFAULT_HOST
        self._run_id = run_id
        try:
            if self._address.startswith("unix://"):
                # docker-py would leave its socket open after a failure.
                with socket.socket(socket.AF_UNIX) as trial:
                    trial.settimeout(_API_TIMEOUT)
                    trial.connect("/" + self._address.removeprefix("unix://").lstrip("/"))
            self._api = docker.APIClient(
                base_url=self._address, version="auto", timeout=_API_TIMEOUT
            )
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            OSError,
        ) as error:
            raise EngineUnavailable(f"No Docker engine answers at {self._address}.") from error

    def close(self) -> None:
        """Close the idle connections; the next call opens a new one."""
        self._api.close()

    def build(
        self,
        context: Path,
        *,
        dockerfile: Path | None,
        network: str,
        timeout: float,
        environment: Mapping[str, str],
    ) -> ImageFacts:
        """Build the image of a folder. ``network`` is ``default`` or ``none``; seconds.

        ``environment`` is where PATH, HOME, locale and DOCKER_CONFIG are looked up; nothing else
        of it reaches the build. Raises ``DockerfileMissing``, ``ContextRejected``, ``BuildFailed``
        (failed, or not done in time) and ``EngineFailed``.
        """
        found = context_.collect(context, dockerfile)
        with interrupts.temporary_folder("mcp-sandbox-") as folder:
            iidfile = folder / "iid"
            argv = buildx.command(
                found.dockerfile, network=network, labels=self._labels(), iidfile=iidfile
            )
            buildx.run(argv, found, self._lent(environment), timeout)
            image_id = iidfile.read_text("ascii").strip() if iidfile.is_file() else ""
        if not _ID.fullmatch(image_id):
            raise EngineFailed("The build ended well, but named no image.")
        facts = BuildFacts(
            dockerfile=found.dockerfile,
            context_files=found.files,
            context_bytes=found.total,
            left_out=found.left_out,
            network=network,
        )
        return self._facts(found.root.name or "context", self._inspect(image_id), facts)

    def export(
        self,
        context: Path,
        *,
        stage: str,
        anew: str,
        network: str,
        timeout: float,
        environment: Mapping[str, str],
    ) -> dict[str, bytes]:
        """The files at the root of a stage of a folder's Dockerfile; no image is made.

        The stage ``anew`` is run even when the engine remembers what it came to. The rest is as for
        ``build``. Raises the same, and ``BuildFailed`` for more than ``buildx.MAX_EXPORT`` bytes.
        """
        found = context_.collect(context, None)
        argv = buildx.export_command(found.dockerfile, network=network, stage=stage, anew=anew)
        return buildx.exported(argv, found, self._lent(environment), timeout)

    @staticmethod
    def packed(context: Path, most: int) -> Iterator[bytes] | None:
        """A folder as ``build`` sends it; ``None`` when that has more than ``most`` bytes."""
        found = context_.collect(context, None)
        room = (found.total // context_.BLOCK + 4 * len(found.entries)) * context_.BLOCK
        return context_.stream(found) if room <= most else None

    def take(self, reference: str) -> ImageFacts:
        """An image of the engine by reference or id, pulled when it is not there.

        Raises ``ImageMissing`` when it can be had neither way, ``EngineFailed`` otherwise.
        """
        with contextlib.suppress(docker.errors.NotFound):
            return self._facts(reference, self._inspect(reference))
        self._pull(reference)
        try:
            return self._facts(reference, self._inspect(reference))
        except docker.errors.NotFound as error:
            raise ImageMissing(f"There is no image {reference!r}.") from error

    def save(self, image: str, path: Path, most: int = MAX_SAVED) -> None:
        """Write an image to a file, as ``docker save`` does.

        Raises ``EngineFailed``, also when it is larger than ``most`` bytes or cannot be written.
        """
        with self._guard(f"The image {image!r} cannot be saved"):
            room = most
            try:
                with path.open("xb") as file:
                    for chunk in self._api.get_image(image):
                        room -= file.write(chunk)
                        if room < 0:
                            raise EngineFailed(f"The image is larger than {most // 2**30} GiB.")
            except OSError as error:
                raise EngineFailed(f"The image cannot be saved: {error.strerror}.") from error

    def remove_built(self) -> list[str]:
        """Remove the images with this run's label; returns their ids.

        Raises ``EngineFailed`` naming what could not be removed.
        """
        kept: list[str] = []
        removed: list[str] = []
        with self._guard("The run's images cannot be listed"):
            images = self._api.images(all=True, filters={"label": f"{RUN_LABEL}={self._run_id}"})
        for image_id in sorted({str(image["Id"]) for image in images}):
            try:
                self._api.remove_image(image_id, force=True, noprune=True)
            except docker.errors.NotFound:
                continue  # it went with another one
            except (docker.errors.DockerException, requests.exceptions.RequestException):
                kept.append(image_id)
            else:
                removed.append(image_id)
        if kept:
            raise EngineFailed(f"These images could not be removed: {', '.join(kept)}.")
        return removed

    def _lent(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What the docker command sees of our environment."""
        return proc.allowed_environment(
            environment, extra=("DOCKER_CONFIG",), DOCKER_HOST=self._address
        )

    def _labels(self) -> dict[str, str]:
        return {
            RUN_LABEL: self._run_id,
            ROLE_LABEL: "built",
            EXPIRES_LABEL: str(int(time.time()) + _LIFETIME),
        }

    def _inspect(self, reference: str) -> Mapping[str, Any]:
        """Raises ``docker.errors.NotFound`` when it is not there."""
        with self._guard(f"The image {reference!r} cannot be inspected"):
            found: Mapping[str, Any] = self._api.inspect_image(reference)  # type: ignore[no-untyped-call] # the stubs miss it
        return found

    def _pull(self, reference: str) -> None:
        if _ID.fullmatch(reference) or not reference:
            raise ImageMissing(f"There is no image {reference!r} on the engine.")
        repository, tag = docker.utils.parse_repository_tag(reference)
        deadline = time.monotonic() + PULL_TIMEOUT
        try:
            for event in self._api.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in event:
                    raise ImageMissing(
                        f"The image {reference!r} is not on the engine and cannot be pulled.",
                        detail=str(event["error"])[:2000],
                    )
                if time.monotonic() > deadline:
                    raise ImageMissing(
                        f"Pulling {reference!r} took longer than {PULL_TIMEOUT:.0f} seconds."
                    )
        except docker.errors.DockerException as error:
            raise ImageMissing(
                f"The image {reference!r} is not on the engine and cannot be pulled.",
                detail=str(getattr(error, "explanation", "") or error)[:2000],
            ) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise EngineFailed(f"The engine broke off pulling {reference!r}.") from error

    def _facts(
        self, reference: str, found: Mapping[str, Any], build: BuildFacts | None = None
    ) -> ImageFacts:
        launch = launch_facts(found)
        return ImageFacts(
            reference=reference,
            id=str(found["Id"]),
            launch=launch,
            size_bytes=int(found.get("Size") or 0),
            build=build,
            standin_base=launch.labels.get(STANDIN_LABEL) == "1",
        )

    @contextlib.contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """A malformed reference is ``ImageMissing``, all but "not found" ``EngineFailed``."""
        try:
            yield
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as error:
            if error.status_code == HTTPStatus.BAD_REQUEST:
                raise ImageMissing(f"{what}: {str(error.explanation)[:500]}") from error
            raise EngineFailed(f"{what}: {str(error.explanation)[:500]}") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnavailable(
                f"The Docker engine at {self._address} stopped answering."
            ) from error


def launch_facts(found: Mapping[str, Any]) -> LaunchFacts:
    """The launch facts in the engine's description of an image."""
    config: Mapping[str, Any] = found.get("Config") or {}
    health: Mapping[str, Any] = config.get("Healthcheck") or {}

    def words(value: object) -> tuple[str, ...]:
        return tuple(str(word) for word in value) if isinstance(value, list) else ()

    labels = {str(k): str(v) for k, v in (config.get("Labels") or {}).items()}
    return LaunchFacts(
        entrypoint=words(config.get("Entrypoint")),
        command=words(config.get("Cmd")),
        environment=words(config.get("Env")),
        user=str(config.get("User") or ""),
        working_dir=str(config.get("WorkingDir") or ""),
        exposed_ports=tuple(sorted(config.get("ExposedPorts") or {})),
        labels={k: v for k, v in labels.items() if k not in (RUN_LABEL, EXPIRES_LABEL, ROLE_LABEL)},
        healthcheck=words(health.get("Test")),
        architecture=str(found.get("Architecture") or ""),
        os=str(found.get("Os") or ""),
        volumes=tuple(sorted(config.get("Volumes") or {})),
    )
