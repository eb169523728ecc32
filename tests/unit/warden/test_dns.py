"""DNS messages: what is answered, and that no bytes do harm."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden import dns, names
from mcp_sandbox.warden.names import Names

TYPES = {"A": 1, "NS": 2, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SVCB": 64, "HTTPS": 65}


def wire(name: str) -> bytes:
    labels = name.encode("latin-1").split(b".") if name else []
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def message(name: str | bytes, kind: str = "A", *, count: int = 1, flags: int = 0x0100) -> bytes:
    raw = name if isinstance(name, bytes) else wire(name)
    return (
        struct.pack("!6H", 0x1234, flags, count, 0, 0, 0) + raw + struct.pack("!HH", TYPES[kind], 1)
    )


def ask(name: str | bytes, kind: str = "A", known: Names | None = None) -> tuple[bytes, dns.Asked]:
    reply, (asked,) = dns.answer(message(name, kind), known or Names(ipv6=True))
    return reply, asked


def code(reply: bytes) -> int:
    return reply[3] & 0xF


def answers(reply: bytes) -> int:
    return int.from_bytes(reply[6:8], "big")


def test_an_address_is_answered_in_the_wire_format():
    reply, asked = ask("www.example.com")
    assert asked == dns.Asked("www.example.com", "A", "46.29.16.1")
    assert reply == (
        struct.pack("!6H", 0x1234, 0x8180, 1, 1, 0, 0)
        + wire("www.example.com")
        + struct.pack("!HH", 1, 1)
        + struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4)
        + bytes([46, 29, 16, 1])
    )


def test_every_name_gets_addresses_of_its_own_that_look_public():
    known = Names(ipv6=True)
    found: set[str] = set()
    for number in range(5_000):
        for kind in ("A", "AAAA"):
            asked = ask(f"n{number}.example", kind, known)[1]
            address = ipaddress.ip_address(asked.answer)
            assert address.is_global
            assert not address.is_multicast
            assert address.version == (4 if kind == "A" else 6)
            assert known.name(asked.answer) == f"n{number}.example"
            found.add(asked.answer)
    assert len(found) == 10_000


def test_the_same_questions_get_the_same_answers_and_case_does_not_matter():
    one, two = Names(ipv6=True), Names(ipv6=True)
    for name in ("a.example", "B.example", "b.EXAMPLE", "a.example"):
        assert ask(name, "A", one)[1].answer == ask(name, "A", two)[1].answer
    assert ask("A.example", "A", one)[1].answer == ask("a.example", "A", one)[1].answer


def test_when_there_are_too_many_names_the_next_gets_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "MAX_NAMES", 2)
    known = Names(ipv6=True)
    first = ask("a.example", "A", known)[1].answer
    ask("b.example", "A", known)
    reply, asked = ask("c.example", "A", known)
    assert (code(reply), asked.answer) == (2, "SERVFAIL")
    assert ask("a.example", "A", known)[1].answer == first


def test_a_rebinding_name_turns_to_the_loopback_address():
    known = Names(ipv6=True)
    reply, asked = ask("rebind-7.example", "A", known)
    assert ipaddress.ip_address(asked.answer).is_global
    assert reply[-10:-6] == bytes(4), "the time to live is 0"
    assert ask("REBIND-7.example", "A", known)[1].answer == "127.0.0.1"
    assert ipaddress.ip_address(ask("rebind-7.example", "AAAA", known)[1].answer).is_global
    assert ask("rebind-7.example", "AAAA", known)[1].answer == "::1"
    assert ipaddress.ip_address(ask("rebind-8.example", "A", known)[1].answer).is_global


def test_the_name_of_a_metadata_service_has_the_address_that_it_has_everywhere():
    known = Names(ipv6=True)
    assert ask("Metadata.Google.internal", "A", known)[1].answer == "169.254.169.254"
    reply, asked = ask("metadata.google.internal", "AAAA", known)
    assert (code(reply), answers(reply), asked.answer) == (0, 0, "")
    assert known.name("169.254.169.254") == "169.254.169.254"


def test_without_ipv6_there_is_no_address_of_that_kind():
    reply, asked = ask("a.example", "AAAA", Names(ipv6=False))
    assert (code(reply), answers(reply), asked.answer) == (0, 0, "")


@pytest.mark.parametrize(
    ("name", "kind", "answer", "expected"),
    [
        ("localhost", "A", "127.0.0.1", 0),
        ("x.localhost", "AAAA", "::1", 0),
        ("printer.local", "A", "NXDOMAIN", 3),
        ("a.example", "MX", "10 mail.a.example", 0),
        ("a.example", "TXT", "v=spf1 -all", 0),
        ("a.example", "HTTPS", "", 0),
        ("a.example", "NS", "", 0),
        ("", "NS", "", 0),
        ("1.2.3.4.in-addr.arpa", "PTR", "NXDOMAIN", 3),
    ],
)
def test_other_kinds(name: str, kind: str, answer: str, expected: int):
    reply, asked = ask(name, kind)
    assert (asked, code(reply)) == (dns.Asked(name, kind, answer), expected)
    assert answers(reply) == int(bool(answer) and expected == 0)


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_an_address_leads_back_to_its_name(kind: str):
    known = Names(ipv6=True)
    address = ipaddress.ip_address(ask("a.example", kind, known)[1].answer)
    assert ask(address.reverse_pointer, "PTR", known)[1].answer == "a.example"


def test_a_name_is_noted_whole():
    name = ".".join(["k" * 63, "l" * 63, "m" * 63, "n" * 61])
    assert len(name) == 253
    assert ask(name)[1].name == name


def test_odd_bytes_in_a_name_are_spelled_out():
    assert ask(b"\x04a.b\\\x02\x00\xff\x00")[1].name == "a\\046b\\092.\\000\\255"


def test_extensions_are_answered_in_kind():
    question = bytearray(message("a.example") + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00")
    question[11] = 1
    reply, _ = dns.answer(bytes(question), Names(ipv6=True))
    assert reply[10:12] == b"\x00\x01"
    assert reply.endswith(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00")


def test_several_questions_are_noted_and_none_is_answered():
    several = message("a.example", count=2) + wire("b.example") + struct.pack("!HH", 28, 1)
    reply, asked = dns.answer(several, Names(ipv6=True))
    assert (code(reply), answers(reply)) == (1, 0)
    assert [(one.name, one.type) for one in asked] == [("a.example", "A"), ("b.example", "AAAA")]


def test_of_very_many_questions_some_are_noted():
    many = struct.pack("!6H", 1, 0, 65535, 0, 0, 0) + (wire("a") + b"\x00\x01\x00\x01") * 1000
    assert len(dns.answer(many, Names(ipv6=True))[1]) == dns.MAX_QUESTIONS


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\x00" * 11,
        message("a.example", flags=0x8180),
        message(b"\xc0\x0c"),
        message(b"\x01a\xc0\x0c"),
        message(b"\xc0"),
        message(b"\xff\xff"),
        message(b"\x40" + b"a" * 64 + b"\x00"),
        message((b"\x3f" + b"a" * 63) * 4 + b"\x00"),
        message("a.example")[:-1],
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x05ab",
    ],
    ids=["empty", "short", "reply", "itself", "loop", "cut pointer", "forward", "label", "name",
         "cut type", "cut label"],
)  # fmt: skip
def test_what_is_no_question_is_refused(hostile: bytes):
    with pytest.raises(dns.NotDns):
        dns.answer(hostile, Names(ipv6=True))


def test_another_operation_is_not_implemented():
    reply, asked = dns.answer(message("a.example", flags=0x2800), Names(ipv6=True))
    assert (code(reply), asked) == (4, ())


@given(st.binary(max_size=600))
def test_no_bytes_do_harm(data: bytes):
    try:
        reply, asked = dns.answer(data, Names(ipv6=True))
    except dns.NotDns:
        return
    assert reply[:2] == data[:2]
    assert reply[2] & 0x80
    assert len(reply) < 1024
    assert len(asked) <= dns.MAX_QUESTIONS


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8), st.integers(0, 65535))
def test_any_name_and_type_has_an_answer_that_repeats_the_question(labels: list[bytes], kind: int):
    raw = b"".join(bytes([len(one)]) + one for one in labels) + b"\x00"
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + raw + struct.pack("!HH", kind, 1)
    if len(raw) > 255:
        with pytest.raises(dns.NotDns):
            dns.answer(question, Names(ipv6=True))
        return
    reply, (asked,) = dns.answer(question, Names(ipv6=True))
    assert reply[12 : len(question)] == question[12:]
    assert asked.name.count(".") == max(0, len(labels) - 1)
