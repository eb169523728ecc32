"""The plans of a run: what every session is to do, as whom, and how long it may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from mcp_sandbox.model import (
    Era,
    Identity,
    Json,
)
from mcp_sandbox.pipeline.running import Tools
from mcp_sandbox.probe.answers import ALL_CAPABILITIES
from mcp_sandbox.probe.plan import Plan

IDLE = 1.0
"""Seconds of waiting before the calls and after them, to see what is done unprompted."""

MAIN = Identity("claude-code", "2.1.0", ALL_CAPABILITIES)
"""A real host's name: a server may behave for names that smell of a test."""
OTHER = replace(MAIN, name="Visual Studio Code", version="1.106.0")
"""Another host, with the same capabilities: what differs is owed to the name alone."""


@dataclass
class Plans:
    """Makes the plans of a run: the same targets, and what is left of the time."""

    tools: Tools
    deadline: float
    known: dict[str, tuple[Json, ...]] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the probing has to be done."""
        return max(1.0, self.deadline - time.monotonic())

    def make(self, role: str, era: Era, identity: Identity) -> Plan:
        """The whole plan of a role."""
        settings, targets = self.tools.settings, self.tools.targets
        return Plan(
            role=role,
            era=era,
            identity=replace(identity, roots=(*targets.directories, *identity.roots)),
            targets=targets,
            start_timeout=settings.start_timeout,
            call_timeout=settings.call_timeout,
            session_timeout=self.left,
            max_calls=settings.max_calls,
            idle=IDLE,
            known=self.known,
        )
