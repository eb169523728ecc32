"""DNS: the bytes of a message -> the bytes of an answer, and what was asked (RFC 1035)."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from mcp_sandbox.warden.names import INTERNAL, REBIND, Names

MAX_QUESTIONS = 16
"""That many are noted of one message; more than one is never answered (RFC 9619)."""
_MAX_NAME = 255
_TTL = 60

_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
    35: "NAPTR", 43: "DS", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 252: "AXFR", 255: "ANY",
    257: "CAA",
}  # fmt: skip
_A, _PTR, _MX, _TXT, _AAAA, _ANY = 1, 12, 15, 16, 28, 255
_IN = 1
_OPT = 41
_HEADER = 12
_POINTER = 0xC0
_MAX_LABEL = 63
_NOERROR, _FORMERR, _SERVFAIL, _NXDOMAIN, _NOTIMP = 0, 1, 2, 3, 4
_WORDS = {_FORMERR: "FORMERR", _SERVFAIL: "SERVFAIL", _NXDOMAIN: "NXDOMAIN", _NOTIMP: "NOTIMP"}
_MAIL = b"\x04mail"
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b".\\")


class NotDns(ValueError):
    """The bytes are no DNS question."""


@dataclass(frozen=True)
class Asked:
    """One question and what was answered."""

    name: str
    """Without the last dot; bytes that a name does not usually hold as ``\\DDD``."""
    type: str
    answer: str
    """An address, a text, the name of an error, or empty for an answer without a record."""


@dataclass(frozen=True)
class _Question:
    labels: tuple[bytes, ...]
    type: int
    class_: int

    @property
    def name(self) -> str:
        return ".".join(_printable(label) for label in self.labels)

    @property
    def kind(self) -> str:
        kind = _TYPES.get(self.type, f"TYPE{self.type}")
        return kind if self.class_ == _IN else f"CLASS{self.class_} {kind}"


@dataclass(frozen=True)
class _Record:
    type: int
    ttl: int
    data: bytes
    text: str


def answer(message: bytes, names: Names) -> tuple[bytes, tuple[Asked, ...]]:
    """What to send back, and what was asked. Raises ``NotDns`` when there is nothing to answer."""
    if len(message) < _HEADER:
        raise NotDns("shorter than a header")
    number, flags, questions = struct.unpack_from("!HHH", message)
    if flags & 0x8000:
        raise NotDns("an answer")
    if (flags >> 11) & 0xF:
        return _reply(number, flags, _NOTIMP, ()), ()
    asked, end = _questions(message, questions)
    if len(asked) != 1 or questions != 1:
        return _reply(number, flags, _FORMERR, ()), tuple(
            Asked(one.name, one.kind, "FORMERR") for one in asked
        )
    (question,) = asked
    code, record = _look_up(question, names)
    extended = _has_opt(message, end)
    text = record.text if record else _WORDS.get(code, "")
    reply = _reply(number, flags, code, (question,), record, extended=extended)
    return reply, (Asked(question.name, question.kind, text),)


def _questions(message: bytes, number: int) -> tuple[list[_Question], int]:
    """The questions that can be read (in order, bounded), and where they end."""
    found: list[_Question] = []
    position = _HEADER
    for _ in range(min(number, MAX_QUESTIONS)):
        try:
            labels, position = _name(message, position)
            type_, class_ = struct.unpack_from("!HH", message, position)
        except (NotDns, struct.error) as error:
            if not found:
                raise NotDns(str(error)) from error
            break
        position += 4
        found.append(_Question(labels, type_, class_))
    return found, position


def _name(message: bytes, position: int) -> tuple[tuple[bytes, ...], int]:
    labels: list[bytes] = []
    total = 1
    end = -1
    limit = position
    """A pointer leads to before this: each jump goes back, so there is no loop."""
    while True:
        if position >= len(message):
            raise NotDns("a name runs past the end")
        length = message[position]
        if length == 0:
            return tuple(labels), end if end >= 0 else position + 1
        if length >= _POINTER:
            if position + 1 >= len(message):
                raise NotDns("a pointer runs past the end")
            target = (length & 0x3F) << 8 | message[position + 1]
            if target >= limit:
                raise NotDns("a pointer that does not lead back")
            end = end if end >= 0 else position + 2
            position = limit = target
            continue
        if length > _MAX_LABEL:
            raise NotDns("an unknown kind of label")
        label = message[position + 1 : position + 1 + length]
        total += length + 1
        if len(label) < length or total > _MAX_NAME:
            raise NotDns("a name too long")
        labels.append(label)
        position += 1 + length


def _look_up(question: _Question, names: Names) -> tuple[int, _Record | None]:
    name = question.name
    lower = name.lower()
    if question.class_ != _IN:
        return _NOERROR, None
    if lower.endswith(".local") or lower in {"", "local"}:
        return (_NXDOMAIN if lower else _NOERROR), None
    if question.type in {_A, _AAAA, _ANY}:
        return _address(name, _AAAA if question.type == _AAAA else _A, names)
    if question.type == _PTR:
        return _pointer(lower, names)
    record = None
    exchange = _MAIL + _wire(question.labels)
    if question.type == _MX and len(exchange) <= _MAX_NAME:
        record = _Record(_MX, _TTL, b"\x00\x0a" + exchange, f"10 mail.{name}")
    elif question.type == _TXT:
        record = _Record(_TXT, _TTL, b"\x0bv=spf1 -all", "v=spf1 -all")
    return _NOERROR, record


def _address(name: str, type_: int, names: Names) -> tuple[int, _Record | None]:
    if type_ == _AAAA and (name.lower() in INTERNAL or not names.ipv6):
        return _NOERROR, None
    address = names.address(name, 6 if type_ == _AAAA else 4)
    if not address:
        return _SERVFAIL, None
    packed = ipaddress.ip_address(address).packed
    ttl = 0 if name.lower().startswith(REBIND) else _TTL
    return _NOERROR, _Record(type_, ttl, packed, address)


def _pointer(name: str, names: Names) -> tuple[int, _Record | None]:
    """The name that an address was given to (RFC 1035 3.5, RFC 3596 2.5)."""
    digits = name.split(".")[-3::-1]
    address = ".".join(digits)
    if name.endswith(".ip6.arpa"):
        joined = "".join(digits)
        address = ":".join(joined[at : at + 4] for at in range(0, len(joined), 4))
    try:
        address = str(ipaddress.ip_address(address))
    except ValueError:
        return _NXDOMAIN, None
    found = names.name(address)
    if found == address or "\\" in found:
        return _NXDOMAIN, None
    wire = _wire(tuple(label.encode("ascii") for label in found.split(".")))
    return _NOERROR, _Record(_PTR, _TTL, wire, found)


def _reply(
    number: int,
    flags: int,
    code: int,
    questions: tuple[_Question, ...],
    record: _Record | None = None,
    *,
    extended: bool = False,
) -> bytes:
    # Opcode and "recursion desired" are the question's; recursion is available.
    kept = flags & 0x7900 | 0x8080 | code
    parts = [struct.pack("!6H", number, kept, len(questions), int(record is not None), 0, extended)]
    parts += [_wire(one.labels) + struct.pack("!HH", one.type, one.class_) for one in questions]
    if record is not None:
        # 0xC00C points to the question's name.
        head = struct.pack("!HHHIH", 0xC00C, record.type, _IN, record.ttl, len(record.data))
        parts.append(head + record.data)
    if extended:
        parts.append(b"\x00" + struct.pack("!HHIH", _OPT, 1232, 0, 0))
    return b"".join(parts)


def _has_opt(message: bytes, end: int) -> bool:
    """Whether the first record after the question is the mark of EDNS (RFC 6891)."""
    return message[end : end + 3] == b"\x00\x00\x29" and message[6:10] == bytes(4)


def _wire(labels: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def _printable(label: bytes) -> str:
    if label.isalnum():
        return label.decode("ascii")
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in label)
