"""Planted secrets and files where they have no business: read, written, told, fetched."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

from mcp_sandbox.model import CanaryHit, Confidence, Evidence, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import FAILED, VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import said, sent
from mcp_sandbox.rules.surfaces import quote

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_FILE = "file:"
_TRAVERSAL = "path-traversal"
_SSRF = "ssrf"
_RUNS = frozenset({"command-injection", "code-evaluation", "template-injection", "sql-injection"})
"""Families whose effects have a rule of their own."""


def _places(canaries: tuple[CanaryHit, ...], *, files: bool) -> list[str]:
    return sorted({one.place for one in canaries if one.place.startswith(_FILE) is files})


def _listed(places: list[str]) -> str:
    return quote(", ".join(places), 200)


def _asked(made: Made, place: str) -> bool:
    """The call named that file, or tried to leave its folder."""
    if made.call.family in {_TRAVERSAL, _SSRF}:
        return True
    name = place.removeprefix(_FILE)
    return any(name in ours or name in unquote(ours) for ours in sent(made.call))


@rule(
    RuleInfo(
        id="canary-in-output",
        title="A planted secret came out",
        class_=C,
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
        for place in _places(made.call.canaries, files=True):
            if made.call.family in {_TRAVERSAL, _SSRF}:
                read.add(place)
                continue
            asked = _asked(made, place)
            yield _told(
                made,
                place,
                f"The reply holds the planted content of {place}, "
                + ("which the call asked for." if asked else "which nobody asked for."),
                H if asked else None,
            )
        for place in _places(made.call.canaries, files=False):
            by_design = capability.tells_environment(context, made)
            yield _told(
                made,
                place,
                f"The reply holds the planted value of {place}"
                + (", as the tool offers." if by_design else "."),
                N if by_design else None,
            )
    for session in context.sessions:
        yield from _elsewhere(session, read)


def _told(made: Made, place: str, message: str, class_: RiskClass | None) -> Hit:
    return Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact=place,
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
        if places := _places(made.call.canaries, files=True):
            by_design = capability.reads_anywhere(context, made)
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="read",
                message=f"The reply to “{_value(made)}” holds the planted content of "
                f"{_listed(places)}" + (", as the tool offers." if by_design else "."),
                class_=N if by_design else None,
                session=made.session,
                calls=(made.call,),
            )


def _value(made: Made) -> str:
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
        "started with.",
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
        if not outside or not (ordinary or call.effect):
            continue
        yield Hit(
            subject=made.subject,
            pointer=call.parameter,
            fact="write",
            message=f"After “{_value(made)}” the file {quote(outside[0], 120)} exists, outside "
            "every folder that the tool ordinarily writes to.",
            confidence=Confidence.HIGH if ordinary else Confidence.MEDIUM,
            session=made.session,
            calls=(call,),
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
    words += [value.partition("=")[2] for value in launch.environment]
    folders = {
        word.rstrip("/")
        for word in words
        if word.startswith("/") and ":" not in word and word.rstrip("/").count("/") >= 1
    }
    launched = {one for one in folders if not re.search(r"/s?bin(?:/|$)|\.\w{1,4}$", one)}
    for other in context.by_target.get(made.subject, ()):
        if other.call.family == VALID and other.session is made.session:
            launched |= _named(other, made.session)
    return launched


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


@rule(
    RuleInfo(
        id="ssrf",
        title="The server opens addresses that the caller chose",
        class_=H,
        evidence=Evidence.E1,
        what="An address given by the caller is opened from where the server stands: a local file "
        "through `file:`, the cloud's metadata service, the machine's own ports. Without a "
        "network nothing can arrive, so a network address is at most medium here: the kernel's "
        "refusal, named in the reply, shows that the server tried to connect instead of refusing. "
        "It is a note when only words say so, and for loopback on a tool made for fetching.",
        proof="For `file:`, the planted content in the reply. For the network, a connection error "
        "that the kernel gives, in the reply to that address and not in ordinary calls.",
        quiet_when="The address is refused by the server itself; ordinary calls fail the same way "
        "without naming the address; a tool that says it takes `file:` addresses (a note).",
        fix="Allow https and named hosts only; resolve once, refuse private, loopback and "
        "link-local addresses, and connect to the address that was checked.",
        cwe=(918,),
    )
)
def ssrf(context: Context) -> Iterator[Hit]:
    """``file:`` content, and connections that were tried."""
    for made in context.family(_SSRF):
        if places := _places(made.call.canaries, files=True):
            by_design = capability.reads_file_urls(context, made)
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="file",
                message=f"The reply to “{_value(made)}” holds the planted content of "
                f"{_listed(places)}" + (", as the tool offers." if by_design else "."),
                class_=N if by_design else None,
                session=made.session,
                calls=(made.call,),
            )
        elif made.call.status in FAILED or made.call.status.value == "result":
            yield from _tried(context, made)


_ERRNO = re.compile(
    r"ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|network is unreachable|no route to host"
    r"|connection refused|connect call failed|\[Errno (?:101|111|113)\]|os error (?:101|111|113)",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"all connection attempts failed|failed to connect|cannot connect|could(?:n't| not) connect"
    r"|connection (?:error|issue|failed|timed out)|connecterror|max retries exceeded|fetch failed",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"not (?:a )?(?:allowed|permitted|public)|forbidden|blocked|disallowed|denied|private (?:ip|addr"
    r"|net)|internal (?:ip|addr)|refus(?:e|es|ed|ing) (?:to|the (?:address|host|url))|unsafe"
    r"|prohibited|restricted|only (?:https|public)",
    re.IGNORECASE,
)
_METADATA = re.compile(r"169\.254\.|metadata\.google|fd00:ec2|100\.100\.100\.200|2852039166|0xa9fe")


def _tried(context: Context, made: Made) -> Iterator[Hit]:
    text = said(made.call)
    ours = sent(made.call)
    errno = _ERRNO.search(text)
    match = errno or _WORDS.search(text)
    if match is None or _REFUSES.search(text) or any(match[0] in string for string in ours):
        return
    pattern = _ERRNO if errno else _WORDS
    if not _names_address(text, ours) and any(
        pattern.search(said(other.call))
        for other in context.by_target[made.subject]
        if other.call.family != _SSRF
    ):
        return
    metadata = any(_METADATA.search(string) for string in ours)
    milder = errno is None or (not metadata and capability.fetches(context, made))
    yield Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact="metadata" if metadata else "loopback",
        message=f"The server tried to connect to “{_value(made)}” and did not refuse: "
        f"“{quote(text, 160)}”.",
        class_=N if milder else M,
        confidence=Confidence.LOW if errno is None else Confidence.MEDIUM,
        evidence=Evidence.E5 if errno is None else Evidence.E4,
        session=made.session,
        calls=(made.call,),
    )


def _names_address(text: str, ours: tuple[str, ...]) -> bool:
    """The error names the host that we asked for."""
    hosts = {
        host
        for string in ours
        for host in re.findall(r"^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(\[[^\]]+\]|[^/:?#]+)", string)
    }
    return any(host in text for host in hosts if host)
