"""What a stranger writes stays text, whatever output prints it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mcp_sandbox.report import escape
from support import runner
from unit.report_samples import HOSTILE

TRICKY = st.sampled_from(
    [
        *"`|\\[]{}()<>&#*_~!@:/.$-+=\"' \t\n\r\x0b\x1b\x9b\x85\u2028\u202e\u200b\u2066\u00a0\ufeff",
        *("\U000e0041", "\ud800", "http://a.b", "<b>", "</code>", "<!--", "```", "\n\n", "\\|"),
        *("##[", "##[error]", "::", "::error::", "%0A"),
    ]
)
TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.one_of(TRICKY, st.characters()), max_size=60).map("".join),
)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline_tokens(markdown: str) -> list[list]:
    return [token.children or [] for token in PARSER.parse(markdown) if token.type == "inline"]


def read_back(children: list) -> str:
    """The text that code spans show; the tags, which are ours, are taken out."""
    return "".join(token.content for token in children if token.type != "html_inline")


def unbroken(shown: str) -> str:
    """With the mark of GitHub's old commands put together, which only a log needs broken."""
    return shown.replace(r"#\x23[", "##[")


@given(TEXT)
def test_terminal_text_is_printable(text: str):
    shown = escape.terminal(text)
    assert shown.isprintable()
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    kept = escape.terminal(text, lines=True)
    assert all(one.isprintable() or one == "\n" for one in kept)


@given(TEXT)
def test_terminal_text_is_escaped_once(text: str):
    shown = escape.terminal(text, limit=10**6)
    assert escape.terminal(shown, limit=10**6) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\x9bb", r"a\x9bb"),
        ("\u202egpj", r"\u202egpj"),
        ("a\u200bb\U000e0041", r"a\u200bb\U000e0041"),
        ("a\u00a0b\u3164", r"a\xa0b\u3164"),
        ("lone \ud800", r"lone \ud800"),
        ("a\r\nb\rc\td", r"a\r\nb\rc\td"),
        ("naïve 日本語 ⚠️", "naïve 日本語 ⚠️"),
        ("a ###[error]x", r"a ##\x23[error]x"),
    ],
)
def test_invisible_characters_are_written_out(text: str, shown: str):
    assert escape.terminal(text) == shown


SPACES = st.sampled_from([*" \t\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000", ""])
COMMANDS = st.sampled_from([*runner.COMMANDS, "ERROR", "Add-Mask"])
INJECTED = st.one_of(
    st.builds("{}::{} name=x::y".format, SPACES, COMMANDS),
    st.builds("{}::{}::y".format, SPACES, COMMANDS),
    st.builds("{}##[{} a=b;]y".format, TEXT, COMMANDS),
)
LINES = st.lists(st.one_of(INJECTED, TEXT, st.sampled_from(["\r", "\n", "\r\n"])), max_size=8).map(
    "".join
)


@given(LINES)
def test_no_line_of_a_log_is_a_command(text: str):
    line = escape.workflow_line(text)
    assert runner.lines(line) == [line] or not line
    assert runner.commands(line) == []
    assert escape.workflow_line(line, limit=10**6) == line


@given(LINES)
def test_what_a_command_of_ours_carries_stays_inside_it(text: str):
    written = f"::error title={escape.command_property(text)},line=3::{escape.command_data(text)}"
    (command,) = runner.commands(written)
    assert (command.name, command.properties["line"]) == ("error", "3")
    assert set(command.properties) <= {"title", "line"}
    assert unbroken(command.data) == unbroken(escape.terminal(text, lines=True))


@given(INJECTED)
def test_the_runner_would_take_it_for_a_command(text: str):
    """The port of its grammar sees what the escape is for."""
    # The runner looks at the first mark of a line only: what stands before ours may be another.
    assume("##[" not in text or (text.count("##[") == 1 and "::" not in text))
    assert runner.commands(text)


def test_plain_text_stays_as_it_is():
    assert escape.terminal("GET /a?b=c (100 %)") == "GET /a?b=c (100 %)"


@given(TEXT)
def test_markdown_stays_in_its_cell(text: str):
    cell = escape.markdown(text)
    source = f"| a | b |\n| --- | --- |\n| {cell} | end |\n"
    types = [token.type for token in PARSER.parse(source)]
    assert types.count("td_open") == 2
    assert types.count("tr_open") == 2
    inside = inline_tokens(source)[2]
    assert {(token.type, token.content) for token in inside if token.type != "code_inline"} <= {
        ("html_inline", "<code>"),
        ("html_inline", "</code>"),
        ("text", "|"),
    }


@given(TEXT)
def test_markdown_shows_the_text_and_nothing_else_happens(text: str):
    source = f"before {escape.markdown(text)} after"
    tokens = PARSER.parse(source)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {token.type for token in children} <= {"text", "code_inline", "html_inline"}
    tags = {token.content for token in children if token.type == "html_inline"}
    assert tags <= {"<code>", "</code>"}
    shown = escape.terminal(text, limit=escape.INLINE_LIMIT)
    assert unbroken(read_back(children)) == unbroken(f"before {shown} after")


@given(TEXT)
def test_a_fence_holds_everything(text: str):
    tokens = PARSER.parse(f"before\n\n{escape.fence(text)}\n\nafter\n")
    assert [token.type for token in tokens if token.level == 0] == [
        *("paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close")
    ]
    content = next(token.content for token in tokens if token.type == "fence")
    assert all(one.isprintable() or one in "\n\t" for one in content)


def test_a_fence_is_longer_than_any_run_inside():
    assert escape.fence("````").startswith("`````text\n")
    assert escape.fence("a") == "```text\na\n```"


def test_cut_text_says_so():
    assert escape.markdown("x" * 30, limit=10) == "`xxxxxxxxxx… (20 more characters)`"
    assert escape.terminal("x" * 30, limit=10) == "xxxxxxxxxx… (20 more characters)"
    assert "… (3 more lines)" in escape.fence("\n".join("abcde"), lines=2)
    both = escape.fence("a\n" * 30, limit=20, lines=5)
    assert "… (6 more lines and 40 more characters)" in both


def unescaped(message: str) -> str:
    """What a SARIF viewer shows: the escapes of 3.11.5 and 3.11.6 taken back."""
    return re.sub(r"\\([\\\[\]])|(\{\{)|(\}\})", lambda m: m[1] or m[0][0], message)


@given(TEXT)
def test_a_sarif_message_has_neither_link_nor_placeholder(text: str):
    message = escape.sarif_message(text)
    assert len(message) <= escape.SARIF_LIMIT
    bare = re.sub(r"\\[\\\[\]]|\{\{|\}\}", "", message)
    assert not set(bare) & set("\\[]{}")
    shown = unbroken(escape.terminal(text, limit=10**6))
    written = unbroken(unescaped(message))
    assert shown.startswith(written.removesuffix("…"))
    assert written == shown or written.endswith("…")


@pytest.mark.parametrize("limit", range(1, 12))
def test_a_sarif_message_never_ends_inside_an_escape(limit: int):
    message = escape.sarif_message("\\[{\\[{", limit=limit)
    assert len(message) <= limit
    assert not set(re.sub(r"\\[\\\[\]]|\{\{|\}\}", "", message)) & set("\\[]{}")


PART = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda part: part not in {".", ".."}
)


@given(st.lists(PART, min_size=1, max_size=4).map("/".join))
def test_a_uri_is_relative_and_names_the_same_path(path: str):
    uri = escape.uri(path)
    split = urlsplit(uri)
    assert (split.scheme, split.netloc, split.query, split.fragment) == ("", "", "", "")
    assert uri.isascii()
    assert uri.isprintable()
    if path.isascii() or not any(0xD800 <= ord(one) < 0xE000 for one in path):
        assert unquote_to_bytes(uri) == path.encode()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../b", "a//b", "./a", "a/"])
def test_a_path_that_leaves_the_checkout_has_no_uri(path: str):
    with pytest.raises(ValueError, match="not a path inside"):
        escape.uri(path)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a b/ü#?.py", "a%20b/%C3%BC%23%3F.py"),
        ("c:x/y", "c%3Ax/y"),
        ("a%2e", "a%252e"),
        ("raw\udcff", "raw%FF"),
    ],
)
def test_uri_examples(path: str, uri: str):
    assert escape.uri(path) == uri


@pytest.mark.parametrize("text", ["a|b", "[x](y)", "<b>", "![i](y)", "**b**", "<a@b.example>"])
def test_the_judge_bites(text: str):
    """The parser sees what the same text would do without the escape."""
    types = {token.type for token in inline_tokens(f"| a |\n| --- |\n| {text} |\n")[1]}
    cut = inline_tokens(f"| a |\n| --- |\n| {text} |\n")[1][0].content != text
    assert cut or types - {"text"}
