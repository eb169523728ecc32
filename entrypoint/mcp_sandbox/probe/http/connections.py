"""The connections of one conversation: one kept for the next request, all given up at the end."""

from __future__ import annotations

import threading

from mcp_sandbox.model import Dial
from mcp_sandbox.probe.http.exchange import Broken, Exchange


class Connections:
    """Opens, keeps and closes connections to one port. Any thread may call any method."""

    def __init__(self, port: int, dial: Dial) -> None:
        self._port = port
        self._dial = dial
        self._guard = threading.Lock()
        self._open: set[Exchange] = set()
        self._idle: Exchange | None = None
        self.closed = False
        self.asking: Exchange | None = None
        """The one on which an answer is awaited before the next line is sent."""

    def take(self, deadline: float) -> Exchange:
        """The kept connection, unless the peer has closed it since: no request is sent twice."""
        with self._guard:
            idle, self._idle = self._idle, None
        if idle is None:
            return self.fresh(deadline)
        if not idle.closed_by_peer:
            return idle
        self.drop(idle)
        return self.fresh(deadline)

    def fresh(self, deadline: float) -> Exchange:
        """A new connection. Raises ``Broken``, ``TimeoutError``."""
        try:
            made = Exchange(self._dial(self._port, deadline))
        except ConnectionError as error:
            raise Broken(f"no connection ({error})") from error
        with self._guard:
            if not self.closed:
                self._open.add(made)
                return made
        made.close()
        raise Broken("it is over")

    def keep(self, exchange: Exchange) -> None:
        """Keep it for the next request where that is possible; close it otherwise."""
        if exchange in self._open and exchange.reusable():
            with self._guard:
                if self._idle is None and exchange in self._open:
                    self._idle = exchange
                    return
        self.drop(exchange)

    def holds(self, exchange: Exchange) -> bool:
        """Whether it was not dropped."""
        return exchange in self._open

    def drop(self, exchange: Exchange) -> None:
        """Close one."""
        with self._guard:
            self._open.discard(exchange)
            if self._idle is exchange:
                self._idle = None
        exchange.close()

    def over(self) -> tuple[Exchange, ...] | None:
        """Open none any more; those to be closed, or ``None`` when it was over already."""
        with self._guard:
            if self.closed:
                return None
            self.closed = True
            exchanges, self._open = tuple(self._open), set()
        return exchanges
