"""What one start of a server left behind, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sandbox.model import SessionEnd, Transport
from mcp_sandbox.model.launch import Needed, StartReason

MAX_NAMED = 6
"""Settings that an outcome names."""


@dataclass(frozen=True)
class Seen:
    """What one start that was not answered left behind."""

    end: SessionEnd | None
    """``None``: the engine could not start it."""
    detail: str = ""
    """The engine's words, or how the conversation ended."""
    exit_code: int | None = None
    oom_killed: bool = False
    stderr: str = ""
    stdout: str = ""
    """The beginning of what it printed that was no message, as the breaches hold it."""
    ports: tuple[int, ...] = ()
    """Where it listened."""
    found: str = ""
    """What was found where it listens."""
    needs_credentials: bool = False
    """It listens, and answers only whom it knows."""
    wanted: Transport = Transport.AUTO
    told_stdio: bool = False
    """Its arguments name its standard streams already."""
    hosts: tuple[str, ...] = ()
    """Hosts that it asked the network for."""
    services: tuple[str, ...] = ()
    """``ADDRESS:PORT`` on its own machine that it asked for, and does not listen on."""
    image_architecture: str = ""
    machine: str = ""
    """The engine's architecture, in the engine's words."""
    start_timeout: float = 30.0
    memory: int = 0
    """Its limit in bytes; 0 when it is not known."""
    source: str = ""
    """What its image was made of: ``pypi``, ``npm``, …; empty for one that was given."""


@dataclass(frozen=True)
class Failure:
    """Why it did not start."""

    reason: StartReason
    what: str
    """A clause without its full stop."""
    way_out: str
    needed: tuple[Needed, ...] = ()
    """Settings that it says it lacks."""

    @property
    def outcome(self) -> str:
        """The reason with the settings' names: the same for two runs of one image."""
        names = ", ".join(one.name for one in self.needed[:MAX_NAMED])
        missing = self.reason is StartReason.MISSING_SETTING and names
        return f"{self.reason.value}: {names}" if missing else self.reason.value
