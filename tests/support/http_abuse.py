"""More of what no server should do over HTTP: modes of ``http_peer`` that use up what they can."""

from __future__ import annotations

import itertools
import json
import time
import zlib
from functools import cache

from support.http_peer import ENDLESS, SESSION, Gone, Talk, good, held, instead_of_calls, mode

GROWN = 2**29
"""Bytes that half a megabyte of gzip inflates to."""


@cache
def half_a_megabyte() -> bytes:
    """Gzip of ``GROWN`` spaces: one block, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (GROWN // 2**20 - 1)


@instead_of_calls
def grows_without_end(talk: Talk) -> None:
    talk.answer(body=half_a_megabyte(), Content_Type="application/json", Content_Encoding="gzip")


@instead_of_calls
def grows_unannounced(talk: Talk) -> None:
    talk.answer(body=half_a_megabyte(), Content_Type="application/json")


@instead_of_calls
def grows_by_transfer(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    talk.raw(b"%x\r\n%s\r\n0\r\n\r\n" % (len(half_a_megabyte()), half_a_megabyte()))


@instead_of_calls
def ten_thousand_sessions(talk: Talk) -> None:
    named = b"".join(b"Mcp-Session-Id: s-%d\r\n" % number for number in range(10_000))
    talk.raw(b"HTTP/1.1 200 OK\r\n" + named + b"\r\n")


_SESSIONS = itertools.count()


@mode
def a_session_an_answer(talk: Talk) -> None:
    if talk.method == "POST" and "id" in talk.message:
        talk.json(talk.result, Mcp_Session_Id=f"{SESSION}-{next(_SESSIONS)}")
    else:
        good(talk)


@mode
def wild_session_id(talk: Talk) -> None:
    if talk.message.get("method") == "initialize":
        talk.json(talk.result, Mcp_Session_Id="s\xff\t " + "x" * 50_000)
    else:
        good(talk)


@mode
def floods_the_stream_beside(talk: Talk) -> None:
    if talk.method != "GET":
        good(talk)
        return
    talk.begin_events()
    note = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n'
    for _ in range(ENDLESS):
        talk.raw(note * 100)


@instead_of_calls
def answers_for_others(talk: Talk) -> None:
    talk.begin_events()
    for number in range(2_000):
        talk.raw(b'data: {"jsonrpc":"2.0","id":%d,"result":{}}\n\n' % (10**6 + number))
    talk.raw(b"data: " + json.dumps(talk.result).encode() + b"\n\n")
    raise Gone


@instead_of_calls
def endless_trailers(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    for number in range(ENDLESS):
        talk.raw(b"X-%d: %s\r\n" % (number, b"y" * 200))


@instead_of_calls
def endless_chunk_header(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;")
    for _ in range(ENDLESS):
        talk.raw(b"y" * 4096)


@instead_of_calls
def one_byte_chunks(talk: Talk) -> None:
    talk.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(ENDLESS):
        talk.raw(b"1\r\n \r\n" * 10_000)


@instead_of_calls
def slow_headers(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 200 OK\r\n")
    for _ in range(ENDLESS):
        talk.raw(b"X")
        time.sleep(0.02)


@instead_of_calls
def promises_an_exabyte(talk: Talk) -> None:
    talk.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{" % 10**18
    )
    held(talk)


@instead_of_calls
def wild_event_ids(talk: Talk) -> None:
    talk.begin_events()
    talk.raw(b"id: \x01\xff" + b"x" * 100_000 + b"\ndata:\n\n")
    raise Gone


@instead_of_calls
def a_status_of_its_own(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 999 Nobody knows\r\nContent-Length: 2\r\n\r\nno")


@instead_of_calls
def nothing_with_a_body(talk: Talk) -> None:
    talk.raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")


@instead_of_calls
def speaks_another_version(talk: Talk) -> None:
    talk.raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18)
    held(talk)
