"""``server.json``, as the MCP registry has it: in camelCase (2025-09 and later) and in snake_case.

``runtimeArguments`` are for whatever runs the package, not for the server: they are looked at for
what they take from the host, and never applied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from mcp_sandbox.launch import clients, commands, dangers, docker_run, values
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import Node
from mcp_sandbox.model.launch import Danger, Declared, Needed, SettingKind, Where, slot

FORM = "server.json"
MAX_PACKAGES = 20
_SLOT = re.compile(r"\{([A-Za-z_][\w.-]{0,99})\}")
_CAPITAL = re.compile(r"(?<=[a-z])([A-Z])")
_MOUNTING = frozenset({"-v", "--volume", "--mount"})
_IMAGES = frozenset({"oci", "docker"})


@dataclass
class _Found:
    """What one package says, while it is read."""

    words: list[str] = field(default_factory=list)
    needed: list[Needed] = field(default_factory=list)
    dangers: list[Danger] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    """Name -> value of arguments and variables, for the address."""


def names(root: Node, file: File) -> list[str]:
    """What the file calls the server and its packages."""
    top = file.fields(root, "a top level")
    packages = file.items(top.get("packages"), "'packages'")[:MAX_PACKAGES]
    found = [file.text(top.get("name"), "'name'")]
    for node in packages:
        one = file.fields(node, "a package")
        found.append(file.text(one.get("identifier") or one.get("name"), "'identifier'"))
    return found


def read(root: Node, file: File) -> list[Declared]:
    """What each package declares, that of an image first."""
    top = file.fields(root, "a top level")
    nodes = file.items(top.get("packages"), "'packages'")
    if not nodes:
        remote = top.get("remotes") is not None
        what = "names addresses only" if remote else "names no packages"
        file.problem(0, f"{what}: nothing was taken from it")
    if len(nodes) > MAX_PACKAGES:
        many = f"has {len(nodes)} packages; the first {MAX_PACKAGES} were read"
        file.problem(nodes[0].line, many)
    found = [_package(node, file) for node in nodes[:MAX_PACKAGES]]
    return sorted(found, key=lambda one: not one.names_image)


def _get(body: dict[str, Node], name: str) -> Node | None:
    """A member by its camelCase name, or the older one in snake_case."""
    return body.get(name) or body.get(_CAPITAL.sub(r"_\1", name).lower())


def _line(body: dict[str, Node], node: Node) -> int:
    """The line that a reader looks for: that of the name, else of the value, else of the whole."""
    return (body.get("name") or body.get("value") or node).line


def _package(node: Node, file: File) -> Declared:
    body = file.fields(node, "a package")
    kind = file.text(_get(body, "registryType") or body.get("registry_name"), "'registryType'")
    identifier = file.text(body.get("identifier") or body.get("name"), "'identifier'")
    image = kind.lower() in _IMAGES
    found = _Found()
    for one in file.items(_get(body, "environmentVariables"), "'environmentVariables'"):
        inner = file.fields(one, "a variable")
        _variable(file, inner, _line(inner, one), found)
    for one in file.items(_get(body, "packageArguments"), "'packageArguments'"):
        inner = file.fields(one, "an argument")
        _argument(file, inner, _line(inner, one), found)
    mounts = _runtime(file, body, found)
    words, open_ = values.open_paths(found.words, mounts, file.at(node.line))
    found.words = list(words)
    found.needed = values.without_mounts(found.needed, mounts) + open_
    if image and not file.text(body.get("version"), "'version'"):
        line = (body.get("identifier") or node).line
        found.dangers += [values.placed(one, file, line) for one in dangers.of_image(identifier)]
    transport = file.fields(body.get("transport"), "'transport'")
    address = file.text(transport.get("url"), "'url'")
    port, path = clients.place(_SLOT.sub(lambda m: found.given.get(m[1], "1"), address))
    if any(name not in found.given for name in _SLOT.findall(address)):
        port = None  # of which a part is not known
    return Declared(
        file.path,
        node.line,
        FORM,
        identifier[:200],
        names_image=image,
        arguments=_usable(found),
        transport=clients.transport(file.text(transport.get("type"), "'type'")),
        port=port,
        url_path=path,
        needed=tuple(found.needed),
        dangers=tuple(found.dangers),
    )


def _usable(found: _Found) -> tuple[str, ...] | None:
    """The arguments, unless there are none or one is a secret that somebody left there."""
    if not found.words or any(one.kind.name == "SECRET" for one in found.dangers):
        return None
    return tuple(found.words)


@dataclass(frozen=True)
class _Input:
    """What all inputs of the registry have in common."""

    value: str
    default: str
    known: Needed


def _input(file: File, body: dict[str, Node], line: int, name: str, where: Where) -> _Input:
    about = file.text(body.get("description"), "'description'")
    format_ = file.text(body.get("format"), "'format'")
    choices = tuple(
        text
        for one in file.items(body.get("choices"), "'choices'")
        if (text := file.text(one, "a choice"))
    )
    secret = file.flag(_get(body, "isSecret"), "'isSecret'")
    kind = values.kind(name, format_, about, secret=secret)
    if choices:
        kind = SettingKind.CHOICE
    required = file.flag(_get(body, "isRequired"), "'isRequired'")
    known = Needed(name, where, kind, file.at(line), required, choices=choices)
    value = file.text(body.get("value"), "'value'")
    default = file.text(body.get("default"), "'default'")
    return _Input(value, default, known)


def _variable(file: File, body: dict[str, Node], line: int, found: _Found) -> None:
    name = file.text(body.get("name"), "'name'")
    if not name:
        return
    one = _input(file, body, line, name, Where.ENVIRONMENT)
    value = one.value
    if value and _SLOT.search(value):
        value = _filled(file, value, body, line, found, whole=False)
    if value and "<" not in value:
        # Fixed by whoever published the server, so that it does not start without.
        one = replace(one, known=replace(one.known, required=True))
    given = value or one.default
    mine, bad = values.variable(file, name, given or None, line, needed=one.known)
    found.needed += mine
    found.dangers += bad
    if given and not bad:
        found.given[name] = given


def _filled(
    file: File, text: str, body: dict[str, Node], line: int, found: _Found, *, whole: bool
) -> str:
    """A value with its ``{variables}``: the value of each, or its slot. ``whole``: as arguments."""
    variables = file.fields(body.get("variables"), "'variables'")

    def value(match: re.Match[str]) -> str:
        name = match[1]
        node = variables.get(name)
        if node is None:
            return match[0]
        one = _input(file, file.fields(node, "a variable"), line, name, Where.POSITIONAL)
        given = one.value or one.default
        if given and not values.waits(given):
            found.given[name] = given
            return given
        if whole:
            found.needed.append(one.known)
        return slot(name)

    return _SLOT.sub(value, text)


def _argument(file: File, body: dict[str, Node], line: int, found: _Found) -> None:
    named = file.text(body.get("type"), "'type'") == "named"
    flag = file.text(body.get("name"), "'name'") if named else ""
    hint = file.text(_get(body, "valueHint"), "'valueHint'")
    name = flag or hint or file.text(body.get("name"), "'name'") or f"argument {len(found.words)}"
    if named and not flag:
        file.problem(line, "has a named argument without a name")
        return
    one = _input(file, body, line, name, Where.FLAG if named else Where.POSITIONAL)
    text = one.value or one.default
    if text:
        text = _filled(file, text, body, line, found, whole=True)
    elif one.known.required and not (named and one.known.kind is SettingKind.BOOLEAN):
        found.needed.append(one.known)
        text = slot(name)
    elif not one.known.required:
        return
    for bad in dangers.of_command((flag, text) if named else (text,)):
        found.dangers.append(values.placed(bad, file, line))
    found.given[name.lstrip("-")] = text
    found.words += [word for word in (flag, text) if word]


def _runtime(file: File, body: dict[str, Node], found: _Found) -> tuple[str, ...]:
    """What whoever runs the package is asked to give it; a ``-e NAME=…`` is a setting all the same.

    Options of ``docker run`` come one an item, or as one word after the other. Returns where
    something would be mounted.
    """
    hint = file.text(_get(body, "runtimeHint"), "'runtimeHint'")
    words: list[str] = []
    lines: list[int] = []
    for node in file.items(_get(body, "runtimeArguments"), "'runtimeArguments'"):
        one = file.fields(node, "an argument")
        name = file.text(one.get("name"), "'name'")
        value = file.text(one.get("value"), "'value'") or file.text(one.get("default"), "'default'")
        if name in _MOUNTING and not value:
            value = file.text(one.get("placeholder"), "'placeholder'")
        if name in {"-e", "--env"} and value:
            _passed(file, one, value, _line(one, node), found)
        if name.startswith("-") and value.lower() in {"true", "false"}:
            name, value = (f"{name}={value}" if name.startswith("--") else name), ""
        for word, key in ((name, "name"), (value, "value")):
            if word:
                words.append(word)
                lines.append((one.get(key) or node).line)
    if hint and commands.bare(hint) not in docker_run.ENGINES:
        return ()
    kept = [(word, line) for word, line in zip(words, lines, strict=True) if word != "run"]
    run = docker_run.parse(["docker", "run", *(word for word, _ in kept), "image"])
    for bad in run.dangers if run else ():
        at = bad.at - 2
        found.dangers.append(values.placed(bad, file, kept[at][1] if 0 <= at < len(kept) else 0))
    return run.mounts if run else ()


def _passed(file: File, body: dict[str, Node], value: str, line: int, found: _Found) -> None:
    """``-e NAME={variable}`` of an image's runtime arguments."""
    name, equals, given = value.partition("=")
    variables = file.fields(body.get("variables"), "'variables'")
    wanted = _SLOT.fullmatch(given)
    node = variables.get(wanted[1]) if wanted else None
    if node is not None:
        inner = file.fields(node, "a variable")
        one = _input(file, inner, line, name, Where.ENVIRONMENT)
        mine, _ = values.variable(
            file, name, (one.value or one.default) or None, line, needed=one.known
        )
    else:
        mine, _ = values.variable(file, name, given if equals else None, line)
    found.needed += mine
