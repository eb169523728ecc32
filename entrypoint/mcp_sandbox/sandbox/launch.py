"""Brings the containers of one server into being, in the order that loses nothing.

A traced server is created first and started first: it waits at the gate. Its warden joins its
network, takes the trace, and says when all is in place; only then is the gate opened. An untraced
one joins its warden's network instead, so that nothing of ours is to be seen from inside.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import docker.errors

from mcp_sandbox.errors import EngineFailed, ServerNotStarted
from mcp_sandbox.model import ImageFacts, Network, Tracing
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.sandbox import scratch, sidecar
from mcp_sandbox.sandbox import spec as spec_
from mcp_sandbox.sandbox.engine import Engine, explain
from mcp_sandbox.sandbox.helper import HelperSpec
from mcp_sandbox.sandbox.pod import BUNDLE_MOUNT, Ties, TracerSpec, WardenSpec
from mcp_sandbox.sandbox.relay import Relay, RelaySpec
from mcp_sandbox.sandbox.sidecar import SidecarSpec
from mcp_sandbox.sandbox.spool import Trace
from mcp_sandbox.sandbox.stream import AttachedStream, HeadTail, open_attached
from mcp_sandbox.sandbox.watch import Opened, Watch

ATTACH_TIMEOUT = 15.0
"""Seconds until a tracer outside has attached."""
LAST_WORDS = 5.0
"""Seconds until the output of a gate that gave up is there."""
_NO_IPV6 = "disable_ipv6"


class NoIpv6(Exception):
    """The engine's kernel has no IPv6, so it cannot be switched on."""


@dataclass(frozen=True)
class Kit:
    """What the containers of all servers of a run are made with."""

    engine: Engine
    image: str
    """Our own."""
    labels: Callable[[str], dict[str, str]]
    """Role -> the labels of what has it."""
    allow: tuple[str, ...] = ()
    way_out: Callable[[], str] = str
    """The volume with its socket, started when it is first asked for; empty when there is none."""

    sidecars: tuple[tuple[Sidecar, ImageFacts], ...] = ()
    """What stands beside each server, with its image."""

    def helper(self, server: str, **options: Any) -> HelperSpec:
        """A helper beside a server; ``options`` as for ``HelperSpec``."""
        return HelperSpec(self.image, server, labels=self.labels("helper"), **options)


class Pod:
    """The containers of one server, started, with the gate open."""

    def __init__(self, kit: Kit, spec: spec_.ServerSpec, ties: Ties, name: str) -> None:
        """Raises ``ServerNotStarted``, ``EngineFailed``, ``NoIpv6``, ``Faltered``.

        Then nothing is left.
        """
        self.kit = kit
        self.ties = ties
        self.stderr = HeadTail(spec.limits.log_bytes // 2)
        self.stream: AttachedStream
        self.watch: Watch | None = None
        self._streams: list[AttachedStream] = []
        self._containers: list[str] = []
        self._relay: Relay | None = None
        self._volumes: list[str] = []
        self._name = name
        try:
            self.id = self._assemble(spec)
        except BaseException:
            self.close()
            if self.watch is not None:
                self.watch.trace.file.close()
            self.remove()
            raise

    def relay(self) -> Relay:
        """The way to the server's own loopback, made when it is first asked for.

        Raises ``EngineFailed``.
        """
        if self._relay is None:
            self._relay = self.kit.engine.patiently(self._new_relay)
        return self._relay

    def _new_relay(self) -> Relay:
        network = self.ties.warden or self.id
        spec = RelaySpec(self.kit.image, network, self.kit.labels("relay"))
        container = self._create(spec.body(), "The relay", f"-relay-{len(self._containers)}")
        stream = self._attached(container, "The relay", HeadTail(64 * 2**10), stdin=True)
        self._start(container, "The relay")
        return Relay(stream)

    def close(self) -> None:
        """Give all streams up."""
        if self._relay is not None:
            self._relay.close()
        if self.watch is not None:
            self.watch.close()
        for stream in self._streams:
            stream.close()

    def remove(self) -> None:
        """Remove the containers, then the volume. Raises ``EngineFailed``."""
        engine = self.kit.engine
        with contextlib.ExitStack() as stack:
            for volume in self._volumes:
                stack.callback(self._remove_volume, volume)
            for container in self._containers:
                stack.callback(engine.remove_container, container)

    def _remove_volume(self, name: str) -> None:
        engine = self.kit.engine
        with (
            engine.guard(f"The volume {name} of a server cannot be removed"),
            contextlib.suppress(docker.errors.NotFound),
        ):
            engine.api.remove_volume(name)

    # --- step by step ---

    def _assemble(self, spec: spec_.ServerSpec) -> str:
        if spec.filled:
            self._make_scratch(spec)
        ties = self.ties
        if ties.tracing is Tracing.NONE:
            if ties.network is Network.NONE:
                server = self._server(spec)
                self._start_server(server)
                # Nobody holds the volume before the server does; it is called a moment later.
                self._unpack(server, spec)
                return server
            if ties.terminates:
                self._make_volume()
            warden, watch = self._warden("")
            self.ties = replace(self.ties, warden=warden)
            server = self._server(spec)
            self._start(warden, "The warden")
            watch.ready()
            watch.calibrate()
            self._start_sidecars(watch, warden)
            self._unpack(server, spec)
            self._start_server(server)
            return server
        self._make_volume()
        server = self._server(spec)
        warden, watch = self._warden(server)
        self._start_server(server)
        self._unpack(server, spec)
        self._start(warden, "The warden")
        if ties.tracing is Tracing.OUTSIDE:
            self._attach_tracer(server)
        watch.ready()
        watch.calibrate()
        self._start_sidecars(watch, server)
        self._open_gate(watch)
        return server

    def _make_volume(self) -> None:
        self.ties = replace(self.ties, channel=self._volume("channel"))

    def _make_scratch(self, spec: spec_.ServerSpec) -> None:
        options = scratch.options(spec.limits.tmpfs)
        made = tuple(
            (mount, self._volume("scratch", f"-{number}", **options))
            for number, (mount, _) in enumerate(spec.filled)
        )
        self.ties = replace(self.ties, scratch=made)

    def _volume(self, role: str, suffix: str = "", **options: Any) -> str:
        """Make a volume of this server's. Returns its name."""
        name = f"{self._name}-{role}{suffix}"
        labels = self.kit.labels(role)
        with self.kit.engine.guard(f"The volume {name} of a server cannot be made"):
            self.kit.engine.made(
                lambda: self.kit.engine.api.create_volume(name, labels=labels, **options)
            )
        self._volumes.append(name)
        return name

    def _unpack(self, server: str, spec: spec_.ServerSpec) -> None:
        """Put into the server's folders in memory what belongs there."""
        for mount, files in spec.filled:
            with self.kit.engine.guard(f"Files cannot be put into the server's {mount}"):
                self.kit.engine.api.put_archive(server, mount, files)

    def _server(self, spec: spec_.ServerSpec) -> str:
        container = self._create(spec_.body(spec, self.ties), "The server's container", "")
        self.stream = self._attached(container, "The server's container", self.stderr, stdin=True)
        return container

    def _warden(self, server: str) -> tuple[str, Watch]:
        ties = self.ties
        body = WardenSpec(
            self.kit.image,
            server,
            network=ties.network,
            tls=ties.tls,
            allow=self.kit.allow,
            egress=self.kit.way_out() if ties.network is Network.SINK else "",
            channel=self.ties.channel,
            collect=ties.tracing is not Tracing.NONE,
            ipv6=ties.ipv6,
            scratch=tuple(dict(ties.scratch).values()) if ties.tracing is Tracing.NONE else (),
            labels=self.kit.labels("warden"),
        ).body()
        container = self._create(body, "The warden", "-warden")
        trace = Trace(before=1 if ties.tracing is Tracing.INSIDE else 0)
        self.watch = Watch(
            self._attached(container, "The warden", trace, stdin=True),
            trace,
            sink=ties.network is Network.SINK,
            collect=ties.tracing is not Tracing.NONE,
        )
        return container, self.watch

    def _start_sidecars(self, watch: Watch, network: str) -> None:
        """Start what stands beside the server, and wait until it listens."""
        for asked, image in self.kit.sidecars:
            labels = self.kit.labels(sidecar.ROLE)
            what = f"The sidecar {asked.name!r}"
            spec = SidecarSpec(asked, image.id, image.launch, network, labels)
            container = self._create(spec.body(), what, f"-{asked.name}")
            said = HeadTail(sidecar.MAX_LOG)
            stream = self._attached(container, what, said, stdin=False)
            self._start(container, what)
            sidecar.wait_until_it_listens(asked, stream, said, watch.listeners)
            stream.close()  # nobody listens to it any more

    @property
    def beside(self) -> frozenset[int]:
        """Ports on which its sidecars listen, which are not the server's."""
        return frozenset(asked.port for asked, _ in self.kit.sidecars)

    def _open_gate(self, watch: Watch) -> None:
        opened = watch.go()
        if opened is Opened.REFUSED:
            raise ServerNotStarted(
                "The engine could not start the server.", detail=self._last_words()
            )
        if opened is Opened.UNKNOWN:
            raise EngineFailed("The server was not seen to start when its gate was opened.")

    def _last_words(self) -> str:
        """What the gate said. Nothing of the server has run."""
        deadline = time.monotonic() + LAST_WORDS
        while not self.stream.ended and (rest := deadline - time.monotonic()) > 0:
            if select.select([self.stream], [], [], rest)[0]:
                self.stream.recv()
        return b"".join(self.stderr.parts()).decode("utf-8", "replace").strip()[:500]

    def _attach_tracer(self, server: str) -> None:
        engine = self.kit.engine
        with engine.guard("The server's container cannot be inspected"):
            pid = int(engine.api.inspect_container(server)["State"]["Pid"])
        labels = self.kit.labels("tracer")
        spec = TracerSpec(self.kit.image, server, pid, self.ties.channel, labels)
        container = self._create(spec.body(), "The tracer", "-tracer")
        said = HeadTail(64 * 2**10)
        stream = self._attached(container, "The tracer", said, stdin=False)
        self._start(container, "The tracer")
        deadline = time.monotonic() + ATTACH_TIMEOUT
        while b" attached" not in said.parts()[0]:
            rest = deadline - time.monotonic()
            if rest <= 0 or stream.ended:
                words = said.parts()[0].decode("utf-8", "replace").strip()[:500]
                raise EngineFailed("The tracer could not attach to the server.", detail=words)
            select.select([stream], [], [], rest)
            stream.recv()
        stream.close()  # it says so of every process; nobody listens any more

    # --- the engine ---

    def _create(self, body: Mapping[str, Any], what: str, suffix: str) -> str:
        engine = self.kit.engine
        with engine.guard(f"{what} cannot be created"):
            created = engine.made(
                lambda: engine.api.create_container_from_config(
                    dict(body), name=self._name + suffix
                )
            )
        self._containers.append(str(created["Id"]))
        return self._containers[-1]

    def _attached(
        self, container: str, what: str, errors: HeadTail | Trace, *, stdin: bool
    ) -> AttachedStream:
        with self.kit.engine.guard(f"{what} cannot be attached to"):
            stream = open_attached(self.kit.engine, container, stdin=stdin, errors=errors)
        self._streams.append(stream)
        return stream

    def _start_server(self, container: str) -> None:
        with self.kit.engine.guard("The server's container cannot be started"):
            try:
                self.kit.engine.start(container)
            except docker.errors.APIError as error:
                if _NO_IPV6 in explain(error) and self.ties.ipv6:
                    raise NoIpv6 from error
                if BUNDLE_MOUNT in explain(error):  # what is ours is missing, not what is theirs
                    raise
                raise ServerNotStarted(
                    "The engine could not start the server.", detail=explain(error)
                ) from error

    def _start(self, container: str, what: str) -> None:
        with self.kit.engine.guard(f"{what} cannot be started"):
            try:
                self.kit.engine.start(container)
            except docker.errors.APIError as error:
                if _NO_IPV6 in explain(error) and self.ties.ipv6:
                    raise NoIpv6 from error
                raise
