"""A slow tool leaves the others their turn, and a quick server never meets a bound."""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import ItemKind
from mcp_sandbox.probe.hostile import Input
from mcp_sandbox.probe.shares import LEAST, Shares


def made(target: str, family: str = "ssrf") -> Input:
    return Input(ItemKind.TOOLS, target, "", family, "", "", {}, "", "")


def called(seconds: float, targets: int = 10, inputs: int = 50, session: float = 600.0):
    """Hostile calls that each target gets when every call takes ``seconds``; and the time."""
    shares, now = Shares(0.0, session), 0.0
    got: dict[str, int] = {}
    for number in range(targets):
        for _ in range(inputs):
            item = made(f"t{number}")
            if not shares.why_not(item, targets, now):
                got[item.target] = got.get(item.target, 0) + 1
                now += seconds
    return got, now


def test_a_quick_server_gets_every_call():
    got, _ = called(0.1)
    assert set(got.values()) == {50}


def test_of_a_slow_server_every_target_gets_about_the_same():
    got, now = called(5.0)
    assert len(got) == 10
    assert set(got.values()) <= {10, 11, 12}
    assert now <= 600


def test_time_that_quick_targets_leave_goes_to_those_that_follow():
    shares = Shares(0.0, 100.0)
    assert not shares.why_not(made("quick"), 2, 0.0)
    assert not shares.why_not(made("slow"), 2, 1.0)
    assert not shares.why_not(made("slow"), 2, 89.0)
    assert "share" in shares.why_not(made("slow"), 2, 91.0)


def test_the_last_ones_get_a_little_even_when_the_time_is_over():
    shares = Shares(0.0, 10.0)
    assert not shares.why_not(made("late"), 5, 12.0)
    assert not shares.why_not(made("late"), 5, 12.0 + LEAST)
    assert shares.why_not(made("late"), 5, 12.1 + LEAST)


def test_ordinary_calls_are_repeated_only_while_there_is_time():
    shares, one, other = Shares(0.0, 100.0), made("a", "valid"), made("b", "valid")
    assert not shares.why_not(one, 2, 0.0)
    assert not shares.why_not(one, 2, 24.0)
    assert not shares.why_not(other, 2, 90.0)
    assert "second ordinary call" in shares.why_not(one, 2, 26.0)


def test_a_refused_call_is_repaired_only_while_there_is_time():
    shares = Shares(0.0, 100.0)
    again = replace(made("a", "valid"), payload="repaired-1")
    assert not shares.why_not(again, 2, 49.0)
    assert "a repair" in shares.why_not(again, 2, 51.0)
