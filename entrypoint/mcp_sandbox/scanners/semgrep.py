"""Semgrep with rules of our own over the source that is built.

It is given copies: the sources of the context under neutral names, in a folder of ours. So no
ignore file, no link and no name of the checkout has a say, and Git is never asked about a
repository that somebody else has set up.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath

import yaml

from mcp_sandbox.model import Confidence, Issue, IssueKind, Json, ScannerRun, ScannerState
from mcp_sandbox.scanners import run as tools
from mcp_sandbox.scanners.job import Job, Stage

NAME = "Semgrep"
RULES = Path(__file__).parent / "semgrep_rules"

MAX_FILE = 10**6
"""Bytes of a source that is looked at."""
MAX_FILES = 20_000
MAX_TOTAL = 200 * 10**6
MAX_ENTRIES = 500_000
"""Entries of folders that are walked through."""
_MAX_SHOWN = 100
_SECONDS_A_FILE = 10
_MEMORY = 1500
"""MiB for one file and one rule, above which Semgrep gives that file up."""

_SUFFIXES = frozenset({".py", ".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx", ".go"})
_FOREIGN = frozenset(
    {".git", ".venv", "venv", "node_modules", "site-packages", "bower_components", "__pycache__"}
)
_TESTS = frozenset({"test", "tests", "__tests__", "testdata"})
_TEST_FILE = re.compile(r"test_.*\.py|conftest\.py|.*_test\.(py|go)|.*\.(test|spec)\.[cm]?[jt]sx?")
_OWN = re.compile(r"\.semgrepignore|\.semgrep|\.?semgrep\.ya?ml|\.semgrepconfig(\.ya?ml)?")
_PRAGMA = re.compile(rb"\bnosem(grep)?\b")


@dataclass(frozen=True)
class SourceRule:
    """What a rule of ours says of itself."""

    id: str
    title: str
    message: str
    severity: str
    """``critical``, ``high``, ``medium`` or ``low``: what a caller gains if it is true."""
    confidence: Confidence
    languages: tuple[str, ...]
    cwe: tuple[int, ...]
    fix: str


@cache
def catalogue() -> tuple[SourceRule, ...]:
    """Every rule, by id."""
    rules = [
        SourceRule(
            id=rule["id"],
            title=rule["metadata"]["title"],
            message=rule["message"],
            severity=rule["severity"].lower(),
            confidence=Confidence(rule["metadata"]["confidence"]),
            languages=tuple(rule["languages"]),
            cwe=tuple(rule["metadata"]["cwe"]),
            fix=rule["metadata"]["fix"],
        )
        for path in RULES.glob("*.yaml")
        for rule in yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    ]
    return tuple(sorted(rules, key=lambda rule: rule.id))


@dataclass
class _Sources:
    """What was copied, and what was not."""

    names: dict[str, str] = field(default_factory=dict)
    """Name of the copy -> path relative to the checkout."""
    tests: int = 0
    disobeyed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Semgrep:
    """Our rules over the folder that is built; without one, over the checkout."""

    name = NAME
    stage = Stage.CHECKOUT

    def run(self, job: Job) -> ScannerRun:
        """Scan; every failure is in the result."""
        if job.checkout is None:
            return ScannerRun(NAME, ScannerState.NOT_USED, "There is no checkout.")
        root, folder = job.checkout, job.context or job.checkout
        return tools.outcome(NAME, lambda: _scan(job, root, folder))


def _scan(job: Job, root: Path, folder: Path) -> ScannerRun:
    program = tools.find("semgrep", job)
    try:
        with tempfile.TemporaryDirectory(dir=job.work) as work:
            copies = Path(work, "sources")
            copies.mkdir()
            sources = _copy(root, folder, copies)
            if not sources.names:
                return _result(sources, {}, "")
            return _semgrep(job, program, Path(work), copies, sources)
    except OSError as error:
        raise tools.ToolFailed(
            f"The sources could not be copied for Semgrep: {error.strerror or error}."
        ) from error


def _semgrep(job: Job, program: Path, work: Path, copies: Path, sources: _Sources) -> ScannerRun:
    # It is the root's ignore file that decides; without one Semgrep has a list of its own.
    (copies / ".semgrepignore").write_bytes(b"")
    child = replace(
        job,
        work=work,
        environment={
            **job.environment,
            "HOME": str(work),
            "SEMGREP_SETTINGS_FILE": str(work / "settings.yml"),
            "SEMGREP_LOG_FILE": str(work / "semgrep.log"),
            "SEMGREP_SEND_METRICS": "off",
            "SEMGREP_ENABLE_VERSION_CHECK": "0",
        },
    )
    output = tools.run(
        child,
        program,
        (
            "scan",
            f"--config={RULES}",
            "--no-rewrite-rule-ids",
            "--metrics=off",
            "--disable-version-check",
            "--disable-nosem",
            "--no-git-ignore",
            "--oss-only",
            "--json",
            "--quiet",
            "--jobs=2",
            f"--timeout={_SECONDS_A_FILE}",
            "--timeout-threshold=3",
            f"--max-memory={_MEMORY}",
            f"--max-target-bytes={MAX_FILE}",
            str(copies),
        ),
    )
    report = tools.record(tools.parsed("semgrep", output.stdout))
    if not isinstance(report.get("results"), list):
        raise tools.ToolFailed("semgrep printed JSON without results.")
    return _result(sources, report, tools.one_line(report.get("version")))


def _result(sources: _Sources, report: Mapping[str, Json], version: str) -> ScannerRun:
    left_out = [*sources.left_out, *_errors(sources, report)]
    issues = sorted(
        _issues(sources, report), key=lambda issue: (issue.path, issue.line, issue.rule)
    )
    if len(issues) > tools.MAX_ISSUES:
        left_out.append(f"{len(issues) - tools.MAX_ISSUES} more issues")
        del issues[tools.MAX_ISSUES :]
    hidden = len(left_out) - _MAX_SHOWN
    return ScannerRun(
        tool=NAME,
        state=ScannerState.PARTLY if left_out else ScannerState.RAN,
        why="Some of the sources were not looked at, or not whole." if left_out else "",
        version=version,
        details={
            "rules": str(len(catalogue())),
            "files": str(len(sources.names)),
            "files of tests, left out": str(sources.tests),
        },
        issues=tuple(issues),
        disobeyed=tuple(sources.disobeyed[:_MAX_SHOWN]),
        left_out=(*left_out[:_MAX_SHOWN], *([f"{hidden} more"] if hidden > 0 else [])),
    )


def _issues(sources: _Sources, report: Mapping[str, Json]) -> Iterator[Issue]:
    known = {rule.id: rule for rule in catalogue()}
    for result in tools.records(report.get("results")):
        rule = known.get(tools.text(result.get("check_id")))
        path = sources.names.get(PurePosixPath(tools.text(result.get("path"))).name)
        if rule is None or path is None:
            raise tools.ToolFailed("semgrep reports a rule or a file that it was not given.")
        yield Issue(
            rule=rule.id,
            kind=IssueKind.SOURCE,
            severity=rule.severity,
            title=rule.title,
            message=rule.message,
            subject=f"file {path}",
            path=path,
            line=tools.number(tools.record(result.get("start")).get("line")),
            end_line=tools.number(tools.record(result.get("end")).get("line")),
            fix=rule.fix,
            cwe=rule.cwe,
            confidence=rule.confidence,
        )


def _errors(sources: _Sources, report: Mapping[str, Json]) -> list[str]:
    """What Semgrep could not read, and what it passed over in silence."""
    found: dict[str, str] = {}
    for error in tools.records(report.get("errors")):
        path = sources.names.get(PurePosixPath(tools.text(error.get("path"))).name)
        if path is None:
            raise tools.ToolFailed(f"semgrep says: {_without_folders(error.get('message'))}")
        kind = error.get("type")
        if isinstance(kind, list) and kind:
            kind = kind[0]
        found.setdefault(path, tools.one_line(kind, 80) or "error")
    if report:
        scanned = tools.record(report.get("paths")).get("scanned")
        seen = {
            PurePosixPath(path).name
            for path in (scanned if isinstance(scanned, list) else [])
            if isinstance(path, str)
        }
        for name, path in sources.names.items():
            if name not in seen:
                found.setdefault(path, "passed over")
    return [f"{path}: {why}" for path, why in sorted(found.items())]


def _without_folders(message: Json) -> str:
    return re.sub(r"/\S*/", "", tools.one_line(message)) or "an error without words."


# --- the copies -----------------------------------------------------------------------------------


def _copy(root: Path, folder: Path, target: Path) -> _Sources:
    sources, total, inside = _Sources(), 0, tools.inside(root, folder)
    for relative in _walk(folder, inside, sources):
        shown = _shown(PurePosixPath(inside, relative))
        data = tools.read(folder, relative, MAX_FILE)
        if data is None:
            sources.left_out.append(f"{shown}: larger than {MAX_FILE} bytes, or not to be read")
            continue
        total += len(data)
        if len(sources.names) >= MAX_FILES or total > MAX_TOTAL:
            sources.left_out.append(f"{shown} and all after it: too many sources")
            break
        name = f"{len(sources.names):06}{PurePosixPath(relative).suffix}"
        (target / name).write_bytes(data)
        sources.names[name] = shown
        if len(sources.disobeyed) < _MAX_SHOWN and _PRAGMA.search(data):
            sources.disobeyed += (
                f"{shown}:{number}: nosemgrep"
                for number, line in enumerate(data.split(b"\n"), start=1)
                if _PRAGMA.search(line)
            )
    return sources


def _walk(folder: Path, inside: str, sources: _Sources) -> Iterator[str]:
    """Sources below ``folder``, relative to it, in an order that is equal over runs."""
    entries = 0
    for here, folders, names in os.walk(folder):
        folders.sort()
        entries += len(folders) + len(names)
        if entries > MAX_ENTRIES:
            sources.left_out.append("what comes after too many files")
            return
        below = Path(here).relative_to(folder)
        sources.disobeyed += (
            f"{_shown(PurePosixPath(inside, below, name))}: not read"
            for name in sorted((*folders, *names))
            if _OWN.fullmatch(name)
        )
        in_tests = not _TESTS.isdisjoint(below.parts)
        folders[:] = [
            name
            for name in folders
            if name not in _FOREIGN and not (Path(here, name) / "pyvenv.cfg").exists()
        ]
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix not in _SUFFIXES or path.is_symlink():
                continue
            if in_tests or _TEST_FILE.fullmatch(name):
                sources.tests += 1
            else:
                yield (below / name).as_posix()


def _shown(path: PurePosixPath) -> str:
    return tools.one_line(os.fsencode(path).decode("utf-8", "replace"), 1000)
