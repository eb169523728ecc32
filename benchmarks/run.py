"""Measures what the project promises, as ratios within one run where a machine would decide.

``python benchmarks/run.py [prober] [memory] [scan]``: all of them without a name. ``scan`` needs an
engine with the project's image and the example image (``eval "$(scripts/dev-engine.sh start)"``).
Prints Markdown; asserts nothing.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from mcp_sandbox.model import Era, Identity, Transcript  # noqa: E402
from mcp_sandbox.planted import Matcher, make  # noqa: E402
from mcp_sandbox.probe.inputs import Targets  # noqa: E402
from mcp_sandbox.probe.plan import Plan  # noqa: E402
from mcp_sandbox.probe.session import run  # noqa: E402
from support.stream import PipeStream  # noqa: E402

ROUNDS = 5
EXAMPLE = "mcp-sandbox-benchmark:example"


def server(tools: int, size: int) -> subprocess.Popen[bytes]:
    """The trivial server."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "many_tools.py"), str(tools), str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )


def probe(tools: int, size: int, max_calls: int) -> tuple[Transcript, list[bytes], float]:
    """Our prober with all that it does in a scan: matching, recording, writing up.

    Returns the transcript, the call lines that it sent, and the seconds they took.
    """
    sent: list[bytes] = []
    times: list[float] = []
    matcher = Matcher(make("bench", home="/home/user"))
    process = server(tools, size)
    with tempfile.TemporaryFile("w") as file:

        def record(direction: str, data: bytes) -> None:
            if direction == "out" and b'"tools/call"' in data:
                sent.append(data)
                times.append(time.perf_counter())
            text = data.decode("utf-8", "replace")
            entry = {"dir": direction, "line": text if direction == "out" else matcher.mask(text)}
            file.write(json.dumps(entry) + "\n")

        transcript = run(
            PipeStream(process),
            Plan("main", Era.HANDSHAKE, Identity("b", "1"), Targets(seed=0), max_calls=max_calls),
            find=matcher.find,
            mask=matcher.mask,
            record=record,
        )
    process.kill()
    process.wait()
    return transcript, sent, times[-1] - times[0]


def bare(tools: int, size: int, lines: list[bytes]) -> float:
    """Seconds that a loop which only writes and reads needs for the same lines."""
    process = server(tools, size)
    assert process.stdin is not None
    assert process.stdout is not None
    replies = os.fdopen(process.stdout.fileno(), "rb", 2**16, closefd=False)
    opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
    process.stdin.write(json.dumps(opening).encode() + b"\n")
    replies.readline()
    start = time.perf_counter()
    for line in lines:
        process.stdin.write(line)
        replies.readline()
    seconds = time.perf_counter() - start
    process.kill()
    process.wait()
    return seconds


def measure_prober() -> None:
    """Calls per second against a bare loop on the same server, interleaved."""
    ratios, speeds = [], []
    for _ in range(ROUNDS):
        _, lines, seconds = probe(40, 100, 6_000)
        reference = bare(40, 100, lines)
        speeds.append(len(lines) / seconds)
        ratios.append(reference / seconds)
    print("## Prober\n")
    print(
        f"{len(lines)} calls, {ROUNDS} rounds: median {statistics.median(speeds):.0f} calls/s, "
        f"ratio to a bare loop {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}–{max(ratios):.2f}); goal ≥ 0.90\n"
    )


def peak_of(tools: int) -> None:
    """Run in a child: its peak memory is ours alone."""
    transcript, _, _ = probe(tools, 4096, 5_000)
    listed = sum(len(one.items) for one in transcript.listings if one.moment == "before")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = "; ".join(
        sorted({one.state for one in transcript.listings if "not offered" not in one.state})
    )
    print(
        f"| {tools} | {peak:.0f} MiB | {listed} | {len(transcript.calls)} | "
        f"{transcript.end.value}; {said} |"
    )


def measure_memory() -> None:
    """Peak memory of our process by number of tools of 4 KiB."""
    print("## Memory\n")
    print("| tools of 4 KiB | peak of our process | kept | calls | what the report says |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for tools in (10, 1_000, 10_000):
        subprocess.run([sys.executable, __file__, "--peak", str(tools)], check=True)
    print()


def measure_scan() -> None:
    """Wall time of ``scan --image`` on a warm engine, by phase; and whether two runs agree."""
    example = HERE.parent / "examples" / "sandboxed-server"
    subprocess.run(
        ["docker", "buildx", "build", "--load", "--quiet", "--tag", EXAMPLE, str(example)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    reports = []
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
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
                ],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            seconds.append(time.perf_counter() - start)
            reports.append((out / "report.json").read_bytes())
    print("## Scan of the example server\n")
    print(
        f"{ROUNDS} runs: median {statistics.median(seconds):.1f} s "
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


def main(names: list[str]) -> None:
    """Measure what is named."""
    if names[:1] == ["--peak"]:
        peak_of(int(names[1]))
        return
    all_ = {"prober": measure_prober, "memory": measure_memory, "scan": measure_scan}
    for name in names or all_:
        all_[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
