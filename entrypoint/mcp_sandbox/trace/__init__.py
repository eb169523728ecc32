"""Reads the kernel's record of a server: the tracer's bytes in, typed events out. No I/O."""

from mcp_sandbox.trace.events import UNKNOWN, Completeness, Event
from mcp_sandbox.trace.reader import Reader, read

__all__ = ["UNKNOWN", "Completeness", "Event", "Reader", "read"]
