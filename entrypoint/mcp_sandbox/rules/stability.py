"""Servers that fall over, stand still, eat everything, or do not go away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    Call,
    CallStatus,
    Confidence,
    Evidence,
    Json,
    RiskClass,
    RuleInfo,
    Session,
    SessionEnd,
    StopStage,
)
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import ANSWERED, VALID, Context, Made
from mcp_sandbox.rules.registry import CUT, Hit, normalised, rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_STALLED = frozenset({CallStatus.TIMEOUT, CallStatus.STUCK_WRITE})


def _last(session: Session) -> Call | None:
    calls = session.transcript.calls
    return calls[-1] if calls else None


def _during(session: Session, fact: str, message: str, *, class_: RiskClass | None = None) -> Hit:
    """A hit on the call that was the session's last one."""
    call = _last(session)
    return Hit(
        subject="server" if call is None else Made(session, call).subject,
        pointer=call.parameter if call else "",
        fact=fact,
        message=message + (f" The last call: {_named(call)}." if call else ""),
        class_=class_,
        session=session,
        calls=(call,) if call else (),
    )


def _named(call: Call) -> str:
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
        what="The server ended while it should have answered. One such input, from any model, "
        "takes its service away from all.",
        proof="The server's output closed before the answer, and its container had ended by "
        "itself; exit code and call in the message.",
        quiet_when="The server ended because we closed its input, or because memory ran out "
        "(reported as out-of-memory).",
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
        yield _during(
            session,
            "crash",
            "The server ended by itself"
            + (f" with exit code {code}." if code is not None else ", or closed its output."),
        )


@rule(
    RuleInfo(
        id="hang",
        title="A call is never answered",
        class_=M,
        evidence=Evidence.E3,
        what="A hostile input got no answer within the call's time while ordinary input does. "
        "When ordinary calls stall or are slow as well, or the tool or the parameter says that it "
        "takes long, it is a note: the sandbox gives no network to wait for. So it is when a "
        "message too deep or too long to be read in time is passed over and the next one is "
        "answered.",
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
            + f" to {_named(made.call)}"
            + ("" if answers else "; its ordinary calls are not answered either")
            + (", which is very deep or long; the next one is answered." if dropped else "."),
            class_=N if mild else None,
            confidence=Confidence.LOW if mild else Confidence.MEDIUM,
            session=made.session,
            calls=(made.call,),
        )


SLOW = 2_000
"""Milliseconds from which an ordinary call is slow by itself; most take a few."""


def _dropped(made: Made) -> bool:
    """A message too deep or too long was passed over: the server went on with the next one."""
    calls = made.session.transcript.calls
    following = calls[made.call.number] if made.call.number < len(calls) else None
    return (
        made.call.status is CallStatus.TIMEOUT
        and _is_unreadable(made.call.arguments)
        and following is not None
        and following.status in ANSWERED
    )


def _is_unreadable(arguments: Json) -> bool:
    """Nested deeper than JSON readers go, or too long to have been kept."""
    if isinstance(arguments, dict) and CUT in arguments:
        return True
    level: list[Json] = [arguments]
    for _ in range(DEEP):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


DEEP = 32
"""Levels of nesting that no ordinary argument has; somewhere above it readers of JSON give up."""


@rule(
    RuleInfo(
        id="out-of-memory",
        title="A call uses all memory",
        class_=M,
        evidence=Evidence.E3,
        what="The kernel killed a process of the server because its memory limit was reached.",
        proof="The engine's OOM flag or the kernel's counter for the container.",
        quiet_when="Memory stays under the limit.",
        fix="Bound what one call may allocate: check sizes before reading and building.",
        cwe=(770, 789),
    )
)
def out_of_memory(context: Context) -> Iterator[Hit]:
    """Sessions whose container met the memory limit."""
    limit = context.observations.limits.memory // 2**20
    for session in context.sessions:
        if _oom(session):
            yield _during(
                session, "memory", f"The kernel ended a process at the limit of {limit} MiB."
            )


@rule(
    RuleInfo(
        id="pid-exhaustion",
        title="A call uses up all processes",
        class_=M,
        evidence=Evidence.E3,
        what="The kernel refused the server a new process or thread because its limit was reached.",
        proof="The kernel's counter for the container.",
        quiet_when="The limit is not reached.",
        fix="Bound the processes and threads that one call may start.",
        cwe=(770, 400),
    )
)
def pid_exhaustion(context: Context) -> Iterator[Hit]:
    """Sessions whose container met the pids limit."""
    for session in context.sessions:
        if session.container.cgroup.pids_refused:
            yield Hit(
                subject="server",
                fact="pids",
                message="The kernel refused new processes at the limit of "
                f"{context.observations.limits.pids}.",
                session=session,
                calls=_tuple(_last(session)),
            )


def _tuple(call: Call | None) -> tuple[Call, ...]:
    return (call,) if call else ()


@rule(
    RuleInfo(
        id="survivor-process",
        title="The server does not end when its client leaves",
        class_=M,
        evidence=Evidence.E3,
        what="The server went on after its input was closed, which is how a client says goodbye. "
        "It is medium when SIGTERM did not end it either and processes were running beside it; a "
        "note when SIGTERM did, or when it was alone: the kernel gives process 1 no default for "
        "SIGTERM, so a server without a handler is deaf to it in a container.",
        proof="The stage at which the container ended, and the process list before.",
        quiet_when="The server ends when its input is closed, or the session had broken off.",
        fix="Exit when standard input ends; handle SIGTERM (as process 1 it has no default).",
        cwe=(772,),
    )
)
def survivor_process(context: Context) -> Iterator[Hit]:
    """Sessions that were completed and had to be ended by force."""
    for session in context.sessions:
        stop = session.container.stop
        if session.transcript.end is not SessionEnd.COMPLETED:
            continue
        if stop is StopStage.KILLED or stop is StopStage.TERMINATED:
            killed = stop is StopStage.KILLED
            alone = len(session.container.processes_at_end) <= 1
            yield Hit(
                subject="server",
                fact="survivor",
                message="After its input was closed the server had to be "
                + ("killed; SIGTERM did not end it." if killed else "ended by SIGTERM."),
                class_=None if killed and not alone else N,
                session=session,
            )


@rule(
    RuleInfo(
        id="unexpected-process",
        title="A process was left running that was not there at the start",
        class_=H,
        evidence=Evidence.E3,
        what="After the last call a process runs in the container that did not run after the "
        "first answer. High when it is a shell, a network tool, a file from a writable folder, or "
        "carries text of ours; medium when nothing in the server's texts leads one to expect it.",
        proof="The engine's process list at both moments.",
        quiet_when="The processes are those of the start. A helper that the server's own texts "
        "name (git for git tools), or one more of the server's own program, is a note.",
        fix="Wait for the processes you start, and start none that a call does not need.",
        cwe=(506, 772),
    )
)
def unexpected_process(context: Context) -> Iterator[Hit]:
    """Command lines at the end that were not there at the start."""
    texts = " ".join(
        surface.text[:2_000].lower()
        for surface in context.surfaces
        if surface.kind.value == "name" or surface.subject == "server"
    ).replace("_", " ")
    for session in context.sessions:
        container = session.container
        known = {normalised(line) for line in container.processes_at_start}
        nonces = {call.nonce for call in session.transcript.calls if call.nonce}
        for line in container.processes_at_end:
            if normalised(line) in known or "<defunct>" in line or not container.processes_at_start:
                continue
            words = line.split()
            program = words[0].rpartition("/")[2].lower() if words else ""
            own = container.processes_at_start[0].split()[:1]
            hostile = (
                program in SUSPICIOUS
                or bool(
                    re.search(r"(?:^|\s)/(?:tmp|dev/shm|var/tmp)/\S", words[0] if words else "")
                )
                or any(nonce in line for nonce in nonces)
            )
            expected = words[:1] == own or re.search(rf"\b{re.escape(program)}\b", texts)
            yield Hit(
                subject="server",
                fact=f"process {program}",
                message=f"“{quote(line, 160)}” was left running.",
                class_=None if hostile else N if expected else M,
                confidence=Confidence.HIGH if hostile else Confidence.MEDIUM,
                session=session,
            )


SUSPICIOUS = frozenset(
    [
        "sh",
        "bash",
        "dash",
        "ash",
        "zsh",
        "ksh",
        "busybox",
        "curl",
        "wget",
        "nc",
        "ncat",
        "netcat",
        "socat",
        "telnet",
        "ssh",
        "base64",
        "xmrig",
    ]
)
"""Programs that a tool server has no business leaving behind."""
