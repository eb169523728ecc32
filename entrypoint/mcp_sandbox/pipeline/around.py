"""What else a server offers on its network: another transport, and who may call it.

Asked of a container of its own, so that no question stands in another session's record. Another
transport that is found gets a session, with ordinary calls and no hostile ones: what a server tells
over the one and not over the other is seen by comparing the two.
"""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import HttpChecks, OAuthFacts, Place, Reached, Relaxation, Tracing, Transport
from mcp_sandbox.pipeline.plans import Plans
from mcp_sandbox.pipeline.running import Held, Running, Tools
from mcp_sandbox.probe.http.detect import Found
from mcp_sandbox.probe.plan import Plan

ROLE = "transport"
PATIENCE = 10.0
"""Seconds that a fresh container has to listen again where the first one did."""

_OTHERS = {
    Transport.STDIO: Transport.AUTO,
    Transport.HTTP: Transport.SSE,
    Transport.SSE: Transport.HTTP,
}
"""The transport that a server was reached over -> what is looked for besides."""


class Around:
    """One look, and the session that it may lead to."""

    def __init__(
        self,
        tools: Tools,
        plans: Plans,
        plan: Plan,
        relaxation: Relaxation,
        ports: frozenset[int],
    ) -> None:
        """``tools.place``: where the main session was held. ``ports``: those that listened then."""
        self.held = Held()
        self.found = Found(None)
        self.oauth: OAuthFacts | None = None
        self.http: list[HttpChecks] = []
        self._tools = tools
        self._plans = plans
        self._plan = replace(plan, role=ROLE, hostile=False, idle=0.0)
        self._relaxation = relaxation
        self._ports = ports
        self._names = tools.name("around"), tools.name(ROLE)

    def run(self) -> None:
        """Look, and hold the session. Raises ``SandboxError``."""
        place = self._tools.place
        self._look(place)
        if self.found.place is None:
            return
        tools = replace(self._tools, place=self.found.place)
        plan = replace(self._plan, session_timeout=self._plans.left)
        running = Running(tools, plan, self._relaxation, name=self._names[1])
        with running.keeping(self.held):
            running.open(self._plans.left)
        running.work(self.held)

    def told(self, reached: Reached) -> Reached:
        """How the server was reached, with what was found besides."""
        found = self.found
        why = "" if found.place else found.why[:200]
        return replace(reached, also=found.place, why_not=why)

    def _look(self, place: Place | None) -> None:
        # The standard streams stay open and are asked nothing where the server is spoken to over
        # HTTP; over them, some begin to listen only once they have been greeted.
        tools = replace(self._tools, place=None)
        running = Running(tools, self._plan, self._relaxation, Tracing.NONE, name=self._names[0])
        with running.keeping(self.held):
            if place is None:
                running.open(self._plans.left)
            transport = place.transport if place else Transport.STDIO
            running.await_ports(self._ports, PATIENCE)
            if self._tools.settings.transport is Transport.AUTO:
                self.found = running.look_once(_OTHERS[transport])
            if where := place or self.found.place or self.found.locked:
                self.oauth = running.oauth(where)
            # Last, for these questions may end a server.
            for one in dict.fromkeys((where, self.found.place)):
                if one is not None:
                    self.http.append(running.strangers(one, self._plans.left))
            running.close()
