"""What a server's ``--help`` or usage says of how it wants to be called.

Reads the common forms: argparse, click, commander, yargs, clap, cobra and what people write by
hand. The text is a peer's; bounded and read line by line as in ``needs``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from mcp_sandbox.launch import needs
from mcp_sandbox.launch.kinds import is_status, may_be_set, words
from mcp_sandbox.model.launch import Needed, SettingKind, Where

SOURCE = "--help"
MAX_POSITIONALS = 4

_USAGE = re.compile(r"^\W{0,4}(usage)\b[ :]*(.*)$", re.IGNORECASE)
_GO = re.compile(r"of \S{1,300}:")
"""``Usage of PROGRAM:`` heads a list of flags, each of which may be left out."""
_LAUNCHERS = frozenset(
    [
        "python",
        "python3",
        "node",
        "npx",
        "uvx",
        "uv",
        "bun",
        "deno",
        "java",
        "docker",
        "run",
        "-m",
        "-y",
        "tsx",
    ]
)
_OPTIONAL = re.compile(r"\[[^\[\]]{0,300}\]")
_REQUIRED = re.compile(
    r"\[(?:[^\]]{0,80}[;, ])?required\]|\(required\b|\brequired\)", re.IGNORECASE
)
_LINE_OPTION = re.compile(
    r"^\s{1,12}(?:-\w,? {1,2})?(--[A-Za-z][\w-]{1,60})(?:[ =]([<\[]?[\w|,:.-]+)?)?"
)
_LINE_VARIABLE = re.compile(r"^\s{1,12}(?:export )?\$?([A-Z][A-Z0-9_]{2,63})(?![\w(])[\s:=-]")
_ENVIRONMENT = re.compile(
    r"^\W{0,4}(?:required )?environment(?: variables?)?\b.{0,40}:?$", re.IGNORECASE
)
_BY_VARIABLE = re.compile(r"\[env(?: var)?[:=] ?([A-Z][A-Z0-9_]{2,63})", re.IGNORECASE)
_COMMAND = re.compile(r"^\s{1,8}(stdio|mcp|serve|server|start|run)(?:\s{2,}|$|,)")
_COMMANDS = ("stdio", "mcp", "serve", "server", "start", "run")
"""Commands that start a server, the surest first."""
_HEADING = re.compile(r"\bcommands?\b.{0,20}:?$", re.IGNORECASE)
_STDIO = re.compile(r"(?<![\w-])(--stdio)(?![\w-])")
_TRANSPORT = re.compile(r"(?<![\w-])(--(?:transport|mode|transport-type|server-mode))\b(.{0,300})")


def looks_like_usage(text: str) -> bool:
    """Whether a text tells how the program is called."""
    return any(_USAGE.match(line) for line in needs.readable(text))


def required(text: str, source: str = SOURCE) -> tuple[Needed, ...]:
    """The settings that a usage or help text says are required, each once."""
    lines = needs.readable(text)
    found: dict[str, Needed] = {}
    for one in (*_options(lines, source), *_usages(lines, source), *_environment(lines, source)):
        found.setdefault(one.name, one)
    return tuple(list(found.values())[: needs.MAX_NEEDED])


def named(text: str, names: Collection[str], source: str = SOURCE) -> tuple[Needed, ...]:
    """The options that are called as settings are: ``--app-id`` for ``APP_ID``."""
    wanted = {words(name) for name in names}
    lines = needs.readable(text)
    found = {
        match[1]: needs.flag(match[1], line, source)
        for line in lines
        if (match := _LINE_OPTION.match(line)) and words(match[1]) in wanted
    }
    return tuple(list(found.values())[: needs.MAX_NEEDED])


def beyond(needed: Collection[Needed], line: Sequence[str]) -> tuple[Needed, ...]:
    """What is needed without the positional arguments that a command line has already."""
    given = sum(
        not word.startswith("-") and not (before.startswith("-") and "=" not in before)
        for before, word in zip(("", *line), line, strict=False)
    )
    positionals = [one for one in needed if one.where is Where.POSITIONAL]
    return tuple(one for one in needed if one not in positionals[:given])


def over_stdio(text: str, source: str = SOURCE) -> tuple[Needed, ...]:
    """The argument that has the server speak over its standard streams, when the text has one."""
    lines = needs.readable(text)
    for line in lines:
        if match := _STDIO.search(line):
            return (_word(match[1], source),)
    for number, line in enumerate(lines):
        match = _TRANSPORT.search(line)
        below = " ".join(lines[number + 1 : number + 3])
        if match and re.search(r"\bstdio\b", match[2] + below):
            return (Needed(match[1], Where.FLAG, SettingKind.CHOICE, source, choices=("stdio",)),)
    commands = set(_commands(lines))
    return tuple(_word(one, source) for one in _COMMANDS if one in commands)[:1]


def _word(word: str, source: str) -> Needed:
    return Needed(word, Where.POSITIONAL, SettingKind.CHOICE, source, choices=(word,))


def _commands(lines: Sequence[str]) -> Iterator[str]:
    """Commands under a heading that says so."""
    under = False
    for line in lines:
        if line and not line[0].isspace():
            under = bool(_HEADING.search(line))
        elif under and (match := _COMMAND.match(line)):
            yield match[1]


def _options(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """Options that are marked as required; by their variable where they have one."""
    for number, line in enumerate(lines):
        match = _LINE_OPTION.match(line)
        if not match:
            continue
        below = lines[number + 1] if number + 1 < len(lines) else ""
        whole = line if below.lstrip().startswith("-") else f"{line} {below}"
        if not _REQUIRED.search(whole):
            continue
        variable = _BY_VARIABLE.search(whole)
        if variable and may_be_set(variable[1]):
            yield needs.variable(variable[1], whole, source)
        else:
            yield needs.flag(match[1], whole, source)


def _environment(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """Variables of a list of them. Where none is marked, each may be left out."""
    found: list[tuple[Needed, bool]] = []
    under = False
    for line in lines:
        if line and not line[0].isspace():
            under = bool(_ENVIRONMENT.match(line))
            required_all = under and "required" in line.lower()
        elif under and (match := _LINE_VARIABLE.match(line)):
            name = match[1]
            if may_be_set(name) and not is_status(name):
                marked = required_all or "required" in line.lower()
                found.append((needs.variable(name, line, source), marked))
    yield from (replace(one, required=marked) for one, marked in found)


def _usages(lines: Sequence[str], source: str) -> Iterator[Needed]:
    """What stands outside brackets in the first usage that has something to say."""
    for number, line in enumerate(lines):
        match = _USAGE.match(line)
        if match is None or _GO.fullmatch(match[2]):
            continue
        text = match[2].strip()
        for following in lines[number + 1 : number + 6]:
            if text and not following.startswith(" "):
                break
            text = f"{text} {following.strip()}".strip()
            if not following.strip():
                break
        found = list(_usage(text, source, bare=match[1].islower()))
        if found:
            yield from found
            return


def _usage(text: str, source: str, *, bare: bool) -> Iterator[Needed]:
    """``bare``: a word in small letters is an argument as well, as argparse has it."""
    plain = _OPTIONAL.sub(" ", _OPTIONAL.sub(" ", _OPTIONAL.sub(" ", text)))
    rest = plain.split()[:40]
    while rest and rest[0] in _LAUNCHERS:
        rest = rest[1:]
    rest = rest[1:]  # the program
    if rest and re.search(r"\.(?:py|js|mjs|ts|jar)$", rest[0]):
        rest = rest[1:]
    positionals = 0
    option = ""
    for word in rest:
        if word.startswith("-"):
            option = word.partition("=")[0] if _valid(word) else ""
            continue
        if option:
            yield needs.flag(option, word, source)
            option = ""
            continue
        name = word.strip("<>{}().,…'\"`")
        named = word.startswith(("<", "{")) or (word.isupper() and len(word) > 1)
        if not name or name in {"ARGS", "COMMAND", "OPTIONS", "SUBCOMMAND", "command", "options"}:
            continue
        if (named or (bare and re.fullmatch(r"[a-z][\w-]{0,40}", name))) and (
            positionals < MAX_POSITIONALS
        ):
            positionals += 1
            yield needs.positional(name, text, source, word)
        if word.endswith((",", ";")):
            return  # what follows is said about it: ``MODE, one of: …``


def _valid(word: str) -> bool:
    return bool(re.fullmatch(r"--?[A-Za-z][\w-]{0,60}(?:=.*)?", word))
