"""What is planted is what the hostile inputs aim at: holes that only links and git open."""

from __future__ import annotations

import posixpath
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_sandbox.planted import Matcher, Planted, make
from mcp_sandbox.probe.inputs import Input, Targets, for_tool

Read = Callable[[Path, str], str]


class World:
    """A file system below one folder, planted as the sandbox plants it."""

    def __init__(self, root: Path) -> None:
        self.allowed = root / "srv" / "allow"
        self.allowed.mkdir(parents=True)
        self.planted: Planted = make("r", home=str(root / "home"), directories=(str(self.allowed),))
        self.matcher = Matcher(self.planted)
        for name, data in self.planted.files.items():
            path = root / name.lstrip("/") if not name.startswith(str(root)) else Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name, target in self.planted.links.items():
            Path(name).symlink_to(root / target.lstrip("/"))
        self.targets = Targets(
            seed=1,
            directories=(str(self.allowed),),
            link=self.planted.link,
            linked_file=self.planted.linked_file,
            repository=str(root / self.planted.repository.lstrip("/")),
        )

    def proven(self, read: Read, parameter: str) -> set[str]:
        """Payloads to which a planted secret came back."""
        tool = {"name": "tool", "inputSchema": {"properties": {parameter: {"type": "string"}}}}
        return {one.payload for one in for_tool(tool, self.targets).hostile
                if self._secret(read, one, parameter)}  # fmt: skip

    def _secret(self, read: Read, one: Input, parameter: str) -> bool:
        value = one.arguments.get(parameter)
        if not isinstance(value, str) or len(value) > 4_096:
            return False
        try:
            return bool(self.matcher.find(read(self.allowed, value).encode()))
        except (OSError, ValueError):
            return False


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def by_name(base: Path, name: str) -> str:
    """Compares the path as text: what a link leads to is not looked at."""
    path = posixpath.normpath(posixpath.join(base, name))
    if not path.startswith(f"{base}/"):
        raise PermissionError
    return Path(path).read_text()


def resolved(base: Path, name: str) -> str:
    path = (base / name).resolve()
    if not path.is_relative_to(base):
        raise PermissionError
    return path.read_text()


def parent_resolved(base: Path, name: str) -> str:
    """The check of the folder alone, as in CVE-2025-53109."""
    path = base / name
    if not path.parent.resolve().is_relative_to(base):
        raise PermissionError
    return path.read_text()


def git(what: str) -> Read:
    def run(folder: Path) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *what.split()],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        return done.stdout + done.stderr

    def read(base: Path, name: str) -> str:
        return run(base / name)

    return read


def test_a_link_is_followed_by_a_check_of_names(world: World) -> None:
    assert world.proven(by_name, "path") == {"link", "link-relative", "link-folder"}
    assert world.proven(by_name, "filename") >= {"link-relative"}


def test_a_linked_file_is_followed_by_a_check_of_the_folder(world: World) -> None:
    assert world.proven(parent_resolved, "path") == {"link", "link-relative"}


def test_a_check_of_the_resolved_path_gives_nothing_away(world: World) -> None:
    assert world.proven(resolved, "path") == set()


@pytest.mark.parametrize("what", ["log", "status", "branch", "diff", "diff --cached", "show HEAD"])
def test_a_repository_elsewhere_shows_in_whatever_is_read_of_it(world: World, what: str) -> None:
    assert "repository" in world.proven(git(what), "repo_path")


def test_a_repository_that_stays_in_its_folder_shows_nothing(world: World) -> None:
    def within(base: Path, name: str) -> str:
        if not (base / name).resolve().is_relative_to(base):
            raise PermissionError
        return git("log")(base, name)

    assert world.proven(within, "repo_path") == set()
