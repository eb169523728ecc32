"""What no tool says of the Dockerfile of an MCP server, as a scanner like the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mcp_sandbox import __version__
from mcp_sandbox.model import Issue, IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners import run as tools
from mcp_sandbox.scanners.dockerfile_rules import RULES, Dockerfile, DockerfileRule, Hit
from mcp_sandbox.scanners.instructions import MAX_BYTES, DockerfileError, parse, stages
from mcp_sandbox.scanners.job import Job, Stage

NAME = "mcp-dockerfile"


def final_from_line(source: bytes) -> int:
    """The line of the final stage's ``FROM``, from 1; 0 when the Dockerfile does not parse."""
    try:
        instructions = parse(source)
    except DockerfileError:
        return 0
    return max(one.line for one in instructions if one.keyword == "FROM" and not one.trigger)


@dataclass(frozen=True)
class DockerfileScanner:
    """The rules on the Dockerfile that is built."""

    name: str = NAME
    stage: Stage = Stage.CHECKOUT

    def run(self, job: Job) -> ScannerRun:
        """See ``Scanner.run``."""
        if job.checkout is None or not job.dockerfile:
            return ScannerRun(NAME, ScannerState.NOT_USED, "There is no Dockerfile.")
        return tools.outcome(NAME, lambda: _scan(job))


def _scan(job: Job) -> ScannerRun:
    assert job.checkout is not None  # noqa: S101 - ``run`` looked
    source = tools.read(job.checkout, job.dockerfile, MAX_BYTES)
    if source is None:
        raise tools.ToolFailed(
            f"The Dockerfile is no readable file of at most {MAX_BYTES // 2**20} MiB."
        )
    try:
        found = issues(source, job.dockerfile)
    except DockerfileError as error:
        raise tools.ToolFailed(
            f"The Dockerfile does not parse at line {error.line}: {error.what}."
        ) from error
    return ScannerRun(NAME, ScannerState.RAN, version=__version__, issues=found)


def issues(source: bytes, path: str) -> tuple[Issue, ...]:
    """Every hit of every rule, by line. Raises ``DockerfileError``."""
    instructions = parse(source)
    first = next(at for at, one in enumerate(instructions) if one.keyword == "FROM")
    dockerfile = Dockerfile(stages(instructions), instructions[:first])
    seen: Counter[tuple[str, str]] = Counter()
    found: list[Issue] = []
    for rule in RULES:
        once = dict.fromkeys(rule.check(dockerfile))
        for hit in sorted(once, key=lambda one: (one.line, one.subject)):
            seen[rule.id, hit.subject] += 1
            found.append(_issue(rule, hit, seen[rule.id, hit.subject], path))
    found.sort(key=lambda one: (one.line, one.rule, one.subject))
    return tuple(found[: tools.MAX_ISSUES])


def _issue(rule: DockerfileRule, hit: Hit, count: int, path: str) -> Issue:
    subject = tools.one_line(hit.subject)
    return Issue(
        rule=rule.id,
        kind=IssueKind.DOCKERFILE,
        severity=hit.severity or rule.severity,
        title=rule.title,
        message=tools.one_line(hit.message, 1000),
        subject=subject if count == 1 else f"{subject} ({count})",
        path=path,
        line=hit.line,
        end_line=hit.line,
        fix=rule.fix,
        cwe=rule.cwe,
    )
