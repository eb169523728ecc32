"""All that the files of a folder, and the labels of an image, declare of how a server is started.

In the order of precedence: ``server.json``, a bundle's manifest, the configurations of clients, the
file of Smithery, the image's labels; a README last, as a hint.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcp_sandbox.launch import bundle, clients, files, labels, readme, registry, smithery
from mcp_sandbox.launch.commands import Names
from mcp_sandbox.launch.reading import File
from mcp_sandbox.launch.tree import (
    MAX_BYTES,
    MAX_YAML_BYTES,
    Node,
    Unreadable,
    decoded,
    read_json,
    read_yaml,
)
from mcp_sandbox.model.launch import Declared

SERVER_JSON = "server.json"
MANIFESTS = ("manifest.json", "mcpb/manifest.json", "dxt/manifest.json")
CLIENTS: Mapping[str, tuple[str, bool]] = {
    "mcp.json": ("mcp.json", True),
    ".mcp.json": ("mcp.json", True),
    "claude_desktop_config.json": ("claude", False),
    ".cursor/mcp.json": ("cursor", True),
    ".vscode/mcp.json": ("vscode", True),
}
"""File -> its form, and whether comments may stand in it."""
SMITHERY = ("smithery.yaml", "smithery.yml")
READMES = ("README.md", "readme.md", "README.markdown", "README")
README_BYTES = 512 * 2**10
MAX_DECLARED = 64
"""Servers of a run that are kept; how many more there are is told."""
MAX_DANGERS = 64
"""Of one file."""


@dataclass
class Found:
    """What was declared, and what could not be read, in order."""

    declared: list[Declared] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find(
    folder: Path | None, prefix: str, image_labels: Mapping[str, str], called: tuple[str, ...]
) -> Found:
    """Read all there is. ``folder``: what was built; ``None`` for an image without one.

    ``prefix``: the folder's path from the repository's root, for places. ``called``: names of the
    image, as far as they are known. Nothing is raised for what a stranger wrote: it is a note.
    """
    reader = _Reader(folder, prefix)
    server = reader.json(SERVER_JSON)
    manifests = [(file, root) for name in MANIFESTS for file, root in reader.json(name)]
    manifests = [one for one in manifests if bundle.is_bundle(one[1])]
    said = [*called, *labels.names(image_labels), *reader.packages()]
    said += [folder.resolve().name] if folder is not None else []
    for file, root in server:
        said += registry.names(root, file)
    for file, root in manifests:
        said += bundle.names(root, file)
    names = Names.of(said)

    found = reader.found
    for file, root in server:
        reader.keep(file, registry.read(root, file))
    for file, root in manifests:
        reader.keep(file, bundle.read(root, file))
    for name, (form, comments) in CLIENTS.items():
        for file, root in reader.json(name, comments=comments):
            reader.keep(file, clients.read(root, file, form, names))
    for file, root in reader.first(SMITHERY, read_yaml, MAX_YAML_BYTES):
        reader.keep(file, smithery.read(root, file))
    of_image, notes = labels.read(image_labels)
    found.declared += of_image
    found.notes += notes
    reader.read_me(names)
    return _bounded(found)


def _bounded(found: Found) -> Found:
    if len(found.declared) > MAX_DECLARED:
        more = len(found.declared) - MAX_DECLARED
        found.notes.append(
            f"{more} more servers are declared than the {MAX_DECLARED} that were kept."
        )
        del found.declared[MAX_DECLARED:]
    return found


class _Reader:
    """Reads files of one folder; each at most once, each problem told."""

    def __init__(self, folder: Path | None, prefix: str) -> None:
        self._folder = folder
        self._prefix = "" if prefix in {"", "."} else f"{prefix}/"
        self.found = Found()

    def _read(self, name: str, most: int) -> bytes | None:
        return None if self._folder is None else files.read(self._folder, name, most)

    def _parsed(
        self, name: str, parse: Callable[[bytes], Node], most: int
    ) -> list[tuple[File, Node]]:
        """The file and its content; nothing for what is not there or cannot be read."""
        file = File(f"{self._prefix}{name}")
        try:
            data = self._read(name, most)
            return [] if data is None else [(file, parse(data))]
        except Unreadable as error:
            self.unreadable(file, error)
            return []

    def json(self, name: str, *, comments: bool = False) -> list[tuple[File, Node]]:
        return self._parsed(name, lambda data: read_json(data, comments=comments), MAX_BYTES)

    def first(
        self, names: tuple[str, ...], parse: Callable[[bytes], Node], most: int
    ) -> list[tuple[File, Node]]:
        """The first of several names that is there."""
        return next((found for name in names if (found := self._parsed(name, parse, most))), [])

    def unreadable(self, file: File, error: Unreadable) -> None:
        self.found.notes.append(f"{file.at(error.line)} {error.what}: nothing was taken from it.")

    def keep(self, file: File, declared: list[Declared]) -> None:
        """Keep what a file declares, and what was wrong in it."""
        left = MAX_DANGERS
        for one in declared:
            if len(one.dangers) > left:
                many = sum(len(each.dangers) for each in declared)
                file.problem(one.line, f"has {many} dangerous parts; {MAX_DANGERS} are told")
            self.found.declared.append(replace(one, dangers=one.dangers[:left]))
            left -= len(one.dangers[:left])
        self.found.notes += file.notes

    def packages(self) -> list[str]:
        """What the manifests of languages call the package."""
        names = []
        for _, root in self.json("package.json"):
            node = root.value.get("name") if isinstance(root.value, dict) else None
            names.append(node.value if node and isinstance(node.value, str) else "")
        try:
            data = self._read("pyproject.toml", MAX_BYTES)
            document = tomllib.loads(decoded(data)) if data and _shallow(data) else {}
        except (Unreadable, ValueError):
            document = {}  # of another's concern: only its name would have been of use
        project = document.get("project")
        name = project.get("name") if isinstance(project, dict) else None
        return [*names, name if isinstance(name, str) else ""]

    def read_me(self, names: Names) -> None:
        for name in READMES:
            file = File(f"{self._prefix}{name}")
            try:
                data = self._read(name, README_BYTES)
            except Unreadable as error:
                self.unreadable(file, error)
                continue
            if data is not None:
                self.keep(file, readme.read(data, file, names))
                return


def _shallow(data: bytes) -> bool:
    """Whether brackets cannot nest too deep for the standard library's reader."""
    return max(data.count(b"["), data.count(b"{")) < 2_000 and data.count(b".") < 5_000  # noqa: PLR2004
