"""The records of kernel and sink of one session, as values that a lock may hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_sandbox import deeds, endpoints, hostnames
from mcp_sandbox.baseline import normalise
from mcp_sandbox.baseline.named import MAX_LEVELS, Named
from mcp_sandbox.baseline.places import OK, OURS, REFUSED, Places
from mcp_sandbox.model import (
    Act,
    KernelEvent,
    Network,
    Session,
    SinkEvent,
    SinkKind,
    Window,
)
from mcp_sandbox.model.locked import ARGUMENT, Part, Sighting

ENDPOINTS, PROGRAMS, WRITES, READS = (
    one.value for one in (Part.ENDPOINT, Part.PROGRAM, Part.WRITE, Part.READ)
)
_CONNECTIONS = frozenset({SinkKind.HTTP, SinkKind.TLS, SinkKind.TCP, SinkKind.ALLOWED})
_DATAGRAMS = frozenset({SinkKind.UDP, SinkKind.QUIC})
_CHANGES = frozenset({Act.WRITE, Act.MKDIR, Act.MKNOD, Act.UNLINK, Act.CHMOD})
_DONE = frozenset({OK, *REFUSED})
_OWN_NAMES = frozenset({"localhost", endpoints.OWN_NAME})
_NAME_CACHE = "/nscd/socket"


@dataclass(frozen=True)
class Seen:
    """One value in one window of one session."""

    part: str
    value: str
    plain: str
    """The value without ``<argument>``."""
    session: int
    window: Window
    call: int
    early: bool
    """Before the first call of its session."""
    sighting: Sighting


class Reader:
    """Reads the records of one session."""

    def __init__(
        self, number: int, session: Session, places: Places, planted: frozenset[str]
    ) -> None:
        self._number = number
        self._session = session
        self._places = places
        self._planted = planted
        self._calls = {call.number: call for call in session.transcript.calls}
        self._named = Named(session.transcript.calls)

    def read(self) -> Iterator[Seen]:
        """Everything that a lock may hold, in the order of the records."""
        container = self._session.container
        first = _first_call(container.kernel)
        for event in container.kernel:
            for part, plain, value in self._kernel(event):
                yield self._seen(part, plain, value, event, early=event.line < first)
        first = _first_call(container.sink)
        for arrived in container.sink:
            for plain, value in self._sink(arrived):
                yield self._seen(ENDPOINTS, plain, value, arrived, early=arrived.line < first)

    def _seen(
        self, part: str, plain: str, value: str, event: KernelEvent | SinkEvent, *, early: bool
    ) -> Seen:
        call = self._calls.get(event.call)
        kernel = (event,) if isinstance(event, KernelEvent) else ()
        sink = (event,) if isinstance(event, SinkEvent) else ()
        return Seen(
            part=part,
            value=normalise.writable(value),
            plain=normalise.writable(plain),
            session=self._number,
            window=event.window,
            call=event.call,
            early=early or event.window is Window.START,
            sighting=Sighting(self._session, call, kernel, sink),
        )

    def _so_far(self, event: KernelEvent | SinkEvent) -> int:
        """The number of the last call before the end of the event's window."""
        if event.window is Window.CALL:
            return event.call
        return max(self._calls, default=0) if event.window is not Window.START else 0

    def _kernel(self, event: KernelEvent) -> Iterator[tuple[str, str, str]]:
        """(part, plain value, value) of one kernel event."""
        number = self._so_far(event)
        if event.act is Act.EXEC:
            if event.result == OK and not event.object.startswith(OURS):
                name = normalise.path(deeds.program(event))
                named = self._named.program(number, deeds.program(event))
                yield PROGRAMS, name, ARGUMENT if named else name
        elif event.act is Act.OPEN:
            if event.result in _DONE and self._places.is_read(event.object, event.detail):
                yield READS, *self._path(number, event.object)
        elif event.act in _CHANGES | {Act.RENAME, Act.LINK}:
            if event.result not in _DONE:
                return
            names = [event.object] if event.act is not Act.LINK else []
            names += [event.detail] if event.act in {Act.RENAME, Act.LINK} else []
            for name in names:
                if self._places.is_write(name):
                    yield WRITES, *self._path(number, name)
        elif event.act in {Act.CONNECT, Act.SEND}:
            yield from self._connected(event, number)

    def _path(self, number: int, path: str) -> tuple[str, str]:
        normal = _resolved(path)
        value = self._named.path(number, normal, self._planted) if number else normal
        return normalise.path(normal), normalise.path(value)

    def _connected(self, event: KernelEvent, number: int) -> Iterator[tuple[str, str, str]]:
        """What the sink does not see: sockets of the machine, and all where there is no sink."""
        if event.object.startswith("unix:"):
            name = event.object.removeprefix("unix:")
            if name.endswith(_NAME_CACHE) or name.startswith(OURS) or not name.strip("@"):
                return
            shown = f"unix:{normalise.path(name)}"
            yield ENDPOINTS, shown, shown
            return
        address, port = hostnames.split_port(event.object)
        if not address or not port:
            return
        local = _is_loopback(address)
        if self._session.container.network is Network.SINK and not local:
            return
        if local:
            shown = normalise.local_endpoint(deeds.endpoint(address, port))
        else:
            shown = deeds.endpoint(address, port, datagrams=event.detail == "UDP")
        named = self._named.host(number, address) or (
            local and self._named.host(number, "localhost")
        )
        yield ENDPOINTS, shown, ARGUMENT if named else shown

    def _sink(self, event: SinkEvent) -> Iterator[tuple[str, str]]:
        """(plain value, value) of what arrived at the sink."""
        if event.kind is SinkKind.TAMPER:
            return
        host = hostnames.canonical(event.host)
        if not host or host in _OWN_NAMES or host.endswith((".arpa", ".localhost")):
            return
        port = event.port if event.kind in _CONNECTIONS | _DATAGRAMS else 0
        shown = deeds.endpoint(host, port, datagrams=event.kind in _DATAGRAMS)
        named = self._named.host(self._so_far(event), host)
        yield shown, ARGUMENT if named else shown


def _first_call(events: Sequence[KernelEvent] | Sequence[SinkEvent]) -> int:
    """The line of the first event that belongs to a call; beyond all where none does."""
    lines = [event.line for event in events if event.window is Window.CALL]
    return min(lines, default=max((event.line for event in events), default=0) + 1)


def _resolved(path: str) -> str:
    """Without ``..`` and double slashes, which a refused path may still hold; and not too deep."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in {"", "."}:
            parts.append(part)
    if len(parts) > MAX_LEVELS:
        parts[MAX_LEVELS:] = [normalise.ANY]
    return "/" + "/".join(parts)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in {"::1", "0.0.0.0", "::"}  # noqa: S104 - compared
