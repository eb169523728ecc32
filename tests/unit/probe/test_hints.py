"""What a parameter is for, told from its name and its tool's, and a value that exists."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mcp_sandbox import samples
from mcp_sandbox.model import Era, Identity, ItemKind, Listing, Moment
from mcp_sandbox.planted import samples_in_scratch
from mcp_sandbox.probe.context import Context, Hint
from mcp_sandbox.probe.hints import guess_number, guess_text
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.probe.inputs import for_tool
from mcp_sandbox.probe.paths import common_kind
from mcp_sandbox.probe.plan import Order, Plan

FOLDERS = ("/srv/allow",)
PATHS = ("/srv/allow/notes.txt",)
ABSOLUTE = Context("read_file", absolute=True)
THERE = samples_in_scratch()


@pytest.mark.parametrize("tool", ["search_files", "list_directory", "directory_tree", "find", "ls"])
def test_a_tool_that_looks_through_a_folder_is_given_one(tool: str) -> None:
    guess = guess_text("path", "", Context(tool, directories=FOLDERS, paths=PATHS))
    assert guess.value == "/srv/allow"
    assert guess.hints == (Hint.DIRECTORY, Hint.PATH)


@pytest.mark.parametrize(
    "tool", ["read_text", "write_file", "search_in_file", "listen", "research"]
)
def test_another_is_given_a_file(tool: str) -> None:
    guess = guess_text("path", "", Context(tool, directories=FOLDERS, paths=PATHS))
    assert guess.value == "/srv/allow/notes.txt"


def test_a_description_that_speaks_of_a_file_counts_for_more() -> None:
    context = Context("search", directories=FOLDERS, paths=PATHS)
    assert guess_text("path", "The file to search.", context).value == "/srv/allow/notes.txt"


# --- kinds of files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "description", "tool", "about_tool", "ending"),
    [
        ("path", "Path to the .pdf file", "read", "", "pdf"),
        ("pdf_file_path", "", "read_pages", "", "pdf"),
        ("file_path", "The PDF to read.", "read", "", "pdf"),
        ("file_path", "", "read_pdf_pages", "", "pdf"),
        ("filepath", "Path to Excel file", "get", "", "xlsx"),
        ("filepath", "", "read_data_from_excel", "", "xlsx"),
        ("filepath", "", "create_chart", "Create a chart in a worksheet.", "xlsx"),
        ("filename", "", "add_paragraph", "Add a paragraph to a Word document.", "docx"),
        ("file_path", "e.g. report.docx", "convert", "", "docx"),
        ("image_path", "", "describe", "", "png"),
        ("path", "The picture file.", "describe", "", "png"),
        ("csv_file", "", "load", "", "csv"),
        ("path", "a file (.csv, .xlsx)", "load", "", "csv"),
        ("db_path", "", "open", "", "db"),
        ("database_path", "", "open", "", "db"),
        ("path", "Path of the SQLite file", "open", "", "db"),
        ("audio_file", "", "transcribe", "", "wav"),
        ("json_file", "", "load", "", "json"),
        ("path", "The YAML file", "load", "", "yaml"),
        ("archive_path", "", "unpack", "", "zip"),
        ("path", "The file to read.", "read_file", "", "txt"),
        ("path", "The text file, in a word.", "read_file", "", "txt"),
        ("path", "The file.", "read", "Reads PDF, Excel and CSV files.", "txt"),
        ("path", "The file of version 1.2, see foo.bar", "read", "", "txt"),
    ],
)  # fmt: skip
def test_a_file_is_of_the_kind_that_is_asked_for(
    name: str, description: str, tool: str, about_tool: str, ending: str
) -> None:
    context = Context(tool, about_tool, absolute=True)
    guess = guess_text(name, description, context)
    assert guess.value == f"/tmp/notes.{ending}"
    assert guess.value in THERE
    assert Hint.PATH in guess.hints


def test_code_is_named_where_no_program_finds_it_as_its_own() -> None:
    assert guess_text("python_file", "", Context("run")).value == "/tmp/notes.py"
    assert guess_text("json_file", "", Context("run")).value == "notes.json"


def test_a_file_lies_in_the_given_folder_whatever_its_kind() -> None:
    guess = guess_text("pdf_path", "", Context("read", directories=FOLDERS, paths=PATHS))
    assert guess.value == "/srv/allow/notes.pdf"


@pytest.mark.parametrize(
    "name", ["output_path", "output_file", "destination_path", "new_path", "target_file"]
)
def test_what_is_written_is_not_there_yet(name: str) -> None:
    guess = guess_text(name, "The file to write.", Context("convert_pdf"))
    assert str(guess.value).startswith("/tmp/new-notes.")
    assert guess.value not in THERE


@pytest.mark.parametrize(("name", "there"), [("source", True), ("destination", False)])
@pytest.mark.parametrize("tool", ["move_file", "copy_file", "rename_path"])
def test_a_file_is_moved_from_what_is_there_to_what_is_not(
    tool: str, name: str, there: bool
) -> None:
    assert (guess_text(name, "", Context(tool, absolute=True)).value in THERE) is there
    assert guess_text(name, "", Context("translate")).hints == (Hint.TEXT,), "of no file"


@pytest.mark.parametrize("tool", ["delete_file", "move_file", "trash_file", "encrypt"])
def test_what_is_taken_away_is_nothing_that_other_calls_need(tool: str) -> None:
    assert guess_text("path", "", Context(tool, absolute=True)).value == "/tmp/spare.txt"
    assert guess_text("path", "", ABSOLUTE).value == "/tmp/notes.txt"
    sheet = Context("delete_rows", kind="xlsx", absolute=True)
    assert guess_text("path", "", sheet).value == "/tmp/spare.xlsx"
    assert "/tmp/spare.xlsx" in THERE
    folder = guess_text("directory", "", Context("remove_directory", absolute=True))
    assert folder.value == "/tmp/spare"
    assert {"/tmp/spare.txt", "/tmp/spare/"} <= THERE.keys()


def test_a_folder_is_made_where_there_is_none() -> None:
    for tool in ("create_directory", "mkdir"):
        assert guess_text("directory", "", Context(tool)).value == "/tmp/new-folder"
    assert guess_text("directory", "", Context("create_file")).value == "/tmp"


def test_a_file_is_made_where_there_is_none() -> None:
    assert guess_text("path", "", Context("create_file")).value == "/tmp/new-notes.txt"
    assert guess_text("path", "", Context("create_sheet", kind="xlsx")).value == "notes.xlsx"
    image = base64.b64decode(str(guess_text("image_base64", "", Context("show")).value))
    assert image.startswith(b"\x89PNG")


def test_a_sort_direction_is_no_directory() -> None:
    assert guess_text("sort_dir", "Sort direction", Context("list")).value == "asc"
    assert guess_text("dir", "", Context("list")).value == "/tmp"


def test_a_file_uri_is_given_where_it_is_offered() -> None:
    told = Context("convert_to_markdown", "Convert a resource at an http:, https: or file: URI")
    guess = guess_text("uri", "", told)
    assert guess.value == "file:///tmp/notes.txt"
    assert str(guess.value).removeprefix("file://") in THERE
    assert guess.hints == (Hint.URL, Hint.PATH)
    plain = guess_text("uri", "The profile: a web page", Context("fetch"))
    assert plain.value == "http://example.com/"


# --- git ------------------------------------------------------------------------------------------

GIT = Context("git_status", "Shows the working tree status")


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("repo_path", ""),
        ("path", "Path to the Git repository."),
        ("repository", "Path of the repository"),
        ("working_directory", ""),
    ],
)
def test_a_repository_is_one(name: str, description: str) -> None:
    guess = guess_text(name, description, GIT)
    assert guess.value == "/tmp/repository"
    assert f"{guess.value}/.git/HEAD" in THERE
    assert guess.hints == (Hint.DIRECTORY, Hint.PATH)


def test_a_server_with_a_folder_of_its_own_is_given_that_as_the_repository() -> None:
    context = Context("git_status", directories=("/srv/repo",))
    assert guess_text("repo_path", "", context).value == "/srv/repo"
    shared = Context("git_status", directories=("/tmp",))
    assert guess_text("repo_path", "", shared).value == "/tmp/repository"


@pytest.mark.parametrize("tool", ["get_file_contents", "git_push_files"])
def test_a_repository_at_a_host_is_no_folder(tool: str) -> None:
    context = Context(tool, "Files of a GitHub repository, by git")
    assert guess_text("repo", "Path of the repository", context).value == "sample"
    assert guess_text("path", "The file in the repository", context).value == "notes.txt"


def test_a_diff_in_the_style_of_git_makes_no_git_tool() -> None:
    context = Context("edit_file", "Edits a text file. Returns a git-style diff.", absolute=True)
    assert guess_text("path", "", context).value == "/tmp/notes.txt"
    told = Context("summarise", "Sums up a Git repository.", absolute=True)
    assert guess_text("path", "", told).value == "/tmp/repository"


@pytest.mark.parametrize("name", ["files", "paths", "file_path"])
def test_files_of_a_repository_are_named_from_its_top(name: str) -> None:
    assert guess_text(name, "", Context("git_add")).value == "notes.txt"
    absolute = guess_text(name, "", Context("git_add", absolute=True)).value
    assert absolute == "/tmp/repository/notes.txt"
    assert absolute in THERE


@pytest.mark.parametrize(
    ("tool", "name", "value"),
    [
        ("git_diff", "target", "HEAD"),
        ("git_show", "revision", "HEAD"),
        ("git_show", "object", "HEAD"),
        ("git_diff", "start_commit", "HEAD~1"),
        ("git_checkout", "branch_name", "main"),
        ("git_create_branch", "branch_name", "sample"),
        ("git_create_branch", "base_branch", "main"),
        ("git_merge", "branch", "develop"),
        ("git_cherry_pick", "commits", "develop"),
        ("git_fetch", "remote", "origin"),
        ("git_describe", "tag", "v1.0.0"),
        ("git_clone", "url", "file:///tmp/repository.git"),
    ],
)
def test_revisions_are_there_and_new_branches_are_not(tool: str, name: str, value: str) -> None:
    assert guess_text(name, "", Context(tool)).value == value
    refs = {path.rpartition("/")[2] for path in THERE if "/refs/" in path}
    assert {samples.BRANCH, samples.OTHER_BRANCH, samples.TAG} <= refs
    assert "sample" not in refs


@pytest.mark.parametrize(
    ("name", "description", "value"),
    [
        ("target", "Reference of the element in the snapshot, or a unique selector.", "body"),
        ("endTarget", "Where to drop: a CSS selector.", "body"),
        ("target", "What to compare with.", "HEAD"),
        ("target", "The branch to merge into.", "HEAD"),
        ("element", "What the element is called, for a person.", "sample"),
    ],
)
def test_a_target_that_a_selector_names_is_part_of_a_page(
    name: str, description: str, value: str
) -> None:
    assert guess_text(name, description, Context("act")).value == value


def test_what_is_exported_is_not_there_yet() -> None:
    context = Context("export_csv", kind="xlsx", absolute=True)
    assert guess_text("csv_path", "", context).value == "/tmp/new-notes.csv"
    assert guess_text("path", "", context).value == "/tmp/notes.xlsx"
    assert guess_text("at", "", context).value == "A1"
    assert guess_text("at", "", Context("export")).value == "sample"


def test_a_clone_goes_where_nothing_is() -> None:
    assert guess_text("localPath", "", Context("git_clone")).value == "/tmp/new-folder"


# --- other values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "description", "value"),
    [
        ("ticker", "", "AAPL"),
        ("symbol", "The symbol, e.g. 'BTC'", "BTC"),
        ("topic", "for example `kernel`", "kernel"),
        ("since", "Accepts ISO 8601 (e.g., '2024-01-15T14:30:25')", "2024-01-15T14:30:25"),
        ("name", "Such a name (e.g. it's one, isn't it)", "sample"),
        ("url", "e.g. 'https://somewhere.example/x'", "http://example.com/"),
        ("command", "e.g. 'rm -rf /'", "echo hello"),
        ("path", "e.g. '/home/user/a.txt'", "notes.txt"),
        ("cron", "", "0 9 * * 1"),
        ("latitude", "", "52.52"),
        ("id", "The numeric ID of the item", "1"),
        ("id", "The ID of the item", "sample"),
        ("sheet_name", "", "Sheet1"),
        ("start_cell", "", "A1"),
        ("cell_range", "Cells of the worksheet", "A1:C3"),
        ("at", "The first cell, as A1", "A1"),
        ("at", "The first, as A1", "sample"),
        ("content_base64", "", "U2FtcGxlIHRleHQu"),
        ("data", "The file, base64", "U2FtcGxlIHRleHQu"),
        ("url", "A URL, or base64", "http://example.com/"),
        ("base", "", "HEAD"),
        ("old_string", "", "Sample text."),
        ("new_string", "", "sample"),
        ("repository", "As owner/repo", "sample/sample"),
    ],
)
def test_a_value_is_what_its_name_and_its_description_say(
    name: str, description: str, value: str
) -> None:
    assert guess_text(name, description, Context("do")).value == value


@pytest.mark.parametrize(
    ("tool", "beginning"),
    [
        ("read_query", "SELECT 1"),
        ("write_query", "INSERT INTO notes "),
        ("create_table", "CREATE TABLE IF NOT EXISTS notes "),
        ("query", "SELECT 1"),
    ],
)
def test_a_statement_is_of_the_kind_that_its_tool_runs(tool: str, beginning: str) -> None:
    context = Context(tool, "Runs SQL on the SQLite database")
    guess = guess_text("query", "", context)
    assert str(guess.value).startswith(beginning)
    assert guess.hints == (Hint.SQL, Hint.SEARCH)


@pytest.mark.parametrize(
    ("name", "number"),
    [("maxResults", 5), ("page_size", 5), ("page", 1), ("offset", 0), ("table_index", 0),
     ("start_row", 1), ("end_row", 2), ("endIndex", 2), ("end", 2), ("width", 100)],
)  # fmt: skip
def test_a_number_is_small_and_there(name: str, number: int) -> None:
    assert guess_number(name, Context()) == number


# --- the kind that a server is about --------------------------------------------------------------


def tools(*described: tuple[str, str]) -> list[Any]:
    return [{"name": name, "description": text} for name, text in described]


WORD = ("add_heading", "Adds a heading to a Word document.")
SHEET = ("read_cells", "Reads the cells of a worksheet.")
OTHER = ("add_table", "Adds a table.")


@pytest.mark.parametrize(
    ("listed", "kind"),
    [
        (tools(WORD, WORD, *[OTHER] * 18), "docx"),
        (tools(SHEET, SHEET), "xlsx"),
        (tools(("read_pdf", ""), ("merge_pdf", "")), "pdf"),
        (tools(WORD, *[OTHER] * 3), ""),
        (tools(WORD, WORD, *[OTHER] * 19), ""),
        (tools(WORD, WORD, SHEET), ""),
        (tools(*[("convert", "Converts a Word document to PDF.")] * 4), ""),
        (tools(OTHER, OTHER), ""),
        ([], ""),
        ([None, {"name": 1, "description": []}, "x"], ""),
    ],
)
def test_a_server_is_about_a_kind_that_most_of_its_tools_name(listed: list[Any], kind: str) -> None:
    assert common_kind(listed) == kind


def test_a_tool_of_such_a_server_is_given_that_kind_unless_it_says_another() -> None:
    context = Context("add_picture", kind="docx", absolute=True)
    assert guess_text("filename", "", context).value == "/tmp/notes.docx"
    assert guess_text("image_path", "", context).value == "/tmp/notes.png"
    assert guess_text("filename", "The PDF file", context).value == "/tmp/notes.pdf"


def test_the_calls_of_a_server_are_made_with_the_kind_that_it_is_about() -> None:
    schema = {"type": "object", "properties": {"filename": {"type": "string"}}}
    listed = [
        {**one, "inputSchema": {**schema, "required": ["filename"]}}
        for one in tools(WORD, WORD, OTHER)
    ]
    for number, one in enumerate(listed):
        one["name"] += str(number)
    plan = Plan("main", Era.HANDSHAKE, Identity("a", "1"), Targets(seed=1), hostile=False)
    order = Order(plan, [Listing(ItemKind.TOOLS, Moment.BEFORE, tuple(listed))])
    named = [turn.item.arguments["filename"] for turn in order if turn.item is not None]
    assert set(named) == {"notes.docx", "/tmp/notes.docx"}


@pytest.mark.parametrize(
    "schema",
    [
        {"const": "own"},
        {"enum": ["own", "other"]},
        {"examples": ["own"]},
        {"default": "own"},
    ],
)
def test_what_the_schema_offers_comes_before_every_guess(schema: dict[str, Any]) -> None:
    item = {
        "name": "read",
        "inputSchema": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "e.g. 'x'", **schema}},
            "required": ["path"],
        },
    }
    assert for_tool(item, Targets(seed=1)).valid[0].arguments == {"path": "own"}


def test_the_folder_that_a_server_runs_in_is_no_offer() -> None:
    item = {
        "name": "git_log",
        "inputSchema": {
            "type": "object",
            "properties": {"path": {"type": "string", "default": "."}},
        },
    }
    full = for_tool(item, Targets(seed=1)).valid[-1].arguments
    assert full == {"path": "/tmp/repository"}
