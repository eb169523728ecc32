"""What only an intruder's program does: it hands out a shell, or mines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    Act,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    SinkEvent,
    SinkKind,
)
from mcp_sandbox.rules import hosts, witnessed
from mcp_sandbox.rules.context import Arrived, Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import INTERPRETERS, OK, SHELLS, short

C, H = RiskClass.CRITICAL, RiskClass.HIGH
M, N = RiskClass.MEDIUM, RiskClass.NOTE

# --- a shell for somebody else --------------------------------------------------------------------


@rule(
    RuleInfo(
        id="reverse-shell",
        title="A shell is handed to the network",
        class_=C,
        evidence=Evidence.E3,
        what="The server made a connection to another machine the input and output of a shell or "
        "an interpreter: who is at the other end types commands.",
        proof="The kernel made the connection standard input or output, and the same program then "
        "started a shell or an interpreter, or is one; or a shell's prompt arrived at the sink.",
        quiet_when="Pipes, socket pairs, loopback; a connection that is only used.",
        fix="Remove it: this is a back door.",
        cwe=(506, 912),
    )
)
def reverse_shell(context: Context) -> Iterator[Hit]:
    """Sockets as standard streams, then a shell; prompts at the sink."""
    yield from witnessed.told_once(_reverse_shell(context))


def _reverse_shell(context: Context) -> Iterator[Hit]:
    for session in context.sessions:
        yield from _wired(context, session)
    for arrival in context.arrived:
        if match := _PROMPT.search(_first_bytes(arrival.event)):
            if _is_ours(arrival, match[0]):
                continue
            yield _arrival_hit(
                arrival, "shell", f"“{quote(match[0].strip(), 80)}”, as a shell says"
            )


def _wired(context: Context, session: Session) -> Iterator[Hit]:
    wired: dict[tuple[str, int], KernelEvent] = {}
    for did in witnessed.of_session(context, session):
        event = did.event
        key = event.window.value, event.call
        if event.act is Act.DUP and event.result == OK and _is_remote(event.object):
            wired[key] = event
            if short(event.program) in SHELLS:
                yield _wired_hit(did, event, event.program)
        elif (
            witnessed.started(event)
            and key in wired
            and event.program == wired[key].program
            and witnessed.program(event) in SHELLS | INTERPRETERS
        ):
            yield _wired_hit(did, wired[key], event.object)


def _is_remote(thing: str) -> bool:
    host, port = hosts.split_port(thing)
    return port > 0 and hosts.scope(host) is not hosts.Scope.LOOPBACK


def _wired_hit(did: Did, dup: KernelEvent, runs: str) -> Hit:
    return Hit(
        subject=did.subject,
        pointer=did.made.call.parameter if did.made else "",
        fact="shell",
        message=f"The connection to {quote(dup.object, 80)} became input and output of "
        f"“{quote(runs, 80)}”.",
        session=did.session,
        calls=(did.made.call,) if did.made else (),
        kernel=tuple(dict.fromkeys((dup, did.event))),
    )


_PROMPT = re.compile(
    r"\A(?:uid=[0-9]+\([^)]{0,40}\) gid=|(?:ba|da|z|a)?sh(?:-[0-9.]+)?[$#] ?|[$#] \Z"
    r"|(?:/bin/)?(?:ba|da)?sh: (?:[0-9]+: )?(?:can't access tty|no job control"
    r"|cannot set terminal process group)|[\w.-]{1,32}@[\w.-]{1,64}:[^\n]{0,80}[$#] ?\Z)"
)

# --- a miner --------------------------------------------------------------------------------------


@rule(
    RuleInfo(
        id="miner",
        title="The server speaks to a mining pool",
        class_=C,
        evidence=Evidence.E3,
        what="The server's first words on a connection are those of a program that mines a "
        "currency: it works for somebody else with the machine of whoever runs it.",
        proof="A request of the Stratum protocol at the sink (`mining.subscribe`, "
        "`mining.authorize`, `eth_submitLogin`, or a login with a miner's name).",
        quiet_when="Only the port or the name of the host is that of a pool.",
        fix="Remove it.",
        cwe=(506,),
    )
)
def miner(context: Context) -> Iterator[Hit]:
    """Stratum in the first bytes."""
    yield from witnessed.told_once(_miner(context))


def _miner(context: Context) -> Iterator[Hit]:
    for arrival in context.arrived:
        match = _STRATUM.search(_first_bytes(arrival.event))
        if match and not _is_ours(arrival, match[0]):
            yield _arrival_hit(arrival, "stratum", f"“{quote(match[0], 80)}”, as a miner says")


_STRATUM = re.compile(
    r'"method"\s*:\s*"(?:mining\.(?:subscribe|authorize|configure|submit)|eth_submitLogin'
    r'|eth_submitWork|login"(?=[^\n]{0,600}"agent"))'
)


def _first_bytes(event: SinkEvent) -> str:
    """What a connection brought, as text: kept as hexadecimal where it is not a request."""
    if event.kind is SinkKind.HTTP:
        return event.text
    if event.kind not in {SinkKind.TCP, SinkKind.UDP, SinkKind.ALLOWED}:
        return ""
    try:
        return bytes.fromhex(event.text).decode("latin-1")
    except ValueError:
        return event.text


def _is_ours(arrival: Arrived, words: str) -> bool:
    made = arrival.made
    return made is not None and any(words.strip() in text for text in sent(made.call))


def _arrival_hit(arrival: Arrived, fact: str, what: str) -> Hit:
    made, event = arrival.made, arrival.event
    return Hit(
        subject=arrival.subject,
        pointer=made.call.parameter if made else "",
        fact=fact,
        message=f"To {quote(event.host, 80)} port {event.port} the server sent {what}.",
        session=arrival.session,
        calls=(made.call,) if made else (),
        sink=(event,),
    )
