"""The frontend that a Dockerfile asks for is taken out, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.image.dockerfile import neutralise

DIRECTIVE = re.compile(rb"^\s*(#|//)\s*syntax\s*=", re.IGNORECASE)


@pytest.mark.parametrize(
    "top",
    [
        b"# syntax=evil/x:1",
        b"#syntax = evil/x:1",
        b"#SYNTAX=evil/x:1",
        b"// syntax=evil/x:1",
        b"\xef\xbb\xbf# syntax=evil/x:1",
        b"#!/usr/bin/env x\n# syntax=evil/x:1",
        b"# escape=`\n# syntax=evil/x:1",
        b"\n\n# syntax=evil/x:1",
        b"#\rsyntax=evil/x:1",
        b"\xc2\xa0# syntax=evil/x:1",
        b"# syntax=evil/x:1\r",
    ],
)
def test_every_way_to_ask(top: bytes):
    source = top + b"\nFROM x\n# syntax=harmless here\n"
    result, asked = neutralise(source)
    assert asked == "evil/x:1"
    assert b"evil" not in result
    assert result.endswith(b"\nFROM x\n# syntax=harmless here\n")
    assert result.count(b"\n") == source.count(b"\n")


def test_other_directives_stay_in_force():
    result, _ = neutralise(b"# syntax=evil\n# escape=`\nFROM x\n")
    assert result == b"# escape=`\n# \nFROM x\n"


@pytest.mark.parametrize(
    "source", [b"FROM x\n", b"# a comment\nFROM x\n", b"# escape=`\nFROM x\n", b"", b"arg A\n"]
)
def test_what_asks_for_nothing_is_left_as_it_is(source: bytes):
    assert neutralise(source) == (source, "")


@pytest.mark.parametrize("source", [b'{"syntax": "evil"}', b"\x00\nFROM x", b"=\n"])
def test_what_is_no_dockerfile(source: bytes):
    with pytest.raises(ValueError, match="no instruction"):
        neutralise(source)


LINES = st.lists(
    st.sampled_from(
        [
            "# syntax=evil",
            "//syntax=evil",
            "# escape=\\",
            "#",
            "",
            "# text",
            "FROM x",
            "# a=b",
            "  ",
        ]
    ),
    max_size=6,
)


@given(lines=LINES)
def test_no_directive_is_left_in_the_block_that_is_read_for_them(lines: list[str]):
    result, _ = neutralise("\n".join(lines).encode())
    for line in result.split(b"\n"):
        if line.strip() and not line.strip().startswith((b"#", b"//")):
            break
        assert not DIRECTIVE.match(line)
