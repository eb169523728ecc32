"""What the kernel and the sink recorded, in the words of lock files and policies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox import deeds
from mcp_sandbox.model import Act, Deed, KernelEvent, SinkEvent, SinkKind, Window
from support.observed import call, session

HELD = session(call(), call("ssrf"))


def kernel(act: Act, thing: str, detail: str = "", **more) -> tuple[Deed, ...]:
    event = KernelEvent(act, thing, detail=detail, **{"window": Window.CALL, "call": 2, **more})
    return deeds.of_kernel(HELD, event)


def sink(kind: SinkKind, host: str, port: int = 0, **more) -> tuple[Deed, ...]:
    event = SinkEvent(kind, host, port, **{"window": Window.CALL, "call": 2, **more})
    return deeds.of_sink(HELD, event)


@pytest.mark.parametrize(
    ("act", "thing", "detail", "told"),
    [
        (Act.EXEC, "/usr/bin/git", "git status", [("programs", "git")]),
        (Act.EXEC, "/usr/bin/python3.13", "python3 x.py", [("programs", "python")]),
        (Act.EXEC, "/bin/busybox", "sh -c id", [("programs", "sh")]),
        (Act.EXEC, "/bin/busybox", "busybox", [("programs", "busybox")]),
        (Act.EXEC, "/bin/nc.openbsd", "'cut", [("programs", "nc")]),
        (Act.OPEN, "/etc/shadow", "", [("reads", "/etc/shadow")]),
        (Act.WRITE, "/data/x", "", [("writes", "/data/x")]),
        (Act.UNLINK, "/data/x", "", [("writes", "/data/x")]),
        (Act.RENAME, "/data/x", "/data/y", [("writes", "/data/x"), ("writes", "/data/y")]),
        (Act.LINK, "/data/x", "/data/y", [("writes", "/data/x"), ("writes", "/data/y")]),
        (Act.CONNECT, "10.0.0.1:443", "TCP", [("endpoints", "10.0.0.1:443")]),
        (Act.CONNECT, "[2001:DB8::1]:443", "", [("endpoints", "[2001:db8::1]:443")]),
        (Act.SEND, "10.0.0.1:53", "UDP", [("endpoints", "10.0.0.1:53/udp")]),
        (Act.CONNECT, "unix:/run/x.sock:1", "", []),
        (Act.CONNECT, "nothing", "", []),
        (Act.PTRACE, "tracer", "", []),
        (Act.MOUNT, "/mnt", "", []),
    ],
)
def test_the_kernels_record(act, thing, detail, told):
    assert kernel(act, thing, detail) == tuple(Deed("tools/find", *one) for one in told)


@pytest.mark.parametrize(
    ("kind", "host", "port", "told"),
    [
        (SinkKind.DNS, "API.example.", 0, "api.example"),
        (SinkKind.TLS, "api.example", 443, "api.example:443"),
        (SinkKind.HTTP, "2001:db8::1", 80, "[2001:db8::1]:80"),
        (SinkKind.QUIC, "api.example", 443, "api.example:443/udp"),
        (SinkKind.UDP, "api.example", 123, "api.example:123/udp"),
        (SinkKind.ICMP, "api.example", 7, "api.example"),
        (SinkKind.ALLOWED, "api.example", 443, "api.example:443"),
        (SinkKind.TCP, "no host, AND not one", 1, "no host, and not one:1"),
    ],
)
def test_the_sinks_record(kind, host, port, told):
    assert sink(kind, host, port) == (Deed("tools/find", "endpoints", told),)


def test_what_was_done_to_the_sink_is_no_deed():
    assert sink(SinkKind.TAMPER, "10.0.0.1", 1) == ()


@pytest.mark.parametrize(
    ("window", "number", "place"),
    [
        (Window.START, 0, "start-up"),
        (Window.LISTING, 0, "start-up"),
        (Window.IDLE, 0, "idle"),
        (Window.SHUTDOWN, 0, "idle"),
        (Window.CALL, 1, "tools/find"),
        (Window.CALL, 7, "idle"),
        (Window.CALL, 0, "idle"),
        (Window.CALL, -1, "idle"),
    ],
)
def test_the_place_is_that_of_the_window(window, number, place):
    assert deeds.place(HELD, window, number) == place


@given(st.sampled_from(Act), st.text(max_size=30), st.text(max_size=30))
def test_any_record_is_named_without_a_fall(act, thing, detail):
    for one in kernel(act, thing, detail):
        assert one.part in {"endpoints", "programs", "writes", "reads"}


@given(st.sampled_from(SinkKind), st.text(max_size=30), st.integers(0, 65_535))
def test_any_arrival_is_named_without_a_fall(kind, host, port):
    assert all(one.part == "endpoints" for one in sink(kind, host, port))
