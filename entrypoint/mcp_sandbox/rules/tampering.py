"""Interference with what watches: the tracer, its record, the sink."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    Act,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    SinkKind,
    Tracing,
    Window,
)
from mcp_sandbox.rules import witnessed
from mcp_sandbox.rules.context import Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, OURS, short, tried

C, H, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.NOTE

_TRACER = "tracer"
_TRACERS_MEMORY = re.compile(r"^/proc/1/(?:task/[0-9]+/)?(?:mem$|fd/.|map_files/.)")
_TRACERS_FOLDER = re.compile(r"^/proc/1/(?:task/[0-9]+/)?fd/?$")
_UNTRACED = re.compile(r"CLONE_UNTRACED")
_PROBE = re.compile(r"^(?:0|SIG_?0|signal 0)\b")
_TRACE_ME = re.compile(r"PTRACE_TRACEME|^traceme$", re.IGNORECASE)
_GUARDED = frozenset(
    {"ssh", "ssh-agent", "sftp-server", "gpg", "gpg-agent", "gnome-keyring-daemon"}
)
_GUARDED_BROWSERS = frozenset({"chrome", "chromium", "headless_shell", "chrome_crashpad_handler"})
"""Programs that hide their memory by design: it holds keys, or a page from the network."""
_CHANGES = frozenset({Act.WRITE, Act.UNLINK, Act.RENAME, Act.LINK, Act.CHMOD, Act.MKNOD})


@rule(
    RuleInfo(
        id="trace-evasion",
        title="The server interferes with what watches it",
        class_=C,
        evidence=Evidence.E3,
        what="The server attaches to the tracer, opens its memory or descriptors, signals it, "
        "hides its own memory from it, starts processes out of its sight, or tampers with the "
        "sink. Critical when the kernel let it touch the tracer, else high. No honest server has a "
        "reason to.",
        proof="The kernel's record of the operation and its object; what the sink saw.",
        quiet_when="The server reads its own status, in which the tracer's number stands; it asks "
        "whether its parent is alive (signal 0). A note: descriptors of all processes are listed, "
        "as process monitors do; agents of SSH and GPG and browsers hide their memory.",
        fix="Remove it.",
        cwe=(506, 693),
    )
)
def trace_evasion(context: Context) -> Iterator[Hit]:
    """Acts against the tracer, its files and the sink."""
    yield from witnessed.told_once(_trace_evasion(context))


def _trace_evasion(context: Context) -> Iterator[Hit]:
    for did in context.did:
        what, class_ = _tampering(did)
        if what:
            event = did.event
            touched = " ".join(part for part in (event.object, event.detail) if part)
            yield tried(did, what, f"{what}: “{quote(touched, 120)}”", class_)
    for arrival in context.arrived:
        if arrival.event.kind is SinkKind.TAMPER:
            made = arrival.made
            yield Hit(
                subject=arrival.subject,
                pointer=made.call.parameter if made else "",
                fact="sink",
                message=f"The sink was tampered with: “{quote(arrival.event.text, 200)}”.",
                class_=H,
                session=arrival.session,
                calls=(made.call,) if made else (),
                sink=(arrival.event,),
            )


def _tampering(did: Did) -> tuple[str, RiskClass]:
    """What an event does to the tracer and how bad it is; empty when nothing."""
    event = did.event
    done = C if event.result == OK else H
    found: tuple[str, RiskClass] = "", N
    if event.act is Act.PTRACE:
        found = _attached(event, done)
    elif event.act is Act.KILL and event.object == _TRACER and not _PROBE.search(event.detail):
        found = "a signal to the tracer", N if event.window is Window.SHUTDOWN else H
    elif event.act is Act.PRCTL and event.object == "PR_SET_DUMPABLE":
        if not re.match(r"\W*1\b", event.detail):
            found = "hiding its own memory", N if short(event.program) in _GUARDED else H
    elif event.act in {Act.FORK, Act.NAMESPACE}:
        if _UNTRACED.search(f"{event.object} {event.detail}"):
            found = "a process out of the tracer's sight", done
    else:
        found = _files(did, done)
    return found


def _attached(event: KernelEvent, done: RiskClass) -> tuple[str, RiskClass]:
    if event.object == _TRACER:
        # Asking to be traced is how a program learns that it is traced already.
        return "attaching to the tracer", H if _TRACE_ME.search(event.detail) else done
    if _TRACE_ME.search(event.detail) and event.object in {"self", ""}:
        return "asking to be traced", H
    return "", N


def _files(did: Did, done: RiskClass) -> tuple[str, RiskClass]:
    event = did.event
    if event.act in {Act.OPEN, Act.WRITE} and did.session.container.tracing is not Tracing.OUTSIDE:
        asked = did.made is not None and witnessed.names_path(did.made, event.object)
        for path in (event.object, *re.findall(r"/proc/1/\S+", event.detail)):
            if _TRACERS_MEMORY.search(path) and not asked:
                return "the tracer's memory or descriptors", done
            if _TRACERS_FOLDER.search(path) and not asked:
                return "a list of the tracer's descriptors", N
    if event.object.startswith(OURS) and event.act in _CHANGES:
        return "the tracer's files", done
    return "", N
