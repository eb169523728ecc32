"""HTTP requests, in any pieces, well-formed or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden import http
from mcp_sandbox.warden.http import Request, State


def read(*pieces: bytes) -> Request:
    request = Request()
    for piece in pieces:
        request.feed(piece)
    return request


POST = b"POST /x?y HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)


def test_a_request_with_a_length():
    request = read(POST)
    assert request.state is State.DONE
    assert (request.method, request.target) == ("POST", "/x?y")
    assert (request.text, request.size) == (POST.decode(), len(POST))
    assert request.authority is None


def test_a_request_in_chunks_is_joined():
    request = read(CHUNKED)
    assert request.state is State.DONE
    assert request.text.endswith("\r\n\r\nabc0123456789")
    assert request.size == len(CHUNKED)


@pytest.mark.parametrize("whole", [POST, CHUNKED, b"GET / HTTP/1.0\n\n"])
def test_pieces_do_not_matter(whole: bytes):
    expected = read(whole)
    one_by_one = read(*(whole[at : at + 1] for at in range(len(whole))))
    assert (one_by_one.state, one_by_one.text) == (State.DONE, expected.text)


@pytest.mark.parametrize(
    "other",
    [
        b"NICK foo\r\n",
        b"\x16\x03\x01",
        b"SSH-2.0-x\r\n",
        b"PRI * HTTP/2.0x\r\n",
        b'{"id":1}',
        b"GET\r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 x\r\n",
        b"A" * 40,
        b"GET " + b"a" * http.MAX_HEAD,
    ],
)
def test_what_is_no_request(other: bytes):
    assert read(other).state is State.OTHER


@pytest.mark.parametrize("beginning", [b"G", b"GET", b"GET ", b"GET /", b"GET / HTTP/1.1"])
def test_what_may_become_a_request(beginning: bytes):
    assert read(beginning).state is State.UNDECIDED


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("CONNECT a.example:8443 HTTP/1.1", ("a.example", 8443)),
        ("CONNECT a.example HTTP/1.1", ("a.example", 443)),
        ("CONNECT [::1]:22 HTTP/1.1", ("::1", 22)),
        ("GET http://a.example/x HTTP/1.1", ("a.example", 80)),
        ("GET HTTPS://u:p@a.example:99?x HTTP/1.1", ("a.example", 99)),
        ("GET http://a.example:70000/ HTTP/1.1", ("a.example", 80)),
        ("GET http:///x HTTP/1.1", None),
        ("GET //a.example/x HTTP/1.1", None),
        ("CONNECT : HTTP/1.1", None),
    ],
)
def test_what_a_proxy_is_asked_for(line: str, expected: tuple[str, int] | None):
    assert read(f"{line}\r\n\r\n".encode()).authority == expected


def test_a_head_without_end_is_cut():
    request = read(b"GET / HTTP/1.1\r\n", *[b"X: " + b"y" * 1000 + b"\r\n"] * 200)
    assert request.state is State.DONE
    assert len(request.text) == http.KEPT
    assert request.size > http.MAX_HEAD


def test_a_body_without_end_is_cut():
    request = read(b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n")
    fed = 0
    while request.state is State.BODY:
        request.feed(b"z" * 1000)
        fed += 1000
    assert request.state is State.DONE
    assert http.MAX_BODY <= fed < http.MAX_BODY + 1000
    assert len(request.text) == http.KEPT


def test_tiny_chunks_are_cut_too():
    request = read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    rounds = 0
    while request.state is State.BODY:
        request.feed(b"1\r\nx\r\n")
        rounds += 1
    assert rounds < http.MAX_BODY


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: " + b"9" * 400 + b"\r\n",
        b"Content-Length: 5x\r\n",
    ],
)
def test_a_length_that_cannot_be_believed_leaves_the_end_open(framing: bytes):
    request = read(b"POST / HTTP/1.1\r\n" + framing + b"\r\nhello world")
    assert request.state is State.BODY
    assert request.text.endswith("hello world")


def test_a_chunk_size_that_is_none_ends_the_request_and_is_kept():
    request = read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n")
    assert request.state is State.DONE
    assert request.text.endswith("secret")


def test_a_client_that_waits_to_be_told_to_go_on():
    assert read(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\n").wants_continue


@given(
    st.lists(st.binary(max_size=300), max_size=20), st.sampled_from([b"", POST[:-5], CHUNKED[:60]])
)
def test_no_bytes_do_harm(pieces: list[bytes], beginning: bytes):
    request = read(beginning, *pieces)
    assert request.size == len(beginning) + sum(map(len, pieces))
    assert len(request.text) <= http.KEPT
    assert request.authority is None or 0 <= request.authority[1] < 2**16


@given(st.binary(max_size=400), st.integers(1, 40))
def test_pieces_never_matter(body: bytes, size: int):
    whole = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    one, many = read(whole), read(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert (one.state, one.text) == (many.state, many.text)
