"""One way to run a scanner's binary and to read what it prints, bounded throughout.

A tool runs in a folder of ours, sees an environment of ours and reads nothing but what its
arguments name. Whatever it does wrong becomes one sentence: ``ToolFailed`` and ``ToolMissing`` are
raised here and turned into the run's state by ``outcome``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox import proc
from mcp_sandbox.model import Json, ScannerRun, ScannerState
from mcp_sandbox.scanners.job import Job

MAX_OUTPUT = 256 * 2**20
"""Bytes of standard output that a tool may print."""
NICENESS = 19
"""Scanners wait for nobody, but the server's calls have deadlines: the processors are theirs first,
and the job is done sooner, its longest chain being the sandbox."""
MAX_ISSUES = 10_000
"""Issues kept of one tool at one stage."""
MAX_TEXT = 1000
MAX_LINE = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# What a log puts before a message: the time, a level, a bullet.
_LOG = re.compile(r"^\s*(?:\d{4}-\d\d-\d\dT\S+\s+)?(?:FATAL\s+(?:Fatal error\s+)?|ERROR\s+|\* )?")
_WHY = 300


class ToolMissing(Exception):
    """The tool is not on PATH."""


class ToolFailed(Exception):
    """The tool did not do its work; the text says why, in one sentence."""

    def __init__(self, why: str, stderr: str = "") -> None:
        super().__init__(why)
        self.stderr = stderr


@dataclass(frozen=True)
class Output:
    """What a tool wrote before it ended by itself."""

    exit_code: int
    stdout: bytes
    stderr: str
    """The last 64 KiB."""


def outcome(tool: str, scan: Callable[[], ScannerRun]) -> ScannerRun:
    """What ``scan`` returns, or what kept it from returning anything."""
    try:
        return scan()
    except ToolMissing as missing:
        return ScannerRun(tool, ScannerState.NOT_INSTALLED, str(missing))
    except ToolFailed as failed:
        return ScannerRun(tool, ScannerState.FAILED, str(failed))


def find(binary: str, job: Job) -> Path:
    """The tool's program. Raises ``ToolMissing``."""
    found = shutil.which(binary, path=job.environment.get("PATH", ""))
    if found is None:
        raise ToolMissing(f"{binary} is not on PATH.")
    # The child's working directory is another one than ours.
    return Path(found).absolute()


def run(
    job: Job,
    program: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    accept: frozenset[int] = frozenset({0}),
) -> Output:
    """Run ``program`` to its end, in ``job.work``.

    Raises ``ToolFailed`` when it cannot be started, takes too long (``timeout`` seconds, else the
    job's), prints too much, is ended by a signal, or exits with a code not in ``accept``.
    """
    name, seconds = program.name, job.timeout if timeout is None else timeout
    try:
        with tempfile.TemporaryFile(dir=job.work) as spool:
            done = proc.run(
                [str(program), *arguments],
                environment=job.environment,
                timeout=seconds,
                stdin=stdin,
                cwd=job.work,
                spool=spool,
                spool_bytes=MAX_OUTPUT,
                niceness=NICENESS,
            )
            spool.seek(0)
            stdout = b"" if done.overflowed else spool.read()
    except OSError as error:
        raise ToolFailed(f"{name} could not be run: {error.strerror or error}.") from error
    stderr = done.stderr.decode("utf-8", "replace")
    if done.timed_out:
        raise ToolFailed(f"{name} was not done after {seconds:g} seconds.")
    if done.overflowed:
        raise ToolFailed(f"{name} printed too much: more than {MAX_OUTPUT // 2**20} MiB.")
    if done.exit_code is None or done.exit_code < 0:
        raise ToolFailed(f"{name} was ended by signal {-(done.exit_code or 0)}.")
    if done.exit_code not in accept:
        why = f"{name} exited with code {done.exit_code}: {last_words(stderr)}"
        raise ToolFailed(why, stderr)
    return Output(done.exit_code, stdout, stderr)


def last_words(stderr: str) -> str:
    """The last line that says anything, as a sentence's end."""
    lines = [one_line(_LOG.sub("", line), _WHY) for line in stderr.splitlines() if line.strip()]
    return (lines[-1].removesuffix(".") if lines else "it said nothing") + "."


def parsed(name: str, text: bytes | str) -> Json:
    """JSON that a tool printed. Raises ``ToolFailed``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ToolFailed(f"{name} printed something that is not JSON.") from error


# --- reading a tool's JSON: a value of another type counts as absent -----------------------------


def record(value: Json) -> dict[str, Json]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: Json) -> list[dict[str, Json]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(value: Json) -> int:
    """A line or a count; 0 for anything that cannot be one."""
    return value if isinstance(value, int) and 0 < value < 2**31 else 0


def text(value: Json, limit: int = MAX_TEXT) -> str:
    """A string of at most ``limit`` characters, of those that can be written down again."""
    if not isinstance(value, str):
        return ""
    clean: str = value[: limit + 1].encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def one_line(value: Json, limit: int = MAX_LINE) -> str:
    """A string without control characters, white space folded."""
    if not isinstance(value, str):
        return ""
    return text(" ".join(_CONTROL.sub(" ", value[: 4 * limit]).split()), limit)


# --- reading the checkout -------------------------------------------------------------------------


def inside(root: Path, path: Path) -> str:
    """``path`` relative to ``root``, ``/``-separated; empty when it leads out of it."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except (OSError, RuntimeError, ValueError):
        return ""


def read(root: Path, path: str, limit: int) -> bytes | None:
    """A regular file of at most ``limit`` bytes below ``root``; ``None`` for anything else.

    Links are followed as long as they stay inside; a pipe or a device is never opened for reading.
    """
    where = inside(root, root / path)
    if not where:
        return None
    try:
        descriptor = os.open(root.resolve() / where, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None
