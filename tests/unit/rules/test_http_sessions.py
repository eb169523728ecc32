"""Which session ids can be guessed, by what can be told from five of them."""

from __future__ import annotations

import random
import uuid

import pytest

from mcp_sandbox.model import RiskClass
from mcp_sandbox.rules import evaluate
from support.http_samples import given

CHANCE = random.Random(7)
H, M = RiskClass.HIGH, RiskClass.MEDIUM
NODE = 0x02FC00000001


def hexadecimal(bits: int) -> str:
    return f"{CHANCE.getrandbits(bits):0{bits // 4}x}"


def clock(step: int) -> list[int]:
    return [1_795_287_917_260_737_095 + step * number for number in range(5)]


COUNTED = {
    "counter": [str(number) for number in range(98, 103)],
    "counter with others in between": ["s-3", "s-7", "s-8", "s-15", "s-20"],
    "hexadecimal counter": [f"{number:016x}" for number in range(250, 255)],
    "counter between fixed texts": [f"sess_{number}_eu" for number in range(5)],
    "milliseconds": [str(one // 10**6) for one in clock(64 * 10**6)],
    "nanoseconds": [f"session-{one}" for one in clock(31 * 10**6)],
    "uuid of version 1": [
        str(uuid.UUID(fields=(one & 0xFFFFFFFF, 0xE5DE, 0x11F1, 0xAA, 0x2B, NODE)))
        for one in range(2_000_000_000, 2_005_000_000, 1_000_000)
    ],
}
SHORT = {
    "24 random bits": [hexadecimal(24) for _ in range(5)],
    "56 random bits behind a name": [f"client-{hexadecimal(56)}" for _ in range(5)],
    "six random digits": [str(CHANCE.randrange(10**5, 10**6)) for _ in range(5)],
}
GOOD = {
    "128 random bits": [hexadecimal(128) for _ in range(5)],
    "uuid of version 4": [str(uuid.UUID(int=CHANCE.getrandbits(128), version=4)) for _ in range(5)],
    "random and in order": sorted(hexadecimal(128) for _ in range(5)),
    "clock and chance": [f"{one}-{hexadecimal(128)}" for one in clock(10**6)],
    "two only": ["1", "2"],
}


def classes(ids: list[str]) -> list[RiskClass]:
    return [one.class_ for one in evaluate(given(*ids)) if one.rule == "http-session-predictable"]


@pytest.mark.parametrize("ids", COUNTED.values(), ids=COUNTED)
def test_ids_that_count_up(ids: list[str]):
    assert classes(ids) == [H]


@pytest.mark.parametrize("ids", SHORT.values(), ids=SHORT)
def test_ids_that_are_short(ids: list[str]):
    assert classes(ids) == [M]


@pytest.mark.parametrize("ids", GOOD.values(), ids=GOOD)
def test_ids_that_nobody_guesses(ids: list[str]):
    assert classes(ids) == []


def test_the_server_chooses_its_ids_and_they_cost_nothing():
    for ids in (["9" * 1024 + str(one) for one in range(5)], ["", "a", "b"], ["\0", "é", "日"]):
        assert all(class_ in {H, M} for class_ in classes(ids))


def test_the_message_is_the_same_whatever_the_ids_are():
    messages = {
        one.message
        for ids in (SHORT["24 random bits"], SHORT["six random digits"])
        for one in evaluate(given(*ids))
        if one.rule == "http-session-predictable"
    }
    assert len(messages) == 1
