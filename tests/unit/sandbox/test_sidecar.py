"""What a sidecar is given: the server's network, memory, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import LaunchFacts, Listener
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.sandbox.sidecar import SidecarSpec, wait_until_it_listens
from mcp_sandbox.sandbox.stream import HeadTail

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


class Stream:
    """The output of a sidecar, piece by piece; at its end it has ended."""

    def __init__(self, *pieces: bytes | None) -> None:
        self.ended = False
        self._pieces: Iterator[bytes | None] = iter(pieces)

    def recv(self) -> bytes | None:
        piece = next(self._pieces, b"")
        self.ended = piece == b""
        return piece


def listening(*ports: int) -> tuple[Listener, ...]:
    return tuple(Listener("inet", "127.0.0.1", port) for port in ports)


def test_it_is_waited_for_until_it_listens():
    looks = iter([(), listening(22), listening(22, 5432)])
    stream = Stream(b"starting", None, None, None, None)
    wait_until_it_listens(ASKED, stream, HeadTail(100), lambda: next(looks))  # type: ignore[arg-type]
    assert next(looks, None) is None


def test_one_that_ends_is_told_of_with_its_last_words():
    said = HeadTail(100)
    said.add(b"FATAL: data directory has wrong ownership")
    with pytest.raises(EngineFailed) as caught:
        wait_until_it_listens(ASKED, Stream(b"x"), said, lambda: ())  # type: ignore[arg-type]
    assert "'db' (postgres:17) ended; port 5432" in caught.value.what
    assert "wrong ownership" in caught.value.detail
    assert "mcp-sandbox.toml" in caught.value.next_step
