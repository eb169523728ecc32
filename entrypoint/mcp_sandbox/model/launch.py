"""How a server is started: what files declare of it, what it needs, what was invented for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mcp_sandbox.model.transport import Transport


class Where(StrEnum):
    """Where a setting is given."""

    ENVIRONMENT = "environment"
    FLAG = "flag"
    POSITIONAL = "positional"


class SettingKind(StrEnum):
    """What a value has to look like to be accepted."""

    SECRET = "secret"  # noqa: S105 - a kind
    URL = "url"
    DATABASE = "database"
    """A connection string or the file of a database."""
    HOST = "host"
    PORT = "port"
    NUMBER = "number"
    BOOLEAN = "boolean"
    FOLDER = "folder"
    FILE = "file"
    EMAIL = "email"
    NAME = "name"
    """An identifier: a user, a project, a region."""
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True)
class Needed:
    """A setting that a server wants."""

    name: str
    """Variable, ``--flag``, or what the documentation calls a positional argument."""
    where: Where
    kind: SettingKind
    source: str
    """``FILE:LINE``, ``--help`` or ``its last words``."""
    required: bool = True
    value: str = ""
    """A default or fixed value that the source gives."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Danger:
    """Part of a configuration that would take the server out of its container; never applied."""

    option: str
    """As it stands there: ``--network host``, ``-v /:/host``."""
    why: str
    path: str
    line: int


@dataclass(frozen=True)
class Declared:
    """What one file says of how the server is started."""

    path: str
    line: int
    form: str
    """``server.json``, ``mcpb``, ``mcp.json``, ``claude``, ``smithery``, ``labels``, …"""
    arguments: tuple[str, ...] | None = None
    """Arguments for the image's entry point; ``None`` when it says none that apply to the image."""
    transport: Transport = Transport.AUTO
    port: int | None = None
    url_path: str = ""
    needed: tuple[Needed, ...] = ()
    dangers: tuple[Danger, ...] = ()
    trusted: bool = True
    """``False`` for what is only a hint (a README), which is shown and not applied."""


@dataclass(frozen=True)
class Invented:
    """A value that the scanner made up, so that the server starts. A secret's value is not kept."""

    name: str
    where: Where
    kind: SettingKind
    source: str
    shown: str = ""
    """The value, empty for a secret."""


class StartReason(StrEnum):
    """Why a server did not start."""

    NOT_RUNNABLE = "not runnable"
    """No such program, or not executable."""
    ARCHITECTURE = "another architecture"
    MISSING_SETTING = "missing setting"
    NEEDS_NETWORK = "needs a network"
    NEEDS_WRITABLE_FOLDER = "needs a writable folder"
    NEEDS_MEMORY = "needs more memory"
    CRASHED_AT_IMPORT = "crashed at import"
    WRONG_TRANSPORT = "wrong transport"
    ANOTHER_PROTOCOL = "spoke another protocol"
    PRINTED_TO_STDOUT = "printed to standard output"
    EXITED_CLEANLY = "exited with code 0"
    EXITED = "exited with an error"
    NEVER_ANSWERED = "never answered"


@dataclass(frozen=True)
class LaunchReport:
    """How the server was started in the end, for the report."""

    declared: tuple[Declared, ...] = ()
    applied: tuple[str, ...] = ()
    """``FILE:LINE`` of what was applied."""
    invented: tuple[Invented, ...] = ()
    restarts: int = 0
    reason: StartReason | None = None
    """Why it never answered; ``None`` when it did."""
    notes: tuple[str, ...] = field(default=())
