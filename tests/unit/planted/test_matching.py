"""Searching what is large, what is split over names, and from several threads at once."""

from __future__ import annotations

import base64
import gzip
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.model import CanaryHit
from mcp_sandbox.planted import Matcher, make
from mcp_sandbox.planted.matcher import BLOCK, OVERLAP
from mcp_sandbox.planted.names import MAX_NAMES

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import recall

PLANTED = make(
    "test", home="/root", directories=("/srv/allow",), randbelow=random.Random(3).randrange
)
MATCHER = Matcher(PLANTED)
PLACE = "env:GITHUB_TOKEN"
SECRET = PLANTED.values[PLACE].encode()


def places(hits: Sequence[object]) -> set[object]:
    return {getattr(hit, "place", None) for hit in hits}


# --- the measure ----------------------------------------------------------------------------------


def test_every_way_out_in_every_encoding_is_recognised() -> None:
    bait = make("r", home="/root", declared=("OPENAI_API_KEY",), directories=("/srv/allow",))
    cells = recall.recall(bait)
    assert len({(cell.way, cell.encoding) for cell in cells}) == 64
    assert {(cell.way, cell.encoding): cell.missed for cell in cells if cell.missed} == {}


def test_ordinary_output_holds_no_secret_and_is_the_same_every_time() -> None:
    size = 4_000_000
    found = recall.false_matches(size)
    assert len(found) == 8
    assert {kind: quiet.hits for kind, quiet in found.items()} == dict.fromkeys(found, 0)
    assert sum(quiet.size for quiet in found.values()) == size
    first = [piece for _, piece in recall.ordinary(400_000)]
    assert first == [piece for _, piece in recall.ordinary(400_000)]


# --- in pieces ------------------------------------------------------------------------------------


def cut(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = next(sizes)
        yield data[at : at + size]
        at += size


@settings(max_examples=40)
@given(
    at=st.integers(-200, 200),
    blocks=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    form=st.sampled_from(
        [SECRET, SECRET.hex().encode(), base64.b64encode(SECRET),
         base64.b64encode(gzip.compress(SECRET)), "".join(f"%{b:02x}" for b in SECRET).encode()]
    ),
)  # fmt: skip
def test_a_secret_across_a_cut_is_found(at: int, blocks: int, seed: int, form: bytes) -> None:
    rng = random.Random(seed)
    step = BLOCK - OVERLAP
    before = max(0, OVERLAP + blocks * step + at)
    data = b"abc /d\n" * (before // 7) + b" " + form + b"\n" + b"x y\n" * 1_000
    sizes = iter(lambda: rng.choice((1_000, 65_536, 400_000)), None)
    assert places(MATCHER.find_in(cut(data, sizes))) == {PLACE}


def test_pieces_of_every_size_give_the_same() -> None:
    data = b"-" * 5_000 + SECRET + b"-" * 5_000 + SECRET.hex().encode()
    whole = MATCHER.find(data)
    assert {hit.encoding for hit in whole} == {"plain", "hex"}
    for size in (1, 7, 1_000, 10**6):
        assert MATCHER.find_in(cut(data, iter(lambda size=size: size, None))) == whole
    assert MATCHER.find_in(()) == MATCHER.find_in((b"", b"")) == ()


def test_a_secret_at_the_very_end_is_found_once_the_last_block_is_full() -> None:
    data = b"." * (BLOCK - len(SECRET)) + SECRET
    assert places(MATCHER.find_in((data,))) == {PLACE}
    assert places(MATCHER.find_in((data[:-5], data[-5:]))) == {PLACE}


def test_escapes_of_different_kinds_far_apart_are_all_undone() -> None:
    far = b" " * 50_000
    forms = (
        "".join(f"%{byte:02x}" for byte in SECRET).encode(),
        "".join(f"&#{byte};" for byte in SECRET).encode(),
        "".join(f"\\u{byte:04x}" for byte in SECRET).encode(),
        ", ".join(f"0x{byte:02x}" for byte in SECRET).encode(),
    )
    for form in forms:
        for other in forms:
            noise = other[:4]
            data = noise + far + form + far + noise
            assert PLACE in places(MATCHER.find(data)), (form[:6], other[:6])


def test_one_escape_in_a_secret_is_enough() -> None:
    at = SECRET.find(PLANTED.tag.encode()) + 4
    for escape in (f"%{SECRET[at]:02x}", f"&#{SECRET[at]};", f"\\u{SECRET[at]:04x}"):
        data = b"x" * 3_000 + b" " + SECRET[:at] + escape.encode() + SECRET[at + 1 :] + b" " * 3_000
        assert places(MATCHER.find(data)) == {PLACE}, escape


@pytest.mark.parametrize("beside", [b"0x4f", b"%41", b"&#65;", rb"\u0041", rb"\x41"])
def test_what_is_escaped_beside_a_secret_is_no_encoding_of_it(beside: bytes) -> None:
    hits = MATCHER.find(b"x " + beside + b" " + SECRET + b" " + beside)
    assert [(hit.place, hit.encoding) for hit in hits] == [(PLACE, "plain")]


# --- names ----------------------------------------------------------------------------------------


def asked(text: str, size: int, form: str) -> list[str]:
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return [form.format(number=number, part=part) for number, part in enumerate(parts)]


@pytest.mark.parametrize(
    "form",
    [
        "{part}.collect.example", "{number}.{part}.collect.example", "{part}.{number}.c.example",
        "{number:03}-{part}.x.collect.example", "s1.{number}.{part}.s9.collect.example",
        "c{number}-{part}.collect.example.", "{part}.ab12.deep.zone.collect.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [4, 11, 30, 63])
@pytest.mark.parametrize("encode", ["plain", "hex", "base32", "gzip"])
def test_what_is_split_over_questions_is_put_together(form: str, size: int, encode: str) -> None:
    text = {
        "plain": SECRET.decode(),
        "hex": SECRET.hex(),
        "base32": base64.b32encode(SECRET).decode().rstrip("="),
        "gzip": base64.urlsafe_b64encode(gzip.compress(SECRET)).decode().rstrip("="),
    }[encode]
    names = [name for name in asked(text, size, form) for _ in range(2)]
    mixed = [one for name in names for one in (name, "updates.other.example")]
    assert places(MATCHER.find_in_names(mixed)) >= {PLACE}


def test_numbered_questions_may_come_in_any_order() -> None:
    names = asked(SECRET.hex(), 10, "{number}.{part}.collect.example")
    random.Random(1).shuffle(names)
    assert places(MATCHER.find_in_names(names)) == {PLACE}


def test_a_single_name_is_enough() -> None:
    name = f"{SECRET.decode()[:30]}.collect.example"
    assert places(MATCHER.find_in_names([name, "a.b", "", ".", "localhost"])) == {PLACE}


def test_many_names_are_bounded_and_ordinary_ones_are_quiet() -> None:
    ordinary = ("registry.example", "api.service.example", "1.2.3.4.in-addr.example", "a" * 5_000)
    assert MATCHER.find_in_names(ordinary) == ()
    many = (f"{number}.x.example" for number in range(10 * MAX_NAMES))
    assert MATCHER.find_in_names(many) == ()


# --- threads --------------------------------------------------------------------------------------


def test_threads_that_search_at_once_get_their_own_answers() -> None:
    lines = [b"clean %d" % number for number in range(4)]
    lines += [value.encode() for value in list(PLANTED.values.values())[:4]]
    truth = [Matcher(PLANTED).find(line) for line in lines]
    wrong: list[bytes] = []
    ready = threading.Barrier(4)

    def search(seed: int) -> None:
        rng = random.Random(seed)
        ready.wait()
        for _ in range(4_000):
            at = rng.randrange(len(lines))
            if MATCHER.find(lines[at]) != truth[at]:
                wrong.append(lines[at])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=search, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_an_answer_that_another_thread_replaces_meanwhile_is_not_mixed_up() -> None:
    clean = b"clean"
    answers = [(SECRET, MATCHER.find(SECRET)), (clean, ())]

    class Raced(Matcher):
        """Each read of what was kept finds the other answer."""

        reads = 0

        @property
        def _last(self) -> tuple[bytes, tuple[CanaryHit, ...]]:
            self.reads += 1
            return answers[self.reads % 2]

        @_last.setter
        def _last(self, value: object) -> None:
            pass

    raced = Raced(PLANTED)
    for _ in range(3):
        assert raced.find(clean) == ()
        assert places(raced.find(SECRET)) == {PLACE}
        assert raced.find(b"other") == ()
