"""The error that ended a server, found among what it said before."""

from __future__ import annotations

import pytest

from mcp_sandbox.launch import fatal

NODE = """[WARN] no store: Error: Cannot find module 'keytar'
/app/dist/handler.js:27
            throw new Error('nobody');
                  ^

Error: nobody
    at new Handler (/app/dist/handler.js:27:19)"""
CHAIN = """Starting
Traceback (most recent call last):
ModuleNotFoundError: No module named 'acme'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
RuntimeError: no backend"""
TWO = """Traceback (most recent call last):
ModuleNotFoundError: No module named 'extras'
going on without
Traceback (most recent call last):
ConnectionError: refused"""


@pytest.mark.parametrize(
    ("text", "begins"),
    [(NODE, "/app/dist/handler.js:27"), (CHAIN, "Traceback"), (TWO, "Traceback")],
)
def test_the_last_error_is_found_with_what_caused_it(text: str, begins: str):
    lines = text.splitlines()
    found = fatal.error(lines)
    assert found[0].startswith(begins)
    assert found == lines[-len(found) :]
    assert len(found) == {NODE: 6, CHAIN: 7, TWO: 2}[text]


@pytest.mark.parametrize("text", ["", "listening at /app/x.js:27\nready", "/app/x.js:27\nready"])
def test_where_none_is_shown_there_is_none(text: str):
    assert fatal.error(text.splitlines()) == []


def test_warnings_go_with_what_belongs_to_them():
    lines = ["[WARN] failed:", "Require stack:", "- /a.js", "  at b", "Error: c", "  at d"]
    assert fatal.without_warnings(lines) == ["Error: c", "  at d"]
    assert fatal.without_warnings(lines[:4]) == lines[:4]
    assert fatal.without_warnings(["a.py:3: UserWarning: x", "y"]) == ["y"]
    assert fatal.without_warnings(["I am warned", "no warning"]) == ["I am warned"]
