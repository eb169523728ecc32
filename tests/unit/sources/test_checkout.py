"""One commit of a repository, from a host on loopback: bounded, and nothing of it is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_sandbox.errors import IndexUnreachable, SandboxError, SourceUnusable
from mcp_sandbox.sources import checkout
from mcp_sandbox.sources.names import parse
from support.git_host import Host, git, running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("host")) as made:
        made.publish("server.git", greedy(tmp_path_factory.mktemp("work")))
        yield made


def greedy(work: Path) -> Path:
    """A repository whose author would like to have something run."""
    (work / "Dockerfile").write_text("FROM scratch\n")
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    (work / "link").symlink_to("/etc/passwd")
    (work / ".gitattributes").write_text("*.txt filter=lfs\n* filter=mine\n")
    (work / "large.txt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (work / ".gitmodules").write_text(
        '[submodule "x"]\n\tpath = x\n\turl = https://127.0.0.1:1/x\n'
    )
    return work


def fetch(host: Host, folder: Path, path: str, **options: str) -> str:
    environment = {"PATH": os.environ["PATH"], "GIT_SSL_CAINFO": str(host.certificate)}
    return checkout.fetch(parse(f"{host.address}/{path}"), folder, environment, **options)


@pytest.mark.parametrize("ref", ["main", "v1", "COMMIT"])
def test_a_branch_a_tag_and_a_commit_are_fetched(host: Host, tmp_path: Path, ref: str):
    published = git(host.folder / "server.git", "rev-parse", "v1").strip()
    ref = published if ref == "COMMIT" else ref
    assert fetch(host, tmp_path, f"server.git@{ref}") == published
    folder = tmp_path / checkout.FOLDER
    assert checkout.commit(folder) == published
    assert (folder / "Dockerfile").read_text() == "FROM scratch\n"
    assert os.access(folder / "run", os.X_OK)
    assert (folder / "link").is_symlink()
    assert (folder / "large.txt").read_text().startswith("version https://git-lfs")
    assert not any((folder / ".git" / "hooks").glob("*"))
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("server.git@v9", SourceUnusable, "has no ref 'v9'"),
        (f"server.git@{'0' * 40}", SourceUnusable, "has no ref '000"),
        ("nothing.git@v1", SourceUnusable, "is not there, is no repository"),
        ("private.git@v1", SourceUnusable, "asks for a password"),
        ("forbidden.git@v1", SourceUnusable, "asks for a password"),
    ],
)
def test_what_is_not_to_be_had_is_one_sentence(
    host: Host, tmp_path: Path, path: str, kind: type[SandboxError], said: str
):
    with pytest.raises(kind, match=said):
        fetch(host, tmp_path, path)


@pytest.mark.parametrize("path", ["server.git@v1", "403.git@v1"])
def test_a_host_that_nobody_vouches_for_is_not_believed(host: Host, tmp_path: Path, path: str):
    # A status stands for itself: digits of a path or a port are none.
    with pytest.raises(IndexUnreachable, match="could not be fetched") as caught:
        checkout.fetch(parse(f"{host.address}/{path}"), tmp_path, {"PATH": os.environ["PATH"]})
    assert "certificate" in caught.value.detail


def test_only_one_protocol_is_spoken(host: Host, tmp_path: Path):
    with pytest.raises(SandboxError) as caught:
        fetch(host, tmp_path, "server.git@v1", protocol="file")
    assert "transport 'https' not allowed" in caught.value.detail


@pytest.mark.parametrize(("limit", "most"), [("MAX_FILES", 3), ("MAX_BYTES", 20)])
def test_a_commit_that_is_too_large_is_not_written_out(
    host: Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most: int,
):
    monkeypatch.setattr(checkout, limit, most)
    with pytest.raises(SourceUnusable, match="holds more than"):
        fetch(host, tmp_path, "server.git@v1")
    assert [path.name for path in (tmp_path / checkout.FOLDER).iterdir()] == [".git"]


def test_a_pack_that_is_too_large_is_broken_off(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    work = tmp_path / "work"
    work.mkdir()
    (work / "noise").write_bytes(os.urandom(200_000))
    host.publish("large.git", work)
    monkeypatch.setattr(checkout, "MAX_PACK", 64 * 2**10)
    folder = tmp_path / "into"
    folder.mkdir()
    with pytest.raises(SourceUnusable, match="is larger than"):
        fetch(host, folder, "large.git@v1")


def test_this_machine_s_configuration_is_not_read(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    home.mkdir()
    git(home, "config", "--global", "core.attributesFile", str(home / "attributes"))
    git(home, "config", "--global", "filter.mine.smudge", f"touch {tmp_path}/ran; cat")
    monkeypatch.setenv("HOME", str(home))
    into = tmp_path / "into"
    into.mkdir()
    environment = dict(os.environ) | {"GIT_SSL_CAINFO": str(host.certificate)}
    checkout.fetch(parse(f"{host.address}/server.git@v1"), into, environment)
    assert (into / checkout.FOLDER / "Dockerfile").is_file()
    assert not (tmp_path / "ran").exists()
