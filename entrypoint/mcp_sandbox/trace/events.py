"""What the reader gives back: one call, and how whole the record was."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sandbox.model import Act

UNKNOWN = "?"
"""The object of a call whose argument the tracer could not read."""


@dataclass(frozen=True, slots=True)
class Event:
    """One call of one process, joined from its two halves where other processes came between."""

    line: int
    """Where the call began in the trace; the first line is 1."""
    at: float
    """When the call began, seconds since the epoch by the tracer's clock."""
    pid: int
    act: Act
    object: str
    """As documented at ``model.KernelEvent.object``; ``?`` where the tracer could not read it."""
    result: str
    """``ok`` or the errno's name. A call that was broken off has ``EINTR``."""
    program: str
    """The program that the process runs: for an exec, the one before it."""
    argv: tuple[str, ...] = ()
    detail: str = ""
    """The name as it was asked for where it differs; mode, request, flags of other calls."""
    other: str = ""
    """The second name of a rename, link or mount; the flags of an open."""


@dataclass(frozen=True)
class Completeness:
    """Whether the whole life of the server is in the trace."""

    began: bool
    """The start of the server's own program was seen, from behind the gate."""
    ended: bool
    exit: str
    """``exited with N`` or ``killed by SIGNAL``, of the first process."""
    lines: int
    bytes: int
    opaque: tuple[str, ...]
    """Programs with calls whose arguments the tracer could not read."""
    lost: tuple[str, ...]
    """What could not be read: the first few as samples, then how many more."""

    @property
    def why(self) -> str:
        """Why the record is not whole, in one sentence; empty when it is."""
        if not self.began:
            return "the start of the server is not in the trace"
        if self.lost:
            return f"a part of the trace could not be read: {self.lost[0]}"
        if self.opaque:
            return f"the tracer could not read the arguments of {', '.join(self.opaque[:3])}"
        if not self.ended:
            return "the end of the server is not in the trace"
        return ""
