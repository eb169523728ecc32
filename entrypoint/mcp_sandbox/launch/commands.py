"""A configuration's command: which words are the server's own arguments, and what it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mcp_sandbox.launch import docker_run
from mcp_sandbox.scanners import launchers, shell

_INTERPRETERS = re.compile(
    r"python[\d.]*|py|node|bun|deno|tsx|ts-node|ruby|php|perl|java|dotnet|go|cargo"
)
_TAKES_VALUE = frozenset(
    {"--directory", "--project", "--with", "--python", "-p", "--from", "--package", "--import",
     "-r", "--require", "--loader", "-cp", "-classpath", "--env-file", "--extra", "--group"}
)  # fmt: skip
_SUBCOMMANDS = frozenset({"run", "exec", "x", "tool"})


@dataclass(frozen=True)
class Command:
    """A program and its arguments, as one reads them without running anything."""

    words: tuple[str, ...]
    run: docker_run.Run | None
    package: str
    """What a launcher such as ``npx`` runs, without its version; empty when it runs none."""

    @property
    def own(self) -> tuple[str, ...]:
        """The arguments of the server itself, not of what starts it."""
        if self.run is not None:
            return self.run.arguments
        return _own(self.words)


def command(words: Sequence[str]) -> Command:
    """Look at a command. A script given to a shell counts when it holds one command."""
    split = tuple(words)
    if script := shell.given_script(split):
        inner = [one for line in shell.parse(script) for one in line.commands]
        if len(inner) == 1:
            split = inner[0].words
    if split[:2] and split[0].lower() in {"cmd", "cmd.exe"} and split[1].lower() == "/c":
        split = split[2:]
    return Command(split, docker_run.parse(split), bare(launchers.launched(split)))


def bare(package: str) -> str:
    """A package, image or module without registry, scope, version and extras; lower case."""
    name = package.partition("==")[0]
    at = name.rfind("@")
    name = name[:at] if at > 0 else name
    name = name.rpartition("/")[2].partition(":")[0].partition("[")[0]
    return name.lower().replace("_", "-")


def _own(words: Sequence[str]) -> tuple[str, ...]:
    program, arguments = shell.call(words)
    package = launchers.launched(tuple(words))
    if package:
        at = max((at for at, word in enumerate(arguments) if package in word), default=-1)
        rest = arguments[at + 1 :]
        if any(word.partition("=")[0] in {"--from", "--package", "--spec"} for word in arguments):
            rest = _after_first(rest)
        return rest
    if program in {"uv", "poetry", "pipenv", "hatch", "npm", "pnpm", "yarn"}:
        rest = _after_first(arguments, subcommands=True)
        at = len(arguments) - len(rest) - 1
        inner = arguments[at] if 0 <= at < len(arguments) else ""
        return _own((inner, *rest)) if _INTERPRETERS.fullmatch(inner) else rest
    if _INTERPRETERS.fullmatch(program):
        return _after_first(arguments, subcommands=program in {"deno", "bun", "go", "cargo"})
    return arguments


def _after_first(words: Sequence[str], *, subcommands: bool = False) -> tuple[str, ...]:
    """What follows the script or module that an interpreter is given."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in {"-m", "-jar"}:
            return tuple(words[at + 2 :])
        if word in _TAKES_VALUE:
            at += 2
        elif word.startswith("-") or (subcommands and word in _SUBCOMMANDS):
            at += 1
        else:
            return tuple(words[at + 1 :])
    return ()


# --- whose it is ----------------------------------------------------------------------------------

_COMMON = frozenset({"mcp", "server", "modelcontextprotocol", "the", "docker", "js", "py", "ts"})


def key(name: str) -> frozenset[str]:
    """The words of a name that tell it from others: ``mcp-server-weather`` -> ``{weather}``."""
    parts = frozenset(part for part in re.split(r"[\W_]+", bare(name)) if part)
    return parts - _COMMON or parts


@dataclass(frozen=True)
class Names:
    """What this server is called: its folder, its packages, its image."""

    keys: frozenset[frozenset[str]]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Empty names count for nothing."""
        return cls(frozenset(found for found in map(key, names) if found))

    def has(self, name: str) -> bool:
        """Whether a name is one of its own."""
        return bool(name) and key(name) in self.keys


def is_local(one: Command) -> bool:
    """Whether it starts a program that is at hand, not a package or an image."""
    if one.run is not None or one.package or not one.words:
        return False
    program = PurePosixPath(one.words[0]).name
    return bool(program) and program not in {"curl", "wget", *shell.SHELLS}
