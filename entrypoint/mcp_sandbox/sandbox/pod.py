"""The containers beside a server's own, as data: the warden, and the tracer that attaches.

The *warden* stands in the server's network (it is the only thing there with a capability), keeps
the sink, and takes the trace off the FIFO. The *tracer* exists where the server's own container is
to hold none: it attaches from the host's process namespace to the one process it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_sandbox import endpoints
from mcp_sandbox.model import Network, Tls, Tracing
from mcp_sandbox.sandbox import egress, scratch
from mcp_sandbox.sandbox.bundle import CHANNEL, TRACER

HOSTNAME = endpoints.OWN_NAME
RESOLVER = "192.0.2.53"
"""The sink's address for name servers (RFC 5737, so nobody's)."""
WARDEN = ("/opt/mcp-sandbox/bin/python", "-I", "-m", "mcp_sandbox.warden")

BUNDLE_MOUNT = "/.mcp-sandbox/tracer"
CHANNEL_MOUNT = "/.mcp-sandbox/channel"
CA_FILE = f"{CHANNEL_MOUNT}/ca.pem"
"""The run-local authority's certificate; the warden puts it there before the gate is opened."""
CA_VARIABLES = (
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
"""By which TLS clients are told whom to trust. No one of them is read by all."""

CALLS = (
    # What opens, executes and talks.
    *("open", "openat", "openat2", "creat", "%process", "%net"),
    # What changes a file system.
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *("symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat"),
    *("fchmodat2", "chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32"),
    *("truncate", "ftruncate", "truncate64", "ftruncate64"),
    # What reaches for other processes and for the kernel.
    *("mount", "umount", "umount2", "ptrace", "process_vm_readv", "process_vm_writev"),
    *("memfd_create", "prctl", "setns", "unshare", "kill", "dup2", "dup3"),
)
"""The traced system calls. Not those that only look (stat, access, readlink): they are most of a
start-up and prove nothing."""
STRACE = (
    *("-f", "-yy", "-ttt", "-s", "2048"),
    *("-e", "trace=" + ",".join(name if name[0] == "%" else f"?{name}" for name in CALLS)),
)
"""``?``: no architecture has all of them."""


@dataclass(frozen=True)
class Ties:
    """How a server's container is tied to the others. Volumes and containers by name."""

    tracing: Tracing = Tracing.NONE
    network: Network = Network.NONE
    tls: Tls = Tls.OBSERVE
    bundle: str = ""
    channel: str = ""
    seccomp: str = ""
    """Its profile, JSON; empty for the engine's own."""
    warden: str = ""
    """The container whose network it joins; empty when it has its own."""
    ipv6: bool = True
    """The engine's kernel has IPv6, which is off in a container without a network."""
    scratch: tuple[tuple[str, str], ...] = ()
    """Mount point in memory -> the volume that takes a tmpfs's place there."""

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """Ours, read-only (none, or the certificate's, without a trace), and the server's own."""
        volumes = [(self.channel, CHANNEL_MOUNT)] if self.channel else []
        if self.tracing is not Tracing.NONE:
            volumes.insert(0, (self.bundle, BUNDLE_MOUNT))
        volumes += [(volume, target) for target, volume in self.scratch]
        return [
            {
                "Type": "volume",
                "Source": volume,
                "Target": target,
                "ReadOnly": target not in dict(self.scratch),
                "VolumeOptions": {"NoCopy": True},
            }
            for volume, target in volumes
        ]

    @property
    def terminates(self) -> bool:
        """The server is to trust the sink's authority."""
        return self.network is Network.SINK and self.tls is Tls.TERMINATE

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a server that is to trust the sink's authority."""
        return dict.fromkeys(CA_VARIABLES, CA_FILE) if self.terminates else {}

    @property
    def before(self) -> list[str]:
        """What stands before the server's own command line."""
        if self.tracing is Tracing.NONE:
            return []
        gate = [f"{BUNDLE_MOUNT}/gate", f"{CHANNEL_MOUNT}/go"]
        if self.tracing is Tracing.OUTSIDE:
            return gate
        log = f"{CHANNEL_MOUNT}/log"
        return [*_strace(BUNDLE_MOUNT), "-q", "--seccomp-bpf", *STRACE, "-o", log, "--", *gate]

    @property
    def network_host(self) -> dict[str, Any]:
        """The part of ``HostConfig`` that is about the network."""
        if self.warden:
            return {"NetworkMode": f"container:{self.warden}"}
        return own_network(self.network, ipv6=self.ipv6)


ALONE = Ties()
"""Nothing watches, and there is no network."""


def _strace(bundle: str) -> list[str]:
    return [f"{bundle}/ld.so", "--library-path", f"{bundle}/lib", f"{bundle}/strace"]


def own_network(network: Network, *, ipv6: bool) -> dict[str, Any]:
    """``--network none``, and what the sink needs to be found there."""
    host: dict[str, Any] = {"NetworkMode": "none"}
    if network is Network.SINK:
        host["Dns"] = [RESOLVER]
        if ipv6:
            host["Sysctls"] = {"net.ipv6.conf.all.disable_ipv6": "0"}
    return host


def our_body(image: str, labels: Mapping[str, str], host: Mapping[str, Any]) -> dict[str, Any]:
    """What the containers of our own image have in common."""
    return {
        "Image": image,
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "IpcMode": "private",
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no"},
            **host,
        },
    }


@dataclass(frozen=True)
class WardenSpec:
    """The warden of one server."""

    image: str
    server: str = ""
    """The container whose network it joins; empty when the server joins its."""
    network: Network = Network.SINK
    tls: Tls = Tls.OBSERVE
    allow: tuple[str, ...] = ()
    egress: str = ""
    """The volume with the socket of the way out."""
    channel: str = ""
    """The volume of the FIFOs and of the certificate; empty when neither is needed."""
    collect: bool = True
    """The FIFOs are there, and the trace is to be taken."""
    ipv6: bool = True
    scratch: tuple[str, ...] = ()
    """The server's volumes in memory, which last only while somebody holds them."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request that creates the container (Docker engine API)."""
        sink = self.network is Network.SINK
        arguments = ["--sink", "--tls", self.tls.value] if sink else []
        arguments += egress.warden_arguments(self.allow) if self.egress else []
        arguments += ["--collect"] if self.channel and self.collect else []
        host: dict[str, Any] = {
            "Memory": 256 * 2**20,
            "MemorySwap": 256 * 2**20,
            "PidsLimit": 128,  # a thread for each connection that is let out or decrypted
            "NanoCpus": 1_000_000_000,
            "Tmpfs": {"/tmp": "rw,size=16m"},  # noqa: S108 - the warden's
        }
        mounts: list[dict[str, Any]] = []
        if self.channel:
            volume = {"Type": "volume", "Source": self.channel, "Target": CHANNEL}
            mounts += [volume if self.collect else volume | {"VolumeOptions": {"NoCopy": True}}]
        if self.egress:
            mounts += [egress.warden_mount(self.egress)]
        mounts += [scratch.held(volume, number) for number, volume in enumerate(self.scratch)]
        if mounts:
            host["Mounts"] = mounts
        if sink:
            host["CapAdd"] = ["NET_ADMIN"]
        if sink and self.server:
            host["NetworkMode"] = f"container:{self.server}"
        else:
            host |= own_network(self.network, ipv6=self.ipv6)
        body = our_body(self.image, self.labels, host)
        if not (sink and self.server):
            body["Hostname"] = HOSTNAME
        return body | {
            "Entrypoint": list(WARDEN),
            "Cmd": arguments,
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
        }


@dataclass(frozen=True)
class TracerSpec:
    """A tracer that attaches to one process of the host's."""

    image: str
    server: str
    """The container whose network it joins: there the kernel tells it where a socket leads."""
    pid: int
    channel: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request that creates the container (Docker engine API)."""
        host = {
            "NetworkMode": f"container:{self.server}",
            "PidMode": "host",
            "CapAdd": ["SYS_PTRACE", "DAC_READ_SEARCH"],
            "Memory": 128 * 2**20,
            "MemorySwap": 128 * 2**20,
            "PidsLimit": 16,
            "Mounts": [{"Type": "volume", "Source": self.channel, "Target": CHANNEL}],
        }
        # It sees the host's process ids: beside the server's own, in results, stand those.
        numbers = "--decode-pids=pidns"
        command = [*_strace(TRACER), numbers, *STRACE, "-o", f"{CHANNEL}/log", "-p", str(self.pid)]
        return our_body(self.image, self.labels, host) | {"Entrypoint": command, "Cmd": None}
