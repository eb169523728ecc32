"""The ``docker run`` of a README: how its author starts the server by hand. A hint, no more.

Only fenced blocks and their continued lines are read. The words are shown and looked at for what
they take from the host; nothing of them is ever applied.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from mcp_sandbox.launch import clients, commands, docker_run, tree
from mcp_sandbox.launch.clients import command_dangers
from mcp_sandbox.launch.commands import Names
from mcp_sandbox.launch.reading import File
from mcp_sandbox.model.launch import DangerKind, Declared

FORM = "README"
MAX_BLOCKS = 200
MAX_COMMANDS = 8
"""With different images, which are kept."""
MAX_LOOKED_AT = 100
MAX_LINE = 4_096
_FENCE = re.compile(r"[ \t]{0,8}(?:>[ \t]?)?(`{3,}|~{3,})[ \t]*([\w+-]{0,20})")
_START = re.compile(
    r"(?:^|[\s;&|$])((?:docker|podman|nerdctl)[ \t]+(?:container[ \t]+)?run[ \t].*)"
)
_STANDS_FOR = re.compile(r"<[\w ,.'-]{1,80}>")
"""``<your key>``, which is one word to its reader."""
_JSON = frozenset({"json", "jsonc", "json5"})


@dataclass(frozen=True)
class _Block:
    language: str
    line: int
    """Of its first line of text."""
    lines: tuple[str, ...]


def read(data: bytes, file: File, names: Names) -> list[Declared]:
    """The first commands that start a container, in order; one for each image."""
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "").split("\n")
    found: dict[str, Declared] = {}
    for one in islice(_all(lines, file, names), MAX_LOOKED_AT):
        found.setdefault(one.name, one)
        if len(found) >= MAX_COMMANDS:
            break
    return list(found.values())


def _all(lines: list[str], file: File, names: Names) -> Iterator[Declared]:
    for block in _blocks(lines):
        yield from (
            _configured(block, file, names) if _is_json(block) else _typed(block, file, names)
        )


def _blocks(lines: list[str]) -> Iterator[_Block]:
    at = count = 0
    while at < len(lines) and count < MAX_BLOCKS:
        opening = _FENCE.match(lines[at])
        at += 1
        if opening is None:
            continue
        begin = at
        while at < len(lines) and not lines[at].strip().lstrip("> ").startswith(opening[1]):
            at += 1
        count += 1
        yield _Block(opening[2].lower(), begin + 1, tuple(lines[begin:at]))
        at += 1


def _is_json(block: _Block) -> bool:
    return block.language in _JSON or (
        not block.language and next(iter(block.lines), "").lstrip().startswith("{")
    )


def _typed(block: _Block, file: File, names: Names) -> Iterator[Declared]:
    """Commands for a shell."""
    at = 0
    while at < len(block.lines):
        first = at
        parts = [block.lines[at][:MAX_LINE]]
        while parts[-1].rstrip().endswith(("\\", "`")) and at + 1 < len(block.lines):
            at += 1
            parts.append(block.lines[at][:MAX_LINE])
        at += 1
        words, lines = _words(parts, block.line + first)
        run = docker_run.parse(words) if words else None
        if run is not None and run.image:
            yield _declared(run, words, lines, file, names)


def _words(parts: list[str], line: int) -> tuple[list[str], list[int]]:
    """The words of a command from ``docker`` on, each with its line."""
    words: list[str] = []
    lines: list[int] = []
    for offset, part in enumerate(parts):
        text = part.rstrip().removesuffix("\\").removesuffix("`")
        if not words:
            start = _START.search(text)
            if start is None:
                return [], []
            text = start[1]
        text = _STANDS_FOR.sub(lambda match: re.sub(r"\s+", "-", match[0]), text)
        try:
            split = shlex.split(text, comments=True)
        except ValueError:
            split = text.split()
        if stop := next((at for at, word in enumerate(split) if word in {"|", "&&", ";"}), None):
            split = split[:stop]
        words += split
        lines += [line + offset] * len(split)
    return words, lines


def _configured(block: _Block, file: File, names: Names) -> Iterator[Declared]:
    """Entries of a client's configuration that are shown."""
    shift = block.line - 1
    try:
        root = tree.read_json("\n".join(block.lines).encode("utf-8", "replace"), comments=True)
    except tree.Unreadable:
        return  # a piece, with dots for what is left out
    inner = File(file.path)
    if not isinstance(root.value, dict) or not {"mcpServers", "servers", "mcp"} & set(root.value):
        return
    for one in clients.read(root, inner, FORM, names):
        if any(bad.kind is not DangerKind.UNPINNED for bad in one.dangers) or one.names_image:
            yield _hint(
                replace(
                    one,
                    line=one.line + shift,
                    dangers=tuple(replace(bad, line=bad.line + shift) for bad in one.dangers),
                )
            )


def _hint(one: Declared) -> Declared:
    """What is only shown: whoever reads a README decides on versions himself."""
    kept = tuple(bad for bad in one.dangers if bad.kind is not DangerKind.UNPINNED)
    return replace(one, trusted=False, needed=(), dangers=kept)


def _declared(
    run: docker_run.Run, words: list[str], lines: list[int], file: File, names: Names
) -> Declared:
    command = commands.command(words)
    found = command_dangers(file, command, words, lines, lines[0])
    one = Declared(
        file.path,
        lines[0],
        FORM,
        run.image[:200],
        names_image=names.has(run.image),
        ours=names.has(run.image),
        arguments=clients.own_arguments(command),
        port=run.port,
        dangers=tuple(found),
    )
    return _hint(one)
