"""What of a folder is sent to the engine, and as which bytes."""

from __future__ import annotations

import io
import os
import random
import socket
import tarfile
from pathlib import Path

import pytest

from mcp_sandbox.errors import ContextRejected, DockerfileMissing
from mcp_sandbox.image.context import collect, stream


def archive(context) -> dict[str, tarfile.TarInfo]:
    data = b"".join(stream(context))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "src").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "src" / "server.py").write_text("print()\n")
    return root


def test_the_archive_holds_the_files(folder: Path):
    (folder / "src" / "server.py").chmod(0o750)
    context = collect(folder)
    members = archive(context)
    assert sorted(members) == ["Dockerfile", "src", "src/server.py"]
    assert members["src/server.py"].mode == 0o750
    assert (context.files, context.total) == (2, 13 + 8)
    assert context.left_out == ()


def test_equal_trees_give_equal_bytes(tmp_path: Path):
    names = [f"{'d' * (n % 3)}/f{n}" for n in range(30)] + ["Dockerfile", "ü/ñ", "x" * 150]
    made = []
    for number in range(2):
        root = tmp_path / str(number)
        shuffled = names[:]
        random.Random(number).shuffle(shuffled)
        for name in shuffled:
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}")
            os.utime(path, (number, number))
        made.append(b"".join(stream(collect(root))))
    assert made[0] == made[1]


def test_a_checkouts_git_folder_is_never_sent(folder: Path):
    for at in (folder / ".git", folder / "src" / ".git"):
        at.mkdir()
        (at / "config").write_text("token")
    (folder / ".dockerignore").write_text("!.git\n!**/.git/config\n")
    assert not [name for name in archive(collect(folder)) if ".git" in name.split("/")]


def test_links_stay_inside(folder: Path, tmp_path: Path):
    (tmp_path / "outside").write_text("secret")
    (folder / "inside").symlink_to("src/server.py")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../outside")
    (folder / "src" / "far").symlink_to("../../outside")
    (folder / "hop").symlink_to("src/far")
    (folder / "dangling").symlink_to("nowhere")
    context = collect(folder)
    members = archive(context)
    assert members["inside"].linkname == "src/server.py"
    assert "dangling" in members
    assert {text.partition(":")[0] for text in context.left_out} == {
        "absolute",
        "up",
        "src/far",
        "hop",
    }
    assert not {"absolute", "up", "src/far", "hop"} & set(members)


def test_what_is_no_file_is_left_out(folder: Path):
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        context = collect(folder)
    assert [text.partition(":")[0] for text in context.left_out] == ["fifo", "socket"]
    assert not {"fifo", "socket"} & set(archive(context))


def test_a_dockerfiles_own_ignore_file_wins(folder: Path):
    (folder / ".dockerignore").write_text("src\n")
    assert "src" not in archive(collect(folder))
    (folder / "Dockerfile.dockerignore").write_text("nothing\n")
    assert "src/server.py" in archive(collect(folder))


def test_the_dockerfile_is_sent_even_when_ignored(folder: Path):
    (folder / "docker").mkdir()
    (folder / "docker" / "Server.dockerfile").write_text("FROM scratch\n")
    (folder / ".dockerignore").write_text("*\n")
    context = collect(folder, Path("docker/Server.dockerfile"))
    assert sorted(archive(context)) == ["docker", "docker/Server.dockerfile"]
    assert context.dockerfile == "docker/Server.dockerfile"


def test_a_foreign_frontend_is_named(folder: Path):
    (folder / "Dockerfile").write_text("# syntax=evil/x\nFROM scratch\n")
    context = collect(folder)
    assert "evil/x" in context.left_out[0]
    assert b"evil" not in b"".join(stream(context))


@pytest.mark.parametrize("name", ["absent", "../outside", "src", "/etc/passwd", "link", ".git/x"])
def test_a_dockerfile_that_cannot_be_used(folder: Path, tmp_path: Path, name: str):
    (tmp_path / "outside").write_text("FROM scratch\n")
    (folder / "link").symlink_to("../outside")
    (folder / ".git").mkdir()
    (folder / ".git" / "x").write_text("FROM scratch\n")
    with pytest.raises(DockerfileMissing):
        collect(folder, Path(name))


def test_bounds(folder: Path):
    with (folder / "large").open("wb") as file:
        file.truncate(2**20)
    with pytest.raises(ContextRejected, match="larger than"):
        collect(folder, max_bytes=2**20)
    with pytest.raises(ContextRejected, match="more than"):
        collect(folder, max_files=3)
    (folder / ".dockerignore").write_text("large\n")
    assert collect(folder, max_bytes=2**20).total < 2**20


@pytest.mark.parametrize("text", ["[", "!\n"])
def test_an_unusable_ignore_file_is_an_error(folder: Path, text: str):
    (folder / ".dockerignore").write_text(text)
    with pytest.raises(ContextRejected, match="dockerignore"):
        collect(folder)


def test_no_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for name in ("absent", "file"):
        with pytest.raises(ContextRejected):
            collect(tmp_path / name)


def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(folder: Path, tmp_path: Path):
    (tmp_path / "outside").write_text("x" * 8)
    context = collect(folder)
    (folder / "src" / "server.py").unlink()
    (folder / "src" / "server.py").symlink_to(tmp_path / "outside")
    with pytest.raises(ContextRejected, match="changed"):
        archive(context)


def test_a_folder_swapped_for_a_link_after_the_walk_is_not_followed(folder: Path, tmp_path: Path):
    context = collect(folder)
    (folder / "src").rename(tmp_path / "moved")
    (folder / "src").symlink_to(tmp_path / "moved")
    with pytest.raises(ContextRejected, match="changed"):
        archive(context)


def test_a_file_that_grew_after_the_walk(folder: Path):
    context = collect(folder)
    (folder / "src" / "server.py").write_text("longer than it was\n")
    with pytest.raises(ContextRejected, match="changed"):
        archive(context)
