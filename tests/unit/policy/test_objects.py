"""What a policy may name, and what that allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.model import Deed
from mcp_sandbox.model.locked import Permission
from mcp_sandbox.policy.objects import (
    EVERYWHERE,
    Allowed,
    parse_endpoint,
    parse_path,
    parse_program,
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("API.Example.com", "api.example.com"),
        ("api.example.com.:443", "api.example.com:443"),
        ("api.example.com:53/udp", "api.example.com:53/udp"),
        ("*.Example.com", "*.example.com"),
        ("*.example.com:443", "*.example.com:443"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("10.0.0.1:8080", "10.0.0.1:8080"),
        ("::1", "::1"),
        ("[::1]:80", "[::1]:80"),
        ("[2001:DB8::1]:53/udp", "[2001:db8::1]:53/udp"),
        ("localhost:5432", "localhost:5432"),
        ("api.example:65535", "api.example:65535"),
    ],
)
def test_an_endpoint_has_one_form(text, parsed):
    assert parse_endpoint(text) == parsed
    assert parse_endpoint(parsed) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "*",
        "*.com",
        "*.10.0.0.1",
        "a.*.example",
        "api.example:0",
        "api.example:65536",
        "api.example:99999",
        "api.example:https",
        "api.example:",
        "api.example/udp",
        "https://api.example/",
        "api.example:443/tcp",
        "[::1]:",
        "[::1",
        "[::1]80",
        "127.1",
        "a" * 5_000,
        "a b",
        "<argument>",
    ],
)
def test_what_is_no_endpoint_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "parsed"), [("git", "git"), ("python3.13", "python"), ("g++", "g++")]
)
def test_a_program_is_its_name(text, parsed):
    assert parse_program(text) == parsed


@pytest.mark.parametrize("text", ["", "/usr/bin/git", "git status", "git*", "a" * 101, "\0"])
def test_what_is_no_program_is_refused(text):
    with pytest.raises(ValueError, match="its name"):
        parse_program(text)


@pytest.mark.parametrize("text", ["/data/x", "/data/**", "/a b/c"])
def test_a_path_is_kept(text):
    assert parse_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "data", "/", "/**", "//data", "/data/", "/data/../etc", "/data/./x", "/data/*"),
        *("/d*/x", "/data/**/x", "~/.ssh", "/data\0", "/" + "a" * 2_000),
    ],
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ValueError, match=r"path|wildcard"):
        parse_path(text)


def allowed(subject: str = "tools/find", **what: tuple[str, ...]) -> Allowed:
    return Allowed([Permission(subject, "because", **what)])


ENDPOINTS = [
    ("api.example:443", "api.example:443", True),
    ("api.example:443", "api.example:80", False),
    ("api.example:443", "api.example:443/udp", False),
    ("api.example:443/udp", "api.example:443/udp", True),
    ("api.example:443/udp", "api.example:443", False),
    ("api.example", "api.example:80", True),
    ("api.example", "api.example:80/udp", True),
    # Who may connect may look the name up.
    ("api.example:443", "api.example", True),
    ("*.example.com:443", "a.example.com", True),
    ("api.example", "evil-api.example", False),
    ("api.example", "api.example.evil", False),
    ("*.example.com", "a.example.com:1", True),
    ("*.example.com", "a.b.example.com:1", True),
    ("*.example.com", "example.com:1", False),
    ("*.example.com", "badexample.com:1", False),
    ("*.example.com:443", "a.example.com:80", False),
    ("10.0.0.1", "10.0.0.1:80", True),
    ("10.0.0.1", "110.0.0.1:80", False),
    ("[::1]:80", "[::1]:80", True),
    ("::1", "[::1]:80", True),
    ("::1", "[::2]:80", False),
    ("127.0.0.1", "127.0.0.1:<port>", True),
    ("api.example", "<argument>", False),
    ("api.example", "unix:/run/x", False),
]


@pytest.mark.parametrize(("policy", "seen", "fits"), ENDPOINTS)
def test_endpoints(policy, seen, fits):
    one = allowed(endpoints=(parse_endpoint(policy),)).by(Deed("tools/find", "endpoints", seen))
    assert (one is not None) == fits


PATHS = [
    ("/data/x", "/data/x", True),
    ("/data/x", "/data/x/y", False),
    ("/data/**", "/data/x/y", True),
    ("/data/**", "/data", True),
    ("/data/**", "/database", False),
    ("/data/**", "/data/../etc/shadow", False),
    ("/data/**", "data/x", False),
    ("/data/**", "/data/*", True),
]


@pytest.mark.parametrize(("policy", "seen", "fits"), PATHS)
@pytest.mark.parametrize("part", ["reads", "writes"])
def test_paths(policy, seen, fits, part):
    one = allowed(paths=(parse_path(policy),)).by(Deed("tools/find", part, seen))
    assert (one is not None) == fits


def test_a_folder_does_not_allow_what_needs_its_own_path():
    deed = Deed("tools/find", "reads", "/home/a/.netrc")
    assert allowed(paths=("/home/a/**",)).by(deed)
    assert not allowed(paths=("/home/a/**",)).by(deed, exactly=True)
    assert allowed(paths=("/home/a/.netrc",)).by(deed, exactly=True)


@pytest.mark.parametrize(
    ("subject", "where", "fits"),
    [
        ("tools/find", "tools/find", True),
        ("tools/find", "tools/finder", False),
        ("tools/find", "start-up", False),
        ("start-up", "idle", False),
        (EVERYWHERE, "idle", True),
        (EVERYWHERE, "tools/x", True),
    ],
)
def test_a_permission_is_for_its_place(subject, where, fits):
    one = allowed(subject, programs=("git",)).by(Deed(where, "programs", "git"))
    assert (one is not None) == fits


def test_a_kind_of_object_does_not_allow_another():
    every = allowed(endpoints=("git",), paths=("/git",))
    assert every.by(Deed("tools/find", "programs", "git")) is None
    assert allowed(programs=("git",)).by(Deed("tools/find", "endpoints", "git")) is None
    assert allowed(programs=("git",)).by(Deed("tools/find", "other", "git")) is None


@given(st.sampled_from(["endpoints", "programs", "reads", "writes"]), st.text(max_size=40))
def test_whatever_was_seen_is_compared_without_a_fall(part, seen):
    every = Allowed([Permission(EVERYWHERE, "r", ("*.example.com", "::1"), ("git",), ("/d/**",))])
    every.by(Deed("tools/find", part, seen))
