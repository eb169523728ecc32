"""The tracer on a real engine: any image, every attack on it, and nothing left behind."""

from __future__ import annotations

import errno
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import (
    COMPLETE,
    ImageFacts,
    Limits,
    Network,
    Relaxation,
    StopStage,
    Tracing,
    Witness,
)
from mcp_sandbox.sandbox import Engine, Sandbox, Server
from mcp_sandbox.sandbox import bundle as bundle_module
from mcp_sandbox.sandbox import engine as engine_module
from mcp_sandbox.sandbox import launch as launch_module
from mcp_sandbox.sandbox.bundle import prepare, volume_name
from mcp_sandbox.sandbox.watch import Watch
from support.on_engine import BASE, labelled
from support.sandboxed import read_to_end, read_until

pytestmark = pytest.mark.engine

SUPPORT = Path(__file__).parents[1] / "support"
WATCHED = (Tracing.INSIDE, Tracing.OUTSIDE)

Open = Callable[..., AbstractContextManager[Sandbox]]
Build = Callable[..., ImageFacts]


@pytest.fixture
def run_id() -> str:
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def sandbox(
    engine: Engine, base_image: ImageFacts, helper_image: str, run_id: str
) -> Iterator[Open]:
    """Opens a sandbox; afterwards nothing of the run is left."""

    def opened(
        command: tuple[str, ...] = (), image: ImageFacts = base_image, **options: Any
    ) -> Sandbox:
        values: dict[str, Any] = {
            "run_id": run_id,
            "limits": Limits(memory=64 * 2**20, cpus=1.0),
            "extra_env": (),
            "extra_args": command,
            "helper_image": helper_image,
            "lifetime": 600,
            "network": Network.NONE,
        }
        return Sandbox(engine, image, **(values | options))

    yield opened
    assert labelled(engine, f"{engine_module.RUN_LABEL}={run_id}") == []


def start(
    sandbox: Sandbox,
    tracing: Tracing = Tracing.INSIDE,
    relaxation: Relaxation = Relaxation.NONE,
) -> Server:
    return sandbox.start(relaxation=relaxation, environment={}, name="s", tracing=tracing)


def trace_of(server: Server) -> str:
    return server.recorded.trace.read().decode("utf-8", "surrogateescape")


# --- any image ------------------------------------------------------------------------------------

TALK = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char byte;
	close(open("/etc/made-up", O_RDONLY));
	printf("up %d\n", argc);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 5;
}
"""

MADE = f"""\
FROM {BASE} AS made
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev musl-tools
COPY . /src
RUN mkdir -p /out/lib && cp -L /lib/ld-musl-*.so.1 /out/lib/ \\
 && musl-gcc -o /out/musl /src/talk.c && gcc -static -o /out/static /src/talk.c \\
 && gcc -o /out/glibc /src/talk.c \\
 && gcc -static -no-pie -Wl,-Ttext-segment=0x400000 -o /out/attack /src/attack.c \\
 && gcc -static -o /out/prober /src/prober.c
"""
FILES = {
    "talk.c": TALK,
    "attack.c": (SUPPORT / "attack.c").read_text(),
    "prober.c": (SUPPORT / "prober.c").read_text(),
}

IMAGES = {
    "glibc": f'FROM {BASE}\nCOPY --from=made /out/glibc /bin/talk\nENTRYPOINT ["talk"]\n',
    "musl": "FROM scratch\nCOPY --from=made /out/lib /lib\nCOPY --from=made /out/musl /musl\n"
    'ENTRYPOINT ["/musl", "a"]\n',
    "static": 'FROM scratch\nCOPY --from=made /out/static /static\nCMD ["/static", "a"]\n',
    "shell form": f"FROM {BASE}\nCOPY --from=made /out/glibc /bin/talk\nUSER 1000:1000\n"
    "WORKDIR /srv/here\nENTRYPOINT exec talk a b\n",
    "own user": f"FROM {BASE}\nRUN useradd -u 1234 app\nCOPY --from=made /out/glibc /srv/talk\n"
    'USER app\nWORKDIR /srv\nENTRYPOINT ["./talk"]\nCMD ["a", "b"]\n',
}


@pytest.mark.parametrize("tracing", WATCHED)
@pytest.mark.parametrize("kind", sorted(IMAGES))
def test_a_program_of_any_kind_is_traced(sandbox: Open, build: Build, kind: str, tracing: Tracing):
    with sandbox(image=build(MADE + IMAGES[kind], FILES)) as opened:
        server = start(opened, tracing)
        read_until(server.stream, b"up ")
        facts = server.finish()
        trace = trace_of(server)
    assert (facts.exit_code, facts.stop) == (5, StopStage.STDIN_CLOSED)
    assert set(facts.witnesses.values()) <= {COMPLETE, "not used"}, facts.witnesses
    assert facts.witnesses[Witness.TRACE] == COMPLETE
    assert facts.changes == ()
    assert re.search(r'open(at)?\(.*"/etc/made-up", O_RDONLY.* = -1 ENOENT', trace)
    assert trace.endswith("+++ exited with 5 +++\n")
    assert not any("mcp-sandbox" in line for line in facts.processes_at_end)


def test_user_folder_and_environment_are_the_images_own(sandbox: Open, build: Build):
    image = build(
        f"FROM {BASE}\nRUN useradd -m -u 1234 app\nUSER app\nWORKDIR /srv/x\nENV A='b c'\n"
        "ENTRYPOINT id -u; pwd; env; tr '\\\\0' ' ' </proc/self/cmdline; echo; ps; echo end; cat\n"
    )
    seen = {}
    with sandbox(image=image) as opened:
        for tracing in Tracing:
            server = start(opened, tracing)
            seen[tracing] = sorted(read_until(server.stream, b"end\n").splitlines())
            assert server.processes()[0].startswith("/bin/sh -c id -u")
            assert server.finish().user == "app"
    assert seen[Tracing.INSIDE] == seen[Tracing.NONE] == seen[Tracing.OUTSIDE]
    assert {b"1234", b"/srv/x", b"A=b c", b"HOME=/home/app"} <= set(seen[Tracing.NONE])


def test_a_program_that_the_kernel_refuses_ends_as_it_does_untraced(sandbox: Open, build: Build):
    image = build(
        f"FROM {BASE}\nRUN printf 'no program' >/x && printf '#!/no/such\\n' >/y"
        " && chmod 755 /x /y\n"
    )
    for program in ("/x", "/y"):
        said = set()
        with sandbox((program,), image=image) as opened:
            for tracing in Tracing:
                server = start(opened, tracing)
                read_to_end(server.stream)
                facts = server.finish()
                assert (facts.stop, bool(facts.exit_code)) == (StopStage.EXITED, True)
                said.add(facts.stderr.strip())
        assert len(said) == 1, said


def test_an_unreadable_program_is_decoded_from_outside(sandbox: Open, build: Build):
    """Inside, its memory cannot be read: what it opens shows as a bare address."""
    image = build(f"FROM {BASE}\nRUN cp /bin/cat /bin/blind && chmod 0111 /bin/blind\n")
    traces = {}
    with sandbox(("/bin/blind", "/etc/hostname", "-"), image=image) as opened:
        for tracing in WATCHED:
            server = start(opened, tracing)
            read_until(server.stream, b"\n")
            assert server.finish().witnesses[Witness.TRACE] == COMPLETE
            traces[tracing] = trace_of(server)
    decoded = re.compile(r'openat\(.*"/etc/hostname"')
    assert not decoded.search(traces[Tracing.INSIDE])
    assert re.search(r"openat\([^\"]*0x[0-9a-f]+", traces[Tracing.INSIDE])
    assert decoded.search(traces[Tracing.OUTSIDE])


# --- attacks --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def attacker(build: Build) -> ImageFacts:
    return build(
        MADE + f"FROM {BASE}\nCOPY --from=made /out/attack /out/prober /bin/\n"
        'ENTRYPOINT ["/bin/attack"]\n',
        FILES,
    )


REFUSED = {
    "fd": "EACCES",
    "mem": "EACCES",
    "environ": "EACCES",
    "root": "EACCES",
    "attach": "EPERM",
    "seize": "EPERM",
    "vm-read": "EPERM",
    "limits": "EPERM",
    "limits-high": "EPERM",
    "clone-untraced": "EPERM",
    "clone3": "ENOSYS",
    "dumpable": "EPERM",
    "dumpable-high": "EPERM",
    "io-uring": "ENOSYS",
    "bundle": "EROFS",
    "loader": "EACCES",
}
WITHOUT_EFFECT = ("kill", "term", "stop")
ALLOWED = ("channel", "clone", "own-limits", "old-call")


@pytest.mark.parametrize("relaxation", [Relaxation.NONE, Relaxation.IMAGE_USER])
def test_every_attack_on_the_tracer_is_refused(
    sandbox: Open, attacker: ImageFacts, relaxation: Relaxation
):
    asked = (*REFUSED, *WITHOUT_EFFECT, *ALLOWED)
    with sandbox(asked, image=attacker) as opened:
        server = start(opened, relaxation=relaxation)
        text = read_until(server.stream, b"end\n").decode()
        facts = server.finish()
        trace = trace_of(server)
    said = dict(line.split(" ") for line in text.splitlines()[:-1])
    assert said == REFUSED | dict.fromkeys((*WITHOUT_EFFECT, *ALLOWED), "ok")
    assert facts.user == ("65532:65532" if relaxation is Relaxation.NONE else "0:0")
    assert (facts.exit_code, facts.witnesses[Witness.TRACE]) == (0, COMPLETE)
    # Through the table of the 32-bit calls a file is opened all the same, and seen.
    assert re.search(r'openat\(.*"/etc/debian_version".*\) = \d+</etc/debian_version>', trace)
    assert "ptrace(PTRACE_ATTACH, 1" in trace


def test_the_end_of_the_tracer_is_the_end_of_the_server(sandbox: Open, engine: Engine):
    with sandbox(("sh", "-c", "echo up; sleep 1000 & sleep 1000")) as opened:
        server = start(opened)
        read_until(server.stream, b"up\n")
        engine.api.kill(server.id, "SIGKILL")
        read_to_end(server.stream)
        facts = server.finish()
    assert facts.exit_code == 128 + 9
    assert "breaks off" in facts.witnesses[Witness.TRACE]


def test_a_server_killed_by_a_signal_has_its_exit_code(sandbox: Open):
    codes = {}
    with sandbox(("sh", "-c", "read x; ulimit -c 0; kill -SEGV $$")) as opened:
        for tracing in WATCHED:
            server = start(opened, tracing)
            facts = server.finish()
            codes[tracing] = facts.exit_code, facts.witnesses[Witness.TRACE]
    assert codes[Tracing.INSIDE] == (128 + 11, COMPLETE)


# --- the profile ----------------------------------------------------------------------------------


def answers(engine: Engine, image: ImageFacts, profile: str) -> dict[str, int]:
    """System call -> errno, as the prober saw it under a profile; empty for the engine's own."""
    options = ["no-new-privileges", *([f"seccomp={profile}"] if profile else [])]
    host = engine.api.create_host_config(
        network_mode="none", cap_drop=["ALL"], security_opt=options
    )
    made = engine.api.create_container(
        image.id, entrypoint=["/bin/prober"], user="65532:65532", host_config=host
    )
    try:
        engine.api.start(made["Id"])
        engine.api.wait(made["Id"], timeout=120)
        text = engine.api.logs(made["Id"]).decode()
    finally:
        engine.api.remove_container(made["Id"], force=True)
    return {name: int(code) for name, code in (line.rsplit(" ", 1) for line in text.splitlines())}


def test_the_profile_permits_nothing_that_the_engine_refuses(
    engine: Engine, attacker: ImageFacts, helper_image: str, other_label: str
):
    labels = {other_label: "run", "dev.mcp-sandbox.role": "helper"}
    ours = answers(engine, attacker, prepare(engine, helper_image, labels).seccomp)
    theirs = answers(engine, attacker, "")
    free = answers(engine, attacker, "unconfined")
    refusals = (errno.EPERM, errno.ENOSYS)
    assert len(ours) == len(theirs) == len(free) > 500
    wider = {
        name: (ours[name], theirs[name], free[name])
        for name in ours
        if theirs[name] in refusals and ours[name] not in refusals
    }
    assert wider == {}
    # The prober can tell: without a profile more is let through.
    assert any(theirs[name] in refusals and free[name] not in refusals for name in free)
    same = ("clone", "clone-newuser", "clone-newnet", "clone3", "unshare-user", "socket-inet")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["clone-untraced"] == ours["prctl-dumpable"] == errno.EPERM
    assert ours["prctl-dumpable-high"] == errno.EPERM
    assert ours["io-uring"] == ours["clone3"] == errno.ENOSYS
    assert ours["clone"] == ours["prctl-name"] == ours["prctl-get-dumpable"] == 0


WORKERS = f"""\
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal nodejs
COPY . /srv
"""
THREADS = """
import os, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
pid = os.posix_spawn("/bin/echo", ["echo", "child"], os.environ)
os.waitpid(pid, 0)
print("threads", len(seen), flush=True)
"""
NODE = """
const { Worker } = require("worker_threads");
const { execFileSync } = require("child_process");
const worker = new Worker("require('worker_threads').parentPort.postMessage(7)", { eval: true });
worker.on("message", (n) => {
  console.log("worker", n, execFileSync("/bin/echo", ["child"]).toString().trim());
});
"""


def test_threads_workers_and_children_go_on_as_ever(sandbox: Open, build: Build):
    image = build(WORKERS, {"t.py": THREADS, "w.js": NODE})
    script = "python3 /srv/t.py && node /srv/w.js; echo end; cat"
    limits = Limits(memory=256 * 2**20, cpus=2.0)
    with sandbox(("sh", "-c", script), image=image, limits=limits) as opened:
        server = start(opened)
        text = read_until(server.stream, b"end\n")
        facts = server.finish()
    assert text.splitlines() == [b"child", b"threads 8", b"worker 7 child", b"end"], facts.stderr
    assert facts.witnesses[Witness.TRACE] == COMPLETE


# --- the volumes ----------------------------------------------------------------------------------


@pytest.fixture
def other_label(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, helper_image: str
) -> Iterator[str]:
    """Another run label, so that a volume of its own is made."""
    label = f"dev.mcp-sandbox.test-{secrets.token_hex(4)}"
    for module in (engine_module, bundle_module):
        monkeypatch.setattr(module, "RUN_LABEL", label)
    yield label
    engine.clean(None)
    assert labelled(engine, label) == []


def test_a_runs_end_keeps_the_bundle_and_a_clean_takes_it(
    engine: Engine, other_label: str, helper_image: str
):
    role = {"dev.mcp-sandbox.role": "helper"}
    made = prepare(engine, helper_image, {other_label: "run"} | role)
    with pytest.raises(docker.errors.APIError, match="in use"):
        engine.api.remove_volume(made.volume)
    engine.clean("run")
    engine.sweep(-(10**9))
    assert labelled(engine, other_label) == [made.volume]
    assert engine.clean(None) == [f"volume {made.volume}"]


def test_two_runs_at_once_share_one_bundle(engine: Engine, other_label: str, helper_image: str):
    made = []
    labels = {other_label: "run", "dev.mcp-sandbox.role": "helper"}
    threads = [
        threading.Thread(target=lambda: made.append(prepare(engine, helper_image, labels)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert len({one.volume for one in made}) == 1
    assert json.loads(made[0].seccomp)["defaultAction"] == "SCMP_ACT_ERRNO"


def test_a_damaged_bundle_is_made_anew(
    engine: Engine, other_label: str, helper_image: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle_module, "PATIENCE", 0.0)
    name = volume_name(engine.api.inspect_image(helper_image)["Id"], other_label)
    labels = {other_label: bundle_module.BUNDLE, "dev.mcp-sandbox.role": bundle_module.BUNDLE}
    engine.api.create_volume(name, labels=labels)
    mounts = [{"Type": "volume", "Source": name, "Target": "/usr/share/base-files"}]
    made = engine.api.create_container_from_config(
        {"Image": BASE, "Cmd": ["true"], "HostConfig": {"Mounts": mounts}}
    )
    engine.api.remove_container(made["Id"])
    role = {"dev.mcp-sandbox.role": "helper"}
    assert prepare(engine, helper_image, {other_label: "run"} | role).volume == name


def test_an_image_that_is_not_ours_is_named(engine: Engine, base_image: ImageFacts):
    with pytest.raises(EngineFailed, match="not the image of this project") as caught:
        prepare(engine, base_image.id, {})
    assert "--helper-image" in caught.value.next_step
    with pytest.raises(EngineFailed, match="mcp-sandbox-absent"):
        prepare(engine, "mcp-sandbox-absent:x", {})
    engine.api.remove_volume(volume_name(base_image.id, bundle_module.RUN_LABEL))


# --- interruptions --------------------------------------------------------------------------------

PHASES = [
    (launch_module.Pod, "_server"),
    (launch_module.Pod, "_warden"),
    (launch_module.Pod, "_start_server"),
    (launch_module.Pod, "_start"),
    (launch_module.Pod, "_attach_tracer"),
    (Watch, "ready"),
    (Watch, "calibrate"),
    (Watch, "go"),
]


@pytest.mark.parametrize("tracing", list(Tracing))
@pytest.mark.parametrize(("owner", "phase"), PHASES, ids=[phase for _, phase in PHASES])
def test_an_interruption_in_any_phase_leaves_nothing(  # noqa: PLR0917 - fixtures
    sandbox: Open,
    engine: Engine,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    phase: str,
    tracing: Tracing,
):
    original = getattr(owner, phase)
    reached = []

    def interrupted(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        reached.append(phase)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, phase, interrupted)
    outside_only, traced_only = phase == "_attach_tracer", phase == "go"
    applies = (tracing is Tracing.OUTSIDE) if outside_only else True
    applies = applies and not (traced_only and tracing is Tracing.NONE)
    with sandbox(("cat",), network=Network.SINK) as opened:
        if not applies:
            assert start(opened, tracing).finish().exit_code == 0
            return
        with pytest.raises(KeyboardInterrupt):
            start(opened, tracing)
        assert reached == [phase]
        # One container holds the tracer's volume as long as the sandbox is open.
        assert len(labelled(engine, f"{engine_module.RUN_LABEL}={run_id}")) == 1


def test_leaving_the_sandbox_removes_a_pod_that_still_runs(
    sandbox: Open, engine: Engine, run_id: str
):
    with sandbox(("cat",), network=Network.SINK) as opened:
        for tracing in Tracing:
            start(opened, tracing)
        # Three servers and wardens, a tracer, two channels, and what holds the tracer's volume.
        assert len(labelled(engine, f"{engine_module.RUN_LABEL}={run_id}")) == 10


def test_without_ipv6_the_server_is_started_all_the_same(
    sandbox: Open, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    asked = []
    original = engine.api.start

    def refusing(container: str) -> None:
        host = engine.api.inspect_container(container)["HostConfig"]
        asked.append(host.get("Sysctls"))
        if host.get("Sysctls"):
            response = type("Response", (), {"status_code": 500, "reason": ""})()
            raise docker.errors.APIError("", response, "open disable_ipv6: no such file")
        original(container)

    monkeypatch.setattr(engine.api, "start", refusing)
    for tracing in Tracing:
        with sandbox(("cat",), network=Network.SINK) as opened:
            asked.clear()
            facts = start(opened, tracing).finish()
            assert asked[0]
            assert facts.witnesses[Witness.SINK] == COMPLETE
