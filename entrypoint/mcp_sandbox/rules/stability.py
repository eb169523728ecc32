"""Servers that fall over, eat everything, or do not go away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mcp_sandbox.model import (
    Act,
    Call,
    CallStatus,
    Confidence,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    SessionEnd,
    StopStage,
    Tracing,
)
from mcp_sandbox.rules import witnessed
from mcp_sandbox.rules.context import VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import Learned, short

M, N = RiskClass.MEDIUM, RiskClass.NOTE

_UNANSWERED = frozenset({CallStatus.CLOSED, CallStatus.TIMEOUT, CallStatus.STUCK_WRITE})


def _last(session: Session) -> Call | None:
    calls = session.transcript.calls
    return calls[-1] if calls else None


def _during(session: Session, fact: str, message: str, call: Call | None) -> Hit:
    """A hit on the call that did it: the session's last one, where nothing tells better."""
    last = call is _last(session)
    return Hit(
        subject="server" if call is None else Made(session, call).subject,
        pointer=call.parameter if call else "",
        fact=fact,
        message=message + (f" The {'last ' if last else ''}call: {named(call)}." if call else ""),
        session=session,
        calls=(call,) if call else (),
    )


def named(call: Call) -> str:
    """A call for a message."""
    family = call.family if call.family == VALID else f"{call.family} {call.payload}"
    return f"“{quote(call.target, 80)}” with {family} input"


def _oom(session: Session) -> bool:
    return session.container.oom_killed or bool(session.container.cgroup.oom_kills)


@rule(
    RuleInfo(
        id="crash",
        title="A call ends the server",
        class_=M,
        evidence=Evidence.E3,
        what="The server ended while it should have answered, or hostile input ended one of its "
        "processes by a fault. One such input, from any model, takes its service away from all.",
        proof="The server's output closed before the answer, and its container had ended by "
        "itself; exit code and call in the message. For a process, the kernel's signal.",
        quiet_when="The server ended because we closed its input, or because memory ran out "
        "(reported as out-of-memory); a process was ended by another one, or ends so in ordinary "
        "calls too.",
        fix="Catch errors at the tool's edge and answer with an error result.",
        cwe=(248, 754),
    )
)
def crash(context: Context) -> Iterator[Hit]:
    """Sessions that the peer ended."""
    for session in context.sessions:
        transcript = session.transcript
        if transcript.end is not SessionEnd.EXITED or _oom(session):
            continue
        if not transcript.version and not transcript.calls:
            continue  # It never began: what happened is told by the coverage.
        code = session.container.exit_code
        signal = _fatal(session, _last(session))
        hit = _during(
            session,
            "crash",
            "The server ended by itself"
            + (f" with exit code {code}" if code is not None else ", or closed its output")
            + (f": {quote(signal.object, 40)}." if signal else "."),
            _last(session),
        )
        yield replace(hit, kernel=(signal,) if signal else ())
    yield from _child_crashes(context)


_FAULTS = re.compile(r"SIG(?:SEGV|BUS|ILL|FPE|ABRT|SYS|TRAP)")
"""Signals that a program brings upon itself; the others are sent."""


def _fatal(session: Session, call: Call | None) -> KernelEvent | None:
    """The signal that ended a process in a call's window."""
    return next(
        (
            event
            for event in session.container.kernel
            if event.act is Act.SIGNAL and call is not None and event.call == call.number
        ),
        None,
    )


def _child_crashes(context: Context) -> Iterator[Hit]:
    """Processes that a fault ended while the server went on."""
    learned = Learned(context, _fault)
    for did in context.did:
        fault = _fault(did.event)
        made = did.made
        if fault is None or made is None or made.call.family == VALID:
            continue
        ended = did.session.transcript.end is SessionEnd.EXITED
        if (ended and made.call == _last(did.session)) or _oom(did.session):
            continue  # The server itself: told already.
        if learned.unprompted(fault) or learned.in_calls(made, fault):
            continue
        name = short(did.event.program)
        yield Hit(
            subject=made.subject,
            pointer=made.call.parameter,
            fact=f"crash {name}",
            message=f"{named(made.call)} ended a process of the server, {quote(name, 80)}, by "
            f"{fault[0]}.",
            confidence=Confidence.MEDIUM,
            session=did.session,
            calls=(made.call,),
            kernel=(did.event,),
        )


def _fault(event: KernelEvent) -> tuple[str, str] | None:
    if event.act is not Act.SIGNAL:
        return None
    match = _FAULTS.search(f"{event.object} {event.result} {event.detail}")
    return (match[0], short(event.program)) if match else None


@rule(
    RuleInfo(
        id="out-of-memory",
        title="A call uses all memory",
        class_=M,
        evidence=Evidence.E3,
        what="The kernel killed a process of the server because its memory limit was reached.",
        proof="The engine's OOM flag or the kernel's counter for the container; where the record "
        "has it, the call in which the process was ended.",
        quiet_when="Memory stays under the limit. A note when the same call was answered in the "
        "untraced run: the tracer's own memory counts against the limit as well.",
        fix="Bound what one call may allocate: check sizes before reading and building.",
        cwe=(770, 789),
    )
)
def out_of_memory(context: Context) -> Iterator[Hit]:
    """Sessions whose container met the memory limit."""
    limit = context.observations.limits.memory // 2**20
    for session in context.sessions:
        if _oom(session):
            told = f"The kernel ended a process at the limit of {limit} MiB."
            killed = [event for event in _killed(session) if event.call]
            call = _numbered(session, killed[0].call) if killed else _last(session)
            hit = replace(_during(session, "memory", told, call), kernel=tuple(killed[:1]))
            yield replace(hit, class_=N) if _answered_untraced(context, session, call) else hit


def _answered_untraced(context: Context, session: Session, call: Call | None) -> bool:
    """The untraced run stayed under the limit, in this very call too."""
    others = [one for one in context.sessions if one.transcript.role == "untraced"]
    if call is None or session.container.tracing is Tracing.NONE or not others:
        return False
    return not any(_oom(other) for other in others) and any(
        (one.kind, one.target, one.parameter, one.family, one.payload)
        == (call.kind, call.target, call.parameter, call.family, call.payload)
        and one.status not in _UNANSWERED
        for other in others
        for one in other.transcript.calls
    )


def _killed(session: Session) -> Iterator[KernelEvent]:
    """Processes that were ended by SIGKILL although no process of the server sent one."""
    senders = {event.call for event in session.container.kernel if event.act is Act.KILL}
    for event in session.container.kernel:
        told = f"{event.object} {event.detail}"
        if event.act is Act.SIGNAL and "SIGKILL" in told and event.call not in senders:
            yield event


def _numbered(session: Session, number: int) -> Call | None:
    calls = session.transcript.calls
    return calls[number - 1] if 0 < number <= len(calls) else None


@rule(
    RuleInfo(
        id="pid-exhaustion",
        title="A call uses up all processes",
        class_=M,
        evidence=Evidence.E3,
        what="The kernel refused the server a new process or thread because its limit was reached.",
        proof="The kernel's counter for the container, or its refusal (EAGAIN).",
        quiet_when="The limit is not reached.",
        fix="Bound the processes and threads that one call may start.",
        cwe=(770, 400),
    )
)
def pid_exhaustion(context: Context) -> Iterator[Hit]:
    """Sessions whose container met the pids limit."""
    for session in context.sessions:
        refused = [
            event
            for event in session.container.kernel
            if event.act is Act.FORK and event.result == "EAGAIN"
        ]
        if not refused and not session.container.cgroup.pids_refused:
            continue
        call = _numbered(session, refused[0].call) if refused else _last(session)
        yield Hit(
            subject="server",
            fact="pids",
            message="The kernel refused new processes at the limit of "
            f"{context.observations.limits.pids}.",
            session=session,
            calls=_tuple(call),
            kernel=tuple(refused[:1]),
        )


def _tuple(call: Call | None) -> tuple[Call, ...]:
    return (call,) if call else ()


@rule(
    RuleInfo(
        id="survivor-process",
        title="The server does not end when its client leaves",
        class_=M,
        evidence=Evidence.E3,
        what="The server, or a process that it had started, went on after its input was closed, "
        "which is how a client says goodbye. It is medium when processes outlived the server's "
        "own, or SIGTERM did not end it either and processes were running beside it; a "
        "note when SIGTERM did, or when it was alone: the kernel gives process 1 no default for "
        "SIGTERM, so a server without a handler is deaf to it in a container.",
        proof="The stage at which the container ended, and the process lists before and after.",
        quiet_when="The server ends when its input is closed, or the session had broken off.",
        fix="Exit when standard input ends; handle SIGTERM (as process 1 it has no default).",
        cwe=(772,),
    )
)
def survivor_process(context: Context) -> Iterator[Hit]:
    """Sessions that were completed and had to be ended by force."""
    for session in context.sessions:
        stop = session.container.stop
        transcript = session.transcript
        if transcript.end is not SessionEnd.COMPLETED or not transcript.listings:
            continue  # broken off, or never begun
        left = _own_lines(session.container.survivors)
        if left:
            yield Hit(
                subject="server",
                fact="survivor",
                message=f"The server ended, and {len(left)} of its processes did not: "
                f"“{quote('; '.join(left[:3]), 200)}”.",
                session=session,
            )
        elif stop is StopStage.TERMINATED and session.transcript.http is not None:
            continue  # SIGTERM is how a server that listens is ended
        elif stop is StopStage.KILLED or stop is StopStage.TERMINATED:
            killed = stop is StopStage.KILLED
            alone = len(_own_lines(session.container.processes_at_end)) <= 1
            yield Hit(
                subject="server",
                fact="survivor",
                message="After its input was closed the server had to be "
                + ("killed; SIGTERM did not end it." if killed else "ended by SIGTERM."),
                class_=None if killed and not alone else N,
                session=session,
            )


def _own_lines(lines: tuple[str, ...]) -> list[str]:
    """Command lines of the server: without the tracer's, and without what has ended."""
    return [line for line in lines if not witnessed.is_ours(line) and "<defunct>" not in line]
