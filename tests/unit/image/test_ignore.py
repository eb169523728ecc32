"""Ignore patterns: samples, and the two matchers against each other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.image import ignore


def ignored(text: str, path: str) -> bool:
    matcher = ignore.Matcher(ignore.parse(text))
    verdicts: tuple[bool, ...] = ()
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        verdicts = matcher.verdicts("/".join(parts[:end]), verdicts)
    return matcher.ignored(verdicts)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("foo", "foo/bar", True),
        ("foo", "foobar", False),
        ("/foo/", "foo", True),
        ("./a/../foo", "foo", True),
        ("*.md", "x/a.md", False),
        ("**/*.md", "x/a.md", True),
        ("**/*.md", "a.md", True),
        ("*.md\n!README.md", "README.md", False),
        ("!README.md\n*.md", "README.md", True),
        ("**/node_modules\n!a/b/node_modules/x", "a/b/node_modules/y", True),
        ("**/node_modules\n!a/b/node_modules/x", "a/b/node_modules/x", False),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a?c", "a/c", False),
        ("a[^b]c", "abc", False),
        ("a[b-d]c", "acc", True),
        ("# foo", "# foo", False),
        (" foo ", "foo", True),
        ("\ufefffoo", "foo", True),
        ("\\!x", "!x", True),
        ("", "foo", False),
    ],
)
def test_samples(text: str, path: str, expected: bool):
    assert ignored(text, path) is expected


@pytest.mark.parametrize("text", ["!", "a[b", "[]a]", "a\\", "[b-a]", "[a-]"])
def test_what_docker_refuses_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        ignore.parse(text)


def test_bounds():
    with pytest.raises(ValueError, match="more than"):
        ignore.parse("a\n" * (ignore.MAX_PATTERNS + 1))
    with pytest.raises(ValueError, match="longer"):
        ignore.parse("a" * (ignore.MAX_PATTERN_LENGTH + 1))


def test_a_pattern_made_to_backtrack_is_answered():
    # As a regular expression this one would run for longer than the machine lasts.
    assert not ignored("**/a" * 200 + "/b", "a/" * 400 + "c")
    assert not ignored("*a" * 200 + "b", "a" * 400)


PIECES = st.sampled_from(["**", "*", "?", "/", "a", "b", "[ab]", "[^a]", "\\*", ".", "**/"])
PATHS = st.text("ab/.*", min_size=1, max_size=12)


@given(pattern=st.lists(PIECES, min_size=1, max_size=6).map("".join), path=PATHS)
def test_the_automaton_and_the_regular_expression_agree(pattern: str, path: str):
    tokens = ignore._tokens(pattern)
    regex = re.compile("".join(token.regex for token in tokens), re.DOTALL)
    assert ignore._Automaton(tokens).match(path) == (regex.fullmatch(path) is not None)
