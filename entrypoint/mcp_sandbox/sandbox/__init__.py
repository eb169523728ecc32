"""The sandbox: one server at a time in a container with nothing lent to it.

``Engine`` is the connection, ``Sandbox`` one run on it, ``Server`` one started container. Leaving a
``Sandbox`` removes all that it made, whatever happened; an image that the run built stays with the
``ImageStore`` that built it.
"""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from types import TracebackType
from typing import Self

from mcp_sandbox.model import (
    EXPIRES_LABEL,
    REPRODUCTION_IMAGE,
    ROLE_LABEL,
    RUN_LABEL,
    ImageFacts,
    Limits,
    Network,
    Relaxation,
    Tls,
    Tracing,
)
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.sandbox import scratch, users
from mcp_sandbox.sandbox.bundle import Bundle, prepare
from mcp_sandbox.sandbox.egress import Egress
from mcp_sandbox.sandbox.engine import Engine
from mcp_sandbox.sandbox.launch import Kit, NoIpv6, Pod
from mcp_sandbox.sandbox.planting import Planting
from mcp_sandbox.sandbox.pod import Ties
from mcp_sandbox.sandbox.server import Server
from mcp_sandbox.sandbox.spec import LADDER, NOTHING_GIVEN, Given, ServerSpec, server_spec
from mcp_sandbox.sandbox.watch import Recorded

__all__ = ["LADDER", "NOTHING_GIVEN", "Engine", "Given", "Recorded", "Sandbox", "Server"]

EXIT_TIMEOUT = 5.0
"""Seconds: who stops a run does not wait long for it to be cleared away."""


class Sandbox:
    """One run: an image, its limits, and every container made of it."""

    def __init__(
        self,
        engine: Engine,
        image: ImageFacts,
        *,
        run_id: str,
        limits: Limits,
        extra_env: tuple[str, ...],
        extra_args: tuple[str, ...],
        helper_image: str,
        lifetime: float,
        network: Network = Network.SINK,
        tls: Tls = Tls.OBSERVE,
        allow: tuple[str, ...] = (),
        sidecars: tuple[tuple[Sidecar, ImageFacts], ...] = (),
    ) -> None:
        """Nothing is made yet. ``lifetime``: seconds after which a later run may sweep this one.

        ``allow`` names what the sink lets out, as ``HOST[:PORT]``.
        """
        self._engine = engine
        self._image = image
        self._run_id = run_id
        self._limits = limits
        self._extra_env = extra_env
        self._extra_args = extra_args
        self._helper_image = helper_image
        self._network = network
        self._ipv6 = True
        self._bundle: Bundle | None = None
        self._tls = tls
        self._egress: Egress | None = None
        self._opening = threading.Lock()
        self._kit = Kit(engine, helper_image, self._labels, allow, self._way_out, sidecars)
        self._expires = int(time.time() + lifetime)
        self._start_from = image.id
        self._passwd: bytes | None = None
        self._in_memory: dict[str, dict[str, bytes]] = {}
        """What every server finds there: mount point -> path -> content."""
        self._servers: list[Server] = []
        self._started = 0
        self.unplanted: dict[str, str] = {}
        """Path -> why nothing could be planted there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove all that this run made but the built image, within ``EXIT_TIMEOUT`` seconds.

        Raises ``EngineFailed`` or ``EngineUnavailable`` that name what is left.
        """
        for server in self._servers:
            server.forget()
        self._engine.clean(self._run_id, keep_built=True, within=EXIT_TIMEOUT)

    def let_go(self) -> None:
        """The run is broken off: end every conversation, whichever thread holds it, and clear away.

        Whoever waits for a container sees it gone. Raises as leaving the sandbox does.
        """
        self._engine.refuse()
        for server in tuple(self._servers):
            server.stream.let_go()
        self._clear()

    def _clear(self) -> None:
        self._engine.clean(self._run_id, keep_built=True, within=EXIT_TIMEOUT)

    def home(self, relaxation: Relaxation = Relaxation.NONE) -> str:
        """HOME of the effective user, as the engine will set it."""
        environment = (*self._image.launch.environment, *self._extra_env)
        return users.home(self.effective_user(relaxation), self._users(), environment)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What stands behind the image's entry point: the user's words, else the image's."""
        return self._extra_args or self._image.launch.command

    def effective_user(self, relaxation: Relaxation) -> str:
        """The image's user; ``65532:65532`` where that is root, until ``IMAGE_USER``."""
        return users.effective_user(self._image.launch.user, self._users(), relaxation)

    def plant(
        self,
        files: Mapping[str, bytes],
        appended: Mapping[str, bytes],
        links: Mapping[str, str] | None = None,
        owned: Sequence[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> None:
        """Put files (0644, root's) into the image that is started from now on.

        ``appended`` adds lines to the end of a file, and makes it when there is none. ``links``:
        path -> where it leads. ``owned``: folders that belong to the user that the server has
        first, with all that is in them. Paths where nothing can be planted are listed in
        ``unplanted``. ``beside``: files that are put only where their folder is there and nothing
        stands in their place, and are not listed. What belongs in a declared volume, which is empty
        and in memory when the server starts, is put there then, and is the server's own. Raises
        ``EngineFailed``.
        """
        owner = users.numbers(self.effective_user(Relaxation.NONE), self._users())
        files, appended = self._kept_for_start(files), self._kept_for_start(appended)
        self._kept_for_start(beside or {}, at_the_top=True)
        with self._planting() as planting:
            skipped, count = planting.plant(files, appended, links, owned, owner)
            self.unplanted |= skipped
            count += planting.beside(beside or {})
            if count:
                self._start_from = planting.commit()

    def _kept_for_start(
        self, files: Mapping[str, bytes], *, at_the_top: bool = False
    ) -> dict[str, bytes]:
        """Keep what lies in declared volumes for each start; returns the others.

        ``at_the_top``: only what lies in no folder below a mount point is kept.
        """
        others: dict[str, bytes] = {}
        for path, content in files.items():
            mount = scratch.mount_of(path, self._image.launch.volumes)
            if mount and (not at_the_top or mount == posixpath.dirname(path)):
                self._in_memory.setdefault(mount, {})[path] = content
            else:
                others[path] = content
        return others

    def sample(self, files: Mapping[str, bytes]) -> None:
        """What every server that is started from now on finds in its ``/tmp``, as its own.

        ``files``: absolute path -> content; a path that ends in ``/`` is a folder.
        """
        self._in_memory[scratch.MOUNT] = dict(files)

    def start(
        self,
        *,
        relaxation: Relaxation,
        environment: Mapping[str, str],
        name: str,
        tracing: Tracing = Tracing.INSIDE,
        given: Given = NOTHING_GIVEN,
    ) -> Server:
        """Start a server and open its gate.

        ``environment`` is planted: it does not show in ``command_line``, as ``given`` does. Raises
        ``ServerNotStarted`` when it cannot be started (no such program or user), ``EngineFailed``
        when it cannot be watched.
        """
        spec = server_spec(
            self._image.launch,
            image=self._start_from,
            original=self._image.id if self._image.build is None else REPRODUCTION_IMAGE,
            user=self.effective_user(relaxation),
            relaxation=relaxation,
            limits=self._limits,
            extra_env=self._extra_env,
            extra_args=self._extra_args,
            planted=environment,
            labels=self._labels("server"),
            given=given,
            filled=self._packed(relaxation),
        )
        self._started += 1
        unique = f"mcp-sandbox-{self._run_id}-{self._started}-{name}"
        pod = self._pod(spec, tracing, unique)
        server = Server(pod, spec, relaxation=relaxation, given=self._given)
        self._servers.append(server)
        return server

    def _pod(self, spec: ServerSpec, tracing: Tracing, name: str) -> Pod:
        """Its containers, asked for twice of an engine that stumbles.

        Otherwise limits would be relaxed for a server that never had a chance.
        """

        def make() -> Pod:
            return Pod(self._kit, spec, self._ties(tracing), name)

        try:
            return self._engine.patiently(make)
        except NoIpv6:
            self._ipv6 = False
            return self._engine.patiently(make)

    def _ties(self, tracing: Tracing) -> Ties:
        """A server that is neither traced nor given a network needs nothing of our image."""
        if self._bundle is None and (tracing, self._network) != (Tracing.NONE, Network.NONE):
            self._bundle = prepare(self._engine, self._helper_image, self._labels("helper"))
        ties = Ties(tracing, self._network, self._tls, ipv6=self._ipv6)
        if self._bundle is None:
            return ties
        return replace(ties, bundle=self._bundle.volume, seccomp=self._bundle.seccomp)

    def _way_out(self) -> str:
        """The volume with the gateway's socket; it is started for the first server."""
        if not self._kit.allow:
            return ""
        with self._opening:
            if self._egress is None:
                name = f"mcp-sandbox-{self._run_id}-egress"
                self._egress = Egress(
                    self._engine, self._helper_image, self._kit.allow, name=name,
                    labels=self._labels,
                )  # fmt: skip
            return self._egress.volume

    @property
    def _given(self) -> dict[str, bytes]:
        """What every server finds in memory, by path."""
        return {path: data for files in self._in_memory.values() for path, data in files.items()}

    def _packed(self, relaxation: Relaxation) -> tuple[tuple[str, bytes], ...]:
        """Mount point -> a tar of what lies there, which belongs to the server's user."""
        owner = users.numbers(self.effective_user(relaxation), self._users())
        return tuple(
            (mount, scratch.packed(files, owner, mount))
            for mount, files in sorted(self._in_memory.items())
            if files
        )

    def _users(self) -> bytes:
        """The image's ``/etc/passwd``, read once."""
        if self._passwd is None:
            with self._planting() as planting:
                self._passwd = planting.read("/etc/passwd") or b""
        return self._passwd

    def _planting(self) -> AbstractContextManager[Planting]:
        return closing(Planting(self._engine, self._start_from, self._labels("planted")))

    def _labels(self, role: str) -> dict[str, str]:
        return {RUN_LABEL: self._run_id, EXPIRES_LABEL: str(self._expires), ROLE_LABEL: role}
