"""The connection to the engine, what it says of itself, and the removal of what is ours.

Everything of ours carries ``RUN_LABEL``; nothing without it is ever removed. A container must carry
``ROLE_LABEL`` of a container role too, because it inherits its image's labels: a user's own
container of an image that we built is not ours. Engines are reached by ``unix://`` and plain
``tcp://``. Errors of the engine become ``EngineFailed``; silence becomes ``EngineUnavailable``.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import docker
import docker.errors
import requests.exceptions

from mcp_sandbox import background, interrupts
from mcp_sandbox.errors import EngineFailed, EngineUnavailable
from mcp_sandbox.model import EXPIRES_LABEL, ROLE_LABEL, RUN_LABEL

DEFAULT_HOST = "unix:///var/run/docker.sock"
API_TIMEOUT = 30
"""Seconds that one answer of the engine may take."""
CONTAINER_ROLES = ("server", "planted", "helper", "warden", "egress", "tracer")
BUILT = "built"
"""The role of an image that ``ImageStore`` built."""

_SCHEMES = ("unix", "tcp", "http")
_TCP_PORT = 2375

TROUBLE = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
"""All that a call of the engine's API raises."""

STUMBLES = ("init-p",)
"""Words of an engine that stumbled over itself: its runtime's own process died before the
container's was there (runc: ``read init-p: connection reset by peer``, seen under load)."""

AT_ONCE = 6
"""Things that are removed at once: ending a container is mostly waiting."""

LAST_ANSWER = 3.0
"""Seconds that an interrupted run waits for what it has just asked the engine to make."""

Labels = dict[str, str]


class Faltered(EngineFailed):
    """The engine failed by itself: see ``Engine.patiently``."""


T = TypeVar("T")


class Making:
    """What the engine is just making, for whichever thread."""

    def __init__(self) -> None:
        self._refusing = False
        self._under_way: set[Future[Any]] = set()

    def refuse(self) -> None:
        """From now on nothing is made; returns when what is being made is there, or late."""
        self._refusing = True
        wait(tuple(self._under_way), LAST_ANSWER)

    def made(self, ask: Callable[[], T]) -> T:
        """Have the engine make something, and let it finish even when we are interrupted meanwhile.

        It would come into being after all else has been cleared away, and stay. Raises
        ``EngineFailed`` once the run is broken off.
        """
        answer: Future[T] = Future()
        self._under_way.add(answer)
        answer.add_done_callback(self._under_way.discard)
        if self._refusing:
            answer.cancel()
            raise EngineFailed("The run is broken off: nothing more is started.")

        thread = background.thread("make", lambda: background.settle(answer, ask))
        try:
            with interrupts.held():
                thread.start()
            return answer.result()
        except BaseException:
            wait([answer], LAST_ANSWER)
            raise


class Engine:
    """One Docker engine. ``api`` is docker-py's low-level client."""

    def __init__(self, docker_host: str | None) -> None:
        """Connect. Raises ``EngineUnavailable`` naming the address when nothing answers."""
        self.address = docker_host or DEFAULT_HOST
        self._making = Making()
        if self.address.partition("://")[0] not in _SCHEMES:
            raise EngineUnavailable(
                f"The engine address {self.address!r} is of a kind that cannot be used.",
                next_step="Give one that begins with unix:// or tcp://.",
            )
        try:
            self.connect().close()  # docker-py would leave its socket open after a failure
            self.api: Any = docker.APIClient(
                base_url=self.address, version="auto", timeout=API_TIMEOUT
            )
        except TROUBLE as error:
            raise EngineUnavailable(f"No Docker engine answers at {self.address}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; the next call opens a new one."""
        self.api.close()

    def connect(self) -> socket.socket:
        """A connection of its own to the engine, with a deadline set. Raises ``OSError``."""
        scheme, _, rest = self.address.partition("://")
        if scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(API_TIMEOUT)
                connection.connect("/" + rest.lstrip("/"))
            except BaseException:
                connection.close()
                raise
            return connection
        place = urlsplit(self.address)
        return socket.create_connection(
            (place.hostname or "localhost", place.port or _TCP_PORT), API_TIMEOUT
        )

    @contextlib.contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turn the engine's errors into ``EngineFailed`` that begins with ``what``."""
        try:
            yield
        except docker.errors.APIError as error:
            raise EngineFailed(f"{what}: {explain(error)}") from error
        except TROUBLE as error:
            raise EngineUnavailable(
                f"The Docker engine at {self.address} stopped answering. {what}."
            ) from error

    def refuse(self) -> None:
        """From now on nothing is made; returns when what is being made is there, or late."""
        self._making.refuse()

    def made(self, ask: Callable[[], T]) -> T:
        """Have the engine make something: see ``Making.made``."""
        return self._making.made(ask)

    def start(self, container: str) -> None:
        """Start a container. Raises ``Faltered``, and all that the engine's API raises."""
        try:
            self.api.start(container)
        except docker.errors.APIError as error:
            if any(words in explain(error) for words in STUMBLES):
                raise Faltered(f"The engine stumbled: {explain(error)}") from error
            raise

    def patiently(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns, asked once more when the engine faltered.

        Raises ``Faltered`` when it falters again, and whatever else ``ask`` raises.
        """
        with contextlib.suppress(Faltered):
            return ask()
        return ask()

    def describe(self) -> dict[str, str]:
        """Version, API, cgroup version, security options, architecture, kernel, storage driver."""
        with self.guard("The engine does not describe itself"):
            version, info = self.api.version(), self.api.info()
        options = sorted(str(option) for option in info.get("SecurityOptions") or ())
        return {
            "address": self.address,
            "version": str(version.get("Version", "")),
            "api": str(version.get("ApiVersion", "")),
            "cgroup": str(info.get("CgroupVersion", "")),
            "security": ", ".join(options),
            "architecture": str(info.get("Architecture", "")),
            "os": str(info.get("OperatingSystem", "")),
            "kernel": str(info.get("KernelVersion", "")),
            "storage": str(info.get("Driver", "")),
        }

    def has_image(self, reference: str) -> bool:
        """Whether the engine holds an image; nothing is pulled. Raises ``EngineFailed``."""
        with self.guard(f"The image {reference!r} cannot be looked up"):
            try:
                self.api.inspect_image(reference)
            except docker.errors.NotFound:
                return False
            return True

    def image_with(self, path: str, among: int) -> str:
        """The image id of the running container with a file at ``path``; empty for none.

        Looks at the ``among`` newest. Raises ``EngineFailed``.
        """
        with self.guard("The running containers cannot be looked at"):
            for one in self.api.containers()[:among]:
                try:
                    chunks, _ = self.api.get_archive(one["Id"], path)
                except docker.errors.NotFound:
                    continue  # it has no such file, or is gone
                chunks.close()
                return str(one["ImageID"])
        return ""

    def clean(
        self, run_id: str | None, *, keep_built: bool = False, within: float = 120.0
    ) -> list[str]:
        """Remove what carries our label: of one run, or of all. Returns ``KIND ID`` of each.

        ``keep_built`` spares the images that the run built; ``within`` bounds the time (seconds).
        Raises ``EngineFailed`` that names what is left, ``EngineUnavailable`` when it cannot even
        be listed.
        """
        label = RUN_LABEL if run_id is None else f"{RUN_LABEL}={run_id}"
        with self._hurried(within):
            return self._remove(
                label,
                lambda labels: not (keep_built and labels.get(ROLE_LABEL) == BUILT),
                within=within,
            )

    def sweep(self, older_than_s: float) -> list[str]:
        """Remove leftovers of runs whose time was up at least ``older_than_s`` seconds ago.

        A run that is still alive has its time ahead of it, so it is left alone; so is a thing
        without a readable time.
        """
        limit = time.time() - older_than_s

        def expired(labels: Labels) -> bool:
            text = labels.get(EXPIRES_LABEL, "")
            return text.isascii() and text.isdigit() and int(text) <= limit

        return self._remove(RUN_LABEL, expired)

    def remove_container(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; a missing one is fine."""
        with (
            self.guard(f"The container {container[:12]} cannot be removed"),
            contextlib.suppress(docker.errors.NotFound),
        ):
            self.api.remove_container(container, v=True, force=True)

    @contextlib.contextmanager
    def _hurried(self, seconds: float) -> Iterator[None]:
        """No call waits longer than this for its answer."""
        usual = self.api.timeout
        self.api.timeout = min(usual, seconds)
        try:
            yield
        finally:
            self.api.timeout = usual

    def _remove(
        self, label: str, wanted: Callable[[Labels], bool], *, within: float = 120.0
    ) -> list[str]:
        """Containers first: they hold on to the rest."""
        deadline = time.monotonic() + within
        filters = {"label": label}
        removed: list[str] = []
        left: list[str] = []

        def each(kind: str, ids: list[str], remove: Callable[[str], Any]) -> None:
            def one(id_: str) -> None:
                if time.monotonic() > deadline:
                    left.append(f"{kind} {id_[:19]} (out of time)")
                    return
                try:
                    remove(id_)
                except docker.errors.NotFound:
                    return  # somebody else, or its parent's removal, was faster
                except TROUBLE as error:
                    left.append(f"{kind} {id_[:19]} ({explain(error)})")
                else:
                    removed.append(f"{kind} {id_}")

            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mcp-sandbox-remove") as pool:
                list(pool.map(one, sorted(set(ids))))

        def picked(found: list[Any] | None, key: str) -> list[str]:
            return [str(one[key]) for one in found or () if wanted(one.get("Labels") or {})]

        with self.guard("What is left of a run cannot be listed"):
            containers = [
                one
                for one in self.api.containers(all=True, filters=filters)
                if (one.get("Labels") or {}).get(ROLE_LABEL) in CONTAINER_ROLES
            ]
            volumes = self.api.volumes(filters=filters).get("Volumes")
            networks = self.api.networks(filters=filters)
            images = self.api.images(all=True, filters=filters)
        each(
            "container",
            picked(containers, "Id"),
            lambda id_: self.api.remove_container(id_, v=True, force=True),
        )
        each("volume", picked(volumes, "Name"), self.api.remove_volume)
        each("network", picked(networks, "Id"), self.api.remove_network)
        # Newest first: an image cannot go before those that were made from it.
        newest = sorted(images or (), key=lambda one: -int(one.get("Created") or 0))
        for image in newest:
            each(
                "image",
                picked([image], "Id"),
                # Without ``noprune`` the parent would go too: an image that is kept, or not ours.
                lambda id_: self.api.remove_image(id_, force=True, noprune=True),
            )
        if left:
            raise EngineFailed(f"Not everything could be removed: {'; '.join(left)}.")
        return sorted(removed)


def explain(error: Exception) -> str:
    """The engine's own words, bounded."""
    return str(getattr(error, "explanation", None) or error)[:500]
