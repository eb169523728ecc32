"""The sandbox on a real engine: every flag seen from inside, every end, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from mcp_sandbox import proc
from mcp_sandbox.errors import EngineFailed, EngineUnavailable, ServerNotStarted
from mcp_sandbox.model import (
    COMPLETE,
    NOT_USED,
    REPRODUCTION_IMAGE,
    CanaryHit,
    FileChange,
    ImageFacts,
    Limits,
    Network,
    Relaxation,
    StopStage,
    Tracing,
    Witness,
)
from mcp_sandbox.sandbox import Engine, Sandbox, Server
from mcp_sandbox.sandbox import engine as engine_module
from mcp_sandbox.sandbox import helper as helper_module
from mcp_sandbox.sandbox.pod import BUNDLE_MOUNT, CHANNEL_MOUNT
from support.sandboxed import read_to_end, read_until

pytestmark = pytest.mark.engine

BASE = "debian:trixie-slim"
SECRET = "k3j5h2g8f1d9s4a7q6w0e2r5t"
HIT = CanaryHit("file:/x", "plain")
SMALL = Limits(memory=32 * 2**20, tmpfs=8 * 2**20, pids=32, log_bytes=2**20)

Open = Callable[..., AbstractContextManager[Sandbox]]
Labelled = Callable[[str], list[str]]


def find(data: bytes) -> tuple[CanaryHit, ...]:
    return (HIT,) if SECRET.encode() in data else ()


def mask(text: str) -> str:
    return text.replace(SECRET, "<planted>")


@pytest.fixture
def run_id() -> str:
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def labelled(engine: Engine) -> Labelled:
    """Ids of everything that carries a run's label."""

    def look(run_id: str) -> list[str]:
        filters = {"label": f"{engine_module.RUN_LABEL}={run_id}"}
        found = [one["Id"] for one in engine.api.containers(all=True, filters=filters)]
        found += [one["Id"] for one in engine.api.images(all=True, filters=filters)]
        return found + [one["Name"] for one in engine.api.volumes(filters=filters)["Volumes"] or ()]

    return look


@pytest.fixture
def sandbox(
    engine: Engine, base_image: ImageFacts, helper_image: str, run_id: str, labelled: Labelled
) -> Iterator[Open]:
    """Opens a sandbox whose server is a shell script; afterwards nothing of the run is left."""

    def opened(
        script: str | tuple[str, ...], image: ImageFacts = base_image, **options: Any
    ) -> Sandbox:
        values: dict[str, Any] = {
            "run_id": run_id,
            "limits": SMALL,
            "extra_env": (),
            "extra_args": ("sh", "-c", script) if isinstance(script, str) else script,
            "helper_image": helper_image,
            "lifetime": 600,
        }
        return Sandbox(engine, image, **(values | options))

    yield opened
    assert labelled(run_id) == []


def start(
    sandbox: Sandbox,
    relaxation: Relaxation = Relaxation.NONE,
    name: str = "s",
    tracing: Tracing = Tracing.INSIDE,
    **environment: str,
) -> Server:
    return sandbox.start(relaxation=relaxation, environment=environment, name=name, tracing=tracing)


# --- the flags ------------------------------------------------------------------------------------

LOOK = """
section() { echo "== $1"; }
section status; cat /proc/self/status
section mounts; cat /proc/self/mounts
section limits; cat /proc/self/limits
section env; env
section net; ls /sys/class/net
section host; cat /proc/sys/kernel/hostname
section id; id -u; id -g; id -G
section memory; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes
section swap; cat /sys/fs/cgroup/memory.swap.max /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes
section pids; cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max
section cpu; cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us
section root; touch /var/tmp/x && echo written
section tmp; cp /bin/true /tmp/x && echo written; /tmp/x && echo executed
section tty; test -t 0 || echo none
echo "== end"; cat
"""


def look(server: Server) -> dict[str, str]:
    text = read_until(server.stream, b"== end\n").decode()
    parts = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("tracing", list(Tracing))
@pytest.mark.parametrize("network", list(Network))
def test_every_flag_as_it_is_seen_from_inside(
    sandbox: Open, tracing: Tracing, network: Network, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OUR_SECRET", "s3cret")
    with sandbox(LOOK, extra_env=("GIVEN=1",), limits=Limits(), network=network) as opened:
        server = start(opened, tracing=tracing, PLANTED="2")
        seen = look(server)
        server.finish()
    status = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    mounts = {line.split()[1]: line.split() for line in seen["mounts"].splitlines()}
    assert "ro" in mounts["/"][3].split(",")
    options = mounts["/tmp"][3].split(",")
    assert {"rw", "noexec", "nosuid", "nodev", "size=65536k"} <= set(options)
    assert mounts["/tmp"][2] == "tmpfs"
    engines_own = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys")
    ours = {BUNDLE_MOUNT, CHANNEL_MOUNT} if tracing is not Tracing.NONE else set()
    assert {path for path in mounts if not path.startswith(engines_own)} == {"/", "/tmp"} | ours
    assert all("ro" in mounts[path][3].split(",") for path in ours)
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen["limits"].splitlines()}
    assert limits["Max open files"] == ["1024", "1024"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == ["67108864", "67108864"]
    environment = dict(line.split("=", 1) for line in seen["env"].splitlines())
    assert environment.pop("GIVEN") == "1"
    assert environment.pop("PLANTED") == "2"
    image = {pair.partition("=")[0] for pair in opened._image.launch.environment}
    assert set(environment) - image <= {"PATH", "HOSTNAME", "HOME", "PWD", "SHLVL", "_", "OLDPWD"}
    assert seen["net"].split() == ["lo"]
    assert seen["host"].strip() == "mcp-server"
    assert seen["id"].split() == ["65532"] * 3
    assert seen["memory"].split() == ["268435456"]
    # Version 2 counts swap apart; version 1 counts both, and knows it only with swap accounting.
    assert seen["swap"].split() in (["0"], ["268435456"], [])
    assert seen["pids"].split() == [str(128 + (tracing is Tracing.INSIDE))]
    assert seen["cpu"].split() in (["50000", "100000"], ["50000"])
    assert seen["root"] == ""
    assert seen["tmp"] == "written\n"
    assert seen["tty"] == "none\n"


def test_every_flag_as_the_engine_has_it(sandbox: Open, engine: Engine):
    with sandbox("cat", limits=Limits()) as opened:
        server = start(opened)
        found = engine.api.inspect_container(server.id)
    host, config = found["HostConfig"], found["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert (host["Memory"], host["MemorySwap"]) == (2**28, 2**28)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 129)
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    privileges, profile = host["SecurityOpt"]
    assert privileges == "no-new-privileges"
    assert profile.startswith("seccomp={")
    assert host["Privileged"] is False
    assert host["IpcMode"] == "private"
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] == "no"
    assert (host["Binds"], host["PortBindings"] or {}) == (None, {})
    assert {(one["Type"], one["Destination"], one["RW"]) for one in found["Mounts"]} == {
        ("volume", BUNDLE_MOUNT, False),
        ("volume", CHANNEL_MOUNT, False),
    }
    assert not host.get("Devices")
    assert (host["PidMode"], host["UsernsMode"]) == ("", "")
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert (config["OpenStdin"], config["StdinOnce"], config["Tty"]) == (True, True, False)
    assert config["User"] == "65532:65532"


def test_the_ladder_relaxes_one_thing_after_the_other(sandbox: Open):
    seen = []
    with sandbox(LOOK, limits=Limits()) as opened:
        for step in Relaxation:
            server = start(opened, step)
            found = look(server)
            facts = server.finish()
            assert found["net"].split() == ["lo"]
            assert facts.relaxation is step
            seen.append((found["root"].strip(), int(found["memory"]) >> 20, found["id"].split()[0]))
            changed = FileChange("added", "/var/tmp/x") in facts.changes
            assert changed is (step is not Relaxation.NONE)
    assert seen == [
        ("", 256, "65532"),
        ("written", 256, "65532"),
        ("written", 512, "65532"),
        ("written", 512, "0"),
    ]


def test_the_command_line_starts_the_same_by_hand(sandbox: Open, docker_host: str | None):
    with sandbox(LOOK, extra_env=("GIVEN=1",), network=Network.NONE) as opened:
        opened.plant({"/planted": b"x"}, {})
        server = start(opened, tracing=Tracing.NONE, PLANTED=SECRET)
        ours = look(server)
        line = server.command_line
        server.finish()
    assert SECRET not in " ".join(line)
    fixed = {} if docker_host is None else {"DOCKER_HOST": docker_host}
    result = proc.run(
        line, environment=proc.allowed_environment(os.environ, **fixed), timeout=60, stdin=b"x"
    )
    text = result.stdout.decode()
    parts = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)[1:]
    theirs = dict(zip(parts[::2], parts[1::2], strict=True))
    for name in theirs.keys() - {"status", "mounts", "env", "end"}:
        assert theirs[name] == ours[name], name
    assert theirs["env"].split() == [
        line for line in ours["env"].split() if not line.startswith("PLANTED=")
    ]


# --- the streams ----------------------------------------------------------------------------------


def test_the_first_byte_is_never_lost(sandbox: Open):
    with sandbox("printf 1; printf 2 >&2; printf 3; cat") as opened:
        for number in range(5):
            server = start(opened, name=f"s{number}")
            assert read_until(server.stream, b"13") == b"13"
            assert server.finish().stderr == "2"


def test_what_goes_in_comes_out(sandbox: Open):
    payload = secrets.token_bytes(300_000)
    with sandbox("cat") as opened:
        server = start(opened)
        taken, rest = bytearray(), memoryview(payload)
        while len(taken) < len(payload):
            if rest:
                rest = rest[server.stream.send(rest) :]
            taken += server.stream.recv() or b""
        assert bytes(taken) == payload
        server.stream.close_write()
        assert read_to_end(server.stream) == b""
        assert server.finish().exit_code == 0


@pytest.mark.parametrize("megabytes", [3, 60])
def test_a_flood_of_standard_error_is_bounded_counted_and_searched(sandbox: Open, megabytes: int):
    """What is not kept is searched all the same, up to a bound; beyond it the witness says so."""
    flood = f"head -c {megabytes * 500_000} /dev/zero | tr '\\0' x >&2"
    script = f"echo first >&2; {flood}; echo {SECRET} >&2; {flood}; echo last >&2; echo ."
    with sandbox(script) as opened:
        server = start(opened)
        read_until(server.stream, b".\n")
        facts = server.finish(find=find, mask=mask)
    assert facts.stderr_bytes == 6 + megabytes * 1_000_000 + len(SECRET) + 1 + 5
    assert facts.stderr.startswith("first\n")
    assert facts.stderr.endswith("last\n")
    assert len(facts.stderr) < 70_000
    assert facts.stderr_canaries == (HIT,)
    searched = facts.witnesses[Witness.LOGS] == COMPLETE
    assert searched == (megabytes == 3), facts.witnesses[Witness.LOGS]


def test_a_flood_that_nobody_read_does_not_keep_the_server_from_ending(sandbox: Open):
    with sandbox("yes") as opened:
        facts = start(opened).finish(grace=0.3)
    assert facts.stop in (StopStage.STDIN_CLOSED, StopStage.TERMINATED, StopStage.KILLED)
    assert facts.exit_code not in (None, 0)


# --- the end --------------------------------------------------------------------------------------

ASKED = "$SIG{TERM} = sub { exit 7 }; $| = 1; print qq(up\\n); sleep 1 while 1"
DEAF = "$SIG{TERM} = 'IGNORE'; $| = 1; print qq(up\\n); sleep 1 while 1"
MUTE = "$| = 1; print qq(up\\n); close STDOUT; close STDERR; sleep 1 while 1"


@pytest.mark.parametrize(
    ("command", "stage", "code"),
    [
        (("sh", "-c", "echo up; read line; exit 3"), StopStage.STDIN_CLOSED, 3),
        (("perl", "-e", ASKED), StopStage.TERMINATED, 7),
        (("perl", "-e", DEAF), StopStage.KILLED, 137),
        (("perl", "-e", MUTE), StopStage.KILLED, 137),
        (("sh", "-c", "echo up; setsid sleep 1000 & cat"), StopStage.STDIN_CLOSED, 0),
    ],
)
@pytest.mark.parametrize("tracing", list(Tracing))
def test_each_way_to_end(
    sandbox: Open, command: tuple[str, ...], stage: StopStage, code: int, tracing: Tracing
):
    with sandbox(command) as opened:
        server = start(opened, tracing=tracing)
        read_until(server.stream, b"up\n")
        facts = server.finish(grace=0.5)
        assert (facts.stop, facts.exit_code) == (stage, code)
        left = ("sleep 1000",) if "setsid" in command[-1] and tracing is Tracing.INSIDE else ()
        assert facts.survivors == left
        used = COMPLETE if tracing is not Tracing.NONE else NOT_USED
        assert facts.witnesses[Witness.TRACE] == used
        assert facts.witnesses[Witness.INSPECT] == "complete"
        assert server.finish() is facts


@pytest.mark.parametrize("tracing", list(Tracing))
def test_a_server_that_ended_by_itself(sandbox: Open, tracing: Tracing):
    with sandbox("sleep 1000 & echo out; echo err >&2; exit 4") as opened:
        server = start(opened, tracing=tracing)
        assert read_to_end(server.stream) == b"out\n"
        facts = server.finish()
    assert (facts.stop, facts.exit_code, facts.stderr) == (StopStage.EXITED, 4, "err\n")
    assert "exited" in facts.witnesses[Witness.TMPFS]
    assert facts.cgroup.memory_peak is None


def test_out_of_memory(sandbox: Open):
    with sandbox("echo up; tail /dev/zero") as opened:
        server = start(opened)
        read_to_end(server.stream)
        facts = server.finish()
    assert facts.oom_killed


def test_out_of_memory_in_a_child_of_a_server_that_lives_on(sandbox: Open):
    with sandbox("tail /dev/zero; echo over; cat") as opened:
        server = start(opened)
        read_until(server.stream, b"over\n")
        facts = server.finish()
    assert facts.cgroup.oom_kills == 1
    assert facts.oom_killed
    assert facts.exit_code == 0


FORKS = """
$| = 1; my $refused = 0;
for (1 .. 60) {
  my $pid = fork();
  if (!defined $pid) { $refused++ } elsif (!$pid) { sleep 1000 while 1 }
}
print "refused $refused\\n"; <STDIN>;
"""


def test_forks_stop_at_the_limit(sandbox: Open):
    with sandbox(("perl", "-e", FORKS)) as opened:
        server = start(opened)
        refused = int(re.findall(rb"refused (\d+)\n", read_until(server.stream, b"\n"))[0])
        assert len(server.processes()) == SMALL.pids
        facts = server.finish()
    assert refused == 60 - (SMALL.pids - 1)
    assert len(facts.processes_at_end) == SMALL.pids
    assert facts.processes_at_end == facts.processes_at_start
    assert facts.cgroup.pids_refused == refused
    assert facts.cgroup.pids_peak in (None, SMALL.pids)


def test_a_full_memory_folder(sandbox: Open):
    script = f"echo {SECRET} >/tmp/a; head -c 20m /dev/zero >/tmp/b; echo $?; cat"
    with sandbox(script) as opened:
        server = start(opened)
        assert read_until(server.stream, b"\n") == b"1\n"
        facts = server.finish(find=find, mask=mask)
    files = {entry.path: entry for entry in facts.tmpfs}
    assert SMALL.tmpfs - 2**16 <= files["/tmp/b"].size < SMALL.tmpfs
    assert files["/tmp/a"].text == "<planted>\n"
    assert facts.tmpfs_canaries == (("/tmp/a", HIT),)
    assert facts.witnesses[Witness.TMPFS] == "complete"


def test_all_writable_memory_is_looked_at(sandbox: Open):
    script = (
        "echo 1 >/dev/shm/x; mkdir /tmp/d; ln -s /etc/shadow /tmp/d/link; mkfifo /tmp/pipe;"
        "truncate -s 60m /tmp/hole; chmod 0 /tmp/d; echo up; cat"
    )
    with sandbox(script) as opened:
        server = start(opened)
        read_until(server.stream, b"up\n")
        facts = server.finish()
    assert [(entry.path, entry.kind, entry.link) for entry in facts.tmpfs] == [
        ("/dev/shm/x", "file", ""),
        ("/tmp/d", "directory", ""),
        ("/tmp/d/link", "link", "/etc/shadow"),
        ("/tmp/hole", "file", ""),
        ("/tmp/pipe", "other", ""),
    ]
    assert facts.witnesses[Witness.TMPFS] == "complete"


def test_processes_and_counters(sandbox: Open):
    with sandbox("sleep 1000 & sleep 999 & echo up; exec cat") as opened:
        server = start(opened)
        read_until(server.stream, b"up\n")
        assert server.processes() == ("cat", "sleep 1000", "sleep 999")
        assert server.alive()
        facts = server.finish()
    assert facts.processes_at_start == facts.processes_at_end == ("cat", "sleep 1000", "sleep 999")
    assert facts.cgroup.memory_peak is not None
    assert 0 < facts.cgroup.memory_peak < SMALL.memory
    assert (facts.cgroup.pids_refused, facts.cgroup.oom_kills) == (0, 0)
    assert set(facts.witnesses.values()) == {"complete"}


def test_without_the_helper_the_witnesses_say_so(sandbox: Open):
    with sandbox(
        "echo x >/tmp/x; echo up; cat", helper_image="mcp-sandbox-absent:x", network=Network.NONE
    ) as opened:
        server = start(opened, tracing=Tracing.NONE)
        read_until(server.stream, b"up\n")
        facts = server.finish()
    assert facts.tmpfs == ()
    assert "mcp-sandbox-absent" in facts.witnesses[Witness.TMPFS]
    assert "statistics" in facts.witnesses[Witness.CGROUP]
    assert facts.exit_code == 0


def test_a_helper_that_takes_too_long_is_given_up(sandbox: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(helper_module, "TIMEOUT", 0.0)
    with sandbox("echo up; cat") as opened:
        server = start(opened)
        read_until(server.stream, b"up\n")
        facts = server.finish()
    assert "longer than" in facts.witnesses[Witness.TMPFS]


INIT_DIED = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
    "read init-p: connection reset by peer: unknown"
)
"""What runc says, under load, of a process of its own."""


def stumbling(engine: Engine, monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let the engine stumble over the next ``times`` starts; returns the containers it saw."""
    start_it, seen = engine.api.start, []

    def stumble(container: str) -> None:
        seen.append(container)
        if len(seen) <= times:
            raise docker.errors.APIError("500", explanation=INIT_DIED)
        start_it(container)

    monkeypatch.setattr(engine.api, "start", stumble)
    return seen


@pytest.mark.parametrize("tracing", [Tracing.INSIDE, Tracing.NONE])
def test_an_engine_that_stumbles_is_asked_once_more(
    sandbox: Open, engine: Engine, tracing: Tracing, monkeypatch: pytest.MonkeyPatch
):
    with sandbox("echo up; cat") as opened:
        seen = stumbling(engine, monkeypatch, 1)
        server = start(opened, tracing=tracing)
        read_until(server.stream, b"up\n")
        facts = server.finish()
    assert len(set(seen)) == len(seen) > 1
    assert facts.exit_code == 0
    assert set(facts.witnesses.values()) <= {COMPLETE, NOT_USED}


def test_an_engine_that_goes_on_stumbling_is_not_held_against_the_server(
    sandbox: Open, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    with sandbox("echo up; cat") as opened:
        stumbling(engine, monkeypatch, 2)
        with pytest.raises(EngineFailed, match="init-p"):
            start(opened)


LOST = {
    "both outputs": "exit 0",
    "the archive": "echo 'process 1 eA==' >&2",
    "the archive's end": "echo 'process 1 eA==' >&2; head -c 2048 /dev/zero",
    "the list": "head -c 10240 /dev/zero",
}
"""What is left of the helper's two outputs when the engine has lost a part."""


@pytest.mark.parametrize("script", LOST.values(), ids=LOST)
@pytest.mark.parametrize(("lost", "whole"), [(1, True), (2, False)])
def test_a_helper_whose_output_the_engine_loses_is_asked_once_more(
    sandbox: Open, monkeypatch: pytest.MonkeyPatch, script: str, lost: int, whole: bool
):
    body, runs = helper_module.HelperSpec.body, []

    def loses(spec: helper_module.HelperSpec) -> dict[str, object]:
        if spec.end is not None:
            return body(spec)
        runs.append(spec)
        return body(spec) | ({"Entrypoint": ["sh", "-c", script]} if len(runs) <= lost else {})

    with sandbox("echo x >/tmp/x; echo up; cat") as opened:
        server = start(opened)
        read_until(server.stream, b"up\n")
        monkeypatch.setattr(helper_module.HelperSpec, "body", loses)
        facts = server.finish()
    assert len(runs) == 2
    if whole:
        assert set(facts.witnesses.values()) == {"complete"}
        assert [entry.path for entry in facts.tmpfs] == ["/tmp/x"]
    else:
        assert "was lost" in facts.witnesses[Witness.TMPFS]
        assert "was lost" in facts.witnesses[Witness.CGROUP]


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("/no/such", '"/no/such": stat /no/such: no such file or directory'),
        ("no-such", '"no-such": executable file not found in $PATH'),
        ("/etc/passwd", '"/etc/passwd": permission denied'),
        ("/etc", '"/etc": is a directory'),
    ],
)
def test_a_server_that_cannot_be_started(
    sandbox: Open, labelled: Labelled, run_id: str, program: str, detail: str
):
    """The gate says of a program what the engine says of it."""
    said = set()
    with sandbox((program,)) as opened:
        for tracing in Tracing:
            with pytest.raises(ServerNotStarted) as caught:
                start(opened, tracing=tracing)
            said.add(
                (caught.value.what, caught.value.detail.partition("exec: ")[2].split(": unk")[0])
            )
            assert len(labelled(run_id)) <= 1  # which holds the tracer's volume
    assert said == {("The engine could not start the server.", detail)}


# --- images ---------------------------------------------------------------------------------------


def test_an_image_of_nothing_but_one_program(sandbox: Open, build: Callable[..., ImageFacts]):
    image = build(
        f"FROM {BASE} AS base\n"
        "RUN mkdir /out && cp --parents $(ldd /bin/cat | grep -o '/[^ ]*') /usr/bin/cat /out\n"
        'FROM scratch\nCOPY --from=base /out /\nENTRYPOINT ["/usr/bin/cat"]\n'
    )
    with sandbox((), image=image) as opened:
        assert opened.home() == "/"
        opened.plant({"/.ssh/id": b"key"}, {"/etc/passwd": b"canary\n"})
        server = start(opened)
        server.stream.send(memoryview(b"hello\n"))
        read_until(server.stream, b"hello\n")
        facts = server.finish()
    assert (facts.exit_code, facts.user) == (0, "65532:65532")
    assert set(facts.witnesses.values()) == {"complete"}
    assert facts.changes == ()


ODD = f"""FROM {BASE}
RUN useradd -m -u 1000 app && ln -s ../../../../etc /up && ln -s /nowhere /dangling \\
 && ln -s /home/app /home/link && ln -s /etc/passwd /etc/pass-link && mkdir /data /odd \\
 && echo seed >/data/seed && chmod 700 /odd && echo mine >/odd/.env && ln -s /data /to-data
USER app
VOLUME /data
ENV KEPT=1
HEALTHCHECK --interval=1s CMD touch /tmp/health
WORKDIR /home/app
CMD ["cat"]
"""


@pytest.fixture(scope="module")
def odd_image(build: Callable[..., ImageFacts]) -> ImageFacts:
    return build(ODD)


def test_planted_files_are_there_and_the_image_is_otherwise_the_same(
    sandbox: Open, engine: Engine, odd_image: ImageFacts
):
    script = (
        "cat /home/app/.ssh/id /home/app/.aws/credentials /home/app/x; tail -n2 /etc/passwd;"
        "cat /etc/planted; stat -c '%a %U %n' /home/app /home/app/.ssh /home/app/.ssh/id /odd"
        " /etc/passwd; cat /odd/.env 2>&1; cat /data/*; stat -c %U /data/x;"
        " touch /data/w && echo writable; echo end; cat"
    )
    with sandbox(script, image=odd_image) as opened:
        assert opened.home() == "/home/app"
        assert opened.effective_user(Relaxation.NONE) == "app"
        opened.plant(
            {
                "/home/app/.ssh/id": b"key\n",
                "/home/app/.aws/credentials": b"aws\n",
                "/home/link/x": b"through a link\n",
                "/up/planted": b"inside\n",
                "/odd/.env": b"never\n",
                "/dangling/x": b"never\n",
                "/etc/passwd/x": b"never\n",
                "/data/x": b"in memory\n",
                "/to-data/x": b"never\n",
                "/tmp/x": b"never\n",
                "relative": b"never\n",
                "/a/../b": b"never\n",
            },
            {"/etc/pass-link": b"canary:x:99:99::/:/x\n"},
        )
        assert set(opened.unplanted) == {
            "/odd/.env", "/dangling/x", "/etc/passwd/x", "/to-data/x", "/tmp/x",
            "relative", "/a/../b",
        }  # fmt: skip
        server = start(opened)
        text = read_until(server.stream, b"end\n").decode()
        planted = engine.api.inspect_image(engine.api.inspect_container(server.id)["Image"])
        facts = server.finish()
    lines = text.splitlines()
    assert lines[:3] == ["key", "aws", "through a link"]
    assert lines[3].startswith("app:x:1000:")
    assert lines[4:6] == ["canary:x:99:99::/:/x", "inside"]
    assert lines[6:] == [
        "700 app /home/app",
        "755 root /home/app/.ssh",
        "644 root /home/app/.ssh/id",
        "700 root /odd",
        "644 root /etc/passwd",
        "cat: /odd/.env: Permission denied",
        "in memory",  # and not what the image has there
        "app",
        "writable",
        "end",
    ]
    original = engine.api.inspect_image(odd_image.id)["Config"]
    for config in (original, planted["Config"]):
        config.pop("Labels")
        config.pop("ArgsEscaped", None)  # says nothing on Linux
    same = {name for name in original if original[name]}
    assert {name: planted["Config"].get(name) for name in same} == {n: original[n] for n in same}
    assert planted["Config"]["Env"] == original["Env"]
    assert [entry.path for entry in facts.tmpfs] == ["/data/w"]
    assert facts.command_line[-4] == REPRODUCTION_IMAGE  # a run's own image goes with the run


def test_a_declared_volume_makes_no_volume(sandbox: Open, engine: Engine, odd_image: ImageFacts):
    with sandbox("cat /proc/self/mounts; echo end; cat", image=odd_image) as opened:
        opened.plant({"/x": b""}, {})
        server = start(opened)
        mounts = read_until(server.stream, b"end\n").decode()
        found = engine.api.inspect_container(server.id)
    assert {one["Destination"] for one in found["Mounts"]} == {BUNDLE_MOUNT, CHANNEL_MOUNT}
    assert re.search(r"^tmpfs /data tmpfs rw,nosuid,nodev,noexec.*size=8192k", mounts, re.MULTILINE)


def test_hostile_passwd_files(sandbox: Open, build: Callable[..., ImageFacts]):
    link = build(f"FROM {BASE}\nRUN ln -sf /proc/self/environ /etc/passwd\n")
    with sandbox("cat", image=link) as opened:
        assert opened.home() == "/"
    loop = build("FROM scratch\nCOPY . /\nCMD ['x']\n", {"f": ""})
    with sandbox("cat", image=loop) as opened:
        assert opened.home() == "/"


# --- what is left ---------------------------------------------------------------------------------


@pytest.fixture
def other_label(monkeypatch: pytest.MonkeyPatch) -> str:
    """Another run label, so that ``clean`` of everything touches no run beside this test."""
    label = f"dev.mcp-sandbox.test-{secrets.token_hex(4)}"
    monkeypatch.setattr(engine_module, "RUN_LABEL", label)
    return label


@pytest.fixture
def things(engine: Engine, base_image: ImageFacts) -> Iterator[Callable[..., dict[str, str]]]:
    """Makes a container, a volume, a network and an image with given labels."""
    undo: list[Callable[[], Any]] = []
    api = engine.api

    def make(labels: dict[str, str]) -> dict[str, str]:
        container = api.create_container(base_image.id, ["cat"], labels=labels)["Id"]
        undo.append(lambda: api.remove_container(container, v=True, force=True))
        volume = api.create_volume(labels=labels)["Name"]
        undo.append(lambda: api.remove_volume(volume))
        name = f"test-{secrets.token_hex(4)}"
        network = api.create_network(name, labels=labels, internal=True)["Id"]
        undo.append(lambda: api.remove_network(network))
        changes = [f"LABEL {key}={value}" for key, value in labels.items()]
        image = api.commit(container, changes=changes)["Id"]
        undo.append(lambda: api.remove_image(image, force=True))
        return {"container": container, "volume": volume, "network": network, "image": image}

    yield make
    for step in undo:
        try:
            step()
        except docker.errors.NotFound:
            continue


def present(engine: Engine, made: dict[str, str]) -> set[str]:
    look = {
        "container": engine.api.inspect_container,
        "volume": engine.api.inspect_volume,
        "network": engine.api.inspect_network,
        "image": engine.api.inspect_image,
    }
    found = set()
    for kind, name in made.items():
        try:
            look[kind](name)
        except docker.errors.NotFound:
            continue
        found.add(kind)
    return found


ALL = {"container", "volume", "network", "image"}


def test_clean_takes_what_is_ours_and_nothing_else(
    engine: Engine, other_label: str, things: Callable[..., dict[str, str]]
):
    ours = things({other_label: "a", "dev.mcp-sandbox.role": "server"})
    second = things({other_label: "b", "dev.mcp-sandbox.role": "server"})
    foreign = things({"some.other/label": "a"})
    bare = things({})
    assert {line.split()[0] for line in engine.clean("a")} == ALL
    assert present(engine, ours) == set()
    assert present(engine, second) == present(engine, foreign) == present(engine, bare) == ALL
    engine.clean(None)
    assert present(engine, second) == set()
    assert present(engine, foreign) == present(engine, bare) == ALL
    assert engine.clean(None) == []


def test_a_users_container_of_an_image_that_we_built_is_not_ours(
    engine: Engine, other_label: str, things: Callable[..., dict[str, str]]
):
    inherited = things({other_label: "a", "dev.mcp-sandbox.role": "built"})
    engine.clean("a")
    assert present(engine, inherited) == {"container"}


def test_a_sweep_takes_expired_runs_only(
    engine: Engine, other_label: str, things: Callable[..., dict[str, str]]
):
    now = int(time.time())
    role = {"dev.mcp-sandbox.role": "server"}
    expires = "dev.mcp-sandbox.expires"
    expired = things({other_label: "a", expires: str(now - 100), **role})
    alive = things({other_label: "b", expires: str(now + 600), **role})
    unclear = things({other_label: "c", expires: "soon", **role})
    engine.sweep(1000)
    assert present(engine, expired) == ALL
    engine.sweep(0)
    assert present(engine, expired) == set()
    assert present(engine, alive) == present(engine, unclear) == ALL


HOLDER = """
import json, signal, sys
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import Limits, Relaxation
from mcp_sandbox.sandbox import Engine, Sandbox

def stop(*_):
    raise SystemExit(9)

signal.signal(signal.SIGTERM, stop)
host, run_id, helper = json.loads(sys.argv[1])
image = ImageStore(host, run_id).take("debian:trixie-slim")
with Sandbox(Engine(host), image, run_id=run_id, limits=Limits(), extra_env=(),
             extra_args=("sh", "-c", "trap '' TERM; while :; do sleep 1; done"),
             helper_image=helper, lifetime=600) as sandbox:
    sandbox.plant({"/x": b"x"}, {})
    servers = [sandbox.start(relaxation=Relaxation.NONE, environment={}, name=str(n))
               for n in range(2)]
    print("up", flush=True)
    signal.pause()
"""


def test_sigterm_leaves_nothing(
    docker_host: str | None, helper_image: str, run_id: str, labelled: Labelled
):
    arguments = json.dumps([docker_host, run_id, helper_image])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, arguments],
        stdout=subprocess.PIPE,
        env=dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2] / "entrypoint")},
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"up\n"
        # Two servers, wardens and channels, the image with the planted file, and what holds the
        # tracer's volume.
        assert len(labelled(run_id)) == 8
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.stdout.close()
        assert holder.wait(30) == 9
    assert labelled(run_id) == []


def test_a_frozen_server_is_removed_too(sandbox: Open, engine: Engine):
    with sandbox("cat") as opened:
        engine.api.pause(start(opened).id)


@pytest.mark.parametrize("address", ["unix:///absent/docker.sock", "tcp://127.0.0.1:1"])
def test_no_engine(address: str):
    with pytest.raises(EngineUnavailable) as caught:
        Engine(address)
    assert address in caught.value.what


def test_an_address_of_another_kind():
    with pytest.raises(EngineUnavailable, match="ssh"):
        Engine("ssh://somewhere")


def test_the_engine_describes_itself(engine: Engine):
    facts = engine.describe()
    assert facts["cgroup"] in ("1", "2")
    assert "seccomp" in facts["security"]
    assert all(facts[name] for name in ("address", "version", "api", "architecture", "kernel"))
    assert engine.has_image(BASE)
    assert not engine.has_image("mcp-sandbox-absent:x")
