"""The small parts under input generation: patterns, hints, URI templates."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.probe import uri_template
from mcp_sandbox.probe.hints import Context, Hint, guess_number, guess_text, words
from mcp_sandbox.probe.pattern import MAX_OUTPUT, example


@pytest.mark.parametrize(
    "pattern",
    [
        r"[^\w]", r"[^\s]", r"[\S]", "^abc$",
        "a|b", "^$|^x$", "[a-z]{3,5}", "[^a]", "[^a-zA-Z0-9]", r"\d+\.\d+", r"\w\s\W",
        "(a(b(c)))", "(?:x|y)+", "(?P<n>a)b", "(?<n>a)b", "a?b*c+", "a{0}b", "a{2,}?",
        r"\x41\u0042",
        r"[\d-]", "[-a]", "[]a]", r"\t\n", r"^v?\d+(\.\d+){2}$", r"\^\$\.", "[.]", "^[A-Z][a-z]+$",
    ],
)  # fmt: skip
def test_the_example_of_a_pattern_matches_it(pattern: str) -> None:
    made = example(pattern)
    assert made is not None
    assert re.search(pattern.replace("(?<n>", "(?P<n>"), made)


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?!a)b", r"(a)\1", "(", ")", "[", "[^\\s\\S]", "*a", "a{99999}", "\\",
                "a{x}", "(" * 100, "(((a{100}){100}){100})"]
)  # fmt: skip
def test_what_is_beyond_the_reader_is_said(pattern: str) -> None:
    assert example(pattern) is None


@given(st.text("abc()[]{}|^$.*+?\\d-,0123456789<>:=!P", max_size=60))
def test_any_pattern_ends_in_a_bounded_string_or_nothing(pattern: str) -> None:
    made = example(pattern)
    assert made is None or len(made) <= 2 * MAX_OUTPUT


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("filePath", ("file", "path")),
        ("repo_path", ("repo", "path")),
        ("HTTPServerURL", ("http", "server", "url")),
        ("top-k2", ("top", "k", "2")),
        ("", ()),
    ],
)
def test_names_are_read_as_words(name: str, parts: tuple[str, ...]) -> None:
    assert words(name) == parts


@pytest.mark.parametrize(
    ("name", "about", "hint"),
    [
        ("path", "", Hint.PATH),
        ("outputDir", "", Hint.DIRECTORY),
        ("webhookUrl", "", Hint.URL),
        ("shell_command", "", Hint.COMMAND),
        ("revision", "", Hint.ARGUMENT),
        ("statement", "", Hint.SQL),
        ("q", "", Hint.SEARCH),
        ("expression", "", Hint.CODE),
        ("fileKey", "", Hint.IDENTIFIER),
        ("value", "A file to open", Hint.PATH),
        ("value", "The URL of the page", Hint.URL),
        ("value", "Shell command to run", Hint.COMMAND),
        ("value", "", Hint.TEXT),
    ],
)
def test_hints_come_from_the_name_and_then_from_the_description(
    name: str, about: str, hint: Hint
) -> None:
    assert hint in guess_text(name, about, Context()).hints


@pytest.mark.parametrize("name", ["profile", "url_path", "pathological", "filetype", "prefix"])
def test_parts_of_words_are_no_paths(name: str) -> None:
    assert Hint.PATH not in guess_text(name, "", Context()).hints


def test_numbers_are_small() -> None:
    assert guess_number("limit", Context()) == 5
    assert {guess_number(name, Context(seed=3)) for name in "abcdefgh"} <= {1, 2, 3}


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("file:///{path}", "file:///a%2Fb"),
        ("file:///{+path}", "file:///a/b"),
        ("x://{path*}", "x://a%2Fb"),
        ("x://h{/path}{?q,r}", "x://h/a%2Fb?q=1&r=%20"),
        ("x://h{#q}{&r}", "x://h#1&r=%20"),
        ("x://{q:3}{.r}{;q}", "x://1.%20;q=1"),
        ("plain", "plain"),
    ],
)
def test_templates_are_expanded(template: str, uri: str) -> None:
    values = {"path": "a/b", "q": "1", "r": " "}
    assert uri_template.parse(template).expand(values) == uri


def test_a_raw_variable_is_put_in_as_it_is() -> None:
    parsed = uri_template.parse("x://{a}/{b}")
    assert parsed.expand({"a": "../é", "b": "/"}, raw="a") == "x://../é/%2F"
    assert parsed.variables == ("a", "b")


@pytest.mark.parametrize("template", ["{}", "{a b}", "{a,}", "{" + ",".join("abc" * 20) + "}"])
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="URI template"):
        uri_template.parse(template)
