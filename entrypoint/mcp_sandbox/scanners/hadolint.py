"""Hadolint on the Dockerfile that is built.

The Dockerfile is read by us and given on standard input, so that no link of the checkout can show
Hadolint another file. Its comments that silence rules are switched off, and ShellCheck's, which no
option switches off, are made void before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.model import Issue, IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners.hadolint_rules import rule
from mcp_sandbox.scanners.instructions import MAX_BYTES, DockerfileError, Instruction, parse
from mcp_sandbox.scanners.job import Job, Stage
from mcp_sandbox.scanners.run import (
    MAX_ISSUES,
    ToolFailed,
    find,
    inside,
    number,
    one_line,
    outcome,
    parsed,
    read,
    records,
    run,
    text,
)

TOOL = "Hadolint"
PARSE_ERROR = "DL1000"

_CODE = re.compile(r"(?:DL|SC)\d{3,5}$")
_LEVELS = frozenset({"error", "warning", "info", "style"})
_CONFIGURATION = (".hadolint.yaml", ".hadolint.yml")
_PRAGMA = re.compile(
    rb"^[ \t]*#[ \t]*hadolint[ \t]+(?:global[ \t]+)?ignore[ \t]*=.*", re.IGNORECASE | re.MULTILINE
)
_SHELLCHECK = re.compile(rb"(#[ \t]*)shellcheck(?=[ \t])")
_MAX_DISOBEYED = 100


@dataclass(frozen=True)
class Hadolint:
    """Hadolint; it needs no image."""

    name: str = TOOL
    stage: Stage = Stage.CHECKOUT

    def run(self, job: Job) -> ScannerRun:
        """Lint the Dockerfile; see ``Scanner``."""
        if job.checkout is None or not job.dockerfile:
            return ScannerRun(TOOL, ScannerState.NOT_USED)
        return outcome(TOOL, lambda: _scan(job))


def _scan(job: Job) -> ScannerRun:
    program = find("hadolint", job)
    assert job.checkout is not None  # noqa: S101 - asked above
    source = read(job.checkout, job.dockerfile, MAX_BYTES)
    if source is None:
        raise ToolFailed(
            f"{job.dockerfile} is not a file of at most {MAX_BYTES // 2**20} MiB in the checkout."
        )
    # As JSON, which is YAML: hadolint refuses an empty configuration.
    config = job.work / "hadolint.yaml"
    try:
        config.write_text('{"ignored": []}\n')
    except OSError as error:
        raise ToolFailed(f"{config.name} cannot be written: {error.strerror}.") from error
    output = run(
        job,
        program,
        (
            "--format=json",
            "--no-fail",
            "--no-color",
            "--disable-ignore-pragma",
            *("--config", str(config)),
            "-",
        ),
        stdin=_SHELLCHECK.sub(rb"\1unheeded", source),
    )
    issues, left_out = parse_report(output.stdout, job.dockerfile, source)
    return ScannerRun(
        tool=TOOL,
        state=ScannerState.RAN,
        version=_version(run(job, program, ("--version",)).stdout),
        issues=issues,
        disobeyed=(*_configuration(job), *_comments(job.dockerfile, source)),
        left_out=left_out,
    )


def parse_report(
    output: bytes, path: str, source: bytes
) -> tuple[tuple[Issue, ...], tuple[str, ...]]:
    """Hadolint's JSON as issues on whole lines, and what was left out.

    Raises ``ToolFailed`` for what is no such JSON, and when Hadolint could not parse ``source``.
    """
    found = parsed("hadolint", output)
    entries = records(found)
    if not isinstance(found, list) or len(entries) != len(found):
        raise ToolFailed("hadolint printed JSON that is not its list of findings.")
    try:
        instructions = parse(source)
    except DockerfileError as error:
        if not entries:
            # Hadolint finds nothing wrong with a file that builds nothing.
            why = f"Hadolint has nothing to say of {path}, but it is no Dockerfile: {error.what}."
            raise ToolFailed(why) from error
        instructions = ()
    issues: list[Issue] = []
    seen: Counter[tuple[str, str]] = Counter()
    for entry in entries[:MAX_ISSUES]:
        code, level = one_line(entry.get("code"), 20), one_line(entry.get("level"), 20)
        line = number(entry.get("line"))
        if not _CODE.match(code) or level not in _LEVELS or not line:
            raise ToolFailed("hadolint printed a finding without a code, a level or a line.")
        if code == PARSE_ERROR:
            said = one_line(entry.get("message")).removesuffix(".")
            raise ToolFailed(f"Hadolint cannot parse {path}, line {line}: {said}.")
        keyword, last = _instruction(instructions, line)
        seen[code, keyword] += 1
        count = seen[code, keyword]
        known = rule(code)
        issues.append(
            Issue(
                rule=code,
                kind=IssueKind.DOCKERFILE,
                severity=level,
                title=known.title,
                message=text(f"{one_line(entry.get('message'), 900).removesuffix('.')}."),
                subject=f"file {path}, {keyword}{f' {count}' if count > 1 else ''}",
                path=path,
                line=line,
                end_line=max(line, last),
                fix=known.fix,
                url=known.url,
            )
        )
    over = len(entries) > MAX_ISSUES
    return tuple(issues), ((f"Hadolint: all after the first {MAX_ISSUES}",) if over else ())


def _instruction(instructions: tuple[Instruction, ...], line: int) -> tuple[str, int]:
    """Keyword and last line of what stands on ``line``."""
    for one in instructions:
        if one.line <= line <= one.end_line:
            return one.keyword, one.end_line
    return "file", line


def _version(output: bytes) -> str:
    return one_line(output.decode("utf-8", "replace")).removeprefix("Haskell Dockerfile Linter ")


def _configuration(job: Job) -> Iterator[str]:
    """Hadolint's own files in the checkout, which were not read."""
    assert job.checkout is not None  # noqa: S101 - asked above
    folders = (job.checkout, job.context, (job.checkout / job.dockerfile).parent)
    found = (
        inside(job.checkout, folder / name)
        for folder in folders
        if folder is not None
        for name in _CONFIGURATION
        if (folder / name).is_file()
    )
    for path in dict.fromkeys(found):
        if path:
            yield f"{path}:1: configuration of Hadolint"


def _comments(path: str, source: bytes) -> Iterator[str]:
    """Comments that would silence a rule."""
    count = 0
    for line, content in enumerate(source.split(b"\n"), 1):
        if _PRAGMA.match(content) or _SHELLCHECK.search(content):
            count += 1
            if count > _MAX_DISOBEYED:
                return
            yield text(f"{path}:{line}: {one_line(content.decode('utf-8', 'replace'), 100)}")


CHECKOUT = Hadolint()
