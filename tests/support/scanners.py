"""A scanner's job, and programs that stand in for a scanner which misbehaves."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_sandbox.model import Issue, IssueKind
from mcp_sandbox.scanners import Job, ScannerOptions

DATA = Path(__file__).parents[1] / "data" / "scanners"
FIXTURE = DATA / "fixture"
"""The checkout that the captures were made of."""


def job(
    folder: Path,
    checkout: Path | None = None,
    *,
    dockerfile: str = "Dockerfile",
    archive: Path | None = None,
    path: str | None = None,
    timeout: float = 60,
    options: ScannerOptions | None = None,
) -> Job:
    """A job with a work folder below ``folder``; ``path`` is the PATH of the tools."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Job(
        checkout=checkout,
        context=checkout,
        dockerfile=dockerfile if checkout is not None else "",
        image_archive=archive,
        base="",
        head="",
        work=work,
        environment={"PATH": os.environ["PATH"] if path is None else path, "HOME": str(work)},
        timeout=timeout,
        options=options or ScannerOptions(),
    )


def fake(folder: Path, name: str, script: str) -> str:
    """Put a shell script in the place of a tool; returns the PATH on which it is found."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o755)
    return f"{programs}:/usr/bin:/bin"


def issue(
    rule: str = "R1",
    subject: str = "file a",
    path: str = "a",
    line: int = 1,
    severity: str = "high",
) -> Issue:
    """An issue of no importance."""
    return Issue(rule, IssueKind.SECRET, severity, "title", "message", subject, path, line, line)
