"""Fetch one commit of a repository: bounded, asked for no password, nothing of it is run.

No hook, no filter (so none of LFS), no submodule, and no protocol but the one that is named. What
a commit holds is measured before it is written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from mcp_sandbox import git, proc
from mcp_sandbox.errors import IndexUnreachable, SandboxError, SourceUnusable
from mcp_sandbox.sources import recipe
from mcp_sandbox.sources.names import Source

MAX_BYTES = 480 * 2**20
"""Of the files of a commit: less than a build may be sent."""
MAX_PACK = 512 * 2**20
"""Bytes that are fetched."""
MAX_FILES = 50_000
MAX_LISTING = 32 * 2**20
TIMEOUT = 300.0
"""Seconds for each command."""
PROTOCOL = "https"
FOLDER = "checkout"

_BLOCK = 512
"""Bytes of what a shell's ``ulimit -f`` counts in (POSIX)."""
_LENT = ("GIT_SSL_CAINFO", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "credential.helper=", "-c", "fetch.unpackLimit=1", "-c", "fetch.recurseSubmodules=no"),
    *("-c", "core.bigFileThreshold=8m", "-c", "pack.threads=1", "-c", "http.lowSpeedLimit=1000"),
    *("-c", "http.lowSpeedTime=60", "-c", "advice.detachedHead=false"),
)
_NO_REF = re.compile(
    r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object|"
    r"invalid refspec"
)
_REFUSED = re.compile(
    r"repository '.{0,600}' not found|Authentication failed|could not read Username|"
    r"returned error: 403|does not appear to be a git repository|"
    r"not valid: is this a git repository"
)


def fetch(
    source: Source, folder: Path, environment: Mapping[str, str], *, protocol: str = PROTOCOL
) -> str:
    """Write the files of ``source.version`` to ``folder/FOLDER``; returns the commit's id.

    ``folder`` is there. ``environment``: where PATH, proxies and ``GIT_SSL_CAINFO`` are looked up.
    Raises ``SourceUnusable`` for a ref that is not there, a repository that is not there or asks
    for a password, and one that is too large; ``IndexUnreachable`` otherwise.
    """
    return _Fetching(source, folder, environment, protocol).run()


def commit(folder: Path) -> str:
    """The commit that ``fetch`` wrote there."""
    return (folder / ".git" / "HEAD").read_text("ascii").strip()


class _Fetching:
    """One fetch."""

    def __init__(
        self, source: Source, folder: Path, environment: Mapping[str, str], protocol: str
    ) -> None:
        self._source = source
        self._work = folder
        self._tree = folder / FOLDER
        self._environment = proc.allowed_environment(
            environment,
            extra=_LENT,
            **git.environment(folder, self._tree, protocol),
            GIT_ASKPASS="/bin/false",
            GIT_LFS_SKIP_SMUDGE="1",
            LC_ALL="C",
            HOME=str(folder),
        )

    def run(self) -> str:
        self._tree.mkdir()
        self._git("init", "--quiet", "--template=")
        ref = self._source.version
        self._git(
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"),
            *("--", self._source.name, ref),
        )
        commit = self._git("rev-parse", "--verify", "FETCH_HEAD^{commit}").strip().decode()
        if not git.is_id(commit):
            raise self._wrong("names no commit")
        self._measure(commit)
        self._git("checkout", "--quiet", "--detach", commit)
        return commit

    def _measure(self, commit: str) -> None:
        """Refuse what is too large before it is written."""
        listing = self._work / "listing"
        with listing.open("w+b") as spool:
            self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, spool=spool)
            spool.seek(0)
            entries = spool.read().split(b"\0")
        listing.unlink()
        sizes = [entry.split(None, 4)[3] for entry in entries if entry]
        if len(sizes) > MAX_FILES:
            raise self._wrong(f"holds more than {MAX_FILES} files")
        if sum(int(size) for size in sizes if size.isdigit()) > MAX_BYTES:
            raise self._wrong(f"holds more than {MAX_BYTES // 2**20} MiB")

    def _git(self, *arguments: str, spool: BinaryIO | None = None) -> bytes:
        # A file of git's may not grow beyond what may be fetched.
        limited = ("sh", "-c", f'ulimit -f {MAX_PACK // _BLOCK}; exec git "$@"', "git")
        try:
            result = proc.run(
                (*limited, *_OPTIONS, *arguments),
                environment=self._environment,
                timeout=TIMEOUT,
                cwd=self._tree,
                spool=spool,
                spool_bytes=MAX_LISTING,
            )
        except OSError as error:
            raise IndexUnreachable(
                f"git cannot be run ({error.strerror}).", next_step="Install git."
            ) from error
        if result.succeeded:
            return result.stdout
        raise self._failed(result)

    def _full(self) -> bool:
        """Whether a file of git's has grown to its limit; git itself only says that one failed."""
        packs = (self._tree / ".git" / "objects" / "pack").glob("*")
        return any(path.stat().st_size >= MAX_PACK // _BLOCK * _BLOCK for path in packs)

    def _wrong(self, what: str) -> SourceUnusable:
        return SourceUnusable(f"{self._source.text} {what}.")

    def _failed(self, result: proc.ProcessResult) -> SandboxError:
        said = result.stderr.decode("utf-8", "replace")
        detail = recipe.last_lines(said)
        if result.overflowed or self._full():
            return self._wrong(f"is larger than {MAX_PACK // 2**20} MiB, or has too many files")
        if result.timed_out:
            return IndexUnreachable(
                f"{self._source.name} was not fetched within {TIMEOUT:.0f} seconds.", detail=detail
            )
        if _NO_REF.search(said):
            return SourceUnusable(
                f"{self._source.name} has no ref {self._source.version!r}.",
                next_step="Name a branch, a tag or the full id of a commit after the `@`.",
                detail=detail,
            )
        if _REFUSED.search(said):
            return SourceUnusable(
                f"{self._source.name} is not there, is no repository, or asks for a password.",
                next_step="Check the address; check a private repository out, and scan its folder.",
                detail=detail,
            )
        return IndexUnreachable(
            f"{self._source.name} could not be fetched.",
            next_step="Check the network, and try again.",
            detail=detail,
        )
