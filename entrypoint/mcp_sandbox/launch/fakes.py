"""Made-up values for the settings that a server lacks: well-formed, harmless, told of.

A secret is one that the run plants, in the shape of its vendor, so that it is known wherever it
turns up; the caller makes it. All else depends on the setting's name and the run's seed alone.
Addresses lead to names that only the sink answers, paths to what exists in every container.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from mcp_sandbox.launch import contents, symptoms
from mcp_sandbox.launch.kinds import may_be_set, words
from mcp_sandbox.launch.needs import readable
from mcp_sandbox.model.launch import Invented, Needed, SettingKind, Where

MAX_INVENTED = 48
MAX_VALUE = 1_000
SCRATCH = "/tmp"  # noqa: S108 - the one writable folder of the server's container
HOST = "internal.example"
"""Below it are the hosts of made-up addresses (RFC 2606: nobody's)."""
FILES = "/srv/settings"
"""Folder of files that settings name."""

Mint = Callable[[str, str, str], str]
"""Makes a planted secret: its place, the name that decides its shape, and a text with ``{}`` for it
(empty: in the shape alone)."""

_DATABASES: tuple[tuple[str, str], ...] = (
    ("mysql", "mysql://service:{}@db.internal.example:3306/service"),
    ("mariadb", "mysql://service:{}@db.internal.example:3306/service"),
    ("mongo", "mongodb://service:{}@db.internal.example:27017/service"),
    ("mongodb", "mongodb://service:{}@db.internal.example:27017/service"),
    ("redis", "redis://:{}@cache.internal.example:6379/0"),
    ("amqp", "amqp://service:{}@queue.internal.example:5672/"),
    ("rabbitmq", "amqp://service:{}@queue.internal.example:5672/"),
    ("neo4j", "bolt://service:{}@db.internal.example:7687"),
    ("clickhouse", "http://service:{}@db.internal.example:8123/service"),
)
_POSTGRES = "postgresql://service:{}@db.internal.example:5432/service"
_IN_A_FILE = frozenset({"sqlite", "duckdb", "path", "file"})

_NAMES: dict[str, tuple[str, ...]] = {
    "region": ("us-east-1",),
    "zone": ("us-east-1a",),
    "account": ("123456789012",),
    "environment": ("production",),
    "profile": ("default",),
    "namespace": ("default",),
    "repo": ("sample/sample",),
    "repository": ("sample/sample",),
}
_NUMBERS: dict[str, str] = {"timeout": "30", "limit": "10", "max": "10", "dimensions": "384"}
_TO_BLAME = (SettingKind.DATABASE, SettingKind.FILE, SettingKind.FOLDER)


@dataclass(frozen=True)
class _Try:
    """One value to try."""

    value: str
    """With ``{}`` where the secret stands; for a secret in its own shape, empty."""
    secret: bool = False
    file: str = ""
    """Content of the file that the value names."""


def tries(needed: Needed, seed: int) -> tuple[_Try, ...]:
    """What may be given for a setting, the likeliest first."""
    given = (_Try(needed.value),) if _is_plain(needed.value) else ()
    return given + _by_kind(needed, seed)


def _is_plain(value: str) -> bool:
    """A default that stands for itself."""
    return bool(value) and len(value) <= MAX_VALUE and not re.search(r"[\x00<>${}]|your", value)


def _by_kind(needed: Needed, seed: int) -> tuple[_Try, ...]:  # noqa: PLR0911 - one per kind
    parts = words(needed.name)
    if needed.where is Where.FILE:
        return _at_path(needed.name)
    match needed.kind:
        case SettingKind.SECRET:
            return (_Try("", secret=True),)
        case SettingKind.DATABASE:
            return _database(parts)
        case SettingKind.FILE:
            return _file(needed.name)
        case SettingKind.FOLDER:
            return (_Try(SCRATCH), _Try(f"{SCRATCH}/sample.txt"))
        case SettingKind.CHOICE:
            return _choice(needed.choices)
        case SettingKind.NAME:
            return _name(needed.name, parts, seed)
    return tuple(map(_Try, _plain(needed, parts)))


def _plain(needed: Needed, parts: tuple[str, ...]) -> tuple[str, ...]:
    number = next((_NUMBERS[part] for part in parts if part in _NUMBERS), "1")
    if frozenset(parts) & {"ws", "wss", "websocket"}:
        url = f"wss://api.{HOST}"
    else:
        url = f"https://api.{HOST}"
    values: dict[SettingKind, tuple[str, ...]] = {
        SettingKind.URL: (url, f"http://api.{HOST}/", f"https://key@api.{HOST}/1"),
        SettingKind.HOST: (f"service.{HOST}",),
        SettingKind.PORT: ("8080",),
        SettingKind.NUMBER: (number,),
        SettingKind.BOOLEAN: ("false", "0"),
        SettingKind.EMAIL: ("user@example.com",),
    }
    unnamed = (SCRATCH, "sample") if needed.name == "argument" else ("sample", "1")
    return values.get(needed.kind, unnamed)


def _database(parts: tuple[str, ...]) -> tuple[_Try, ...]:
    said = frozenset(parts)
    in_a_file = (_Try(f"sqlite:///{SCRATCH}/sample.db"), _Try(f"{SCRATCH}/sample.db"))
    if said & _IN_A_FILE:
        return in_a_file if said & {"url", "uri"} else in_a_file[::-1]
    if parts[-1] in {"db", "database"} and len(parts) > 1:
        return (_Try("service"), _Try("0"))  # the name of one, or a number of Redis
    form = next((form for word, form in _DATABASES if word in said), _POSTGRES)
    return (_Try(form, secret=True), *in_a_file)


def _file(name: str) -> tuple[_Try, ...]:
    return tuple(
        _Try(f"{FILES}/{one.name}", secret=one.secret, file=one.text)
        for one in contents.possible(name)
    )


def _at_path(path: str) -> tuple[_Try, ...]:
    """A file where the server looks for it; what stands there cannot be replaced."""
    one = contents.likely(path.rpartition("/")[2])
    return (_Try(path, secret=one.secret, file=one.text),)


def _choice(choices: tuple[str, ...]) -> tuple[_Try, ...]:
    ordered = sorted(choices, key=lambda one: one != "stdio")
    return tuple(map(_Try, ordered[:3])) or (_Try("stdio"),)


def _name(name: str, parts: tuple[str, ...], seed: int) -> tuple[_Try, ...]:
    for part in reversed(parts):
        if part in _NAMES:
            return tuple(map(_Try, _NAMES[part]))
    if parts[-1] in {"id", "tenant", "subscription"}:
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        return (_Try(str(uuid.UUID(bytes=digest[:16], version=4))), _Try("1"))
    if parts[-1] in {"user", "username", "login"}:
        return (_Try("user"), _Try("user@example.com"))
    return (_Try("sample"),)


def _ends_a_word(line: str, value: str) -> bool:
    """Whether a line has a value as the end of a path or as a whole word in quotes."""
    return any(
        f"{before}{value}{after}" in line
        for before in ("/", "'", '"', "`", " ")
        for after in ("'", '"', "`")
    )


@dataclass
class Inventor:
    """Gives a server what it lacks, never what the user has given it; knows what it gave."""

    seed: int
    mint: Mint
    taken: Collection[str]
    """Variables and options that are the user's."""
    slotted: Collection[str] = ()
    """Settings whose values have a place among declared arguments."""
    _given: dict[str, tuple[Needed, int, str]] = field(default_factory=dict)
    """Name -> the setting, which of its tries is in use, and the value."""
    _files: dict[str, bytes] = field(default_factory=dict)

    def add(self, needed: Iterable[Needed]) -> bool:
        """Invent what is new, and something else for what was not accepted.

        Returns whether anything changed.
        """
        changed = False
        for one in needed:
            _, turn, _ = self._given.get(one.name, (one, -1, ""))
            changed = self._give(one, turn + 1) or changed
        return changed

    def reconsider(self) -> bool:
        """Try another value for one setting; returns whether there was one.

        What has to be there is more likely to blame than a word, and what came last than the rest.
        """
        latest = tuple(reversed(self._given.values()))
        ordered = sorted(
            latest,
            key=lambda one: _TO_BLAME.index(one[0].kind) if one[0].kind in _TO_BLAME else 9,
        )
        return any(self._give(needed, turn + 1) for needed, turn, _ in ordered)

    def opened(self, text: str) -> tuple[str, ...]:
        """Give a file to each setting whose value was opened as one; returns their names.

        ``text``: what the server said, its secrets masked.
        """
        lines = [line for line in readable(text) if symptoms.NO_FILE.search(line)]
        given = [
            name
            for name, (needed, _, _) in self._given.items()
            if needed.where is not Where.FILE and needed.kind is not SettingKind.FILE
        ]
        shown = {name: self.value(name)[1] for name in given}
        found = [
            name
            for name, value in shown.items()
            if value and any(_ends_a_word(line, value) for line in lines)
        ]
        if not found and any(symptoms.A_FOLDER.search(line) for line in lines):
            # It does not say which: the last one that was given a folder.
            folders = [one for one in given if self._given[one][0].kind is SettingKind.FOLDER]
            found = folders[-1:]
        for name in found:
            needed = replace(self._given[name][0], kind=SettingKind.FILE, value="")
            self._given[name] = (needed, -1, "")
        return tuple(name for name in found if self._give(self._given[name][0], 0))

    def _give(self, needed: Needed, turn: int) -> bool:
        name = needed.name
        if name in self.taken or (name not in self._given and len(self._given) >= MAX_INVENTED):
            return False
        if needed.where is Where.ENVIRONMENT and not may_be_set(name.upper()):
            return False
        known = self._given.get(name)
        # What the setting is was told best by who named it first.
        needed = known[0] if known and known[0].kind is not SettingKind.TEXT else needed
        possible = tries(needed, self.seed)
        if turn >= len(possible):
            return False
        chosen = possible[turn]
        value, file = chosen.value, chosen.file
        if chosen.secret:
            form = file or value
            made = self.mint(place(needed), name, form)
            value, file = (value, made) if file else (made, "")
        if file:
            self._files[value] = file.encode()
        self._given[name] = (needed, turn, value)
        return True

    @property
    def secrets(self) -> dict[str, str]:
        """Variables with planted secrets."""
        return {name: value for name, value in self._variables() if self._is_secret(name)}

    @property
    def settings(self) -> tuple[str, ...]:
        """``NAME=VALUE`` of the variables that anybody may read."""
        return tuple(f"{n}={value}" for n, value in self._variables() if not self._is_secret(n))

    @property
    def arguments(self) -> tuple[tuple[str, str], ...]:
        """Arguments after the server's own, each with what may be shown of it.

        Commands first, then options, then what is positional.
        """
        first: list[tuple[str, str]] = []
        found: list[tuple[str, str]] = []
        last: list[tuple[str, str]] = []
        for name, (needed, _, _) in self._given.items():
            value, shown = self.value(name)
            if name in self.slotted:
                continue
            if needed.where is Where.POSITIONAL:
                (first if needed.kind is SettingKind.CHOICE else last).append((value, shown))
            elif name.startswith("--") and value:
                found.append((f"{name}={value}", f"{name}={shown}"))
            elif needed.where is Where.FLAG:
                found += [(name, name), (value, shown)] if value else [(name, name)]
        return (*first, *found, *last)

    def value(self, name: str) -> tuple[str, str]:
        """The value of a setting and what may be shown of it; both empty for one that has none."""
        if name not in self._given:
            return "", ""
        needed, _, value = self._given[name]
        return value, f"<planted:{place(needed)}>" if self._is_secret(name) else value

    @property
    def files(self) -> dict[str, bytes]:
        """Files that the values name, to be put into the image."""
        return dict(self._files)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that the server was given to work in."""
        return tuple(
            dict.fromkeys(
                value
                for needed, _, value in self._given.values()
                if needed.kind is SettingKind.FOLDER and "." not in value
            )
        )

    @property
    def invented(self) -> tuple[Invented, ...]:
        """What the report says of it all."""
        return tuple(
            Invented(
                name=name,
                where=needed.where,
                kind=needed.kind,
                source=needed.source,
                shown="" if self._is_secret(name) or needed.where is Where.FILE else value,
            )
            for name, (needed, _, value) in self._given.items()
        )

    def _variables(self) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, (needed, _, value) in self._given.items()
            if needed.where is Where.ENVIRONMENT
        ]

    def _is_secret(self, name: str) -> bool:
        """Whether its value holds a planted secret, rather than the path of a file with one."""
        needed, turn, _ = self._given[name]
        chosen = tries(needed, self.seed)[turn]
        return chosen.secret and not chosen.file


def place(needed: Needed) -> str:
    """Where a secret of this setting is planted, in the words of the report."""
    if needed.where is Where.FILE:
        return needed.name
    return f"{'env' if needed.where is Where.ENVIRONMENT else 'argument'}:{needed.name}"
