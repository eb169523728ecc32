"""One HTTP/1.1 exchange with a peer that may send anything.

``h11`` has the grammar; here are the bounds: of headers, of interim answers, of the body, of time.
Bodies are never inflated (nothing but identity is asked for), redirects are never followed, and
nothing of the environment is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import h11

from mcp_sandbox.model import Connection

MAX_HEADERS = 64 * 2**10
"""Bytes of a status line and its headers."""
MAX_INTERIM = 8
"""Interim answers (1xx) before the real one."""

MAX_REST = 64 * 2**10
"""Bytes read of a body after what was wanted of it, to use the connection again."""

Headers = tuple[tuple[str, str], ...]


class Broken(Exception):
    """The peer broke HTTP, or the connection; the text says how."""


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True)
class Head:
    """Status line and headers of an answer. Names are lower case, values as sent (Latin-1)."""

    status: int
    headers: Headers
    version: str

    def get(self, name: str) -> str:
        """The first header of that name; empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def media_type(self) -> str:
        """``Content-Type`` without its parameters, lower case."""
        return self.get("content-type").partition(";")[0].strip().lower()


class Exchange:
    """A connection on which one request after another is made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)
        self._first = True
        self._beginning = b""

    def ask(self, request: Request, deadline: float) -> Head:
        """Send a request, wait for the head of its answer. Raises ``Broken``, ``TimeoutError``."""
        self._first, self._beginning = True, b""
        headers = list(request.headers)
        if request.body:
            headers.append(("Content-Length", str(len(request.body))))
        try:
            head = h11.Request(
                method=request.method,
                target=request.path.encode("latin-1", "replace"),
                headers=[
                    (key.encode(), value.encode("latin-1", "replace")) for key, value in headers
                ],
            )
            data = self._state.send(head) or b""
            if request.body:
                data += self._state.send(h11.Data(data=request.body)) or b""
            data += self._state.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise Broken(f"the request could not be made: {error}") from error
        self._transmit(data, deadline)
        for _ in range(MAX_INTERIM + 1):
            event = self._next(deadline)
            if isinstance(event, h11.Response):
                return Head(
                    event.status_code,
                    tuple(
                        (name.decode("latin-1"), value.decode("latin-1"))
                        for name, value in event.headers
                    ),
                    event.http_version.decode("latin-1"),
                )
            if not isinstance(event, h11.InformationalResponse):
                raise Broken("the connection ended before an answer")
        raise Broken(f"more than {MAX_INTERIM} interim answers")

    def body(self, deadline: float) -> Iterator[bytes]:
        """The answer's body, piece by piece. Raises ``Broken``, ``TimeoutError``."""
        while True:
            event = self._next(deadline)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise Broken("the connection ended inside a body")

    def finish(self, deadline: float) -> bool:
        """Read what is left of a body that nobody needs; false when that is too much."""
        left = MAX_REST
        try:
            for piece in self.body(deadline):
                left -= len(piece)
                if left < 0:
                    return False
        except (Broken, TimeoutError):
            return False
        return True

    def reusable(self) -> bool:
        """Make it ready for another request; false when the peer has closed, or wants to."""
        try:
            self._state.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return not self._state.trailing_data[0]

    @property
    def closed_by_peer(self) -> bool:
        """Nothing can be asked on it any more."""
        return self._connection.ended

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def _transmit(self, data: bytes, deadline: float) -> None:
        try:
            self._connection.send(data, deadline)
        except ConnectionError as error:
            raise Broken(f"the connection broke ({error})") from error

    def _next(self, deadline: float) -> h11.Event:
        while True:
            try:
                event = self._state.next_event()
                if isinstance(event, h11.Event):
                    return event
                if event is h11.PAUSED:
                    raise Broken("more came than one answer")
                data = self._connection.recv(deadline)
                if self._first:
                    self._beginning += data[:5]
                    self._first = len(self._beginning) < 5 and bool(data)  # noqa: PLR2004
                    if not b"HTTP/".startswith(self._beginning[:5]):
                        raise Broken("what came is no HTTP/1.1: another protocol")
                self._state.receive_data(data)
            except h11.RemoteProtocolError as error:
                if self._state.their_state is h11.ERROR and "ConnectionClosed" in str(error):
                    raise Broken("the connection ended before an answer") from error
                raise Broken(f"what came is no HTTP/1.1: {error}") from error
            except ConnectionError as error:
                raise Broken(f"the connection broke ({error})") from error
