"""Programs that the server starts, and that its ordinary use does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import Confidence, Evidence, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import capability, witnessed
from mcp_sandbox.rules.context import VALID, Context, Did, Made
from mcp_sandbox.rules.proofs import proven
from mcp_sandbox.rules.registry import Hit, normalised, rule
from mcp_sandbox.rules.shells import WATCHED, only_asks, told
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import INTERPRETERS, SHELLS, short

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


@rule(
    RuleInfo(
        id="unexpected-process",
        title="A program ran that ordinary use does not start",
        class_=H,
        evidence=Evidence.E3,
        what="Hostile input made the server start a program that neither its start-up nor an "
        "ordinary call of that tool starts; or after the last call a process is there that was "
        "not there after the first answer. Of those left over, high when it is a shell, a network "
        "tool, a file from a writable folder, or carries text of ours, and medium when nothing in "
        "the server's texts leads one to expect it. Medium also when the tool's ordinary calls "
        "failed, so that nothing tells what is ordinary.",
        proof="The kernel started that program in the window of the call; the engine's process "
        "list at both moments.",
        quiet_when="The program's children, where ordinary calls start it; shells and network "
        "tools (shell-spawned); what the input itself ran, and what a shell ran that input to the "
        "same parameter is proven to reach (command-injection). A note: the "
        "server's own texts name the program (git for git tools), one more of the server's own, "
        "another tool starts it ordinarily, or libraries start it to learn of the machine.",
        fix="Wait for the processes you start, and start none that a call does not need.",
        cwe=(506, 772),
    )
)
def unexpected_process(context: Context) -> Iterator[Hit]:
    """Execs in hostile calls, and command lines at the end that were not there at the start."""
    texts = " ".join(
        surface.text[:2_000].lower()
        for surface in context.surfaces
        if surface.kind.value == "name" or surface.subject == "server"
    ).replace("_", " ")
    started: set[str] = set()
    for did in context.did:
        if did.made is None or not _is_new(context, did, did.made):
            continue
        started.add(witnessed.program(did.event))
        yield _new(context, did, did.made, texts)
    yield from _left_running(context, texts, started)


def _is_new(context: Context, did: Did, made: Made) -> bool:
    event = did.event
    if made.call.family == VALID or not witnessed.started(event):
        return False
    name, parent = witnessed.program(event), short(event.program)
    learned = witnessed.programs(context)
    if name in WATCHED or witnessed.in_writable(event.object) or "memfd:" in event.object:
        return False  # rules of their own
    if learned.unprompted(name) or learned.in_calls(made, name):
        return False
    helper = parent not in WATCHED | INTERPRETERS and parent != _own_name(did.session)
    if helper and (learned.in_calls(made, parent) or learned.unprompted(parent)):
        return False
    offered = capability.runs_commands(context, made) or capability.runs_code(context, made)
    # That input reaches a shell is told, and what else it runs there is no news.
    known = parent in SHELLS and (made.subject, made.call.parameter) in _injected(context)
    return not (offered or known) and proven(context, made) is None


def _injected(context: Context) -> frozenset[tuple[str, str]]:
    """(subject, parameter) whose values are proven to be run as commands."""
    return context.kept(
        "injected commands",
        lambda: frozenset(
            (made.subject, made.call.parameter)
            for made in context.family("command-injection")
            if proven(context, made) is not None
        ),
    )


def _own_name(session: Session) -> str:
    first = witnessed.first_program(session)
    return short(first.object) if first else ""


def _new(context: Context, did: Did, made: Made, texts: str) -> Hit:
    name = witnessed.program(did.event)
    if only_asks(did.event):
        class_, why = N, "to learn of the machine"
    elif re.search(rf"\b{re.escape(name)}\b", texts):
        class_, why = N, "which the server's own texts name"
    elif witnessed.programs(context).in_any_call(name):
        class_, why = N, "which other tools ordinarily run"
    elif did.event.object == did.event.program:
        class_, why = N, "one more of the server's own"
    elif not witnessed.worked(context, made.subject):
        class_, why = M, "and the tool's ordinary calls failed"
    else:
        class_, why = H, "which no ordinary call runs"
    return Hit(
        subject=made.subject,
        pointer="" if class_ is N else made.call.parameter,
        fact=f"process {name}",
        message=f"Hostile input ran {told(did.event)}, {why}.",
        class_=class_,
        confidence=Confidence.HIGH if class_ is H else Confidence.MEDIUM,
        session=did.session,
        calls=(made.call,),
        kernel=(did.event,),
    )


def _left_running(context: Context, texts: str, reported: set[str]) -> Iterator[Hit]:
    """``reported``: programs whose start is reported already."""
    for session in context.sessions:
        start = session.container.processes_at_start
        known = {normalised(line) for line in start}
        own = next((line.split()[:1] for line in start if not witnessed.is_ours(line)), [])
        nonces = {call.nonce for call in session.transcript.calls if call.nonce}
        for line in session.container.processes_at_end if start else ():
            words = line.split()
            name = short(words[0]).lower() if words else ""
            if normalised(line) in known or "<defunct>" in line or name in reported:
                continue
            if witnessed.is_ours(line):
                continue
            hostile = (
                name in SUSPICIOUS
                or (bool(words) and witnessed.in_writable(words[0]))
                or any(nonce in line for nonce in nonces)
            )
            expected = words[:1] == own or re.search(rf"\b{re.escape(name)}\b", texts)
            yield Hit(
                subject="server",
                fact=f"process {name}",
                message=f"“{quote(line, 160)}” was left running.",
                class_=None if hostile else N if expected else M,
                confidence=Confidence.HIGH if hostile else Confidence.MEDIUM,
                session=session,
            )


SUSPICIOUS = WATCHED | {"busybox", "ssh", "base64", "xmrig"}
"""Programs that a tool server has no business leaving behind."""
