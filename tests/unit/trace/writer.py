"""Writes records the way strace 6.13 does, for any names: what the reader is checked against."""

GATE = (
    b'7     1700000000.000000 execve("/b/tracer/gate", ["gate"], 0x7ffc00000000 /* 1 var */) = 0\n'
    b'7     1700000000.000001 execve("/bin/server", ["server"], 0x7ffc00000000 /* 1 var */) = 0\n'
)
"""The start of a trace up to the server's own program, by process 7."""

_NAMED = {9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}


def escaped(name: bytes, also: bytes = b"") -> bytes:
    """The inside of a string; ``also`` are bytes that are written as numbers too."""
    out = bytearray()
    for at, byte in enumerate(name):
        if byte in also:
            out += b"\\%o" % byte if not name[at + 1 : at + 2].isdigit() else b"\\%03o" % byte
        elif byte in _NAMED:
            out += b"\\" + _NAMED[byte]
        elif 32 <= byte < 127:
            out.append(byte)
        else:
            out += b"\\%o" % byte if not name[at + 1 : at + 2].isdigit() else b"\\%03o" % byte
    return bytes(out)


def string(name: bytes) -> bytes:
    return b'"' + escaped(name) + b'"'


def descriptor(number: int, path: bytes) -> bytes:
    return b"%d<%s>" % (number, escaped(path, b"<>"))


def here(path: bytes) -> bytes:
    return b"AT_FDCWD<" + escaped(path, b"<>") + b">"


def line(record: bytes, pid: int = 7, at: int = 2) -> bytes:
    return b"%-5d 1700000000.%06d %s\n" % (pid, at, record)
