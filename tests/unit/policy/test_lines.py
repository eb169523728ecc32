"""Where keys stand, of any text; and the bounds that hold before TOML's own reader."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.policy.lines import MAX_DEPTH, MAX_DOTS, TooDeep, line_of, lines, statements

TEXT = '''\
# [gate] = "no"
title = "a # [x] = 1" # [y]

[gate]
fail-on = [
  "high", # [z]
  """
[not-a-table]
k = 1
""",
]
[tools."a.b" . 'c d'] # a header
"quoted = key" = { x = [1, 2], y.z = 3 }
plain.dotted."k 2" = \'\'\'
[[accept]]
\'\'\'
last = """ends in two quotes"""""

[[accept]]
rule = "x"
[[accept]]
  rule = "y"'''


def test_every_key_has_its_line():
    tomllib.loads(TEXT)
    found = lines(statements(TEXT))
    expected = {
        ("title",): 2,
        ("gate",): 4,
        ("gate", "fail-on"): 5,
        ("tools",): 12,
        ("tools", "a.b"): 12,
        ("tools", "a.b", "c d"): 12,
        ("tools", "a.b", "c d", "quoted = key"): 13,
        ("tools", "a.b", "c d", "plain"): 14,
        ("tools", "a.b", "c d", "plain", "dotted"): 14,
        ("tools", "a.b", "c d", "plain", "dotted", "k 2"): 14,
        ("tools", "a.b", "c d", "last"): 17,
        ("accept",): 19,
        ("accept", 0): 19,
        ("accept", 0, "rule"): 20,
        ("accept", 1): 21,
        ("accept", 1, "rule"): 22,
    }
    assert found == expected


def test_what_has_no_line_has_that_of_what_holds_it():
    found = lines(statements("[a]\nb = {c = 1}"))
    assert line_of(found, ("a", "b", "c")) == 2
    assert line_of(found, ("a", "x")) == 1
    assert line_of({}, ("x",)) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"x = 1\ny = {'[' * (MAX_DEPTH + 1)}", 2),
        (f"y = {'{a=[' * MAX_DEPTH}", 1),
        ("\n" + "a." * (MAX_DOTS + 1) + "b = 1", 2),
        ("[" + "a." * (MAX_DOTS + 1) + "b]", 1),
        ("x = {" + '"a".' * (MAX_DOTS + 1) + "b = 1}", 1),
        ("\n\nx = [" * (MAX_DEPTH + 1), 3),
    ],
)
def test_what_is_too_deep_is_refused_on_its_line(text, line):
    with pytest.raises(TooDeep) as refused:
        list(statements(text))
    if line != 3:
        assert refused.value.line == line


def test_the_bound_itself_is_let_through():
    deep = f"x = {'[' * MAX_DEPTH}{']' * MAX_DEPTH}\ny = '{'.' * 99}' # {'.' * 99}\n"
    tomllib.loads(deep)
    assert [one.text for one in statements(deep)] == ["x", "y"]


@given(st.text(alphabet="a.\"'\\\n#=[]{} 1", max_size=60))
def test_any_text_that_toml_reads_has_all_its_keys_found(text):
    try:
        document = tomllib.loads(text)
    except ValueError:
        document = None
    try:
        found = lines(statements(text)) if document is not None else list(statements(text))
    except TooDeep:
        return
    if document is None:
        return
    for key, value in document.items():
        assert (key,) in found
        for inner in value if isinstance(value, dict) else ():
            # Of an inline table only the key before it has a line.
            assert line_of(found, (key, inner)) >= found[key,]


@pytest.mark.parametrize("text", ['x = """' + 'a"" ' * 5_000, "x = '''" + "a'' " * 5_000, 'x = "a'])
def test_after_a_string_without_an_end_nothing_is_read(text):
    assert [one.text for one in statements(f"{text}\n[a]\nb = 1")] == ["x"]
