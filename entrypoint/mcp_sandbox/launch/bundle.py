"""``manifest.json`` of a bundle (``.mcpb``, formerly ``.dxt``): how it is run, what it asks for."""

from __future__ import annotations

import re
from dataclasses import replace

from mcp_sandbox.launch import commands, dangers, values
from mcp_sandbox.launch.clients import command_dangers
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import Node, Number
from mcp_sandbox.model.launch import Danger, Declared, Needed, SettingKind, Where, slot

FORM = "mcpb"
_ASKED = re.compile(r"\$\{user_config\.([\w-]{1,100})\}")
_OTHER = re.compile(r"\$\{(?!user_config\.)[^{}]{0,100}\}")
_KINDS = {
    "number": SettingKind.NUMBER,
    "boolean": SettingKind.BOOLEAN,
    "directory": SettingKind.FOLDER,
    "file": SettingKind.FILE,
}


def is_bundle(root: Node) -> bool:
    """Whether a ``manifest.json`` is a bundle's: browsers and others have files of that name."""
    top = root.value if isinstance(root.value, dict) else {}
    server = top["server"].value if "server" in top else None
    versions = {"mcpb_version", "dxt_version", "manifest_version", "user_config"}
    return isinstance(server, dict) and bool(versions & set(top))


def names(root: Node, file: File) -> list[str]:
    """What the bundle is called."""
    return [file.text(file.fields(root, "a top level").get("name"), "'name'")]


def read(root: Node, file: File) -> list[Declared]:
    """What the bundle declares."""
    top = file.fields(root, "a top level")
    server = file.fields(top.get("server"), "'server'")
    config = file.fields(server.get("mcp_config"), "'server.mcp_config'")
    asked = _asked(file, top)
    nodes = [node for node in (config.get("command"), *_args(file, config)) if node is not None]
    words = [file.text(node, "an argument") for node in nodes]
    lines = [node.line for node in nodes]
    needed: list[Needed] = []
    found: list[Danger] = []
    line = server["mcp_config"].line if "mcp_config" in server else top["server"].line
    if words:
        found += command_dangers(file, commands.command(words), words, lines, line)
    for name, node in file.fields(config.get("env"), "'env'").items():
        mine, bad = _variable(file, name, node, asked)
        needed += mine
        found += bad
    own = commands.command(words).own if words else ()
    arguments, more = _arguments(file, own, asked)
    used = {one.name for one in more}
    return [
        Declared(
            file.path,
            line,
            FORM,
            file.text(top.get("name"), "'name'")[:200],
            arguments=arguments,
            needed=tuple(needed + [one for name, one in asked.items() if name in used]),
            dangers=tuple(found),
        )
    ]


def _args(file: File, config: dict[str, Node]) -> list[Node]:
    return file.items(config.get("args"), "'args'")


def _asked(file: File, top: dict[str, Node]) -> dict[str, Needed]:
    """Key -> what the user is asked for."""
    found: dict[str, Needed] = {}
    for name, node in file.fields(top.get("user_config"), "'user_config'").items():
        one = file.fields(node, "an entry of 'user_config'")
        secret = file.flag(one.get("sensitive"), "'sensitive'")
        about = file.text(one.get("description"), "'description'")
        said = _KINDS.get(file.text(one.get("type"), "'type'"))
        kind = values.kind(name, "", about, secret=secret)
        default = one.get("default")
        plain = default is not None and isinstance(default.value, str | bool | Number)
        text = file.text(default, "'default'") if plain else ""
        found[name] = Needed(
            name,
            Where.POSITIONAL,
            SettingKind.SECRET if secret else said or kind,
            file.at(node.line),
            file.flag(one.get("required"), "'required'"),
            "" if values.waits(text) else text,
        )
    return found


def _variable(
    file: File, name: str, node: Node, asked: dict[str, Needed]
) -> tuple[list[Needed], list[Danger]]:
    text = file.text(node, f"a value of {name[:60]!r}")
    key = _ASKED.search(text)
    if key is None:
        return values.variable(file, name, text, node.line)
    known = asked.get(key[1])
    if known is None:
        file.problem(node.line, f"refers to {key[1][:60]!r}, which 'user_config' does not have")
        return values.variable(file, name, None, node.line)
    whole = key[0] == text
    value = known.value if whole and known.value else None
    wanted = replace(known, name=name, where=Where.ENVIRONMENT, value="")
    if known.kind is SettingKind.TEXT:
        wanted = replace(wanted, kind=values.kind(name))
    return values.variable(file, name, value, node.line, needed=wanted)


def _arguments(
    file: File, own: tuple[str, ...], asked: dict[str, Needed]
) -> tuple[tuple[str, ...] | None, list[Needed]]:
    """The server's own arguments, with a slot for what the user is asked for."""
    words: list[str] = []
    wanted: list[Needed] = []
    for word in own:
        if _OTHER.search(word):
            return None, []  # a path of the machine that the bundle is installed on
        for name in _ASKED.findall(word):
            if name not in asked:
                file.problem(0, f"refers to {name[:60]!r}, which 'user_config' does not have")
                return None, []
            wanted.append(asked[name])
        words.append(_ASKED.sub(lambda match: slot(match[1]), word))
    if not words or any(dangers.of_command(words)):
        return None, []
    return tuple(words), wanted
