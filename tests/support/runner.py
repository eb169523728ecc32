"""What GitHub's runner takes for a command in a step's output, and what it reads from its files.

After ``ActionCommand.cs``, ``ActionCommandManager.cs``, ``FileCommandManager.cs`` and
``ProcessInvoker.cs`` of actions/runner 2.336.0. Both streams are read alike, line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

COMMANDS = (
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
)
WHITE = "".join(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)])) + (
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What .NET's ``TrimStart`` removes."""


@dataclass(frozen=True)
class Command:
    """One command."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)


def lines(output: str) -> list[str]:
    """Lines as ``StreamReader.ReadLine`` has them."""
    found = re.split(r"\r\n|\r|\n", output)
    return found[:-1] if found[-1] == "" else found


def commands(output: str) -> list[Command]:
    """What of a stream are commands, those while they are stopped left out."""
    return list(_commands(output))


def _commands(output: str) -> Iterator[Command]:
    token = ""
    for line in lines(output):
        if token:
            if line.strip(WHITE).lower() == f"::{token.lower()}::":
                token = ""
            continue
        command = _second(line) or _first(line)
        if command is None:
            continue
        if command.name == "stop-commands":
            token = command.data
        yield command


def _second(line: str) -> Command | None:
    """``::name key=value,key=value::data``."""
    text = line.lstrip(WHITE)
    if not text.startswith("::"):
        return None
    end = text.find("::", 2)
    if end < 0:
        return None
    name, _, rest = text[2:end].partition(" ")
    if name.lower() not in COMMANDS:
        return None
    pairs = [one.split("=", 1) for one in rest.strip(WHITE).split(",")]
    properties = {
        one[0].strip(WHITE): _property(one[1]) for one in pairs if len(one) == 2 and one[1]
    }
    return Command(name.lower(), _data(text[end + 2 :]), properties)


def _first(line: str) -> Command | None:
    """``##[name key=value;]data``, anywhere in a line."""
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name = line[start + 3 : end].partition(" ")[0]
    return Command(name.lower(), line[end + 1 :]) if name.lower() in COMMANDS else None


def _data(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def _property(text: str) -> str:
    return _data(text.replace("%3A", ":").replace("%2C", ","))


def file_values(text: str) -> dict[str, str]:
    """What ``GITHUB_OUTPUT`` and ``GITHUB_STATE`` hold."""
    found: dict[str, str] = {}
    rest = iter(text.split("\n"))
    for line in rest:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        name, _, delimiter = line.partition("<<")
        assert name, line
        assert delimiter, line
        value = []
        for inner in rest:
            if inner == delimiter:
                break
            value.append(inner)
        else:
            raise AssertionError(f"{name} never ends")
        found[name] = "\n".join(value)
    return found
