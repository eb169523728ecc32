"""Our line fingerprints are those of GitHub's upload step."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.report.rolling_hash import BASE, END, MODULUS, WINDOW, line_hashes

GREETINGS = (
    "e9496ae3ebfced30:1 fb7c023a8b9ccb3f:1 ce8ba1a563dcdaca:1 e20e36e16fcb0cc8:1"
    " b3edc88f2938467e:1 c8e28b0b4002a3a0:1 c129715d7a2bc9a3:1"
)


@pytest.mark.parametrize(
    ("text", "hashes"),
    [
        ("", "c129715d7a2bc9a3:1"),
        (
            " a\nb\n  \t\tc\n d",
            "271789c17abda88f:1 54703d4cd895b18:1 180aee12dab6264:1 a23a3dc5e078b07b:1",
        ),
        (
            " hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End",
            "8b7cf3e952e7aeb2:1 b1ae1287ec4718d9:1 bff680108adb0fcc:1 c6805c5e1288b612:1"
            " b86d3392aea1be30:1 e6ceba753e1a442:1",
        ),
        (" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End\n", GREETINGS),
        (" hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", GREETINGS),
        (" hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n", GREETINGS),
        (" hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", GREETINGS),
        (
            "Lorem ipsum dolor sit amet.\n" * 10,
            "a7f2ff13bc495cf2:1 a7f2ff13bc495cf2:2 a7f2ff13bc495cf2:3 a7f2ff13bc495cf2:4"
            " a7f2ff13bc495cf2:5 a7f2ff13bc495cf2:6 a7f2ff1481e87703:1 a9cf91f7bbf1862b:1"
            " 55ec222b86bcae53:1 cc97dc7b1d7d8f7b:1 c129715d7a2bc9a3:1",
        ),
    ],
)
def test_published_values(text: str, hashes: str):
    """Input and output of the tests of the public implementation."""
    assert line_hashes(text.encode()) == hashes.split()


def by_definition(text: str) -> list[str]:
    """The scheme, written down line by line: slow, and nothing shared with the module."""
    lines = text.split("\n")
    seen: Counter[int] = Counter()
    hashes = []
    for number in range(len(lines)):
        rest = "\n".join(lines[number:]).replace(" ", "").replace("\t", "")
        raw = rest.encode("utf-16-be")
        units = [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]
        window = [*units, END, *[0] * WINDOW][:WINDOW]
        value = 0
        for unit in window:
            value = (value * BASE + unit) % MODULUS
        seen[value] += 1
        hashes.append(f"{value:x}:{seen[value]}")
    return hashes


LINE = st.text(st.sampled_from(" \tab;é日\U0001f600"), max_size=40)


@given(st.lists(st.one_of(LINE, st.sampled_from(["", "same", " same"])), max_size=12))
def test_every_line_by_the_definition(lines: list[str]):
    text = "\n".join(lines)
    assert line_hashes(text.encode()) == by_definition(text)
    assert line_hashes(text.replace("\n", "\r\n").encode()) == by_definition(text)


def test_bytes_that_are_no_text_are_hashed_too():
    assert len(line_hashes(b"\xff\xfe\n\x80\n")) == 3
