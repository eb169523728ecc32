"""Code that the server brought with it: files it wrote, programs that are no file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Hashable, Iterator

from mcp_sandbox.model import Act, Evidence, KernelEvent, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import capability, witnessed
from mcp_sandbox.rules.context import VALID, Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import INTERPRETERS, OK, OURS, SHELLS, Learned, short

C, H = RiskClass.CRITICAL, RiskClass.HIGH
M, N = RiskClass.MEDIUM, RiskClass.NOTE


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
