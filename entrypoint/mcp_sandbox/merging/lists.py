"""A list of servers: read strictly, each error with the line it stands on.

``[defaults]`` holds settings for all, each ``[[server]]`` one server and its own settings::

    [[server]]
    name = "weather"
    image = "registry.example/weather:1"
    args = ["--stdio"]

Settings are the action's inputs, checked as a scan checks them. Nothing of a list is for a shell:
a workflow hands it on as values of inputs.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from mcp_sandbox.errors import BadInput
from mcp_sandbox.merging import toml_lines
from mcp_sandbox.merging.places import safe
from mcp_sandbox.model.fleet import Entry, SourceKind
from mcp_sandbox.settings import Settings, load
from mcp_sandbox.sources import names

MAX_BYTES = 8 * 2**20
MAX_SERVERS = 20_000
MAX_SHOWN = 100

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
"""What a server may be called: it names a job, an artifact, a folder and a category."""
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,499}")
SETTINGS = (
    *("allow", "args", "baseline", "baseline-image", "build-network", "build-timeout"),
    *("call-timeout", "config", "constraint", "cpus", "dockerfile", "entry-point", "env"),
    *("fail-below", "fail-on", "install-scripts", "jobs", "max-calls", "memory", "network"),
    *("pids", "profile", "scanners", "start-timeout", "system-packages", "timeout", "tls"),
    "transport",
)
"""Inputs that a server of a list may have; the example workflow hands over each of them."""
_FILES = ("baseline", "config")
"""Files of the repository: a lock file, a policy."""
_NEXT = "See docs/fleet.md for what a list may hold."


def read(data: bytes, file: str) -> tuple[Entry, ...]:
    """The servers of a list in its order; ``file`` is its name in errors.

    Raises ``BadInput`` with one sentence that names file and line.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"{file} has more than {MAX_BYTES} bytes.", next_step="Split the list.")
    try:
        text = data.decode("utf-8")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{file}, line {line}: not UTF-8.", next_step=_NEXT) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{file} is no TOML: {str(error)[:200]}.", next_step=_NEXT) from error
    return _List(file, toml_lines.tables(text)).entries(document)


class _List:
    """One list while it is checked."""

    def __init__(self, file: str, tables: list[toml_lines.Table]) -> None:
        self._file = file
        self._tables = tables
        self._top = self._defaults = toml_lines.Table("", 1)

    def _wrong(self, table: toml_lines.Table, key: str, text: str) -> BadInput:
        line = table.keys.get(key, table.line)
        return BadInput(f"{self._file}, line {line}: {text}", next_step=_NEXT)

    def entries(self, document: Mapping[str, Any]) -> tuple[Entry, ...]:
        """All servers. Raises ``BadInput``."""
        named = {table.name: table for table in reversed(self._tables)}
        for key in document.keys() - {"defaults", "server"}:
            raise self._wrong(named.get(key, self._top), "", _unknown(key, {"defaults", "server"}))
        defaults = document.get("defaults", {})
        servers = document.get("server", [])
        self._defaults = at = named.get("defaults", self._top)
        if not isinstance(defaults, dict):
            raise self._wrong(at, "", "`defaults` is no table.")
        if not isinstance(servers, list) or not all(isinstance(one, dict) for one in servers):
            raise self._wrong(named.get("server", self._top), "", "each server is a [[server]].")
        if not 0 < len(servers) <= MAX_SERVERS:
            raise self._wrong(self._top, "", f"{len(servers)} servers; 1 to {MAX_SERVERS} can be.")
        shared = self._inputs(at, defaults)
        tables = [table for table in self._tables if table.name == "server"]
        # Written as one array, `server = [{…}]`, they have no lines of their own.
        tables += [self._top] * (len(servers) - len(tables))
        made: dict[str, Entry] = {}
        for table, one in zip(tables, servers, strict=False):
            entry = self._entry(table, one, shared)
            if entry.name in made:
                raise self._wrong(
                    table,
                    "name",
                    f"there is a server {entry.name} already, on line {made[entry.name].line}; "
                    "give one of them another `name`.",
                )
            made[entry.name] = entry
        return tuple(made.values())

    def _entry(
        self, table: toml_lines.Table, one: Mapping[str, Any], shared: dict[str, str]
    ) -> Entry:
        kinds = [kind.value for kind in SourceKind]
        known = {*SETTINGS, "name", *kinds}
        for key in one:
            if key.replace("_", "-") not in known:
                raise self._wrong(table, key, _unknown(key, known))
        given = [kind for kind in kinds if kind in one]
        if len(given) != 1:
            raise self._wrong(table, "", f"a server has one of {', '.join(kinds)}.")
        kind = SourceKind(given[0])
        source = self._source(table, kind, one[kind.value])
        name = one.get("name", _named(kind, source))
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise self._wrong(
                table,
                "name",
                f"{str(name)[:MAX_SHOWN]!r} is no name: it has lower case letters, digits, dots, "
                "hyphens and underscores, 63 at most.",
            )
        rest = {key: value for key, value in one.items() if key not in {"name", kind.value}}
        inputs = shared | self._inputs(table, rest)
        self._check(table, kind, source, inputs)
        return Entry(name, kind, source, inputs, table.line)

    def _source(self, table: toml_lines.Table, kind: SourceKind, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong(table, kind.value, f"`{kind.value}` is no string.")
        shown = repr(value[:MAX_SHOWN])
        if kind is SourceKind.CONTEXT:
            return self._path(table, kind.value, value)
        if kind is SourceKind.IMAGE and not IMAGE.fullmatch(value):
            raise self._wrong(table, kind.value, f"{shown} is no image reference.")
        if kind is SourceKind.SOURCE:
            try:
                source = names.parse(value)
            except ValueError as error:
                raise self._wrong(table, kind.value, f"{error}.") from error
            if source.kind is names.Kind.BUNDLE:
                self._path(table, kind.value, source.name)
        return value

    def _path(self, table: toml_lines.Table, key: str, value: object) -> str:
        """A path of the repository."""
        parts = PurePosixPath(value).parts if isinstance(value, str) else ()
        if (
            not isinstance(value, str)
            or not value
            or value != value.strip()
            or not value.isprintable()
            or value.startswith(("/", "-", "~"))
            or ".." in parts
            or "\\" in value
        ):
            raise self._wrong(
                table, key, f"`{key}` is {str(value)[:MAX_SHOWN]!r}, no path inside the repository."
            )
        return value

    def _inputs(self, table: toml_lines.Table, given: Mapping[str, Any]) -> dict[str, str]:
        """Settings as inputs."""
        made = {}
        for key, value in given.items():
            name = key.replace("_", "-")
            if name not in SETTINGS:
                raise self._wrong(table, key, _unknown(key, SETTINGS))
            if name in _FILES:
                made[name] = self._path(table, key, value)
            else:
                made[name] = self._text(table, key, value)
        return made

    def _text(self, table: toml_lines.Table, key: str, value: object) -> str:
        """A value as an input has it."""
        field = Settings.model_fields[key.replace("-", "_")]
        if typing.get_origin(field.annotation) is tuple:
            items = value if isinstance(value, list) else [value]
        elif isinstance(value, list):
            raise self._wrong(table, key, f"`{key}` is one value, not a list.")
        else:
            items = [value]
        texts = []
        for item in items:
            if not isinstance(item, str | int | float):
                raise self._wrong(table, key, f"`{key}` holds what is neither text nor a number.")
            text = str(item).lower() if isinstance(item, bool) else str(item)
            if text != text.strip() or not text or not text.isprintable():
                raise self._wrong(
                    table,
                    key,
                    f"`{key}` holds {text[:MAX_SHOWN]!r}: an input has one item a line, without "
                    "blanks around it and without characters that do not print.",
                )
            texts.append(text)
        return "\n".join(texts)

    def _check(
        self, table: toml_lines.Table, kind: SourceKind, source: str, inputs: Mapping[str, str]
    ) -> None:
        """Whether a scan would take it."""
        values: dict[str, Any] = {}
        for name, text in inputs.items():
            field = name.replace("-", "_")
            if field not in Settings.model_fields:
                continue
            lines = text.split("\n")
            annotation = Settings.model_fields[field].annotation
            values[field] = tuple(lines) if typing.get_origin(annotation) is tuple else text
        values[kind.value] = source
        try:
            load(values)
        except BadInput as error:
            found = re.match(r"--([a-z-]+)", error.what)
            spelt = {found[1], found[1].replace("-", "_")} if found else set()
            for at in (table, self._defaults):
                for key in spelt & at.keys.keys():
                    raise self._wrong(at, key, error.what) from error
            raise self._wrong(table, "", error.what) from error


def _unknown(key: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else "."
    return f"there is no key `{key[:MAX_SHOWN]}`{hint}"


def _named(kind: SourceKind, source: str) -> str:
    """A name out of a source: the last part of it, without version and registry."""
    own = kind is SourceKind.SOURCE
    plain = names.parse(source).name if own else re.split(r"(?<=.)@", source)[0]
    plain = re.sub(r"\.(?:git|mcpb|dxt)$", "", plain.rstrip("/"))
    last = plain.rsplit("/", 1)[-1].partition(":")[0]
    return safe([last]).lower()[:63]
