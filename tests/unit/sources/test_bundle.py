"""Manifests of bundles, as an image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_sandbox.errors import SourceUnusable
from mcp_sandbox.sources import bundle
from mcp_sandbox.sources.names import parse
from mcp_sandbox.sources.recipe import Wishes

SOURCE = parse("mcpb:a.mcpb")
NONE = Wishes()


def manifest(kind: str = "node", command: str = "node", **changed: Any) -> bytes:
    server = {
        "type": kind,
        "entry_point": "server/index.js",
        "mcp_config": {"command": command, "args": ["${__dirname}/server/index.js"]},
    }
    top = changed.pop("top", {})
    server["mcp_config"] |= changed.pop("config", {})
    return json.dumps({"name": "a", "version": "1.0", "server": server | changed} | top).encode()


PROJECT = b"""
[project]
name = "a"
dependencies = ["mcp>=1,<2", "httpx"]
[project.scripts]
serve = "a.main:run"
"""


def read(data: bytes, project: bytes | None = None) -> bundle.Bundle:
    return bundle.read(SOURCE, data, project)


@pytest.mark.parametrize(
    ("data", "kind", "command", "arguments"),
    [
        (manifest(), "node", ("node", "/opt/bundle/server/index.js"), ()),
        (manifest(config={"args": ["--flag", "${__dirname}/x.js", "a", "b"]}),
         "node", ("node", "--flag", "/opt/bundle/x.js"), ("a", "b")),
        (manifest(config={"args": []}), "node", ("node", "/opt/bundle/server/index.js"), ()),
        (manifest(config={"args": ["server/index.js"]}),
         "node", ("node", "/opt/bundle/server/index.js"), ()),
        (manifest("python", "python3", config={"args": ["-m", "a.main", "x"]}),
         "python", ("/venv/bin/python", "-m", "a.main"), ("x",)),
        (manifest("binary", "${__dirname}/bin/x", config={"args": ["--stdio"]}),
         "binary", ("/opt/bundle/bin/x",), ("--stdio",)),
        (manifest("binary", "./bin/x", config={"args": []}), "binary", ("/opt/bundle/bin/x",), ()),
        (manifest(config={"platform_overrides": {"linux": {"args": ["${__dirname}/l.js"]},
                                                 "win32": {"command": "x.exe"}}}),
         "node", ("node", "/opt/bundle/l.js"), ()),
    ],
)  # fmt: skip
def test_the_command_is_as_the_manifest_says(
    data: bytes, kind: str, command: tuple[str, ...], arguments: tuple[str, ...]
):
    found = read(data)
    assert (found.kind, found.command, found.arguments) == (kind, command, arguments)
    assert found.requirements == ()


@pytest.mark.parametrize(
    ("words", "command", "arguments"),
    [
        (["run", "--directory", "${__dirname}", "src/main.py", "x"],
         ("/venv/bin/python", "/opt/bundle/src/main.py"), ("x",)),
        (["run", "-m", "a"], ("/venv/bin/python", "-m", "a"), ()),
        (["run", "serve", "x"],
         ("/venv/bin/python", "-c", "import sys; from a.main import run; sys.exit(run())"), ("x",)),
        (["run"], ("/venv/bin/python", "/opt/bundle/server/index.js"), ()),
    ],
)  # fmt: skip
def test_uv_is_done_without(words: list[str], command: tuple[str, ...], arguments: tuple[str, ...]):
    found = read(manifest("python", "uv", config={"args": words}), PROJECT)
    assert (found.kind, found.command, found.arguments) == ("uv", command, arguments)
    assert found.requirements == ("mcp>=1,<2", "httpx")
    asked = bundle.asking(found, NONE)
    assert asked is not None
    assert (asked["wanted.txt"], asked["main.txt"]) == (b"mcp>=1,<2\nhttpx\n", b"")


def test_what_a_user_is_asked_for_is_left_to_others_where_it_can_be():
    asked = {"top": {"user_config": {"dir": {"type": "directory"}, "n": {"default": 3}}}}
    here = "${__dirname}/x.js"
    found = read(manifest(config={"args": [here, "--dir", "${user_config.dir}"]}, **asked))
    assert (found.arguments, found.notes) == ((), ())
    words = [here, "${__dirname}/c", "${user_config.dir}", "-n=${user_config.n}"]
    found = read(manifest(config={"args": words}, **asked))
    assert found.arguments == ("/opt/bundle/c", "-n=3")
    assert found.notes == ("an argument that a user is asked for is left out: ${user_config.dir}",)


def test_variables_that_the_manifest_fixes_are_those_of_the_image():
    env = {
        "PYTHONPATH": "${__dirname}/lib",
        "KEY": "${user_config.key}",
        "N": 3,
        "ODD": 'a"b\\c$HOME',
        "BAD": None,
    }
    found = read(manifest("python", "python", config={"env": env}))
    assert found.environment == {
        "PYTHONPATH": "/opt/bundle/lib",
        "N": "3",
        "ODD": 'a"b\\c$HOME',
    }
    made = bundle.made(SOURCE, found, NONE, "0" * 64, None)
    lines = made.files["Dockerfile"].decode().splitlines()
    assert 'ENV ODD="a\\"b\\\\c\\$HOME"' in lines
    assert 'ENV PYTHONPATH="/opt/bundle/lib"' in lines


@pytest.mark.parametrize(
    ("name", "value"), [("A B", "x"), ("A=B", "x"), ("A", "x\nRUN y"), ("", "x")]
)
def test_a_variable_that_would_be_an_instruction_is_refused(name: str, value: str):
    found = read(manifest(config={"env": {name: value}}))
    with pytest.raises(SourceUnusable, match="cannot be set in an image"):
        bundle.made(SOURCE, found, NONE, "0" * 64, None)


def test_an_argument_stays_one_word_of_one_line():
    found = read(manifest(config={"args": ["${__dirname}/a\nRUN x", '"]\nUSER root', "\u2028"]}))
    dockerfile = bundle.made(SOURCE, found, NONE, "0" * 64, None).files["Dockerfile"].decode()
    assert "RUN x" not in dockerfile.splitlines()
    assert "USER root" not in dockerfile.splitlines()
    assert dockerfile.isascii()


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (manifest(), {"--from=node", "bundle"}),
        (manifest("python", "python"), {"--from=installed", "bundle"}),
        (manifest("binary", "${__dirname}/x"), {"bundle"}),
    ],
)
def test_the_image_has_what_its_kind_needs_and_nothing_else(data: bytes, parts: set[str]):
    made = bundle.made(SOURCE, read(data), NONE, "0" * 64, None)
    last = made.files["Dockerfile"].decode().rpartition("FROM base\n")[2]
    copies = [line.split() for line in last.splitlines() if line.startswith("COPY")]
    assert {word for words in copies for word in words} & {
        "--from=node", "--from=installed", "bundle"
    } == parts  # fmt: skip
    assert made.facts.lock == "0" * 64
    assert made.facts.resolved == "a 1.0"


@pytest.mark.parametrize(
    ("data", "project", "said"),
    [
        (None, None, "holds no manifest.json"),
        (b"[]", None, "it is no JSON object"),
        (b"[" * 100_000, None, "it is no JSON"),
        (b"{}", None, "none of node, python, uv, binary"),
        (manifest("ruby"), None, "none of node, python, uv, binary"),
        (manifest("node", "bash"), None, "starts 'bash', which the image does not have"),
        (manifest("node", "/usr/bin/env"), None, "which the image does not have"),
        (manifest(config={"args": "x"}), None, "cannot be read"),
        (manifest(config={"args": ["x"] * 201}), None, "cannot be read"),
        (manifest("uv", "uv"), b"[", "is no TOML"),
        (manifest("uv", "uv"), b"\xff", "is no TOML"),
        (manifest("uv", "uv"), b"[project]\ndependencies = 3", "cannot be read"),
        (manifest("uv", "uv"), b"[project]\ndependencies = ['-r x']", "which is no package"),
        (manifest("uv", "uv"), b'[project]\ndependencies = ["a\\n-r x"]', "which is no package"),
        (manifest("uv", "uv", entry_point="", config={"args": []}), None, "what uv is to run"),
    ],
)
def test_a_manifest_that_no_image_can_be_made_of_is_one_sentence(
    data: bytes | None, project: bytes | None, said: str
):
    with pytest.raises(SourceUnusable, match=said):
        bundle.read(SOURCE, data, project)


@pytest.mark.parametrize("wish", [Wishes(entry_point="x"), Wishes(constraints=("a<1",))])
def test_a_wish_that_a_bundle_cannot_be_granted_is_refused(wish: Wishes):
    with pytest.raises(SourceUnusable, match="goes with"):
        bundle.made(SOURCE, read(manifest()), wish, "", None)
