"""A bundle (``.mcpb``, formerly ``.dxt``): a zip with all that a server needs, and a manifest.

``server.mcp_config`` has the command as a desktop application would run it; ``${__dirname}`` is the
folder that the bundle is unpacked in. What a user would be asked for (``user_config``) is left to
whoever invents settings. (Manifest versions 0.1 to 0.4.)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from mcp_sandbox.errors import SourceUnusable
from mcp_sandbox.model import SourceFacts
from mcp_sandbox.sources import npm, pypi, recipe
from mcp_sandbox.sources.names import Source
from mcp_sandbox.sources.recipe import Recipe, Wishes

MANIFEST = "manifest.json"
PROJECT = "pyproject.toml"
FOLDER = "bundle"
"""Where it is unpacked, in the build's context."""
PLACE = "/opt/bundle"
"""Where it is in the image."""
MAX_MANIFEST = 2**20
MAX_WORDS = 200
MAX_REQUIREMENTS = 500

_ASKED = re.compile(r"\$\{user_config\.([\w-]{1,100})\}")
_HERE = "${__dirname}"
_REQUIREMENT = re.compile(r"[A-Za-z0-9][ -~]{0,300}")
_CALL = re.compile(r"([A-Za-z_][\w.]{0,200}):([A-Za-z_][\w.]{0,100})")
_PYTHONS = re.compile(r"python[0-9.]*|py")


@dataclass(frozen=True)
class Bundle:
    """What a manifest comes to."""

    name: str
    version: str
    kind: str
    """``node``, ``python``, ``uv`` or ``binary``."""
    command: tuple[str, ...]
    """Program and script, as they are in the image."""
    arguments: tuple[str, ...] = ()
    """Of the server; empty where a user is asked for one of them."""
    environment: dict[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    """Packages that have to be installed for it, as pip takes them."""
    notes: tuple[str, ...] = ()


def read(source: Source, manifest: bytes | None, project: bytes | None) -> Bundle:
    """Read a manifest, and the bundle's ``pyproject.toml`` where it has one.

    Raises ``SourceUnusable``.
    """
    if manifest is None:
        raise SourceUnusable(
            f"{source.text} holds no {MANIFEST} of less than {MAX_MANIFEST // 2**10} KiB.",
            next_step="A bundle is a zip with its manifest at the top.",
        )
    top = recipe.json_object(manifest, f"The manifest of {source.text}")
    server = _object(top.get("server"))
    config = _object(server.get("mcp_config"))
    config = config | _object(_object(config.get("platform_overrides")).get("linux"))
    kind = str(server.get("type"))
    if kind not in {"node", "python", "uv", "binary"}:
        raise SourceUnusable(
            f"The manifest of {source.text} says that its server is {kind[:50]!r}, which is none "
            "of node, python, uv, binary."
        )
    script = str(server.get("entry_point") or "")
    program = str(config.get("command") or {"python": "python", "node": "node"}.get(kind, ""))
    words = config.get("args", [])
    if not isinstance(words, list) or len(words) > MAX_WORDS:
        raise SourceUnusable(f"The arguments in the manifest of {source.text} cannot be read.")
    given = [str(word) for word in words]
    return _Reading(source, top, kind, script, project).made(program, given, config.get("env"))


@dataclass
class _Reading:
    """One manifest."""

    source: Source
    top: Mapping[str, Any]
    kind: str
    script: str
    project: bytes | None
    notes: list[str] = field(default_factory=list)

    def made(self, program: str, words: Sequence[str], env: object) -> Bundle:
        name = PurePosixPath(program).name
        requirements: tuple[str, ...] = ()
        environment: dict[str, str] = {}
        if self.kind == "uv" or name in {"uv", "uvx"}:
            self.kind = "uv"
            requirements, scripts = self._project()
            command, own = self._by_uv(words, scripts)
            environment["PYTHONPATH"] = f"{PLACE}:{PLACE}/src"
        elif _PYTHONS.fullmatch(name) or name == "node":
            command, own = _interpreted(
                pypi.PYTHON if name != "node" else "node", words, self.script
            )
            self.kind = "node" if name == "node" else "python"
        elif program.startswith((_HERE, "./")):
            command, own = [re.sub(r"^\./", f"{_HERE}/", program)], [*words]
            self.kind = "binary"
        else:
            raise SourceUnusable(
                f"The manifest of {self.source.text} starts {program[:100]!r}, which the image "
                "does not have: it has node, python, and what is in the bundle.",
            )
        environment |= self._environment(env)
        command = [self._plain(word) for word in command]
        return Bundle(
            str(self.top.get("name"))[:200],
            str(self.top.get("version"))[:100],
            self.kind,
            tuple(command),
            self._arguments(own),
            environment,
            requirements,
            tuple(self.notes),
        )

    def _plain(self, word: str) -> str:
        text = word.replace(_HERE, PLACE).replace("${/}", "/").replace("${pathSeparator}", "/")
        return text.replace("${HOME}", "/home/server")

    def _arguments(self, own: Sequence[str]) -> tuple[str, ...]:
        """The server's own arguments, unless they can be left to who invents settings."""
        if not any(_ASKED.search(word) for word in own):
            return tuple(self._plain(word) for word in own)
        plain = [_ASKED.sub("", word) for word in own]
        if not any("${" in word for word in plain):
            return ()
        defaults = _object(self.top.get("user_config"))
        made = []
        for word in own:
            asked = _ASKED.search(word)
            value = _object(defaults.get(asked[1])).get("default") if asked else ""
            if isinstance(value, str | int | float):
                made.append(self._plain(_ASKED.sub(lambda _: str(value), word)))  # noqa: B023
            else:
                self.notes.append(f"an argument that a user is asked for is left out: {word[:100]}")
        return tuple(made)

    def _environment(self, env: object) -> dict[str, str]:
        """Variables whose value the manifest itself gives."""
        found = {}
        for name, value in list(_object(env).items())[:MAX_WORDS]:
            if isinstance(value, str | int | float) and not _ASKED.search(str(value)):
                found[name] = self._plain(str(value))[:4_096]
        return found

    def _project(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """What a Python project needs, and its commands."""
        try:
            project = _object(tomllib.loads((self.project or b"").decode("utf-8")).get("project"))
        except (ValueError, RecursionError) as error:
            raise SourceUnusable(f"The {PROJECT} of {self.source.text} is no TOML.") from error
        needs = project.get("dependencies", [])
        if not isinstance(needs, list) or len(needs) > MAX_REQUIREMENTS:
            raise SourceUnusable(f"The dependencies in the {PROJECT} cannot be read.")
        for one in needs:
            if not isinstance(one, str) or not _REQUIREMENT.fullmatch(one):
                raise SourceUnusable(
                    f"The {PROJECT} needs {str(one)[:100]!r}, which is no package."
                )
        scripts = {str(name): str(call) for name, call in _object(project.get("scripts")).items()}
        return tuple(needs), scripts

    def _by_uv(
        self, words: Sequence[str], scripts: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
        """``uv run … X ARGS`` without uv: X is a script, a module or a command of the project."""
        for at, word in enumerate(words):
            last = PurePosixPath(word.replace(_HERE, PLACE)).name
            if word.endswith(".py"):
                script = word if word.startswith((_HERE, "/")) else f"{_HERE}/{word}"
                return [pypi.PYTHON, script], [*words[at + 1 :]]
            if word == "-m" and at + 1 < len(words):
                return [pypi.PYTHON, "-m", words[at + 1]], [*words[at + 2 :]]
            if call := _CALL.fullmatch(scripts.get(last, "")):
                run = f"import sys; from {call[1]} import {call[2].partition('.')[0]}; "
                run += f"sys.exit({call[2]}())"
                return [pypi.PYTHON, "-c", run], [*words[at + 1 :]]
        if self.script:
            return [pypi.PYTHON, f"{_HERE}/{self.script}"], []
        raise SourceUnusable(f"The manifest of {self.source.text} does not say what uv is to run.")


def _interpreted(program: str, words: Sequence[str], script: str) -> tuple[list[str], list[str]]:
    """The program with its script, and the server's own arguments."""
    for at, word in enumerate(words):
        if _HERE in word or word == script:
            placed = word if _HERE in word else f"{_HERE}/{word}"
            return [program, *words[:at], placed], [*words[at + 1 :]]
        if word == "-m" and at + 1 < len(words):
            return [program, *words[: at + 2]], [*words[at + 2 :]]
    return [program, *([f"{_HERE}/{script}"] if script else [])], [*words]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def asking(bundle: Bundle, wishes: Wishes) -> dict[str, bytes] | None:
    """The context whose stage ``lock`` says what is needed; ``None`` where nothing is."""
    if not bundle.requirements:
        return None
    return pypi.context(wishes, wanted="".join(f"{one}\n" for one in bundle.requirements), main="")


def made(
    source: Source,
    bundle: Bundle,
    wishes: Wishes,
    digest: str,
    exported: Mapping[str, bytes] | None,
) -> Recipe:
    """The image of a bundle; its files are put beside, in ``FOLDER``.

    ``digest``: SHA-256 of the bundle. ``exported``: what the build said of ``asking``. Raises
    ``SourceUnusable`` and ``IndexUnreachable``.
    """
    if wishes.entry_point:
        raise SourceUnusable(
            "--entry-point goes with a package: a bundle's manifest says how it is started."
        )
    if wishes.constraints and bundle.kind != "uv":
        raise SourceUnusable(
            "--constraint goes with what is resolved: this bundle brings its packages along."
        )
    copies = [f"--chown=0:0 {FOLDER} {PLACE}"]
    notes = bundle.notes
    files: dict[str, bytes] = {}
    archives: tuple[pypi.Archive, ...] = ()
    parts: tuple[str, ...] = ("base",)
    environment = bundle.environment
    system: tuple[str, ...] = ()
    if bundle.kind == "node":
        parts, system = ("base", "node"), ()
        copies.insert(0, npm.NODE)
        files |= npm.node(wishes)
    elif bundle.kind in {"python", "uv"}:
        parts, system = pypi.PARTS, ("python3",)
        copies.insert(0, pypi.COPIES[0])
        files = asking(bundle, wishes) or pypi.context(wishes, wanted="", main="")
        if exported is not None:
            archives = pypi.resolved(source.text, "", "", exported)
            notes = (*notes, *pypi.notes(archives))
        files["lock.txt"] = "".join(one.line for one in archives).encode()
        environment = pypi.ENVIRONMENT | environment
    files["system.txt"] = recipe.system(wishes, *system)
    files["Dockerfile"] = recipe.dockerfile(
        *parts,
        copies=copies,
        environment=environment,
        command=bundle.command,
        arguments=bundle.arguments,
    )
    facts = SourceFacts(
        asked=source.text,
        resolved=f"{bundle.name} {bundle.version}",
        lock=digest,
        packages=tuple(f"{one.name}=={one.version}" for one in archives),
        command=(*bundle.command, *bundle.arguments),
        why="as its manifest says",
        notes=notes,
    )
    return Recipe(files, facts)
