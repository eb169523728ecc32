"""Whose a host is, what it is for the machine, and who named it."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import Act, LaunchFacts
from mcp_sandbox.rules import evaluate, hosts
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.hosts import Scope
from support.observed import LAUNCH, call, did, observed, session, tool
from support.rulesnet_samples import seen


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("api.github.com", "github.com"),
        ("GitHub.com.", "github.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("evil.github.io", "evil.github.io"),
        ("x.evil.workers.dev", "evil.workers.dev"),
        ("198.51.100.7", "198.51.100.7"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("localhost", "localhost"),
    ],
)
def test_domain(host, own):
    assert hosts.domain(host) == own


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("169.254.169.254", Scope.METADATA),
        ("2852039166", Scope.METADATA),
        ("0xa9fea9fe", Scope.METADATA),
        ("0251.0376.0251.0376", Scope.METADATA),
        ("[::ffff:169.254.169.254]", Scope.METADATA),
        ("fd00:ec2::254", Scope.METADATA),
        ("metadata.google.internal", Scope.METADATA),
        ("127.1", Scope.LOOPBACK),
        ("0.0.0.0", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("localhost", Scope.LOOPBACK),
        ("10.20.30.40", Scope.PRIVATE),
        ("fe80::1%eth0", Scope.PRIVATE),
        ("8.8.8.8", Scope.PUBLIC),
        ("example.com", Scope.PUBLIC),
    ],
)
def test_scope(host, scope):
    assert hosts.scope(hosts.canonical(host)) is scope


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("http://example.com@169.254.169.254/x", "169.254.169.254"),
        ("http://169.254.169.254#@example.com/x", "169.254.169.254"),
        ("http://example.com/redirect?to=http://169.254.169.254/x", "169.254.169.254"),
        ("http://[::1]:8000/x", "::1"),
        ("http://127.0.0.1:22/x", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_every_host_that_a_reader_may_see(value, host):
    assert host in hosts.meant(value)


@pytest.mark.parametrize("value", ["http://example.com:8080/v1/2026", "notes", "", "a" * 30_000])
def test_ports_and_versions_are_no_addresses(value):
    assert not any(hosts.is_address(one) for one in hosts.meant(value))


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:443", ("::1", 443)),
        ("unix:/run/x:1", ("", 0)),
        ("unix:@a:80", ("", 0)),
        ("netlink", ("", 0)),
        ("?", ("", 0)),
    ],
)
def test_addresses_of_kernel_events(thing, expected):
    assert hosts.split_port(thing) == expected


def test_what_names_a_host():
    context = Context(
        observed(
            session(call(), tools=(tool("brave_search", "See https://docs.nimbus.example/x."),)),
            launch=LaunchFacts(environment=("OPENMETEO_URL=http://api.rain.example",)),
            allowed=("db.example.net:5432",),
        )
    )
    declared = hosts.declared(context)
    for host in ("nimbus.example", "eu.rain.example", "db.example.net", "api.search.brave.com"):
        assert host in declared
    for host in ("evil.example", "198.51.100.7", "example.dev", "search.evil.example"):
        assert host not in declared


def test_datagrams_that_never_leave_are_told_by_the_kernel():
    observations = seen(call(), kernel=[did(Act.SEND, "239.255.255.250:1900", 0)], launch=LAUNCH)
    (found,) = [one for one in evaluate(observations) if one.rule == "unprompted-network"]
    assert "239.255.255.250" in found.message
