"""The lines of the article's own list that are about what the container became.

What ``seed.py`` says of the classes holds here too.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import Evidence, RiskClass, RuleInfo, Session
from mcp_sandbox.rules import witnessed
from mcp_sandbox.rules.annotations import changes, is_byproduct
from mcp_sandbox.rules.context import VALID, Context
from mcp_sandbox.rules.registry import Hit, normalised, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, OURS

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
MANY_CHANGES = 10
SHOWN = 5


def new_processes(session: Session) -> list[str]:
    """Command lines at the end that were not there at the start."""
    start = {normalised(line) for line in session.container.processes_at_start}
    if not start:
        return []
    return [
        line
        for line in session.container.processes_at_end
        if normalised(line) not in start and not witnessed.is_ours(line)
    ]


@rule(
    RuleInfo(
        id="seed-filesystem-changes",
        title="Files changed outside /tmp",
        class_=N,
        seed_class=H,
        evidence=Evidence.E3,
        what="The article's list: filesystem changes outside /tmp.",
        proof="The engine's diff of the container; the kernel's record of changes, those included "
        "that only the read-only root refused.",
        quiet_when="The change is /tmp or below it, or a mount point that the engine makes; in the "
        "kernel's record also caches, logs, locks and compiled code.",
        fix="Write to /tmp, or to a folder that the user mounts.",
        cwe=(732,),
    )
)
def filesystem_changes(context: Context) -> Iterator[Hit]:
    """HIGH, first line."""
    for session in context.sessions:
        if paths := _changed(session):
            yield Hit(
                subject="server",
                fact="changes",
                message=f"{len(paths)} changes outside /tmp: {quote(', '.join(paths), 400)}.",
                session=session,
            )
    tried = [
        did
        for did in context.did
        if changes(did.event)
        and did.event.object.startswith("/")
        and not did.event.object.startswith(OURS)
        and not is_byproduct(did.event.object)
    ]
    if tried:
        paths = sorted({did.event.object for did in tried})
        first = min(tried, key=lambda did: (did.event.result != OK, did.event.object))
        yield Hit(
            subject="server",
            fact="changes",
            message="The kernel's record has changes outside /tmp, done or refused: "
            f"{quote(', '.join(paths[:SHOWN]), 400)}.",
            evidence=None if first.event.result == OK else Evidence.E4,
            session=first.session,
            calls=(first.made.call,) if first.made else (),
            kernel=(first.event,),
        )


_MOUNT_POINTS = frozenset(
    {"/dev", "/dev/console", "/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc"}
    | {"/sys", "/run", "/tmp", "/.dockerenv"}  # noqa: S108 - a name in a list, nothing is written
)


def _changed(session: Session) -> list[str]:
    """Paths outside /tmp; a folder only when nothing in it is named."""
    paths = [
        one.path
        for one in session.container.changes
        if one.path not in _MOUNT_POINTS and not one.path.startswith("/tmp/")  # noqa: S108
    ]
    return sorted(
        path for path in paths if not any(other.startswith(path + "/") for other in paths)
    )


@rule(
    RuleInfo(
        id="seed-child-process",
        title="The process list shows new children",
        class_=N,
        seed_class=H,
        evidence=Evidence.E3,
        what="The article's list: the process list shows unexpected child processes.",
        proof="The engine's process list after the first answer and after the last call; the "
        "kernel's record of programs started in calls with hostile input.",
        quiet_when="The processes are those of the start, or of the tool's ordinary calls.",
        fix="Wait for the processes you start.",
        cwe=(772,),
    )
)
def child_process(context: Context) -> Iterator[Hit]:
    """HIGH, third line."""
    for session in context.sessions:
        if new := new_processes(session):
            yield Hit(
                subject="server",
                fact="children",
                message=f"New at the end: {quote('; '.join(new[:SHOWN]), 400)}.",
                session=session,
            )
    learned = witnessed.programs(context)
    for did in context.did:
        if did.made is None or did.made.call.family == VALID or not witnessed.started(did.event):
            continue
        name = witnessed.program(did.event)
        if not (learned.unprompted(name) or learned.in_calls(did.made, name)):
            yield Hit(
                subject="server",
                fact="children",
                message="Hostile input started "
                f"“{quote(did.event.detail or did.event.object, 160)}”.",
                session=did.session,
                calls=(did.made.call,),
                kernel=(did.event,),
            )


@rule(
    RuleInfo(
        id="seed-many-changes",
        title="More than ten files changed",
        class_=N,
        seed_class=M,
        evidence=Evidence.E3,
        what="The article's list: more than 10 filesystem changes.",
        proof="The engine's diff of the container, which does not see what is in memory (/tmp).",
        quiet_when=f"{MANY_CHANGES} changes or fewer.",
        fix="Clean up what a call leaves behind.",
    )
)
def many_changes(context: Context) -> Iterator[Hit]:
    """MEDIUM, third line."""
    for session in context.sessions:
        count = len(session.container.changes)
        if count > MANY_CHANGES:
            yield Hit(
                subject="server",
                fact="many",
                message=f"The engine's diff lists {count} changes.",
                session=session,
            )
