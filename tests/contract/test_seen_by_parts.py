"""What the parts of a job can see of it, in one run of the action with tokens and a checkout.

The build and the server look around themselves; every container of the run, and every process that
the step starts, the scanners too, is looked at from outside meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from mcp_sandbox.model import ROLE_LABEL, RUN_LABEL
from mcp_sandbox.sandbox import Engine
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.step import WORKER, Step

pytestmark = pytest.mark.engine

OURS = (b"GITHUB_", b"RUNNER_", b"ACTIONS_", b"INPUT_", b"STATE_", b"DOCKER_HOST=")
"""How the names of a job's variables begin."""
TOKENS = ("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SECRET")
PLACES = ("/github/workspace", "/github/file_commands", "/run/docker.sock")
TOOLS = ("trivy", "semgrep")
"""Scanners that are always there and run long enough to be met."""
OUT = "mcp-sandbox-report"
PLANTED = b"GITHUB_TOKEN="
"""A server has a variable of that name too, with a planted value."""


LOOK = '''\
"""Prints what a stranger could take: our environment, sockets, mounts."""
import os, sys
MARK = bytes.fromhex("%s")
OURS = "GITHUB_W GITHUB_O GITHUB_E GITHUB_S RUNNER_ ACTIONS_ INPUT_ STATE_ GIT_CONFIG".split()
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        data = open(f"/proc/{pid}/environ", "rb").read()
    except OSError:
        continue
    found += ["mark in an environment"] * (MARK in data)
    found += [f"variable {name}" for name in OURS if any(
        one.startswith(name.encode()) for one in data.split(b"\\0"))]
mounts = open("/proc/self/mountinfo").read()
found += [f"mount {name}" for name in ("/github", "docker.sock", "file_commands") if name in mounts]
for folder, names, files in os.walk("/"):
    names[:] = [one for one in names if os.path.join(folder, one) not in ("/proc", "/sys")]
    found += [f"socket {folder}/{one}" for one in files if one.endswith(".sock")]
found += [f"folder {one}" for one in ("/github", "/workspace") if os.path.exists(one)]
for name in ("/src/.git/config", "/var/run/docker.sock"):
    found += [f"file {name}"] * os.path.lexists(name)
print("LOOKED", sys.argv[1], sorted(set(found)), file=sys.stderr, flush=True)
'''


@dataclass
class Seen:
    """What the containers of a run, and the processes of the step, could see."""

    mark: bytes
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Id -> what the engine says of it."""
    inside: dict[str, set[str]] = field(default_factory=dict)
    """Id -> what was found on a look at its first process."""
    looked: set[str] = field(default_factory=set)
    """Ids of containers whose first process was looked at."""
    said: str = ""
    """What the step printed."""
    processes: dict[str, set[str]] = field(default_factory=dict)
    """First words of a command in the step's container -> what its environment holds."""

    def container(self, engine: Engine, id_: str) -> None:
        """Look at one container, once at what it is and each time at what it runs."""
        try:
            found = engine.api.inspect_container(id_)
        except docker.errors.NotFound:
            return
        self.containers[id_] = found
        if pid := found["State"]["Pid"]:
            first = Path(f"/proc/{pid}")
            try:
                environment = (first / "environ").read_bytes()
                mounts = (first / "mountinfo").read_text()
                there = {place for place in PLACES if (first / "root" / place[1:]).exists()}
            except OSError:
                return
            there |= {place for place in PLACES if f" {place} " in mounts}
            self.looked.add(id_)
            self.inside.setdefault(id_, set()).update(there, self.in_environment(environment))

    def step(self, pids: list[int], front_door: set[bytes]) -> None:
        """Look at the processes of the step's container, but those of the front door's program."""
        for pid in pids:
            try:
                # The words first: a child that is not yet what it will be still has its parent's.
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                environment = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if not words or words in front_door:
                continue
            first = [word.decode(errors="replace") for word in words.split(b"\0")[:3]]
            program = " ".join(Path(word).name for word in first)
            self.processes.setdefault(program, set()).update(self.in_environment(environment))

    def in_environment(self, data: bytes) -> set[str]:
        """The mark, and names of variables of the job."""
        found = {"the mark"} if self.mark in data else set()
        return found | {
            one.partition(b"=")[0].decode()
            for one in data.split(b"\0")
            if one.startswith(OURS) and not one.startswith(PLANTED)
        }


def processes_of(engine: Engine, id_: str) -> list[int]:
    """Ids of a container's processes, as this machine numbers them."""
    try:
        rows = engine.api.top(id_, ps_args="-eo pid")["Processes"]
    except docker.errors.APIError:
        return []
    return [int(row[0]) for row in rows]


def watch(engine: Engine, step: Step, mark: str, running: Future[Any]) -> Iterator[Seen]:
    """Look again and again until the step has ended."""
    seen = Seen(mark.encode())
    front_door: set[bytes] = set()
    while not running.done():
        for one in engine.api.containers(all=True, filters={"label": RUN_LABEL}):
            seen.container(engine, one["Id"])
        for one in engine.api.containers(filters={"label": step.label}):
            seen.container(engine, one["Id"])
            pids = processes_of(engine, one["Id"])
            if pids and not front_door:
                front_door.add(Path(f"/proc/{pids[0]}/cmdline").read_bytes())
            seen.step(pids, front_door)
        wait([running], 0.1)
    yield seen


@pytest.fixture(scope="module")
def mark() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory, helper_image: str, engine: Engine) -> Step:
    return Step(tmp_path_factory.mktemp("step"), helper_image, engine)


@pytest.fixture(scope="module")
def seen(step: Step, engine: Engine, mark: str) -> Seen:
    """All that was seen in one run of the action with tokens, a workspace and the socket."""
    files = {
        **CORPUS_FILES,
        "look.py": LOOK % mark.encode().hex(),
        ".git/config": f"[http]\n\textraheader = {mark}\n",
        "Dockerfile": WITH_PYTHON
        + "COPY . /src\n"
        + "RUN python3 /src/look.py build 2> /built\n"
        + 'CMD ["sh", "-c", "cat /built >&2; python3 /src/look.py server; '
        + 'exec python3 -B /srv/servers/good/server.py"]\n',
    }
    for name, text in files.items():
        path = step.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with ThreadPoolExecutor(1) as pool:
        given = {"INPUT_BUILD__NETWORK": "default", **dict.fromkeys(TOKENS, mark)}
        running = pool.submit(step.run, "mcp-sandbox-action", **given)
        (found,) = watch(engine, step, mark, running)
    done = running.result()
    assert done.returncode in {0, 1}, done.stdout
    found.said = done.stdout + done.stderr
    return found


@pytest.fixture(scope="module")
def of_the_run(seen: Seen, step: Step) -> dict[str, dict[str, Any]]:
    """Those of the containers that the action made."""
    run = report_of(step)["run"]["id"]
    return {
        id_: one
        for id_, one in seen.containers.items()
        if one["Config"]["Labels"].get(RUN_LABEL) == run
    }


def report_of(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((step.workspace / OUT / "report.json").read_text())
    return found


def test_nothing_of_the_runner_is_in_the_build_or_the_server(
    seen: Seen, step: Step, mark: str
) -> None:
    said = {
        line
        for session in report_of(step)["observations"]["sessions"]
        for line in session["container"]["stderr"].splitlines()
        if line.startswith("LOOKED")
    }
    assert said == {"LOOKED build []", "LOOKED server []"}
    assert mark not in seen.said
    out = step.workspace / OUT
    for path in out.rglob("*"):
        assert path.is_dir() or mark.encode() not in path.read_bytes()
    # What was written belongs to the runner's user, who has to clear it away.
    assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {WORKER}


def test_looking_finds_what_there_is(step: Step, mark: str):
    """The same look, where there is something to see."""
    (step.files / "look.py").write_text(LOOK % mark.encode().hex())
    script = "/opt/mcp-sandbox/bin/python"
    socket = step.engine.address.removeprefix("unix://")
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--entrypoint", script, "--env", f"INPUT_X={mark}"),
            *("--volume", f"{socket}:/var/run/docker.sock"),
            *("--volume", f"{step.files}:/github/file_commands", step.image),
            *("/github/file_commands/look.py", "here"),
        ],
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": step.engine.address},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    for seen in ("mark in", "variable INPUT_", "mount /github", "docker.sock", "folder /github"):
        assert seen in done.stderr


def test_no_container_of_a_run_is_given_anything_of_the_job(
    of_the_run: dict[str, dict[str, Any]], step: Step, mark: str
) -> None:
    roles = {one["Config"]["Labels"][ROLE_LABEL] for one in of_the_run.values()}
    assert {"server", "warden", "helper"} <= roles
    socket = step.engine.address.removeprefix("unix://")
    for one in of_the_run.values():
        text = json.dumps(one)
        for word in (mark, socket, "docker.sock", str(step.workspace), "/github/"):
            assert word not in text, one["Config"]["Labels"]
        for variable in one["Config"]["Env"]:
            name = variable.encode()
            assert not name.startswith(OURS) or name.startswith(PLANTED), variable
        assert [mount for mount in one["Mounts"] if mount["Type"] == "bind"] == []


def test_no_process_of_a_run_sees_anything_of_the_job(
    seen: Seen, of_the_run: dict[str, dict[str, Any]]
) -> None:
    looked = {
        one["Config"]["Labels"][ROLE_LABEL] for id_, one in of_the_run.items() if id_ in seen.looked
    }
    assert {"server", "warden"} <= looked
    for id_, one in of_the_run.items():
        assert seen.inside.get(id_, set()) == set(), one["Config"]["Labels"]


def test_no_scanner_is_given_the_environment_of_the_job(seen: Seen) -> None:
    for tool in TOOLS:
        assert [program for program in seen.processes if tool in program], seen.processes
    for program, found in seen.processes.items():
        # The builder's client has to be told where the engine is.
        assert found <= ({"DOCKER_HOST"} if program.startswith("docker") else set()), program


def test_the_look_finds_what_the_step_itself_has(seen: Seen, step: Step) -> None:
    """It would have been found: all of it is there, one container further out."""
    (own,) = [
        id_
        for id_, one in seen.containers.items()
        if step.label.partition("=")[0] in one["Config"]["Labels"]
    ]
    assert {"the mark", "GITHUB_WORKSPACE", "INPUT_BUILD-NETWORK", *PLACES} <= seen.inside[own]
