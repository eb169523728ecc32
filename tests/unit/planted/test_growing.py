"""Secrets made while the run goes on: found and masked like those that were there before."""

from __future__ import annotations

import random

import pytest

from mcp_sandbox import planted


def run() -> tuple[planted.Planted, planted.Matcher, planted.Grower]:
    rng = random.Random(3)
    bait = planted.make("run", home="/home/server", randbelow=rng.randrange)
    matcher = planted.Matcher(bait)
    return bait, matcher, planted.Grower(bait, matcher, rng.randrange)


@pytest.mark.parametrize(
    ("name", "form", "start"),
    [
        ("ACME_API_KEY", "", ""),
        ("GITHUB_PERSONAL_ACCESS_TOKEN", "", "ghp_"),
        ("--openai-api-key", "", "sk-proj-"),
        ("REDIS_URL", "redis://:{}@cache.internal.example:6379/0", "redis://:"),
    ],
)
def test_a_later_secret_is_found_and_masked(name: str, form: str, start: str):
    _, matcher, grower = run()
    value = grower.secret(f"env:{name}", name, form)
    assert value.startswith(start)
    hits = matcher.find(f"sent {value} away".encode())
    assert [(hit.place, hit.encoding) for hit in hits] == [(f"env:{name}", "plain")]
    assert value not in matcher.mask(f"sent {value} away")
    assert f"env:{name}" in grower.planted.places


def test_the_earlier_ones_stay_known_and_the_tag_is_one():
    bait, matcher, grower = run()
    grower.secret("env:ACME_TOKEN", "ACME_TOKEN", "")
    old = bait.values["env:BACKUP_API_KEY"].encode()
    assert {hit.place for hit in matcher.find(old)} == {"env:BACKUP_API_KEY"}
    assert all(grower.planted.tag in core for core in grower.planted.cores.values())


def test_an_answer_that_was_kept_is_not_kept_over_new_knowledge():
    _, matcher, grower = run()
    text = b"nothing yet"
    assert matcher.find(text) == ()
    value = grower.secret("env:A_KEY", "A_KEY", "")
    assert matcher.find(value.encode())


def test_a_second_secret_of_a_place_leaves_the_first_findable():
    _, matcher, grower = run()
    first = grower.secret("env:A_URL", "A_URL", "one://{}@host")
    second = grower.secret("env:A_URL", "A_URL", "two://{}@host")
    assert {hit.place for hit in matcher.find(second.encode())} == {"env:A_URL"}
    assert matcher.find(first.encode())
    assert matcher.find(matcher.mask(first).encode()) == ()
