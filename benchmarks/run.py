"""Measures what the project promises, as ratios within one run where a machine would decide.

``python benchmarks/run.py [--quick] [NAME…]``, names being ``prober``, ``memory``, ``scan``,
``traced``, ``trace``, ``recall``, ``job``, ``locks``, ``merge``: all of them without one.
``--quick`` shows that they work, and no figure to rely on. All but ``memory`` and ``recall`` need
an engine, ``scan``, ``traced``, ``job``, ``locks`` and ``merge`` the project's image there too
(``eval "$(scripts/dev-engine.sh start)"``), and ``job`` the scanners on PATH. Prints Markdown;
asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from mcp_sandbox.image import ImageStore  # noqa: E402
from mcp_sandbox.model import (  # noqa: E402
    ByteStream,
    Era,
    Identity,
    Limits,
    Network,
    Relaxation,
    Tracing,
    Transcript,
)
from mcp_sandbox.pipeline.results import Results  # noqa: E402
from mcp_sandbox.planted import Matcher, make  # noqa: E402
from mcp_sandbox.probe.inputs import Targets  # noqa: E402
from mcp_sandbox.probe.plan import Plan  # noqa: E402
from mcp_sandbox.probe.session import run  # noqa: E402
from mcp_sandbox.sandbox import Engine, Sandbox  # noqa: E402
from support.stream import PipeStream  # noqa: E402

ROUNDS = 5
"""Scans."""
PAIRS = 15
"""Rounds of the prober beside the bare loop: each is short, and half a CPU is a jittery thing."""
TOOLS, CALLS = 40, 2_000
"""So many tools share so few calls that none is one of the large inputs: those measure the pipe."""
TRIVIAL = "mcp-sandbox-benchmark:trivial"
EXAMPLE = "mcp-sandbox-benchmark:example"
MEMORY = (10, 1_000, 10_000)
"""Tools of a server."""
QUICK = {
    "traced": ("--pairs", "1", "--calls", "20", "--kind", "static"),
    "trace": ("--rounds", "1", "--lines", "200"),
    "recall": ("--size", "1000000"),
    "job": ("--rounds", "1"),
    "locks": ("--runs", "1", "time"),
    "merge": ("--sizes", "100"),
}
"""The benchmarks with a file of their own, and how each is made short."""

Where = Callable[[int, int], AbstractContextManager[ByteStream]]


def server(tools: int, size: int) -> subprocess.Popen[bytes]:
    """The trivial server."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "many_tools.py"), str(tools), str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )


def probe(stream: ByteStream, max_calls: int) -> tuple[Transcript, list[bytes], float]:
    """Our prober with all that it does in a scan: matching, recording, writing up.

    Returns the transcript, the call lines that it sent, and the seconds they took.
    """
    sent: list[bytes] = []
    times: list[float] = []
    matcher = Matcher(make("bench", home="/home/user"))
    with (
        tempfile.TemporaryDirectory() as folder,
        Results(Path(folder)).transcript("bench", matcher) as keep,
    ):

        def record(direction: str, data: bytes) -> None:
            if direction == "out" and b'"tools/call"' in data[:100]:
                sent.append(data)
                times.append(time.perf_counter())
            keep(direction, data)

        transcript = run(
            stream,
            Plan("main", Era.HANDSHAKE, Identity("b", "1"), Targets(seed=0), max_calls=max_calls),
            find=matcher.find,
            mask=matcher.mask,
            record=record,
        )
    return transcript, sent, times[-1] - times[0]


def bare(stream: ByteStream, lines: list[bytes]) -> float:
    """Seconds for the same calls by a loop that encodes, writes, reads and decodes."""
    start = 0.0
    calls = [json.loads(line) for line in lines]
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
    for number, message in enumerate([opening, *calls]):
        left = memoryview(json.dumps(message).encode() + b"\n")
        while left:
            left = left[stream.send(left) :]
        reply = b""
        while not reply.endswith(b"\n"):
            poll.poll()
            reply += stream.recv() or b""
        json.loads(reply)
        if number == 0:
            start = time.perf_counter()
    return time.perf_counter() - start


@contextmanager
def piped(tools: int, size: int) -> Iterator[ByteStream]:
    """The trivial server as a child process, over pipes."""
    process = server(tools, size)
    try:
        yield PipeStream(process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def sandboxed(tools: int, size: int) -> Iterator[ByteStream]:
    """The trivial server in the sandbox, over the engine's attach socket, as in a scan.

    Nothing watches and there is no network: what those cost, ``traced`` measures.
    """
    host = os.environ["DOCKER_HOST"]
    with Sandbox(
        Engine(host),
        ImageStore(host, "bench").take(TRIVIAL),
        run_id="bench",
        limits=Limits(),
        extra_env=(),
        extra_args=(str(tools), str(size)),
        helper_image="none",
        lifetime=600,
        network=Network.NONE,
    ) as sandbox:
        yield sandbox.start(
            relaxation=Relaxation.NONE, environment={}, name="server", tracing=Tracing.NONE
        ).stream


def compare(name: str, where: Where, pairs: int, calls: int) -> None:
    """Calls per second against a bare loop on the same server, interleaved."""
    ratios, speeds = [], []
    for _ in range(pairs):
        with where(TOOLS, 100) as stream:
            _, lines, seconds = probe(stream, calls)
        with where(TOOLS, 100) as stream:
            reference = bare(stream, lines)
        speeds.append(len(lines) / seconds)
        ratios.append(reference / seconds)
    print(
        f"| {name} | {len(lines)} | {statistics.median(speeds):.0f} | "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |"
    )


def measure_prober(*, quick: bool) -> None:
    """The prober against a bare loop, over pipes and in the sandbox."""
    print("## Prober (goal: a ratio of 0.90)\n")
    print("| trivial server | calls | calls/s, median | ratio to a bare loop |")
    print("| --- | --- | --- | --- |", flush=True)
    subprocess.run(
        ["docker", "buildx", "build", "--load", "--quiet", "--tag", TRIVIAL, str(HERE)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    pairs, calls = (1, 200) if quick else (PAIRS, CALLS)
    compare("in the sandbox", sandboxed, pairs, calls)
    compare("a child process without a limit", piped, pairs, calls)
    print()


def peak_of(tools: int) -> None:
    """Run in a child: its peak memory is ours alone."""
    with piped(tools, 4096) as stream:
        transcript, _, _ = probe(stream, 5_000)
    listed = sum(len(one.items) for one in transcript.listings if one.moment == "before")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = "; ".join(
        sorted({one.state for one in transcript.listings if "not offered" not in one.state})
    )
    print(
        f"| {tools} | {peak:.0f} MiB | {listed} | {len(transcript.calls)} | "
        f"{transcript.end.value}; {said} |"
    )


def measure_memory(*, quick: bool) -> None:
    """Peak memory of our process by number of tools of 4 KiB."""
    print("## Memory\n")
    print("| tools of 4 KiB | peak of our process | kept | calls | what the report says |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for tools in MEMORY[:1] if quick else MEMORY:
        subprocess.run([sys.executable, __file__, "--peak", str(tools)], check=True)
    print()


def measure_scan(*, quick: bool) -> None:
    """Wall time of ``scan --image`` on a warm engine, by phase; and whether two runs agree."""
    example = HERE.parent / "examples" / "sandboxed-server"
    subprocess.run(
        ["docker", "buildx", "build", "--load", "--quiet", "--tag", EXAMPLE, str(example)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    reports = []
    seconds = []
    rounds = 2 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            out = Path(folder) / str(number)
            start = time.perf_counter()
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "mcp_sandbox",
                    "scan",
                    "--image",
                    EXAMPLE,
                    "--out",
                    str(out),
                    "--quiet",
                    "--scanners",
                    "none",
                ],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            seconds.append(time.perf_counter() - start)
            reports.append((out / "report.json").read_bytes())
    print("## Scan of the example server\n")
    print(
        f"{rounds} runs: median {statistics.median(seconds):.1f} s "
        f"({min(seconds):.1f}–{max(seconds):.1f}); goal < 20 s\n"
    )
    phases = [json.loads(report)["run"]["phases"] for report in reports]
    print("| phase | seconds (median) |\n| --- | --- |")
    for name in phases[0]:
        print(f"| {name} | {statistics.median(p.get(name, 0) for p in phases):.2f} |")
    equal = len({_comparable(report) for report in reports}) == 1
    print(f"\nReports without their volatile fields: {'equal' if equal else 'DIFFERENT'}\n")


def _comparable(report: bytes) -> bytes:
    from mcp_sandbox.report import json as report_json  # noqa: PLC0415 - needs the whole package

    return report_json.comparable(report_json.load(report))


def _of_its_own(name: str) -> Callable[..., None]:
    """A benchmark with a file of its own."""

    def measure(*, quick: bool) -> None:
        print(f"## {name}.py\n", flush=True)
        options = QUICK[name] if quick else ()
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), *options], check=True)
        print(flush=True)

    return measure


BENCHMARKS: dict[str, Callable[..., None]] = {
    "prober": measure_prober,
    "memory": measure_memory,
    "scan": measure_scan,
    **{name: _of_its_own(name) for name in QUICK},
}


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="as little of each as there is")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak is not None:
        peak_of(options.peak)
        return
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name](quick=options.quick)


if __name__ == "__main__":
    main()
