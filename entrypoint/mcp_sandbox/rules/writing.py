"""Paths that leave their folder and are written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

from mcp_sandbox.model import Act, Confidence, Evidence, KernelEvent, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.boundary import value_of
from mcp_sandbox.rules.context import VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, REFUSED, during

H, N = RiskClass.HIGH, RiskClass.NOTE

_TRAVERSAL = "path-traversal"
_RUNS = frozenset({"command-injection", "code-evaluation", "template-injection", "sql-injection"})
"""Families whose effects have a rule of their own."""


@rule(
    RuleInfo(
        id="arbitrary-write",
        title="A path leaves its folder and is written",
        class_=H,
        evidence=Evidence.E3,
        what="A path or an option that the caller chose makes the server create or change a file "
        "outside the tool's folder.",
        proof="A file named after the call's nonce exists afterwards, in /tmp or in the engine's "
        "diff of the container, outside every folder that the tool ordinarily writes to; or the "
        "kernel was asked to make, change or remove it there, be it in vain: the read-only root is "
        "the sandbox's doing, the attempt is the server's.",
        quiet_when="The file lies in a folder that ordinary calls write to or that the server was "
        "started with or that we named as a root. A note when no such folder is known, or only "
        "by an absolute path of ours, unless `..` leaves it or gets where an absolute path does "
        "not.",
        fix="Resolve the path, links included, and compare it with the folder by path parts; put "
        "`--` before values that become a program's arguments.",
        cwe=(22, 73, 88),
    )
)
def arbitrary_write(context: Context) -> Iterator[Hit]:
    """A nonce file outside the ordinary folders."""
    for made in context.made:
        call = made.call
        if not call.nonce or call.family in _RUNS | {VALID}:
            continue
        if call.family != _TRAVERSAL and not call.effect:
            continue
        ordinary, given = _ordinary_folders(context, made)
        tried = _tried(context, made, ordinary)
        written = _written(made.session, call.nonce)
        if call.effect and call.effect not in written and context.exists(made):
            written.append(call.effect)
        outside = [path for path in written if not any(_inside(path, one) for one in ordinary)]
        if not outside and not tried:
            continue
        own = bool(ordinary - given)
        known = own or _begins_in(made, given) or _only_climbing(context, made)
        exists = bool(outside)
        path = outside[0] if exists else _path_of(tried[0], call.nonce)
        done = exists or any(event.result == OK for event in tried)
        yield Hit(
            subject=made.subject,
            pointer=call.parameter,
            fact="write",
            message=(
                f"After “{value_of(made)}” the file {quote(path, 120)} exists, "
                if exists
                else f"At “{value_of(made)}” the server "
                + ("changed " if done else "tried to write ")
                + f"{quote(path, 120)}, "
            )
            + (
                "outside every folder that the tool ordinarily writes to."
                if known
                else "and no folder is known that the tool should keep to."
            ),
            class_=None if known else N,
            confidence=Confidence.HIGH if own else Confidence.MEDIUM,
            evidence=None if done else Evidence.E4,
            session=made.session,
            calls=(call,),
            kernel=tried,
        )


_CHANGES = frozenset({Act.WRITE, Act.MKDIR, Act.MKNOD, Act.RENAME, Act.LINK, Act.UNLINK, Act.CHMOD})


def _tried(context: Context, made: Made, ordinary: set[str]) -> tuple[KernelEvent, ...]:
    """What the kernel was asked to change at the place that our path leads to."""
    nonce = made.call.nonce
    found = []
    for event in during(context, made):
        if event.act not in _CHANGES or event.result not in {OK, *REFUSED}:
            continue
        path = _path_of(event, nonce)
        usual = ordinary | _written_to(context, made)
        if not path or any(_inside(path, one) for one in usual):
            continue
        if _leads_to(made, path, ordinary):
            found.append(event)
    return tuple(found)


def _path_of(event: KernelEvent, nonce: str) -> str:
    """The path named after the nonce; a refused one may still hold ``..``."""
    names = [event.detail] if event.act is Act.LINK else [event.object]
    if event.act is Act.RENAME:
        names.append(event.detail)
    path = next((one for one in names if one.startswith("/") and nonce in one), "")
    return posixpath.normpath(path) if path else ""


def _written_to(context: Context, made: Made) -> set[str]:
    """Folders below the temporary ones, or elsewhere, that ordinary calls of the tool write to."""
    folders = {
        posixpath.dirname(event.object)
        for other in context.valid(made.subject)
        if other.session is made.session
        for event in during(context, other)
        if event.act is Act.WRITE and event.object.startswith("/")
    }
    return folders - _COMMON


_COMMON = frozenset({"/", "/tmp", "/dev/shm", "/var/tmp", "/dev", "/proc"})  # noqa: S108


def _leads_to(made: Made, path: str, ordinary: set[str]) -> bool:
    """Our path, taken from some folder that the tool may work in, leads there.

    A server that makes a name of its own out of the text (a key of a cache) was not led.
    """
    if made.call.effect == path:
        return True
    value = capability.value_at(made.call.arguments, made.call.parameter)
    if not isinstance(value, str):
        return False
    text = unquote(unquote(value)).replace("\\", "/")
    below = {posixpath.normpath(posixpath.join(one, text)) for one in {"/", *ordinary}}
    return any(path == one or path.startswith((one + ".", one + "/")) for one in below)


def _only_climbing(context: Context, made: Made) -> bool:
    """A path with ``..`` came through and an absolute one did not: there is a folder to leave."""
    if ".." not in str(capability.value_at(made.call.arguments, made.call.parameter)):
        return False
    absolute = [
        other
        for other in context.by_target[made.subject]
        if other.call.family == _TRAVERSAL
        and other.call.effect
        and other.call.parameter == made.call.parameter
        and str(capability.value_at(other.call.arguments, other.call.parameter)).startswith("/")
    ]
    return bool(absolute) and not any(
        _written(other.session, other.call.nonce) for other in absolute
    )


def _written(session: Session, nonce: str) -> list[str]:
    """Paths named after the nonce; of a folder and what is in it, the folder."""
    container = session.container
    paths = {entry.path for entry in container.tmpfs} | {
        change.path for change in container.changes if change.kind != "deleted"
    }
    named = sorted(path for path in paths if nonce in path)
    return [path for path in named if not any(_inside(path, one) for one in named if one != path)]


def _ordinary_folders(context: Context, made: Made) -> tuple[set[str], set[str]]:
    """Folders the tool writes to ordinarily or was started with; those that only our calls chose.

    An absolute path in an ordinary call of ours says nothing of where the tool should keep to.
    """
    key = f"ordinary folders {id(made.session)} {made.subject}"
    return context.kept(key, lambda: _work_folders(context, made))


def _work_folders(context: Context, made: Made) -> tuple[set[str], set[str]]:
    launch = context.observations.image.launch
    words = [*launch.entrypoint, *launch.command, *made.session.container.command_line]
    words += [pair for pair in launch.environment if not _PERSONAL.match(pair)]
    own: set[str] = set(_roots(made.session))
    for word in words:
        value = word if word.startswith("/") else word.partition("=")[2]
        folder = value.rstrip("/")
        if folder.startswith("/") and not _NO_FOLDER.search(folder):
            own.add(folder)
    files = context.kept(f"files by name {id(made.session)}", lambda: _by_name(made.session))
    texts = [
        (other, text.rstrip("/"))
        for other in context.by_target.get(made.subject, ())
        if other.call.family == VALID and other.session is made.session
        for text in sent(other.call)
    ]
    absolute = {posixpath.split(text) for _, text in texts if text.startswith("/")}
    given: set[str] = set()
    for other, text in texts:
        name = posixpath.basename(text)
        for folder in files.get(name, ()):
            led = not text.startswith("/") and _wrote(context, other, folder, name)
            (given if (folder, name) in absolute and not led else own).add(folder)
    return own | given, given - own


def _wrote(context: Context, made: Made, folder: str, name: str) -> bool:
    """The kernel's record has the file in the very call that named it."""
    return any(
        event.act is Act.WRITE
        and event.call == made.call.number
        and posixpath.dirname(event.object) == folder
        and name in _names(event.object)
        for event in during(context, made)
    )


def _names(path: str) -> set[str]:
    """The last part, with and without its ending."""
    name = posixpath.basename(path)
    return {name, posixpath.splitext(name)[0]} - {""}


def _begins_in(made: Made, given: set[str]) -> bool:
    """The path begins in a folder that an ordinary path named, and leaves it from there."""
    value = str(capability.value_at(made.call.arguments, made.call.parameter))
    return any(value.startswith(folder.rstrip("/") + "/") for folder in given)


def _roots(session: Session) -> tuple[str, ...]:
    """Folders that we named when the server asked for its client's roots."""
    asked = any(
        request.method == "roots/list" and request.answer == "answered"
        for request in session.transcript.server_requests
    )
    return session.transcript.identity.roots if asked else ()


_PERSONAL = re.compile(r"\w*(?:HOME|PATH|TMP|TEMP|CACHE|LOG|PWD)\w*=", re.IGNORECASE)
_NO_FOLDER = re.compile(r":|/s?bin(?:/|$)|\.\w{1,4}$")
"""Programs, files and mounts among the words of a command line."""


def _by_name(session: Session) -> dict[str, set[str]]:
    """Last part, with and without its ending -> the folders of the files that were written."""
    files = {entry.path for entry in session.container.tmpfs if entry.kind == "file"}
    files |= {
        event.object
        for event in session.container.kernel
        if event.act is Act.WRITE and event.object.startswith("/")
    }
    found: dict[str, set[str]] = {}
    for path in files:
        for known in _names(path):
            found.setdefault(known, set()).add(posixpath.dirname(path))
    return found


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
