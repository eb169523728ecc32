"""Made-up values for the settings that a server lacks: well-formed, harmless, told of.

A secret is one that the run plants, in the shape of its vendor, so that it is known wherever it
turns up; ``inventor`` has it made. All else depends on the setting's name and the run's seed alone.
Addresses lead to names that only the sink answers, paths to what exists in every container.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from mcp_sandbox.launch import contents
from mcp_sandbox.launch.kinds import words
from mcp_sandbox.launch.needs import SOURCE
from mcp_sandbox.model.launch import Needed, SettingKind, Where

MAX_VALUE = 1_000
SCRATCH = "/tmp"  # noqa: S108 - the one writable folder of the server's container
HOST = "internal.example"
"""Below it are the hosts of made-up addresses (RFC 2606: nobody's)."""
FILES = "/srv/settings"
"""Folder of files that settings name."""

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


@dataclass(frozen=True)
class Try:
    """One value to try."""

    value: str
    """With ``{}`` where the secret stands; for a secret in its own shape, empty."""
    secret: bool = False
    file: str = ""
    """Content of the file that the value names."""


def tries(needed: Needed, seed: int) -> tuple[Try, ...]:
    """What may be given for a setting, the likeliest first."""
    given = (Try(needed.value),) if _is_plain(needed.value) else ()
    if given and needed.source == SOURCE:
        return given  # the server itself says what it has to be
    return given + _by_kind(needed, seed)


def _is_plain(value: str) -> bool:
    """A default that stands for itself."""
    return bool(value) and len(value) <= MAX_VALUE and not re.search(r"[\x00<>${}]|your", value)


def _by_kind(needed: Needed, seed: int) -> tuple[Try, ...]:  # noqa: PLR0911 - one per kind
    parts = words(needed.name)
    if needed.where is Where.FILE:
        return _at_path(needed.name)
    match needed.kind:
        case SettingKind.SECRET:
            return (Try("", secret=True),)
        case SettingKind.DATABASE:
            return _database(parts)
        case SettingKind.FILE:
            return _file(needed.name)
        case SettingKind.FOLDER:
            return (Try(SCRATCH), Try(f"{SCRATCH}/sample.txt"))
        case SettingKind.CHOICE:
            return _choice(needed.choices)
        case SettingKind.NAME:
            return _name(needed.name, parts, seed)
    return tuple(map(Try, _plain(needed, parts)))


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


def _database(parts: tuple[str, ...]) -> tuple[Try, ...]:
    said = frozenset(parts)
    in_a_file = (Try(f"sqlite:///{SCRATCH}/sample.db"), Try(f"{SCRATCH}/sample.db"))
    if said & _IN_A_FILE:
        return in_a_file if said & {"url", "uri"} else in_a_file[::-1]
    if parts[-1] in {"db", "database"} and len(parts) > 1:
        return (Try("service"), Try("0"))  # the name of one, or a number of Redis
    form = next((form for word, form in _DATABASES if word in said), _POSTGRES)
    return (Try(form, secret=True), *in_a_file)


def _file(name: str) -> tuple[Try, ...]:
    possible = contents.possible(name)
    there = tuple(Try(f"{FILES}/{one.name}", one.secret, one.text) for one in possible)
    return (*there, Try(f"{SCRATCH}/{possible[0].name}"))  # for one that writes it


def _at_path(path: str) -> tuple[Try, ...]:
    """A file where the server looks for it; what stands there cannot be replaced."""
    one = contents.likely(path.rpartition("/")[2])
    return (Try(path, secret=one.secret, file=one.text),)


def _choice(choices: tuple[str, ...]) -> tuple[Try, ...]:
    ordered = sorted(choices, key=lambda one: one != "stdio")
    return tuple(map(Try, ordered[:3])) or (Try("stdio"),)


def _name(name: str, parts: tuple[str, ...], seed: int) -> tuple[Try, ...]:
    for part in reversed(parts):
        if part in _NAMES:
            return tuple(map(Try, _NAMES[part]))
    if parts[-1] in {"id", "tenant", "subscription"}:
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        return (Try(str(uuid.UUID(bytes=digest[:16], version=4))), Try("1"))
    if parts[-1] in {"user", "username", "login"}:
        return (Try("user"), Try("user@example.com"))
    return (Try("sample"),)
