"""The words of a ``docker run``: its image, what it gives the server, what it takes from the host.

Which options take a value is the Docker command's own grammar: all do but the listed ones. Nothing
is looked up, expanded or run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_sandbox.launch.dangers import Found, of_option

ENGINES = frozenset({"docker", "podman", "nerdctl", "docker.exe", "finch"})
MAX_WORDS = 400

_FLAGS = frozenset(
    {
        *("detach", "disable-content-trust", "help", "init", "interactive", "no-healthcheck"),
        *("oom-kill-disable", "privileged", "publish-all", "quiet", "read-only", "rm", "sig-proxy"),
        *("tty", "replace", "tls-verify", "use-api-socket"),
    }
)
"""Long options that take no value."""
_SHORT = {
    "e": "env",
    "v": "volume",
    "u": "user",
    "p": "publish",
    "w": "workdir",
    "l": "label",
    "h": "hostname",
    "m": "memory",
    "c": "cpu-shares",
    "a": "attach",
}
_SHORT_FLAG_NAMES = {
    "d": "detach",
    "i": "interactive",
    "P": "publish-all",
    "q": "quiet",
    "t": "tty",
}
_GLOBAL_WITH_VALUE = frozenset({"-H", "--host", "-c", "--context", "--config", "-l", "--log-level"})
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True)
class Run:
    """A ``docker run``."""

    image: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()
    """Name and value; ``None`` where the caller's own value is passed on."""
    port: int | None = None
    """Of the container, the first that is published."""
    entrypoint: str = ""
    dangers: tuple[Found, ...] = ()
    image_at: int = 0
    mounts: tuple[str, ...] = ()
    """Where in the container something is mounted, which is not there without."""


def parse(words: Sequence[str]) -> Run | None:
    """The ``docker run`` that a command is; ``None`` for any other command."""
    words = words[:MAX_WORDS]
    start = _start(words)
    if start is None:
        return None
    environment: list[tuple[str, str | None]] = []
    dangers: list[Found] = []
    mounts: list[str] = []
    port: int | None = None
    entrypoint = ""
    at = start
    while at < len(words):
        word = words[at]
        if not word.startswith("-") or word == "-":
            break
        if word == "--":
            at += 1
            break
        options, used = _options(words, at)
        for name, value in options:
            if name == "env":
                environment += _variable(value)
            elif name == "publish" and port is None:
                port = _port(value)
            elif name == "entrypoint":
                entrypoint = value
            mounts += _mounted(name, value)
            dangers += [replace(one, at=at) for one in of_option(name, value)]
        at += used
    return Run(
        words[at] if at < len(words) else "",
        tuple(words[at + 1 :]),
        tuple(environment),
        port,
        entrypoint,
        tuple(dangers),
        at,
        tuple(mounts),
    )


def _start(words: Sequence[str]) -> int | None:
    """Where the options of ``run`` begin."""
    at = 0
    while at < len(words) and words[at].rpartition("/")[2] in {"sudo", "wsl", "exec", "command"}:
        at += 1
    if at >= len(words) or re.split(r"[/\\]", words[at])[-1] not in ENGINES:
        return None
    at += 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _GLOBAL_WITH_VALUE else 1
    if words[at : at + 2] and words[at] == "container":
        at += 1
    return at + 1 if at < len(words) and words[at] in {"run", "create"} else None


def _options(words: Sequence[str], at: int) -> tuple[list[tuple[str, str]], int]:
    """The options of one word as (long name, value), and how many words they take."""
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        if equals or name in _FLAGS:
            return [(name, value)], 1
        return [(name, following)], 2
    found: list[tuple[str, str]] = []
    for index, letter in enumerate(word[1:], start=1):
        if letter in _SHORT_FLAG_NAMES:
            found.append((_SHORT_FLAG_NAMES[letter], ""))
            continue
        value = word[index + 1 :].removeprefix("=")
        name = _SHORT.get(letter, letter)
        if value:
            return [*found, (name, value)], 1
        return [*found, (name, following)], 2
    return found, 1


def _variable(value: str) -> list[tuple[str, str | None]]:
    name, equals, given = value.partition("=")
    if not _ENV_NAME.fullmatch(name):
        return []
    return [(name, given if equals else None)]


def _mounted(name: str, value: str) -> list[str]:
    """Where an option mounts something in the container."""
    if name == "mount":
        keys = dict(part.strip().partition("=")[::2] for part in value.split(","))
        path = next((keys[key] for key in ("target", "destination", "dst") if key in keys), "")
    elif name == "volume":
        parts = value.rsplit(":", 2)
        path = next((part for part in parts[-2:][::-1] if part.startswith("/")), "")
    else:
        return []
    return [path.rstrip("/")] if path.startswith("/") and path.rstrip("/") else []


def _port(value: str) -> int | None:
    inside = value.rpartition(":")[2].partition("/")[0]
    return int(inside) if re.fullmatch(r"[0-9]{1,5}", inside) and 0 < int(inside) < 2**16 else None
