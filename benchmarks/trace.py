"""Measures the reader of traces beside the tracer that writes them.

``python benchmarks/trace.py [--rounds N] [--lines N] [read] [written]``: both without a name.
``written`` needs an engine (``eval "$(scripts/dev-engine.sh start)"``) and builds a small image.
Prints Markdown; asserts nothing. Reading is measured in processor time of one core, writing in wall
time, because the sandbox bounds the server and its tracer together.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mcp_sandbox.trace import Reader

DATA = Path(__file__).parents[1] / "tests" / "data" / "trace"
CHUNK = 2**16
ROUNDS = 5
LINES = 40_000
"""Of a flood that is read; half of them are written."""
IMAGE = "mcp-sandbox-benchmark:tracer"
DOCKERFILE = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends strace
"""
CPUS = (0.5, 2.0)
CALLS = "?open,openat,?openat2,?creat,%process,%net,/^rename,prctl,?dup2,dup3,chdir"

GATE = (
    b'7     1700000000.000000 execve("/b/tracer/gate", ["gate"], 0x7ff0 /* 1 var */) = 0\n'
    b'7     1700000000.000001 execve("/bin/server", ["server"], 0x7ff0 /* 1 var */) = 0\n'
)
PAYLOAD = "\\377" * 2_048
FLOODS = {
    "opens": (
        "open(F, '<', \"/tmp/file-$_\")",
        'openat(AT_FDCWD</>, "/tmp/file-@", O_RDONLY|O_CLOEXEC) = -1 ENOENT '
        "(No such file or directory)",
    ),
    "renames": (
        'rename("/tmp/file-$_", "/tmp/b")',
        'rename("/tmp/file-@", "/tmp/b") = -1 ENOENT (No such file or directory)',
    ),
    "datagrams of 2 KiB": (
        "send($s, $p, 0, pack_sockaddr_in(1 + $_ % 65000, inet_aton('127.0.0.1')))",
        f'sendto(3<UDP:[0.0.0.0:5341]>, "{PAYLOAD}", 2048, 0, {{sa_family=AF_INET, '
        'sin_port=htons(@), sin_addr=inet_addr("127.0.0.1")}, 16) = 2048',
    ),
}
"""Floods of names that never come twice: what a server does in Perl, and the line of it."""


class Speed(NamedTuple):
    """Median over the rounds."""

    megabytes: float
    lines: float


def reading(data: bytes, rounds: int) -> Speed:
    """How fast a trace is read, chunk by chunk, with all its events."""
    seconds, lines = [], 0
    for _ in range(rounds):
        reader = Reader()
        start = time.process_time()
        for at in range(0, len(data), CHUNK):
            reader.feed(data[at : at + CHUNK])
        lines = reader.close().lines
        seconds.append(time.process_time() - start)
    middle = statistics.median(seconds)
    return Speed(len(data) / middle / 1e6, lines / middle)


def flood(record: str, count: int) -> bytes:
    """A trace of one flood."""
    lines = (
        f"7     1700000000.{n:06d} {record.replace('@', str(n % 65_000))}\n" for n in range(count)
    )
    return GATE + "".join(lines).encode()


def traces(count: int) -> Iterator[tuple[str, bytes]]:
    """What to read: real traces again and again, then the floods."""
    for name in ("python", "node", "threads"):
        once = (DATA / f"{name}.trace").read_bytes()
        yield f"{name}, again and again", once * (8_000_000 // len(once))
    for name, (_, record) in FLOODS.items():
        yield f"flood of {name}", flood(record, count)


def writing(perl: str, cpus: float, lines: int) -> Speed:
    """How fast a server in its sandbox makes its tracer write, at best: into a pipe to nowhere."""
    subprocess.run(
        ["docker", "build", "-q", "-t", IMAGE, "-"],
        input=DOCKERFILE.encode(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # The loop is wrapped in a sub so that the loading of modules is not in the time.
    script = (
        "use Socket; socket($s, PF_INET, SOCK_DGRAM, 0); $p = chr(255) x 2048; "
        f"for (1..{lines}) {{ {perl} }}"
    )
    shell = (
        "mkfifo /tmp/f; wc -c </tmp/f >/tmp/n & s=$(date +%s%N); "
        f'strace --seccomp-bpf -f -yy -ttt -s 2048 -q -e trace="{CALLS}" -o /tmp/f -- '
        'perl -e "$0"; e=$(date +%s%N); wait; echo $((e-s)) $(cat /tmp/n)'
    )
    options = ["--rm", "--network", "none", "--memory", "256m", "--tmpfs", "/tmp"]
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--cpus", str(cpus)]
    done = subprocess.run(
        ["docker", "run", *options, IMAGE, "sh", "-c", shell, script],
        check=True,
        capture_output=True,
    )
    nanoseconds, size = map(int, done.stdout.split())
    return Speed(size / nanoseconds * 1e3, lines / nanoseconds * 1e9)


def read_table(rounds: int, lines: int) -> Iterator[str]:
    """The speeds of reading, as Markdown."""
    yield "| trace | MB/s | lines/s |"
    yield "|---|--:|--:|"
    for name, data in traces(lines):
        speed = reading(data, rounds)
        yield f"| {name} | {speed.megabytes:.0f} | {speed.lines:,.0f} |"


def written_table(rounds: int, lines: int) -> Iterator[str]:
    """The speeds of writing and what the reader does with the same flood, as Markdown."""
    yield "| flood of | CPUs of the server | lines/s written | MB/s written | read at | ratio |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, (perl, record) in FLOODS.items():
        read = reading(flood(record, lines), rounds)
        for cpus in CPUS:
            wrote = writing(perl, cpus, lines // 2)
            yield (
                f"| {name} | {cpus} | {wrote.lines:,.0f} | {wrote.megabytes:.1f} | "
                f"{read.lines:,.0f} lines/s | {read.lines / wrote.lines:.1f} |"
            )


def main() -> None:
    """Print the tables that were asked for."""
    tables = {"read": read_table, "written": written_table}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(tables))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--lines", type=int, default=LINES)
    options = parser.parse_args()
    for name in options.names or tables:
        for row in tables[name](options.rounds, options.lines):
            print(row, flush=True)
        print()


if __name__ == "__main__":
    main()
