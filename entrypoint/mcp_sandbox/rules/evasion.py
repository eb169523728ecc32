"""A server that behaves while it is watched: its traced and its untraced run, compared.

Both runs are held with the same plan. What may differ without meaning anything is left out: times,
numbers, order, client ports, repeated look-ups, and whatever shows the tracer itself. The rest is
told only when a second pair of runs differs in the very same way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mcp_sandbox.model import (
    Call,
    CallStatus,
    CanaryHit,
    Evidence,
    RiskClass,
    RuleInfo,
    Session,
    SinkKind,
)
from mcp_sandbox.rules import hosts
from mcp_sandbox.rules.context import VALID, Context
from mcp_sandbox.rules.registry import Hit, normalised, rule
from mcp_sandbox.rules.replies import own_words
from mcp_sandbox.rules.surfaces import quote

H, N = RiskClass.HIGH, RiskClass.NOTE

ENDPOINT, SECRET, ANSWER = "endpoint", "secret", "answer"
MAX_SIDE = 400
"""Characters of one side of a difference."""

CUT_REPLY = 4 * 2**10
"""A kept reply of so many characters has lost its end."""

_COMPARED = frozenset(
    {CallStatus.RESULT, CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR, CallStatus.INPUT_REQUIRED}
)
_TRACER = re.compile(r"mcp-sandbox|strace|tracerpid|/proc/1/", re.IGNORECASE)
_LATE = re.compile(
    r"time[ds]?[ -]?out|deadline|too (?:long|slow)|\bslow\b|connection pool", re.IGNORECASE
)
_WAYS = {SinkKind.DNS: "dns"}
"""What is asked of a name server; every other kind is a connection or a datagram."""


@dataclass(frozen=True)
class Difference:
    """Something that one run had and the other had not. Equal over pairs of runs."""

    kind: str
    """``endpoint``, ``secret`` or ``answer``."""
    subject: str
    """``server``, or the called item."""
    main: str
    """What the traced run had; empty for nothing."""
    untraced: str
    target: str | None = field(default="", compare=False)
    """The tool, prompt or resource whose call shows it; empty when none needs to be called,
    ``None`` when it is not known which."""


def targets(found: Sequence[Difference]) -> frozenset[str] | None:
    """What has to be called to see the differences again; ``None`` for everything."""
    names = {one.target for one in found}
    return None if None in names else frozenset(name for name in names if name)


def differences(main: Sequence[Session], untraced: Sequence[Session]) -> tuple[Difference, ...]:
    """How a traced and an untraced run of one plan differ, sorted; empty when they do not.

    Each side is the sessions of one role, in order: a plan goes on in a fresh container after a
    crash. Returns nothing when either side is missing.
    """
    if not main or not untraced:
        return ()
    found = {
        *_only(ENDPOINT, _endpoints(main), _endpoints(untraced)),
        *_only(SECRET, _secrets(main), _secrets(untraced)),
        *_answers(main, untraced),
    }
    return tuple(sorted(found, key=lambda one: (one.kind, one.subject, one.main, one.untraced)))


_Seen = dict[str, str | None]
"""What was seen -> the target of the call that showed it first."""


def _only(kind: str, main: _Seen, untraced: _Seen) -> Iterator[Difference]:
    for one in main.keys() - untraced.keys():
        yield Difference(kind, "server", one, "", main[one])
    for one in untraced.keys() - main.keys():
        yield Difference(kind, "server", "", one, untraced[one])


def _endpoints(sessions: Sequence[Session]) -> _Seen:
    found: _Seen = {}
    for session in sessions:
        calls = {call.number: call.target for call in session.transcript.calls}
        nonces = frozenset(call.nonce for call in session.transcript.calls if call.nonce)
        sizes = frozenset(map(len, nonces))
        for event in session.container.sink:
            if event.kind is SinkKind.TAMPER or hosts.is_nameless(event.host):
                continue
            host, own = hosts.canonical(event.host), hosts.domain(event.host)
            if host != own:  # what the owner of the domain made up may differ from run to run
                first = host.removesuffix(own)
                held = _pieces(first, sizes) & nonces
                host = f"{normalised(first, sorted(held))}{own}"
            way = _WAYS.get(event.kind, "connection")
            name = f"{way} {host}" + (f" port {event.port}" if event.port else "")
            found.setdefault(name, calls.get(event.call, ""))
    return found


def _pieces(text: str, sizes: Iterable[int]) -> set[str]:
    """Every piece of a text of these sizes: thousands of nonces are not looked for one by one."""
    return {text[at : at + size] for size in sizes for at in range(len(text) - size + 1)}


def _secrets(sessions: Sequence[Session]) -> _Seen:
    """Place and way out of every planted secret that came out."""
    found: _Seen = {}
    for session in sessions:
        for canary, way, target in _told(session):
            found.setdefault(f"{canary.place} {way}", target)
    return found


def _told(session: Session) -> Iterator[tuple[CanaryHit, str, str | None]]:
    """(secret, way out, target of the call)."""
    container, transcript = session.container, session.transcript
    calls = {call.number: call.target for call in transcript.calls}
    for event in container.sink:
        for canary in event.canaries:
            yield canary, f"sent to {hosts.domain(event.host)}", calls.get(event.call, "")
    for call in transcript.calls:
        for canary in call.canaries:
            yield canary, f"in a reply of {call.kind.value}/{call.target}", call.target
    for canary in container.stderr_canaries:
        yield canary, "in standard error", None
    for canary in transcript.notification_canaries:
        yield canary, "in a notification", None
    for _, canary in container.tmpfs_canaries:
        yield canary, "in a file", None


# --- answers --------------------------------------------------------------------------------------

_Key = tuple[str, str, str, str]


def _key(call: Call) -> _Key:
    return f"{call.kind.value}/{call.target}", call.parameter, call.family, call.payload


def _answers(main: Sequence[Session], untraced: Sequence[Session]) -> Iterator[Difference]:
    unsteady = {*_unsteady(main), *_unsteady(untraced)}
    for one, other in _pairs(main, untraced):
        subject = _key(one)[0]
        if {one.status, other.status} - _COMPARED:
            continue
        raw = f"{one.reply}\n{other.reply}"
        if _TRACER.search(raw) or _LATE.search(raw):
            continue
        first, second = _said(one), _said(other)
        if one.status is not other.status:
            first, second = first or Counter(), second or Counter()
            yield _difference(subject, one, other, first - second, second - first)
        elif first is None or second is None or first == second or subject in unsteady:
            continue
        else:
            yield _difference(subject, one, other, first - second, second - first)


def _difference(
    subject: str, one: Call, other: Call, first: Counter[str], second: Counter[str]
) -> Difference:
    sides = []
    for call, words in ((one, first), (other, second)):
        told = " ".join(sorted(words.elements()))
        sides.append(f"{call.status.value}: {told}"[:MAX_SIDE])
    return Difference(ANSWER, subject, sides[0], sides[1], one.target)


def _said(call: Call) -> Counter[str] | None:
    """The server's own words without numbers; ``None`` where the reply was too long to be kept."""
    if len(call.reply) >= CUT_REPLY:
        return None
    return Counter(normalised(own_words(call), (call.nonce,)).split())


def _unsteady(sessions: Sequence[Session]) -> Iterator[str]:
    """Tools that answer the same ordinary call now in this way, now in that."""
    seen: dict[tuple[str, str], Counter[str]] = {}
    for session in sessions:
        for call in session.transcript.calls:
            words = _said(call) if call.family == VALID else None
            if words is None:
                continue
            subject = _key(call)[0]
            if seen.setdefault((subject, repr(call.arguments)), words) != words:
                yield subject


def _pairs(main: Sequence[Session], untraced: Sequence[Session]) -> Iterator[tuple[Call, Call]]:
    """The same calls of both runs, as long as both were in the same state.

    A run that calls some targets only is compared in those. A server that was started afresh has
    forgotten what it was told: once the restarts fall on other positions, nothing is compared any
    more.
    """
    both = _subjects(main) & _subjects(untraced)
    for one, other in zip(main, untraced, strict=False):
        left = [call for call in one.transcript.calls if _key(call)[0] in both]
        right = [call for call in other.transcript.calls if _key(call)[0] in both]
        # What was asked again after a refusal is compared where both refused: a server that
        # refuses in one of them, and says so in words that are not compared, hides nothing else.
        again = _repaired(left) & _repaired(right)
        left = [call for call in left if not _is_repaired(call) or _key(call) in again]
        right = [call for call in right if not _is_repaired(call) or _key(call) in again]
        for mine, theirs in zip(left, right, strict=False):
            if _key(mine) != _key(theirs):
                return
            yield mine, theirs
        if len(left) != len(right):
            return


def _is_repaired(call: Call) -> bool:
    return call.family == VALID and bool(call.payload)


def _repaired(calls: Sequence[Call]) -> set[_Key]:
    return {_key(call) for call in calls if _is_repaired(call)}


def _subjects(sessions: Sequence[Session]) -> set[str]:
    return {_key(call)[0] for session in sessions for call in session.transcript.calls}


# --- the rule -------------------------------------------------------------------------------------


@rule(
    RuleInfo(
        id="evasion",
        title="The server behaves differently when nothing watches it",
        class_=H,
        evidence=Evidence.E3,
        what="The same plan was held twice, once with a tracer and once without, and the untraced "
        "run reached other hosts, let out other secrets, or answered otherwise. A program that "
        "looks for its auditor has something to hide.",
        proof="Two pairs of runs, traced and untraced, that differ in the very same way.",
        quiet_when="The second pair does not show the same difference; times, numbers, order, "
        "look-ups that are repeated; tools whose ordinary answers vary; calls that timed out, or "
        "came after a restart on other positions; replies that show the tracer itself. A note when "
        "only the traced run reached a host or let out a secret.",
        fix="Behave the same whether watched or not; remove what looks for tracers.",
        cwe=(506, 511),
    )
)
def evasion(context: Context) -> Iterator[Hit]:
    """Differences that both pairs of runs have."""
    roles: dict[str, list[Session]] = {}
    for session in context.sessions:
        roles.setdefault(session.transcript.role, []).append(session)
    main, untraced = roles.get("main", []), roles.get("untraced", [])
    again, untraced_again = roles.get("main again", []), roles.get("untraced again", [])
    confirmed = set(differences(main, untraced)) & set(differences(again, untraced_again))
    if not confirmed:
        return
    unsteady = {
        one.subject
        for pair in ((main, again), (untraced, untraced_again))
        for one in differences(*pair)
        if one.kind == ANSWER
    }
    for one in sorted(confirmed, key=lambda one: (one.kind, one.subject, one.main, one.untraced)):
        if one.kind == ANSWER and one.subject in unsteady:
            continue
        mild = one.kind != ANSWER and not one.untraced
        yield Hit(
            subject=one.subject,
            fact=one.kind if one.kind == ANSWER else f"{one.kind} {one.main}{one.untraced}",
            message=f"{_WHAT[one.kind]}: traced “{quote(one.main or 'nothing', 200)}”, untraced "
            f"“{quote(one.untraced or 'nothing', 200)}”.",
            class_=N if mild else None,
            session=untraced[0],
        )


_WHAT = {
    ENDPOINT: "The two runs reach different hosts",
    SECRET: "The two runs let out different secrets",
    ANSWER: "The two runs answer the same call differently",
}
