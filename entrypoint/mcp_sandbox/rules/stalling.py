"""Servers that stand still."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import CallStatus, Confidence, Evidence, Json, RiskClass, RuleInfo
from mcp_sandbox.nesting import deeper
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import ANSWERED, VALID, Context, Made
from mcp_sandbox.rules.registry import CUT, Hit, rule
from mcp_sandbox.rules.stability import named

M, N = RiskClass.MEDIUM, RiskClass.NOTE

_STALLED = frozenset({CallStatus.TIMEOUT, CallStatus.STUCK_WRITE})


@rule(
    RuleInfo(
        id="hang",
        title="A call is never answered",
        class_=M,
        evidence=Evidence.E3,
        what="A hostile input got no answer within the call's time while ordinary input does. "
        "When ordinary calls stall or are slow as well, or the tool or the parameter says that it "
        "takes long, it is a note: the sandbox gives no network to wait for. So it is when a "
        "message too deep or too long to be worked through in time does not keep the server from "
        "answering later ones.",
        proof="The call, its time limit run out, and the tool's ordinary calls answered.",
        quiet_when="The call is answered, be it with an error.",
        fix="Bound the work that one call may cause, and give up with an error result.",
        cwe=(400, 1333, 835),
    )
)
def hang(context: Context) -> Iterator[Hit]:
    """Calls that timed out, peers that stopped reading."""
    for made in context.made:
        if made.call.status not in _STALLED:
            continue
        ordinary = context.valid(made.subject)
        answers = any(valid.call.status in ANSWERED for valid in ordinary)
        dropped = _dropped(made)
        slow = any(valid.call.milliseconds > SLOW for valid in ordinary)
        mild = (
            made.call.family == VALID
            or not answers
            or slow
            or dropped
            or capability.waits(context, made)
        )
        stopped = made.call.status is CallStatus.STUCK_WRITE
        yield Hit(
            subject=made.subject,
            pointer=made.call.parameter,
            fact="hang",
            message=("The server stopped reading its input" if stopped else "No answer")
            + f" to {named(made.call)}"
            + ("" if answers else "; its ordinary calls are not answered either")
            + (", which is very deep or long; later ones are answered." if dropped else "."),
            class_=N if mild else None,
            confidence=Confidence.LOW if mild else Confidence.MEDIUM,
            session=made.session,
            calls=(made.call,),
        )


SLOW = 2_000
"""Milliseconds from which an ordinary call is slow by itself; most take a few."""


def _dropped(made: Made) -> bool:
    """A message too deep or too long was passed over, or cost its time: the server went on.

    Not at the next one, perhaps, which waits behind it and may be as long.
    """
    calls = made.session.transcript.calls
    return (
        made.call.status is CallStatus.TIMEOUT
        and _is_unreadable(made.call.arguments)
        and any(one.status in ANSWERED for one in calls[made.call.number :])
    )


def _is_unreadable(arguments: Json) -> bool:
    """Nested deeper than JSON readers go, or longer than what is kept of arguments."""
    if isinstance(arguments, dict) and CUT in arguments:
        return True
    return deeper(arguments, DEEP)


DEEP = 32
"""Levels of nesting that no ordinary argument has; somewhere above it readers of JSON give up."""
