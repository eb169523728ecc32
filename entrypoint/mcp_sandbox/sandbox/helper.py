"""The helper: a container of our own image beside the server, which reads what the engine cannot.

``docker cp`` does not see a tmpfs, and the engine's statistics leave counters out. The helper joins
the server's process namespace (nothing else of it), is root with the two capabilities that reading
``/proc/1/root`` takes, has no network, a read-only root, and limits. It runs one fixed script; no
text of the server reaches its command line. Its standard output is a tar of the writable memory
folders, its standard error lines ``KIND NAME BASE64`` with process command lines and counters.
"""

from __future__ import annotations

import base64
import binascii
import io
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcp_sandbox.sandbox.engine import TROUBLE, Engine, Faltered, explain
from mcp_sandbox.sandbox.stream import AttachedStream, HeadTail, open_attached

TIMEOUT = 8.0
"""Seconds."""
MAX_STDERR = 8 * 2**20
TAR_RECORD = 10_240
"""Bytes of GNU tar's records; the last one is filled up."""

_CGROUP_FILES = (
    "memory.peak",
    "memory.events",
    "pids.peak",
    "pids.events",
    "cpu.stat",
    "memory/memory.max_usage_in_bytes",
    "memory/memory.oom_control",
    "pids/pids.peak",
    "pids/pids.events",
    "cpu/cpu.stat",
)

# Everything before `tar` goes to standard error as base64, so that no name can forge a line.
_SCRIPT = r"""
say() { printf '%s %s %s\n' "$1" "$2" "$(head -c 4096 "$3" 2>/dev/null | base64 -w0)" >&2; }
for d in /proc/[0-9]*; do
  [ "$d" = "/proc/$$" ] || say process "${d#/proc/}" "$d/cmdline"
done
root=/proc/1/root
if ! [ -d "$root/" ]; then echo 'refused . ' >&2; exit 3; fi
files=$1; shift
for f in $files; do
  [ -e "$root/sys/fs/cgroup/$f" ] && say cgroup "$f" "$root/sys/fs/cgroup/$f"
done
[ $# -gt 0 ] || exit 0
exec tar -C "$root" --one-file-system --sparse --format=pax --numeric-owner \
  -cf - -- "$@" 2>/dev/null
"""

# A process that is the first of its namespace gets no SIGTERM that it has no handler for. A server
# under the tracer is not the first, and is treated as if it were. -1 is every process but the first
# and the sender.
_END_SCRIPT = r"""
for d in /proc/[0-9]*; do
  [ "$d" = "/proc/$$" ] || printf 'process %s %s\n' "${d#/proc/}" \
    "$(head -c 4096 "$d/cmdline" 2>/dev/null | base64 -w0)" >&2
done
case $1 in
  ask)
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$2/status")
    [ $((0x${caught:-0} >> 14 & 1)) = 0 ] || kill -TERM "$2" ;;
  kill) kill -KILL -1 ;;
esac
exit 0
"""


class End(StrEnum):
    """What the helper does to end a server."""

    ASK = "ask"
    """SIGTERM to the server's own process."""
    KILL = "kill"
    """SIGKILL to all processes but the tracer, which then ends by itself."""


@dataclass(frozen=True)
class HelperSpec:
    """What the helper is started with, as data."""

    image: str
    server: str
    folders: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    end: End | None = None
    """Not to read folders, but to end the server."""
    main: int = 0
    """Process id of the server's own process in its namespace; needed for ``End.ASK``."""

    def body(self) -> dict[str, object]:
        """The request that creates the container (Docker engine API)."""
        if self.end is None:
            script, capabilities = _SCRIPT, ["SYS_PTRACE", "DAC_READ_SEARCH"]
            arguments = [" ".join(_CGROUP_FILES), *(f".{folder}" for folder in self.folders)]
        else:
            script, capabilities = _END_SCRIPT, ["KILL"]
            arguments = [self.end.value, str(self.main)]
        return {
            "Image": self.image,
            "User": "0:0",
            "Entrypoint": ["/bin/sh", "-c", script, "helper"],
            "Cmd": arguments,
            "WorkingDir": "/",
            "Labels": self.labels,
            "Healthcheck": {"Test": ["NONE"]},
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
            "HostConfig": {
                "NetworkMode": "none",
                "PidMode": f"container:{self.server}",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "CapAdd": capabilities,
                "SecurityOpt": ["no-new-privileges"],
                "Memory": 64 * 2**20,
                "MemorySwap": 64 * 2**20,
                "PidsLimit": 16,
                "NanoCpus": 1_000_000_000,
                "IpcMode": "private",
                "LogConfig": {"Type": "none", "Config": {}},
                "RestartPolicy": {"Name": "no"},
            },
        }


@dataclass(frozen=True)
class HelperResult:
    """What it read. ``trouble`` is empty when all of it is there."""

    archive: io.BytesIO = field(default_factory=io.BytesIO)
    processes: Mapping[int, bytes] = field(default_factory=dict)
    """Process id inside the server's namespace -> raw command line (NUL-separated)."""
    cgroup: Mapping[str, bytes] = field(default_factory=dict)
    """File below the cgroup mount -> content."""
    trouble: str = ""
    archive_trouble: str = ""


def run_helper(engine: Engine, spec: HelperSpec, *, limit: int) -> HelperResult:
    """Start it, read at most ``limit`` bytes of archive, remove it. Trouble is in the result.

    An engine that fails to start it, or loses what it printed (either output; it lists at least the
    first process), is asked once more: under load engines do both, and a run without its witnesses
    is worth nothing.
    """
    try:
        return engine.patiently(lambda: _run(engine, spec, limit))
    except (*TROUBLE, Faltered) as error:
        return HelperResult(trouble=f"the helper could not be run ({explain(error)})")


def _run(engine: Engine, spec: HelperSpec, limit: int) -> HelperResult:
    """One attempt. Raises ``Faltered``, or what else the engine's API raises."""
    container = ""
    try:
        created = engine.made(lambda: engine.api.create_container_from_config(spec.body()))
        container = str(created["Id"])
        report = HeadTail(MAX_STDERR // 2)
        stream = open_attached(engine, container, stdin=False, errors=report)
        try:
            engine.start(container)
            archive, why = _read(stream, limit)
        finally:
            stream.close()
        code = None if why else int(engine.api.wait(container, timeout=5)["StatusCode"])
    finally:
        if container:
            engine.remove_container(container)
    processes, cgroup = _parse(report.parts()[0])
    if code == 0 and spec.end is None and not (processes and _whole(archive, spec)):
        raise Faltered("What it printed was lost.")
    trouble = why if why and not processes else ""
    if code not in (None, 0, 1):
        why = f"the helper's tar ended with {code}"
        trouble = "the helper was refused a look at the server" if not cgroup else ""
    elif code == 1:
        why = "files changed while they were read"
    return HelperResult(archive, processes, cgroup, trouble, why)


def _whole(archive: io.BytesIO, spec: HelperSpec) -> bool:
    """Whether what a tar that succeeded has written is all there: it writes whole records."""
    size = archive.tell()
    return size > 0 and size % TAR_RECORD == 0 if spec.folders else size == 0


def _read(stream: AttachedStream, limit: int) -> tuple[io.BytesIO, str]:
    """The archive, and why it is not whole."""
    archive = io.BytesIO()
    deadline = time.monotonic() + TIMEOUT
    while (rest := deadline - time.monotonic()) > 0:
        select.select([stream], [], [], rest)
        data = stream.recv()
        if data is None:
            continue
        if not data:
            return archive, stream.broken
        if archive.tell() + len(data) > limit:
            return archive, f"there was more than {limit} bytes to read"
        archive.write(data)
    return archive, f"the helper took longer than {TIMEOUT:.0f} seconds"


def _parse(report: bytes) -> tuple[dict[int, bytes], dict[str, bytes]]:
    """The two tables of standard error; lines of another shape are passed over."""
    processes: dict[int, bytes] = {}
    cgroup: dict[str, bytes] = {}
    for line in report.split(b"\n"):
        kind, _, rest = line.partition(b" ")
        name, _, text = rest.partition(b" ")
        try:
            value = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
        if kind == b"process" and name.isdigit():
            processes[int(name)] = value
        elif kind == b"cgroup":
            cgroup[name.decode("ascii", "replace")] = value
    return processes, cgroup
