"""Making secrets that look real: cores with a common tag, in the shapes that readers check."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
TAG_CHARS = 9
SIDE_CHARS = 8
NEAR_CHARS = 3
"""So many characters beside the tag tell the cores of a run apart."""

Random = Callable[[int], int]
"""``randbelow``: an integer in [0, n)."""

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Mint:
    """Makes cores that share a tag and differ beside it."""

    def __init__(self, randbelow: Random) -> None:
        self._randbelow = randbelow
        self.tag = self.random(ALPHABET, TAG_CHARS)
        self.cores: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self._near: set[tuple[str, str]] = set()

    @classmethod
    def of(
        cls, tag: str, cores: Mapping[str, str], values: Mapping[str, str], randbelow: Random
    ) -> Mint:
        """One that goes on where another one has stopped."""
        mint = cls(randbelow)
        mint.tag, mint.cores, mint.values = tag, dict(cores), dict(values)
        for core in cores.values():
            mint._near.add(("left", core[SIDE_CHARS - NEAR_CHARS : SIDE_CHARS]))
            right = SIDE_CHARS + TAG_CHARS
            mint._near.add(("right", core[right : right + NEAR_CHARS]))
        return mint

    def random(self, alphabet: str, count: int) -> str:
        """``count`` random characters."""
        return "".join(alphabet[self._randbelow(len(alphabet))] for _ in range(count))

    def secret(self, place: str, shape: Callable[[Mint, str], str]) -> str:
        """A new secret for a place, in the given shape."""
        left = self._side("left")
        right = self._side("right")
        core = left + self.tag + right
        self.cores[place] = core
        self.values[place] = shape(self, core)
        return self.values[place]

    def _side(self, side: str) -> str:
        while True:
            text = self.random(ALPHABET, SIDE_CHARS)
            near = text[-NEAR_CHARS:] if side == "left" else text[:NEAR_CHARS]
            if (side, near) not in self._near:
                self._near.add((side, near))
                return text


# --- shapes: what a reader of such a secret checks ------------------------------------------------


def bare(_: Mint, core: str) -> str:
    """The core alone."""
    return core


def plain(mint: Mint, core: str) -> str:
    """Forty letters and digits."""
    return core + mint.random(BASE62, 15)


def aws(mint: Mint, core: str) -> str:
    """Forty characters, as a secret access key."""
    return mint.random(BASE62, 8) + core + mint.random(BASE62, 7)


def github(mint: Mint, core: str) -> str:
    """``ghp_``, thirty characters, and their CRC-32 in six base-62 digits."""
    body = mint.random(BASE62, 5) + core
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return f"ghp_{body}{digits}"


def pypi(mint: Mint, core: str) -> str:
    """As an upload token: a macaroon whose text form begins with its fixed location."""
    return f"pypi-AgEIcHlwaS5vcmcC{mint.random(BASE62, 40)}{core}{mint.random(BASE62, 75)}"


def _openai(mint: Mint, core: str) -> str:
    first = core + mint.random(BASE62, 49)
    return f"sk-proj-{first}T3BlbkFJ{mint.random(BASE62, 74)}"


def anthropic(mint: Mint, core: str) -> str:
    """As a key of the Messages API."""
    return f"sk-ant-api03-{core}{mint.random(BASE62, 68)}AA"


def _google(mint: Mint, core: str) -> str:
    return f"AIza{core}{mint.random(BASE62, 10)}"


def _slack(mint: Mint, core: str) -> str:
    return f"xoxb-{mint.random('123456789', 12)}-{mint.random('123456789', 12)}-{core}"


def _database(_: Mint, core: str) -> str:
    return f"postgresql://service:{core}@db.internal.example:5432/service"


def _url(_: Mint, core: str) -> str:
    return f"https://service:{core}@api.internal.example/"


def _prefixed(prefix: str) -> Callable[[Mint, str], str]:
    return lambda mint, core: f"{prefix}{core}{mint.random(BASE62, 18)}"


def pem(mint: Mint, core: str) -> str:
    """An armoured key: a real header, then a body that decodes to nothing useful."""
    head = base64.b64encode(
        b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01"
    ).decode()
    body = (head.rstrip("=") + mint.random(BASE62, 700))[:665] + core
    body += mint.random(BASE62, -len(body) % 70)
    lines = [body[at : at + 70] for at in range(0, len(body), 70)]
    # The core must not be cut by a line break where a reader would look for it whole.
    return "\n".join(
        ["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----"]
    )


_SHAPES: tuple[tuple[re.Pattern[str], Callable[[Mint, str], str]], ...] = (
    (re.compile(r"(GITHUB|GH)_.*"), github),
    (re.compile(r".*OPENAI.*"), _openai),
    (re.compile(r".*(ANTHROPIC|CLAUDE).*"), anthropic),
    (re.compile(r".*(GOOGLE|GEMINI).*KEY"), _google),
    (re.compile(r"SLACK_.*"), _slack),
    (re.compile(r"(.*_)?(DATABASE|DB|POSTGRES|PG)_?(URL|URI|DSN)|.*CONNECTION_STRING"), _database),
    (re.compile(r".*_(URL|URI|ENDPOINT)"), _url),
    (re.compile(r"AWS_.*SECRET.*"), aws),
    (re.compile(r"NOTION_.*"), _prefixed("ntn_")),
    (re.compile(r"FIGMA_.*"), _prefixed("figd_")),
    (re.compile(r"STRIPE_.*"), _prefixed("sk_test_")),
    (re.compile(r"GITLAB_.*"), _prefixed("glpat-")),
    (re.compile(r"(HF|HUGGING_?FACE)_.*"), _prefixed("hf_")),
    (re.compile(r".*PRIVATE_KEY"), pem),
)


def shape_for(name: str) -> Callable[[Mint, str], str]:
    """The shape that a setting of this name suggests."""
    return next((shape for known, shape in _SHAPES if known.fullmatch(name.upper())), plain)
