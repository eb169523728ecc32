"""How long a whole job takes beside the longest of its chains run alone.

``python benchmarks/job.py [--rounds N]`` needs an engine with the project's image, and the scanners
on PATH (``scripts/test.sh`` sets up both environments). The goal is a ratio of 1.15.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import ScannerState
from mcp_sandbox.scanners import SCANNERS, Job, Stage

HERE = Path(__file__).parent
SERVER = HERE.parent / "examples" / "vulnerable-server"
ROUNDS = 3


def scan(scanners: str) -> float:
    """Seconds of one scan of the example, its image being in the builder's cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mcp_sandbox", "scan", str(SERVER), "--quiet"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--scanners", scanners, "--out", str(Path(folder) / "out")],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return time.perf_counter() - start


def alone(environment: Mapping[str, str]) -> dict[str, float]:
    """Seconds of each scanner by itself; for one of the image with building and saving it."""
    seconds: dict[str, float] = {}
    store = ImageStore(environment.get("DOCKER_HOST"), "bench")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        start = time.perf_counter()
        image = store.build(
            SERVER, dockerfile=None, network="default", timeout=600, environment=environment
        )
        store.save(image.id, work / "image.tar")
        before = time.perf_counter() - start
        for scanner in SCANNERS:
            of_image = scanner.stage is Stage.IMAGE
            job = Job(
                checkout=HERE.parent.resolve(),
                context=SERVER.resolve(),
                dockerfile=SERVER.relative_to(HERE.parent).as_posix() + "/Dockerfile",
                image_archive=work / "image.tar" if of_image else None,
                base="",
                head="",
                work=work,
                environment={"PATH": environment["PATH"], "HOME": folder},
                timeout=600,
            )
            start = time.perf_counter()
            run = scanner.run(job)
            if run.state not in {ScannerState.NOT_INSTALLED, ScannerState.NOT_USED}:
                name = f"{scanner.name} ({scanner.stage.value}; {run.state.value})"
                seconds[name] = time.perf_counter() - start + (before if of_image else 0.0)
    store.remove_built()
    store.close()
    return seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="scans of each kind")
    rounds = parser.parse_args().rounds
    print("## The whole job (goal: at most 1.15 times its longest chain)\n")
    chains = {"sandbox": statistics.median(scan("none") for _ in range(rounds))}
    chains |= alone(os.environ)
    whole = statistics.median(scan("auto") for _ in range(rounds))
    print("| chain, alone | seconds |\n| --- | --- |")
    for name, seconds in chains.items():
        print(f"| {name} | {seconds:.1f} |")
    print(f"| **whole job** | {whole:.1f} |")
    print(
        f"\nRatio to the longest: {whole / max(chains.values()):.2f}; to the sum: "
        f"{whole / sum(chains.values()):.2f}\n"
    )


if __name__ == "__main__":
    main()
