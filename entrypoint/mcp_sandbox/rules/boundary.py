"""Paths that leave their folder and are read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from mcp_sandbox.model import Act, Evidence, KernelEvent, RiskClass, RuleInfo
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.secrets_out import listed, places
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, during

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_FILE = "file:"
_TRAVERSAL = "path-traversal"


@rule(
    RuleInfo(
        id="arbitrary-read",
        title="A path leaves its folder and is read",
        class_=H,
        evidence=Evidence.E1,
        what="A path that climbs out of the tool's folder, or names a file elsewhere, is opened, "
        "and the content comes back. Medium when the file was opened and nothing of it came back.",
        proof="The reply holds the content of a file that was planted outside; for medium, the "
        "kernel opened that very file, as the path that it resolved says, in that call's time.",
        quiet_when="The path is refused, looked at without being opened, or only repeated; the "
        "start or ordinary calls open the file as well. A tool that offers to read any file of the "
        "machine gives a note.",
        fix="Resolve the path, links included, and compare it with the folder by path parts; or "
        "open names relative to the folder's descriptor without following links.",
        cwe=(22, 23, 59),
    )
)
def arbitrary_read(context: Context) -> Iterator[Hit]:
    """A planted file in the reply to a path of ours, or opened because of it."""
    for made in context.family(_TRAVERSAL):
        if is_file_url(made):
            continue
        found = places(made.call.canaries, files=True)
        by_design = capability.reads_anywhere(context, made)
        if not found and (opened := opened_outside(context, made)):
            yield Hit(
                subject=made.subject,
                pointer=made.call.parameter,
                fact="read",
                message=f"At “{value_of(made)}” the server opened the planted "
                f"{quote(opened[0].object, 120)}; nothing of it came back"
                + (", and the tool offers to read any file." if by_design else "."),
                class_=N if by_design else M,
                evidence=Evidence.E3,
                session=made.session,
                calls=(made.call,),
                kernel=opened,
            )
        if found:
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


def opened_outside(context: Context, made: Made) -> tuple[KernelEvent, ...]:
    """Planted files that the call named and the kernel opened because of it."""
    ordinary = context.kept("planted and opened ordinarily", lambda: _opened_ordinarily(context))
    planted = context.kept("planted files", lambda: planted_files(context))
    return tuple(
        event
        for event in during(context, made)
        if event.call == made.call.number  # a late one might be another payload's
        and event.act is Act.OPEN
        and event.result == OK
        and (event.object in planted or _in_repository(event.object, planted))
        and (id(made.session), event.object) not in ordinary
        and _names(made, event.object)
    )


def planted_files(context: Context) -> frozenset[str]:
    """Paths of the planted files that nothing opens by itself."""
    return frozenset(
        place.removeprefix(_FILE)
        for place in context.observations.planted
        if place.startswith(_FILE) and place != "file:/etc/passwd"
    )


def _opened_ordinarily(context: Context) -> frozenset[tuple[int, str]]:
    return frozenset(
        (id(did.session), did.event.object)
        for did in context.did
        if did.event.act is Act.OPEN and (did.made is None or did.made.call.family == VALID)
    )


def _in_repository(path: str, planted: frozenset[str]) -> bool:
    """What git reads of a planted repository."""
    root, within, _ = path.partition("/.git/")
    return bool(within) and any(one.startswith(root + "/") for one in planted)


def _names(made: Made, path: str) -> bool:
    """The call asked for that file: by its last two parts, with or without an extension.

    What is behind a link that was planted bears the link's name in the call.
    """
    folder, name = posixpath.split(path.partition("/.git/")[0])
    wanted = f"{posixpath.basename(folder)}/{posixpath.splitext(name)[0] or name}"
    texts = [unquote(unquote(text)).replace("\\", "/") for text in sent(made.call)]
    return any(wanted in text or _by_link(text, name) for text in texts)


_LINKS = ("latest.log", "current")
"""Names of the links that are planted in a folder that the server was given."""


def _by_link(text: str, name: str) -> bool:
    last = posixpath.basename(text)
    return last == _LINKS[0] or (last == name and f"{_LINKS[1]}/" in text)


def is_file_url(made: Made) -> bool:
    """What was sent is an address, not a path: reading it is told by the ssrf rule."""
    value = capability.value_at(made.call.arguments, made.call.parameter)
    return isinstance(value, str) and value.strip().lower().startswith("file:")


def value_of(made: Made) -> str:
    """What was sent, for a message."""
    value = capability.value_at(made.call.arguments, made.call.parameter)
    return quote(str(made.call.arguments if value is None else value), 120)
