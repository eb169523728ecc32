"""Scan one server of the list, as a user would, and keep what is measured of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from listed import Listed
from measuring import Measured, measure

from mcp_sandbox import __version__
from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.report import json as report_json

CALLS = 300
"""Most calls of a scan: every tool's ordinary ones, and a share of the hostile."""
PROBING = 150
"""Seconds for them."""
LIMIT = 600
"""Seconds for a whole scan, the image's build included."""
LEAVING = 60
"""Seconds that a scan has to tidy up when it is told to end."""


def state_of(server: Listed, state: Path) -> Path:
    """The file that keeps its figures."""
    return state / f"{server.slug}-{__version__}.json"


def kept(server: Listed, state: Path) -> Measured | None:
    """What was measured before, or ``None``."""
    try:
        found = json.loads(state_of(server, state).read_text())
    except FileNotFoundError:
        return None
    return Measured(**{**found, "invented": tuple(found["invented"])})


def keep(measured: Measured, server: Listed, state: Path) -> None:
    """Written whole or not at all."""
    path = state_of(server, state)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(measured), indent=2) + "\n")
    part.replace(path)


def command(server: Listed, out: Path) -> list[str]:
    """The scan's command line."""
    environment = [f"--env={name}={value}" for name, value in server.environment.items()]
    constraints = [f"--constraint={one}" for one in server.constraints]
    packages = [f"--system-packages={one}" for one in server.system_packages]
    others = {
        "entry-point": server.entry_point,
        "memory": server.memory,
        "pids": server.pids,
        "cpus": server.cpus,
    }
    options = [f"--{name}={value}" for name, value in others.items() if value]
    options += ["--install-scripts"] if server.install_scripts else []
    return [
        *(sys.executable, "-m", "mcp_sandbox", "scan", server.source, "--quiet"),
        *("--scanners", "none", "--baseline", "none", "--config", "none", "--out", str(out)),
        *("--max-calls", str(CALLS), "--timeout", str(PROBING)),
        *(*environment, *constraints, *packages, *options),
        *(("--", *server.arguments) if server.arguments else ()),
    ]


class Broken(Exception):
    """The scanner itself did not work; what it said."""


def scan(server: Listed, state: Path) -> Measured:
    """Scan it once. Its report is kept beside the figures; the image is removed.

    Raises ``Broken`` when there is no report although there was time for it.
    """
    out = state / "reports" / server.slug
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    said, late = _run(command(server, out))
    seconds = round(time.monotonic() - begun, 1)
    lines = " ".join(said.split())[-500:]
    if late:
        reason = f"not done in {LIMIT} seconds"
        return Measured(
            server.source, __version__, commit(), seconds, PROBING, reason=reason, detail=lines
        )
    path = out / "report.json"
    if not path.is_file():
        raise Broken(lines)
    report = report_json.load(path.read_bytes())
    if report.observations and report.observations.image:
        remove(report.observations.image.id)
    found = measure(report, source=server.source, commit=commit(), seconds=seconds, said=said)
    return replace(found, probing=PROBING)


def _run(command: list[str]) -> tuple[str, bool]:
    """What it said, and whether it had to be ended."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            return process.communicate(timeout=LIMIT)[0], False
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            return process.communicate(timeout=LEAVING)[0], True
        except subprocess.TimeoutExpired:
            process.kill()
        return process.communicate()[0], True


def remeasured(server: Listed, state: Path) -> Measured | None:
    """The figures once more, from the report that was kept beside them; ``None`` without any.

    A report of another version of the scanner may be unreadable: the figures stay as they are.
    """
    found = kept(server, state)
    path = state / "reports" / server.slug / "report.json"
    if found is None or not path.is_file() or not found.listed:
        return found
    try:
        report = report_json.load(path.read_bytes())
    except ReportUnreadable:
        return found
    again = measure(report, source=server.source, commit=found.commit, seconds=found.seconds)
    return replace(again, probing=found.probing)


def remove(image: str) -> None:
    """Remove an image that a scan has built, if it is still there."""
    subprocess.run(
        ["docker", "image", "rm", "--force", image], check=False, capture_output=True, timeout=120
    )


def commit() -> str:
    """The checkout's, shortened."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
