"""What the tracer costs a server: time to the first answer, and calls per second.

``python benchmarks/traced.py [--pairs N] [--calls N] [--kind KIND]…`` needs an engine with the
project's image. Each pair of runs is held
one after the other on the same machine; the figure is their ratio.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from mcp_sandbox.image import ImageStore  # noqa: E402
from mcp_sandbox.model import (  # noqa: E402
    Era,
    Identity,
    ImageFacts,
    Limits,
    Network,
    Relaxation,
    Tracing,
)
from mcp_sandbox.planted import Matcher, make  # noqa: E402
from mcp_sandbox.probe.hostile import Targets  # noqa: E402
from mcp_sandbox.probe.plan import Plan  # noqa: E402
from mcp_sandbox.probe.session import Prober  # noqa: E402
from mcp_sandbox.sandbox import Engine, Sandbox  # noqa: E402

KINDS = ("static", "python", "node", "sdk")
PAIRS = 7
CALLS = 300
HELPER = os.environ.get("MCP_SANDBOX_IMAGE", "mcp-sandbox-action:local")
_BECAME = re.compile(rb"^\d+ +([\d.]+) (?:execve\(.*|<\.\.\. execve resumed>.*) = 0$", re.MULTILINE)


@dataclass(frozen=True)
class Figures:
    """One run of one server. Seconds, calls per second."""

    setup: float
    first_answer: float
    calls: float


def build(kind: str) -> str:
    """The image of one kind of server; returns its tag."""
    tag = f"mcp-sandbox-benchmark:{kind}"
    command = ["docker", "buildx", "build", "--load", "--quiet", "--target", kind, "--tag", tag]
    subprocess.run(
        [*command, str(HERE / "kinds")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return tag


def run(engine: Engine, image: ImageFacts, tracing: Tracing, count: int) -> Figures:
    """Start, open, call; the server's own start is told by the engine, or by the trace."""
    matcher = Matcher(make("bench", home="/home/user"))
    with Sandbox(
        engine,
        image,
        run_id=f"bench{time.monotonic_ns():x}",
        limits=Limits(),
        extra_env=(),
        extra_args=(),
        helper_image=HELPER,
        lifetime=600,
        network=Network.SINK,
    ) as sandbox:
        begun = time.time()
        server = sandbox.start(
            relaxation=Relaxation.NONE, environment={}, name="server", tracing=tracing
        )
        ready = time.time()
        plan = Plan("main", Era.HANDSHAKE, Identity("b", "1"), Targets(seed=0), max_calls=count)
        prober = Prober(
            server.stream,
            plan,
            find=matcher.find,
            mask=matcher.mask,
            record=lambda _direction, _data: None,
            progress=lambda _what: None,
        )
        assert prober.open(), "the server does not answer"
        answered = time.time()
        if tracing is Tracing.NONE:
            state = engine.api.inspect_container(server.id)["State"]
            text = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", state["StartedAt"])
            started = datetime.fromisoformat(text).timestamp()
        prober.work()
        calls = [mark.at for mark in prober.marks if mark.call]
        server.finish()
        if tracing is not Tracing.NONE:
            became = _BECAME.findall(server.recorded.trace.read(2**20))
            started = float(became[1])
    return Figures(ready - begun, answered - started, (len(calls) - 1) / (calls[-1] - calls[0]))


def _ratio(pairs: list[tuple[Figures, Figures]], name: str) -> str:
    ratios = [getattr(traced, name) / getattr(bare, name) for bare, traced in pairs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def main() -> None:
    """Measure every kind of server and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--kind", action="append", choices=KINDS)
    options = parser.parse_args()
    host = os.environ["DOCKER_HOST"]
    print("## What the tracer costs (goals: first answer at most 1.35, calls at least 0.75)\n")
    print(
        f"Median of {options.pairs} pairs, half a CPU, in brackets the extremes. The tool opens a "
        "file.\n\n"
        "| server | first answer, s | traced / untraced | calls/s | traced / untraced "
        "| set-up of a pod, s: untraced, traced |\n| --- | --- | --- | --- | --- | --- |",
        flush=True,
    )
    with Engine(host) as engine:
        for kind in options.kind or KINDS:
            image = ImageStore(host, "bench").take(build(kind))
            pairs = [
                (
                    run(engine, image, Tracing.NONE, options.calls),
                    run(engine, image, Tracing.INSIDE, options.calls),
                )
                for _ in range(options.pairs)
            ]
            middle = [
                statistics.median(getattr(bare, name) for bare, _ in pairs)
                for name in ("first_answer", "calls", "setup")
            ]
            setup = statistics.median(traced.setup for _, traced in pairs)
            print(
                f"| {kind} | {middle[0]:.2f} | {_ratio(pairs, 'first_answer')} "
                f"| {middle[1]:.0f} | {_ratio(pairs, 'calls')} | {middle[2]:.1f}, {setup:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
