"""The warden's process: commands in, lines out, and a fault is never silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

ENTRYPOINT = Path(__file__).parents[3] / "entrypoint"
SECONDS = 60


def start(*arguments: str, code: str = "") -> subprocess.Popen[bytes]:
    """The process; ``code`` runs in it before the warden does."""
    program = (
        f"import sys; sys.path.insert(0, {str(ENTRYPOINT)!r})\n"
        f"from mcp_sandbox.warden import __main__ as warden\n{code}\n"
        "sys.exit(warden.main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        (sys.executable, "-I", "-c", program, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def talk(
    *commands: object, arguments: tuple[str, ...] = (), code: str = ""
) -> tuple[int, list[Any]]:
    text = b"".join(
        (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in commands
    )
    process = start(*arguments, code=code)
    out, err = process.communicate(text, timeout=SECONDS)
    assert err == b""
    events = [json.loads(line) for line in out.splitlines()]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    return process.returncode, events


def kinds(events: list[Any]) -> list[str]:
    return [one["event"] for one in events]


def test_the_end_of_input_is_the_end():
    code, events = talk()
    assert (code, kinds(events)) == (0, ["ready", "end"])
    assert {"sink": False, "collect": False, "ipv6": False}.items() <= events[0].items()


def test_a_clock_is_answered_and_what_follows_finish_is_not():
    code, events = talk({"do": "clock", "id": 7}, {"do": "go"}, {"do": "finish"})
    assert (code, kinds(events)) == (0, ["ready", "clock", "end"])
    assert events[1]["id"] == 7


@pytest.mark.parametrize("command", [b"x", b"[]", b"{}", {"do": "no"}, b"\xff", b"x" * 9000])
def test_a_command_that_is_none_is_trouble(command: object):
    code, events = talk(command)
    assert code == 1
    assert "trouble" in kinds(events)


@pytest.mark.parametrize(
    "arguments",
    [("--no",), ("--tls", "no"), ("--allow", "a.example"), ("--allow", "a b", "--egress", "x")],
)
def test_a_wrong_command_line_is_trouble(arguments: tuple[str, ...]):
    code, events = talk(arguments=arguments)
    assert (code, kinds(events)) == (2, ["trouble", "end"])


def test_a_fault_is_trouble():
    code, events = talk(code="warden.Commands.read = lambda self: 1 / 0")
    assert (code, kinds(events)) == (1, ["ready", "trouble"])
    assert "ZeroDivisionError" in events[1]["text"]


def test_a_fault_in_a_thread_is_trouble():
    code, events = talk(
        code="""
import threading
run = warden.run
def broken(*arguments):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    return run(*arguments)
warden.run = broken
"""
    )
    assert (code, kinds(events)) == (1, ["trouble", "ready", "end"])
    assert "ZeroDivisionError" in events[0]["text"]


def test_without_the_right_to_it_there_is_no_sink():
    code, events = talk(
        arguments=("--sink",),
        code="def no(*a, **k): raise warden.netns.NotPrepared('ip: not permitted')\n"
        "warden.listeners = no",
    )
    assert (code, kinds(events)) == (1, ["trouble", "end"])
    assert "not permitted" in events[0]["text"]


def test_the_trace_goes_to_standard_error_and_the_gate_opens_when_told(tmp_path: Path):
    for name in ("log", "go"):
        os.mkfifo(tmp_path / name)
    process = start("--collect", "--channel", str(tmp_path))
    log = os.open(tmp_path / "log", os.O_WRONLY)
    go = os.open(tmp_path / "go", os.O_RDONLY)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    assert json.loads(process.stdout.readline())["event"] == "ready"
    assert list(tmp_path.iterdir()) == []
    os.write(log, b"before\n")
    process.stdin.write(b'{"do":"go"}\n')
    process.stdin.flush()
    assert os.read(go, 1) == b"\n"
    trace: list[bytes] = []
    reader = threading.Thread(target=lambda: trace.append(process.stderr.read()))
    reader.start()
    os.write(log, b"x" * 100_000)
    os.close(log)
    ended = json.loads(process.stdout.readline())
    assert ended["event"] == "trace-end"
    assert (ended["bytes"], ended["dropped"], ended["ended"]) == (100_007, 0, True)
    process.stdin.close()
    assert json.loads(process.stdout.readline())["event"] == "end"
    assert process.wait(SECONDS) == 0
    reader.join(SECONDS)
    assert trace == [b"before\n" + b"x" * 100_000]
    os.close(go)
    process.stdout.close()
    process.stderr.close()
