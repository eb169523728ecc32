"""The typed facts that travel between layers: observations, findings, verdict.

Three words keep the project apart. *Observations* are what was seen, without judgement; they are
saved whole, so that rules and score can be run again without an engine. *Findings* are what a rule
says of them. The *verdict* is score and gate. All types are frozen, hold no behaviour beyond
trivial look-ups, do no I/O and import the standard library only.

Text from a peer is stored as the peer sent it, bounded in length, with planted secrets masked
(``<planted:PLACE>``). Escaping is left to the output that prints it.

A field whose name ends in ``_`` (``class_``) is written without it; see ``PLAIN_NAMES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from mcp_sandbox.model.http import HttpChecks as HttpChecks
from mcp_sandbox.model.launch import LaunchReport as LaunchReport
from mcp_sandbox.model.oauth import OAuthFacts as OAuthFacts
from mcp_sandbox.model.transport import Place as Place
from mcp_sandbox.model.transport import Reached as Reached
from mcp_sandbox.model.transport import Transport as Transport

Json = Any
"""Any value that ``json.loads`` returns."""

PLAIN_NAMES: dict[str, Any] = {
    "alias_generator": lambda name: name.rstrip("_"),
    "validate_by_name": True,
    "validate_by_alias": True,
    "serialize_by_alias": True,
}
"""Serialiser settings (read by pydantic) for types with a field named after a keyword."""


EVIDENCE = "evidence"
"""Folder of the evidence files, below the output folder."""


# --- labels of what we make on an engine ---------------------------------------------------------

RUN_LABEL = "dev.mcp-sandbox.run"
"""Which run made it. Nothing without this label is ever removed."""
EXPIRES_LABEL = "dev.mcp-sandbox.expires"
"""Unix time after which a later run may sweep it."""
ROLE_LABEL = "dev.mcp-sandbox.role"
"""``built``, ``planted`` (images); ``planted``, ``server``, ``helper``, ``warden``, ``egress``,
``sidecar`` (containers); ``bundle``, ``channel`` (volumes). A container inherits the labels of its
image, so only this one tells ours from a user's container of an image that we built."""
STANDIN_LABEL = "dev.mcp-sandbox.standin"
"""On the development stand-in of the base image, and on all that is built from it."""


# --- scales ---------------------------------------------------------------------------------------


class RiskClass(StrEnum):
    """How bad a finding is. ``NOTE`` has no effect on the score's multiplier."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    NOTE = "note"


RISK_ORDER: tuple[RiskClass, ...] = tuple(RiskClass)
"""Worst first."""


class Confidence(StrEnum):
    """How sure a rule is; kept apart from how bad the thing would be."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Evidence(StrEnum):
    """The ladder of proof: a claim is as strong as what proves it."""

    E1 = "E1"
    """A planted secret crossed a boundary."""
    E2 = "E2"
    """A computed side effect happened."""
    E3 = "E3"
    """The kernel (or the engine) completed the operation on that object."""
    E4 = "E4"
    """The operation was tried and refused."""
    E5 = "E5"
    """Some text matched."""


class Verdict(StrEnum):
    """The answer of a run."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Profile(StrEnum):
    """Which classes the rules use: ``seed`` applies the article's classes to the letter."""

    DEFAULT = "default"
    SEED = "seed"


# --- the byte stream that the probe speaks over ---------------------------------------------------


class ByteStream(Protocol):
    """A non-blocking duplex stream to a peer's standard input and output."""

    def fileno(self) -> int:
        """A descriptor for ``select``: readable when ``recv`` may have something."""

    def write_fileno(self) -> int:
        """A descriptor for ``select``: writable when ``send`` may take something."""

    def recv(self) -> bytes | None:
        """Bytes that have arrived, ``None`` when there are none yet, ``b""`` at the end."""

    def send(self, data: memoryview) -> int:
        """Write some of ``data``; 0 when the peer takes nothing now.

        Raises ``BrokenPipeError`` once the peer's standard input is closed.
        """

    def close_write(self) -> None:
        """Close the peer's standard input; what it still prints can be read."""


class Connection(Protocol):
    """A connection to the server's own loopback. Deadlines are as ``time.monotonic`` counts."""

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it. Raises ``TimeoutError``, ``ConnectionError``."""

    def recv(self, deadline: float) -> bytes:
        """Bytes that have arrived, ``b""`` at the end.

        Raises ``TimeoutError``, ``ConnectionError``.
        """

    @property
    def ended(self) -> bool:
        """The peer has ended its side, or it is broken, as far as is known without waiting."""

    def close(self) -> None:
        """Give it up, whoever waits for it; they see a ``ConnectionError``."""


Dial = Callable[[int, float], Connection]
"""Port and deadline -> a connection. Raises ``ConnectionError``, ``TimeoutError``."""


@dataclass(frozen=True)
class Listener:
    """A TCP socket that listens in the server's network."""

    family: str
    """``inet`` or ``inet6``."""
    address: str
    port: int


# --- the image ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaunchFacts:
    """How an image says it wants to be started (OCI image configuration)."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """``NAME=VALUE`` each."""
    user: str = ""
    """As in the image: empty, a name, a uid, or ``user:group``."""
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    healthcheck: tuple[str, ...] = ()
    architecture: str = ""
    os: str = ""
    volumes: tuple[str, ...] = ()
    """Folders declared with ``VOLUME``, sorted."""


REPRODUCTION_IMAGE = "mcp-server-under-test"
"""What a reproducer calls an image that a run built: its own is removed at the end."""


@dataclass(frozen=True)
class SourceFacts:
    """What the server was taken from, where that is neither an image nor a folder."""

    asked: str
    """As the user wrote it: ``pypi:NAME==VERSION``, ``https://HOST/PATH@REF``…"""
    resolved: str = ""
    """Name and version, or the commit."""
    lock: str = ""
    """SHA-256 of the lock that it was installed by; empty without one."""
    packages: tuple[str, ...] = ()
    """All that was installed, ``NAME==VERSION`` or ``NAME@VERSION``."""
    command: tuple[str, ...] = ()
    """What starts it."""
    why: str = ""
    """Why that."""
    scripts: bool = False
    """Packages were allowed to run scripts of theirs while they were installed."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildFacts:
    """How the image was built. Paths are relative to the context, ``/``-separated."""

    dockerfile: str
    context_files: int
    context_bytes: int
    left_out: tuple[str, ...] = ()
    """``PATH: why`` of what was not sent (links that leave the context, sockets, devices)."""
    network: str = "default"
    source: SourceFacts | None = None
    packed: str = ""
    """The whole context as a tar, relative to the results; empty where it is the user's folder."""


@dataclass(frozen=True)
class ImageFacts:
    """The server's image, by its immutable id."""

    reference: str
    """As the user named it, or the context's folder name when it was built."""
    id: str
    """``sha256:…`` of the image configuration: what runs."""
    launch: LaunchFacts
    size_bytes: int = 0
    build: BuildFacts | None = None
    standin_base: bool = False
    """Built on the development stand-in of the base image, not on the published one."""


# --- the sandbox ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """Resource limits of one server container. Sizes in bytes, times in seconds."""

    memory: int = 256 * 2**20
    cpus: float = 0.5
    pids: int = 128
    tmpfs: int = 64 * 2**20
    open_files: int = 1024
    file_size: int = 64 * 2**20
    log_bytes: int = 4 * 2**20


class Relaxation(StrEnum):
    """One step of the ladder that is climbed when a server cannot start; the network never is."""

    NONE = "none"
    WRITABLE_ROOT = "writable-root"
    MORE_MEMORY = "more-memory"
    IMAGE_USER = "image-user"


class StopStage(StrEnum):
    """What it took to end a server."""

    EXITED = "exited"
    """It had ended by itself before it was asked to."""
    STDIN_CLOSED = "stdin-closed"
    TERMINATED = "terminated"
    KILLED = "killed"


class Network(StrEnum):
    """What a server finds where its network would be."""

    SINK = "sink"
    """Every address answers, nothing is forwarded, all of it is written down."""
    NONE = "none"
    """No route at all."""


class Tls(StrEnum):
    """What the sink does with a TLS client."""

    OBSERVE = "observe"
    """The name asked for (SNI) is noted, then the handshake is refused."""
    TERMINATE = "terminate"
    """The handshake is completed with a certificate of a run-local authority."""


class Tracing(StrEnum):
    """How the kernel's record of a server is taken."""

    INSIDE = "inside"
    """The tracer is PID 1 of the server's container."""
    OUTSIDE = "outside"
    """The tracer is in a container of its own and attaches; it sees unreadable programs too."""
    NONE = "none"
    """Nothing watches: how a server behaves then is compared with how it behaved traced."""


class Witness(StrEnum):
    """The independent sources of evidence about one container."""

    TRACE = "trace"
    SINK = "sink"
    INSPECT = "inspect"
    LOGS = "logs"
    TOP = "top"
    DIFF = "diff"
    CGROUP = "cgroup"
    TMPFS = "tmpfs"


COMPLETE = "complete"
"""The value of a witness, a scanner or a listing that has nothing missing."""
NOT_USED = "not used"
"""The value of a witness that the run was to do without."""
OPAQUE = "opaque"
"""How the state of a trace begins that shows a program without what it did: nobody may read it. A
tracer outside the container is shown it all."""


@dataclass(frozen=True)
class FileChange:
    """One line of the engine's diff."""

    kind: str
    """``added``, ``changed`` or ``deleted``."""
    path: str


@dataclass(frozen=True)
class TmpfsEntry:
    """One entry found in the writable tmpfs before the server was stopped."""

    path: str
    """Absolute, inside the container."""
    kind: str
    """``file``, ``directory``, ``link``, ``other``."""
    size: int
    text: str = ""
    """The beginning of a regular file, decoded with replacement, planted secrets masked."""
    link: str = ""


@dataclass(frozen=True)
class CgroupCounters:
    """Kernel counters of the container; ``None`` where this kernel does not keep one."""

    memory_peak: int | None = None
    pids_peak: int | None = None
    pids_refused: int | None = None
    """How often a fork was refused because of the pids limit."""
    oom_kills: int | None = None
    throttled_ms: int | None = None


@dataclass(frozen=True)
class CanaryHit:
    """A planted secret seen where it had no business."""

    place: str
    """Where it was planted: ``env:NAME`` or ``file:/path``."""
    encoding: str
    """How it travelled: ``plain``, ``hex``, ``base64``, …"""


class Window(StrEnum):
    """What the probe was doing when something happened."""

    START = "start-up"
    """From the start of the container to the answer to the opening message."""
    LISTING = "listing"
    IDLE = "idle"
    """Nothing was asked; we only waited."""
    CALL = "call"
    """From a call until the next request."""
    SHUTDOWN = "shutdown"
    """From the closing of standard input."""


class Act(StrEnum):
    """What a process asked of the kernel."""

    EXEC = "exec"
    OPEN = "open"
    """Opened for reading."""
    WRITE = "write"
    """Opened for writing, created, or truncated."""
    UNLINK = "unlink"
    """A file or an empty folder was removed."""
    RENAME = "rename"
    LINK = "link"
    """A hard or a symbolic link was made."""
    MKDIR = "mkdir"
    MKNOD = "mknod"
    CHMOD = "chmod"
    """Mode or owner was changed."""
    CONNECT = "connect"
    SEND = "send"
    """A datagram to an address that the socket is not connected to."""
    BIND = "bind"
    LISTEN = "listen"
    PTRACE = "ptrace"
    """Another process was attached to, or its memory read or written (``process_vm_*``)."""
    MEMFD = "memfd"
    """A file without a name was made in memory."""
    MOUNT = "mount"
    NAMESPACE = "namespace"
    """``unshare``, ``setns``, or a clone into new namespaces."""
    KILL = "kill"
    PRCTL = "prctl"
    DUP = "dup"
    """A socket became standard input, output or error."""
    FORK = "fork"
    SIGNAL = "signal"
    """The process was ended by a signal."""
    EXIT = "exit"


@dataclass(frozen=True)
class KernelEvent:
    """What the kernel recorded, once per window, act, object, result and acting program."""

    act: Act
    object: str
    """The path that the kernel resolved (of the returned descriptor where there is one), the
    program for an exec, ``ADDRESS:PORT`` (``[v6]:port``), ``unix:PATH`` (``unix:@NAME``), a process
    for ptrace and kill (``tracer``, ``self``, ``child``, ``pid N``), the option's name for prctl.
    At most 1,024 characters, planted secrets masked."""
    result: str = "ok"
    """``ok``, or the kernel's refusal (``EROFS``, ``EACCES``…)."""
    window: Window = Window.START
    call: int = 0
    """Number of the call in the session's transcript; 0 outside the calls."""
    program: str = ""
    """Path of the program that did it."""
    detail: str = ""
    """Arguments of an exec (as a shell would take them), the new name of a rename or link, the
    flags of an open, the path as it was asked for where that differs, the transport (``TCP``,
    ``UDP``) of what goes to an internet address. Masked, bounded."""
    count: int = 1
    line: int = 0
    """Line of the first one in the session's trace file."""
    canaries: tuple[CanaryHit, ...] = ()
    """Planted secrets in names and arguments."""


class SinkKind(StrEnum):
    """What arrived at the sink."""

    DNS = "dns"
    """A name was asked for."""
    HTTP = "http"
    """A request in the clear, or inside TLS that was terminated."""
    TLS = "tls"
    """A client hello."""
    TCP = "tcp"
    """A connection that spoke neither: its first bytes, or none."""
    UDP = "udp"
    """A datagram that is no DNS question."""
    QUIC = "quic"
    ICMP = "icmp"
    ALLOWED = "allowed"
    """A connection that was let out, to an address that the user had allowed."""
    TAMPER = "tamper"
    """Somebody spoke to the sink itself, or did to it what no client does."""


@dataclass(frozen=True)
class SinkEvent:
    """What arrived at the sink, once per window and content."""

    kind: SinkKind
    host: str
    """The name that was asked for, or that the address had been given out for; else the address."""
    port: int = 0
    """0 for a DNS question."""
    text: str = ""
    """The record type of a question; request line, headers and the beginning of the body; other
    first bytes as hex. At most 4 KiB, planted secrets masked."""
    size: int = 0
    """Bytes that the server sent."""
    address: str = ""
    tls: bool = False
    window: Window = Window.START
    call: int = 0
    count: int = 1
    line: int = 0
    """Line of the first one in the session's sink file."""
    canaries: tuple[CanaryHit, ...] = ()


@dataclass(frozen=True)
class ContainerFacts:
    """What the engine and the kernel say of one server container."""

    relaxation: Relaxation
    user: str
    """The user it ran as."""
    command_line: tuple[str, ...]
    """The ``docker run …`` that starts the same container by hand."""
    exit_code: int | None = None
    oom_killed: bool = False
    stop: StopStage = StopStage.EXITED
    stderr: str = ""
    """The beginning and the end of standard error, bounded, planted secrets masked."""
    stderr_bytes: int = 0
    stderr_canaries: tuple[CanaryHit, ...] = ()
    processes_at_start: tuple[str, ...] = ()
    """Command lines after the server answered for the first time, PID 1 first."""
    processes_at_end: tuple[str, ...] = ()
    """Command lines after the last call, before the server was asked to stop."""
    changes: tuple[FileChange, ...] = ()
    cgroup: CgroupCounters = CgroupCounters()
    tmpfs: tuple[TmpfsEntry, ...] = ()
    tmpfs_canaries: tuple[tuple[str, CanaryHit], ...] = ()
    """Path in the tmpfs, and what was found in that file's name or content."""
    tracing: Tracing = Tracing.NONE
    network: Network = Network.NONE
    kernel: tuple[KernelEvent, ...] = ()
    """In the order of the trace."""
    sink: tuple[SinkEvent, ...] = ()
    """In the order of arrival."""
    survivors: tuple[str, ...] = ()
    """Command lines of processes that were still there when the server's own had ended."""
    witnesses: dict[str, str] = field(default_factory=dict)
    """Witness -> ``complete`` or why it is not; ``not used`` for one that the run was to do
    without."""


# --- the conversation -----------------------------------------------------------------------------


class Era(StrEnum):
    """The two families of protocol versions."""

    HANDSHAKE = "handshake"
    """2024-11-05 … 2025-11-25: ``initialize``."""
    STATELESS = "stateless"
    """2026-07-28: ``server/discover`` and ``_meta`` on every request."""


class SessionEnd(StrEnum):
    """How a conversation ended."""

    COMPLETED = "completed"
    NEVER_ANSWERED = "never-answered"
    REFUSED = "refused"
    """The opening request was answered with an error or with something that is no answer."""
    EXITED = "exited"
    """The peer closed its output before the plan was done."""
    STUCK_WRITE = "stuck-write"
    """The peer stopped reading its input."""
    UNRESPONSIVE = "unresponsive"
    """Too many calls in a row timed out."""
    BUDGET = "budget"
    """The session's byte or time budget was used up."""
    BROKEN_OFF = "broken-off"
    """We ended it: the run was interrupted, or the engine or the output folder failed."""


class CallStatus(StrEnum):
    """What became of one request."""

    RESULT = "result"
    TOOL_ERROR = "tool-error"
    """A result with ``isError: true``."""
    RPC_ERROR = "rpc-error"
    INPUT_REQUIRED = "input-required"
    """Stateless era: the server asks for more and the plan does not give it."""
    MALFORMED = "malformed"
    """Answered by something that is neither a result nor an error."""
    TIMEOUT = "timeout"
    CLOSED = "closed"
    """The peer ended instead of answering."""
    STUCK_WRITE = "stuck-write"


class BreachKind(StrEnum):
    """A breach of the protocol; each is an observation with the raw bytes."""

    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    BATCH = "batch"
    INVALID_UTF8 = "invalid-utf8"
    OVERSIZED_LINE = "oversized-line"
    UNTERMINATED_LINE = "unterminated-line"
    DUPLICATE_KEY = "duplicate-key"
    NESTED_TOO_DEEP = "nested-too-deep"
    NOT_JSONRPC = "not-jsonrpc"
    UNKNOWN_ID = "unknown-id"
    DUPLICATE_RESPONSE = "duplicate-response"
    EARLY_RESPONSE = "early-response"
    """An answer to an id that has not been used yet."""
    ID_TYPE_CHANGED = "id-type-changed"
    RESULT_AND_ERROR = "result-and-error"
    MALFORMED_RESPONSE = "malformed-response"
    UNKNOWN_VERSION = "unknown-version"
    MISSING_SERVER_INFO = "missing-server-info"
    UNDECLARED_REQUEST = "undeclared-request"
    """A server request for a capability that the client did not declare."""
    REQUEST_FLOOD = "request-flood"
    NOTIFICATION_FLOOD = "notification-flood"
    UNKNOWN_NOTIFICATION = "unknown-notification"
    CURSOR_LOOP = "cursor-loop"
    TOO_MANY_PAGES = "too-many-pages"
    TOO_MANY_ITEMS = "too-many-items"
    MALFORMED_ITEM = "malformed-item"
    DUPLICATE_NAME = "duplicate-name"
    UNUSABLE_SCHEMA = "unusable-schema"
    MISSING_RESULT_TYPE = "missing-result-type"
    HTTP_BROKEN = "http-broken"
    """No HTTP/1.1, or a connection that ended inside it."""
    REDIRECTED = "redirected"
    """Noted, not followed."""
    ENCODED_BODY = "encoded-body"
    CONTENT_TYPE = "content-type"
    UNKNOWN_EVENT = "unknown-event"
    FOREIGN_ENDPOINT = "foreign-endpoint"
    """The older transport's endpoint on another origin."""


@dataclass(frozen=True)
class Breach:
    """One kind of breach, with the first raw sample and how often it was seen."""

    kind: BreachKind
    detail: str
    sample: str
    """The raw bytes, at most 256, as Python's ``backslashreplace`` ASCII."""
    count: int = 1


class Moment(StrEnum):
    """When a listing was taken."""

    BEFORE = "before"
    AFTER = "after"


class ItemKind(StrEnum):
    """What a server lists (the names of the MCP list methods)."""

    TOOLS = "tools"
    PROMPTS = "prompts"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"


@dataclass(frozen=True)
class Listing:
    """All pages of one list, as raw JSON: typed parsing would drop unknown fields."""

    kind: ItemKind
    moment: Moment
    items: tuple[Json, ...]
    """Objects only; what is none is a ``malformed-item`` breach."""
    state: str = COMPLETE
    """``complete``, ``not offered``, or why it is not whole."""
    digest: str = ""
    """SHA-256 over all items seen, those beyond the cap included."""


@dataclass(frozen=True)
class Call:
    """One request that carried an input of ours to a tool, prompt or resource."""

    number: int
    """Position within its session, from 1."""
    kind: ItemKind
    target: str
    """Name of the tool or prompt, or the URI (template) of the resource."""
    parameter: str
    """JSON pointer of the argument that was changed; empty for a valid call."""
    family: str
    """``valid`` or the payload family's id."""
    payload: str
    """Id of the payload inside its family; empty for a valid call, ``repaired-1`` and on for one
    that asks again, better, what was refused."""
    nonce: str
    arguments: Json
    """As sent, or ``{"…": "N bytes"}`` where longer than 4 KiB."""
    status: CallStatus
    reply: str
    """The raw JSON of result or error, at most 4 KiB, planted secrets masked."""
    reply_bytes: int = 0
    expected: str = ""
    """The computed string whose presence in the reply is the proof; empty when there is none."""
    proven: bool = False
    """``expected`` stands in the reply and nowhere in the request."""
    effect: str = ""
    """Absolute path inside the container whose existence is the proof; empty when there is none."""
    canaries: tuple[CanaryHit, ...] = ()
    milliseconds: float = 0.0
    line: int = 0
    """Line of the request in the session's transcript file."""
    answer: int = 0
    """Line of its answer there; 0 when none came."""
    learned: tuple[str, ...] = ()
    """Strings in the arguments that were the server's own words in earlier replies: what they name
    was not named by us."""


@dataclass(frozen=True)
class ServerRequest:
    """Requests that the server sent to us, by method."""

    method: str
    count: int
    answer: str
    """``answered`` or ``refused``."""
    sample: str = ""


@dataclass(frozen=True)
class Identity:
    """Who we said we are."""

    name: str
    version: str
    capabilities: dict[str, Json] = field(default_factory=dict)
    roots: tuple[str, ...] = ("/tmp",)  # noqa: S108 - the one writable folder of the container
    """Folders named to a server that asks for its client's roots: those it may work in."""


@dataclass(frozen=True)
class HttpFacts:
    """What HTTP alone showed of a conversation."""

    place: Place
    session: str = ""
    """``Mcp-Session-Id`` as it was given."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of the answer to the opening request; names in lower case, at most 64."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Status -> how often."""
    stream_status: int = 0
    """Of the request for the server's own event stream; 0 when none was made."""
    resumed: int = 0
    printed: str = ""
    """The beginning of standard output, which carries no messages here."""


@dataclass(frozen=True)
class Transcript:
    """One conversation, as the probe returns it. It knows nothing of containers."""

    role: str
    """``main``, ``untraced`` (the same plan with nothing watching), ``identity``, ``stateless``,
    ``handshake`` (the other era), ``transport`` (another one that it speaks too); ``main again``
    and ``untraced again`` confirm a difference."""
    era: Era
    identity: Identity
    end: SessionEnd
    end_detail: str = ""
    offered_version: str = ""
    version: str = ""
    """The protocol version in use; empty when there was no agreement."""
    server_info: Json = None
    capabilities: Json = None
    instructions: str = ""
    listings: tuple[Listing, ...] = ()
    calls: tuple[Call, ...] = ()
    breaches: tuple[Breach, ...] = ()
    server_requests: tuple[ServerRequest, ...] = ()
    notifications: dict[str, int] = field(default_factory=dict)
    notification_canaries: tuple[CanaryHit, ...] = ()
    not_called: dict[str, str] = field(default_factory=dict)
    """Tool -> why it could not be called."""
    left_out: tuple[str, ...] = ()
    """What a bound kept out of this transcript, one sentence each."""
    http: HttpFacts | None = None
    """``None`` over stdio."""
    resume_at: int | None = None
    """Position in the plan after the call that ended this session; ``None`` when none did."""
    first_answer_ms: float = 0.0


@dataclass(frozen=True)
class Session:
    """One conversation and the container it was held with."""

    transcript: Transcript
    container: ContainerFacts
    evidence: str = ""
    """Name of its files: ``evidence/NAME.jsonl``, ``.trace``, ``.sink.jsonl``, ``.files.jsonl``."""


@dataclass(frozen=True)
class StartAttempt:
    """One start of the server on the relaxation ladder."""

    relaxation: Relaxation
    outcome: str
    """``answered`` or why not."""
    exit_code: int | None = None
    stderr: str = ""
    seconds: float = 0.0
    """From the start of the container to its outcome."""


@dataclass(frozen=True)
class Location:
    """A line of the checkout. ``path`` is relative to the repository's root, ``/``-separated."""

    path: str
    line: int
    why: str
    """How the line was chosen (``description``, ``registration``, ``definition``, ``command``…)."""


@dataclass(frozen=True)
class Observations:
    """All that was seen in a run, without judgement. Rules read nothing else."""

    image: ImageFacts
    planted: tuple[str, ...] = ()
    """The places of the planted secrets; their values are never stored."""
    limits: Limits = Limits()
    attempts: tuple[StartAttempt, ...] = ()
    sessions: tuple[Session, ...] = ()
    allowed: tuple[str, ...] = ()
    """``HOST:PORT`` that packets were let out to; empty when none could leave."""
    network: Network = Network.SINK
    tls: Tls = Tls.OBSERVE
    """What was asked for, of all containers."""
    scanners: tuple[ScannerRun, ...] = ()
    scanners_requested: tuple[str, ...] = ()
    """The scanners that were asked for by name; empty when those run that are there."""
    definitions: dict[str, Location] = field(default_factory=dict)
    """``tools/NAME`` (or another subject) -> the line that defines it; ``""`` is the fallback."""
    left_out: tuple[str, ...] = ()
    launch: LaunchReport = field(default_factory=LaunchReport)
    reached: Reached = field(default_factory=Reached)
    oauth: OAuthFacts | None = None
    """``None`` where no server was found to speak MCP over HTTP."""
    http: tuple[HttpChecks, ...] = ()
    """What only HTTP can be asked, for each place that was asked; empty over stdio."""


# --- scanners -------------------------------------------------------------------------------------


class ScannerState(StrEnum):
    """What became of a scanner. Only ``RAN`` lets the absence of issues mean anything."""

    RAN = "ran"
    PARTLY = "ran in part"
    """One of its parts could not be done (no vulnerability database, say); ``why`` names it."""
    FAILED = "failed"
    NOT_INSTALLED = "not installed"
    NOT_USED = "not used"


class IssueKind(StrEnum):
    """What a scanner reports."""

    VULNERABILITY = "vulnerability"
    MISCONFIGURATION = "misconfiguration"
    SECRET = "secret"  # noqa: S105 - a kind of issue
    LICENCE = "licence"
    DOCKERFILE = "dockerfile"
    SOURCE = "source"


@dataclass(frozen=True)
class Issue:
    """One thing that a scanner reports, in its own words. Never a secret's value."""

    rule: str
    """The tool's own id: ``CVE-…``, ``DL3008``, a detector's name."""
    kind: IssueKind
    severity: str
    """As the tool says it, lower case."""
    title: str
    """One line."""
    message: str
    """At most 1,000 characters."""
    subject: str
    """What it is about: ``package NAME VERSION``, ``file PATH``, an instruction…; tells two issues
    of one rule apart, and is equal over runs."""
    path: str = ""
    """Relative to the repository's root, ``/``-separated; empty for what is only in the image."""
    line: int = 0
    end_line: int = 0
    fix: str = ""
    url: str = ""
    fixable: bool = True
    """``False`` where there is no fixed version yet."""
    verified: bool = False
    """Secrets: whether the service accepted it."""
    cwe: tuple[int, ...] = ()
    confidence: Confidence = Confidence.HIGH
    """As the scanner's rule says of itself."""


@dataclass(frozen=True)
class ScannerRule:
    """One rule that a scanner looked with, whether it hit or not."""

    id: str
    title: str
    """One line, constant text."""
    fix: str
    class_: RiskClass
    """The worst that it gives."""
    cwe: tuple[int, ...] = ()


@dataclass(frozen=True)
class ScannerRun:
    """What one scanner did."""

    tool: str
    """Name of the SARIF driver: ``Trivy``, ``TruffleHog``, ``Hadolint``, ``Semgrep``,
    ``mcp-dockerfile``."""
    state: ScannerState
    why: str = ""
    """Why it is not ``RAN``, one sentence."""
    version: str = ""
    details: dict[str, str] = field(default_factory=dict)
    """What a reader wants to know besides: age of the database, commits read…"""
    issues: tuple[Issue, ...] = ()
    disobeyed: tuple[str, ...] = ()
    """Ignore files and inline pragmas of the checkout, ``PATH:LINE: what``: told, not obeyed."""
    left_out: tuple[str, ...] = ()


# --- findings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RuleInfo:
    """What a rule is: the source of its documentation and of its SARIF descriptor."""

    id: str
    """Kebab-case, never reused; the anchor in the docs."""
    title: str
    """One line, constant text."""
    class_: RiskClass
    """The worst class the rule gives under the default profile."""
    evidence: Evidence
    """The usual evidence of its findings."""
    what: str
    proof: str
    quiet_when: str
    fix: str
    seed_class: RiskClass | None = None
    """The article's class, under ``--profile seed``; ``None`` when the article has no such line."""
    cwe: tuple[int, ...] = ()

    __pydantic_config__ = PLAIN_NAMES


@dataclass(frozen=True)
class Deed:
    """One thing that was done with one object, as a lock file and a policy name both."""

    subject: str
    """Where: ``tools/NAME`` and its like, ``start-up``, ``idle``."""
    part: str
    """``endpoints``, ``programs``, ``writes``, ``reads``."""
    object: str
    """``HOST:PORT``, ``HOST:PORT/udp``, a bare ``HOST`` that was looked up; the name of a program;
    an absolute path."""


@dataclass(frozen=True)
class Finding:
    """What a rule says of an observation."""

    rule: str
    class_: RiskClass
    confidence: Confidence
    evidence: Evidence
    subject: str
    """``tools/NAME``, ``tools/NAME#/pointer``, ``prompts/NAME``, ``resources/URI``, ``server``…"""
    message: str
    """One sentence for a reviewer; may quote the peer, at most 1,000 characters."""
    fingerprint: str
    """SHA-256 (hex) of rule, subject and the normalised fact: equal over runs."""
    location: Location | None = None
    reproducer: tuple[str, ...] = ()
    """The JSON-RPC lines, in order, that show it again; empty when no input is needed."""
    command: tuple[str, ...] = ()
    """The ``docker run …`` to send them to."""
    seen: tuple[str, ...] = ()
    """What proves it, as ``FILE:LINE`` below the output folder."""
    about: tuple[Deed, ...] = ()
    """All that it is about, sorted; empty where that is no such object, or is not wholly known."""
    suppressed: str = ""
    """Why it does not count; empty when it does."""
    tool: str = ""
    """The scanner that reported it; empty for what our own rules say."""

    __pydantic_config__ = PLAIN_NAMES


# --- the answer -----------------------------------------------------------------------------------


class ToolOutcome(StrEnum):
    """What became of a listed tool."""

    CALLED = "called"
    REFUSED = "refused"
    """It answered every call, the valid one too, with an error."""
    CRASHED = "crashed"
    """Its valid call ended or hung the server."""
    NEEDS_CREDENTIALS = "needs credentials"
    NEEDS_NETWORK = "needs network"
    """It refused every call, and its ordinary one for want of a network."""
    NOT_CALLABLE = "not callable"
    """No call could be made: unusable schema or name."""
    NOT_REACHED = "not reached"
    """The run ended before its turn. Counts against the coverage floor."""


@dataclass(frozen=True)
class ToolCoverage:
    """How far one tool was tested."""

    outcome: ToolOutcome
    reason: str = ""
    calls: int = 0


@dataclass(frozen=True)
class Coverage:
    """What the run evaluated, and what it did not."""

    tools: dict[str, ToolCoverage] = field(default_factory=dict)
    witnesses: dict[str, str] = field(default_factory=dict)
    scanners: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Why the run is below the coverage floor, one sentence each; empty when it is not."""


@dataclass(frozen=True)
class Deduction:
    """One line of the static score's arithmetic."""

    rule: str
    count: int
    points: float


@dataclass(frozen=True)
class ScoreDetail:
    """``score = static × multiplier``, with all that is needed to recompute it by hand."""

    static: float
    deductions: tuple[Deduction, ...]
    multiplier: float
    decided_by: tuple[str, ...]
    """Fingerprints of the findings of the worst class."""
    arithmetic: str
    """The formula with its numbers, one line."""


@dataclass(frozen=True)
class GateCondition:
    """One condition of the gate and how it came out."""

    name: str
    value: str
    limit: str
    held: bool
    flip: str = ""
    """What would turn it over, one sentence."""


@dataclass(frozen=True)
class RunFacts:
    """Facts of this very run; all of them volatile."""

    id: str = ""
    started: str = ""
    """RFC 3339, UTC."""
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    """Phase -> seconds."""
