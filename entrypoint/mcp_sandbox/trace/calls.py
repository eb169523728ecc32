"""Which calls matter, and how one record of them is read: a pure function of its bytes."""

from __future__ import annotations

from mcp_sandbox.trace import files, sockets, tasks
from mcp_sandbox.trace.record import Call, Handler, split

HANDLERS: dict[bytes, Handler] = {**files.CALLS, **sockets.CALLS, **tasks.CALLS}
"""The calls that matter; all others are passed over unread."""

FORKS = frozenset((b"fork", b"vfork", b"clone", b"clone3"))


def read_call(record: bytes) -> Call | None:
    """A whole record without pid and time; None when it says nothing that counts.

    Raises ``Unreadable`` for a call that matters and is not written as the tracer writes it.
    """
    if call := files.plain_open(record):
        return call
    handler = HANDLERS.get(record[: record.find(b"(")])
    if handler is None:
        return None
    body, result = split(record)
    return handler(body, result)
