"""One file of one commit, read from the repository of a checkout and proved to be of that commit.

The commit's id comes from who may be trusted (the event); the repository may not. So every object
on the way, commit, folders, file, is hashed here again: what a forged object store, a replaced or a
grafted object would give is refused. ``git cat-file`` runs no hook, filter or text conversion.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox import git, interrupts, proc
from mcp_sandbox.errors import BadInput

MAX_COMMIT = 2**20
MAX_FOLDER = 16 * 2**20
"""Bytes of one folder's list: about 300,000 files."""
MAX_DEPTH = 64
TIMEOUT = 60.0
"""Seconds for one question."""

_FOLDER = b"40000"
_LINK = b"120000"
_SUBMODULE = b"160000"
_LENGTHS = {40: "sha1", 64: "sha256"}
"""Characters of an id -> what made it."""
_PARTIAL = "The files of the base commit are not in the checkout: check out without a filter."


class NotAtHand(Exception):
    """The commit, or what belongs to it, cannot be read here; the text says why and the way out."""


@dataclass(frozen=True)
class _Repository:
    """A checkout and how git is started for it."""

    root: Path
    program: str
    environment: Mapping[str, str]
    work: Path

    def ask(self, how: str, object_id: str, most: int) -> bytes:
        """What ``cat-file`` prints of an object. Raises ``NotAtHand``."""
        # The folder of the repository is named: a search could find one within the checkout.
        argv = [self.program, f"--git-dir={self.root / '.git'}", "cat-file", how]
        try:
            with tempfile.TemporaryFile(dir=self.work) as spool:
                done = proc.run(
                    argv,
                    environment=self.environment,
                    timeout=TIMEOUT,
                    stdin=object_id.encode("ascii") + b"\n",
                    cwd=self.work,
                    spool=spool,
                    spool_bytes=most,
                )
                spool.seek(0)
                text = spool.read()
        except OSError as error:
            raise NotAtHand(f"git could not be run: {error.strerror}.") from error
        if done.timed_out:
            raise NotAtHand(f"git was not done after {TIMEOUT:g} seconds.")
        if b"promisor remote" in done.stderr:
            raise NotAtHand(_PARTIAL)
        if not done.succeeded:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = said[-1][:300] if said else f"it ended with {done.exit_code}"
            raise NotAtHand(f"git cannot read the repository in {self.root} ({why}).")
        return text

    def size(self, object_id: str) -> int | None:
        """Bytes of an object; ``None`` when it is not there."""
        words = self.ask("--batch-check", object_id, 1024).split()
        with suppress(IndexError, ValueError):
            if words[0] == object_id.encode("ascii"):
                return int(words[2])
        return None

    def content(self, object_id: str, kind: str, size: int) -> bytes:
        """An object that is there, hashed again. Raises ``NotAtHand``."""
        answer = self.ask("--batch", object_id, size + 1024)
        head, _, rest = answer.partition(b"\n")
        data = rest[:size]
        made = hashlib.new(_LENGTHS[len(object_id)], f"{kind} {len(data)}\0".encode("ascii") + data)
        if len(data) != size or made.hexdigest() != object_id:
            said = head.decode("ascii", "replace")[:100]
            raise NotAtHand(
                f"The repository gives something else than the {kind} {object_id} ({said})."
            )
        return data


def read(
    root: Path, commit: str, path: str, *, most: int, environment: Mapping[str, str]
) -> bytes | None:
    """The file at ``path`` in ``commit``; ``None`` when the commit has no such file.

    ``root``: the folder that holds ``.git``. ``path`` is relative to it, ``/``-separated.
    ``environment``: where git is looked for. Raises ``NotAtHand``, and ``BadInput`` for
    something else than a file of at most ``most`` bytes.
    """
    if not git.is_id(commit):
        raise NotAtHand(f"{commit[:80]!r} is no whole commit id.")
    parts = [os.fsencode(part) for part in path.split("/")]
    if len(parts) > MAX_DEPTH:
        raise NotAtHand(f"{path[:200]} is deeper than {MAX_DEPTH} folders.")
    program = shutil.which("git", path=environment.get("PATH", ""))
    if program is None:
        raise NotAtHand("git is not installed: install it, or name a file.")
    if not (root / ".git").exists():
        raise NotAtHand(
            f"{root} is in no git repository: its checkout has to keep the folder .git."
        )
    with interrupts.temporary_folder("mcp-sandbox-git-") as folder:
        own = git.environment(folder, root) | {"HOME": str(folder), "LC_ALL": "C"}
        seen = proc.allowed_environment(environment) | own
        repository = _Repository(root, str(Path(program).absolute()), seen, folder)
        return _file(repository, commit, parts, path, most)


def _file(
    repository: _Repository, commit: str, parts: list[bytes], path: str, most: int
) -> bytes | None:
    size = repository.size(commit)
    if size is None or size > MAX_COMMIT:
        raise NotAtHand(_absent(repository.root, commit))
    first = repository.content(commit, "commit", size).partition(b"\n")[0]
    here = first.removeprefix(b"tree ").decode("ascii", "replace")
    if len(here) != len(commit) or not git.is_id(here):
        raise NotAtHand(f"{commit} is no commit as git writes one.")
    origin = f"{path} of commit {commit[:12]}"
    for number, part in enumerate(parts, 1):
        mode, here = _entry(_folder(repository, here), part, len(commit) // 2)
        if not mode:
            return None
        if mode == _LINK:
            raise BadInput(
                f"{origin} is, or lies behind, a link.",
                next_step="Commit the file itself where it is looked for.",
            )
        if mode == _SUBMODULE:
            raise NotAtHand(
                f"{origin} lies in a submodule: name a file outside of it, and scan the "
                "submodule's own repository in its own workflow."
            )
        if (mode == _FOLDER) is (number == len(parts)):
            return None
    size = repository.size(here)
    if size is None:
        raise NotAtHand(_PARTIAL)
    if size > most:
        raise BadInput(
            f"{origin} has {size} bytes, more than the {most} that it may have.",
            next_step="Write it again with `mcp-sandbox baseline write`.",
        )
    return repository.content(here, "blob", size)


def _folder(repository: _Repository, tree: str) -> bytes:
    size = repository.size(tree)
    if size is None:
        raise NotAtHand(_PARTIAL)
    if size > MAX_FOLDER:
        raise NotAtHand("A folder of the base commit holds too many files.")
    return repository.content(tree, "tree", size)


def _entry(tree: bytes, name: bytes, digest: int) -> tuple[bytes, str]:
    """Mode and object id of an entry; two empty ones when there is none. ``digest`` in bytes."""
    at = 0
    while at < len(tree):
        space = tree.find(b" ", at)
        end = tree.find(b"\0", space)
        if space < 0 or end < 0:
            break
        if tree[space + 1 : end] == name:
            return tree[at:space], tree[end + 1 : end + 1 + digest].hex()
        at = end + 1 + digest
    return b"", ""


def _absent(root: Path, commit: str) -> str:
    """Why a commit is not there, and the way out."""
    told = f"The base commit {commit[:12]} is not in the checkout"
    dot_git = root / ".git"
    if dot_git.is_file() and not _is_worktree(dot_git):
        return (
            f"{told}: {root.name} is a submodule, which has a history of its own. Name a file "
            "outside of it, or scan it in the workflow of its own repository."
        )
    return f"{told}: check out with `fetch-depth: 0`, or fetch that commit."


def _is_worktree(dot_git: Path) -> bool:
    """Whether ``.git`` leads to one more working tree of a repository, and not to a submodule."""
    try:
        with dot_git.open("rb") as file:
            target = os.fsdecode(file.read(4096)).removeprefix("gitdir:").strip()
        return (dot_git.parent / target / "commondir").is_file()
    except (OSError, ValueError):
        return False
