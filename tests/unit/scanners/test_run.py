"""The bounded runner: whatever a tool does wrong is one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_sandbox.model import ScannerState
from mcp_sandbox.scanners import run as tools
from support.scanners import fake, job


def attempt(tmp_path: Path, script: str, *, timeout: float = 60) -> tools.Output:
    one = job(tmp_path, path=fake(tmp_path, "tool", script), timeout=timeout)
    return tools.run(one, tools.find("tool", one), ("a", "b c"), stdin=b"given")


def test_a_tool_gets_arguments_input_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "of ours")
    done = attempt(tmp_path, 'printf "%s|" "$@"; cat; echo; pwd; env; echo said >&2')
    first, where, *environment = done.stdout.decode().splitlines()
    assert first == "a|b c|given"
    assert Path(where) == tmp_path / "work"
    names = {line.partition("=")[0] for line in environment}
    assert names <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
    assert done.stderr == "said\n"


def test_a_tool_stands_back_for_the_sandbox(tmp_path: Path) -> None:
    waiting = "while [ $(awk '{print $19}' /proc/self/stat) != 19 ]; do :; done; nice"
    assert attempt(tmp_path, waiting).stdout == b"19\n"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo first >&2; echo 'it is broken.' >&2; exit 3", "exited with code 3: it is broken."),
        ("exit 1", "exited with code 1: it said nothing."),
        ("kill -SEGV $$", "was ended by signal 11."),
        (
            "printf '2026-01-01T00:00:00Z\\tFATAL\\tFatal error\\tno way\\n' >&2; exit 1",
            ": no way.",
        ),
    ],
)
def test_a_crash_is_told_in_one_sentence(tmp_path: Path, script: str, why: str) -> None:
    with pytest.raises(tools.ToolFailed) as failed:
        attempt(tmp_path, script)
    assert str(failed.value).startswith("tool ")
    assert str(failed.value).endswith(why)


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(tools.ToolFailed, match=r"^tool was not done after 0\.5 seconds\.$"):
        attempt(tmp_path, "echo $$ >pid; exec cat /dev/zero >/dev/null", timeout=0.5)
    pid = int((tmp_path / "work" / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_tool_that_prints_too_much_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "MAX_OUTPUT", 2**20)
    with pytest.raises(tools.ToolFailed, match=r"^tool printed too much: more than 1 MiB\.$"):
        attempt(tmp_path, "exec yes")
    assert attempt(tmp_path, "head -c 1048576 /dev/zero").stdout == bytes(2**20)
    assert list((tmp_path / "work").iterdir()) == []


def test_what_is_no_program_is_told(tmp_path: Path) -> None:
    one = job(tmp_path, path=fake(tmp_path, "tool", ""))
    program = tools.find("tool", one)
    program.write_text("#!/no/such/interpreter\n")
    with pytest.raises(tools.ToolFailed, match=r"^tool could not be run: "):
        tools.run(one, program, ())


def test_a_tool_is_looked_for_on_the_childs_path_only(tmp_path: Path) -> None:
    with pytest.raises(tools.ToolMissing):
        tools.find("sh", job(tmp_path, path=str(tmp_path)))
    with pytest.raises(tools.ToolMissing):
        tools.find("sh", job(tmp_path, path=""))


def test_failures_become_states() -> None:
    def gone() -> None:
        raise tools.ToolMissing("x is not on PATH.")

    def broken() -> None:
        raise tools.ToolFailed("x broke.")

    first, second = tools.outcome("X", gone), tools.outcome("X", broken)
    assert (first.tool, first.state, first.why) == (
        "X",
        ScannerState.NOT_INSTALLED,
        "x is not on PATH.",
    )
    assert (second.state, second.why) == (ScannerState.FAILED, "x broke.")


@pytest.mark.parametrize("text", [b"", b"{", b"\x00" * 100, b"[" * 100_000, b'{"a": \xff}'])
def test_garbage_is_not_json(text: bytes) -> None:
    with pytest.raises(tools.ToolFailed, match="not JSON"):
        tools.parsed("tool", text)


def test_strings_are_bounded_and_can_be_written_down() -> None:
    assert tools.text("x" * 5000) == "x" * 999 + "…"
    assert tools.text("a\ud800b") == "a?b"
    assert tools.one_line("a\x1b[31m\r\n  b\x00c") == "a [31m b c"
    assert tools.one_line(7) == tools.text(None) == ""
    assert [tools.number(one) for one in (3, 0, -1, 2**40, "3", None, 1.5)] == [3, 0, 0, 0, 0, 0, 0]


class TestReading:
    """Nothing outside the checkout is read, nothing that is no file, nothing too large."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").write_text("secret")
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True)
        (root / "file").write_text("12345")
        return root

    def test_files_and_links_inside(self, root: Path) -> None:
        (root / "sub" / "link").symlink_to("../file")
        assert tools.read(root, "file", 5) == b"12345"
        assert tools.read(root, "sub/link", 5) == b"12345"
        assert tools.read(root, "file", 4) is None

    @pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "link", "/dev/zero"])
    def test_links_that_lead_out(self, root: Path, target: str) -> None:
        (root / "link").symlink_to(target)
        assert tools.read(root, "link", 2**20) is None

    def test_what_is_no_file(self, root: Path) -> None:
        os.mkfifo(root / "pipe")
        for path in ("pipe", "sub", "absent", "../outside", "a\0b"):
            assert tools.read(root, path, 2**20) is None, path
