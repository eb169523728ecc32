"""What a server container is, as data: the engine's JSON and the same as a ``docker run`` line.

One value, two renderings, so that the command in a report starts what was tested. The flags are
those of the article this project began with, and what it leaves out: processes, swap, files, IPC,
user, logs. No mount, no network, nothing of our environment.

Choices: ``--log-driver none``, because everything the server prints is read from the attached
streams, so nothing is written to the engine's disk; each declared ``VOLUME`` becomes a bounded
tmpfs instead of an anonymous volume on the engine's disk (it starts without what the image has
there); the health check is switched off, because it would run code between our calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_sandbox.model import LaunchFacts, Limits, Relaxation, Tracing
from mcp_sandbox.sandbox.pod import ALONE, HOSTNAME, Ties

UNPRIVILEGED = "65532:65532"
"""The user of a server whose image would run it as root."""
MORE_MEMORY = 512 * 2**20
LADDER: tuple[Relaxation, ...] = tuple(Relaxation)
"""Each step keeps what the ones before it relaxed. The network is on none of them."""


@dataclass(frozen=True)
class Given:
    """What a server is given at its start beside what the user gave it, who has the last word.

    An argument is a pair: the word, and what may be shown of it.
    """

    settings: tuple[str, ...] = ()
    """``NAME=VALUE`` that anybody may read."""
    command: tuple[tuple[str, str], ...] | None = None
    """In place of the image's command; ``None`` leaves that."""
    arguments: tuple[tuple[str, str], ...] = ()
    """After the command, whosever it is."""


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class ServerSpec:
    """One server container. Sizes in bytes."""

    image: str
    """Id of the image that is started (with the planted files in it)."""
    original: str
    """Id of the image as it was taken or built."""
    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_dir: str
    tmpfs: tuple[str, ...]
    """Mount points besides ``/tmp``."""
    read_only: bool
    memory: int
    limits: Limits
    environment: tuple[str, ...] = ()
    """``NAME=VALUE`` of the user, shown in the command line."""
    planted: tuple[str, ...] = ()
    """``NAME=VALUE`` with planted secrets, left out of the command line."""
    arguments: tuple[str, ...] = ()
    """What the command line ends in: nothing when the image's own command stands as it is. A
    planted secret is named there, not shown."""
    labels: dict[str, str] = field(default_factory=dict)
    filled: tuple[tuple[str, bytes], ...] = ()
    """Mount point in memory, and a tar that is unpacked there before the server runs; left out of
    the command line."""


def server_spec(
    launch: LaunchFacts,
    *,
    image: str,
    original: str,
    user: str,
    relaxation: Relaxation,
    limits: Limits,
    extra_env: tuple[str, ...],
    extra_args: tuple[str, ...],
    planted: Mapping[str, str],
    labels: Mapping[str, str],
    given: Given = NOTHING_GIVEN,
    filled: tuple[tuple[str, bytes], ...] = (),
) -> ServerSpec:
    """The container for one step of the ladder. ``user`` is the effective one."""
    step = LADDER.index(relaxation)
    named = {pair.partition("=")[0] for pair in extra_env}
    memory = limits.memory
    if step >= LADDER.index(Relaxation.MORE_MEMORY):
        memory = max(MORE_MEMORY, 2 * limits.memory)
    own = tuple((word, word) for word in extra_args or launch.command)
    base = own if extra_args or given.command is None else given.command
    command = (*base, *given.arguments)
    settings = tuple(pair for pair in given.settings if pair.partition("=")[0] not in named)
    named |= {pair.partition("=")[0] for pair in settings}
    return ServerSpec(
        image=image,
        original=original,
        user=user,
        entrypoint=launch.entrypoint,
        command=tuple(word for word, _ in command),
        working_dir=launch.working_dir,
        tmpfs=tuple(path for path in launch.volumes if path.rstrip("/") not in ("", "/tmp")),  # noqa: S108
        read_only=step < LADDER.index(Relaxation.WRITABLE_ROOT),
        memory=memory,
        limits=limits,
        environment=(*extra_env, *settings),
        planted=tuple(f"{k}={v}" for k, v in sorted(planted.items()) if k not in named),
        arguments=() if command == own and not extra_args else tuple(one for _, one in command),
        labels=dict(labels),
        filled=filled,
    )


def body(spec: ServerSpec, ties: Ties = ALONE) -> dict[str, Any]:
    """The request that creates the container (Docker engine API), tied to its watchers."""
    limits = spec.limits
    inside = ties.tracing is Tracing.INSIDE
    return {
        "Image": spec.image,
        # A container in another one's network has that one's name.
        **({} if ties.warden else {"Hostname": HOSTNAME}),
        "User": spec.user,
        "Entrypoint": [*ties.before, *spec.entrypoint] or None,
        "Cmd": list(spec.command) or None,
        "WorkingDir": spec.working_dir,
        "Env": [*spec.environment, *spec.planted, *_unnamed(spec, ties.environment)],
        "Labels": spec.labels,
        "Healthcheck": {"Test": ["NONE"]},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "NetworkDisabled": False,
        "HostConfig": {
            **ties.network_host,
            "ReadonlyRootfs": spec.read_only,
            "Memory": spec.memory,
            "MemorySwap": spec.memory,
            "NanoCpus": round(limits.cpus * 1e9),
            "PidsLimit": limits.pids + inside,  # the tracer is one process more
            "CapDrop": ["ALL"],
            "SecurityOpt": [
                "no-new-privileges",
                *([f"seccomp={ties.seccomp}"] if ties.seccomp else []),
            ],
            **({"Mounts": mounts} if (mounts := ties.mounts) else {}),
            "Tmpfs": {
                path: options
                for path, options in _tmpfs(spec)
                if path.rstrip("/") not in dict(ties.scratch)
            },
            "IpcMode": "private",
            "Ulimits": [
                {"Name": name, "Soft": value, "Hard": value} for name, value in _ulimits(limits)
            ],
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
        },
    }


def _unnamed(spec: ServerSpec, extra: Mapping[str, str]) -> Iterator[str]:
    """``NAME=VALUE`` of what the user and the plan have not set."""
    named = {pair.partition("=")[0] for pair in (*spec.environment, *spec.planted)}
    yield from (f"{name}={value}" for name, value in extra.items() if name not in named)


def command_line(spec: ServerSpec) -> tuple[str, ...]:
    """The same container by hand: original image, no planted secrets, no labels."""
    limits = spec.limits
    line = ["docker", "run", "--interactive", "--rm", "--network", "none"]
    line += ["--read-only"] if spec.read_only else []
    line += ["--memory", _size(spec.memory), "--memory-swap", _size(spec.memory)]
    line += ["--cpus", f"{limits.cpus:g}", "--pids-limit", str(limits.pids)]
    line += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--ipc", "private"]
    for path, options in _tmpfs(spec):
        line += ["--tmpfs", f"{path}:{options}"]
    for name, value in _ulimits(limits):
        line += ["--ulimit", f"{name}={value}"]
    line += ["--user", spec.user] if spec.user else []
    line += ["--hostname", HOSTNAME, "--log-driver", "none", "--no-healthcheck"]
    for pair in spec.environment:
        line += ["--env", pair]
    return (*line, spec.original, *spec.arguments)


def _tmpfs(spec: ServerSpec) -> tuple[tuple[str, str], ...]:
    """Mount point and options; the engine adds noexec, nosuid and nodev."""
    size = _size(spec.limits.tmpfs)
    volumes = tuple((path, f"rw,size={size},mode=1777") for path in spec.tmpfs)
    return (("/tmp", f"rw,size={size}"), *volumes)  # noqa: S108 - the server's, not ours


def _ulimits(limits: Limits) -> tuple[tuple[str, int], ...]:
    return (("nofile", limits.open_files), ("core", 0), ("fsize", limits.file_size))


def _size(count: int) -> str:
    """``268435456`` -> ``256m``, as people write it."""
    return f"{count // 2**20}m" if count % 2**20 == 0 else str(count)
