"""Planted secrets on their way out: in a reply, a log, a name, a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from mcp_sandbox.model import (
    Act,
    CanaryHit,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    SinkEvent,
    SinkKind,
)
from mcp_sandbox.rules import capability, hosts
from mcp_sandbox.rules.context import Arrived, Context, Made
from mcp_sandbox.rules.registry import Hit, rule, severity
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, REFUSED

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_FILE = "file:"
_ENVIRONMENT = "env:"
_ARGUMENT = "argument:"
"""A setting that was invented for the server's own command line."""
_SETTING = "setting:"
"""A file that the server asked for, at the path that it named."""
_PATHS = frozenset({"path-traversal", "ssrf"})
"""Families whose payloads ask for planted files; what comes back has rules of its own."""
_DECOYS = frozenset({"env:AWS_SECRET_ACCESS_KEY", "env:GITHUB_TOKEN", "env:BACKUP_API_KEY"})
"""Planted whatever the server asks for. Other variables are planted because it names them."""


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
        "in a reply, a notification, the log, a file in /tmp, the arguments of a program or the "
        "name of a file. The probe never sends one. "
        "Critical when nobody asked for it, and for environment variables always; high when the "
        "call asked for that very file, or when the copy stayed in the container; medium when a "
        "setting that the server itself asks for is handed to a program as an argument.",
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
    anyway = {
        (made.subject, hit.place)
        for made in context.made
        if not made.call.parameter
        for hit in made.call.canaries
    }
    for made in context.made:
        files = places(made.call.canaries, files=True)
        if made.call.family in _PATHS:
            read.update(files)
        elif files:
            asked = all(_asked(made, place) for place in files)
            yield _told(
                made,
                "file",
                f"The reply holds the planted content of {listed(files)}, "
                + ("which the call asked for." if asked else "which nobody asked for."),
                H if asked else None,
                anyway=all((made.subject, place) in anyway for place in files),
            )
        if values := places(made.call.canaries, files=False):
            by_design = capability.tells_environment(context, made)
            yield _told(
                made,
                "environment",
                f"The reply holds the planted value of {listed(values)}"
                + (", as the tool offers." if by_design else "."),
                N if by_design else None,
                anyway=all((made.subject, place) in anyway for place in values),
            )
    for session in context.sessions:
        yield from _elsewhere(session, read)
    yield from _named_in(context)


def _told(
    made: Made, fact: str, message: str, class_: RiskClass | None, *, anyway: bool = False
) -> Hit:
    """``anyway``: an ordinary call brings it too, so no parameter is to blame."""
    return Hit(
        subject=made.subject,
        pointer="" if anyway else made.call.parameter,
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
        if canary.place == f"{_SETTING}{path}":
            continue  # it lies where it was put
        yield Hit(
            subject="server",
            fact=f"tmpfs {canary.place}",
            message=f"The planted secret of {canary.place} lies in {quote(path, 120)}.",
            class_=H,
            session=session,
        )


# --- names and arguments --------------------------------------------------------------------------

_NAMING = frozenset({Act.WRITE, Act.MKDIR, Act.RENAME, Act.LINK, Act.MKNOD})


def _named_in(context: Context) -> Iterator[Hit]:
    """Planted secrets in the arguments of programs and in the names of new files."""
    sent_out = {
        (id(one.session), hit.place) for one in context.arrived for hit in one.event.canaries
    }
    for did in context.did:
        event = did.event
        where = _carrier(event)
        for place in sorted({hit.place for hit in event.canaries}) if where else ():
            if (id(did.session), place) in sent_out:
                continue  # how it got there is told by canary-exfiltrated
            if event.act is Act.EXEC and place.startswith(_ARGUMENT):
                continue  # it was we who put it there
            yield Hit(
                subject=did.subject,
                fact=f"{where} {place}",
                message=f"The planted secret of {quote(place, 120)} stands in {where}, which "
                "every process of the machine can read.",
                class_=M if _is_own(place) else H,
                session=did.session,
                calls=(did.made.call,) if did.made else (),
                kernel=(event,),
            )


def _carrier(event: KernelEvent) -> str:
    if event.act is Act.EXEC and event.result == OK:
        return "the arguments of a program"
    if event.act in _NAMING and event.result in {OK, *REFUSED}:
        return "the name of a file"
    return ""


def _is_own(place: str) -> bool:
    """A setting that the server itself asks for: it is made to be used."""
    return place.startswith((_ENVIRONMENT, _ARGUMENT, _SETTING)) and place not in _DECOYS


# --- at the sink ----------------------------------------------------------------------------------

_OWNERS: dict[str, frozenset[str]] = {
    word: frozenset(domains.split())
    for word, domains in {
        "aws": "amazonaws.com aws.amazon.com amazon.com api.aws",
        "github": "github.com githubusercontent.com ghcr.io",
        "gitlab": "gitlab.com",
        "openai": "openai.com",
        "anthropic": "anthropic.com",
        "google": "googleapis.com google.com",
        "gemini": "googleapis.com",
        "azure": "azure.com microsoft.com windows.net",
        "slack": "slack.com",
        "stripe": "stripe.com",
        "notion": "notion.com notion.so",
        "linear": "linear.app",
        "discord": "discord.com",
        "telegram": "telegram.org",
        "cloudflare": "cloudflare.com",
        "sentry": "sentry.io",
    }.items()
}
"""Word of a variable's name -> whose secret that is."""


def _belongs(place: str, own: str) -> bool | None:
    """Whether a domain is that of a secret's owner; ``None`` when the owner is not known."""
    if place.startswith(_FILE):
        return own == "internal.example"  # the host that stands beside every planted token
    words = re.split(r"[^a-z0-9]+", place.partition(":")[2].lower())
    for word in words:
        if word in _OWNERS:
            return any(own == one or own.endswith("." + one) for one in _OWNERS[word])
    return None if _is_own(place) else False


def _class_of(context: Context, one: Arrived, place: str) -> RiskClass | None:
    """How bad it is that this secret went there; ``None`` for the rule's own class."""
    own = hosts.domain(one.event.host)
    belongs = _belongs(place, own)
    if belongs is None:
        if own not in hosts.declared(context):
            return H
        belongs = True
    if not belongs:
        return None
    secret = one.event.tls or one.event.kind is SinkKind.ALLOWED
    return N if secret and one.event.kind is not SinkKind.DNS else H


@rule(
    RuleInfo(
        id="canary-exfiltrated",
        title="A planted secret was sent away",
        class_=RiskClass.CRITICAL,
        evidence=Evidence.E1,
        what="A secret that was planted for this run, in a file or an environment variable, "
        "arrived at the sink: in a name that was looked up, a request, the bytes of a connection "
        "or a datagram. The probe never sends one.",
        proof="The planted secret itself, found plain or encoded, whole or in pieces.",
        quiet_when="A signature made with a secret is not the secret. A secret that goes to the "
        "service it belongs to, encrypted, is being used: a note; unencrypted it is high. So it is "
        "when a setting that the server itself asks for goes to a host that nothing names, for "
        "there it may belong.",
        fix="Send a secret to the service that it belongs to and nowhere else; read none that the "
        "call does not need.",
        cwe=(201, 200, 506),
    )
)
def canary_exfiltrated(context: Context) -> Iterator[Hit]:
    """Planted secrets in what arrived at the sink, one hit a subject and domain."""
    found: dict[tuple[str, str], list[tuple[Arrived, str, RiskClass | None]]] = {}
    for one in context.arrived:
        for place in sorted({hit.place for hit in one.event.canaries}):
            key = one.subject, hosts.domain(one.event.host)
            found.setdefault(key, []).append((one, place, _class_of(context, one, place)))
    for (subject, own), sent_there in found.items():
        worst = min((class_ for _, _, class_ in sent_there), key=_rank)
        ways = [(one, place) for one, place, class_ in sent_there if class_ is worst]
        first = ways[0][0]
        yield Hit(
            subject=subject,
            fact=f"sent to {own}",
            message=f"The planted secret of {listed(sorted({place for _, place in ways}))} was "
            f"sent to {quote(own, 120)}" + _TOLD.get(worst, "."),
            class_=worst,
            session=first.session,
            calls=(first.made.call,) if first.made else (),
            sink=_events(ways, first.session),
        )


_TOLD: dict[RiskClass | None, str] = {
    N: ", to which it belongs.",
    H: ": unencrypted, or to a host that nothing names.",
}


def _rank(class_: RiskClass | None) -> int:
    return -1 if class_ is None else severity(class_)


def _events(ways: list[tuple[Arrived, str]], session: Session) -> tuple[SinkEvent, ...]:
    return tuple(dict.fromkeys(one.event for one, _ in ways if one.session is session))[:4]
