"""What is said of a Dockerfile, and that nothing in one breaks the reader."""

from __future__ import annotations

import pytest

from mcp_sandbox.scanners import instructions
from mcp_sandbox.scanners.dockerfile import final_from_line


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"FROM a\n", 1),
        (b"\xef\xbb\xbf# c\n\nARG X=1\nFROM a AS b\nRUN x\nFROM b\nRUN y\n", 6),
        (b"FROM a\nRUN <<EOF\nFROM trap\nEOF\nRUN true\n", 1),
        (b"FROM a\nRUN echo \\\n# FROM trap\n\n  FROM trap\nUSER x\n", 1),
        (b"# escape=`\nFROM a\nRUN x `\nFROM trap\n", 2),
        (b"FROM a\nRUN x \\\\\nFROM b\n", 3),
        (b"FROM a\nONBUILD RUN x\n", 1),
        (b"FROM a\r\nRUN x \\\r\n  y\r\nFROM b\r\n", 4),
        (b"FROM a\nCOPY <<-'E F' <<G /x/\nFROM t\n\tE F\nFROM t\nG\nFROM z", 7),
        (b"", 0),
        (b"RUN x\nFROM a\n", 0),
        (b"FROM a\nRUN <<EOF\nnever ends\n", 0),
        (b"FROM a\nFORM b\n", 0),
        (b"\x00\xff" * 50, 0),
        (b"FROM a\n" + b"#" * 10 * 2**20, 0),
    ],
)
def test_the_final_stage_is_found_as_the_builder_finds_it(source: bytes, line: int):
    assert final_from_line(source) == line


def test_arguments_before_the_first_stage_fill_in_the_base():
    parsed = instructions.parse(
        b"ARG TAG=3.12\nARG BASE=python:${TAG}-slim\nFROM $BASE AS Build\n"
        b"FROM ${UNKNOWN}\nFROM ${UNKNOWN:-debian:trixie}\n"
    )
    bases = [(stage.base, stage.name) for stage in instructions.stages(parsed)]
    assert bases == [("python:3.12-slim", "build"), (None, ""), ("debian:trixie", "")]


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ('A=\'x y\' B="p \\" q" C=r\\ s', ["A=x y", 'B=p " q', "C=r s"]),
        ("'' x", ["", "x"]),
        ("'never ends", ["never ends"]),
        ('"never ends \\', ["never ends "]),
    ],
)
def test_words_are_those_of_the_builder(text: str, split: list[str]):
    assert instructions.words(text) == split
