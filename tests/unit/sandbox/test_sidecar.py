"""What a sidecar is given: the server's network, memory, and nothing else."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import LaunchFacts
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.sandbox.sidecar import SidecarSpec

ASKED = Sidecar("db", "postgres:17", 5432, ("A=1",))


def spec(asked: Sidecar = ASKED, **launch: object) -> SidecarSpec:
    facts = LaunchFacts(**launch)  # type: ignore[arg-type]
    return SidecarSpec(asked, "sha256:1", facts, "server-1", {"l": "1"})


def test_it_has_the_servers_network_and_no_right():
    host = spec(volumes=("/var/lib/data",)).body()["HostConfig"]
    assert host["NetworkMode"] == "container:server-1"
    assert host["CapDrop"] == ["ALL"]
    assert "CapAdd" not in host
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert set(host["Tmpfs"]) == {"/tmp", "/run", "/var/run", "/var/lib/data"}
    assert not {"Binds", "Mounts", "PortBindings", "Privileged", "PidMode"} & host.keys()
    assert host["Memory"] == host["MemorySwap"] == 512 * 2**20


@pytest.mark.parametrize(
    ("own", "given", "user"),
    [
        ("", "", "65532:65532"),
        ("root", "", "65532:65532"),
        ("0:0", "", "65532:65532"),
        ("redis", "", "redis"),
        ("", "999", "999"),
        ("redis", "999:999", "999:999"),
    ],
)
def test_it_is_never_root(own: str, given: str, user: str):
    asked = Sidecar("db", "postgres:17", 5432, user=given)
    assert spec(asked, user=own).body()["User"] == user


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("999:998", "rw,size=256m,mode=0700,uid=999,gid=998"),
        ("999", "rw,size=256m,mode=0700,uid=999"),
    ],
)
def test_its_folders_belong_to_its_user(user: str, options: str):
    body = spec(Sidecar("db", "postgres:17", 5432, user=user)).body()
    assert body["HostConfig"]["Tmpfs"]["/tmp"] == options


def test_a_user_by_name_gets_folders_for_all():
    assert spec(user="redis").body()["HostConfig"]["Tmpfs"]["/run"] == "rw,size=256m,mode=1777"


def test_an_image_cannot_hide_its_root_folder():
    assert "/" not in spec(volumes=("/",)).body()["HostConfig"]["Tmpfs"]
