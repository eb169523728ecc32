"""Who asks a server what only HTTP can be asked: the requests of a client nobody has seen yet."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sandbox.model import Era, Identity, Json, Place, Transport
from mcp_sandbox.probe.eras import opening_request, with_meta
from mcp_sandbox.probe.http.exchange import Headers, Request
from mcp_sandbox.probe.http.requests import Requests
from mcp_sandbox.probe.wire import encode


@dataclass(frozen=True)
class Stranger:
    """Makes requests of one era."""

    place: Place
    era: Era
    identity: Identity
    own: Headers = ()
    """Headers that the user gave, credentials among them."""

    @property
    def older(self) -> bool:
        """The transport of 2024-11-05."""
        return self.place.transport is Transport.SSE

    def requests(self) -> Requests:
        """Those of a new client."""
        agent = f"{self.identity.name}/{self.identity.version}"
        return Requests(self.place, self.era, agent, self.own)

    def opening(self) -> Request:
        """How a client begins."""
        if self.older:
            return self.requests().stream(self.place.path)
        return self.greeting(self.requests(), 1)

    def greeting(self, requests: Requests, id_: int | str) -> Request:
        """The opening request of a client that knows where to post."""
        return self.post(requests, *opening_request(self.era, self.identity), id_=id_)

    def post(
        self, requests: Requests, method: str, params: dict[str, Json], *, id_: int | str
    ) -> Request:
        """A request of a client."""
        params = with_meta(self.era, self.identity, params)
        message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
        return requests.post(encode(message), message)

    def initialized(self, requests: Requests) -> Request:
        """The end of the handshake."""
        message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        return requests.post(encode(message), message)
