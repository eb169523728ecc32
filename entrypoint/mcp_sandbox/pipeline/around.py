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
    Transport.STDIO: (Transport.HTTP, Transport.SSE),
    Transport.HTTP: (Transport.SSE,),
    Transport.SSE: (Transport.HTTP,),
}
"""The transport that a server was reached over -> what is looked for besides."""


class Around:
    """One look, and the sessions that it may lead to."""

    def __init__(
        self,
        tools: Tools,
        plans: Plans,
        plan: Plan,
        relaxation: Relaxation,
        ports: frozenset[int],
    ) -> None:
        """``tools.place``: where the main session is held. ``ports``: those that listened then."""
        self.held = Held()
        self.oauth: OAuthFacts | None = None
        self.http: list[HttpChecks] = []
        self._tools = tools
        self._plans = plans
        self._plan = replace(plan, role=ROLE, hostile=False, idle=0.0)
        self._relaxation = relaxation
        self._ports = ports
        self._found: list[Found] = []
        self._name = tools.name("around")
        over = tools.place.transport if tools.place else Transport.STDIO
        wanted = _OTHERS[over] if tools.settings.transport is Transport.AUTO else ()
        self._wanted = {one: tools.name(ROLE) for one in wanted}

    def run(self) -> None:
        """Look, and hold the sessions. Raises ``SandboxError``."""
        self._look(self._tools.place)
        for place in self._places:
            tools = replace(self._tools, place=place)
            plan = replace(self._plan, session_timeout=self._plans.left)
            name = self._wanted[place.transport]
            running = Running(tools, plan, self._relaxation, name=name)
            with running.keeping(self.held):
                running.open(self._plans.left)
            transcript = running.work(self.held)
            if not transcript.listings:
                why = f"{transcript.end.value}: {transcript.end_detail}".strip(": ")
                self.held.left_out.append(f"session {ROLE}: over {place.transport}: {why[:200]}")

    @property
    def _places(self) -> tuple[Place, ...]:
        return tuple(one.place for one in self._found if one.place is not None)

    def told(self, reached: Reached) -> Reached:
        """How the server was reached, with what was found besides."""
        why = "" if self._places or not self._found else self._found[0].why[:200]
        return replace(reached, also=self._places, why_not=why)

    def _look(self, place: Place | None) -> None:
        # The standard streams stay open and are asked nothing where the server is spoken to over
        # HTTP; over them, some begin to listen only once they have been greeted.
        tools = replace(self._tools, place=None)
        running = Running(tools, self._plan, self._relaxation, Tracing.NONE, name=self._name)
        with running.keeping(self.held):
            if place is None:
                running.open(self._plans.left)
            running.await_ports(self._ports, PATIENCE)
            self._found = [running.look_once(wanted) for wanted in self._wanted]
            locked = [one.locked for one in self._found if one.locked is not None]
            asked = dict.fromkeys(([place] if place else []) + [*self._places, *locked[:1]])
            if asked:
                self.oauth = running.oauth(next(iter(asked)))
            # Last, for these questions may end a server.
            for one in asked:
                self.http.append(running.strangers(one, self._plans.left))
            running.close()
