"""What in a command would take the server out of its container, or run what nobody has looked at.

A value is looked at and, where it may be a secret, never told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_sandbox.launch import secrets
from mcp_sandbox.model.launch import DangerKind
from mcp_sandbox.scanners import launchers, shell


@dataclass(frozen=True)
class Found:
    """A dangerous part, without its place in a file."""

    option: str
    why: str
    kind: DangerKind
    at: int = 0
    """Which of the words it is."""


_SHARED = frozenset({"pid", "ipc", "uts", "userns", "cgroupns"})
_STRONG = frozenset(
    {
        *("ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"),
        *("DAC_OVERRIDE", "MAC_ADMIN", "SYS_BOOT"),
    }
)
_SOCKET = re.compile(r"(?:^|/)(?:docker|podman|containerd|crio)\.sock$|^//./pipe/docker_engine$")
_UNCONFINED = re.compile(r"unconfined|disable|no-new-privileges[:=]false")
_SYSTEM = re.compile(r"(?:[A-Za-z]:)?[/\\]?|/(?:etc|proc|sys|dev|boot|run|var/run|var/lib/docker)")
_HOME = re.compile(
    r"(?:~|\$\{?HOME\}?|\$\{(?:env:)?HOME\}|%USERPROFILE%|/root|/home|/Users|/home/[^/]+|/Users/[^/]+"
    r"|[A-Za-z]:[/\\]Users(?:[/\\][^/\\]+)?)[/\\]?"
    r"(?P<within>[/\\]\.?(?:ssh|aws|gnupg|kube|docker|config|netrc|npmrc|gcloud|azure)[/\\]?)?"
)


def of_option(name: str, value: str) -> Iterator[Found]:
    """What is dangerous about one option of ``docker run``, by its long name."""
    if name in {"volume", "mount"}:
        yield from _mount(name, value)
    elif name == "env" and "=" in value:
        variable, _, given = value.partition("=")
        if what := secrets.held(variable, given):
            yield Found(f"-e {variable[:60]}={secrets.MASK}", what, DangerKind.SECRET)
    elif said := _option(name, value.strip()):
        shown = f"--{name}" if value.lower() == "true" else f"--{name} {value}".strip()[:120]
        yield Found(shown, *said)


def _option(name: str, value: str) -> tuple[str, DangerKind] | None:  # noqa: PLR0911 - a table
    lower = value.lower()
    if name == "privileged" and lower != "false":
        return "all of the host's devices and capabilities", DangerKind.CONTROL
    if name in {"network", "net"} and lower == "host":
        return "the host's own network, its local services among them", DangerKind.NETWORK
    if name in _SHARED and lower == "host":
        kind = DangerKind.CONTROL if name == "pid" else DangerKind.ACCESS
        return f"the host's own {name} namespace", kind
    if name == "cap-add":
        strong = value.upper().removeprefix("CAP_") in _STRONG
        kind = DangerKind.CONTROL if strong else DangerKind.ACCESS
        return "a capability that the engine would drop", kind
    if name == "security-opt" and _UNCONFINED.search(lower):
        return "a protection of the engine is switched off", DangerKind.CONTROL
    if name in {"device", "device-cgroup-rule"}:
        return "a device of the host", DangerKind.ACCESS
    if name == "user" and lower.partition(":")[0] in {"root", "0"}:
        return "the server runs as root", DangerKind.ROOT
    if name == "use-api-socket":
        return "the engine's socket", DangerKind.CONTROL
    return None


def _mount(name: str, value: str) -> Iterator[Found]:
    source = _source(name, value)
    if not source:
        return
    shown = ("-v " if name == "volume" else "--mount ") + value[:120]
    home = _HOME.fullmatch(source)
    if _SOCKET.search(source):
        yield Found(
            shown, "the engine's socket: who has it is root on the host", DangerKind.CONTROL
        )
    elif _SYSTEM.fullmatch(source.rstrip("/\\") if len(source) > 1 else source):
        yield Found(shown, "a folder of the host's own system", DangerKind.CONTROL)
    elif home:
        what = "credentials" if home["within"] else "a whole home folder"
        yield Found(shown, f"{what} of the host", DangerKind.ACCESS)
    else:
        yield Found(shown, "a folder of the host", DangerKind.FOLDER)


def _source(name: str, value: str) -> str:
    """The host's path of a mount; empty for a volume, a tmpfs or what cannot be told."""
    if name == "mount":
        keys = dict(part.strip().partition("=")[::2] for part in value.split(","))
        if keys.get("type", "volume") != "bind":
            return ""
        return keys.get("source", keys.get("src", "")).strip()
    drive = re.match(r"[A-Za-z]:[/\\]", value)
    source = value.split(":", 2)[:2]
    path = ":".join(source) if drive else _before_colon(value)
    is_path = path.startswith((".", "/", "~", "$", "%", "<")) or bool(drive)
    return path if is_path and (":" in value[len(path) :]) else ""


def _before_colon(value: str) -> str:
    """Up to the first colon that stands in no ``${…}``."""
    match = re.match(r"(?:\$\{[^{}]*\}|\$\([^()]*\)|[^:])*", value)
    return match[0] if match else ""


# --- commands -------------------------------------------------------------------------------------

_FETCHERS = frozenset({"curl", "wget", "iwr", "irm", "invoke-webrequest"})
_INTERPRETERS = shell.SHELLS | {"node", "perl", "php", "python", "python3", "ruby"}
_POWERSHELL = re.compile(
    r"(?i)\b(?:iex|invoke-expression)\b.{0,200}\b(?:iwr|irm|curl|wget|download\w*|invoke-web\w*)\b"
    r"|\b(?:iwr|irm|invoke-web\w*)\b[^|]{0,300}\|\s*(?:iex|invoke-expression)\b"
)


def of_command(words: Sequence[str]) -> Iterator[Found]:
    """What is dangerous about a program and its arguments, ``docker run`` aside."""
    command = (shell.Pipeline((shell.Command(tuple(words)),)),)
    pipelines = list(shell.everything(command))
    if runner := next(filter(None, map(_piped, pipelines)), ""):
        told = f"{runner} runs what is downloaded, whatever it is"
        yield Found(f"… | {runner}", told, DangerKind.DOWNLOAD)
    elif any(_POWERSHELL.search(word[:4_096]) for word in words):
        yield Found("iex", "PowerShell runs what is downloaded", DangerKind.DOWNLOAD)
    for pipeline in pipelines:
        for one in pipeline.commands:
            if package := launchers.fetched(one.words):
                program = one.program()
                told = f"{program} fetches it at every start, in whatever version there is then"
                yield Found(f"{program} {package[:80]}", told, DangerKind.UNPINNED)
    yield from _given(words)


def _piped(pipeline: shell.Pipeline) -> str:
    """The program that runs a download, if one does."""
    fetching = False
    for command in pipeline.commands:
        program, arguments = shell.call(command.words)
        inside = any(_fetches(one) for inner in command.inner for one in inner.commands)
        runs = program in _INTERPRETERS and (fetching or inside)
        if runs and not (fetching and {"-m", "-e"} & set(arguments)):
            return program
        fetching = fetching or _fetches(command)
    return ""


def _fetches(command: shell.Command) -> bool:
    return command.program().lower() in _FETCHERS or any(
        _fetches(one) for inner in command.inner for one in inner.commands
    )


def _given(words: Sequence[str]) -> Iterator[Found]:
    """Secrets among the arguments: ``--api-key VALUE``, ``--api-key=VALUE``, a known form."""
    before = ""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        flag, given = (name, value) if word.startswith("-") and equals else (before, word)
        if what := secrets.held(flag.lstrip("-"), given):
            told = f"{flag[:60]}={secrets.MASK}" if flag else secrets.MASK
            yield Found(told, what, DangerKind.SECRET, at)
        before = word if word.startswith("-") and not equals else ""


def of_image(reference: str) -> Iterator[Found]:
    """An image whose tag anybody may move."""
    name, at, _ = reference.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not at and tag in {"", "latest"} and "/" in reference and "$" not in reference:
        told = "the image is whatever is newest when it is pulled"
        yield Found(reference[:120], told, DangerKind.UNPINNED)
