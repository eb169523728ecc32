"""What a parameter is for, told from its name and its tool's."""

from __future__ import annotations

import pytest

from mcp_sandbox.probe.hints import Context, Hint, guess_text

FOLDERS = ("/srv/allow",)
PATHS = ("/srv/allow/notes.txt",)


@pytest.mark.parametrize("tool", ["search_files", "list_directory", "directory_tree", "find", "ls"])
def test_a_tool_that_looks_through_a_folder_is_given_one(tool):
    guess = guess_text("path", "", Context(tool, directories=FOLDERS, paths=PATHS))
    assert guess.value == "/srv/allow"
    assert guess.hints == (Hint.DIRECTORY, Hint.PATH)


@pytest.mark.parametrize(
    "tool", ["read_text", "write_file", "search_in_file", "listen", "research"]
)
def test_another_is_given_a_file(tool):
    guess = guess_text("path", "", Context(tool, directories=FOLDERS, paths=PATHS))
    assert guess.value == "/srv/allow/notes.txt"


def test_a_description_that_speaks_of_a_file_counts_for_more():
    context = Context("search", directories=FOLDERS, paths=PATHS)
    assert guess_text("path", "The file to search.", context).value == "/srv/allow/notes.txt"
