"""``scripts/security-scan.sh``: the command in its own image, on this machine's disk."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcp_sandbox.model import RUN_LABEL
from mcp_sandbox.model.locked import LOCK_FILE
from mcp_sandbox.sandbox import Engine
from support.on_engine import labelled

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / "scripts" / "security-scan.sh"


def run(
    *arguments: object, cwd: Path = PROJECT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script as a user does. The first time its image is built."""
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def check_results(folder: Path, engine: Engine) -> dict[str, object]:
    """On this machine's disk, whole, the property of the folder's owner; nothing left behind."""
    report = json.loads((folder / "report.json").read_bytes())
    assert labelled(engine, f"{RUN_LABEL}={report['run']['id']}") == []
    owner = folder.parent.stat()
    for path in (folder, *folder.rglob("*")):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid), path
    return dict(report)


def test_an_example_from_another_folder(engine: Engine, tmp_path: Path):
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, 54321)
    quick = ["--cpus", "2", "--call-timeout", "2"]
    done = run("examples/sandboxed-server", f"--out={tmp_path}/out", *quick)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASS  score ")
    report = check_results(tmp_path / "out", engine)
    assert report["verdict"] == "pass"
    assert (tmp_path / "out" / "results.sarif").is_file()


def test_a_folder_that_is_no_checkout(engine: Engine, tmp_path: Path):
    """Relative paths, the default ``--out``, and the code of bad input."""
    (tmp_path / "server").mkdir()
    shutil.copy(PROJECT / "LICENSE", tmp_path / "server")
    done = run("server", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "There is no 'Dockerfile'" in done.stderr
    assert "Traceback" not in done.stderr
    report = check_results(tmp_path / "mcp-sandbox-report", engine)
    assert report["verdict"] == "error"
    judged = run("judge", "mcp-sandbox-report/report.json", cwd=tmp_path)
    assert judged.returncode == 2
    assert "holds no observations" in judged.stderr


def test_a_lock_file_is_written_into_the_folder_and_counts_from_then_on(tmp_path: Path):
    """On this machine's disk, the property of the folder's owner; a scan finds it there."""
    server = tmp_path / "server"
    shutil.copytree(PROJECT / "tests" / "servers" / "drift" / "repository", server)
    if os.geteuid() == 0:
        os.chown(server, 12345, 54321)
    quick = ["--cpus", "2", "--max-calls", "40", f"--out={tmp_path}/out"]
    done = run("baseline", "write", server, *quick)
    assert done.returncode == 0, done.stderr
    lock = server / LOCK_FILE
    assert done.stdout == f"{lock}: written\n"
    owner, found = server.stat(), lock.stat()
    assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid)
    assert lock.read_bytes() == (tmp_path / "out" / LOCK_FILE).read_bytes()
    done = run(server, *quick, "--scanners", "none", "--fail-on", "drift")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert (report["baseline"]["state"], report["changes"], report["drift"]) == ("used", [], [])


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["rules", "ssrf"], 0, "ssrf: ", ""),
        (["rules", "nonsense"], 2, "", "There is no rule 'nonsense'"),
        (["--version"], 0, "mcp-sandbox, version", ""),
        (["--image", "x", "--seed", "-1"], 2, "", "--seed -1"),
        (["--out", "/nowhere-at-all", "."], 2, "", "/nowhere-at-all cannot be used"),
    ],
)
def test_other_commands_and_their_codes(arguments: Sequence[str], code: int, out: str, err: str):
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert out in done.stdout
    assert err in done.stderr


@pytest.fixture
def forwarded(docker_host: str | None) -> Iterator[str]:
    """The engine's socket at a tcp:// address."""
    path = (docker_host or "unix:///var/run/docker.sock").removeprefix("unix://")
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with source, target:
            while data := source.recv(65536):
                target.sendall(data)

    def serve() -> None:
        while True:
            try:
                caller = listener.accept()[0]
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(path)
            for pair in ((caller, engine), (engine.dup(), caller.dup())):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_an_engine_that_cannot_be_handed_in(forwarded: str):
    done = run("rules", DOCKER_HOST=forwarded)
    assert (done.returncode, done.stdout) == (3, "")
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: DOCKER_HOST is {forwarded}; this script needs an engine with a unix:// socket."
    ]
