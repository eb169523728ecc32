"""The configurations of MCP clients: Claude Desktop and Code, Cursor, VS Code and their kin.

They share one form: a name, then a program with arguments and environment, or an address. A
repository often holds one for its author's own tools, so an entry counts for the server only where
it is plainly about it; see ``_ours``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_sandbox.launch import commands, dangers, values
from mcp_sandbox.launch.commands import Command, Names
from mcp_sandbox.launch.dangers import Found
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import Node
from mcp_sandbox.model import Transport
from mcp_sandbox.model.launch import Danger, Declared, Needed, Where

MAX_SERVERS = 50
"""Of one file."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1"})  # noqa: S104 - read, not bound
_INPUT = re.compile(r"\$\{input:([\w.-]{1,100})\}")
_TABLES = ("mcpServers", "servers", "mcp_servers", "context_servers")
_TRANSPORTS = {
    "stdio": Transport.STDIO,
    "sse": Transport.SSE,
    "http": Transport.HTTP,
    "streamable-http": Transport.HTTP,
    "streamable_http": Transport.HTTP,
    "streamableHttp": Transport.HTTP,
    "streamableHTTP": Transport.HTTP,
}


def transport(name: str) -> Transport:
    """By the name that a file has for it."""
    return _TRANSPORTS.get(name, Transport.AUTO)


def place(url: str) -> tuple[int | None, str]:
    """Port and path of an address on this very machine; nothing for any other."""
    try:
        split = urlsplit(url[:2_048])
        port = split.port
    except ValueError:
        return None, ""
    if split.hostname not in _LOCAL:
        return None, ""
    path = split.path if re.fullmatch(r"/[\w./~-]{0,200}", split.path) else ""
    return port, path


@dataclass(frozen=True)
class _Entry:
    name: str
    line: int
    words: tuple[str, ...]
    lines: tuple[int, ...]
    """Of each word."""
    environment: tuple[tuple[str, str, int], ...]
    url: str
    type_: str
    secret_inputs: frozenset[str]
    found: tuple[Danger, ...] = ()
    """What is dangerous about the rest of it."""


def read(root: Node, file: File, form: str, names: Names) -> list[Declared]:
    """What the servers of a file declare; those about others keep their dangers only."""
    top = file.fields(root, "a top level")
    nested = file.fields(top.get("mcp"), "'mcp'")
    tables = [(one, top.get(one)) for one in _TABLES] + [(one, nested.get(one)) for one in _TABLES]
    found = [(name, node) for name, node in tables if node is not None]
    if not found:
        file.problem(0, "names no servers: nothing was taken from it")
        return []
    inputs = _secret_inputs(file, top) | _secret_inputs(file, nested)
    entries: list[_Entry] = []
    for table, node in found:
        members = node.value if isinstance(node.value, dict) else file.fields(node, f"{table!r}")
        if len(members) > MAX_SERVERS:
            many = f"names {len(members):,} servers; the first {MAX_SERVERS} were read"
            file.problem(node.line, many)
        for name, body in list(members.items())[:MAX_SERVERS]:
            entries.append(_entry(file, name, body, inputs))
    alone = len(entries) == 1
    return [_declared(file, form, one, names, alone=alone) for one in entries]


def _secret_inputs(file: File, top: dict[str, Node]) -> frozenset[str]:
    """The inputs of VS Code that are asked for with hidden letters."""
    found = set()
    for node in file.items(top.get("inputs"), "'inputs'"):
        one = file.fields(node, "an input")
        if file.flag(one.get("password"), "'password'"):
            found.add(file.text(one.get("id"), "'id'"))
    return frozenset(found - {""})


def _entry(file: File, name: str, node: Node, inputs: frozenset[str]) -> _Entry:
    body = file.fields(node, f"a server {name[:60]!r}")
    command = body.get("command")
    words, lines = [], []
    for one in (command, *file.items(body.get("args"), "'args'")):
        if one is not None and (one is command or one.value is not None):
            words.append(file.text(one, "an argument"))
            lines.append(one.line)
    if words and body.get("args") is None and " " in words[0]:
        # Some write the whole line into ``command``.
        split = words[0].split()
        words, lines = split, lines * len(split)
    environment = [
        (key, file.text(value, f"a value of {key[:60]!r}"), value.line)
        for key, value in file.fields(body.get("env"), "'env'").items()
    ]
    headers = file.fields(body.get("headers"), "'headers'")
    url = file.text(body.get("url") or body.get("serverUrl") or body.get("httpUrl"), "'url'")
    found = [
        values.placed(one, file, value.line)
        for key, value in headers.items()
        for one in _header(key, file.text(value, "a header"))
    ]
    type_ = file.text(body.get("type") or body.get("transport"), "'type'")
    return _Entry(
        name[:200],
        node.line,
        tuple(words),
        tuple(lines),
        tuple(environment),
        url,
        type_,
        inputs,
        tuple(found),
    )


def _header(name: str, value: str) -> Sequence[Found]:
    # ``Bearer KEY``: only what follows may be one.
    given = value.rpartition(" ")[2]
    return [one for one in dangers.of_command((f"--{name}", given)) if given]


def _ours(one: _Entry, command: Command, names: Names, *, alone: bool) -> bool:
    """Whether an entry is about the server in this folder.

    By the name of its package or image; a program at hand, or an address on this machine, also
    where the entry has the server's name or is the only one.
    """
    if command.run is not None:
        return names.has(command.run.image) or (
            "/" not in command.run.image and (alone or names.has(one.name))
        )
    if command.package:
        return names.has(command.package)
    if one.url:
        return bool(any(place(one.url))) and (alone or names.has(one.name))
    return commands.is_local(command) and (alone or names.has(one.name))


def _declared(file: File, form: str, one: _Entry, names: Names, *, alone: bool) -> Declared:
    command = commands.command(one.words)
    found = [*one.found, *command_dangers(file, command, one.words, one.lines, one.line)]
    needed, more = _settings(file, one, command)
    found += more
    if not _ours(one, command, names, alone=alone):
        return Declared(file.path, one.line, form, one.name, ours=False, dangers=tuple(found))
    arguments = own_arguments(command)
    if command.run is not None:
        mounts = command.run.mounts
        needed = values.without_mounts(needed, mounts)
        arguments, open_ = values.open_paths(arguments or (), mounts, file.at(one.line))
        arguments, needed = arguments or None, needed + open_
    carried = transport(one.type_)
    port, path = place(one.url)
    if command.run is not None and port is None:
        port = command.run.port
    return Declared(
        file.path,
        one.line,
        form,
        one.name,
        names_image=command.run is not None,
        arguments=arguments,
        transport=carried,
        port=port,
        url_path=path,
        needed=tuple(needed),
        dangers=tuple(found),
    )


def own_arguments(command: Command) -> tuple[str, ...] | None:
    """The server's own arguments, unless one of them is for the user to fill in, or a secret."""
    own = command.own
    if not own or (command.run is not None and command.run.entrypoint):
        return None
    if any(values.waits(word) for word in own):
        return None
    return None if any(dangers.of_command(own)) else own


def command_dangers(
    file: File,
    command: Command,
    words: Sequence[str],
    lines: Sequence[int],
    line: int,
) -> list[Danger]:
    """What is dangerous about a command, each on its own line where ``lines`` has one a word."""

    def at(index: int) -> int:
        same = len(lines) == len(command.words)
        return lines[index] if same and index < len(lines) else (lines[0] if lines else line)

    if command.run is None:
        return [values.placed(one, file, at(one.at)) for one in dangers.of_command(words)]
    run = command.run
    found = [values.placed(one, file, at(one.at)) for one in run.dangers]
    found += [values.placed(one, file, at(run.image_at)) for one in dangers.of_image(run.image)]
    found += [
        values.placed(one, file, at(run.image_at + 1 + one.at))
        for one in dangers.of_command(run.arguments)
    ]
    return found


def _settings(file: File, one: _Entry, command: Command) -> tuple[list[Needed], list[Danger]]:
    needed: list[Needed] = []
    found: list[Danger] = []
    seen: set[str] = set()
    for name, value, line in one.environment:
        asked = _INPUT.search(value)
        secret = bool(asked and asked[1] in one.secret_inputs)
        known = Needed(name, Where.ENVIRONMENT, values.kind(name, secret=secret), file.at(line))
        mine, bad = values.variable(file, name, value, line, needed=known)
        needed += mine
        found += bad
        seen.add(name)
    for name, given in command.run.environment if command.run else ():
        if name not in seen:
            # A secret among them is told with the option itself.
            needed += values.variable(file, name, given, one.line)[0]
    return needed, found
