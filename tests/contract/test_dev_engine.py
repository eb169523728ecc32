"""scripts/dev-engine.sh, run for real: engines of the tests' own beside any other.

The engines copy the files of one that is already made (the default folder's, or
MCP_SANDBOX_ENGINE_ROOTFS); where there is none, the first test that needs an
engine makes one from Debian's packages, which takes half a minute more.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import signal
import socketserver
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "scripts" / "dev-engine.sh"
IMAGE = "debian:trixie-slim"
# Not in /tmp, which the engine shares with the host.
STATE_PARENT = Path("/var/lib")
CGROUPS = Path("/sys/fs/cgroup")
ROOTFS = "MCP_SANDBOX_ENGINE_ROOTFS"
DEFAULT_ROOTFS = STATE_PARENT / "mcp-sandbox-engine" / "rootfs"


def _is_debian_root() -> bool:
    release = Path("/etc/os-release")
    return (
        os.geteuid() == 0
        and release.exists()
        and re.search(r"^ID=debian$", release.read_text(), re.MULTILINE) is not None
    )


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_engine = pytest.mark.skipif(
    not _is_debian_root(), reason="the private engine needs root on Debian"
)

Done = subprocess.CompletedProcess[str]


class Engine:
    """One state folder, and the script run on it."""

    #: Files to copy, once there are some.
    made: ClassVar[Path | None] = next(
        (
            folder
            for folder in (Path(os.environ.get(ROOTFS, "")), DEFAULT_ROOTFS)
            if (folder / "usr/sbin/dockerd").is_file()
        ),
        None,
    )

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine" / "docker.sock"
        self.pidfile = folder / "engine" / "dockerd.pid"
        self.tag = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        self.env = {
            **os.environ,
            "HOME": str(home),
            "MCP_SANDBOX_ENGINE_DIR": str(folder),
            # Nothing answers there, so an engine of the machine's stays out of it.
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        }
        for name in ("NET", "MIRROR", "SHARE", "ROOTFS"):
            self.env.pop(f"MCP_SANDBOX_ENGINE_{name}", None)
        if self.made is not None:
            self.env[ROOTFS] = str(self.made)

    def run(self, *args: str, script: Path = SCRIPT, env: dict[str, str] | None = None) -> Done:
        # Pipes, not files: a daemon that keeps one open would time out here.
        return subprocess.run(
            [str(script), *args],
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=180,
        )

    def start(self) -> str:
        done = self.run("start")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def docker(
        self, *args: str, stdin: bytes = b"", cwd: Path | None = None, check: bool = True
    ) -> Done:
        done = subprocess.run(
            [str(self.folder / "bin" / "docker"), "-H", f"unix://{self.socket}", *args],
            env=self.env,
            input=stdin,
            cwd=cwd,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    @property
    def pid(self) -> int:
        return int(self.pidfile.read_text())

    def daemons(self) -> list[int]:
        """dockerd and the containerd that it started."""
        found = [pid for pid in self.processes() if parent_of(pid) == self.pid]
        named = [pid for pid in found if command_of(pid) == b"containerd"]
        assert len(named) == 1, [command_of(pid) for pid in found]
        return [self.pid, *named]

    def rules(self) -> list[str]:
        """The rules in the host's tables that carry this engine's mark."""
        assert self.made is not None
        found = []
        for table in ("nat", "filter"):
            done = subprocess.run(
                ["chroot", str(self.made), "/usr/sbin/iptables", "-w", "10", "-t", table, "-S"],
                capture_output=True,
                text=True,
                check=True,
            )
            found += [line for line in done.stdout.splitlines() if f"mcpse-{self.tag}" in line]
        return found

    def link_exists(self) -> bool:
        return Path(f"/sys/class/net/mse{self.tag}").exists()

    def processes(self) -> list[int]:
        """Processes that have this engine's rootfs as their root folder."""
        rootfs = self.folder / "rootfs"
        if rootfs.exists():
            ROOTS.setdefault(str(rootfs), set()).add(identity(rootfs))
        return [pid for pid in pids() if root_of(pid) in ROOTS.get(str(rootfs), ())]

    def cgroups(self) -> list[Path]:
        return [
            path
            for parent in (CGROUPS, *CGROUPS.glob("*/"))
            if (path := parent / f"mcp-sandbox-engine-{self.tag}").is_dir()
        ]


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


ROOTS: dict[str, set[tuple[int, int]]] = {}
"""What each rootfs was, kept for the time after its removal."""


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def root_of(pid: int) -> tuple[int, int] | None:
    try:
        return identity(Path(f"/proc/{pid}/root/"))
    except OSError:
        return None


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def parent_of(pid: int) -> int | None:
    """None when the process has ended meanwhile."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def command_of(pid: int) -> bytes:
    """Nothing when the process has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""


def wait_until(condition: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def mounts_in(folder: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(folder)]


def new_folder() -> Path:
    # Real, as the script resolves links and names things after the result.
    return Path(tempfile.mkdtemp(prefix="mcp-sandbox-engine-test-", dir=STATE_PARENT)).resolve()


def make_engine(home: Path) -> Iterator[Engine]:
    folder = new_folder()
    folder.rmdir()
    engine = Engine(folder, home)
    yield engine
    if folder.exists():
        done = engine.run("stop")
        assert done.returncode == 0, done.stderr
    assert not folder.exists()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A folder of its own, with nothing in it yet."""
    yield from make_engine(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The one engine behind ``running``."""
    for engine in make_engine(tmp_path_factory.mktemp("home")):
        engine.start()
        if Engine.made is None:
            Engine.made = engine.folder / "rootfs"
        yield engine
        if Engine.made == engine.folder / "rootfs":
            Engine.made = None


@pytest.fixture
def running(shared: Engine) -> Engine:
    """An engine that the tests of this file share: start it, do not stop it.

    It runs when a test begins, even where the one before broke off while it was down.
    """
    if shared.run("status").returncode != 0:
        shared.start()
    return shared


# --- bad input ---------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [[], ["restart"], ["start", "now"], ["stop", "--all"], ["--keep"], ["start stop"]]
)
def test_a_usage_error_says_the_usage_and_does_nothing(engine: Engine, args: list[str]) -> None:
    done = engine.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage:")
    assert not engine.folder.exists()


def test_help_is_no_error(engine: Engine) -> None:
    done = engine.run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage:")


@pytest.mark.parametrize(
    "folder",
    [
        "relative/folder",
        "/var/lib/with space",
        "/var/lib/quo'te",
        "/tmp/engine",
        "/tmp/../tmp/engine",
        f"{CHECKOUT}/engine",
        str(CHECKOUT.parent),
        "/",
        "/var/lib",
        "/var/lib/" + "x" * 120,
    ],
)
def test_a_state_folder_that_could_do_harm_is_refused(engine: Engine, folder: str) -> None:
    for command in ("start", "stop"):
        done = engine.run(command, env={"MCP_SANDBOX_ENGINE_DIR": folder})
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert len(done.stderr.splitlines()) == 1


@needs_root
@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_folder_with_files_of_others_is_left_alone(engine: Engine, command: str) -> None:
    engine.folder.mkdir()
    letter = engine.folder / "letter.txt"
    letter.write_text("dear diary")
    try:
        done = engine.run(command)
        assert (done.returncode, done.stdout) == (2, "")
        assert [entry.name for entry in engine.folder.iterdir()] == ["letter.txt"]
    finally:
        letter.unlink()
        engine.folder.rmdir()


@needs_root
def test_without_root_it_says_so(engine: Engine) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        # The checkout may be where nobody may look.
        copy = Path(name) / "scripts" / "dev-engine.sh"
        copy.parent.mkdir()
        shutil.copy(SCRIPT, copy)
        Path(name).chmod(0o755)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy, "start"],
            env=engine.env,
            capture_output=True,
            check=False,
            text=True,
        )
    assert (done.returncode, done.stdout) == (3, "")
    assert "needs root" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_root
def test_a_host_without_apt_is_told_so(engine: Engine, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in map(Path, ("/usr/bin", "/usr/sbin", "/bin", "/sbin")):
        for tool in folder.iterdir():
            if not tool.name.startswith("apt") and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    done = engine.run("start", env={"PATH": str(tools)})
    assert (done.returncode, done.stdout) == (3, "")
    assert "Debian-family" in done.stderr
    assert not engine.folder.exists()


@needs_root
def test_stop_and_status_where_there_is_nothing(engine: Engine) -> None:
    stopped = engine.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "")
    assert "nothing to stop" in stopped.stderr
    status = engine.run("status")
    assert (status.returncode, status.stdout) == (3, "no engine answers\n")
    assert not engine.folder.exists()


# --- the host's apt sources ----------------------------------------------------

DEBIAN = "VERSION_CODENAME=bookworm\nID=debian\n"
UBUNTU = "VERSION_CODENAME=noble\nID=ubuntu\n"
DEB822 = """\
# Types: deb
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://other.example/linux/debian
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/other.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://stable.example/debian
Suites: bookworm
Components: stable
"""
ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [signed-by=/etc/apt/keyrings/other.gpg] https://other.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
http://mirror.example/debian bookworm main contrib # ours
deb http://security.example/debian-security bookworm-security main
deb http://tools.example/apt tools-bookworm main
"""
EXPECTED = [
    "http://mirror.example/debian trixie",
    "http://mirror.example/debian trixie-updates",
    "http://security.example/debian-security trixie-security",
]


def mirrors(tmp_path: Path, files: dict[str, str], release: str, **env: str) -> list[str]:
    for name, text in files.items():
        path = tmp_path / "apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "apt").mkdir(exist_ok=True)
    (tmp_path / "release").write_text(release)
    script = f". {SCRIPT}; mirrors {tmp_path}/apt {tmp_path}/release"
    environment = {k: v for k, v in os.environ.items() if k != "MCP_SANDBOX_ENGINE_MIRROR"}
    done = subprocess.run(
        ["bash", "-c", script],
        env={**environment, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_only_debians_own_deb822_entries_are_taken(tmp_path: Path) -> None:
    assert mirrors(tmp_path, {"sources.list.d/a.sources": DEB822}, DEBIAN) == EXPECTED


def test_only_debians_own_one_line_entries_are_taken(tmp_path: Path) -> None:
    found = mirrors(tmp_path, {"sources.list": ONE_LINE}, DEBIAN)
    assert found == [EXPECTED[0], EXPECTED[2]]
    found = mirrors(tmp_path, {"sources.list": "", "sources.list.d/a.list": ONE_LINE}, DEBIAN)
    assert found == [EXPECTED[0], EXPECTED[2]]


def test_a_mirror_list_is_followed(tmp_path: Path) -> None:
    listing = tmp_path / "debian.list"
    listing.write_text("# ours\nhttps://mirror.example/debian\tpriority:1\n")
    source = f"deb mirror+file:{listing} bookworm main\n"
    found = mirrors(tmp_path, {"sources.list": source}, DEBIAN)
    assert found == ["https://mirror.example/debian trixie"]


def test_on_another_distribution_only_what_debian_signed_is_taken(tmp_path: Path) -> None:
    archive = "http://archive.example/ubuntu"
    own = {
        "sources.list": f"deb {archive} noble main\n" + ONE_LINE.replace("bookworm", "trixie"),
        "sources.list.d/a.sources": (
            f"Types: deb\nURIs: {archive}\nSuites: noble\nComponents: main\n"
        ),
    }
    assert mirrors(tmp_path, own, UBUNTU) == [EXPECTED[0]]
    # The same lines on Debian are its own.
    as_debian = mirrors(tmp_path, own, UBUNTU.replace("ubuntu", "debian"))
    assert f"{archive} trixie" in as_debian


def test_the_mirror_can_be_named(tmp_path: Path) -> None:
    found = mirrors(
        tmp_path,
        {"sources.list": ONE_LINE},
        DEBIAN,
        MCP_SANDBOX_ENGINE_MIRROR="http://named.example/debian",
    )
    assert found == ["http://named.example/debian trixie"]


# --- an engine that is not ours -------------------------------------------------


class _FakeEngine(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        body = b'{"Version":"99.9","ApiVersion":"1.45","MinAPIVersion":"1.24","Os":"linux"}'
        self.send_response(200 if self.path.endswith(("/version", "/_ping")) else 404)
        self.send_header("Api-Version", "1.45")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    _FakeEngine.asked = []
    path = str(tmp_path / "foreign.sock")
    with socketserver.ThreadingUnixStreamServer(path, _FakeEngine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"unix://{path}", _FakeEngine.asked
        server.shutdown()
        thread.join()


def test_where_an_engine_answers_nothing_is_started(
    engine: Engine, foreign: tuple[str, list[str]]
) -> None:
    host, asked = foreign
    done = engine.run("start", env={"DOCKER_HOST": host})
    assert (done.returncode, done.stdout) == (0, f"export DOCKER_HOST={host}\n")
    assert not engine.folder.exists()
    status = engine.run("status", env={"DOCKER_HOST": host})
    assert status.returncode == 0
    assert host in status.stdout
    assert "version: 99.9" in status.stdout
    assert "not started by this script" in status.stdout
    assert asked
    assert all(line.startswith(("GET ", "HEAD ")) for line in asked)


@needs_root
def test_stop_does_not_touch_an_engine_that_is_not_ours(
    engine: Engine, foreign: tuple[str, list[str]]
) -> None:
    host, asked = foreign
    done = engine.run("stop", env={"DOCKER_HOST": host})
    assert (done.returncode, done.stdout) == (0, "")
    assert asked == []


# --- removing -------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("where", ["rootfs/home/someone", "rootfs.partial/tmp", "engine", "."])
def test_nothing_is_removed_while_something_is_mounted_inside(
    engine: Engine, tmp_path: Path, where: str
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("the host's own")
    point = engine.folder / where
    point.mkdir(parents=True)
    (engine.folder / ".mcp-sandbox-engine").touch()
    (engine.folder / "rootfs").mkdir(exist_ok=True)
    (engine.folder / "rootfs" / "kept").touch()
    subprocess.run(["mount", "--bind", precious, point], check=True)
    try:
        if where == ".":
            (precious / ".mcp-sandbox-engine").touch()
        done = engine.run("stop")
        assert (done.returncode, done.stdout) == (3, "")
        assert "refusing to remove" in done.stderr
        assert str(point) in done.stderr
        assert (precious / "file").read_text() == "the host's own"
        assert where == "." or (engine.folder / "rootfs" / "kept").exists()
        assert mounts_in(engine.folder) == [str(point)]
    finally:
        subprocess.run(["umount", point], check=True)
    assert engine.run("stop").returncode == 0
    assert not engine.folder.exists()
    assert (precious / "file").exists()


# --- being interrupted ------------------------------------------------------------

STUB = """\
#!/bin/sh
# In place of debootstrap: the mount and the processes that it has midway.
for target; do case $target in */rootfs.partial) break ;; esac; done
[ ! -e "$target" ] || exit 99
mkdir -p "$target/proc"
mount -t tmpfs tmpfs "$target/proc"
touch "$target/proc/busy"
sleep {token} &
echo midway >&2
exec sleep {token}
"""


def with_token(token: str) -> list[int]:
    found = []
    for pid in pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", token.encode()]:
            found.append(pid)
    return found


@needs_engine
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_start_that_is_interrupted_leaves_nothing_in_the_way(
    engine: Engine, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    token = f"{600 + os.getpid()}.{int(number)}"
    stub = tmp_path / "stub" / "debootstrap"
    stub.parent.mkdir()
    stub.write_text(STUB.format(token=token))
    stub.chmod(0o755)
    env = {
        **engine.env,
        "PATH": f"{stub.parent}:{os.environ['PATH']}",
        "MCP_SANDBOX_ENGINE_MIRROR": "http://mirror.example/debian",
    }
    env.pop(ROOTFS, None)
    process = subprocess.Popen(
        [SCRIPT, "start"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert wait_until(lambda: len(with_token(token)) == 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert number == signal.SIGKILL or "interrupted" in err
    assert wait_until(lambda: not with_token(token))
    assert mounts_in(engine.folder) == []

    # The stub fails with 99 when it finds what the first one left.
    stub.write_text(STUB.format(token=0))
    again = subprocess.run(
        [SCRIPT, "start"], env=env, capture_output=True, check=False, text=True, timeout=60
    )
    assert "midway" in (engine.folder / "make.log").read_text(), again.stderr
    assert not (engine.folder / "rootfs").exists()


@needs_root
@pytest.mark.parametrize("call", range(1, 5))
def test_a_stop_that_is_killed_leaves_nothing_in_the_way(
    engine: Engine, tmp_path: Path, call: int
) -> None:
    engine.folder.mkdir()
    (engine.folder / ".mcp-sandbox-engine").touch()
    (engine.folder / "make.log").touch()
    for name in ("rootfs/usr/sbin", "engine/data", "bin"):
        (engine.folder / name).mkdir(parents=True)
        (engine.folder / name / "file").touch()
    # The nth time that a tree is to go, half of it goes, and the script with it.
    stub = tmp_path / "stub" / "rm"
    stub.parent.mkdir()
    stub.write_text(f"""#!/bin/bash
        [[ $1 == -rf ]] || exec /bin/rm "$@"
        echo x >>{tmp_path}/calls
        [[ $(wc -l <{tmp_path}/calls) == {call} ]] || exec /bin/rm "$@"
        for tree; do [[ $tree != /* ]] || find "$tree" -type f ! -name lock -delete; done
        pid=$PPID
        [[ $(</proc/$pid/comm) != find ]] || pid=$(ps -o ppid= -p $pid)
        kill -KILL $pid
    """)
    stub.chmod(0o755)
    done = engine.run("stop", env={"PATH": f"{stub.parent}:{os.environ['PATH']}"})
    assert done.returncode == -signal.SIGKILL, done.stderr
    for name in ("rootfs", "engine"):
        tree = engine.folder / name
        assert not tree.exists() or any(path.is_file() for path in tree.rglob("*"))
    again = engine.run("stop")
    assert again.returncode == 0, again.stderr
    assert not engine.folder.exists()


# --- a running engine ---------------------------------------------------------------


@needs_engine
def test_start_prints_one_line_and_the_second_does_nothing_twice(running: Engine) -> None:
    pid = running.pid
    first, second = running.start(), running.start()
    assert first == second
    assert re.fullmatch(
        rf"export DOCKER_HOST=unix://{running.socket}( PATH={running.folder}/bin:\$PATH)?\n", first
    )
    assert running.pid == pid
    assert len([p for p in running.processes() if b"dockerd" in command_of(p)]) == 1


@needs_engine
def test_the_line_gives_a_shell_docker_and_buildx(running: Engine, tmp_path: Path) -> None:
    script = f"""
        set -eu
        eval "$({SCRIPT} start 2>/dev/null)"
        docker version --format 'server {{{{.Server.Version}}}}'
        docker buildx version
        {SCRIPT} start 2>/dev/null
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=running.env,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    version, buildx, again = done.stdout.splitlines()
    assert re.fullmatch(r"server \d+\.\d+.*", version)
    assert "buildx" in buildx
    # Its own engine answers by now, and is not taken for another's.
    assert again + "\n" == running.start()


@needs_engine
def test_status_says_what_runs(running: Engine) -> None:
    done = running.run("status")
    assert done.returncode == 0
    assert str(running.socket) in done.stdout
    assert re.search(r"^version: \d+\.\d+", done.stdout, re.MULTILINE)
    assert re.search(rf"^stand-in for {IMAGE}: yes$", done.stdout, re.MULTILINE)
    assert "not started by this script" not in done.stdout


@needs_engine
def test_only_root_may_speak_to_it(running: Engine) -> None:
    found = running.socket.stat()
    # The chroot's "docker" group would be the number of any group out here.
    assert (found.st_uid, found.st_gid) == (0, 0)
    assert stat.S_IMODE(found.st_mode) & 0o007 == 0
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700


@needs_engine
def test_the_stand_in_trusts_what_the_host_trusts(running: Engine) -> None:
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    command = f"sha256sum {bundle}; echo $PIP_CERT; echo $SSL_CERT_FILE; echo $NODE_EXTRA_CA_CERTS"
    digest, *values = running.docker("run", "--rm", IMAGE, "sh", "-c", command).stdout.splitlines()
    assert digest.split()[0] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert values == [str(bundle)] * 3
    label = running.docker(
        "image",
        "inspect",
        "--format",
        '{{index .Config.Labels "dev.mcp-sandbox.standin"}}',
        IMAGE,
    )
    assert label.stdout == "1\n"


@needs_engine
def test_a_stand_in_with_other_certificates_is_made_anew(running: Engine) -> None:
    stale = b"FROM debian:trixie-slim\nLABEL dev.mcp-sandbox.standin.ca=stale\n"
    running.docker("buildx", "build", "-q", "-t", IMAGE, "-", stdin=stale)
    before = running.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout
    running.start()
    assert running.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout != before
    # An image of that name that is not a stand-in is somebody's own.
    running.docker("tag", IMAGE, "test-standin")
    own = b"FROM debian:trixie-slim\nLABEL dev.mcp-sandbox.standin=\n"
    running.docker("buildx", "build", "-q", "-t", IMAGE, "-", stdin=own)
    try:
        before = running.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout
        running.start()
        assert running.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout == before
        assert "yes" not in running.run("status").stdout
    finally:
        running.docker("tag", "test-standin", IMAGE)


@needs_engine
def test_the_limits_of_the_sandbox_hold(running: Engine) -> None:
    flags = ["--rm", "--network", "none", "--read-only", "--cpus", "0.5", "--pids-limit", "16"]
    flags += ["--memory", "64m"]
    look = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
        " /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max"
        " /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null;"
        " ls /sys/class/net; touch /file || echo read-only"
    )
    seen = running.docker("run", *flags, IMAGE, "sh", "-c", look).stdout.splitlines()
    assert [line.split()[0] for line in seen] == ["67108864", "16", "50000", "lo", "read-only"]
    hog = running.docker("run", *flags, IMAGE, "tail", "/dev/zero", check=False)
    assert hog.returncode == 137
    forks = "for i in $(seq 40); do sleep 5 & done; echo all"
    bomb = running.docker("run", *flags, IMAGE, "sh", "-c", forks, check=False)
    assert bomb.returncode != 0
    assert "all" not in bomb.stdout


@needs_engine
def test_exec_and_top_look_into_the_container_and_not_at_the_host(running: Engine) -> None:
    marker = running.docker("run", "-d", IMAGE, "sh", "-c", "touch /inside; exec sleep 60")
    container = marker.stdout.strip()
    try:
        check = "until [ -e /inside ]; do sleep 0.1; done; [ ! -e /run/host ] && echo inside"
        seen = running.docker("exec", "-w", "/", container, "timeout", "20", "sh", "-c", check)
        assert seen.stdout.strip() == "inside"
        assert "sleep 60" in running.docker("top", container).stdout
    finally:
        running.docker("rm", "-f", container)


@needs_engine
def test_builds_take_contexts_from_anywhere(running: Engine) -> None:
    dockerfile = (
        "FROM debian:trixie-slim AS trivy\nRUN false\n"
        "FROM debian:trixie-slim AS never\n"
        f"ADD --checksum=sha256:{'0' * 64} http://archive.example/file /\n"
        "FROM debian:trixie-slim\n"
        "RUN cat >/out <<END\nheredoc $(expr 6 \\* 7)\nEND\n"
        "COPY --from=trivy tool /\nCOPY local* /\n"
    )
    # A folder that the engine does not share: it comes to it by the client.
    folder = new_folder()
    try:
        (folder / "context" / "extra").mkdir(parents=True)
        (folder / "context" / "extra" / "tool").write_text("from a named context")
        (folder / "context" / "local").write_text("from the context")
        (folder / "context" / "Dockerfile").write_text(dockerfile)
        build = ["build", "-q", "--build-context", "trivy=extra"]
        cwd = folder / "context"
        by_path = running.docker("buildx", *build, ".", cwd=cwd).stdout.strip()
        by_alias = running.docker(*build, ".", cwd=cwd).stdout.strip()
        tar = subprocess.run(["tar", "-c", "."], cwd=cwd, capture_output=True, check=True).stdout
        by_tar = running.docker("buildx", *build, "-", cwd=cwd, stdin=tar).stdout.strip()
        for image in (by_path, by_alias, by_tar):
            seen = running.docker("run", "--rm", image, "sh", "-c", "cat /out /tool /local").stdout
            assert seen == "heredoc 42\nfrom a named contextfrom the context"
    finally:
        shutil.rmtree(folder)


@needs_engine
def test_a_build_reaches_the_registries(running: Engine) -> None:
    dockerfile = (
        "FROM debian:trixie-slim\n"
        "RUN apt-get -o APT::Update::Error-Mode=any update"
        " && apt-get install -y --no-install-recommends hostname && hostname\n"
    )
    running.docker("buildx", "build", "--no-cache", "-q", "-", stdin=dockerfile.encode())


@needs_engine
def test_paths_mean_the_same_inside(running: Engine) -> None:
    def mounted(source: Path, target: str, *command: str) -> str:
        done = running.docker("run", "--rm", "-v", f"{source}:{target}", IMAGE, *command)
        return done.stdout

    socket = "/var/run/docker.sock"
    assert mounted(running.socket, socket, "stat", "-c", "%F", socket) == "socket\n"
    script = str(SCRIPT)
    seen = mounted(CHECKOUT, str(CHECKOUT), "cat", script)
    assert seen == SCRIPT.read_text()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "note").write_text("hello")
        assert mounted(Path(name), name, "cat", f"{name}/note") == "hello"
        mounted(Path(name), name, "sh", "-c", f"echo back >{name}/answer")
        assert (Path(name) / "answer").read_text() == "back\n"
        running.docker("run", "--rm", "-v", f"{name}:/x:rshared", IMAGE, "test", "-f", "/x/note")


@needs_engine
def test_a_later_clone_is_shared_too(running: Engine) -> None:
    clone = new_folder()
    try:
        for text in ("first", "second"):
            # The second clone has the first one's path, and is another folder.
            shutil.rmtree(clone)
            (clone / "scripts").mkdir(parents=True)
            shutil.copy(SCRIPT, clone / "scripts")
            (clone / "file").write_text(text)
            done = running.run("start", script=clone / "scripts" / SCRIPT.name)
            assert done.returncode == 0, done.stderr
            seen = running.docker("run", "--rm", "-v", f"{clone}:/c", IMAGE, "cat", "/c/file")
            assert seen.stdout == text
    finally:
        shutil.rmtree(clone)


@needs_engine
def test_its_mounts_are_not_the_hosts(running: Engine) -> None:
    assert mounts_in(running.folder) == []
    inside = Path(f"/proc/{running.pid}/mountinfo").read_text()
    assert f" {CHECKOUT} " in inside or CHECKOUT.is_relative_to("/tmp")


# --- two engines, crashes, and the end ---------------------------------------------------


@needs_engine
def test_two_engines_side_by_side_and_no_trace_of_the_one_that_ended(
    running: Engine, engine: Engine
) -> None:
    name = f"first-{running.tag}"
    running.docker("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    try:
        # At the same moment, from two shells: one makes it, the other waits.
        starts = [
            subprocess.Popen(
                [SCRIPT, "start"],
                env=engine.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        outs = [process.communicate(timeout=120) for process in starts]
        assert [process.returncode for process in starts] == [0, 0], outs
        assert outs[0][0] == outs[1][0]
        assert str(engine.socket) in outs[0][0]
        assert sum("starting dockerd" in err for _, err in outs) == 1

        assert engine.docker("ps", "-aq").stdout == ""
        container = engine.docker("run", "-d", IMAGE, "sleep", "1000").stdout.strip()
        inner = int(engine.docker("inspect", "-f", "{{.State.Pid}}", container).stdout)
        engine.docker("network", "create", "more")
        assert running.docker("ps", "-q", "--filter", f"name={name}").stdout
        # What the end has to take away is there to be taken away.
        assert len(engine.rules()) == 3
        assert engine.link_exists()
        assert engine.cgroups()
        assert len(engine.processes()) >= 3
        everyone = engine.processes()

        done = engine.run("stop")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert not engine.folder.exists()
        assert not any(map(alive, [*everyone, inner]))
        assert engine.rules() == []
        assert not engine.link_exists()
        assert engine.cgroups() == []

        assert running.docker("exec", name, "echo", "alive").stdout == "alive\n"
        assert len(running.rules()) == 3
        assert running.link_exists()
    finally:
        running.docker("rm", "-f", name)


@needs_engine
def test_a_crash_leaves_nothing_that_the_next_start_trips_over(running: Engine) -> None:
    names = ["crash-a", "crash-b"]
    inner = []
    for name in names:
        running.docker("run", "-d", "--name", name, IMAGE, "sleep", "1000")
        inner.append(int(running.docker("inspect", "-f", "{{.State.Pid}}", name).stdout))
    shims = [shim for pid in inner if (shim := parent_of(pid)) is not None]
    daemons = running.daemons()
    crashed = daemons[0]
    # containerd goes with dockerd, but not in the same moment: as long as it is there, it ends the
    # container of a shim that dies.
    os.kill(crashed, signal.SIGKILL)
    assert wait_until(lambda: not any(map(alive, daemons)))
    # One container keeps its shim; the other's process is nobody's child any more.
    os.kill(shims[1], signal.SIGKILL)
    assert wait_until(lambda: not alive(shims[1]))
    assert all(map(alive, inner))
    assert running.run("status").returncode == 3

    running.start()
    assert running.pid != crashed
    assert not any(map(alive, [*shims, *inner]))
    assert len(running.rules()) == 3
    states = running.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout
    assert set(states.splitlines()) >= {"crash-a exited", "crash-b exited"}
    running.docker("start", "crash-a")
    running.docker("rm", "-f", *names)


@needs_engine
def test_stop_keep_keeps_the_files_and_a_pid_file_is_not_believed(running: Engine) -> None:
    running.docker("tag", IMAGE, "kept-image")
    old = running.processes()
    done = running.run("stop", "--keep")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not any(map(alive, old))
    assert running.rules() == []
    assert not running.link_exists()
    assert running.run("status").returncode == 3

    # After a reboot, a pid of ours is anybody's.
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        try:
            running.pidfile.write_text(f"{bystander.pid}\n")
            assert running.run("stop", "--keep").returncode == 0
            running.pidfile.write_text(f"{bystander.pid}\n")
            started = running.run("start")
            assert started.returncode == 0, started.stderr
            # Nor is it waited for.
            assert "ending" not in started.stderr
            assert bystander.poll() is None
        finally:
            bystander.kill()
    assert running.docker("images", "-q", "kept-image").stdout


@needs_engine
def test_in_the_hosts_network_it_leaves_that_as_it_was_after_a_crash_too(
    running: Engine, engine: Engine
) -> None:
    # A network namespace plays the host: nothing here touches the real one.
    script = f"""
        set -euo pipefail
        ip link set lo up
        echo 0 >/proc/sys/net/ipv4/ip_forward
        show() {{
            echo "$1"
            ip -o link | awk '{{ print "link", $2 }}'
            for t in nat filter; do chroot {engine.made} /usr/sbin/iptables -w 10 -t $t -S; done
            echo "forward $(cat /proc/sys/net/ipv4/ip_forward)"
        }}
        show before
        {SCRIPT} start >/dev/null
        docker() {{ {engine.folder}/bin/docker -H unix://{engine.socket} "$@"; }}
        docker network create more >/dev/null
        docker run -d -p 127.0.0.1:8080:80 {IMAGE} sleep 1000 >/dev/null
        show during
        kill -KILL "$(cat {engine.pidfile})"
        {SCRIPT} stop
        show after
    """
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script],
        env={**engine.env, "MCP_SANDBOX_ENGINE_NET": "host"},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    match = re.fullmatch(r"before\n(.*)during\n(.*)after\n(.*)", done.stdout, re.DOTALL)
    assert match
    before, during, after = match.groups()
    for made in ("link docker0", "link br-", "--dport 8080", "forward 1"):
        assert made in during
    assert before == after
    assert not engine.folder.exists()
