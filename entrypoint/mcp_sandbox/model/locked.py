"""The facts of the lock file of behaviour, of a comparison with one, and of the policy file.

Like ``model``: frozen types, no I/O, no behaviour. A *lock* is what a server presents and what it
did, without anything that differs from run to run. A *change* is one difference between two locks,
and says nothing of how bad it is: that is a rule's to say. A *policy* is what somebody with the
right to do so has accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from mcp_sandbox.model import (
    PLAIN_NAMES,
    Call,
    ItemKind,
    Json,
    KernelEvent,
    Location,
    Network,
    Profile,
    Relaxation,
    RiskClass,
    Session,
    SinkEvent,
    Tls,
)
from mcp_sandbox.model.launch import Sidecar

LOCK_FILE = "mcp-sandbox.lock.json"
POLICY_FILE = "mcp-sandbox.toml"
LOCK_VERSION = 1
"""Of the lock file's schema. A reader migrates older ones and refuses newer ones."""

ARGUMENT = "<argument>"
"""Stands for a host, a program or a path that the call itself had named."""

START = "start-up"
IDLE = "idle"
SERVER = "server"
IMAGE = "image"
"""Subjects of what belongs to no listed item; the others are ``tools/NAME`` and its like."""


# --- the lock -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One thing that a server lists."""

    kind: ItemKind
    name: str
    """Name of a tool or prompt, URI (template) of a resource."""
    digest: str
    """SHA-256 (hex) of the canonical JSON of the whole item, after normalisation."""
    title: str
    description: str
    definition: Json
    """All the rest, as listed: schemas, annotations, ``_meta``, arguments…"""

    @property
    def subject(self) -> str:
        """``tools/NAME`` and its like."""
        return f"{self.kind.value}/{self.name}"


@dataclass(frozen=True)
class Behaviour:
    """What was done in one place; every tuple sorted, without duplicates."""

    endpoints: tuple[str, ...] = ()
    """``NAME:PORT`` of what was connected to (``NAME:PORT/udp`` for datagrams; an address stands
    where there is no name), and a bare ``NAME`` of what was only looked up."""
    programs: tuple[str, ...] = ()
    """Names of the programs started, without folder and version."""
    writes: tuple[str, ...] = ()
    """Paths made, changed or removed outside the server's own temporary folders; what the
    read-only root refused counts."""
    reads: tuple[str, ...] = ()
    """Paths opened outside the image's own folders of programs and libraries."""


BEHAVIOURS = ("endpoints", "programs", "writes", "reads")
"""The fields of ``Behaviour``."""


@dataclass(frozen=True)
class Launch:
    """How the image says it wants to be started."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    environment: tuple[str, ...] = ()
    """``NAME=VALUE``, sorted; a digest stands for a value that is long or may be a secret."""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ceilings:
    """The limits that the server lived within. Bytes."""

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    relaxation: Relaxation = Relaxation.NONE


@dataclass(frozen=True)
class Lock:
    """What a server presents and did."""

    scanner: str
    """Version of the scanner that took it."""
    profile: Profile = Profile.DEFAULT
    network: Network = Network.SINK
    tls: Tls = Tls.OBSERVE
    server: Json = None
    """``serverInfo`` as presented."""
    capabilities: Json = None
    instructions: str = ""
    items: tuple[Item, ...] = ()
    """Sorted by kind and name."""
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    """``start-up``, ``idle``, ``tools/NAME``… -> what was done there; empty ones are left out."""
    uncalled: tuple[str, ...] = ()
    """Tools that no call could be made to: of what they do, nothing is known. Subjects, sorted."""
    launch: Launch = Launch()
    ceilings: Ceilings = Ceilings()
    score: float | None = None
    """By our own rules alone, without notes: what a scanner's database says differs by the day, and
    some notes by how busy the machine was."""
    normalised: tuple[str, ...] = ()
    """What was replaced because it differs from run to run, one sentence each."""
    version: int = LOCK_VERSION


@dataclass(frozen=True)
class Sighting:
    """Where something of a lock was seen."""

    session: Session
    call: Call | None = None
    kernel: tuple[KernelEvent, ...] = ()
    sink: tuple[SinkEvent, ...] = ()


@dataclass(frozen=True)
class Taken:
    """A lock that was just taken, with the evidence of each behaviour."""

    lock: Lock
    seen: dict[tuple[str, str, str], Sighting] = field(default_factory=dict)
    """(Subject, field of ``Behaviour``, value) -> the first time."""
    incomplete: tuple[str, ...] = ()
    """Why it must not become a lock file, one sentence each; empty when it may."""


# --- a comparison ---------------------------------------------------------------------------------


class Direction(StrEnum):
    """Which way a change goes."""

    GAINED = "gained"
    LOST = "lost"
    CHANGED = "changed"
    RENAMED = "renamed"


class Part(StrEnum):
    """What has changed."""

    ITEM = "item"
    """A whole tool, prompt, resource or template."""
    TITLE = "title"
    DESCRIPTION = "description"
    SCHEMA = "schema"
    """An input or output schema, or a prompt's arguments."""
    ANNOTATION = "annotation"
    META = "meta"
    """Any other field of an item."""
    INSTRUCTIONS = "instructions"
    SERVER = "server"
    CAPABILITY = "capability"
    ENDPOINT = "endpoints"
    PROGRAM = "programs"
    WRITE = "writes"
    READ = "reads"
    LAUNCH = "launch"
    CEILING = "ceiling"
    SETTING = "setting"
    """How the lock was taken (``/profile``, ``/network``, ``/tls``), and a tool that no call could
    be made to (``/uncalled``): what is not seen then may be there."""
    SCORE = "score"


class Effect(StrEnum):
    """What a changed schema or annotation means for who calls the tool."""

    WIDER = "wider"
    """More is taken than before: a parameter, a type, a value, a longer text."""
    NARROWER = "narrower"
    """What was accepted is accepted no more; a new required parameter is of these."""
    WORDS = "words"
    """Only texts within it are others."""
    WEAKER = "weaker"
    """A promise is gone (``readOnlyHint`` was true)."""
    STRONGER = "stronger"
    OTHER = "other"


@dataclass(frozen=True)
class Change:
    """One difference between two locks."""

    part: Part
    direction: Direction
    subject: str
    """``tools/NAME`` (the new name of one that was renamed), ``start-up``, ``server``…"""
    before: str = ""
    """As text for a reader: the words, the value, or canonical JSON. Empty for what is new."""
    after: str = ""
    pointer: str = ""
    """JSON pointer inside the item, where there is one."""
    effect: Effect = Effect.OTHER


class BaselineState(StrEnum):
    """What a run was compared with."""

    OFF = "off"
    """Nothing, as asked."""
    MISSING = "missing"
    """There is none where one is looked for."""
    UNREADABLE = "unreadable"
    """Nobody knows whether there is one: the base commit is not at hand. Never a pass."""
    USED = "used"


@dataclass(frozen=True)
class Baseline:
    """The lock that counts, and the one that the checkout proposes."""

    state: BaselineState
    origin: str = ""
    """Where it is from: ``FILE``, ``FILE of commit ABC…``, ``image REF``; where it was looked for
    when it is missing."""
    why: str = ""
    """Why there is none, and the way out; empty for one that is used or off."""
    lock: Lock | None = None
    proposed: Lock | None = None
    """Of the checkout, where that is not the one that counts; ``None`` also for a file that is
    equal to it or is not there."""
    deleted: bool = False
    """The checkout has no lock file, and the base branch has one."""
    path: str = ""
    """Of the lock file, relative to the repository's root; empty when it is not in one."""
    lines: dict[str, int] = field(default_factory=dict)
    """Subject -> its line in the lock file of the checkout."""
    places: dict[str, Location] = field(default_factory=dict)
    """Words that the checkout has gained -> their line in it."""
    kept: bool = True
    """Somebody keeps ``lock`` in a file, and can bring it up to date; ``False`` for what another
    image did in this very run."""


# --- the policy -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acceptance:
    """A finding that somebody accepts until a date."""

    rule: str
    reason: str
    expires: date
    subject: str = ""
    """``tools/NAME``… with or without a pointer; empty for any."""
    about: str = ""
    """Words that the message holds; empty for any."""
    fingerprint: str = ""
    tool: str = ""
    """The scanner whose rule it is; empty for our own rules."""
    line: int = 0
    """Of the policy file."""


@dataclass(frozen=True)
class Permission:
    """What a tool, or start-up, may do."""

    subject: str
    """``tools/NAME``, ``start-up``, ``idle``; ``*`` for all."""
    reason: str
    endpoints: tuple[str, ...] = ()
    """``HOST:PORT``, ``HOST`` for any port, ``*.DOMAIN`` for all below it."""
    programs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Absolute; ``/**`` at the end for all below it."""
    line: int = 0


@dataclass(frozen=True)
class ClassOverride:
    """Another class for a rule, everywhere or for one subject."""

    rule: str
    class_: RiskClass
    subject: str = ""
    reason: str = ""
    """Required where it makes something milder."""
    tool: str = ""
    """The scanner whose rule it is; empty for our own rules."""
    caps: bool = False
    """It is milder than the rule's own class: what is milder still stays as it is."""
    line: int = 0

    __pydantic_config__ = PLAIN_NAMES


@dataclass(frozen=True)
class Policy:
    """What ``mcp-sandbox.toml`` says."""

    origin: str = ""
    """Where it is from; empty when there is none."""
    path: str = ""
    """Relative to the repository's root; empty when it is not in one."""
    accept: tuple[Acceptance, ...] = ()
    allow: tuple[Permission, ...] = ()
    classes: tuple[ClassOverride, ...] = ()
    settings: dict[str, Json] = field(default_factory=dict)
    """Settings of gate and launch by their field names in ``Settings``, not yet validated."""
    sidecars: tuple[Sidecar, ...] = ()
    overruled: tuple[str, ...] = ()
    """Those of ``settings`` that the run was given otherwise."""
    why: str = ""
    """Why nobody could look for one, and the way out; empty when somebody could."""
