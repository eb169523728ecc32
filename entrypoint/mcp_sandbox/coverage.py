"""What a run evaluated, by tool, witness and scanner, and what keeps it below the floor.

The floor: the server answered; every listing is whole; every listed tool was called, with hostile
input too where it takes any, or is named with the reason it was not; not all of them refused all
that was asked; every witness that could be there is there, and the kernel's record of every main
session above all (of what an inner tracer was not shown, an outer one's); the server was asked with
nothing watching too, and over HTTP what only that can ask; no scanner failed, and those that were
asked for by name ran whole. Below it there is no score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    COMPLETE,
    NOT_USED,
    OPAQUE,
    Call,
    CallStatus,
    Coverage,
    ItemKind,
    Json,
    Moment,
    Network,
    Observations,
    ScannerRun,
    ScannerState,
    Session,
    SessionEnd,
    SinkKind,
    StopStage,
    ToolCoverage,
    ToolOutcome,
    Tracing,
    Witness,
)

MAIN = "main"
"""The role of the sessions that work through the plan; another one takes up where one broke off."""
UNTRACED = "untraced"
"""The role of the sessions that do the same with nothing watching."""
VALID = "valid"
NOT_OFFERED = "not offered"
MAX_REASON = 200

_ENDED = frozenset({CallStatus.CLOSED, CallStatus.TIMEOUT, CallStatus.STUCK_WRITE})
_ANSWERS = frozenset({CallStatus.RESULT, CallStatus.INPUT_REQUIRED})
_DEAD = frozenset({SessionEnd.NEVER_ANSWERED, SessionEnd.REFUSED})
_WHOLE = frozenset({SessionEnd.COMPLETED, SessionEnd.REFUSED})
"""Ends after which nothing of the plan is left: who refuses to open is asked nothing more."""
_NEEDS_LIFE = frozenset({Witness.TMPFS, Witness.TOP, Witness.CGROUP})
"""Witnesses that a server takes with it when it ends by itself."""

_CREDENTIALS = re.compile(
    r"\b(?:missing|invalid|require[sd]?|provided?|set|configure|expired|no|not|without|incorrect|needs?)"
    r"\b[^.\n]{0,60}\b(?:api.?keys?|(?:access |auth |bearer |api )?tokens?|credentials?"
    r"|secrets?|passwords?|log.?in|signed in)\b"
    r"|\b(?:api.?keys?|(?:access |auth |bearer |api )?tokens?|credentials?)\b[^.\n]{0,60}"
    r"\b(?:missing|invalid|required|expired|incorrect|rejected"
    r"|not (?:set|found|configured|valid|provided))\b"
    r"|\b(?:please|must|have to|need to|not) (?:first |be )?"
    r"(?:log(?:ged)?[ -]?in|sign(?:ed)?[ -]?in|authenticated?)\b"
    r"|\b(?:log ?in|sign ?in|authenticate) first\b"
    r"|\bunauthori[sz]ed\b|\bunauthenticated\b|\bauthentication (?:failed|required|error)\b"
    r"|(?<![\w.])401(?![\w.])",
    re.IGNORECASE,
)

_NETWORK = re.compile(
    r"\bssl/tls alert\b"
    r"|\bnetwork (?:is )?unreachable\b|\bENETUNREACH\b|\bECONNREFUSED\b|\bconnection refused\b"
    r"|\bEAI_AGAIN\b|\bENOTFOUND\b|\bgetaddrinfo\b|\bname resolution\b"
    r"|\bname or service not known\b|\bfetch failed\b|\bfailed to fetch\b"
    r"|\bconnection (?:attempts? failed|issue|error|failed|timed out)\b|\bConnectError\b"
    r"|\b(?:could not|cannot|failed to|unable to) (?:connect|resolve|reach)\b"
    r"|\bno connection to\b|\bnot connected to\b"
    r"|\b(?:must|need to|have to) (?:first )?connect to\b",
    re.IGNORECASE,
)
_CONNECTIONS = frozenset({SinkKind.HTTP, SinkKind.TLS, SinkKind.TCP, SinkKind.QUIC})
"""What the sink leads nowhere: a tool that needs the answer has its reason to refuse."""
_IDLE = frozenset({ToolOutcome.REFUSED, ToolOutcome.NOT_CALLABLE})
"""Outcomes of a tool that did nothing, for no reason that the sandbox explains."""

_BECAME = {
    ScannerState.PARTLY: "ran in part",
    ScannerState.FAILED: "failed",
    ScannerState.NOT_INSTALLED: "is not installed",
    ScannerState.NOT_USED: "was not used",
}


def measure(observations: Observations) -> Coverage:
    """Coverage of a run; ``missing`` is empty when the floor is reached."""
    mains = [one for one in observations.sessions if one.transcript.role == MAIN]
    tools = _tools(observations, mains)
    missing = [
        *_unanswered(observations, mains),
        *_listings(mains),
        *(
            f"The tool {name!r} was not reached: {tool.reason}."
            for name, tool in tools.items()
            if tool.outcome is ToolOutcome.NOT_REACHED
        ),
        *_nothing_done(tools),
        *_not_compared(observations.sessions, mains),
        *_not_asked(observations, mains),
    ]
    witnesses, lost = _witnesses(observations.sessions)
    scanners, unscanned = _scanners(observations.scanners, observations.scanners_requested)
    return Coverage(
        tools=tools,
        witnesses=witnesses,
        scanners=scanners,
        missing=(*missing, *lost, *unscanned),
    )


def _nothing_done(tools: dict[str, ToolCoverage]) -> Iterator[str]:
    """A server that refuses whatever it is asked was not tested, though every tool was called."""
    if tools and all(tool.outcome in _IDLE for tool in tools.values()):
        name, first = next(iter(tools.items()))
        yield f"No tool did any work: each refused every call ({name!r}: {first.reason[:100]})."


def _not_compared(sessions: tuple[Session, ...], mains: list[Session]) -> Iterator[str]:
    """How the untraced one ended is no matter here: a server that is silent then, evades."""
    if any(map(_answered, mains)) and all(one.transcript.role != UNTRACED for one in sessions):
        yield "No session was held with nothing watching."


def _not_asked(observations: Observations, mains: list[Session]) -> Iterator[str]:
    """What only HTTP can be asked, of a server that is spoken to over it."""
    if not any(one.transcript.http is not None and _answered(one) for one in mains):
        return
    if not observations.http:
        yield "Nothing was asked of what only HTTP can be asked."
    for checks in observations.http:
        if not any(one.status for one in checks.answers):
            yield f"No question over HTTP was answered at {checks.place.path[:MAX_REASON]}."
        elif checks.unasked:
            yield f"There was no time to ask over HTTP {', '.join(checks.unasked)}."


# --- the server and its listings ------------------------------------------------------------------


def _answered(session: Session) -> bool:
    transcript = session.transcript
    return transcript.end not in _DEAD and bool(transcript.listings or transcript.version)


def _unanswered(observations: Observations, mains: list[Session]) -> Iterator[str]:
    if any(_answered(session) for session in mains):
        return
    if mains and mains[-1].transcript.end is not SessionEnd.COMPLETED:
        transcript = mains[-1].transcript
        why = transcript.end_detail or transcript.end.value
    elif observations.attempts:
        why = observations.attempts[-1].outcome
    else:
        why = "it was not started"
    yield f"The server did not answer: {why[:MAX_REASON]}."


def _listings(mains: list[Session]) -> Iterator[str]:
    """A list counts when one main session has it whole, before the calls and after them."""
    answered = [session for session in mains if _answered(session)]
    if not answered:
        return
    for kind in ItemKind:
        for moment in Moment:
            states = [
                listing.state
                for session in answered
                for listing in session.transcript.listings
                if listing.kind is kind and listing.moment is moment
            ]
            if any(state in {COMPLETE, NOT_OFFERED} for state in states):
                continue
            when = "before" if moment is Moment.BEFORE else "after"
            why = states[-1] if states else _why_ended(answered[-1])
            yield f"The list of {kind.value} {when} the calls is not whole: {why[:MAX_REASON]}."


def _why_ended(session: Session) -> str:
    transcript = session.transcript
    detail = f" ({transcript.end_detail})" if transcript.end_detail else ""
    return f"the session ended: {transcript.end.value}{detail}"[:MAX_REASON]


# --- the tools ------------------------------------------------------------------------------------


def _tools(observations: Observations, mains: list[Session]) -> dict[str, ToolCoverage]:
    """Every tool that a main session was shown, by name."""
    shown, late = _shown(mains)
    calls: dict[str, list[Call]] = {}
    connected: set[str] = set()
    for session in observations.sessions:
        numbers = {one.call for one in session.container.sink if one.kind in _CONNECTIONS}
        for call in session.transcript.calls:
            if call.kind is ItemKind.TOOLS:
                calls.setdefault(call.target, []).append(call)
                if call.family == VALID and call.number in numbers:
                    connected.add(call.target)
    uncallable: dict[str, str] = {}
    for session in mains:
        uncallable |= session.transcript.not_called
    finished = any(one.transcript.end is SessionEnd.COMPLETED for one in mains)
    ended = "" if finished or not mains else _why_ended(mains[-1])
    found: dict[str, ToolCoverage] = {}
    for name in sorted(shown):
        if name in calls:
            found[name] = _outcome(shown[name], calls[name], ended, connects=name in connected)
        elif name in uncallable:
            found[name] = ToolCoverage(ToolOutcome.NOT_CALLABLE, uncallable[name][:MAX_REASON])
        else:
            why = ended or ("it was listed only after the calls" if name in late else "no call")
            found[name] = ToolCoverage(ToolOutcome.NOT_REACHED, why)
    return found


def _shown(mains: list[Session]) -> tuple[dict[str, Json], set[str]]:
    """The listed tools by name, and the names that only a second listing held."""
    shown: dict[str, Json] = {}
    late: set[str] = set()
    for session in mains:
        for listing in session.transcript.listings:
            if listing.kind is not ItemKind.TOOLS:
                continue
            for item in listing.items:
                if isinstance(item, dict) and isinstance(item.get("name"), str):
                    if listing.moment is Moment.AFTER and item["name"] not in shown:
                        late.add(item["name"])
                    shown.setdefault(item["name"], item)
    return shown, late


def _outcome(
    item: dict[str, Json], calls: list[Call], ended: str, *, connects: bool
) -> ToolCoverage:
    """``ended``: why the plan was not done; empty when it was. ``connects``: ordinary calls do."""
    ordinary = [call for call in calls if call.family == VALID]
    works = any(call.status in _ANSWERS for call in ordinary)
    count = len(calls)
    stalled = next((call for call in ordinary if call.status in _ENDED), None)
    if stalled is not None and not works:
        reason = f"its ordinary call: {stalled.status.value}"
        return ToolCoverage(ToolOutcome.CRASHED, reason, count)
    if ended and len(ordinary) == count and _takes_input(item):
        reason = f"only ordinary calls were made; {ended}"[:MAX_REASON]
        return ToolCoverage(ToolOutcome.NOT_REACHED, reason, count)
    speaks = next((match for call in ordinary if (match := _CREDENTIALS.search(call.reply))), None)
    if speaks and not works:
        reason = f"its ordinary call: {speaks[0]}"[:MAX_REASON]
        return ToolCoverage(ToolOutcome.NEEDS_CREDENTIALS, reason, count)
    if not any(call.status in _ANSWERS for call in calls):
        first = (ordinary or calls)[0]
        reason = f"{first.status.value}: {first.reply}"[:MAX_REASON]
        unreached = connects or any(speaks_of_network(call.reply) for call in ordinary)
        outcome = ToolOutcome.NEEDS_NETWORK if unreached else ToolOutcome.REFUSED
        return ToolCoverage(outcome, reason, count)
    return ToolCoverage(ToolOutcome.CALLED, "", count)


def speaks_of_network(reply: str) -> bool:
    """Whether an error names the missing network as its cause."""
    return _NETWORK.search(reply) is not None


def _takes_input(item: dict[str, Json]) -> bool:
    schema = item.get("inputSchema")
    return isinstance(schema, dict) and bool(schema.get("properties"))


# --- the witnesses --------------------------------------------------------------------------------


def _witnesses(sessions: tuple[Session, ...]) -> tuple[dict[str, str], list[str]]:
    """Witness -> complete or why not, over all sessions; and what is below the floor."""
    states: dict[str, str] = {}
    lost: list[str] = []
    outside = _seen_from_outside(sessions)
    for witness in Witness:
        told: list[str] = []
        used = False
        for session in sessions:
            state = session.container.witnesses.get(witness.value, "")
            if state == NOT_USED and _may_be_absent(witness, session):
                continue
            used = True
            if state == COMPLETE:
                continue
            role = session.transcript.role
            why = f"{role}: {state or 'no word of it'}"[:MAX_REASON]
            told.append(why)
            if witness is Witness.TRACE and state == NOT_USED:
                lost.append(f"The kernel's record was not taken: {role}.")
            elif not (
                (witness in _NEEDS_LIFE and _ended_by_itself(session))
                or (witness is Witness.TRACE and _blind(session) and role in outside)
            ):
                lost.append(f"The witness {witness.value!r} is not complete: {why}.")
        if sessions:
            told = list(dict.fromkeys(told))
            states[witness.value] = "; ".join(told) or (COMPLETE if used else NOT_USED)
    return states, list(dict.fromkeys(lost))


def _blind(session: Session) -> bool:
    """The tracer inside the container was shown nothing of some program."""
    state = session.container.witnesses.get(Witness.TRACE, "")
    return session.container.tracing is Tracing.INSIDE and state.startswith(OPAQUE)


def _seen_from_outside(sessions: tuple[Session, ...]) -> frozenset[str]:
    """Roles whose whole plan was done under a tracer outside, with nothing missing."""
    return frozenset(
        session.transcript.role
        for session in sessions
        if session.container.tracing is Tracing.OUTSIDE
        and session.container.witnesses.get(Witness.TRACE) == COMPLETE
        and session.transcript.end in _WHOLE
    )


def _may_be_absent(witness: Witness, session: Session) -> bool:
    """Done without on purpose: a second look with nothing watching, a run with no route at all."""
    if witness is Witness.TRACE:
        return session.transcript.role != MAIN
    return witness is Witness.SINK and session.container.network is not Network.SINK


def _ended_by_itself(session: Session) -> bool:
    return session.transcript.end is SessionEnd.EXITED or session.container.stop is StopStage.EXITED


# --- the scanners ---------------------------------------------------------------------------------


def _scanners(
    runs: tuple[ScannerRun, ...], requested: tuple[str, ...]
) -> tuple[dict[str, str], list[str]]:
    """Scanner -> what became of it; and what is below the floor.

    A scanner that nobody asked for by name may be absent or do a part: that is told, and no more.
    """
    states: dict[str, str] = {}
    lost: list[str] = []
    wanted = {name.casefold() for name in requested}
    for run in sorted(runs, key=lambda one: one.tool):
        why = f": {run.why[:MAX_REASON].rstrip('.')}" if run.why else ""
        states[run.tool] = COMPLETE if run.state is ScannerState.RAN else f"{run.state.value}{why}"
        asked = run.tool.casefold() in wanted
        if run.state is ScannerState.FAILED or (asked and run.state is not ScannerState.RAN):
            lost.append(f"The scanner {run.tool} {_BECAME[run.state]}{why}.")
    told = {run.tool.casefold() for run in runs}
    lost += [
        f"The scanner {name!r} was asked for and did not run."
        for name in sorted(requested, key=str.casefold)
        if name.casefold() not in told
    ]
    return states, lost
