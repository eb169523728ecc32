"""The subprocess wrapper: bounds, environment, and what it leaves behind."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_sandbox import proc

ENVIRONMENT = {"PATH": os.defpath}


def run(*argv: str, **options) -> proc.ProcessResult:
    return proc.run(argv, **({"environment": ENVIRONMENT, "timeout": 20} | options))


def ends(pid: int) -> bool:
    """Whether a process ends (the kernel takes a moment after the signal)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_bytes_go_in_and_come_out():
    result = run("cat", stdin=b"hello")
    assert (result.stdout, result.exit_code, result.succeeded) == (b"hello", 0, True)


def test_an_iterator_feeds_more_than_a_pipe_holds():
    result = run("wc", "-c", stdin=(b"x" * 50_000 for _ in range(40)))
    assert result.stdout.split() == [b"2000000"]


def test_the_end_of_the_output_is_kept_and_its_length_counted():
    result = run("sh", "-c", "seq 1 100000; seq 1 5 >&2", keep=20)
    assert result.stdout == b"\n99998\n99999\n100000\n"
    assert result.stdout_bytes == sum(len(f"{n}\n") for n in range(1, 100_001))
    assert result.stderr == b"1\n2\n3\n4\n5\n"


def test_a_child_that_reads_nothing_does_not_hang_us():
    assert run("true", stdin=b"x" * 10**6).exit_code == 0


def test_exit_code_and_signal():
    assert run("sh", "-c", "exit 3").exit_code == 3
    assert run("sh", "-c", "kill -9 $$").exit_code == -signal.SIGKILL


def test_only_the_given_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "s3cret")
    environment = proc.allowed_environment(os.environ, DOCKER_HOST="unix:///x")
    result = run("env", environment=environment)
    names = {line.partition("=")[0] for line in result.stdout.decode().splitlines()}
    assert names <= {*proc.ALLOWED_ENVIRONMENT, "DOCKER_HOST"}
    assert "PATH" in names


def test_the_deadline_kills_the_whole_group():
    result = run("sh", "-c", "sleep 1000 & echo $!; sleep 1000", timeout=0.5)
    assert result.timed_out
    assert not result.succeeded
    assert ends(int(result.stdout))


def test_a_survivor_that_holds_the_output_open_is_ended():
    result = run("sh", "-c", "sleep 1000 & echo $!")
    assert (result.exit_code, result.timed_out) == (0, False)
    assert ends(int(result.stdout))


def test_an_iterator_that_raises_ends_the_child(tmp_path: Path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    seen: list[int] = []

    def chunks() -> Iterator[bytes]:
        yield b"x"
        seen.append(int(fifo.read_text()))
        raise ValueError("broken source")

    with pytest.raises(ValueError, match="broken source"):
        run("sh", "-c", f"echo $$ > {fifo}; exec sleep 1000", stdin=chunks())
    assert ends(seen[0])


@pytest.mark.usefixtures("armed")
def test_an_interrupt_ends_the_child(tmp_path: Path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def interrupt() -> None:
        fifo.read_text()  # the child has started
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run("sh", "-c", f"echo $$ > {tmp_path}/pid; echo > {fifo}; exec sleep 1000")
    finally:
        thread.join()
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        run("/no/such/program")


def test_no_descriptor_is_left_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(sys.executable, "-c", "pass")
    with pytest.raises(FileNotFoundError):
        run("/no/such/program")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
