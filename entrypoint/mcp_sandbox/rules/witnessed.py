"""Questions on what the kernel and the sink recorded, that rules of several families ask.

What is common to every start of an interpreter is learned from the server's own run: its start-up,
its listing, and the ordinary calls of the same tool. A window also holds late effects of the call
before, so what that call's tool does ordinarily is ordinary as well.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from urllib.parse import unquote

from mcp_sandbox import deeds
from mcp_sandbox.model import (
    RISK_ORDER,
    Act,
    CallStatus,
    Confidence,
    Evidence,
    KernelEvent,
    RiskClass,
    Session,
    SinkEvent,
)
from mcp_sandbox.rules.context import VALID, Context, Did, Made
from mcp_sandbox.rules.registry import Hit
from mcp_sandbox.rules.replies import said, sent
from mcp_sandbox.rules.surfaces import quote

OK = "ok"
OURS = "/.mcp-sandbox/"
"""Where the tracer's files are mounted in a server's container."""
REFUSED = frozenset({"EROFS", "EACCES", "EPERM"})
"""Results of what would have been done, had the sandbox let it."""

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
NETWORK_TOOLS = frozenset({"curl", "wget", "nc", "ncat", "netcat", "socat", "telnet"})
INTERPRETERS = frozenset(
    {"python", "pypy", "node", "nodejs", "deno", "bun", "perl", "ruby", "php", "lua", "java"}
)
_LOADER = re.compile(r"ld(?:-linux|-musl)?[\w.-]*\.so(?:\.[0-9]+)*")


argv = deeds.argv
short = deeds.short
program = deeds.program


def is_loader(path: str) -> bool:
    """The dynamic loader, which runs the program that its arguments name."""
    return bool(_LOADER.fullmatch(posixpath.basename(path)))


def started(event: KernelEvent) -> bool:
    """A program was started, and not one of the tracer's own."""
    return event.act is Act.EXEC and event.result == OK and not event.object.startswith(OURS)


def first_program(session: Session) -> KernelEvent | None:
    """The exec of the image's own start: the first one after the gate."""
    return next((event for event in session.container.kernel if started(event)), None)


def is_ours(line: str) -> bool:
    """A command line of the tracer, as the engine's process list shows it."""
    return OURS in line.partition(" -- ")[0]


_WRITABLE = re.compile(r"/(?:tmp|dev/shm|var/tmp)/.")


def in_writable(path: str) -> bool:
    """Below a folder that is empty when the container starts and that everybody may write to."""
    return bool(_WRITABLE.match(path))


def of_session(context: Context, session: Session) -> tuple[Did, ...]:
    """What the kernel recorded of one session, in order."""
    table = context.kept("witnessed sessions", lambda: _by_session(context))
    return tuple(table.get(id(session), ()))


def _by_session(context: Context) -> dict[int, list[Did]]:
    table: dict[int, list[Did]] = {}
    for did in context.did:
        table.setdefault(id(did.session), []).append(did)
    return table


# --- the calls ------------------------------------------------------------------------------------


def during(context: Context, made: Made) -> tuple[KernelEvent, ...]:
    """What the kernel recorded from a call to the one after next: its own and late effects."""
    table = context.kept("witnessed kernel", lambda: _kernel(context))
    key, number = id(made.session), made.call.number
    return (*table.get((key, number), ()), *table.get((key, number + 1), ()))


def reached(context: Context, made: Made) -> tuple[SinkEvent, ...]:
    """What arrived at the sink from a call to the one after next."""
    table = context.kept("witnessed sink", lambda: _sink(context))
    key, number = id(made.session), made.call.number
    return (*table.get((key, number), ()), *table.get((key, number + 1), ()))


def _kernel(context: Context) -> dict[tuple[int, int], list[KernelEvent]]:
    table: dict[tuple[int, int], list[KernelEvent]] = {}
    for did in context.did:
        if did.event.call:
            table.setdefault((id(did.session), did.event.call), []).append(did.event)
    return table


def _sink(context: Context) -> dict[tuple[int, int], list[SinkEvent]]:
    table: dict[tuple[int, int], list[SinkEvent]] = {}
    for one in context.arrived:
        if one.event.call:
            table.setdefault((id(one.session), one.event.call), []).append(one.event)
    return table


def before(made: Made) -> Made | None:
    """The call before, whose late effects may stand in this one's window."""
    calls = made.session.transcript.calls
    at = made.call.number - 2
    return Made(made.session, calls[at]) if 0 <= at < len(calls) else None


def names_path(made: Made, path: str) -> bool:
    """The call named that file, in whatever form: a path that was asked for is no surprise."""
    name = posixpath.basename(path.rstrip("/"))
    texts = sent(made.call)
    return bool(name) and any(name in text or name in unquote(text) for text in texts)


_FAILURE = re.compile(
    r"\b(?:error|errno|exception|traceback|fail(?:ed|ure|s)?|invalid|not found|no such|cannot|can't"
    r"|could not|couldn't|unable|denied|refus\w+|missing|does not exist|doesn't exist"
    r"|unreachable)\b",
    re.IGNORECASE,
)


def worked(context: Context, subject: str) -> bool:
    """An ordinary call did what the tool is for: else nothing tells what it does ordinarily."""
    return any(
        made.call.status is CallStatus.RESULT and not _FAILURE.search(said(made.call)[:120])
        for made in context.valid(subject)
    )


# --- what is ordinary -----------------------------------------------------------------------------


class Learned:
    """What the server does without hostile input, as keys of its kernel events.

    ``key`` returns ``None`` for an event that teaches nothing.
    """

    def __init__(self, context: Context, key: Callable[[KernelEvent], Hashable | None]) -> None:
        self._unprompted: set[Hashable] = set()
        self._calls: dict[str, set[Hashable]] = {}
        for did in context.did:
            value = key(did.event)
            if value is None:
                continue
            if did.made is None:
                self._unprompted.add(value)
            elif did.made.call.family == VALID:
                self._calls.setdefault(did.subject, set()).add(value)

    def unprompted(self, value: Hashable) -> bool:
        """It happens outside the calls: at start-up, while listing, when idle or at the end."""
        return value in self._unprompted

    def in_calls(self, made: Made, value: Hashable) -> bool:
        """Ordinary calls of the same tool do it, or those of the tool that was called before."""
        earlier = before(made)
        subjects = [made.subject, *([earlier.subject] if earlier else [])]
        return any(value in self._calls.get(subject, ()) for subject in subjects)

    def in_any_call(self, value: Hashable) -> bool:
        """Ordinary calls of some tool of this server do it."""
        return any(value in values for values in self._calls.values())


def programs(context: Context) -> Learned:
    """The names of the programs that the server starts without hostile input."""
    return context.kept("witnessed programs", lambda: Learned(context, _started_name))


def _started_name(event: KernelEvent) -> str | None:
    return program(event) if started(event) else None


def told_once(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Hits without those of hostile input that an ordinary call shows as well, no milder."""
    kept = list(hits)
    best: dict[tuple[str, str], int] = {}
    for hit in kept:
        if hit.calls and hit.calls[0].family == VALID:
            key, rank = (hit.subject, hit.fact), _rank(hit)
            best[key] = min(rank, best.get(key, rank))
    for hit in kept:
        hostile = bool(hit.calls) and hit.calls[0].family != VALID
        if not (hostile and best.get((hit.subject, hit.fact), len(RISK_ORDER)) <= _rank(hit)):
            yield hit


def _rank(hit: Hit) -> int:
    return RISK_ORDER.index(hit.class_) if hit.class_ else 0


def tried(did: Did, fact: str, what: str, class_: RiskClass) -> Hit:
    """A hit on one kernel event: that a program tried ``what``, and how the kernel took it.

    A note is no risk, and so names no parameter.
    """
    event, made = did.event, did.made
    refused = event.result != OK
    note = class_ is RiskClass.NOTE
    return Hit(
        subject=did.subject,
        pointer=made.call.parameter if made and not note else "",
        fact=fact,
        message=f"“{quote(event.program or 'the server', 80)}” tried {what}"
        + (", unasked" if made is None else "")
        + (f"; the kernel refused ({event.result})." if refused else "; the kernel did it."),
        class_=class_,
        confidence=Confidence.MEDIUM if note else Confidence.HIGH,
        evidence=Evidence.E4 if refused else None,
        session=did.session,
        calls=(made.call,) if made else (),
        kernel=(event,),
    )
