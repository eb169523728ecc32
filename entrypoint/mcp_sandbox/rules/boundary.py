"""Planted secrets and files where they have no business: read, written, told."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

from mcp_sandbox.model import CanaryHit, Confidence, Evidence, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote

H, N = RiskClass.HIGH, RiskClass.NOTE

_FILE = "file:"
_TRAVERSAL = "path-traversal"
_SSRF = "ssrf"
_RUNS = frozenset({"command-injection", "code-evaluation", "template-injection", "sql-injection"})
"""Families whose effects have a rule of their own."""


def places(canaries: tuple[CanaryHit, ...], *, files: bool) -> list[str]:
    """Where the secrets that were found had been planted: files, or environment variables."""
    return sorted({one.place for one in canaries if one.place.startswith(_FILE) is files})


def listed(found: list[str]) -> str:
    """Places for a message."""
    return quote(", ".join(found), 200)


def _asked(made: Made, place: str) -> bool:
    """The call named that file."""
    name = place.removeprefix(_FILE)
    return any(name in ours or name in unquote(ours) for ours in sent(made.call))


@rule(
    RuleInfo(
        id="canary-in-output",
        title="A planted secret came out",
        class_=RiskClass.CRITICAL,
        evidence=Evidence.E1,
        what="A secret that was planted for this run, in a file or an environment variable, stands "
        "in a reply, a notification, the log or a file in /tmp. The probe never sends one. "
        "Critical when nobody asked for it, and for environment variables always; high when the "
        "call asked for that very file, or when the copy stayed in /tmp.",
        proof="The planted secret itself, found plain or encoded.",
        quiet_when="Only the name of a secret or of its file is told. A path that escaped is "
        "reported as arbitrary-read or ssrf instead. A tool that offers to return environment "
        "variables gives a note.",
        fix="Return, log and keep nothing that the call does not need; give the server only the "
        "secrets that it uses.",
        cwe=(200, 532),
    )
)
def canary_in_output(context: Context) -> Iterator[Hit]:
    """Planted secrets in replies, notifications, standard error and the tmpfs."""
    read: set[str] = set()
    for made in context.made:
        files = places(made.call.canaries, files=True)
        if made.call.family in {_TRAVERSAL, _SSRF}:
            read.update(files)
        elif files:
            asked = all(_asked(made, place) for place in files)
            yield _told(
                made,
                "file",
                f"The reply holds the planted content of {listed(files)}, "
                + ("which the call asked for." if asked else "which nobody asked for."),
                H if asked else None,
            )
        if values := places(made.call.canaries, files=False):
            by_design = capability.tells_environment(context, made)
            yield _told(
                made,
                "environment",
                f"The reply holds the planted value of {listed(values)}"
                + (", as the tool offers." if by_design else "."),
                N if by_design else None,
            )
    for session in context.sessions:
        yield from _elsewhere(session, read)


def _told(made: Made, fact: str, message: str, class_: RiskClass | None) -> Hit:
    return Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact=fact,
        message=message,
        class_=class_,
        session=made.session,
        calls=(made.call,),
    )


def _elsewhere(session: Session, read: set[str]) -> Iterator[Hit]:
    for where, canaries in (
        ("standard error", session.container.stderr_canaries),
        ("a notification or a request to the client", session.transcript.notification_canaries),
    ):
        for place in sorted({one.place for one in canaries}):
            yield Hit(
                subject="server",
                fact=f"{where} {place}",
                message=f"The planted secret of {place} stands in {where}.",
                class_=H if place in read else None,
                session=session,
            )
    for path, canary in session.container.tmpfs_canaries:
        yield Hit(
            subject="server",
            fact=f"tmpfs {canary.place}",
            message=f"The planted secret of {canary.place} lies in {quote(path, 120)}.",
            class_=H,
            session=session,
        )


@rule(
    RuleInfo(
        id="arbitrary-read",
        title="A path leaves its folder and is read",
        class_=H,
        evidence=Evidence.E1,
        what="A path that climbs out of the tool's folder, or names a file elsewhere, is opened, "
        "and the content comes back.",
        proof="The reply holds the content of a file that was planted outside.",
        quiet_when="The path is refused or only repeated. A tool that offers to read any file of "
        "the machine gives a note.",
        fix="Resolve the path, links included, and compare it with the folder by path parts; or "
        "open names relative to the folder's descriptor without following links.",
        cwe=(22, 23, 59),
    )
)
def arbitrary_read(context: Context) -> Iterator[Hit]:
    """A planted file in the reply to a path of ours."""
    for made in context.family(_TRAVERSAL):
        found = places(made.call.canaries, files=True)
        if found and not is_file_url(made):
            by_design = capability.reads_anywhere(context, made)
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="read",
                message=f"The reply to “{value_of(made)}” holds the planted content of "
                f"{listed(found)}" + (", as the tool offers." if by_design else "."),
                class_=N if by_design else None,
                session=made.session,
                calls=(made.call,),
            )


def is_file_url(made: Made) -> bool:
    """What was sent is an address, not a path: reading it is told by the ssrf rule."""
    value = capability.value_at(made.call.arguments, made.call.parameter)
    return isinstance(value, str) and value.strip().lower().startswith("file:")


def value_of(made: Made) -> str:
    """What was sent, for a message."""
    value = capability.value_at(made.call.arguments, made.call.parameter)
    return quote(str(made.call.arguments if value is None else value), 120)


@rule(
    RuleInfo(
        id="arbitrary-write",
        title="A path leaves its folder and is written",
        class_=H,
        evidence=Evidence.E3,
        what="A path or an option that the caller chose makes the server create or change a file "
        "outside the tool's folder.",
        proof="A file named after the call's nonce exists afterwards, in /tmp or in the engine's "
        "diff of the container, outside every folder that the tool ordinarily writes to.",
        quiet_when="The file lies in a folder that ordinary calls write to or that the server was "
        "started with or that we named as a root. A note when no such folder is known, unless "
        "`..` gets where an absolute path does not.",
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
        written = _written(made.session, call.nonce)
        if call.effect and call.effect not in written and context.exists(made):
            written.append(call.effect)
        if not written:
            continue
        ordinary = _ordinary_folders(context, made)
        outside = [path for path in written if not any(_inside(path, one) for one in ordinary)]
        if not outside:
            continue
        known = bool(ordinary) or _only_climbing(context, made)
        yield Hit(
            subject=made.subject,
            pointer=call.parameter,
            fact="write",
            message=f"After “{value_of(made)}” the file {quote(outside[0], 120)} exists, "
            + (
                "outside every folder that the tool ordinarily writes to."
                if known
                else "and no folder is known that the tool should keep to."
            ),
            class_=None if known else N,
            confidence=Confidence.HIGH if ordinary else Confidence.MEDIUM,
            session=made.session,
            calls=(call,),
        )


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


def _ordinary_folders(context: Context, made: Made) -> set[str]:
    """Folders the tool writes to when called ordinarily, and those the server was started with."""
    launch = context.observations.image.launch
    words = [*launch.entrypoint, *launch.command, *made.session.container.command_line]
    words += [pair for pair in launch.environment if not _PERSONAL.match(pair)]
    launched: set[str] = set(_roots(made.session))
    for word in words:
        value = word if word.startswith("/") else word.partition("=")[2]
        folder = value.rstrip("/")
        if folder.startswith("/") and not _NO_FOLDER.search(folder):
            launched.add(folder)
    for other in context.by_target.get(made.subject, ()):
        if other.call.family == VALID and other.session is made.session:
            launched |= _named(other, made.session)
    return launched


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


def _named(made: Made, session: Session) -> set[str]:
    """Folders of files whose last part an ordinary call named."""
    names = {posixpath.basename(text.rstrip("/")) for text in sent(made.call)} - {""}
    return {
        posixpath.dirname(entry.path)
        for entry in session.container.tmpfs
        if entry.kind == "file" and posixpath.basename(entry.path) in names
    }


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
