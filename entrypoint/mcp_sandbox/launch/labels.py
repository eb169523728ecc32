"""What an image's labels say of its server.

``io.modelcontextprotocol.server.name`` is its name in the registry. ``io.docker.server.metadata``
is YAML that describes it; Docker's own gateway trusts what it describes, not what it commands, and
so is it here: what the server asks for counts, a command does not. No standard label states a
transport.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcp_sandbox.launch import values
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import Node, Unreadable, read_yaml
from mcp_sandbox.model.launch import Danger, Declared, Needed, Where

FORM = "labels"
NAME = "io.modelcontextprotocol.server.name"
METADATA = "io.docker.server.metadata"
TITLES = (NAME, "org.opencontainers.image.title", "org.label-schema.name")


def names(labels: Mapping[str, str]) -> list[str]:
    """What the image says that it is called."""
    return [labels[name][:200] for name in TITLES if name in labels]


def read(labels: Mapping[str, str]) -> tuple[list[Declared], tuple[str, ...]]:
    """What they declare, and what was wrong with them."""
    text = labels.get(METADATA)
    if text is None:
        return [], ()
    file = File(f"label {METADATA}")
    try:
        root = read_yaml(text.encode("utf-8", "replace"))
    except Unreadable as error:
        return [], (f"The {file.path} {error.what}: nothing was taken from it.",)
    top = file.fields(root, "a top level")
    config = top.get("config")
    groups = [top]
    if config is not None and isinstance(config.value, dict):
        groups.append(config.value)
    elif config is not None:
        groups += [file.fields(one, "a group") for one in file.items(config, "'config'")]
    needed: list[Needed] = []
    found: list[Danger] = []
    for group in groups:
        for node in file.items(group.get("secrets"), "'secrets'"):
            needed += _secret(file, node)
        for node in file.items(group.get("env"), "'env'"):
            mine, bad = _variable(file, node)
            needed += mine
            found += bad
    if not needed and not found:
        return [], file.notes
    name = file.text(top.get("name"), "'name'")[:200]
    one = Declared(
        file.path,
        0,
        FORM,
        name,
        names_image=True,
        needed=tuple(needed),
        dangers=tuple(found),
    )
    return [one], file.notes


def _secret(file: File, node: Node) -> list[Needed]:
    body = file.fields(node, "a secret")
    name = file.text(body.get("env"), "'env'")
    kind = values.kind(name, secret=True)
    known = Needed(name, Where.ENVIRONMENT, kind, file.path)
    return values.variable(file, name, None, 0, needed=known)[0] if name else []


def _variable(file: File, node: Node) -> tuple[list[Needed], list[Danger]]:
    body = file.fields(node, "a variable")
    name = file.text(body.get("name"), "'name'")
    value = file.text(body.get("value") or body.get("example"), "'value'")
    if not name:
        return [], []
    # A catalogue lists what may be set; what has to be is among the secrets.
    known = Needed(name, Where.ENVIRONMENT, values.kind(name), file.path, required=bool(value))
    return values.variable(file, name, value or None, 0, needed=known)
