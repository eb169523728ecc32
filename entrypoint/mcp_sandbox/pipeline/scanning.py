"""The scanners of a run, in threads beside the rest: the job takes as long as its longest chain.

What needs the checkout alone begins with the run, while the image is built; what needs the image
begins when it is there, while the server is probed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mcp_sandbox import background, locate, proc
from mcp_sandbox.errors import SandboxError
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import ScannerRun, ScannerState
from mcp_sandbox.pipeline.sourcing import is_bundle
from mcp_sandbox.scanners import SCANNERS, Job, Scanner, ScannerOptions, Stage, merged
from mcp_sandbox.settings import ScannerName, Settings

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
SCANNER_ENVIRONMENT = ("PATH", "LANG", "TZ", *PROXIES)
"""What a scanner may see of our environment; its HOME is a folder of its own."""
PREFIX = "mcp-sandbox-scan-"
LOCK = "alive"
SETTLED = 60.0
"""Seconds after which a folder without a lock has no run."""
LETTING_GO = 2.0
"""Seconds that scanners have to end when the run is broken off."""
PATIENCE = 60.0
"""Seconds beyond its own limit until a scanner is given up."""


@dataclass
class Scanning:
    """The scanners of one run. Leaving it ends what still runs and removes its folder."""

    settings: Settings
    environment: Mapping[str, str]
    _work: Path | None = None
    _lock: IO[bytes] | None = None
    _begun: list[tuple[Scanner, Future[ScannerRun]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.settings.scanners:
            _sweep()
            self._work = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = _locked(self._work)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if any(not future.done() for _, future in self._begun):
            proc.end_all()
            wait([future for _, future in self._begun], LETTING_GO)
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @property
    def requested(self) -> tuple[str, ...]:
        """Scanners that were asked for by name; empty for whatever is installed."""
        names = self.settings.scanners
        return () if ScannerName.AUTO in names else tuple(name.value for name in names)

    def begin(self) -> None:
        """Start what needs no image."""
        for scanner in self._wanted(Stage.CHECKOUT):
            self._start(scanner, lambda: self._job(None))

    def image_is_there(self, store: ImageStore, image: str) -> None:
        """Start what needs the image, once it is saved."""
        wanted = self._wanted(Stage.IMAGE)
        if not wanted or self._work is None:
            return
        archive = self._work / "image.tar"
        saved = background.begin("save", lambda: store.save(image, archive))

        def job() -> Job:
            saved.result()
            return self._job(archive)

        for scanner in wanted:
            self._start(scanner, job)

    def results(self) -> tuple[ScannerRun, ...]:
        """What every scanner brought; waits for those that still run."""
        wait([future for _, future in self._begun], self.settings.scanner_timeout + PATIENCE)
        return self.so_far()

    def so_far(self) -> tuple[ScannerRun, ...]:
        """The same of a run that was broken off, without waiting."""
        return merged([_result(scanner, future) for scanner, future in self._begun])

    def _wanted(self, stage: Stage) -> list[Scanner]:
        names = set(self.requested)
        every = ScannerName.AUTO in self.settings.scanners
        return [
            one for one in SCANNERS if one.stage is stage and (every or one.name.lower() in names)
        ]

    def _start(self, scanner: Scanner, job: Callable[[], Job]) -> None:
        future = background.begin(scanner.name.lower(), lambda: scanner.run(job()))
        self._begun.append((scanner, future))

    def _job(self, archive: Path | None) -> Job:
        assert self._work is not None  # noqa: S101 - made on entering, where a scanner is wanted
        settings = self.settings
        checkout = context = None
        dockerfile = ""
        if settings.context is not None:
            context = settings.context.resolve()
            checkout = locate.root(context).resolve()
            path = context / (settings.dockerfile or "Dockerfile")
            with suppress(ValueError):
                dockerfile = path.resolve().relative_to(checkout).as_posix()
            if is_bundle(settings):
                dockerfile = ""
        ours = self.environment
        seen = {name: ours[name] for name in SCANNER_ENVIRONMENT if name in ours}
        return Job(
            checkout=checkout,
            context=context,
            dockerfile=dockerfile,
            image_archive=archive,
            base=settings.base,
            head=settings.head,
            work=self._work,
            environment=seen | {"HOME": str(self._work)},
            timeout=float(settings.scanner_timeout),
            options=ScannerOptions(
                trivy_db=settings.trivy_db,
                trivy_cache=settings.trivy_cache.resolve() if settings.trivy_cache else None,
                trivy_licences=settings.trivy_licences,
                trivy_db_max_age_days=settings.trivy_db_max_age,
                verify_secrets=settings.verify_secrets,
            ),
        )


def _locked(folder: Path) -> IO[bytes] | None:
    """A lock on a folder of ours, held while its run lives; ``None`` when another one has it."""
    lock = (folder / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _sweep() -> None:
    """Remove the folders of runs that were killed: an image that was saved there is large."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
                continue
            if time.time() - about.st_mtime < SETTLED:
                continue  # its run may just be about to lock it
            lock = _locked(folder)
        except FileNotFoundError:
            continue  # its run has just removed it
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()


def _result(scanner: Scanner, future: Future[ScannerRun]) -> ScannerRun:
    """What a scanner brought. One that could not be begun, or is not back, has failed.

    Raises what is a fault of ours.
    """
    if not future.done():
        return ScannerRun(scanner.name, ScannerState.FAILED, "It did not come to its end.")
    error = future.exception()
    if isinstance(error, SandboxError):
        return ScannerRun(scanner.name, ScannerState.FAILED, error.what)
    if error is not None:
        raise error
    return future.result()
