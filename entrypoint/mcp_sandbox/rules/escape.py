"""Reaching for the machine around the container, and for the time after the session."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import Act, Evidence, KernelEvent, RiskClass, RuleInfo, Tracing
from mcp_sandbox.rules import witnessed
from mcp_sandbox.rules.context import Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK, short, tried

C, H, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.NOTE

_CHANGES = frozenset({Act.WRITE, Act.LINK, Act.RENAME, Act.MKNOD, Act.CHMOD})

# --- the time after the session -------------------------------------------------------------------

_PERSISTENT: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("keys of SSH", re.compile(r"/\.ssh/(?:authorized_keys2?|rc|environment)$")),
    ("scheduled jobs", re.compile(r"^/etc/(?:cron|anacrontab|at\.)|^/var/spool/(?:cron|at)/")),
    (
        "start-up of a shell",
        re.compile(
            r"/\.(?:bashrc|bash_profile|bash_login|bash_logout|profile|zshrc|zshenv|zprofile|zlogin"
            r"|kshrc|cshrc|tcshrc|config/fish/config\.fish)$"
            r"|^/etc/(?:profile(?:\.d/|$)|bash\.bashrc$|zsh/|environment$)"
        ),
    ),
    ("start-up of every program", re.compile(r"^/etc/ld\.so\.(?:preload$|conf)")),
    (
        "services",
        re.compile(
            r"^/(?:etc|lib|usr/lib|run)/systemd/(?:system|user)/|/\.config/systemd/user/"
            r"|^/etc/(?:init\.d/|rc[0-9S]?\.d/|rc\.local$|init/|inittab$)|^/etc/s6|/LaunchAgents/"
        ),
    ),
    ("start-up of a desktop", re.compile(r"/\.config/autostart/|^/etc/xdg/autostart/")),
    (
        "accounts",
        re.compile(r"^/etc/(?:passwd|shadow|group|gshadow|sudoers(?:$|\.d/)|pam\.d/|doas\.conf)"),
    ),
    ("hooks of Git", re.compile(r"/\.git/hooks/[^/]+(?<!\.sample)$")),
    (
        "start-up of Python",
        re.compile(r"/(?:sitecustomize|usercustomize)\.py$|/site-packages/[^/]+\.pth$"),
    ),
)


@rule(
    RuleInfo(
        id="persistence-attempt",
        title="The server tries to stay",
        class_=H,
        evidence=Evidence.E3,
        what="The server writes to a place from which programs are started later: keys of SSH, "
        "scheduled jobs, start-up files of shells, services, accounts, hooks of Git. The sandbox's "
        "read-only root refuses most of it; a user's machine would not.",
        proof="The kernel opened such a path for writing, or made, renamed or linked it, or "
        "refused to.",
        quiet_when="The call named that file (reported as arbitrary-write); Git makes its own "
        "sample hooks.",
        fix="Write only to the folders that the tool is for.",
        cwe=(506, 732),
    )
)
def persistence_attempt(context: Context) -> Iterator[Hit]:
    """Changes to places from which programs are started."""
    yield from witnessed.told_once(_persistence_attempt(context))


def _persistence_attempt(context: Context) -> Iterator[Hit]:
    for did in context.did:
        event = did.event
        if event.act not in _CHANGES or _own_git(event):
            continue
        for path in _paths(event):
            what = next((name for name, where in _PERSISTENT if where.search(path)), "")
            if what and not _named(did, path):
                yield tried(did, what, f"to change “{quote(path, 160)}” ({what})", H)
                break


def _own_git(event: KernelEvent) -> bool:
    return short(event.program) == "git" and "/.git/hooks/" in event.object


def _paths(event: KernelEvent) -> tuple[str, ...]:
    """The changed path, or the new one of a rename or link."""
    if event.act in {Act.RENAME, Act.LINK}:
        return (event.detail, event.object) if event.act is Act.RENAME else (event.detail,)
    return (event.object,)


def _named(did: Did, path: str) -> bool:
    return did.made is not None and witnessed.names_path(did.made, path)


# --- the machine around the container -------------------------------------------------------------

_ENGINE = re.compile(
    r"(?:^|/)(?:docker|containerd|podman|crio|cri-dockerd|buildkitd|lxd?)(?:/unix)?\.(?:sock|socket)$"
)
_RELEASE = re.compile(
    r"^/proc/sysrq-trigger$|^/proc/sys/kernel/(?:core_pattern|modprobe|hotplug|poweroff_cmd)$"
    r"|^/proc/sys/fs/binfmt_misc/|^/sys/kernel/(?:uevent_helper|debug/)"
    r"|/(?:release_agent|notify_on_release|devices\.allow)$|^/sys/fs/cgroup/.*/cgroup\.procs$"
)
"""Files by whose change the machine's kernel runs something, or lets go of a limit."""
_MEMORY = re.compile(r"^/dev/(?:k?mem|port)$|^/proc/kcore$")
_DISK = re.compile(
    r"^/dev/(?:[shv]d[a-z]|xvd[a-z]|nvme[0-9]|mmcblk[0-9]|dm-[0-9]|mapper/|disk/by-)"
)
_ROOT_OF_ANOTHER = re.compile(r"/proc/[0-9]+/root(?:/|\b)")
_DEVICE = re.compile(r"S_IF(?:BLK|CHR)")
_SANDBOXERS = frozenset(
    {"bwrap", "chrome", "chromium", "chromium-browser", "headless_shell", "chrome-headless-shell"}
    | {"chrome_crashpad_handler", "msedge", "firefox", "WebKitWebProcess", "nsjail", "firejail"}
)
"""Programs that lock themselves, or others, in: they try for namespaces, and do without."""
_CONTAINERS = re.compile(r"\b(?:docker|podman|containers?|containerd|kubernetes|compose)\b")


@rule(
    RuleInfo(
        id="container-escape-attempt",
        title="The server reaches for the machine around its container",
        class_=C,
        evidence=Evidence.E3,
        what="The server speaks to the engine that runs it, mounts, enters namespaces, or opens "
        "files by which a container gets at its machine: the kernel's helper programs, raw memory, "
        "disks, another process's root. Critical when the kernel did it, high when it refused. "
        "What the engine's own filter refuses before the tracer sees it is not in the record.",
        proof="The kernel's record of the operation on that object.",
        quiet_when="The call named that path (reported as arbitrary-read or arbitrary-write). A "
        "note: browsers and sandboxes try for namespaces to lock themselves in; a server that says "
        "it works with containers looks for the engine's socket, which is not there.",
        fix="Remove it. A server that manages containers needs the engine's socket and nothing "
        "else of these, and says so.",
        cwe=(250, 269, 506),
    )
)
def container_escape_attempt(context: Context) -> Iterator[Hit]:
    """Operations that only make sense against the machine outside."""
    yield from witnessed.told_once(_container_escape_attempt(context))


def _container_escape_attempt(context: Context) -> Iterator[Hit]:
    speaks = None
    for did in context.did:
        what = _escape(did)
        if not what or _named(did, _asked_path(did.event)):
            continue
        class_ = C if did.event.result == OK else H
        if what == "the engine's socket":
            speaks = _speaks_of_containers(context) if speaks is None else speaks
            class_ = N if speaks and class_ is H else class_
        elif did.event.act is Act.NAMESPACE and short(did.event.program) in _SANDBOXERS:
            class_ = N
        yield tried(did, what, f"to reach for {what}, “{quote(did.event.object, 120)}”", class_)


def _speaks_of_containers(context: Context) -> bool:
    return any(_CONTAINERS.search(one.text[:2_000].lower()) for one in context.surfaces)


def _asked_path(event: KernelEvent) -> str:
    return event.object.removeprefix("unix:")


def _escape(did: Did) -> str:
    """What of the machine an event reaches for; empty when for nothing."""
    event = did.event
    found = ""
    if event.act is Act.MOUNT:
        found = "a mount"
    elif event.act is Act.NAMESPACE:
        flags = f"{event.object} {event.detail}"
        found = "" if "CLONE_" in flags and "CLONE_NEW" not in flags else "a namespace"
    elif event.act in {Act.CONNECT, Act.SEND} and event.object.startswith("unix:"):
        found = "the engine's socket" if _ENGINE.search(event.object) else ""
    elif event.act is Act.MKNOD:
        found = "a device" if _DEVICE.search(event.detail) else ""
    elif event.act in _CHANGES and any(_RELEASE.search(path) for path in _paths(event)):
        found = "a switch of the machine's kernel"
    elif event.act in {Act.OPEN, Act.WRITE}:
        found = _opened(did)
    return found


def _opened(did: Did) -> str:
    event = did.event
    if _ENGINE.search(event.object):
        return "the engine's socket"
    if _MEMORY.search(event.object):
        return "the machine's memory"
    if _DISK.search(event.object) and event.result != "ENOENT":
        return "a disk"
    if _ROOT_OF_ANOTHER.search(f"{event.object} {event.detail}"):
        # With the tracer outside, process 1 is the server itself.
        return "" if did.session.container.tracing is Tracing.OUTSIDE else "another process's root"
    return ""
