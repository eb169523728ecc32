"""Host names and endpoints: what is taken, in which form, and what is refused with which words."""

from __future__ import annotations

import ipaddress
import re

import pytest

from mcp_sandbox.endpoints import (
    MAX_ALLOWED,
    OWN,
    Endpoint,
    all_allowed,
    host,
    parse_allowed,
    reachable,
)

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.example.com:8443", ["api.example.com:8443"]),
        ("API.Example.COM.:443", ["api.example.com:443"]),
        ("api.example.com", ["api.example.com:80", "api.example.com:443"]),
        ("10.1.2.3:1", ["10.1.2.3:1"]),
        ("10.1.2.3", ["10.1.2.3:80", "10.1.2.3:443"]),
        ("[2001:DB8::1]:65535", ["[2001:db8::1]:65535"]),
        ("[2001:db8:0:0::1]", ["[2001:db8::1]:80", "[2001:db8::1]:443"]),
        ("2001:db8::1", ["[2001:db8::1]:80", "[2001:db8::1]:443"]),
        ("[::ffff:10.1.2.3]:443", ["10.1.2.3:443"]),
        ("bücher.example:443", ["xn--bcher-kva.example:443"]),
        ("db:5432", ["db:5432"]),
        ("_svc.host-1.example:443", ["_svc.host-1.example:443"]),
        (f"{LONGEST}:443", [f"{LONGEST}:443"]),
    ],
)
def test_takes(text: str, expected: list[str]):
    assert [str(endpoint) for endpoint in parse_allowed(text)] == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected HOST"),
        (":443", "expected HOST"),
        ("*", "wildcards"),
        ("*.example.com:443", "wildcards"),
        ("https://example.com", "not a URL"),
        ("example.com/path", "not a URL"),
        ("user@example.com", "not a URL"),
        ("10.0.0.0/8", "range of addresses"),
        ("example.com:", "a port is a number"),
        ("example.com:0", "a port is a number"),
        ("example.com:65536", "a port is a number"),
        ("example.com:+80", "a port is a number"),
        ("example.com:٤٤٣", "a port is a number"),
        ("example.com:443:443", "[ADDRESS]:PORT"),
        ("[example.com]:443", "[ADDRESS]:PORT"),
        ("[2001:db8::1", "[ADDRESS]:PORT"),
        ("[2001:db8::1]443", "[ADDRESS]:PORT"),
        ("[fe80::1%eth0]:443", "[ADDRESS]:PORT"),
        ("127.0.0.1:80", "no address of another host"),
        ("[::1]:80", "no address of another host"),
        ("[::ffff:127.0.0.1]:80", "no address of another host"),
        ("0.0.0.0:80", "no address of another host"),
        ("224.0.0.1:80", "no address of another host"),
        ("localhost:80", "own loopback"),
        ("x.LOCALHOST.:80", "own loopback"),
        ("127.1:80", "ends in a number"),
        ("0x7f000001:80", "ends in a number"),
        ("a.0x:80", "ends in a number"),
        ("999.1.1.1:80", "ends in a number"),
        ("-a.example", "neither a host name"),
        ("a-.example", "neither a host name"),
        ("a..example", "neither a host name"),
        (".", "1 to 253"),
        ("a b", "neither a host name"),
        ("a,b", "neither a host name"),
        ("a\nb", "neither a host name"),
        ("a\0b", "neither a host name"),
        ("a" * 64, "neither a host name"),
        (LONGEST + "b", "1 to 253"),
        ("ü" * 200, "internationalised"),
        ("\ud800.example", "internationalised"),
        ("ü" * 100_000, "1 to 253"),
    ],
)
def test_refuses(text: str, why: str):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_allowed(text)


@pytest.mark.parametrize("own", OWN)
def test_the_servers_own_addresses_are_nobody_elses(own: str):
    long = ipaddress.ip_address(own).exploded
    for text in (own, f"[{long}]:80" if ":" in own else f"{own}:80", long.upper()):
        with pytest.raises(ValueError, match="the server's own address"):
            parse_allowed(text)
    assert not ipaddress.ip_address(own).is_global
    assert ipaddress.ip_address(own) not in ipaddress.ip_network("172.16.0.0/12")


def test_every_host_taken_is_taken_again_as_it_is():
    for text in ("Bücher.Example.", "2001:DB8::0", "::ffff:1.2.3.4", "A_b.example", LONGEST):
        assert host(host(text)) == host(text)


def test_the_list_is_a_bounded_set():
    assert all_allowed(("b.example:1", "a.example:2", "B.example.:1")) == (
        Endpoint("a.example", 2),
        Endpoint("b.example", 1),
    )
    many = tuple(f"a.example:{port}" for port in range(1, MAX_ALLOWED + 1))
    assert len(all_allowed(many)) == MAX_ALLOWED
    with pytest.raises(ValueError, match="at most 64"):
        all_allowed((*many, "b.example:1"))


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("93.184.216.34", True),
        ("10.0.0.1", True),
        ("2606:2800:220:1::1", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("100.100.100.200", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
    ],
)
def test_where_a_name_may_lead(text: str, may: bool):
    assert reachable(ipaddress.ip_address(text)) is may
