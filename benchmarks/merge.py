"""Measures how time and memory of ``merge`` grow with the number of reports.

``python benchmarks/merge.py [--from DIR] [--sizes N…] [--large]``. ``DIR`` is the report folder of
a real scan; without it the example with holes is scanned first, which needs an engine and the
project's image (``eval "$(scripts/dev-engine.sh start)"``). Of that report ``VARIANTS`` are made,
each with other findings, score and verdict and cut to some 200 KB; the corpus is folders with hard
links to these, one folder a server. ``--large`` merges a single report of the largest size there
may be instead. Prints Markdown; asserts nothing. Time is processor time of one core, memory the
peak of the whole process, both by ``wait4``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mcp_sandbox.merging.alerts import MAX_BYTES as MAX_SARIF
from mcp_sandbox.merging.reading import MAX_REPORT
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import json as report_json

HERE = Path(__file__).parent
SIZES = (1_000, 2_000, 10_000)
VARIANTS = 50
REPORT_BYTES = 200_000
"""Of one report, about."""


class Cost(NamedTuple):
    """What one merge took."""

    seconds: float
    peak: float
    """MiB."""
    code: int


def scanned(folder: Path) -> Path:
    """A real report folder."""
    subprocess.run(
        [
            *(sys.executable, "-m", "mcp_sandbox", "scan"),
            *(str(HERE.parent / "examples" / "vulnerable-server"), "--out", str(folder)),
            *("--quiet", "--scanners", "none", "--max-calls", "200"),
        ],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return folder


def shortened(report: Report) -> Report:
    """The report with as many of its calls and events as make ``REPORT_BYTES``."""
    assert report.observations is not None
    for part in itertools.count():
        share = 0.7**part
        sessions = tuple(
            replace(
                one,
                transcript=replace(
                    one.transcript,
                    calls=one.transcript.calls[: int(len(one.transcript.calls) * share)],
                ),
                container=replace(
                    one.container,
                    kernel=one.container.kernel[: int(len(one.container.kernel) * share)],
                    sink=one.container.sink[: int(len(one.container.sink) * share)],
                ),
            )
            for one in report.observations.sessions
        )
        short = replace(report, observations=replace(report.observations, sessions=sessions))
        if len(report_json.dump(short)) <= REPORT_BYTES or share < 1e-3:  # noqa: PLR2004
            return short
    raise AssertionError


def variants(source: Path, folder: Path) -> list[Path]:
    """Folders with one report and its SARIF each, no two alike."""
    report = shortened(report_json.load((source / "report.json").read_bytes()))
    sarif = json.loads((source / "results.sarif").read_bytes())
    (run,) = (one for one in sarif["runs"] if one["tool"]["driver"]["name"] == "mcp-sandbox")
    results = run["results"]
    made = []
    for number in range(VARIANTS):
        place = folder / str(number)
        place.mkdir(parents=True)
        findings = report.findings[number % (len(report.findings) + 1) :]
        verdict = (Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE)[number % 3]
        one = replace(report, findings=findings, verdict=verdict, score=float(number))
        (place / "report.json").write_bytes(report_json.dump(one))
        run["results"] = results[number % (len(results) + 1) :]
        (place / "results.sarif").write_text(json.dumps(sarif, indent=2, sort_keys=True) + "\n")
        made.append(place)
    return made


def corpus(kinds: list[Path], folder: Path, size: int) -> None:
    """``size`` report folders."""
    for number in range(size):
        place = folder / f"server-{number:05d}"
        place.mkdir(parents=True)
        for name in ("report.json", "results.sarif"):
            os.link(kinds[number % len(kinds)] / name, place / name)


def merged(folder: Path, out: Path) -> Cost:
    """One merge, as a process of its own."""
    argv = [sys.executable, "-m", "mcp_sandbox", "merge", str(folder), "--out", str(out), "--json"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def row(name: str, folder: Path, out: Path, count: int) -> None:
    """Merge and print one line of the table."""
    read = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    cost = merged(folder, out)
    written = [path.stat().st_size for path in out.iterdir()]
    totals = json.loads((out / "merged.json").read_bytes())
    print(
        f"| {name} | {read / 2**20:.0f} MiB | {cost.seconds:.1f} s | "
        f"{1000 * cost.seconds / count:.1f} ms | {cost.peak:.0f} MiB | {len(totals['sarif'])} | "
        f"{sum(written) / 2**20:.0f} MiB | {cost.code}, {totals['problems']} problems |",
        flush=True,
    )


def large(kinds: list[Path], folder: Path) -> None:
    """One report whose observations and whose SARIF are as large as they may be."""
    folder.mkdir()
    text = (kinds[0] / "report.json").read_bytes()
    line = b'        "' + b"x" * 70 + b'",\n'
    room = MAX_REPORT - len(text) - 100
    key, before, after = b'  "observations": {\n', *text.split(b'  "observations": {\n', 1)
    with (folder / "report.json").open("wb") as file:
        file.write(before + key + b'    "filler": [\n')
        file.writelines(itertools.repeat(line, room // len(line)))
        file.write(b'        ""\n    ],\n' + after)
    log = json.loads((kinds[0] / "results.sarif").read_bytes())
    result = log["runs"][0]["results"][0]
    size = len(json.dumps(result, indent=2)) * 1.4
    log["runs"][0]["results"] = [result] * min(20_000, int((MAX_SARIF - 2**20) / size))
    (folder / "results.sarif").write_text(json.dumps(log, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, metavar="DIR")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    print("| reports | read | processor time | each | peak memory | SARIF files | written | exit |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kinds = variants(options.source or scanned(root / "scanned"), root / "kinds")
        if options.large:
            large(kinds, root / "large")
            row("1, as large as it may be", root / "large", root / "out", 1)
            return
        for size in options.sizes:
            corpus(kinds, root / f"corpus-{size}", size)
            row(f"{size}", root / f"corpus-{size}", root / f"out-{size}", size)


if __name__ == "__main__":
    main()
