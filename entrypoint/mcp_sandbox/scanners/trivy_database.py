"""Trivy's vulnerability database: one bounded attempt to have a current one, and how old it is.

``metadata.json`` beside ``trivy.db`` holds ``Version`` (2), ``UpdatedAt`` (when its makers built
it) and ``NextUpdate`` (when they build the next one), as RFC 3339.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_sandbox.model import Json
from mcp_sandbox.scanners.job import Job
from mcp_sandbox.scanners.run import ToolFailed, last_words, one_line, parsed, record, run

SCHEMA = 2
MAX_DOWNLOAD = 180.0
"""Seconds for all mirrors together; half of the job's time where that is less."""

_MAX_METADATA = 64 * 2**10
_TRIED = "trivy-download"
_MAX_WHY = 200
_MAX_CAUSE = 80
_REQUEST = re.compile(r'\b(?:Get|Head|Post) "https?://([A-Za-z0-9.:\[\]-]{1,100})/[^"]*": ')
# Both stages need the database: one downloads it, the other waits and finds it.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Database:
    """What there is. ``why`` is empty when it can be relied on."""

    usable: bool
    why: str = ""
    age: str = ""
    """For a reader: ``3 days (2026-01-31)``."""


def cache_folder(job: Job) -> Path:
    """Where the database is kept."""
    return (job.options.trivy_cache or job.work / "trivy-cache").absolute()


def obtain(job: Job, program: Path, deadline: float) -> Database:
    """Download what is missing or out of date, once a run, and say what there is then."""
    now = datetime.now(UTC)
    with _LOCK:
        metadata = _metadata(job)
        refused = ""
        if metadata is None or _time(metadata.get("NextUpdate")) <= now:
            refused = _download_once(job, program, deadline)
            metadata = _metadata(job)
    if metadata is None:
        reason = refused or "there is none."
        return Database(False, f"Trivy has no vulnerability database: {reason}")
    updated = _time(metadata.get("UpdatedAt"))
    if updated.year == 1:
        return Database(True, "The age of Trivy's vulnerability database is not known.", "unknown")
    days = max(0, (now - updated).days)
    age = f"{days} {'day' if days == 1 else 'days'} ({updated:%Y-%m-%d})"
    most = job.options.trivy_db_max_age_days
    if days > most:
        why = f"Trivy's vulnerability database is {days} days old; more than {most} is too old."
        return Database(True, f"{why} {refused}".strip(), age)
    return Database(True, age=age)


def _metadata(job: Job) -> dict[str, Json] | None:
    """What stands beside the database; ``None`` when there is none that this Trivy can read."""
    folder = cache_folder(job) / "db"
    try:
        with (folder / "metadata.json").open("rb") as file:
            data = file.read(_MAX_METADATA)
        if (folder / "trivy.db").stat().st_size == 0:
            return None
        found = record(parsed("trivy", data))
    except (OSError, ToolFailed):
        return None
    return found if found.get("Version") == SCHEMA else None


def _time(value: Json) -> datetime:
    """RFC 3339 with any precision; the year 1 when it cannot be read."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _download_once(job: Job, program: Path, deadline: float) -> str:
    """Why there is no new database; empty when there is one. A second call tries nothing."""
    marker = job.work / _TRIED
    if marker.exists():
        return marker.read_text()
    why = _download(job, program, min(deadline, time.monotonic() + MAX_DOWNLOAD))
    marker.write_text(why)
    return why


def _download(job: Job, program: Path, deadline: float) -> str:
    """Try every mirror in order; an equal share of the time that is left for each."""
    try:
        cache_folder(job).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"its folder cannot be made: {error.strerror}."
    mirrors = [one.strip() for one in job.options.trivy_db.split(",") if one.strip()] or [""]
    why = "there was no time left to download it."
    for index, mirror in enumerate(mirrors):
        share = (deadline - time.monotonic()) / (len(mirrors) - index)
        if share <= 0:
            break
        try:
            run(
                job,
                program,
                (
                    "image",
                    "--download-db-only",
                    "--no-progress",
                    "--disable-telemetry",
                    "--skip-version-check",
                    "--cache-dir",
                    str(cache_folder(job)),
                    *((f"--db-repository={mirror}",) if mirror else ()),
                ),
                timeout=max(1.0, share),
            )
        except ToolFailed as failed:
            why = _told(failed)
        else:
            return ""
    return why


def _told(failed: ToolFailed) -> str:
    """Why a download failed: of a network error the host and the last cause, and the way out."""
    words = last_words(failed.stderr)
    request = _REQUEST.search(words)
    if request is None:
        return one_line(str(failed), _MAX_WHY)
    cause = one_line(words.rpartition(": ")[2].removesuffix("."), _MAX_CAUSE)
    return (
        f"{request[1]} could not be reached ({cause}); --trivy-cache names a folder that holds "
        "one, --trivy-db another mirror."
    )
