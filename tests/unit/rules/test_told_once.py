"""What a tool does whatever it is asked is told once, and not of each parameter too."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import Act, Profile
from mcp_sandbox.rules import evaluate
from support.observed import call, called, did

KEYS, JOBS = "/home/app/.ssh/authorized_keys", "/etc/cron.d/notes"


def told(*places: tuple[str, int], rule: str = "persistence-attempt") -> list[tuple[str, str]]:
    """(subject, place) of the findings when files were written by calls of these numbers.

    The first call is an ordinary one, the second and third are hostile.
    """
    made = called(
        call(),
        call("path-traversal", "../../x"),
        call("command-injection", "; x"),
        container={"kernel": tuple(did(Act.WRITE, path, number) for path, number in places)},
    )
    found = [one for one in evaluate(made, Profile.DEFAULT) if one.rule == rule]
    return [(one.subject, next(p for p in (KEYS, JOBS) if p in one.message)) for one in found]


@pytest.mark.parametrize("hostile", [[], [2], [2, 3], [2, 2, 3]])
def test_what_an_ordinary_call_does_is_told_of_the_tool_alone(hostile: list[int]):
    assert told((KEYS, 1), *((KEYS, number) for number in hostile)) == [("tools/find", KEYS)]


def test_what_only_hostile_input_does_is_told_of_its_parameter():
    assert told((KEYS, 2), (KEYS, 3)) == [("tools/find#/name", KEYS)]


def test_another_place_is_another_finding():
    assert sorted(told((KEYS, 1), (KEYS, 2), (JOBS, 2))) == [
        ("tools/find", KEYS),
        ("tools/find#/name", JOBS),
    ]
