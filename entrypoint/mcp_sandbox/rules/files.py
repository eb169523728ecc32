"""Files that are nobody's business but their owner's: credentials, agents' settings, environments.

Only what was opened counts, by the path that the kernel resolved; what was looked at or looked for
does not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox import deeds
from mcp_sandbox.model import (
    Act,
    Confidence,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    Window,
)
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, REFUSED, before, names_path, short

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_FILE = "file:"
_PATHS = frozenset({"path-traversal", "ssrf"})
"""Families whose payloads make a server walk where it should not; they have rules of their own."""


def _asked(did: Did) -> bool:
    """A call named the file, or led the server out of its folder; or the call before did."""
    if did.made is None:
        return False
    calls = [did.made, before(did.made)]
    return any(
        made is not None and (names_path(made, did.event.object) or (made.call.family in _PATHS))
        for made in calls
    )


# --- credentials ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    """One kind of credential file, and the software whose own it is."""

    name: str
    ends: tuple[str, ...]
    """Ends of the paths."""
    programs: frozenset[str] = frozenset()
    """Programs that open it for themselves."""
    modules: tuple[str, ...] = ()
    """Parts of paths of libraries that open it by themselves, once they are loaded."""


_STORES = (
    Store("SSH keys", ("/.ssh/id_rsa", "/.ssh/id_ed25519", "/.ssh/id_ecdsa"), frozenset({"ssh"})),
    Store(
        "AWS credentials",
        ("/.aws/credentials",),
        frozenset({"aws"}),
        ("/botocore/", "/@aws-sdk/", "/@smithy/", "/aws-sdk/"),
    ),
    Store(
        ".netrc",
        ("/.netrc",),
        frozenset({"curl", "git", "git-remote-https", "git-remote-http"}),
        ("/requests/",),
    ),
    Store(".env", ("/.env",), modules=("/dotenv/",)),
    Store("git credentials", ("/.git-credentials",), frozenset({"git", "git-credential-store"})),
    Store(".npmrc", ("/.npmrc",), frozenset({"npm", "npx"}), ("/npm/",)),
    Store("registry credentials", ("/.docker/config.json",), frozenset({"docker"}), ("/docker/",)),
    Store(
        "cluster credentials", ("/.kube/config",), frozenset({"kubectl", "helm"}), ("/kubernetes/",)
    ),
    Store(
        ".pgpass", ("/.pgpass",), frozenset({"psql", "pg_dump"}), ("/psycopg", "/asyncpg/", "/pg/")
    ),
    Store(".pypirc", ("/.pypirc",), frozenset({"twine"}), ("/twine/",)),
    Store("cargo's token", ("/.cargo/credentials.toml",), frozenset({"cargo"})),
    Store("GitHub's token", ("/.config/gh/hosts.yml",), frozenset({"gh"})),
    Store("the password hashes", ("/etc/shadow", "/etc/gshadow")),
    Store("a cluster's token", ("/run/secrets/kubernetes.io/serviceaccount/token",)),
)


def _store(path: str, planted: frozenset[str]) -> Store | None:
    for store in _STORES:
        if path.endswith(store.ends):
            return store
    if path in planted and "/." in path and not _AGENT.search(path):
        return Store(posixpath.basename(path), (path,))
    return None


def _planted(context: Context) -> frozenset[str]:
    return frozenset(
        place.removeprefix(_FILE)
        for place in context.observations.planted
        if place.startswith(_FILE)
    )


def _owner_at_work(did: Did, store: Store, loaded: str) -> bool:
    """The software whose own the store is opened it, as far as the record tells."""
    return short(did.event.program) in store.programs or any(
        module in loaded for module in store.modules
    )


_PACKAGES = ("/site-packages/", "/dist-packages/", "/node_modules/")


def _loaded(session: Session) -> str:
    """Paths of libraries that the session opened."""
    return "\n".join(
        event.object
        for event in session.container.kernel
        if event.act is Act.OPEN
        and ("/site-packages/" in event.object or "/node_modules" in event.object)
    )


@rule(
    RuleInfo(
        id="credential-file-opened",
        title="A credential file is opened unasked",
        class_=H,
        evidence=Evidence.E3,
        what="The server opens a file that holds somebody's credentials and that no call named. "
        "High for a key that no library reads by itself, for two stores or more, and at start-up; "
        "medium for one store that some library owns.",
        proof="The kernel opened the file; the path is the one that it resolved.",
        quiet_when="The file is only looked for, a call named it, or a hostile path led there "
        "(arbitrary-read). A note when the software that owns the store is seen to be at work "
        "(requests and `.netrc`, the AWS libraries and `.aws`, git, npm), and for a `.env` in the "
        "server's own working folder.",
        fix="Let the user hand the server the one credential that it needs, as a setting.",
        cwe=(522, 538),
    )
)
def credential_file_opened(context: Context) -> Iterator[Hit]:
    """Successful opens of credential files, one hit a store and tool."""
    planted = _planted(context)
    opened: dict[tuple[str, str], list[tuple[Did, bool]]] = {}
    libraries: dict[int, str] = {}
    here = context.observations.image.launch.working_dir.rstrip("/")
    for did in context.did:
        event = did.event
        if event.act is not Act.OPEN or event.result != OK:
            continue
        store = _store(event.object, planted)
        if store is None or _asked(did):
            continue
        if id(did.session) not in libraries:
            libraries[id(did.session)] = _loaded(did.session)
        owned = _owner_at_work(did, store, libraries[id(did.session)])
        owned = owned or (store.name == ".env" and posixpath.dirname(event.object) == here)
        subject = "server" if owned else did.subject
        opened.setdefault((store.name, subject), []).append((did, owned))
    alien = {name for (name, _), times in opened.items() if not all(owned for _, owned in times)}
    for (name, subject), times in opened.items():
        did, owned = next((one for one in times if not one[1]), times[0])
        ownable = any(one.name == name and (one.programs or one.modules) for one in _STORES)
        ownable = ownable and name != "SSH keys"
        early = any(one.event.window is Window.START for one, mine in times if not mine)
        class_ = N if owned else M if ownable and len(alien) < _MANY and not early else None
        yield Hit(
            subject=subject,
            fact=f"credentials {name}",
            message=f"The server opened {quote(did.event.object, 120)}"
            + (
                ", as the software does that owns it."
                if owned
                else f", and {len(alien) - 1} other stores of credentials."
                if len(alien) > _MANY
                else ", and another store of credentials."
                if len(alien) == _MANY
                else "; no call named it."
            ),
            class_=class_,
            confidence=Confidence.MEDIUM if class_ is M else Confidence.HIGH,
            session=did.session,
            calls=(did.made.call,) if did.made else (),
            kernel=(did.event,),
            about=tuple(
                deed for one, _ in times for deed in deeds.of_kernel(one.session, one.event)
            ),
        )


_MANY = 2


# --- agents ---------------------------------------------------------------------------------------

_AGENT = re.compile(
    r"/\.(?:cursor|claude|codeium|windsurf|gemini|codex|continue|vscode)/(?:\S*/)?"
    r"(?:mcp(?:_config)?\.json|settings(?:\.local)?\.json|config\.(?:toml|json|yaml)|hooks\.json"
    r"|CLAUDE\.md|hooks/\S+)$"
    r"|/\.aws/amazonq/mcp\.json$|/Code/User/mcp\.json$|/cline_mcp_settings\.json$"
    r"|/\.claude\.json$|/claude_desktop_config\.json$|/\.mcp\.json$|/\.cursorrules$"
)
_CHANGES = frozenset({Act.WRITE, Act.RENAME, Act.UNLINK, Act.LINK, Act.CHMOD})
_AGENTS = re.compile(r"\b(?:cursor|claude|windsurf|gemini|codex|mcp (?:client|config|server)s?)\b")


@rule(
    RuleInfo(
        id="agent-config-access",
        title="The settings of an agent are opened",
        class_=C,
        evidence=Evidence.E3,
        what="The server opens the settings of an agent, which hold the tokens and the addresses "
        "of other servers (high), or tries to change them, which would give it power over whatever "
        "the agent does next (critical).",
        proof="The kernel opened the file, or was asked to change it; a refusal by the read-only "
        "root counts, for it is the sandbox's doing.",
        quiet_when="The file is only looked for, or a call named it. A note when a tool's own "
        "words offer to work on the settings of agents, and a call asked for it.",
        fix="Leave the settings of other programs alone; print what the user is to enter.",
        cwe=(522, 732),
    )
)
def agent_config_access(context: Context) -> Iterator[Hit]:
    """Opens and changes of agents' settings."""
    for did in context.did:
        event = did.event
        path = _agent_path(event)
        if not path or _asked(did):
            continue
        writes = event.act in _CHANGES
        offered = did.made is not None and bool(_AGENTS.search(context.declared(did.made)))
        yield Hit(
            subject="server" if offered else did.subject,
            fact=f"agent {posixpath.basename(path)}",
            message=f"The server {'tried to change' if writes else 'opened'} {quote(path, 120)}"
            + (", as the tool offers." if offered else "; no call named it."),
            class_=N if offered else None if writes else H,
            evidence=Evidence.E3 if event.result == OK else Evidence.E4,
            session=did.session,
            calls=(did.made.call,) if did.made else (),
            kernel=(event,),
        )


def _agent_path(event: KernelEvent) -> str:
    """The agent's settings that an event opened or would have changed."""
    if event.act is Act.OPEN and event.result == OK and _AGENT.search(event.object):
        return event.object
    if event.act in _CHANGES and event.result in {OK, *REFUSED}:
        names = [event.object, event.detail] if event.act is Act.RENAME else [event.object]
        if event.act is Act.LINK:
            names = [event.detail]
        return next((name for name in names if _AGENT.search(name)), "")
    return ""


# --- environments ---------------------------------------------------------------------------------

_ENVIRON = re.compile(r"/proc/(?:[0-9]+|self|thread-self)(?:/task/[0-9]+)?/environ")
_SELF = re.compile(r"/proc/(?:self|thread-self)/")
_PROCESS_TOOLS = frozenset({"ps", "pgrep", "pkill", "top", "htop"})


@rule(
    RuleInfo(
        id="environment-harvest",
        title="The environment of processes is read through /proc",
        class_=H,
        evidence=Evidence.E3,
        what="The server opens `/proc/PID/environ`: settings and secrets of other processes, or "
        "its own by a way around the usual one (medium).",
        proof="The kernel opened the file, or refused it for the process that is not the server's "
        "own.",
        quiet_when="A call named the path. A note for `ps` and its like, and for a tool that "
        "offers to return environment variables.",
        fix="Read the settings that the server needs, by name, from its own environment.",
        cwe=(214, 497),
    )
)
def environment_harvest(context: Context) -> Iterator[Hit]:
    """Opens of environ files under /proc."""
    for did in context.did:
        event = did.event
        if event.act is not Act.OPEN or not _ENVIRON.fullmatch(event.object) or _asked(did):
            continue
        if event.result not in {OK, *REFUSED}:
            continue
        own = bool(_SELF.search(event.object) or _SELF.search(event.detail))
        if own and event.result != OK:
            continue
        mild = short(event.program) in _PROCESS_TOOLS or (
            did.made is not None and capability.tells_environment(context, did.made)
        )
        yield Hit(
            subject="server" if mild else did.subject,
            fact="environ",
            message="The server opened "
            + (
                "its own environment through /proc."
                if own
                else "the environment of a process through /proc."
            ),
            class_=N if mild else M if own else None,
            evidence=Evidence.E3 if event.result == OK else Evidence.E4,
            confidence=Confidence.HIGH if event.result == OK else Confidence.MEDIUM,
            session=did.session,
            calls=(did.made.call,) if did.made else (),
            kernel=(event,),
        )
