"""What a tool's annotations promise, held against what the kernel saw it do."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from mcp_sandbox.model import Act, Confidence, Evidence, KernelEvent, RiskClass, RuleInfo, SinkKind
from mcp_sandbox.rules import witnessed
from mcp_sandbox.rules.context import VALID, Context, Did, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, OURS, short

H, M = RiskClass.HIGH, RiskClass.MEDIUM

CHANGES = frozenset({Act.WRITE, Act.UNLINK, Act.RENAME, Act.MKDIR, Act.CHMOD, Act.LINK, Act.MKNOD})
_QUIET_FOLDERS = re.compile(
    r"^/(?:proc|dev|sys|run|var/run)/|/(?:\.?cache|caches|__pycache__|logs?|te?mp|\.npm|\.config"
    r"|\.local|\.ipython|\.matplotlib|\.node_repl_history|node_modules)(?:/|$)",
    re.IGNORECASE,
)
_QUIET_NAMES = re.compile(
    r"\.(?:pyc|pyo|nbi|nbc|log|lock|lck|pid|tmp|temp|swp|db|sqlite3?|db3|duckdb|wal|shm)"
    r"(?:[-.~\d]\w*)?$|-(?:wal|shm|journal)$|~$|/\.git/(?:index|FETCH_HEAD|gc\.log)$",
    re.IGNORECASE,
)
"""Databases are opened for writing by who only reads them; so is Git's index."""


def is_byproduct(path: str) -> bool:
    """Caches, logs, locks, databases, and what lies in memory: no work of a tool by itself."""
    return bool(
        witnessed.in_writable(path) or _QUIET_FOLDERS.search(path) or _QUIET_NAMES.search(path)
    )


def changes(event: KernelEvent) -> bool:
    """A file was changed, or would have been but for the read-only root."""
    if event.act not in CHANGES or event.result not in {OK, "EROFS"}:
        return False
    # Opened for reading and writing, nothing made or cut: what came of it is not in the record.
    only_open = event.act is Act.WRITE and "O_RDWR" in event.detail
    return not (only_open and not re.search(r"O_CREAT|O_TRUNC|O_APPEND", event.detail))


@rule(
    RuleInfo(
        id="annotation-lie",
        title="A tool does what its annotations deny",
        class_=H,
        evidence=Evidence.E3,
        what="A tool is listed with `readOnlyHint: true`, or with `destructiveHint: false`, and "
        "an ordinary call of it changes files, or deletes one. Clients ask their user less often "
        "before they call such a tool. Medium when it sends a request that deletes or replaces "
        "something elsewhere.",
        proof="The kernel did it in the window of an ordinary call, or refused it only because the "
        "sandbox's root is read-only; the request at the sink.",
        quiet_when="Caches, logs, locks, compiled code, databases that are opened, files in /tmp "
        "that the call did not name, files that the server changes at other times as well; hostile "
        "input, which other rules judge.",
        fix="Say what the tool does, or split it into one that reads and one that writes.",
        cwe=(451,),
    )
)
def annotation_lie(context: Context) -> Iterator[Hit]:
    """Changes in ordinary calls of tools that promise none."""
    elsewhere = _changed_elsewhere(context)
    temporary = _temporary(context)
    for did in context.did:
        made = did.made
        if made is None or made.call.family != VALID:
            continue
        promise = _promise(context, made)
        if not promise or not _breaks(did, made, promise):
            continue
        if (id(did.session), did.event.call, did.event.object) in temporary:
            continue
        if elsewhere.get(did.event.object, {did.subject}) == {did.subject}:
            yield _hit(did, made, promise)
    yield from _requests(context)


READS = "readOnlyHint: true"
KEEPS = "destructiveHint: false"


def _promise(context: Context, made: Made) -> str:
    annotations = context.items.get(made.subject, {}).get("annotations")
    if not isinstance(annotations, dict):
        return ""
    if annotations.get("readOnlyHint") is True:
        return READS
    return KEEPS if annotations.get("destructiveHint") is False else ""


def _breaks(did: Did, made: Made, promise: str) -> bool:
    event = did.event
    if not changes(event) or event.object.startswith(OURS):
        return False
    named = witnessed.names_path(made, event.object)
    if event.act is Act.MKDIR and not named:
        return False  # A folder for later, made whenever the server happens to look for it.
    if is_byproduct(event.object) and not (named and witnessed.in_writable(event.object)):
        return False
    earlier = witnessed.before(made)
    if earlier is not None and not named and witnessed.names_path(earlier, event.object):
        return False  # Late work of the call before.
    return promise == READS or event.act is Act.UNLINK


def _temporary(context: Context) -> set[tuple[int, int, str]]:
    """(session, call, path) of files that one call both made and removed."""
    made: set[tuple[int, int, str]] = set()
    removed: set[tuple[int, int, str]] = set()
    for did in context.did:
        key = id(did.session), did.event.call, did.event.object
        if did.event.act is Act.WRITE:
            made.add(key)
        elif did.event.act is Act.UNLINK:
            removed.add(key)
    return made & removed


def _changed_elsewhere(context: Context) -> dict[str, set[str]]:
    """Path -> subjects in whose windows it is changed without hostile input; "server" for none."""
    found: dict[str, set[str]] = {}
    for did in context.did:
        if changes(did.event) and (did.made is None or did.made.call.family == VALID):
            found.setdefault(did.event.object, set()).add(did.subject)
    return found


def _hit(did: Did, made: Made, promise: str) -> Hit:
    event = did.event
    refused = event.result != OK
    return Hit(
        subject=made.subject,
        fact=f"{promise} {event.act.value} {_fact(event.object)}",
        message=f"The tool says `{promise}`; an ordinary call does “{event.act.value}” on "
        f"“{quote(event.object, 160)}” ({short(event.program)})"
        + (", which only the read-only root refused." if refused else "."),
        evidence=Evidence.E4 if refused else None,
        session=made.session,
        calls=(made.call,),
        kernel=(event,),
    )


def _fact(path: str) -> str:
    """The folder: names of files may differ from run to run."""
    return posixpath.dirname(path)


_CHANGING = re.compile(r"(?:DELETE|PUT|PATCH) ")


def _requests(context: Context) -> Iterator[Hit]:
    for arrival in context.arrived:
        made, event = arrival.made, arrival.event
        if made is None or made.call.family != VALID or event.kind is not SinkKind.HTTP:
            continue
        if _promise(context, made) != READS or not (match := _CHANGING.match(event.text)):
            continue
        earlier = witnessed.before(made)
        if earlier is not None and _promise(context, earlier) != READS:
            continue  # It may be late work of a call that may write.
        yield Hit(
            subject=made.subject,
            fact=f"{READS} request {match[0]}",
            message=f"The tool says `{READS}`; an ordinary call sends "
            f"“{quote(event.text.partition(chr(13))[0], 120)}” to {quote(event.host, 80)}.",
            class_=M,
            confidence=Confidence.MEDIUM,
            session=made.session,
            calls=(made.call,),
            sink=(event,),
        )
