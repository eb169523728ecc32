"""Client hellos: real ones, cut ones, and crafted ones."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden import tls
from mcp_sandbox.warden.tls import Hello


def real(
    name: str | None = "api.example.com", protocols: tuple[str, ...] = ("h2", "http/1.1")
) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


HELLO = real()


def test_name_and_protocols_are_read():
    assert tls.hello(HELLO) == Hello("api.example.com", ("h2", "http/1.1"))
    assert tls.hello(real(None, ())) == Hello()


def test_bytes_after_the_hello_do_not_matter():
    assert tls.hello(HELLO + b"\x17\x03\x03more") == Hello("api.example.com", ("h2", "http/1.1"))


def test_until_it_is_whole_there_is_none():
    assert [at for at in range(len(HELLO)) if tls.hello(HELLO[:at]) is not None] == []


def test_a_hello_in_many_records_is_joined():
    body = HELLO[5:]
    cut = b"".join(
        b"\x16\x03\x01" + len(body[at : at + 7]).to_bytes(2, "big") + body[at : at + 7]
        for at in range(0, len(body), 7)
    )
    assert tls.hello(cut) == Hello("api.example.com", ("h2", "http/1.1"))


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x02",
        HELLO[:5] + b"\x02" + HELLO[6:],
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
        HELLO[:43] + b"\xff" + HELLO[44:],
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(tls.MAX_HELLO),
        b"\x16\x03\x01\x00\x04\x01\x00\x10\x00\x17\x03\x03\x00\x01x",
    ],
    ids=["http", "empty record", "server hello", "other message", "no body", "short body",
         "session id", "too long", "other record"],
)  # fmt: skip
def test_what_is_no_hello(hostile: bytes):
    with pytest.raises(tls.NotTls):
        tls.hello(hostile)


def test_of_very_many_protocols_some_are_read():
    many = real(protocols=tuple(f"p{number}" for number in range(100)))
    found = tls.hello(many)
    assert found is not None
    assert len(found.protocols) == tls.MAX_PROTOCOLS


def harmless(data: bytes) -> None:
    try:
        found = tls.hello(data)
    except tls.NotTls:
        return
    assert found is None or len(found.name) < 2**16


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data: bytes):
    harmless(data)
    harmless(b"\x16\x03\x01" + data)


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_no_changed_byte_does_harm(at: int, value: int):
    harmless(HELLO[:at] + bytes([value]) + HELLO[at + 1 :])
