"""The commits of a pull request, as git has them in the checkout.

The repository's own configuration is the author's: see ``git``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mcp_sandbox import git
from mcp_sandbox.model import ScannerState
from mcp_sandbox.scanners import run as tools
from mcp_sandbox.scanners.job import Job


@dataclass(frozen=True)
class Commits:
    """Which commits are to be read; ``told`` says how many, or why none."""

    told: str
    ids: tuple[str, ...] = ()
    head: str = ""
    since: str = ""
    """The newest commit that ``git log HEAD`` shows after all of ``ids``; empty when none does."""
    state: ScannerState = ScannerState.RAN
    why: str = ""


def of_pull_request(job: Job, root: Path) -> Commits:
    """The commits of ``job.base..job.head``. Raises ``ToolFailed`` when git breaks."""
    if not job.base or not job.head:
        return Commits("none: base and head are not known")
    if job.base == job.head:
        return Commits("none: base and head are the same commit")
    try:
        return _between(_Git(job, root), job.base, job.head)
    except _UnreadError as error:
        why = f"The commits of the pull request were not read: {error}."
        return Commits(f"not read: {error}", state=ScannerState.PARTLY, why=why)


class _UnreadError(Exception):
    """Why the commits cannot be listed."""


class _Git:
    """Questions to git that run nothing of the repository's choice."""

    def __init__(self, job: Job, root: Path) -> None:
        if not git.is_id(job.base) or not git.is_id(job.head):
            raise _UnreadError("base or head is no commit id")
        if not (root / ".git").exists():
            raise _UnreadError("the checkout is no git repository")
        try:
            self._program = tools.find("git", job)
        except tools.ToolMissing as error:
            raise _UnreadError("git is not installed") from error
        own = git.environment(job.work, root)
        self._job = replace(job, environment={**job.environment, **own})
        self._root = root
        shallow = self.ask("rev-parse", "--is-shallow-repository")
        if shallow is None:
            raise _UnreadError("git cannot read the checkout")
        self.advice = "; check out with `fetch-depth: 0`" if shallow == ["true"] else ""

    def ask(self, *arguments: str) -> list[str] | None:
        """The words of the answer; ``None`` for no."""
        accept = frozenset({0, 1, 128})
        command = ["-C", str(self._root), *arguments]
        done = tools.run(self._job, self._program, command, accept=accept)
        return None if done.exit_code else done.stdout.decode("ascii", "replace").split()


def _between(git: _Git, base: str, head: str) -> Commits:
    for name, commit in (("base", base), ("head", head)):
        if git.ask("cat-file", "-e", f"{commit}^{{commit}}") is None:
            raise _UnreadError(
                f"the {name} commit {commit[:12]} is not in the checkout{git.advice}"
            )
    if git.ask("merge-base", base, head) is None:
        raise _UnreadError(f"base and head have no commit in common in the checkout{git.advice}")
    ids = git.ask("rev-list", f"{base}..{head}")
    order = git.ask("rev-list", head)
    if ids is None or order is None:
        raise _UnreadError("git cannot list the commits")
    if not ids:
        return Commits("none: head holds nothing that base does not")
    # A merged branch may be older than the base: stop only after the last commit of the range.
    wanted = set(ids)
    last = max(at for at, one in enumerate(order) if one in wanted)
    since = order[last + 1] if last + 1 < len(order) else ""
    return Commits(str(len(ids)), tuple(ids), head, since)
