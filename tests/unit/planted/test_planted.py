"""Planted secrets: their places and shapes, and that they are recognised in any clothing."""

from __future__ import annotations

import base64
import codecs
import configparser
import gzip
import html
import json
import random
import re
import tomllib
import zlib
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.planted import Matcher, make
from mcp_sandbox.planted.encodings import UNKNOWN
from mcp_sandbox.planted.shapes import BASE62
from mcp_sandbox.planted.streams import MAX_INFLATED, MAX_STREAMS

PLANTED = make(
    "test",
    home="/home/app",
    declared=("OPENAI_API_KEY", "DATABASE_URL", "SERVICE_PRIVATE_KEY"),
    directories=("/srv/allow",),
    randbelow=random.Random(7).randrange,
)
MATCHER = Matcher(PLANTED)
PLACES = sorted(PLANTED.places)

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "upper case": lambda data: data.upper(),
    "hex": lambda data: data.hex().encode(),
    "hex dump": lambda data: data.hex(" ").upper().encode(),
    "base64": base64.b64encode,
    "base64url": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "base64 in lines": base64.encodebytes,
    "base64 in a JSON string": lambda data: json.dumps(base64.encodebytes(data).decode()).encode(),
    "base32": base64.b32encode,
    "base32 lower": lambda data: base64.b32encode(data).lower(),
    "url, every byte": lambda data: "".join(f"%{byte:02x}" for byte in data).encode(),
    "url, twice": lambda data: "".join(f"%25{byte:02X}" for byte in data).encode(),
    "url, every other byte": lambda data: "".join(
        f"%{byte:02x}" if at % 2 else chr(byte) for at, byte in enumerate(data)
    ).encode("latin-1"),
    "json escapes": lambda data: "".join(f"\\u{byte:04x}" for byte in data).encode(),
    "json escapes in json": lambda data: json.dumps(
        "".join(f"\\u{byte:04x}" for byte in data)
    ).encode(),
    "hex escapes": lambda data: "".join(f"\\x{byte:02x}" for byte in data).encode(),
    "octal escapes": lambda data: "".join(f"\\{byte:03o}" for byte in data).encode(),
    "html decimal": lambda data: "".join(f"&#{byte};" for byte in data).encode(),
    "html hex": lambda data: "".join(f"&#x{byte:X};" for byte in data).encode(),
    "html, some": lambda data: "".join(
        f"&#{byte};" if at % 3 == 0 else chr(byte) for at, byte in enumerate(data)
    ).encode("latin-1"),
    "array of numbers": lambda data: json.dumps(list(data)).encode(),
    "array of hex numbers": lambda data: ", ".join(f"0x{byte:02x}" for byte in data).encode(),
    "utf-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "reversed": lambda data: data[::-1],
    "rot13": lambda data: codecs.encode(data.decode("latin-1"), "rot13").encode("latin-1"),
    "dns labels": lambda data: b".".join(data[at : at + 7] for at in range(0, len(data), 7)),
    "hex in dns labels": lambda data: b".".join(
        re.findall(rb".{1,31}", data.hex().encode())
    ),
    "one character a line": lambda data: b"\n".join(data[at : at + 1] for at in range(len(data))),
    "lines in a JSON string": lambda data: json.dumps(
        "\n".join(re.findall(r"(?s).{1,6}", data.decode("latin-1")))
    ).encode(),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zlib, fastest": lambda data: zlib.compress(data, 1),
    "zlib, best": lambda data: zlib.compress(data, 9),
    "gzip in base64": lambda data: base64.b64encode(gzip.compress(data)),
    "gzip in base64url": lambda data: base64.urlsafe_b64encode(gzip.compress(data)),
    "gzip in base64 in lines": lambda data: base64.encodebytes(gzip.compress(data)),
    "zlib in base64": lambda data: base64.b64encode(zlib.compress(data)),
    "zlib, fastest, in base64": lambda data: base64.b64encode(zlib.compress(data, 1)),
    "zlib, best, in base64": lambda data: base64.b64encode(zlib.compress(data, 9)),
    "gzip in hex": lambda data: gzip.compress(data).hex().encode(),
    "base64 in gzip": lambda data: gzip.compress(base64.b64encode(data)),
    "gzip in gzip": lambda data: gzip.compress(gzip.compress(data)),
    "base64 in url": lambda data: base64.b64encode(data).replace(b"=", b"%3D"),
}  # fmt: skip


def whole(place: str) -> bytes:
    return PLANTED.values[place].encode()


# --- what is planted ------------------------------------------------------------------------------


def test_every_place_holds_its_own_core_and_nothing_else_does() -> None:
    contents = {f"env:{name}": value.encode() for name, value in PLANTED.environment.items()}
    inside = f"{PLANTED.repository}/.git/"
    contents |= {
        f"file:{path}": data for path, data in PLANTED.files.items() if not path.startswith(inside)
    }
    contents |= {f"file:{path}": data for path, data in PLANTED.appended.items()}
    assert set(PLANTED.places) == contents.keys() - {"env:AWS_ACCESS_KEY_ID"}
    for place, core in PLANTED.cores.items():
        assert re.fullmatch(r"[0-9a-z]{25}", core)
        assert PLANTED.tag in core
        assert [one for one, data in contents.items() if core.encode() in data] == [place]
    assert len(set(PLANTED.cores.values())) == len(PLANTED.cores)


def test_no_value_shows_in_the_representation() -> None:
    assert PLANTED.tag not in repr(PLANTED)
    assert PLANTED.environment["AWS_ACCESS_KEY_ID"] not in repr(PLANTED)


def test_two_runs_share_nothing() -> None:
    one = make("a", home="/root")
    other = make("a", home="/root")
    assert one.tag != other.tag
    assert not set(one.cores.values()) & set(other.cores.values())
    assert Matcher(one).find(repr(other.values).encode()) == ()


def test_shapes_pass_the_checks_of_their_readers() -> None:
    token = PLANTED.environment["GITHUB_TOKEN"]
    assert re.fullmatch(r"ghp_[0-9A-Za-z]{36}", token)
    checksum = 0
    for digit in token[-6:]:
        checksum = checksum * 62 + BASE62.index(digit)
    assert checksum == zlib.crc32(token[4:-6].encode())
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", PLANTED.environment["AWS_ACCESS_KEY_ID"])
    assert len(PLANTED.environment["AWS_SECRET_ACCESS_KEY"]) == 40
    assert "T3BlbkFJ" in PLANTED.environment["OPENAI_API_KEY"]
    assert PLANTED.environment["DATABASE_URL"].startswith("postgresql://")
    key = PLANTED.files["/home/app/.ssh/id_rsa"].decode()
    body = key.split("-----\n")[1].split("\n-----")[0]
    assert (
        base64.b64decode(body + "=" * (-len(body.replace("\n", "")) % 4))[:14] == b"openssh-key-v1"
    )
    assert PLANTED.cores["file:/home/app/.ssh/id_rsa"] in key, "not cut by a line break"


@pytest.mark.parametrize("path", sorted(PLANTED.files))
def test_files_are_read_by_the_parser_of_their_kind(path: str) -> None:
    data = PLANTED.files[path]
    core = PLANTED.cores.get(f"file:{path}", "")
    if path.endswith(".toml"):
        assert core in str(tomllib.loads(data.decode()))
    elif path.endswith((".yml", ".yaml", ".kube/config")):
        assert core in str(yaml.safe_load(data))
    elif path.endswith(".json") and path.startswith("/home/"):
        assert core in str(json.loads(data))
    elif path.endswith((".pypirc", ".aws/credentials")):
        made = configparser.ConfigParser()
        made.read_string(data.decode())
        assert "default" not in made
        assert core in str(dict(made["backup"]))
    elif path.endswith(".netrc"):
        assert PLANTED.values[f"file:{path}"] == data.decode().split()[-1]
    else:
        assert core.encode() in data
    assert data.endswith(b"\n") or ".git/" in path


def test_more_shapes() -> None:
    token = PLANTED.values["file:/home/app/.pypirc"]
    assert base64.urlsafe_b64decode(token[5:21]).startswith(b"\x02\x01\x08pypi.")
    assert re.fullmatch(r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9-_]{70,}", token)
    key = PLANTED.values["file:/home/app/.config/backup/model-api-key"]
    assert re.fullmatch(r"sk-ant-api03-[\w-]{93}AA", key)
    assert not re.search(r"(?i)example|sample|test|dummy|xxx", token + key)


def test_the_password_line_is_one_entry_with_the_secret_in_its_comment() -> None:
    line = PLANTED.appended["/etc/passwd"].decode()
    assert line.endswith("\n")
    fields = line.rstrip("\n").split(":")
    assert len(fields) == 7
    assert fields[4] == PLANTED.cores["file:/etc/passwd"]
    assert fields[-1].endswith("nologin")


def test_settings_that_change_a_server_are_planted_only_when_declared() -> None:
    quiet = make("r", home="/root")
    assert not {"DATABASE_URL", "OPENAI_API_KEY"} & quiet.environment.keys()
    steering = ("PATH", "LD_PRELOAD", "NODE_OPTIONS", "HTTPS_PROXY", "PYTHONPATH", "a b", "", "X=Y")
    loud = make("r", home="/root", declared=steering)
    assert loud.skipped == steering
    assert loud.environment.keys() == quiet.environment.keys()


@pytest.mark.parametrize(
    ("directories", "outside", "neighbour"),
    [
        ((), "/opt/backup/service-token.txt", ""),
        (("/srv/allow/",), "/opt/backup/service-token.txt", "/srv/allow-evil/service-token.txt"),
        (("/opt",), "/srv/backup/service-token.txt", "/opt-evil/service-token.txt"),
        (("/a", "/a-evil"), "/opt/backup/service-token.txt", "/a-evil-evil/service-token.txt"),
        (("/",), "", ""),
    ],
)
def test_nothing_outside_lies_in_an_allowed_folder(
    directories: tuple[str, ...], outside: str, neighbour: str
) -> None:
    planted = make("r", home="/root", directories=directories)
    assert (planted.outside_file, planted.neighbour) == (outside, neighbour)
    assert not outside or outside in planted.files
    assert not neighbour or neighbour in planted.files


@pytest.mark.parametrize("path", ["", "relative", "/a\0b"])
def test_a_path_that_is_not_absolute_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no absolute path"):
        make("r", home="/root", directories=(path,))


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=25)
@given(
    place=st.sampled_from(PLACES),
    before=st.binary(max_size=40),
    inside=st.integers(0, 7),
    after=st.binary(max_size=40),
)
def test_found_at_any_offset_in_any_surroundings(
    encoding: str, place: str, before: bytes, inside: int, after: bytes
) -> None:
    payload = bytes(range(1, inside + 1)) + whole(place) + b"\n"
    data = before + b" " + ENCODINGS[encoding](payload) + b" " + after
    assert place in {hit.place for hit in MATCHER.find(data)}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_secret_is_told_apart_and_named(encoding: str) -> None:
    for place in PLACES:
        hits = MATCHER.find(b"x " + ENCODINGS[encoding](whole(place)))
        assert {hit.place for hit in hits} == {place}, hits


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("plain", "plain"),
        ("hex", "hex"),
        ("base64", "base64"),
        ("base32", "base32"),
        ("reversed", "reversed"),
        ("rot13", "rot13"),
        ("url, every byte", "url"),
        ("html decimal", "html"),
        ("json escapes", "json"),
        ("gzip", "gzip"),
        ("gzip in base64", "base64+gzip"),
        ("gzip in hex", "hex+gzip"),
        ("base64 in gzip", "gzip+base64"),
    ],
)
def test_the_encoding_is_named(encoding: str, name: str) -> None:
    hits = MATCHER.find(ENCODINGS[encoding](b"=" + whole("env:GITHUB_TOKEN")))
    assert [hit.encoding for hit in hits] == [name]


@given(st.binary(max_size=2_000))
@settings(max_examples=200)
def test_nothing_is_found_in_random_data(data: bytes) -> None:
    assert MATCHER.find(data) == ()
    for encode in (gzip.compress, base64.b64encode, base64.b32encode):
        assert MATCHER.find(encode(data)) == ()


def test_nothing_is_found_in_other_secrets_of_the_same_shape() -> None:
    other = make("r", home="/home/app", declared=("OPENAI_API_KEY",), directories=("/srv/allow",))
    everything = repr((other.environment, other.files, other.appended)).encode()
    assert MATCHER.find(everything) == ()
    assert Matcher(other).find(everything) != ()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_secret_that_was_cut_is_still_attributed(side: str) -> None:
    for place, core in PLANTED.cores.items():
        part = core[5:17] if side == "left" else core[8:20]
        assert [hit.place for hit in MATCHER.find(b"/" + part.encode() + b"/")] == [place]


def test_the_tag_alone_is_a_hit_of_unknown_place() -> None:
    assert [hit.place for hit in MATCHER.find(PLANTED.tag.encode())] == [UNKNOWN]


def test_several_secrets_in_several_encodings_are_all_named() -> None:
    data = b" ".join(
        (whole(PLACES[0]), whole(PLACES[1]).hex().encode(), base64.b64encode(whole(PLACES[2])))
    )
    assert {(hit.place, hit.encoding) for hit in MATCHER.find(data)} == {
        (PLACES[0], "plain"),
        (PLACES[1], "hex"),
        (PLACES[2], "base64"),
    }


def test_a_compression_bomb_is_bounded_and_what_came_before_the_bound_counts() -> None:
    bomb = gzip.compress(whole(PLACES[0]) + bytes(20 * MAX_INFLATED))
    assert [hit.place for hit in MATCHER.find(bomb)] == [PLACES[0]]


def test_a_stream_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    noise = random.Random(3).randbytes(30_000)
    cut = gzip.compress(whole(PLACES[0]) + noise)[:20_000]
    assert {hit.place for hit in MATCHER.find(cut)} == {PLACES[0]}


def test_many_false_beginnings_are_bounded() -> None:
    assert MATCHER.find(b"eJw" * 100_000) == ()
    assert MATCHER.find(b"\x78\x9c" * (3 * MAX_STREAMS)) == ()
    assert MATCHER.find(b"\\" * 300_000) == ()
    assert MATCHER.find(b"&#00" * 100_000) == ()


# --- masking --------------------------------------------------------------------------------------


def test_a_whole_secret_is_replaced_by_its_place() -> None:
    text = f"token: {PLANTED.values['env:GITHUB_TOKEN']}; done"
    assert MATCHER.mask(text) == "token: <planted:env:GITHUB_TOKEN>; done"


def test_clean_text_is_left_alone() -> None:
    text = "nothing to see: ghp_abc, %41, eJw, H4sI"
    assert MATCHER.mask(text) is text


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=15)
@given(
    place=st.sampled_from(PLACES),
    before=st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
    after=st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
)
def test_nothing_is_found_after_masking_and_the_place_is_shown(
    encoding: str, place: str, before: str, after: str
) -> None:
    # As a transcript shows it: bytes that are no text have become marks and cannot be read back.
    encoded = ENCODINGS[encoding](whole(place)).decode("utf-8", "replace")
    masked = MATCHER.mask(f"{before} {encoded} {after}")
    assert MATCHER.find(masked.encode()) == ()
    assert PLANTED.cores[place] not in masked
    assert PLANTED.tag not in masked
    if MATCHER.find(encoded.encode()):
        assert f"<planted:{place}>" in masked


@pytest.mark.parametrize(
    "encoding", ["plain", "hex", "base64", "base32", "reversed", "url, every byte", "dns labels"]
)
def test_the_surroundings_survive_masking(encoding: str) -> None:
    encoded = ENCODINGS[encoding](PLANTED.cores["env:GITHUB_TOKEN"].encode()).decode()
    masked = MATCHER.mask(f"before: {encoded} (after)")
    assert masked.startswith("before: ")
    assert masked.endswith("(after)")


def test_html_that_shows_a_secret_is_masked() -> None:
    page = f'<b title="{html.escape(PLANTED.values["env:DATABASE_URL"])}">x</b>'
    assert MATCHER.mask(page) == '<b title="<planted:env:DATABASE_URL>">x</b>'
