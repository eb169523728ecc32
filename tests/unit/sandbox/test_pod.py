"""The containers beside a server's, and its profile, as data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import Network, Tls, Tracing
from mcp_sandbox.sandbox import seccomp
from mcp_sandbox.sandbox.pod import STRACE, Ties, TracerSpec, WardenSpec


@pytest.mark.parametrize("tracing", list(Tracing))
def test_what_stands_before_the_servers_own_command(tracing: Tracing):
    before = Ties(tracing, bundle="b", channel="c").before
    gate = ["/.mcp-sandbox/tracer/gate", "/.mcp-sandbox/channel/go"]
    if tracing is Tracing.NONE:
        assert before == []
    elif tracing is Tracing.OUTSIDE:
        assert before == gate
    else:
        assert before[0] == "/.mcp-sandbox/tracer/ld.so"
        assert "--seccomp-bpf" in before
        assert before[-3:] == ["--", *gate]


def test_an_untraced_server_is_given_nothing_of_ours():
    ties = Ties(Tracing.NONE, Network.SINK, bundle="b", warden="w")
    assert ties.mounts == []
    assert ties.network_host == {"NetworkMode": "container:w"}


def test_the_volumes_are_read_only_and_never_filled_from_the_image():
    mounts = Ties(Tracing.INSIDE, bundle="b", channel="c").mounts
    assert [one["Source"] for one in mounts] == ["b", "c"]
    assert all(one["ReadOnly"] and one["VolumeOptions"] == {"NoCopy": True} for one in mounts)


def test_there_is_no_network_and_the_sink_is_found_there():
    assert Ties(Tracing.INSIDE).network_host == {"NetworkMode": "none"}
    host = Ties(Tracing.INSIDE, Network.SINK).network_host
    assert (host["NetworkMode"], host["Dns"]) == ("none", ["192.0.2.53"])
    assert host["Sysctls"] == {"net.ipv6.conf.all.disable_ipv6": "0"}
    assert "Sysctls" not in Ties(Tracing.INSIDE, Network.SINK, ipv6=False).network_host


def test_every_traced_call_may_be_missing_on_an_architecture():
    names = STRACE[-1].removeprefix("trace=").split(",")
    assert all(name[0] in "?%" for name in names)
    assert {"?openat", "?openat2", "%process", "%net", "?ptrace", "?unlinkat"} <= set(names)


def test_the_warden_gets_one_capability_and_only_for_the_sink():
    with_sink = WardenSpec(
        "i", "server", tls=Tls.TERMINATE, allow=("a:1", "b"), egress="e", channel="c"
    ).body()
    host = with_sink["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_ADMIN"])
    assert (host["NetworkMode"], host["ReadonlyRootfs"]) == ("container:server", True)
    assert "Hostname" not in with_sink
    line = " ".join(with_sink["Cmd"])
    assert line.startswith("--sink --tls terminate --egress ")
    assert line.endswith(" --allow a:1 --allow b --collect")
    assert [one["Source"] for one in host["Mounts"]] == ["c", "e"]
    without = WardenSpec("i", "server", network=Network.NONE, allow=("a",), channel="c").body()
    assert without["Cmd"] == ["--collect"]
    assert "CapAdd" not in without["HostConfig"]
    assert without["HostConfig"]["NetworkMode"] == "none"


def test_the_tracer_outside_sees_the_hosts_processes_and_no_network():
    spec = TracerSpec("i", "server", 77, "c").body()
    host = spec["HostConfig"]
    assert (host["PidMode"], host["NetworkMode"]) == ("host", "container:server")
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["SYS_PTRACE", "DAC_READ_SEARCH"])
    assert spec["Entrypoint"][-2:] == ["-p", "77"]
    assert "--seccomp-bpf" not in spec["Entrypoint"]


PACKAGED: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}],
    "syscalls": [
        {"names": ["read", "mount", "clone", "clone3", "prctl"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_BPF"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
    ],
}


def rules(name: str) -> list[dict[str, Any]]:
    made = json.loads(seccomp.profile(json.dumps(PACKAGED).encode()))
    return [rule for rule in made["syscalls"] if name in rule["names"]]


def test_what_a_container_without_capabilities_is_refused_is_left_out():
    assert [rule["args"] for rule in rules("read")] == [[]]
    assert rules("mount") == rules("bpf") == []
    assert rules("arch_prctl")[0]["includes"] == {"arches": ["amd64"]}
    assert [rule["errnoRet"] for rule in rules("clone3")] == [38]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("prctl", 4, False),
        ("prctl", 4 | 1 << 32, False),
        ("prctl", 3, True),
        ("prctl", 15, True),
        ("prlimit64", 1, False),
        ("prlimit64", 0, True),
        ("prlimit64", 9, True),
        ("clone", 17, True),
        ("clone", 17 | 0x00800000, False),
        ("clone", 17 | 0x10000000, False),
    ],
)
def test_an_argument_that_would_hide_something_matches_no_rule(
    name: str, value: int, allowed: bool
):
    conditions = [one for rule in rules(name) for one in rule["args"]]
    assert conditions
    assert {one["op"] for one in conditions} == {"SCMP_CMP_MASKED_EQ"}
    matches = any(value & one["value"] == one["valueTwo"] for one in conditions)
    assert matches is allowed


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"syscalls": 1, "archMap": []}'])
def test_a_profile_that_is_none_is_refused(text: bytes):
    with pytest.raises(EngineFailed, match="cannot be read"):
        seccomp.profile(text)
