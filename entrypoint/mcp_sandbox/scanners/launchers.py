"""Programs that fetch a package and run it: which one, and whether its version is exact."""

from __future__ import annotations

import re

from mcp_sandbox.scanners import shell

_LAUNCHERS = frozenset({"bunx", "npx", "pipx", "uvx", "npm", "pnpm", "yarn", "uv"})
EXACT = re.compile(r"@v?\d+\.\d+\.\d+[\w.+-]*$|==\d[\w.!+-]*$|[@#][0-9a-f]{40}$")
"""How a package with an exact version, or a whole commit, ends."""
_WITH_VALUE = frozenset({"--from", "--package", "--python", "--spec", "--with", "-p", "-c"})
_NAMES_PACKAGE = frozenset({"--from", "--package", "--spec", "-p"})
_OFFLINE = frozenset({"--no", "--no-install", "--offline"})
_SUBCOMMANDS = {
    "npm": ({"exec"}, {"x"}),
    "pnpm": ({"dlx"},),
    "yarn": ({"dlx"},),
    "pipx": ({"run"},),
    "uv": ({"tool"}, {"x"}),
}


def fetched(argv: tuple[str, ...]) -> str:
    """The package without an exact version that a launcher fetches; empty when there is none."""
    package = launched(argv)
    local = package.startswith((".", "/", "$"))
    return "" if not package or local or EXACT.search(package) else package


def launched(argv: tuple[str, ...]) -> str:
    """The package that a launcher runs, as it is named there; empty when it is no launcher."""
    program, arguments = shell.call(argv)
    if program not in _LAUNCHERS:
        return ""
    if program in _SUBCOMMANDS:
        if not arguments or not any(arguments[0] in names for names in _SUBCOMMANDS[program]):
            return ""
        arguments = arguments[2:] if arguments[:2] == ("tool", "run") else arguments[1:]
    return _package(arguments)


def _package(arguments: tuple[str, ...]) -> str:
    """The first word that names a package, or the value of the flag that does."""
    index = 0
    while index < len(arguments):
        flag, equals, value = arguments[index].partition("=")
        if flag in _OFFLINE:
            return ""
        if flag in _NAMES_PACKAGE:
            return value if equals else "".join(arguments[index + 1 : index + 2])
        if flag in _WITH_VALUE and not equals:
            index += 1
        elif not flag.startswith("-"):
            return arguments[index]
        index += 1
    return ""
