"""Trivy on the checkout and on the image: vulnerabilities, misconfiguration, secrets, licences.

Its configuration is ours and it downloads nothing while it scans; the database is had before, by
``trivy_database``. Terraform is left out because its modules would be downloaded. Inline comments
that silence a check cannot be turned off by an option: files with such comments are scanned once
more from a copy in which the comments mean nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_sandbox.errors import SandboxError
from mcp_sandbox.model import Json, ScannerRun, ScannerState
from mcp_sandbox.scanners.beside import beside
from mcp_sandbox.scanners.job import Job, Stage
from mcp_sandbox.scanners.places import Places
from mcp_sandbox.scanners.run import (
    Output,
    ToolFailed,
    find,
    inside,
    one_line,
    outcome,
    parsed,
    read,
    record,
    run,
    text,
)
from mcp_sandbox.scanners.trivy_database import Database, cache_folder, obtain
from mcp_sandbox.scanners.trivy_report import contents, results

TOOL = "Trivy"

_CONFIGURATION = (
    ".trivyignore",
    ".trivyignore.yaml",
    ".trivyignore.yml",
    "trivy.yaml",
    "trivy.yml",
    "trivy-secret.yaml",
)
_PRAGMA = re.compile(rb"(#[ \t]*(?:trivy|tfsec)):(?=ignore)")
_COMMENTED = re.compile(r"(?i)(?:.*\.)?(?:dockerfile|containerfile)(?:\..*)?$|.*\.ya?ml$")
_MAX_FILES = 20_000
_MAX_FILE = 2**20
_MAX_DISOBEYED = 100
_NOT_WALKED = frozenset({".git", "node_modules", ".venv"})
_JARS = ("**/*.jar", "**/*.war", "**/*.ear", "**/*.par")
_ERROR = re.compile(r"^\S+\tERROR\t(.*)$", re.MULTILINE)
_EMBEDDED = "Falling back to embedded checks"
_GLOB = re.compile(r"[^\w/ .,@+=:~-]")
"""A path with another character than these may be no name but a pattern."""
_LEAST = 1.0


@dataclass(frozen=True)
class Comments:
    """Inline comments that silence checks."""

    disobeyed: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    """Path and content with the comments made void, line by line the same."""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trivy:
    """Trivy at one stage."""

    stage: Stage
    name: str = TOOL

    def run(self, job: Job) -> ScannerRun:
        """Scan the checkout or the image; see ``Scanner``."""
        target = job.checkout if self.stage is Stage.CHECKOUT else job.image_archive
        if target is None:
            return ScannerRun(TOOL, ScannerState.NOT_USED)
        return outcome(TOOL, lambda: _Scan(job, self.stage, target.absolute()).run())


class _Scan:
    """One scan, with its deadline."""

    def __init__(self, job: Job, stage: Stage, target: Path) -> None:
        self.stage = stage
        self.target = target
        self.program = find("trivy", job)
        self.deadline = time.monotonic() + job.timeout
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="trivy-", dir=job.work)).absolute()
        except OSError as error:
            raise SandboxError(f"{job.work} cannot be written: {error.strerror}") from error
        # What a Trivy that is killed leaves behind goes with the folder.
        self.job = replace(job, environment={**job.environment, "TMPDIR": str(self.folder)})

    def run(self) -> ScannerRun:
        try:
            return self._run()
        except OSError as error:
            raise ToolFailed(f"trivy's own files: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> ScannerRun:
        half = time.monotonic() + self.job.timeout / 2
        database = obtain(self.job, self.program, half)
        comments = Comments()
        without: tuple[str, ...] = ()
        if self.stage is Stage.CHECKOUT:
            comments = _comments(self.target, self.job.dockerfile)
            output = self._trivy("fs", self._what(database), self.target)
            found = results(output.stdout)
            if comments.files:
                found = self._uncommented(found, comments)
            found = [one for one in found if self._is_built(str(one.get("Target", "")))]
        else:
            output, without = self._image(database)
            found = results(output.stdout)
        held = contents(found, self.stage, Places(self.job))
        why = " ".join(one for one in (database.why, *without) if one)
        return ScannerRun(
            tool=TOOL,
            state=ScannerState.PARTLY if why else ScannerState.RAN,
            why=why,
            version=self._version(),
            details=held.details | {"age of the database": database.age or "no database"},
            issues=held.issues,
            disobeyed=(*self._configuration(), *comments.disobeyed),
            left_out=(*held.left_out, *comments.left_out, *_errors(output.stderr)),
        )

    def _is_built(self, path: str) -> bool:
        """Whether a file of the checkout belongs to this server: a repository may hold many."""
        root, context = self.job.checkout, self.job.context
        if root is None or context is None or path == self.job.dockerfile:
            return True
        return (root / path).is_relative_to(context)

    def _what(self, database: Database) -> str:
        what = ["secret"]
        if database.usable:
            what.append("vuln")
        if self.stage is Stage.CHECKOUT:
            what.append("misconfig")
        if self.job.options.trivy_licences:
            what.append("license")
        return ",".join(what)

    def _image(self, database: Database) -> tuple[Output, tuple[str, ...]]:
        """The scan, and what it had to do without.

        Java archives are named by an index that is a download of its own. Trivy gives the whole
        image up for the want of it: then all but those archives is scanned.
        """
        more = ("--image-config-scanners", "misconfig,secret", "--input", str(self.target))
        try:
            return self._trivy("image", self._what(database), None, *more), ()
        except ToolFailed as failed:
            if "Java DB" not in failed.stderr:
                raise
        skipped = tuple(word for one in _JARS for word in ("--skip-files", one))
        output = self._trivy("image", self._what(database), None, *more, *skipped)
        return output, ("The image's Java archives were not looked into: there is no Java index.",)

    def _trivy(self, command: str, what: str, target: Path | None, *more: str) -> Output:
        """One call of ours. Raises ``ToolFailed``."""
        left = self.deadline - time.monotonic()
        if left < _LEAST:
            raise ToolFailed(f"trivy was not done after {self.job.timeout:g} seconds.")
        return run(
            self.job,
            self.program,
            (
                command,
                "--format=json",
                "--scanners",
                what,
                "--misconfig-scanners=dockerfile,helm,kubernetes",
                *("--config", self._own("trivy.yaml", self._settings())),
                *("--ignorefile", self._own("ignore", "")),
                *("--secret-config", self._own("secret.yaml", "{}\n")),
                *("--cache-dir", str(cache_folder(self.job))),
                "--cache-backend=memory",
                *("--module-dir", str(self.folder / "modules")),
                *("--timeout", f"{int(left) + 1}s"),
                "--skip-db-update",
                "--skip-java-db-update",
                "--skip-check-update",
                "--skip-vex-repo-update",
                "--skip-version-check",
                "--disable-telemetry",
                "--offline-scan",
                "--no-progress",
                *more,
                *((str(target),) if target is not None else ()),
            ),
            timeout=left,
        )

    def _own(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content)
        return str(path)

    def _settings(self) -> str:
        """The built Dockerfile is one, whatever it is called; other folders are not walked."""
        root, context, path = self.job.checkout, self.job.context, self.job.dockerfile
        scan: dict[str, list[str]] = {}
        if path and not _COMMENTED.match(Path(path).name):
            scan["file-patterns"] = [f"dockerfile:^{re.escape(path)}$"]
        if self.stage is Stage.CHECKOUT and root is not None and context is not None:
            others = [str(one) for one in beside(root.absolute(), context.absolute(), path)]
            scan["skip-dirs"] = [one for one in others if not _GLOB.search(one)]
        # JSON is YAML.
        return json.dumps({"scan": scan} if any(scan.values()) else {}) + "\n"

    def _uncommented(
        self, found: list[dict[str, Json]], comments: Comments
    ) -> list[dict[str, Json]]:
        """``found``, with what the commented files hold once the comments mean nothing."""
        copy = self.folder / "copy"
        for path, content in comments.files:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(content)
        again = results(self._trivy("fs", "misconfig", copy).stdout)
        paths = {path for path, _ in comments.files}
        kept = [
            {name: value for name, value in one.items() if name != "Misconfigurations"}
            if one.get("Target") in paths
            else one
            for one in found
        ]
        return kept + [one for one in again if one.get("Target") in paths]

    def _version(self) -> str:
        """Of the program; empty when it will not say."""
        try:
            answer = run(self.job, self.program, ("--version", "--format", "json"), timeout=30)
            return one_line(record(parsed("trivy", answer.stdout)).get("Version"), 40)
        except ToolFailed:
            return ""

    def _configuration(self) -> Iterator[str]:
        """Trivy's own files in the checkout, which were not read."""
        root, context = self.job.checkout, self.job.context
        if self.stage is not Stage.CHECKOUT or root is None:
            return
        for folder in dict.fromkeys(one for one in (root, context) if one is not None):
            for name in _CONFIGURATION:
                where = inside(root, folder / name)
                content = read(root, where, _MAX_FILE) if where else None
                if content is None:
                    continue
                if name != ".trivyignore":
                    yield f"{where}:1: configuration of Trivy"
                    continue
                lines = content.decode("utf-8", "replace").split("\n")
                rules = [(at, line.strip()) for at, line in enumerate(lines, 1) if line.strip()]
                for at, line in [one for one in rules if one[1][0] != "#"][:_MAX_DISOBEYED]:
                    yield f"{where}:{at}: ignores {one_line(line, 100)}"


def _comments(root: Path, dockerfile: str) -> Comments:
    """Files in which a comment silences a check. Links are not followed, as Trivy follows none."""
    disobeyed: list[str] = []
    files: list[tuple[str, bytes]] = []
    seen = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _NOT_WALKED)
        for name in sorted(names):
            seen += 1
            if seen > _MAX_FILES:
                rest = f"comments for Trivy in files after the first {_MAX_FILES}: obeyed"
                return Comments(tuple(disobeyed), tuple(files), (rest,))
            path = (Path(folder) / name).relative_to(root).as_posix()
            if not (_COMMENTED.match(name) or path == dockerfile) or (root / path).is_symlink():
                continue
            content = read(root, path, _MAX_FILE)
            if content is None or not _PRAGMA.search(content):
                continue
            files.append((path, _PRAGMA.sub(rb"\1 ", content)))
            for at, line in enumerate(content.split(b"\n"), 1):
                if _PRAGMA.search(line) and len(disobeyed) < _MAX_DISOBEYED:
                    said = one_line(line.decode("utf-8", "replace"), 100)
                    disobeyed.append(text(f"{path}:{at}: {said}"))
    return Comments(tuple(disobeyed), tuple(files))


def _errors(stderr: str) -> tuple[str, ...]:
    """What Trivy could not do and went on without."""
    said = (one_line(line, 300) for line in _ERROR.findall(stderr) if _EMBEDDED not in line)
    return tuple(f"Trivy: {line}" for line in list(dict.fromkeys(said))[:20])


CHECKOUT = Trivy(Stage.CHECKOUT)
IMAGE = Trivy(Stage.IMAGE)
