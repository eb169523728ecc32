"""``smithery.yaml``: what a server is asked for, and how it is started from that.

``commandFunction`` is a program in JavaScript. It is not run: of its text only the pairs
``NAME: config.key`` are read, which say under which variable a setting arrives.
"""

from __future__ import annotations

import re

from mcp_sandbox.launch import values
from mcp_sandbox.launch.clients import transport
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import Node, Number
from mcp_sandbox.model import Transport
from mcp_sandbox.model.launch import Danger, Declared, Needed, SettingKind, Where

FORM = "smithery"
MAX_PROGRAM = 20_000
PORT = 8081
PATH = "/mcp"
"""Where a container of theirs is spoken to."""
_PAIR = re.compile(
    r"[\"']?\b([A-Z][A-Z0-9_]{1,63})\b[\"']?\s{0,8}[:=]\s{0,8}(?:String\()?config\??\.(\w{1,64})"
)
_KINDS = {
    "number": SettingKind.NUMBER,
    "integer": SettingKind.NUMBER,
    "boolean": SettingKind.BOOLEAN,
}


def read(root: Node, file: File) -> list[Declared]:
    """What the file declares."""
    top = file.fields(root, "a top level")
    start_node = top.get("startCommand")
    start = file.fields(start_node, "'startCommand'")
    line = start_node.line if start_node else 1
    schema = file.fields(start.get("configSchema"), "'configSchema'")
    function = start.get("commandFunction")
    program = function.value if function and isinstance(function.value, str) else ""
    pairs = {key: name for name, key in _PAIR.findall(program[:MAX_PROGRAM])}
    asked = _asked(file, schema)
    needed: list[Needed] = []
    found: list[Danger] = []
    unknown = []
    for key, (one, default) in asked.items():
        name = pairs.get(key, "")
        if not name:
            if one.required:
                unknown.append(key)
            continue
        kind = one.kind
        if kind is SettingKind.TEXT:
            kind = values.kind(name)
        known = Needed(name, Where.ENVIRONMENT, kind, one.source, one.required, "", one.choices)
        mine, bad = values.variable(file, name, default or None, line, needed=known)
        needed += mine
        found += bad
    if unknown:
        told = ", ".join(unknown[:5])
        file.problem(line, f"asks for {told[:200]} in a way that only its own client knows")
    for name, node in file.fields(top.get("env"), "'env'").items():
        value = file.text(node, f"a value of {name[:60]!r}")
        mine, bad = values.variable(file, name, value, node.line)
        needed += mine
        found += bad
    carried = transport(file.text(start.get("type"), "'type'"))
    http = carried is Transport.HTTP
    if http and not any(one.name == "PORT" for one in needed):
        needed.append(
            Needed("PORT", Where.ENVIRONMENT, SettingKind.PORT, file.at(line), value=str(PORT))
        )
    return [
        Declared(
            file.path,
            line,
            FORM,
            transport=carried,
            port=PORT if http else None,
            url_path=PATH if http else "",
            needed=tuple(needed),
            dangers=tuple(found),
        )
    ]


def _asked(file: File, schema: dict[str, Node]) -> dict[str, tuple[Needed, str]]:
    """Key -> what is asked for, and its default."""
    required = {
        file.text(one, "a name") for one in file.items(schema.get("required"), "'required'")
    }
    found: dict[str, tuple[Needed, str]] = {}
    for key, node in file.fields(schema.get("properties"), "'properties'").items():
        one = file.fields(node, "a property")
        about = file.text(one.get("description"), "'description'")
        said = _KINDS.get(file.text(one.get("type"), "'type'"))
        kind = said or values.kind(key, file.text(one.get("format"), "'format'"), about)
        choices = tuple(
            text
            for choice in file.items(one.get("enum"), "'enum'")
            if (text := file.text(choice, "a choice"))
        )
        kind = SettingKind.CHOICE if choices else kind
        default = one.get("default")
        plain = default is not None and isinstance(default.value, str | bool | Number)
        text = file.text(default, "'default'") if plain else ""
        need = Needed(
            key, Where.ENVIRONMENT, kind, file.at(node.line), key in required, "", choices
        )
        found[key] = need, text
    return found
