"""Who has the way out and the authority, as requests to the engine: the wardens, never a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_sandbox.model import LaunchFacts, Limits, Network, Relaxation, Tls, Tracing
from mcp_sandbox.sandbox.egress import FOLDER, SOCKET, EgressSpec
from mcp_sandbox.sandbox.pod import CA_FILE, CA_VARIABLES, CHANNEL_MOUNT, Ties, WardenSpec
from mcp_sandbox.sandbox.spec import body, server_spec

ALLOW = ("api.example", "10.0.0.1:5432")


def server(ties: Ties, extra_env: tuple[str, ...] = (), **planted: str) -> dict[str, Any]:
    spec = server_spec(
        LaunchFacts(entrypoint=("server",)),
        image="image",
        original="image",
        user="65532:65532",
        relaxation=Relaxation.NONE,
        limits=Limits(),
        extra_env=extra_env,
        extra_args=(),
        planted=planted,
        labels={},
    )
    return body(spec, ties)


def targets(request: dict[str, Any]) -> dict[str, bool]:
    """Mount point -> whether it is read-only."""
    mounts = request["HostConfig"].get("Mounts", ())
    return {mount["Target"]: mount.get("ReadOnly", False) for mount in mounts}


def test_the_gateway_has_its_list_and_its_volume_and_nothing_else():
    request = EgressSpec("image", "volume", ALLOW, {"label": "x"}).body()
    assert request["Cmd"] == [
        *("--listen", SOCKET),
        *("--allow", "api.example", "--allow", "10.0.0.1:5432"),
    ]
    host = request["HostConfig"]
    assert targets(request) == {FOLDER: False}
    assert (host["NetworkMode"], host["CapDrop"], host.get("CapAdd")) == ("bridge", ["ALL"], None)
    assert host["ReadonlyRootfs"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["MemorySwap"] == host["Memory"]
    assert host["PidsLimit"] == 64
    assert "Env" not in request
    assert request["Labels"] == {"label": "x"}


@pytest.mark.parametrize("server_", ["", "server"])
def test_a_warden_has_the_way_out_only_where_something_is_allowed(server_: str):
    with_it = WardenSpec("image", server_, allow=ALLOW, egress="volume").body()
    assert targets(with_it) == {FOLDER: True}
    assert with_it["Cmd"][-6:] == [
        *("--egress", SOCKET),
        *("--allow", "api.example", "--allow", "10.0.0.1:5432"),
    ]
    without = WardenSpec("image", server_).body()
    assert targets(without) == {}
    assert not {"--egress", "--allow"} & set(without["Cmd"])


@pytest.mark.parametrize("tracing", list(Tracing))
def test_a_server_never_has_the_way_out(tracing: Tracing):
    ties = Ties(tracing, Network.SINK, Tls.TERMINATE, bundle="b", channel="c", warden="w")
    assert FOLDER not in json.dumps(server(ties))
    assert SOCKET not in json.dumps(server(ties))


@pytest.mark.parametrize("tracing", list(Tracing))
def test_a_server_whose_tls_is_terminated_is_told_whom_to_trust(tracing: Tracing):
    ties = Ties(tracing, Network.SINK, Tls.TERMINATE, bundle="b", channel="c")
    request = server(ties)
    assert request["Env"] == [f"{name}={CA_FILE}" for name in CA_VARIABLES]
    assert targets(request)[CHANNEL_MOUNT] is True


@pytest.mark.parametrize(
    ("network", "tls"),
    [(Network.SINK, Tls.OBSERVE), (Network.NONE, Tls.TERMINATE), (Network.NONE, Tls.OBSERVE)],
)
def test_any_other_server_is_not(network: Network, tls: Tls):
    request = server(Ties(Tracing.NONE, network, tls))
    assert request["Env"] == []
    assert targets(request) == {}


def test_what_the_user_or_the_plan_sets_stays():
    ties = Ties(Tracing.NONE, Network.SINK, Tls.TERMINATE, channel="c")
    request = server(ties, ("SSL_CERT_FILE=/mine",), DENO_CERT="planted")
    values = [pair for pair in request["Env"] if pair.startswith(("SSL_CERT_FILE", "DENO_CERT"))]
    assert values == ["SSL_CERT_FILE=/mine", "DENO_CERT=planted"]
    assert len(request["Env"]) == len(CA_VARIABLES)


def test_an_untraced_server_s_volume_takes_nothing_on_from_the_image():
    request = WardenSpec("image", tls=Tls.TERMINATE, channel="c", collect=False).body()
    (mount,) = request["HostConfig"]["Mounts"]
    assert mount["VolumeOptions"] == {"NoCopy": True}
    assert "--collect" not in request["Cmd"]
    traced = WardenSpec("image", "server", tls=Tls.TERMINATE, channel="c").body()
    (mount,) = traced["HostConfig"]["Mounts"]
    assert "VolumeOptions" not in mount
    assert "--collect" in traced["Cmd"]
