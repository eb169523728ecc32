"""What a server learns that asks its client for something, and where ordinary calls go then."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import Identity
from mcp_sandbox.probe.answers import ANSWERS, result
from mcp_sandbox.probe.hints import Context, Hint, guess_text


def test_the_roots_are_those_of_the_identity():
    identity = Identity("a host", "1.0", roots=("/srv/all owed", "/tmp"))
    assert result("roots/list", identity) == {
        "roots": [
            {"uri": "file:///srv/all%20owed", "name": "/srv/all owed"},
            {"uri": "file:///tmp", "name": "/tmp"},
        ]
    }


def test_other_answers_are_constant():
    for method in ANSWERS.keys() - {"roots/list"}:
        assert result(method, Identity("x", "1", roots=("/x",))) is ANSWERS[method].result


@pytest.mark.parametrize(
    ("name", "inside", "writable"),
    [
        ("path", "/srv/data/notes.txt", "/tmp/notes.txt"),
        ("directory", "/srv/data", "/tmp"),
        ("repo_path", "/srv/data", "/tmp"),
    ],
)
def test_one_ordinary_call_stays_in_the_given_folder_and_one_can_write(name, inside, writable):
    given = ("/srv/data",)
    assert guess_text(name, "", Context(directories=given)).value == inside
    assert guess_text(name, "", Context(directories=given, absolute=True)).value == writable


@pytest.mark.parametrize(
    ("name", "about", "value"),
    [
        ("branch_type", "Whether to list local ('local') or remote ('remote') branches.", "local"),
        ("output_format", 'Either "json" or "yaml".', "json"),
        ("sort", "`asc` or `desc`", "asc"),
        ("branch", "A branch such as 'trunk'.", "main"),
        ("kind", "The kind.", "sample"),
        ("type", "It's the user's own type.", "sample"),
    ],
)
def test_a_word_that_the_description_quotes_is_taken_for_a_choice(name, about, value):
    assert guess_text(name, about, Context()).value == value


def test_a_choice_still_takes_hostile_names():
    assert guess_text("format", "'json' or 'csv'", Context()).hints == (Hint.NAME,)
