"""What a report says of one server: whether it started, what it listed, what its tools accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from mcp_sandbox import coverage
from mcp_sandbox.model import (
    COMPLETE,
    Act,
    Call,
    CallStatus,
    ItemKind,
    Listing,
    Moment,
    Session,
    SinkKind,
    ToolOutcome,
)
from mcp_sandbox.model.answer import Report

MAIN = "main"
VALID = "valid"
MAX_WORDS = 300
"""Characters kept of what a tool or a server said."""

_NOT_BUILT = re.compile(r"The image (?:could not be|was not) built\b")
_RULE = "------"
_TIME = re.compile(r"^\d+\.\d+ ")
_ACCEPTED = frozenset({CallStatus.RESULT, CallStatus.INPUT_REQUIRED})
_CONNECTIONS = frozenset({SinkKind.HTTP, SinkKind.TLS, SinkKind.TCP, SinkKind.QUIC})


@dataclass(frozen=True)
class Measured:
    """One server in figures."""

    source: str
    version: str
    """Of the scanner."""
    commit: str
    """That the scanner was run from."""
    seconds: float
    """Of the whole scan, the image's build included."""
    probing: int = 0
    """Seconds that the probing was given."""
    listed: bool = False
    """It answered, and its list of tools arrived whole."""
    reason: str = ""
    """Why not: the scanner's own word for it."""
    detail: str = ""
    transport: str = ""
    first_answer_ms: float = 0.0
    tools: int = 0
    called: int = 0
    """Tools that a valid input was sent to."""
    accepted: int = 0
    """Those that answered one with a result that is no error."""
    outside: int = 0
    """Those that answered with an error because a network, a service or a real key is missing."""
    refused: dict[str, str] = field(default_factory=dict)
    """The others: tool -> what it said."""
    invented: tuple[str, ...] = ()
    """Settings that the scanner made up."""
    restarts: int = 0
    memory_peak: int = 0
    """Bytes, the most of any session."""
    verdict: str = ""
    score: float | None = None


def measure(
    report: Report, *, source: str, commit: str, seconds: float, said: str = ""
) -> Measured:
    """The figures of one scan that took ``seconds``; ``said`` is what it wrote on its way."""
    begun = Measured(source, report.versions.get("mcp-sandbox", ""), commit, seconds)
    seen = report.observations
    if seen is None:
        reason = "image not built" if _NOT_BUILT.match(report.error) else "no report"
        return replace(begun, reason=reason, detail=_words(_supporting(said) or report.error))
    mains = [one for one in seen.sessions if one.transcript.role == MAIN]
    peak = max((one.container.cgroup.memory_peak or 0 for one in seen.sessions), default=0)
    begun = replace(
        begun,
        invented=tuple(one.name for one in seen.launch.invented),
        restarts=seen.launch.restarts,
        memory_peak=peak,
        verdict=report.verdict.value,
        score=report.score,
    )
    listing = _tools(mains)
    if listing is None or listing.state != COMPLETE:
        why = seen.launch.reason
        return replace(
            begun,
            reason=why.value if why else (listing.state if listing else "no reason given"),
            detail=_words(seen.attempts[-1].stderr or seen.attempts[-1].outcome),
        )
    first = mains[0].transcript
    tools = report.coverage.tools
    calls = _ordinary(mains)
    accepted = {name for name, made in calls.items() if any(map(_is_accepted, made))}
    left = calls.keys() - accepted
    unreached = _connecting(mains)
    outside = {
        name
        for name in left
        if name in unreached
        or (name in tools and tools[name].outcome is ToolOutcome.NEEDS_CREDENTIALS)
        or any(coverage.speaks_of_network(call.reply) for call in calls[name])
    }
    return replace(
        begun,
        listed=True,
        transport=first.http.place.transport.value if first.http else "stdio",
        first_answer_ms=first.first_answer_ms,
        tools=len(tools),
        called=len(calls),
        accepted=len(accepted),
        outside=len(outside),
        refused={
            name: f"{calls[name][0].status.value}: {calls[name][0].reply}"[:MAX_WORDS]
            for name in sorted(left - outside)
        },
    )


def _tools(mains: list[Session]) -> Listing | None:
    """The first list of tools."""
    for session in mains:
        for listing in session.transcript.listings:
            if (listing.kind, listing.moment) == (ItemKind.TOOLS, Moment.BEFORE):
                return listing
    return None


def _ordinary(mains: list[Session]) -> dict[str, list[Call]]:
    """Tool -> its calls with a valid input."""
    found: dict[str, list[Call]] = {}
    for session in mains:
        for call in session.transcript.calls:
            if call.kind is ItemKind.TOOLS and call.family == VALID:
                found.setdefault(call.target, []).append(call)
    return found


def _connecting(mains: list[Session]) -> set[str]:
    """Tools that a valid input made connect: to the sink, or to a service that is not there.

    Where calls that went well connect to as well (a service that counts them, say), explains no
    error.
    """
    usual: set[str] = set()
    reached: dict[str, set[str]] = {}
    for session in mains:
        box = session.container
        places: dict[int, set[str]] = {}
        for arrived in box.sink:
            if arrived.kind in _CONNECTIONS:
                places.setdefault(arrived.call, set()).add(f"{arrived.host}:{arrived.port}")
        for event in box.kernel:
            if event.act is Act.CONNECT and event.detail == "TCP":
                places.setdefault(event.call, set()).add(event.object)
        for call in session.transcript.calls:
            if call.kind is ItemKind.TOOLS and call.family == VALID and call.number in places:
                if _is_accepted(call):
                    usual |= places[call.number]
                else:
                    reached.setdefault(call.target, set()).update(places[call.number])
    return {name for name, found in reached.items() if found - usual}


def _is_accepted(call: Call) -> bool:
    return call.status in _ACCEPTED


def _supporting(said: str) -> str:
    """What stands behind the bar that details of an error have; of a build, the step that failed.

    A builder repeats that step's last lines between two rules, each behind its time in seconds.
    """
    behind = [line[4:] for line in said.splitlines() if line.startswith("  | ")]
    rules = [place for place, line in enumerate(behind) if line == _RULE]
    if not rules[1:]:
        return "\n".join(behind)
    step = behind[rules[-2] + 1 : rules[-1]]
    return "\n".join(_TIME.sub("", line) for line in step[1:])


def _words(text: str) -> str:
    """The last of them, in one line."""
    return " ".join(text[-4 * MAX_WORDS :].split())[-MAX_WORDS:]
