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
    FILE = "file"
    """A file at a path of the server's own choice; the setting's name is that path."""


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
    """Variable, ``--flag``, path, or what the documentation calls a positional argument."""
    where: Where
    kind: SettingKind
    source: str
    """``FILE:LINE``, ``--help`` or ``its last words``."""
    required: bool = True
    value: str = ""
    """A default or fixed value that the source gives."""
    choices: tuple[str, ...] = ()


def slot(name: str) -> str:
    """What stands among declared arguments where the value of a needed setting belongs."""
    return f"<{name}>"


class DangerKind(StrEnum):
    """What a dangerous part of a configuration gives away."""

    CONTROL = "control of the host"
    """The engine's socket, a privileged container, the host's processes, its root folder."""
    ACCESS = "access to the host"
    """A device, a capability, a folder that holds credentials."""
    FOLDER = "a folder of the host"
    NETWORK = "the network of the host"
    ROOT = "root"
    SECRET = "a secret in plain text"  # noqa: S105 - a kind
    DOWNLOAD = "a download that is run unseen"
    UNPINNED = "whatever version there is"


@dataclass(frozen=True)
class Danger:
    """Part of a configuration that would take the server out of its container; never applied."""

    option: str
    """As it stands there: ``--network host``, ``-v /:/host``. Never a secret's value."""
    why: str
    path: str
    """Relative to the repository's root, ``/``-separated."""
    line: int
    kind: DangerKind = DangerKind.CONTROL


@dataclass(frozen=True)
class Declared:
    """What one file says of how the server is started."""

    path: str
    line: int
    form: str
    """``server.json``, ``mcpb``, ``mcp.json``, ``claude``, ``smithery``, ``labels``, …"""
    name: str = ""
    """Of the server, as the file calls it."""
    names_image: bool = False
    """It speaks of this very image, so that its arguments replace the image's command."""
    ours: bool = True
    """``False`` for another server that stands in the same file: its dangers are told, no more."""
    arguments: tuple[str, ...] | None = None
    """Arguments for the image's entry point; ``None`` when it says none that apply to the image.
    ``<NAME>`` stands where the value of a needed setting belongs; see ``slot``."""
    transport: Transport = Transport.AUTO
    port: int | None = None
    url_path: str = ""
    needed: tuple[Needed, ...] = ()
    dangers: tuple[Danger, ...] = ()
    trusted: bool = True
    """``False`` for what is only a hint (a README), which is shown and not applied."""


@dataclass(frozen=True)
class Decided:
    """What is made of all that is declared, before the server is started for the first time."""

    arguments: tuple[str, ...] | None = None
    """For the image's entry point; ``None``: the image's own command stands. May hold slots, each
    the ``slot`` of something in ``needed``."""
    environment: tuple[str, ...] = ()
    """``NAME=VALUE`` that a file gives and neither the user nor the image does."""
    needed: tuple[Needed, ...] = ()
    """What has no value yet, or only a default; neither the user nor the image gives it."""
    port: int | None = None
    """Where it is said to listen; only a hint, as is the path."""
    url_path: str = ""
    declared: tuple[Declared, ...] = ()
    applied: tuple[str, ...] = ()
    """As in the report."""
    notes: tuple[str, ...] = ()
    """What could not be read, and what was not applied, one sentence each."""


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
    NEEDS_CREDENTIALS = "needs credentials"
    """It speaks MCP over HTTP, to whom it knows."""
    WRONG_TRANSPORT = "wrong transport"
    ANOTHER_PROTOCOL = "spoke another protocol"
    PRINTED_TO_STDOUT = "printed to standard output"
    EXITED_CLEANLY = "exited with code 0"
    EXITED = "exited with an error"
    NEVER_ANSWERED = "never answered"


@dataclass(frozen=True)
class Sidecar:
    """A service that stands beside the server in its network."""

    name: str
    image: str
    port: int
    """Where it listens; the server finds it on ``localhost``."""
    environment: tuple[str, ...] = ()
    """``NAME=VALUE``."""
    user: str = ""
    """``UID`` or ``UID:GID``; empty for the image's own, or an unprivileged one for root."""


@dataclass(frozen=True)
class LaunchReport:
    """How the server was started in the end, for the report."""

    declared: tuple[Declared, ...] = ()
    applied: tuple[str, ...] = ()
    """What was applied, as ``FILE:LINE: what``. Never a secret's value."""
    invented: tuple[Invented, ...] = ()
    restarts: int = 0
    reason: StartReason | None = None
    """Why it never answered, or answered and listed no tools; ``None`` when it did both, and where
    nothing tells."""
    sidecars: tuple[str, ...] = ()
    """``NAME: IMAGE on port PORT`` of what stood beside it."""
    why: str = ""
    """The same in two sentences: what was seen, and the way out."""
    notes: tuple[str, ...] = field(default=())
