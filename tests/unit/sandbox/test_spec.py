"""What a server container is, and what the ladder relaxes."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_sandbox.model import LaunchFacts, Limits, Relaxation
from mcp_sandbox.sandbox.spec import LADDER, ServerSpec, body, command_line, server_spec

LAUNCH = LaunchFacts(entrypoint=("/e",), command=("c",), user="root", volumes=("/data", "/tmp"))


def spec(relaxation: Relaxation = Relaxation.NONE, **changes: Any) -> ServerSpec:
    values: dict[str, Any] = {
        "image": "sha256:planted",
        "original": "sha256:original",
        "user": "65532:65532",
        "relaxation": relaxation,
        "limits": Limits(),
        "extra_env": ("A=1",),
        "extra_args": (),
        "planted": {"TOKEN": "s3cret", "A": "never"},
        "labels": {"l": "1"},
    }
    return server_spec(LAUNCH, **(values | changes))


def test_the_flags_to_the_letter():
    host = body(spec())["HostConfig"]
    assert host == {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Memory": 256 * 2**20,
        "MemorySwap": 256 * 2**20,
        "NanoCpus": 500_000_000,
        "PidsLimit": 128,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": "rw,size=64m", "/data": "rw,size=64m,mode=1777"},
        "IpcMode": "private",
        "Ulimits": [
            {"Name": "nofile", "Soft": 1024, "Hard": 1024},
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": 2**26, "Hard": 2**26},
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }


def test_the_command_line_says_the_same_without_what_was_planted():
    line = " ".join(command_line(spec(extra_args=("--stdio",))))
    assert line == (
        "docker run --interactive --rm --network none --read-only --memory 256m --memory-swap 256m"
        " --cpus 0.5 --pids-limit 128 --cap-drop ALL --security-opt no-new-privileges"
        " --ipc private --tmpfs /tmp:rw,size=64m --tmpfs /data:rw,size=64m,mode=1777"
        " --ulimit nofile=1024 --ulimit core=0 --ulimit fsize=67108864 --user 65532:65532"
        " --hostname mcp-server --log-driver none --no-healthcheck --env A=1"
        " sha256:original --stdio"
    )


def test_planted_secrets_reach_the_server_but_never_replace_the_users_value():
    assert body(spec())["Env"] == ["A=1", "TOKEN=s3cret"]


def test_arguments_replace_the_images_command():
    assert body(spec())["Cmd"] == ["c"]
    assert body(spec(extra_args=("x", "y")))["Cmd"] == ["x", "y"]
    assert body(spec(extra_args=("x",)))["Entrypoint"] == ["/e"]


def test_the_ladder_is_cumulative_and_the_network_is_not_on_it():
    seen = []
    for step in LADDER:
        host = body(spec(step))["HostConfig"]
        seen.append((step, host["ReadonlyRootfs"], host["Memory"] // 2**20))
        assert host["NetworkMode"] == "none"
        assert host["MemorySwap"] == host["Memory"]
    assert seen == [
        (Relaxation.NONE, True, 256),
        (Relaxation.WRITABLE_ROOT, False, 256),
        (Relaxation.MORE_MEMORY, False, 512),
        (Relaxation.IMAGE_USER, False, 512),
    ]


@pytest.mark.parametrize(("given", "more"), [(64, 512), (256, 512), (1024, 2048)])
def test_more_memory_is_more(given: int, more: int):
    limits = Limits(memory=given * 2**20)
    assert spec(Relaxation.MORE_MEMORY, limits=limits).memory == more * 2**20
