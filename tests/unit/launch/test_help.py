"""What usage and help texts ask for, and how a server is had to speak over its streams."""

from __future__ import annotations

import pytest

from mcp_sandbox.launch import help as usage
from mcp_sandbox.launch import needs
from mcp_sandbox.model.launch import SettingKind

ARGPARSE = """usage: server.py [-h] --api-key API_KEY [--port PORT] [--mode {a,b}] folder

options:
  -h, --help         show this help message and exit
  --api-key API_KEY
  --port PORT        where to listen"""
CLICK = """Usage: server [OPTIONS] PATH

Options:
  --api-key TEXT    The key.  [required]
  --token TEXT      The token.  [env var: ACME_TOKEN; required]
  --port INTEGER    [default: 8000]
  --help            Show this message and exit."""
COBRA = """An MCP server.

Usage:
  acme-mcp [command]

Available Commands:
  completion  Generate the autocompletion script
  help        Help about any command
  stdio       Start stdio server

Flags:
  -h, --help   help for acme-mcp"""
YARGS = """Options:
  --version    Show version number                             [boolean]
  --api-key    The key                               [string] [required]
  --transport  How to talk     [choices: "stdio", "sse"] [default: "sse"]"""
CLAP = """Usage: server --api-key <API_KEY> <PATH>

Arguments:
  <PATH>"""
BY_HAND = """Usage: mcp-server-files <allowed-directory> [additional-directories...]"""
PROSE = """usage: server.py MODE, one of: slow fast careful"""
GO = """Usage of /app/bin/slack-mcp-server:
  -e string
    \tComma-separated list of tools
  -transport string
    \tTransport type (stdio or sse) (default "stdio")"""
VARIABLES = """acme-mcp - a server

Environment variables:
  ACME_TOKEN   API token (required)
  ACME_REGION  region
Other:
  ACME_NOTHING  no variable"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ARGPARSE, ["--api-key", "folder"]),
        (CLICK, ["--api-key", "ACME_TOKEN", "PATH"]),
        (COBRA, []),
        (PROSE, ["MODE"]),
        (GO, []),
        ("Usage of this: server FOLDER", ["FOLDER"]),
        (YARGS, ["--api-key"]),
        (CLAP, ["--api-key", "PATH"]),
        (BY_HAND, ["allowed-directory"]),
        (VARIABLES, ["ACME_TOKEN"]),
        ("Usage: python server.py", []),
        ("usage: server [-h] {serve,check} ...", ["serve,check"]),
        ("Usage data is collected", []),
    ],
)
def test_what_is_required(text: str, names: list[str]):
    assert [one.name for one in usage.required(text) if one.required] == names


def test_options_are_found_by_the_words_of_their_names():
    told = usage.named(
        "Options:\n  -a, --app-id <appId>   the app\n  --appSecret <secret>\n  --app <name>\n"
        "  --id <id>",
        ["APP_ID", "APP_SECRET", "OTHER"],
    )
    assert [(one.name, one.kind) for one in told] == [
        ("--app-id", SettingKind.NAME),
        ("--appSecret", SettingKind.SECRET),
    ]


def test_a_variable_that_is_not_marked_may_be_left_out():
    told = {one.name: one.required for one in usage.required(VARIABLES)}
    assert told == {"ACME_TOKEN": True, "ACME_REGION": False}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (COBRA, ["stdio"]),
        (YARGS, ["--transport"]),
        ("  --stdio   speak over standard streams", ["--stdio"]),
        ("Flags:\n  start   when to start", []),
        ("Commands:\n  serve   Serve\n  mcp     Speak MCP", ["mcp"]),
        (ARGPARSE, []),
        ("  --transport {sse,http}", []),
    ],
)
def test_how_it_speaks_over_its_streams(text: str, names: list[str]):
    told = usage.over_stdio(text)
    assert [one.name for one in told] == names
    assert all(one.kind is SettingKind.CHOICE for one in told)


@pytest.mark.parametrize(
    "text",
    [
        "Usage: " + "[" * 300_000,
        "Usage: server " + "<a> " * 100_000,
        "Usage:\n" * 100_000,
        "usage: s " + "[a" * 200_000 + "]" * 200_000,
        "  --a" * 300_000,
        "Environment variables:\n" + "  A_B required\n" * 100_000,
        "--transport" + " " * 300_000 + "stdio",
    ],
)
def test_hostile_text_is_bounded(text: str):
    assert len(usage.required(text)) <= needs.MAX_NEEDED
    assert len(usage.over_stdio(text)) <= 1


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["--api-key", "from", "to"]),
        (("/srv",), ["--api-key", "to"]),
        (("--fast", "--level", "3", "/srv"), ["--api-key", "to"]),
        (("--level=3", "/srv", "/tmp"), ["--api-key"]),
        (("a", "b", "c"), ["--api-key"]),
    ],
)
def test_a_positional_argument_that_is_given_is_not_needed(
    words: tuple[str, ...], names: list[str]
):
    asked = usage.required("usage: copy [-h] --api-key API_KEY from to")
    assert [one.name for one in usage.beyond(asked, words)] == names
