"""Shell text is split into the commands that a shell would run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.scanners import shell


def flat(text: str) -> list[list[tuple[str, ...]]]:
    found = shell.everything(shell.parse(text))
    return [[command.words for command in pipeline.commands] for pipeline in found]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (
            "a b && c; d\ne & f || g",
            [[("a", "b")], [("c",)], [("d",)], [("e",)], [("f",)], [("g",)]],
        ),
        ("a | b 2>&1 | c > x", [[("a",), ("b",), ("c",)]]),
        ("echo 'a | b' \"c ; d\" e\\ f", [[("echo", "a | b", "c ; d", "e f")]]),
        ("a # b | c\nd x#y", [[("a",)], [("d", "x#y")]]),
        ('sh -c "$(curl x | tee y)"', [[("sh", "-c", "")], [("curl", "x"), ("tee", "y")]]),
        ("bash <(curl x) y", [[("bash", "y")], [("curl", "x")]]),
        ("(a; b) | c", [[(), ("c",)], [("a",)], [("b",)]]),
        ("x `y z` w", [[("x", "w")], [("y", "z")]]),
        ("sh -ec 'a && b'", [[("sh", "-ec", "a && b")], [("a",)], [("b",)]]),
        ("a '' \"\"", [[("a", "", "")]]),
        ("a 'never ends", [[("a", "never ends")]]),
        ("a $(b", [[("a",)], [("b",)]]),
        ("", []),
    ],
)
def test_commands(text, commands):
    assert flat(text) == commands


@pytest.mark.parametrize(
    ("words", "program", "arguments"),
    [
        ("A=1 B=2 /usr/bin/sudo -E env X=1 curl -f x", "curl", ("-f", "x")),
        ("if ! wget x", "wget", ("x",)),
        ("exec node a.js", "node", ("a.js",)),
        ("A=1", "", ()),
    ],
)
def test_the_program_behind_its_wrappers(words, program, arguments):
    assert shell.call(words.split()) == (program, arguments)


def test_where_output_goes():
    (first, second) = shell.parse("curl x > a.sh 2>/dev/null; wget y 2>&1")
    assert first.commands[0].target == "a.sh"
    assert second.commands[0].target == ""


@given(st.text(alphabet="ab |&;()$`'\"\\\n#<>{}=-", max_size=60))
def test_any_text_gives_commands(text):
    for pipeline in shell.everything(shell.parse(text)):
        assert pipeline.commands


@pytest.mark.parametrize(
    "piece", ["(", "$(", '"', "`", "\\", "'a", "1", " ", "|", "a;", '"$(', "#\n"]
)
def test_long_text_is_read_in_one_go(piece):
    assert len(shell.parse(piece * 200_000)) <= 200_000
