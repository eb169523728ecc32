"""Shells and network tools that the server starts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Hashable, Iterator

from mcp_sandbox.model import (
    Confidence,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    Window,
)
from mcp_sandbox.rules import capability, witnessed
from mcp_sandbox.rules.context import VALID, Context, Did, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import NETWORK_TOOLS, SHELLS, Learned, short

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

WATCHED = SHELLS | NETWORK_TOOLS
_LAUNCHERS = frozenset(
    {"npm", "npx", "pnpm", "pnpx", "yarn", "yarnpkg", "corepack", "bunx", "uv", "uvx", "pipx"}
    | {"poetry", "pdm", "hatch", "make", "just", "env", "tini", "docker-init", "dumb-init"}
    | {"catatonit", "gosu", "su-exec", "setpriv", "supervisord", "s6-svscan"}
)
"""Programs that are there to start another one."""
_ASKERS = frozenset(
    {"ldconfig", "ld", "gcc", "cc", "clang", "collect2", "objdump", "uname", "lsb_release"}
    | {"getconf", "ldd", "locale", "hostname", "nproc", "arch", "tty", "stty", "tput"}
    | {"ifconfig", "ip", "arp", "netstat", "which", "file"}
)
"""What libraries start to learn of the machine: find_library, platform, uuid, detect-libc."""
_BUILTINS = frozenset(["true", "false", "test", "[", "echo", "type", "command", "exit", "printf"])
_VERSION_WORDS = frozenset({"--version", "-version", "-v", "-V", "version", "--help"})
_SILENT = re.compile(r"[0-9]*>+\s*/dev/null|[0-9]*>&[0-9-]|[0-9]*<\s*/dev/null")
_STRUCTURE = re.compile(r"[`<>(]|\$\(")
_SEPARATORS = re.compile(r"\|\||&&|[;|&\n]")


def script(event: KernelEvent) -> str | None:
    """What a shell was given to run with ``-c``; ``None`` when it was not."""
    words = witnessed.argv(event)[1:]
    for at, word in enumerate(words):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and "c" in word:
            return words[at + 1] if at + 1 < len(words) else None
    return None


def only_asks(event: KernelEvent) -> bool:
    """The program, or all that a shell is told to run, only tells something of the machine."""
    name = witnessed.program(event)
    if name not in SHELLS:
        return name in _ASKERS
    text = script(event)
    if text is None:
        return False
    text = _SILENT.sub(" ", text)
    return not _STRUCTURE.search(text) and all(map(_asks, _SEPARATORS.split(text)))


def _asks(command: str) -> bool:
    words = command.split()
    if not words:
        return True
    name = short(words[0])
    version = len(words) > 1 and set(words[1:]) <= _VERSION_WORDS
    return name in _ASKERS | _BUILTINS or (version and name not in SHELLS)


def _shape(event: KernelEvent) -> Hashable | None:
    """How a shell was started: with a script in its arguments, a file, or nothing."""
    if not witnessed.started(event) or (name := witnessed.program(event)) not in WATCHED:
        return None
    if name in NETWORK_TOOLS:
        return name, ""
    if script(event) is not None:
        return name, "-c"
    files = [word for word in witnessed.argv(event)[1:] if not word.startswith("-")]
    return name, posixpath.dirname(files[0]) or "." if files else "input"


def _start_chain(session: Session) -> Iterator[KernelEvent]:
    """The programs that are the image's own way to start the server."""
    first = witnessed.first_program(session)
    if first is None:
        return
    launched = {short(word) for word in (first.object, *witnessed.argv(first)[:2])}
    runner = bool(launched & _LAUNCHERS)
    for event in session.container.kernel:
        if not witnessed.started(event) or event.window is not Window.START:
            continue
        by_launcher = short(event.program) in SHELLS | _LAUNCHERS or _is_start_script(event.program)
        if event is first or by_launcher or (runner and witnessed.program(event) in SHELLS):
            yield event
            runner = runner and witnessed.program(event) not in SHELLS


def _is_start_script(path: str) -> bool:
    name = posixpath.basename(path)
    return name.endswith((".sh", ".bash")) or "entrypoint" in name


@rule(
    RuleInfo(
        id="shell-spawned",
        title="The server starts a shell or a network tool",
        class_=C,
        evidence=Evidence.E3,
        what="The server starts sh, bash, curl, wget, nc or one of their kin. Critical when it "
        "does so unasked, or only for hostile input while the tool's ordinary calls work without; "
        "high when it starts one in another way than ordinary calls do; medium when the tool's "
        "ordinary calls failed, so that nothing tells what is ordinary.",
        proof="The kernel started that program, in the window of the call or outside the calls.",
        quiet_when="The image's own start command, and what its script or its package runner "
        "starts. A note: ordinary calls of the tool do the same; another tool's do; the tool "
        "offers to run commands; the shell is only asked for a version or for the machine's kind.",
        fix="Do the work in the server's own language; if a program must be run, start it directly "
        "with a list of arguments.",
        cwe=(78, 506),
    )
)
def shell_spawned(context: Context) -> Iterator[Hit]:
    """Successful execs of shells and network tools."""
    learned = context.kept("shell shapes", lambda: Learned(context, _shape))
    chains = {id(event) for session in context.sessions for event in _start_chain(session)}
    for did in context.did:
        shape = _shape(did.event)
        if shape is None or id(did.event) in chains:
            continue
        if did.made is None:
            yield _unprompted(did)
        else:
            yield from _in_call(context, learned, did, did.made, shape)


def told(event: KernelEvent) -> str:
    """An exec for a message."""
    return f"“{quote(event.detail or event.object, 160)}”"


def _unprompted(did: Did) -> Hit:
    asks = only_asks(did.event)
    name = witnessed.program(did.event)
    return Hit(
        subject="server",
        fact=f"{name} asks" if asks else f"{name} unprompted",
        message=f"Unasked ({did.event.window.value}) the server ran {told(did.event)}"
        + (", which only asks for the machine's kind." if asks else "."),
        class_=N if asks else None,
        session=did.session,
        kernel=(did.event,),
    )


def _in_call(
    context: Context, learned: Learned, did: Did, made: Made, shape: Hashable
) -> Iterator[Hit]:
    name = witnessed.program(did.event)
    if made.call.family == VALID:
        class_, why = N, "An ordinary call ran"
    elif learned.in_calls(made, shape):
        return  # told of the ordinary call
    elif only_asks(did.event):
        class_, why = N, "To ask for the machine's kind, a call ran"
    elif capability.runs_commands(context, made) or capability.runs_code(context, made):
        class_, why = N, "As the tool offers, a call ran"
    elif witnessed.programs(context).in_calls(made, name):
        class_, why = H, "In another way than ordinary calls do, hostile input ran"
    elif learned.in_any_call(shape):
        class_, why = N, "As other tools ordinarily do, a call ran"
    elif not witnessed.worked(context, made.subject):
        class_, why = M, "The tool's ordinary calls failed, and hostile input ran"
    else:
        class_, why = C, "Hostile input, and no ordinary one, ran"
    yield Hit(
        subject=made.subject,
        pointer="" if class_ is N else made.call.parameter,
        fact=name,
        message=f"{why} {told(did.event)}.",
        class_=class_,
        confidence=Confidence.HIGH if class_ is C else Confidence.MEDIUM,
        session=did.session,
        calls=(made.call,),
        kernel=(did.event,),
    )
