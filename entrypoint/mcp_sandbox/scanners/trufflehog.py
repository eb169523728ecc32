"""TruffleHog on the commits of a pull request, on the files and on the image.

Source of the facts: v3.97.0. One JSON object a line on standard output, a JSON log on standard
error. Its exit code is 0 even when it could not read its target, so the log decides: a line of
level ``error``, and the closing line with the count of chunks. Of a result only the detector, the
place and whether it was verified are read; what was found never leaves ``_Hit``, which holds a
keyed digest of it.

It has no switch against its inline pragma: files that hold one are scanned again as copies in which
it is none. On commits it is obeyed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from mcp_sandbox import git
from mcp_sandbox.model import Issue, IssueKind, Json, ScannerRun, ScannerState
from mcp_sandbox.scanners import commits, pragmas
from mcp_sandbox.scanners import run as tools
from mcp_sandbox.scanners.job import Job, Stage

NAME = "TruffleHog"
BINARY = "trufflehog"
PRAGMA = "trufflehog:ignore"
FIX = "Revoke it where it is valid, then take it out: what was pushed once stays readable."

_FINISHED = "finished scanning"
_BAD_LEVELS = frozenset({"error", "dpanic", "panic", "fatal"})
_MAX_LOG = 64 * 2**10
_LEAST_SECRET = 4
_MAX_DEPTH = 32
_DETECTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()/+-]{0,79}")
_DECODER = re.compile(r"[A-Z0-9_]{1,24}")
_PACKAGED = re.compile(
    r"(^|/)((site|dist)-packages|node_modules|var/lib/(dpkg|rpm)|lib/apk/db|lib/sysimage/rpm)/"
)
"""Files of an image that a package manager put there. Checksums and examples in documentation look
like credentials: an image of Debian with a Python server has ten of them."""


@dataclass(frozen=True)
class _Hit:
    """One result, without what was found."""

    detector: str
    source: str
    """``Git``, ``Filesystem`` or ``Docker``."""
    file: str
    line: int
    commit: str
    decoder: str
    verified: bool
    digest: bytes
    """Of what was found, keyed: tells two secrets apart within one run and says nothing else."""


@dataclass(frozen=True)
class _Part:
    """What one call of the tool came to."""

    hits: tuple[_Hit, ...] = ()
    state: ScannerState = ScannerState.RAN
    why: str = ""
    version: str = ""
    details: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnCheckout:
    """The commits of the pull request and the files."""

    name: str = NAME
    stage: Stage = Stage.CHECKOUT

    def run(self, job: Job) -> ScannerRun:
        """See ``Scanner.run``."""
        if job.checkout is None:
            return ScannerRun(NAME, ScannerState.NOT_USED, "There is no checkout.")
        root = job.checkout.resolve()
        return tools.outcome(NAME, lambda: _scan_checkout(job, root))


@dataclass(frozen=True)
class OnImage:
    """The layers, the history and the configuration of the image."""

    name: str = NAME
    stage: Stage = Stage.IMAGE

    def run(self, job: Job) -> ScannerRun:
        """See ``Scanner.run``."""
        if job.image_archive is None:
            return ScannerRun(NAME, ScannerState.NOT_USED, "There is no image.")
        archive = job.image_archive
        return tools.outcome(NAME, lambda: _scan_image(job, archive))


def _scan_checkout(job: Job, root: Path) -> ScannerRun:
    program = tools.find(BINARY, job)
    deadline = time.monotonic() + job.timeout
    key = secrets.token_bytes(16)
    found = pragmas.find(root, PRAGMA.encode())
    copies = job.work / "trufflehog-copies"
    try:
        pragmas.write_copies(root, found.files, PRAGMA.encode(), b"trufflehog-ignore", copies)
    except OSError as error:
        raise tools.ToolFailed(f"Copies without pragmas failed: {error.strerror}.") from error
    roots = [root, copies] if found.files else [root]
    files = _attempt(lambda: _files(job, program, roots, key))
    left = replace(job, timeout=max(deadline - time.monotonic(), 0.0))
    history = _attempt(lambda: _commits(left, program, root, key))
    return ScannerRun(
        tool=NAME,
        state=_worst([files, history]),
        why=" ".join(part.why for part in (files, history) if part.why),
        version=files.version or history.version,
        details=files.details | history.details,
        issues=_issues(_placed(files.hits, roots), history.hits),
        disobeyed=found.places,
        left_out=(*found.left_out, *files.left_out, *history.left_out),
    )


def _scan_image(job: Job, archive: Path) -> ScannerRun:
    program = tools.find(BINARY, job)
    key = secrets.token_bytes(16)
    part = _call(job, program, ["docker", "--image", f"file://{archive.absolute()}"], key, "image")
    return ScannerRun(
        tool=NAME,
        state=part.state,
        why=part.why,
        version=part.version,
        details=part.details,
        issues=_image_issues(part.hits, job),
        left_out=part.left_out,
    )


def _attempt(scan: Callable[[], _Part]) -> _Part:
    """What a part came to, a failure included: the other part's results stay."""
    try:
        return scan()
    except tools.ToolFailed as failed:
        return _Part(state=ScannerState.FAILED, why=str(failed))


def _worst(parts: Sequence[_Part]) -> ScannerState:
    states = [part.state for part in parts]
    order = (ScannerState.FAILED, ScannerState.PARTLY)
    return next((state for state in order if state in states), ScannerState.RAN)


# --- what is scanned ------------------------------------------------------------------------------


def _files(job: Job, program: Path, roots: Sequence[Path], key: bytes) -> _Part:
    exclude = job.work / "trufflehog-exclude"
    exclude.write_text("(^|/)\\.git(/|$)\n", encoding="ascii")
    arguments = ["filesystem", *map(str, roots), "--exclude-paths", str(exclude)]
    return _call(job, program, arguments, key, "files")


def _commits(job: Job, program: Path, root: Path, key: bytes) -> _Part:
    wanted = commits.of_pull_request(job, root)
    if not wanted.ids:
        return _Part(state=wanted.state, why=wanted.why, details={"commits": wanted.told})
    arguments = ["git", f"file://{quote(str(root))}", "--branch", wanted.head]
    if wanted.since:
        arguments += ["--since-commit", wanted.since]
    own = git.environment(job.work, root, "file")
    child = replace(job, environment={**job.environment, **own})
    part = _call(child, program, arguments, key, "commits")
    ids = frozenset(wanted.ids)
    return replace(
        part,
        hits=tuple(hit for hit in part.hits if hit.commit in ids),
        details={"commits": wanted.told},
    )


def _call(job: Job, program: Path, arguments: Sequence[str], key: bytes, target: str) -> _Part:
    """One run of the tool over one target. Raises ``ToolFailed``."""
    if job.timeout <= 0:
        raise tools.ToolFailed(f"{BINARY} had no time left for the {target}.")
    flags = ["--json", "--no-update", "--no-color"]
    if not job.options.verify_secrets:
        flags.append("--no-verification")
    scratch = job.work / "tmp"
    scratch.mkdir(exist_ok=True)
    child = replace(job, environment={**job.environment, "TMPDIR": str(scratch)})
    output = tools.run(child, program, [*arguments, *flags])
    return read(output.stdout, output.stderr, target, key)


# --- what it printed ------------------------------------------------------------------------------


def read(stdout: bytes, stderr: str, target: str, key: bytes) -> _Part:
    """Results and log of a run that ended with code 0. Raises ``ToolFailed``."""
    log = list(_records(stderr.splitlines()))
    closing = next((one for one in reversed(log) if one.get("msg") == _FINISHED), None)
    wrong = [one for one in log if one.get("level") in _BAD_LEVELS]
    if closing is None:
        raise tools.ToolFailed(f"{BINARY} did not say that it finished the {target}.")
    if not tools.number(closing.get("chunks")):
        raise tools.ToolFailed(f"{BINARY} read nothing of the {target}{_because(wrong)}.")
    hits: list[_Hit] = []
    garbage = 0
    for line in stdout.splitlines():
        if not line.strip():
            continue
        hit = _hit(line, key)
        if hit is None:
            garbage += 1
        elif len(hits) < tools.MAX_ISSUES:
            hits.append(hit)
    if garbage:
        raise tools.ToolFailed(f"{BINARY} printed something that is no result of the {target}.")
    problems = [f"{BINARY} could not read all of the {target}{_because(wrong)}."] if wrong else []
    if len(stderr) >= _MAX_LOG:
        problems.append(f"The log of {BINARY} on the {target} is too long to be read whole.")
    full = len(hits) == tools.MAX_ISSUES
    return _Part(
        hits=tuple(hits),
        state=ScannerState.PARTLY if problems else ScannerState.RAN,
        why=" ".join(problems),
        version=tools.one_line(closing.get("trufflehog_version"), 40),
        left_out=(f"secrets in the {target} after the first {len(hits)}",) if full else (),
    )


def _because(wrong: Sequence[dict[str, Json]]) -> str:
    """The log's own constant text; an error's text may quote what was read."""
    said = dict.fromkeys(tools.one_line(one.get("msg"), 80) for one in wrong)
    return f" ({', '.join(list(said)[:3])})" if said else ""


def _records(lines: Iterable[str | bytes]) -> Iterator[dict[str, Json]]:
    """The objects among lines, some of which may be anything."""
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _hit(line: bytes, key: bytes) -> _Hit | None:
    """One result; ``None`` for anything else."""
    one = next(_records([line]), None)
    if one is None or not isinstance(one.get("DetectorName"), str):
        return None
    data = tools.record(tools.record(one.get("SourceMetadata")).get("Data"))
    source = next((name for name in ("Git", "Filesystem", "Docker") if name in data), "")
    if not source:
        return None
    place = tools.record(data[source])
    values = [one.get("Raw"), one.get("RawV2"), *tools.record(one.get("SecretParts")).values()]
    found = [value for value in values if isinstance(value, str) and len(value) >= _LEAST_SECRET]
    file = tools.text(place.get("file"), 4096)
    if any(value in file for value in found):
        file = ""
    detector = one["DetectorName"]
    decoder = one.get("DecoderName")
    commit = tools.text(place.get("commit"), 64)
    return _Hit(
        detector=detector if _DETECTOR.fullmatch(detector) else "unknown",
        source=source,
        file=file,
        line=tools.number(place.get("line")),
        commit=commit if git.is_id(commit) else "",
        decoder=decoder if isinstance(decoder, str) and _DECODER.fullmatch(decoder) else "",
        verified=one.get("Verified") is True,
        digest=hmac.digest(key, "\0".join(found).encode("utf-8", "replace"), hashlib.sha256),
    )


# --- what it means --------------------------------------------------------------------------------


def _placed(hits: Iterable[_Hit], roots: Sequence[Path]) -> list[_Hit]:
    """Hits in files with paths relative to the checkout, those of copies too, each once."""
    placed: dict[tuple[str, str, int, bytes], _Hit] = {}
    for hit in hits:
        path = Path(hit.file)
        root = next((root for root in reversed(roots) if path.is_relative_to(root)), None)
        relative = path.relative_to(root).as_posix() if root else hit.file.lstrip("/")
        one = replace(hit, file=relative)
        placed.setdefault((one.detector, one.file, one.line, one.digest), one)
    return list(placed.values())


def _issues(files: Sequence[_Hit], history: Sequence[_Hit]) -> tuple[Issue, ...]:
    """A secret that is still in its file stands there; another one is told by its commit."""
    added: dict[tuple[str, str, bytes], str] = {}
    for hit in history:
        added.setdefault((hit.detector, hit.file, hit.digest), hit.commit)
    present = {(hit.detector, hit.file, hit.digest) for hit in files}
    seen: Counter[tuple[str, str]] = Counter()
    issues: list[Issue] = []
    for hit in sorted(files, key=lambda one: (one.file, one.line, one.detector)):
        commit = added.get((hit.detector, hit.file, hit.digest), "")
        where = f"It came with commit {commit[:12]}." if commit else ""
        subject = _numbered(f"file {_shown(hit.file)}", hit, seen)
        issues.append(_issue(hit, subject, where, path=hit.file, line=hit.line))
    gone: dict[tuple[str, str, bytes], _Hit] = {}
    for hit in history:
        if (hit.detector, hit.file, hit.digest) not in present:
            gone.setdefault((hit.detector, hit.file, hit.digest), hit)
    for hit in gone.values():
        place = f"{_shown(hit.file)}, line {hit.line}," if hit.file else "its author or message"
        where = f"Commit {hit.commit[:12]} has it in {place} and later commits do not."
        if not hit.file:
            where = f"Commit {hit.commit[:12]} has it in {place}."
        subject = _numbered(f"commit {hit.commit} {_shown(hit.file)}".rstrip(), hit, seen)
        issues.append(_issue(hit, subject, where))
    return tuple(issues)


def _image_issues(hits: Sequence[_Hit], job: Job) -> tuple[Issue, ...]:
    """Secrets in the image; one in a file that was copied there has that file's subject."""
    seen: Counter[tuple[str, str]] = Counter()
    issues = []
    once = {(hit.detector, hit.file, hit.digest): hit for hit in hits}
    for hit in sorted(once.values(), key=lambda one: (one.file, one.detector, one.digest)):
        copied = _origin(hit.file, job)
        subject = f"file {_shown(copied)}" if copied else f"image {_shown(hit.file)}"
        where = f"The image has it in {_shown(hit.file) or 'a file'}."
        issue = _issue(hit, _numbered(subject, hit, seen), where)
        if not hit.verified and not copied and _PACKAGED.search(hit.file):
            issue = replace(issue, severity="unverified in a package")
        issues.append(issue)
    return tuple(issues)


def _origin(file: str, job: Job) -> str:
    """The file of the context that has the longest common end with a path in the image."""
    if job.checkout is None or job.context is None:
        return ""
    parts = [part for part in file.split("/") if part not in {"", ".", ".."}]
    for start in range(max(len(parts) - _MAX_DEPTH, 0), len(parts)):
        path = job.context.joinpath(*parts[start:])
        if path.is_file():
            return tools.inside(job.checkout, path)
    return ""


def _numbered(subject: str, hit: _Hit, seen: Counter[tuple[str, str]]) -> str:
    """The second and further secrets of a kind in one place are told by their order."""
    seen[hit.detector, subject] += 1
    count = seen[hit.detector, subject]
    return subject if count == 1 else f"{subject} ({count})"


def _shown(file: str) -> str:
    return tools.one_line(file)


def _issue(hit: _Hit, subject: str, where: str, path: str = "", line: int = 0) -> Issue:
    asked = "its service accepted it" if hit.verified else "whether it is valid is not known"
    decoded = f", {hit.decoder} decoded" if hit.decoder not in {"", "PLAIN"} else ""
    message = f"A credential of the kind {hit.detector}{decoded}; {asked}."
    return Issue(
        rule=hit.detector,
        kind=IssueKind.SECRET,
        severity="verified" if hit.verified else "unverified",
        title=f"A credential: {hit.detector}",
        message=f"{message} {where}".rstrip(),
        subject=subject,
        path=path,
        line=line,
        end_line=line,
        fix=FIX,
        verified=hit.verified,
        cwe=(798,),
    )
