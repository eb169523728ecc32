"""Which lock file counts: read from the base commit with git, or told why it cannot be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mcp_sandbox import locate
from mcp_sandbox.baseline import objects
from mcp_sandbox.baseline.finding import Checkout, Found, Wanted, find
from mcp_sandbox.errors import BadInput
from mcp_sandbox.model.locked import LOCK_FILE

GIT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "dev" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "dev@example.com" for who in ("AUTHOR", "COMMITTER")},
}
ACCEPTED, PROPOSED = b'{"of": "the base branch"}\n', b'{"of": "the pull request"}\n'
MOST = 1000


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    return subprocess.run(
        command, env=GIT, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "-qm", "A change", "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A checkout with a server in ``servers/one``, and its first commit, which has a lock file.

    The working tree has another lock file, as a pull request would.
    """
    root = tmp_path / "checkout"
    server = root / "servers" / "one"
    server.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (server / LOCK_FILE).write_bytes(ACCEPTED)
    base = commit(root)
    (server / LOCK_FILE).write_bytes(PROPOSED)
    commit(root)
    return root, base


def root_of(folder: Path) -> Path:
    """That of the checkout, whatever lies around the tests' own folder."""
    root = locate.root(folder)
    return root if "pytest" in str(root) else folder


def look(context: Path | None, base: str = "", given: str = "auto", path: str = "") -> Found:
    found = find(
        Wanted(LOCK_FILE, "--baseline", given, MOST),
        Checkout(context, base, root_of, {"PATH": path or os.environ["PATH"]}),
    )
    assert found is not None
    return found


# --- which one counts -----------------------------------------------------------------------------


def test_without_a_base_the_checkouts_own_counts(repository):
    root, _ = repository
    found = look(root / "servers" / "one")
    assert (found.data, found.checkout, found.deleted) == (PROPOSED, None, False)
    assert (found.path, found.origin) == (f"servers/one/{LOCK_FILE}", f"servers/one/{LOCK_FILE}")


def test_of_a_pull_request_the_base_commits_counts_and_its_own_is_only_shown(repository):
    root, base = repository
    found = look(root / "servers" / "one", base)
    assert (found.data, found.checkout, found.deleted) == (ACCEPTED, PROPOSED, False)
    assert found.path == f"servers/one/{LOCK_FILE}"
    assert found.origin == f"servers/one/{LOCK_FILE} of commit {base[:12]}"


def test_a_pull_request_that_deletes_it_does_not_lose_it(repository):
    root, base = repository
    (root / "servers" / "one" / LOCK_FILE).unlink()
    found = look(root / "servers" / "one", base)
    assert (found.data, found.checkout, found.deleted) == (ACCEPTED, None, True)


def test_a_base_that_has_none_is_told_and_the_checkouts_does_not_take_its_place(repository):
    root, _ = repository
    other = root / "servers" / "two"
    other.mkdir()
    (other / LOCK_FILE).write_bytes(PROPOSED)
    base = git(root, "rev-parse", "HEAD")
    found = look(other, base)
    assert (found.data, found.checkout, found.readable) == (None, PROPOSED, True)
    assert f"has no servers/two/{LOCK_FILE}" in found.why
    assert "counts once it is on the base branch" in found.why


def test_none_is_none(repository):
    root, base = repository
    checkout = Checkout(root, base, root_of, {"PATH": os.environ["PATH"]})
    assert find(Wanted(LOCK_FILE, "--baseline", "none", MOST), checkout) is None


def test_a_named_file_of_the_repository_is_read_from_the_base_commit_too(repository):
    root, base = repository
    named = str(root / "servers" / "one" / LOCK_FILE)
    assert look(root, base, named).data == ACCEPTED
    assert look(None, base, named).data == ACCEPTED
    assert look(root, "", named).data == PROPOSED


def test_a_named_file_outside_of_the_repository_is_read_as_it_is(repository, tmp_path):
    root, base = repository
    (tmp_path / "fetched.json").write_bytes(ACCEPTED)
    found = look(root, base, str(tmp_path / "fetched.json"))
    assert (found.data, found.path) == (ACCEPTED, "")


def test_a_named_file_that_is_nowhere_is_refused(repository, tmp_path):
    root, base = repository
    with pytest.raises(BadInput, match="no such file"):
        look(root, "", str(tmp_path / "absent.json"))
    with pytest.raises(BadInput, match="neither the base commit nor the checkout"):
        look(root, base, str(root / "absent.json"))


def test_a_folder_without_one_and_an_image_say_what_to_do(tmp_path):
    found = look(tmp_path)
    assert (found.data, found.readable) == (None, True)
    assert f"holds no {LOCK_FILE}" in found.why
    assert "--baseline FILE" in look(None).why


# --- a base that cannot be read -------------------------------------------------------------------


def unreadable(found: Found) -> str:
    """It is told, and the checkout's file does not count."""
    assert (found.data, found.readable) == (None, False)
    return found.why


def test_a_shallow_clone_says_fetch_depth(repository, tmp_path):
    root, base = repository
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", str(shallow))
    found = look(shallow / "servers" / "one", base)
    assert "`fetch-depth: 0`" in unreadable(found)
    assert found.checkout == PROPOSED


def test_a_checkout_without_git_is_told(tmp_path, repository):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / LOCK_FILE).write_bytes(PROPOSED)
    assert "in no git repository" in unreadable(look(plain, repository[1]))
    named = look(plain, repository[1], str(plain / LOCK_FILE))
    assert "in no git repository" in unreadable(named)


def test_a_machine_without_git_is_told(repository, tmp_path):
    root, base = repository
    found = look(root / "servers" / "one", base, path=str(tmp_path))
    assert "git is not installed" in unreadable(found)


def test_a_submodule_is_told_and_a_worktree_is_read(repository, tmp_path):
    root, base = repository
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "submodule", "--quiet", "add", str(root), "inner")
    outer_base = commit(outer)
    found = look(outer / "inner" / "servers" / "one", outer_base)
    assert "inner is a submodule" in unreadable(found)

    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    second = tmp_path / "second" / "servers" / "one"
    assert look(second, base).data == ACCEPTED
    assert "`fetch-depth: 0`" in unreadable(look(second, "e" * 40))


def test_a_file_in_a_folder_that_was_a_submodule_on_the_base_is_told(repository, tmp_path):
    root, _ = repository
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "submodule", "--quiet", "add", str(root), "inner")
    base = commit(outer)
    (outer / "inner" / ".git").unlink()
    assert "lies in a submodule" in unreadable(look(outer / "inner", base))


def test_a_partial_clone_fetches_nothing_and_says_so(repository, tmp_path):
    root, base = repository
    git(root, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(
        tmp_path,
        *("clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{root}", str(partial)),
    )
    found = look_in_bare_tree(partial, base)
    assert "without a filter" in unreadable(found)


def look_in_bare_tree(root: Path, base: str) -> Found:
    folder = root / "servers" / "one"
    folder.mkdir(parents=True)
    return look(folder, base)


@pytest.mark.parametrize("base", ["HEAD", "--version", "e" * 39, "main:x"])
def test_what_is_no_commit_id_is_not_given_to_git(repository, base):
    root, _ = repository
    assert "no whole commit id" in unreadable(look(root / "servers" / "one", base))


# --- a hostile repository -------------------------------------------------------------------------


def loose(root: Path, object_id: str) -> Path:
    return root / ".git" / "objects" / object_id[:2] / object_id[2:]


def test_an_object_that_was_forged_is_not_believed(repository):
    """The repository's files are the pull request's to write, the id of the base commit is not."""
    root, base = repository
    path = f"servers/one/{LOCK_FILE}"
    true, forged = (git(root, "rev-parse", f"{at}:{path}") for at in (base, "HEAD"))
    loose(root, true).chmod(0o644)
    loose(root, true).write_bytes(loose(root, forged).read_bytes())
    assert git(root, "cat-file", "blob", true) == PROPOSED.decode().strip()
    found = look(root / "servers" / "one", base)
    assert "something else than the blob" in unreadable(found)


@pytest.mark.parametrize("kind", ["commit", "tree"])
def test_a_commit_or_a_folder_that_was_forged_is_not_believed(repository, kind):
    root, base = repository
    suffix = "" if kind == "commit" else "^{tree}"
    true, forged = (git(root, "rev-parse", f"{at}{suffix}") for at in (base, "HEAD"))
    loose(root, true).chmod(0o644)
    loose(root, true).write_bytes(loose(root, forged).read_bytes())
    assert f"something else than the {kind}" in unreadable(look(root / "servers" / "one", base))


def test_a_replaced_object_is_not_used(repository):
    root, base = repository
    git(root, "replace", base, git(root, "rev-parse", "HEAD"))
    assert look(root / "servers" / "one", base).data == ACCEPTED


def test_nothing_of_the_repositorys_choice_is_run(repository, tmp_path):
    root, base = repository
    program = tmp_path / "run-me"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\ncat\n")
    program.chmod(0o755)
    hooks = root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(program.read_text())
        (hooks / name).chmod(0o755)
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text("* filter=evil diff=evil\n")
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass"),
        *("filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "diff.evil.textconv"),
        *("core.gitProxy", "core.alternateRefsCommand", "alias.cat-file", "gpg.program"),
    ):
        git(root, "config", key, str(program))
    assert look(root / "servers" / "one", base).data == ACCEPTED
    assert not (tmp_path / "was-run").exists()


def test_a_bare_repository_inside_the_checkout_is_not_taken_for_the_one_around_it(repository):
    root, base = repository
    server = root / "servers" / "one"
    git(server, "init", "-q", "--bare", "-b", "main", ".")
    assert look(server, base).data == ACCEPTED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_checkout_of_another_user_is_read(repository):
    root, base = repository
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    assert look(root / "servers" / "one", base).data == ACCEPTED


# --- what is there and is no such file ------------------------------------------------------------


def refused(context: Path, base: str = "") -> str:
    with pytest.raises(BadInput) as caught:
        look(context, base)
    assert caught.value.next_step
    return caught.value.what


def test_a_link_is_not_followed(repository, tmp_path):
    root, _ = repository
    (tmp_path / "elsewhere.json").write_bytes(ACCEPTED)
    lock = root / "servers" / "one" / LOCK_FILE
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere.json")
    assert "it is a link" in refused(lock.parent)
    base = commit(root)
    lock.unlink()
    assert "lies behind, a link" in refused(lock.parent, base)


def test_a_folder_and_a_pipe_are_no_lock_file(repository):
    lock = repository[0] / "servers" / "one" / LOCK_FILE
    lock.unlink()
    os.mkfifo(lock)
    assert "no regular file" in refused(lock.parent)
    lock.unlink()
    lock.mkdir()
    assert "no regular file" in refused(lock.parent)


def test_a_pointer_of_lfs_is_told(repository):
    root, _ = repository
    lock = root / "servers" / "one" / LOCK_FILE
    lock.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "Git LFS" in refused(lock.parent)
    base = commit(root)
    lock.unlink()
    assert "Git LFS" in refused(lock.parent, base)


def test_one_that_is_too_large_is_refused_unread(repository):
    root, _ = repository
    lock = root / "servers" / "one" / LOCK_FILE
    lock.write_bytes(b" " * 100 * 2**20)
    assert "larger than the 1000 bytes" in refused(lock.parent)
    base = commit(root)
    lock.unlink()
    assert f"has {100 * 2**20} bytes" in refused(lock.parent, base)


def test_a_folder_of_that_name_on_the_base_is_no_file(repository):
    root, _ = repository
    lock = root / "servers" / "one" / LOCK_FILE
    lock.unlink()
    lock.mkdir()
    (lock / "inside").touch()
    base = commit(root)
    (lock / "inside").unlink()
    lock.rmdir()
    assert "has no servers" in look(lock.parent, base).why


def test_the_list_of_a_folder_is_bounded(repository, monkeypatch):
    monkeypatch.setattr(objects, "MAX_FOLDER", 10)
    root, base = repository
    assert "too many files" in unreadable(look(root / "servers" / "one", base))


def test_a_repository_of_sha256_ids_is_read(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--object-format=sha256")
    (root / LOCK_FILE).write_bytes(ACCEPTED)
    base = commit(root)
    (root / LOCK_FILE).unlink()
    assert len(base) == 64
    assert look(root, base).data == ACCEPTED
