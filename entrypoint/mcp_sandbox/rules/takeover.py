"""What only an intruder's program does: it brings its own code, hands out a shell, or mines."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Hashable, Iterator

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
from mcp_sandbox.rules import capability, hosts, witnessed
from mcp_sandbox.rules.context import VALID, Arrived, Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import INTERPRETERS, OK, OURS, SHELLS, Learned, short

C, H = RiskClass.CRITICAL, RiskClass.HIGH
M, N = RiskClass.MEDIUM, RiskClass.NOTE

# --- code that the server brought with it ---------------------------------------------------------


@rule(
    RuleInfo(
        id="drop-and-execute",
        title="A file that the server wrote was executed",
        class_=C,
        evidence=Evidence.E3,
        what="The server wrote a file and ran it, by itself or through an interpreter: what ran "
        "was in no image that anybody had looked at. High when the kernel refused it, as it does "
        "in the sandbox's /tmp.",
        proof="The kernel started a path that the same session had written, or that lies in a "
        "folder that was empty at the start; or an interpreter with such a path as its program.",
        quiet_when="The file is only opened (caches of compiled code). A note when the tool offers "
        "to run code or commands; medium when its ordinary calls hand a script to the interpreter "
        "that runs the server.",
        fix="Ship what is to be run in the image; run nothing from a writable folder.",
        cwe=(494, 506, 829),
    )
)
def drop_and_execute(context: Context) -> Iterator[Hit]:
    """Execs of written files, also through an interpreter."""
    yield from witnessed.told_once(_drop_and_execute(context))


def _drop_and_execute(context: Context) -> Iterator[Hit]:
    learned = Learned(context, _how_dropped)
    for session in context.sessions:
        written: set[str] = set()
        for did in witnessed.of_session(context, session):
            event = did.event
            written |= _written(event)
            path = _dropped(event, written)
            if path:
                yield _drop_hit(context, learned, did, path)


def _written(event: KernelEvent) -> set[str]:
    if event.result != OK:
        return set()
    if event.act is Act.WRITE:
        return {event.object}
    if event.act in {Act.RENAME, Act.LINK}:
        return {event.detail} if event.detail.startswith("/") else set()
    return set()


def _dropped(event: KernelEvent, written: set[str]) -> str:
    """The written file that an exec runs; empty when it runs none."""
    if event.act is not Act.EXEC or event.object.startswith(OURS):
        return ""
    path = event.object
    if event.result in {OK, "EACCES"} and (path in written or witnessed.in_writable(path)):
        return path
    script = _script(event)
    if event.result == OK and script and (script in written or witnessed.in_writable(script)):
        return script
    return ""


def _script(event: KernelEvent) -> str:
    """The file that an interpreter, or the dynamic loader, is told to run."""
    if not (short(event.object) in SHELLS | INTERPRETERS or witnessed.is_loader(event.object)):
        return ""
    name = short(event.object)
    inline = _INLINE["shell"] if name in SHELLS else _INLINE.get(name, _INLINE[""])
    for word in witnessed.argv(event)[1:]:
        if inline.fullmatch(word):
            return ""
        if not word.startswith("-"):
            return posixpath.normpath(word) if word.startswith("/") else ""
    return ""


_INLINE = {
    "shell": re.compile(r"-[a-z]*c"),
    "python": re.compile(r"-[A-Za-z]*[cm]"),
    "php": re.compile(r"-r"),
    "": re.compile(r"-[a-z]*[ep]|--eval|--print"),
}
"""Options after which a program stands in the arguments themselves, or is one of the image's."""


def _how_dropped(event: KernelEvent) -> Hashable | None:
    """What ran it and from which folder: the names of such files are seldom the same twice."""
    path = _dropped(event, set())
    return (_runner(event, path), _folder(path)) if path else None


def _runner(event: KernelEvent, path: str) -> str:
    """What was started to run the file; empty when the file itself was."""
    if event.object == path:
        return ""
    return "the loader" if witnessed.is_loader(event.object) else short(event.object)


def _own_language(session: Session) -> str:
    first = witnessed.first_program(session)
    name = short(first.object) if first else ""
    return name if name in INTERPRETERS else ""


def _folder(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _drop_hit(context: Context, learned: Learned, did: Did, path: str) -> Hit:
    event, made = did.event, did.made
    refused = event.result != OK
    through = _runner(event, path)
    mild = made is not None and (
        capability.runs_code(context, made) or capability.runs_commands(context, made)
    )
    # A tool that hands a script of its own language to its own interpreter whenever it is called.
    usual = made is not None and (
        made.call.family == VALID or learned.in_calls(made, (through, _folder(path)))
    )
    own = usual and bool(through) and through == _own_language(did.session)
    return Hit(
        subject=did.subject,
        pointer=made.call.parameter if made and not mild else "",
        fact=f"drop {through or 'program'}",
        message=f"“{quote(path, 160)}”, which the server had written, was "
        + ("to be run; the kernel refused" if refused else "run")
        + (f" by {through}" if through else "")
        + (", as the tool offers." if mild else ", in ordinary calls." if own else "."),
        class_=N if mild else M if own else H if refused else C,
        evidence=Evidence.E4 if refused else None,
        session=did.session,
        calls=(made.call,) if made else (),
        kernel=(event,),
    )


@rule(
    RuleInfo(
        id="memfd-execute",
        title="A program without a file was executed",
        class_=C,
        evidence=Evidence.E3,
        what="The server put a program into memory and ran it from there: no file is left for "
        "anybody to look at. High when the kernel refused it.",
        proof="The kernel was asked to start a file that exists in memory only.",
        quiet_when="Such a file is made and only read or mapped, as compilers at run time do.",
        fix="Ship what is to be run in the image.",
        cwe=(506,),
    )
)
def memfd_execute(context: Context) -> Iterator[Hit]:
    """Execs of memfd objects."""
    yield from witnessed.told_once(_memfd_execute(context))


def _memfd_execute(context: Context) -> Iterator[Hit]:
    in_memory = {
        (id(did.session), did.event.window, did.event.call)
        for did in context.did
        if did.event.act is Act.MEMFD and did.event.result == OK
    }
    for did in context.did:
        event = did.event
        window = id(did.session), event.window, event.call
        by_number = _BY_NUMBER.search(event.object) and window in in_memory
        if event.act is not Act.EXEC or not (_MEMORY.search(event.object) or by_number):
            continue
        refused = event.result != OK
        yield Hit(
            subject=did.subject,
            pointer=did.made.call.parameter if did.made else "",
            fact="memfd",
            message="A program that exists in memory only "
            + ("was to be run; the kernel refused: " if refused else "was run: ")
            + f"“{quote(event.object, 120)}”.",
            class_=H if refused else None,
            evidence=Evidence.E4 if refused else None,
            session=did.session,
            calls=(did.made.call,) if did.made else (),
            kernel=(event,),
        )


_MEMORY = re.compile(r"^/?memfd:")
_BY_NUMBER = re.compile(r"^/(?:proc/(?:self|[0-9]+)|dev)/fd/[0-9]+$")

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
