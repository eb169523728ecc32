"""What a scanner is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mcp_sandbox.model import ScannerRun


class Stage(StrEnum):
    """When a scanner can run."""

    CHECKOUT = "checkout"
    """From the start: it needs no image."""
    IMAGE = "image"
    """Once ``Job.image_archive`` is there."""


@dataclass(frozen=True)
class ScannerOptions:
    """What a user may choose."""

    trivy_db: str = ""
    """Repositories of Trivy's vulnerability database, comma-separated, tried in order; empty for
    Trivy's own."""
    trivy_cache: Path | None = None
    """Folder that keeps the database; ``None`` for one below ``Job.work``."""
    trivy_licences: bool = False
    trivy_db_max_age_days: int = 14
    verify_secrets: bool = False


@dataclass(frozen=True)
class Job:
    """What is scanned, and within which bounds. All folders are absolute."""

    checkout: Path | None
    """Root of the repository; ``None`` when only an image was named."""
    context: Path | None
    """The folder that is built, inside the checkout."""
    dockerfile: str
    """Relative to the checkout; empty when there is none."""
    image_archive: Path | None
    """What ``docker save`` wrote."""
    base: str
    """Commits of the pull request; empty when unknown."""
    head: str
    work: Path
    """A private folder for caches and configuration of ours, outside the checkout."""
    environment: Mapping[str, str]
    """All that a child may see."""
    timeout: float
    """Seconds each tool may take."""
    options: ScannerOptions = ScannerOptions()


class Scanner(Protocol):
    """One tool at one stage."""

    @property
    def name(self) -> str:
        """Name of the SARIF driver; two stages of one tool share it."""

    @property
    def stage(self) -> Stage:
        """When it can run."""

    def run(self, job: Job) -> ScannerRun:
        """Scan. Raises nothing for what the tool or the repository does."""
