"""What pip says of a package, as a lock, a command, or one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_sandbox.errors import ExitCode, SandboxError, SourceUnusable
from mcp_sandbox.sources import pypi
from mcp_sandbox.sources.names import parse
from mcp_sandbox.sources.recipe import Wishes

SOURCE = parse("pypi:a-server==1.0")
NONE = Wishes()


def item(name: str, version: str = "1.0", **changed: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "version": version},
        "download_info": {
            "url": f"https://files.example/{name}-{version}-py3-none-any.whl",
            "archive_info": {"hashes": {"sha256": f"{sum(name.encode()):064x}"}},
        },
        "is_yanked": False,
        "requested": False,
    } | changed


def exported(*items: Any, scripts: str = "a-server", modules: str = "") -> dict[str, bytes]:
    report = {"version": "1", "install": list(items)}
    entry_points = "".join(f"{name} = x:main\n" for name in scripts.split())
    return {
        "report.json": json.dumps(report).encode(),
        "entry_points": f"[console_scripts]\n{entry_points}".encode(),
        "modules": modules.encode(),
        "log": b"",
    }


def test_the_lock_holds_every_archive_with_its_hash():
    made = pypi.made(SOURCE, NONE, exported(item("b"), item("a-server"), item("C", "2.1")))
    lock = made.files["lock.txt"].decode()
    assert lock == (
        f"a-server==1.0 --hash=sha256:{sum(b'a-server'):064x}\n"
        f"b==1.0 --hash=sha256:{ord('b'):064x}\n"
        f"C==2.1 --hash=sha256:{ord('C'):064x}\n"
    )
    assert made.facts.packages == ("a-server==1.0", "b==1.0", "C==2.1")
    assert made.facts.lock == pypi.recipe.digest(lock.encode())
    assert made.facts.notes == ()
    assert "files.example" not in repr(made.facts)


def test_the_image_is_made_of_the_lock_alone_and_not_as_root():
    dockerfile = pypi.made(SOURCE, NONE, exported(item("a-server"))).files["Dockerfile"].decode()
    assert "--require-hashes" in dockerfile
    last = dockerfile.rpartition("\nFROM ")[2]
    assert last.startswith("base\nCOPY --from=installed --chown=65532:65532 /venv /venv\n")
    assert 'VOLUME ["/home/server"]\n' in last
    assert last.endswith(
        'USER 65532:65532\nWORKDIR /home/server\nENTRYPOINT ["/venv/bin/a-server"]\n'
    )
    assert {line for line in dockerfile.splitlines() if line.startswith("FROM debian")} == {
        "FROM debian:trixie-slim AS base"
    }


def test_what_is_not_asked_for_is_not_in_the_question():
    files = pypi.asking(parse("pypi:a-server[cli,x]==1.0"), Wishes(constraints=("mcp>=1,<2",)))
    assert files["wanted.txt"] == b"a-server[cli,x]==1.0\n"
    assert files["main.txt"] == b"a-server==1.0\n"
    assert files["constraints.txt"] == b"mcp>=1,<2\n"
    assert files["system.txt"] == b"ca-certificates\npython3\n"
    assert "ENTRYPOINT" not in files["Dockerfile"].decode()


def test_what_had_to_be_built_and_what_was_withdrawn_is_told():
    source = item("b", "2")
    source["download_info"]["url"] = "https://files.example/b-2.tar.gz"
    made = pypi.made(SOURCE, NONE, exported(item("a-server", is_yanked=True), source))
    assert len(made.facts.notes) == 2
    assert made.facts.notes[0].startswith("built from source, because there is no wheel")
    assert "b 2" in made.facts.notes[0]
    assert made.facts.notes[1] == "withdrawn by who published it: a-server 1.0"


@pytest.mark.parametrize(
    "bad",
    [
        item("a b"),
        item("a\n--index-url=x"),
        item("a", "1 --pre"),
        item("a", download_info={"url": "x", "archive_info": {"hashes": {"sha256": "0" * 63}}}),
        item("a", download_info={"url": "x", "archive_info": {}}),
        item("a", download_info={"url": "x", "vcs_info": {}}),
        item("a", metadata=None),
        7,
    ],
)
def test_an_archive_that_cannot_be_locked_is_refused(bad: Any):
    with pytest.raises(SourceUnusable, match=r"a package (that comes without|with an unusable)"):
        pypi.made(SOURCE, NONE, exported(item("a-server"), bad))


@pytest.mark.parametrize(
    "report", [b"", b"{", b"[]", b"[" * 100_000, b'{"install": []}', b'{"install": {}}']
)
def test_a_report_that_is_none_is_refused(report: bytes):
    with pytest.raises(SourceUnusable, match=r"cannot be read|names no packages"):
        pypi.made(SOURCE, NONE, exported() | {"report.json": report})


@pytest.mark.parametrize(
    ("scripts", "modules", "wish", "command"),
    [
        ("a-server other", "", "", ("/venv/bin/a-server",)),
        ("A_Server other", "", "", ("/venv/bin/A_Server",)),
        ("other", "a_server", "", ("/venv/bin/other",)),
        ("other mcp-x", "", "", ("/venv/bin/mcp-x",)),
        ("other mcp-x", "", "other", ("/venv/bin/other",)),
        ("", "tests a_server", "", ("/venv/bin/python", "-m", "a_server")),
        ("", "only", "", ("/venv/bin/python", "-m", "only")),
        ("x", "only", "only", ("/venv/bin/python", "-m", "only")),
        ("../../bin/sh a;b $(x) ok", "", "", ("/venv/bin/ok",)),
    ],
)
def test_the_command_that_suggests_itself_is_taken(
    scripts: str, modules: str, wish: str, command: tuple[str, ...]
):
    found = exported(item("a-server"), scripts=scripts, modules=modules.replace(" ", "\n"))
    made = pypi.made(SOURCE, Wishes(entry_point=wish), found)
    assert made.facts.command == command
    assert made.facts.why
    assert json.dumps(list(command)) in made.files["Dockerfile"].decode()


@pytest.mark.parametrize(
    ("scripts", "modules", "wish", "said"),
    [
        ("", "", "", "has nothing to start"),
        ("b c", "", "", "has several commands, and none tells that it is the server: b, c"),
        ("mcp-b mcp-c", "", "", "has several commands"),
        ("", "b c", "", "has several modules"),
        ("b c", "", "d", "has no command 'd'; it has b, c"),
        ("../x", "", "", "has nothing to start"),
    ],
)
def test_a_command_that_nothing_tells_is_not_guessed(
    scripts: str, modules: str, wish: str, said: str
):
    found = exported(item("a-server"), scripts=scripts, modules=modules.replace(" ", "\n"))
    with pytest.raises(SourceUnusable, match=said):
        pypi.made(SOURCE, Wishes(entry_point=wish), found)


@pytest.mark.parametrize(
    "text", ["", "a = b", "[console_scripts", "[console_scripts]\n x", "[x]\ny = z", "\0\n[", "=\n"]
)
def test_entry_points_that_cannot_be_read_hold_none(text: str):
    assert pypi.console_scripts(text) == []


def test_entry_points_are_read_as_they_are_written():
    text = "[gui_scripts]\nx = y\n[console_scripts]\nA-b = c:d\ne=f:g [extra]\n"
    assert pypi.console_scripts(text) == ["A-b", "e"]


MISSING = (
    "ERROR: Could not find a version that satisfies the requirement {} (from versions: {})\n"
    "ERROR: No matching distribution found for {}\n"
)


def missing(requirement: str, versions: str = "none") -> str:
    return MISSING.format(requirement, versions, requirement)


OTHER_PYTHON = "ERROR: Ignored the following versions that require a different python version: 1.0"


@pytest.mark.parametrize(
    ("log", "said", "code"),
    [
        (missing("a-server==1.0"), "There is no package 'a-server'", 2),
        (missing("a-server==1.0", "0.1, 0.9"), "Version 1.0 of a-server is not there for this "
         "platform; the newest that are: 0.1, 0.9.", 2),
        (missing("a-server[x]==1.0", "1.0"), "has no archive for this platform", 2),
        (OTHER_PYTHON + "\n" + missing("a-server==1.0"), "is not for the Python of the image", 2),
        (missing("torch>=9 (from a-server)"), "it needs torch>=9, which is not to be had", 2),
        ("ERROR: ResolutionImpossible: x", "its requirements contradict each other", 2),
        ("error: subprocess-exited-with-error", "see pip's last words", 2),
        ("", "see pip's last words", 2),
        ("WARNING: Retrying (Retry(total=4)) after\n" + missing("a-server==1.0"),
         "The package index could not be asked", 3),
        (missing("a-server==1.0") + "--- again, with what has to be built first\n"
         + missing("a-server==1.0", "0.5"), "that are: 0.5", 2),
    ],
)  # fmt: skip
def test_what_pip_refuses_is_one_sentence(log: str, said: str, code: int):
    with pytest.raises(SandboxError) as caught:
        pypi.made(SOURCE, NONE, {"log": log.encode()})
    assert said in caught.value.what
    assert caught.value.exit_code == ExitCode(code)
    assert caught.value.next_step
    assert caught.value.detail == log.rstrip()


@pytest.mark.parametrize(
    "constraint",
    ["", "mcp", "-r x", "mcp<2\n-e .", "mcp @ https://x", "--pre", "mcp<2 ; x", "a b<1"],
)
def test_a_constraint_is_a_version_and_nothing_else(constraint: str):
    with pytest.raises(SourceUnusable, match="is none of pip's"):
        pypi.asking(SOURCE, Wishes(constraints=(constraint,)))


@pytest.mark.parametrize("name", ["", "-o", "a b", "A", "git=1", "git\nx", "../x"])
def test_a_debian_package_is_a_name_and_nothing_else(name: str):
    with pytest.raises(SourceUnusable, match="is no name of a package"):
        pypi.asking(SOURCE, Wishes(system_packages=(name,)))
    assert b"git\n" in pypi.asking(SOURCE, Wishes(system_packages=("git",)))["system.txt"]
