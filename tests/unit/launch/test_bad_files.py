"""Files that are built to hurt, or just wrong: one clear note each, never a fall, never silence."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.launch import declared, reading, tree
from mcp_sandbox.model.launch import LaunchReport
from unit.launch.folder import DATA, found, needs

OURS = ("server.json", "manifest.json", "mcp.json", ".mcp.json", ".vscode/mcp.json")
ALL = (*OURS, "claude_desktop_config.json", ".cursor/mcp.json", "smithery.yaml", "README.md")
PLACE = "servers/weather/"


@pytest.mark.parametrize("name", [*OURS, "smithery.yaml"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends too early"),
        (b'{"mcpServers": {', "ends too early"),
        (b'{"a": 1}\n{"b": 2}', "something follows its end"),
        (b'\n{"a": "\xff"}', ":2 is not UTF-8"),
        (b'{"a": "\x00"}', ":1 holds a NUL character"),
        (b"[" * 100_000, "nested deeper than 32 levels"),
        (b'{"a":' * 100_000, "nested deeper than 32 levels"),
        (b'{"a": ' + b"9" * 100_000 + b"x}", "no JSON"),
        (b'{"a": "\\x"}', "an escape that there is not"),
        (b"[" + b"1," * 200_000 + b"1]", "holds more than 100,000 values"),
        (b'"' + b"a" * tree.MAX_BYTES + b'"', "larger than 2048 KiB"),
        (b"{\n// why\n}", ":2 is no JSON: here stands a comment"),
    ],
    ids=lambda one: one[:12].decode("latin-1") if isinstance(one, bytes) else "",
)
def test_what_cannot_be_read_is_one_note(name: str, content: bytes, why: str, tmp_path: Path):
    if name == "smithery.yaml":
        content, why = _as_yaml(content)
    if content.startswith(b"{\n//") and name not in {"server.json", "manifest.json"}:
        content, why = b'{"mcpServers": {}', "ends too early"
    read = found(tmp_path, {name: content})
    assert read.declared == []
    (note,) = read.notes
    assert note.startswith(PLACE + name)
    assert why in note
    assert note.endswith("nothing was taken from it.")


def _as_yaml(content: bytes) -> tuple[bytes, str]:
    """The same mistakes, as far as YAML has them; else one of its own."""
    if len(content) > tree.MAX_YAML_BYTES:
        return content, "larger than 64 KiB"
    for mark, why in ((b"\xff", "is not UTF-8"), (b"\x00", "holds a NUL character")):
        if mark in content:
            return content, why
    return b"a: &x [1]\nb: *x\n", ":1 uses anchors, which are not followed"


@pytest.mark.parametrize("name", ALL)
def test_no_link_is_followed(name: str, tmp_path: Path):
    secret = tmp_path / "outside.json"
    secret.write_bytes((DATA / "claude_desktop_config.json").read_bytes())
    there = tmp_path / "weather" / name
    there.parent.mkdir(parents=True)
    there.symlink_to(secret)
    read = found(tmp_path, {})
    assert read.declared == []
    assert read.notes == [
        f"{PLACE}{name} is a link, which is not followed: nothing was taken from it."
    ]


def test_no_linked_folder_is_entered(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mcp.json").write_bytes((DATA / "vscode-mcp.json").read_bytes())
    (tmp_path / "weather").mkdir()
    (tmp_path / "weather" / ".vscode").symlink_to(outside)
    read = found(tmp_path, {})
    assert read.declared == []
    (note,) = read.notes
    assert "lies behind a link" in note


def test_a_pipe_is_not_opened(tmp_path: Path):
    (tmp_path / "weather").mkdir()
    os.mkfifo(tmp_path / "weather" / "server.json")
    assert "is no regular file" in found(tmp_path, {}).notes[0]


def test_a_folder_of_that_name_is_no_file(tmp_path: Path):
    (tmp_path / "weather" / "mcp.json").mkdir(parents=True)
    assert "is no regular file" in found(tmp_path, {}).notes[0]


def test_a_hundred_megabytes_are_not_read(tmp_path: Path):
    for name in ALL:
        path = tmp_path / "weather" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(100 * 2**20)
    read = found(tmp_path, {})
    assert read.declared == []
    assert len(read.notes) == len(ALL)
    assert all("is larger than" in note for note in read.notes)


def test_ten_thousand_servers(tmp_path: Path):
    servers = {f"s{n}": {"command": "node", "args": [f"{n}.js"]} for n in range(10_000)}
    read = found(tmp_path, {"mcp.json": json.dumps({"mcpServers": servers})})
    assert len(read.declared) <= declared.MAX_DECLARED
    assert read.notes == [f"{PLACE}mcp.json:1 names 10,000 servers; the first 50 were read."]


def test_ten_thousand_packages_variables_and_arguments(tmp_path: Path):
    package = {
        "registryType": "oci",
        "identifier": "acme/weather:1",
        "environmentVariables": [{"name": f"V_{n}", "isRequired": True} for n in range(10_000)],
        "packageArguments": [{"type": "positional", "value": "x"}] * 10_000,
    }
    read = found(tmp_path, {"server.json": json.dumps({"packages": [package]})})
    (one,) = read.declared
    assert len(one.needed) == len(one.arguments or ()) == reading.MAX_ITEMS
    assert [note.partition(" has ")[2] for note in read.notes] == [
        "'environmentVariables' of 10,000 items; 200 were read.",
        "'packageArguments' of 10,000 items; 200 were read.",
    ]
    many = found(tmp_path, {"server.json": json.dumps({"packages": [{}] * 10_000})})
    assert any("the first 20 were read" in note for note in many.notes)


def test_many_files_full_of_servers_are_cut_with_a_note(tmp_path: Path):
    servers = {f"s{n}": {"command": "docker", "args": ["run", f"i{n}"]} for n in range(50)}
    text = json.dumps({"mcpServers": servers})
    read = found(tmp_path, {"mcp.json": text, ".mcp.json": text})
    assert len(read.declared) == declared.MAX_DECLARED
    assert read.notes == ["36 more servers are declared than the 64 that were kept."]


def test_a_wrong_type_is_passed_over_and_told(tmp_path: Path):
    entry = {"command": "node", "args": "server.js", "env": {"A_KEY": ["x"], "MODE": "fast"}}
    read = found(tmp_path, {"mcp.json": json.dumps({"mcpServers": {"weather": entry}}, indent=1)})
    (one,) = read.declared
    assert needs(one)["MODE"] == ("environment", "text", True, "fast")
    assert read.notes == [
        f"{PLACE}mcp.json:5 has 'args' that is a text, not a list.",
        f"{PLACE}mcp.json:7 has a value of 'A_KEY' that is a list, not a text.",
    ]


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800", "x" * 5_000])
def test_what_no_container_can_be_given_is_not_passed_on(text: str, tmp_path: Path):
    content = '{"mcpServers": {"weather": {"command": "node", "env": {"MODE": "TEXT"}}}}'
    content = content.replace("TEXT", text)
    read = found(tmp_path, {"mcp.json": content})
    assert needs(read.declared[0]).get("MODE", ("", "", True, ""))[3] == ""
    assert len(read.notes) == 1


def test_a_variable_that_steers_the_loader_is_not_passed_on(tmp_path: Path):
    entry = {"command": "node", "env": {"LD_PRELOAD": "/tmp/x.so", "NODE_OPTIONS": "--require=x"}}
    read = found(tmp_path, {"mcp.json": json.dumps({"mcpServers": {"weather": entry}})})
    assert read.declared[0].needed == ()
    assert [note.partition(" sets ")[2] for note in read.notes] == [
        "LD_PRELOAD, which is not passed on.",
        "NODE_OPTIONS, which is not passed on.",
    ]


def test_labels_that_are_no_yaml(tmp_path: Path):
    for text in ("[" * 1_000, "a: *b", "\x01", "x" * 100_000, "secrets: 3", "- a\n- b"):
        read = found(tmp_path, {}, **{"io.docker.server.metadata": text})
        assert read.declared == []
        assert len(read.notes) == 1, text[:20]


def test_a_secret_is_told_nowhere(tmp_path: Path):
    key = "sk-ant-api03-" + "Zx8Kq2vPz91xLmA8fj3kLmQ9zX7vB2nR5tY1wE6uI0oP"
    words = [
        "run",
        "-e",
        f"A={key}",
        f"--env=B={key}",
        "acme/weather:1",
        "--key",
        key,
        f"--k={key}",
    ]
    entry = {
        "command": "docker",
        "args": words,
        "env": {"C_KEY": key},
        "headers": {"Authorization": f"Bearer {key}"},
    }
    package = {
        "registryType": "oci",
        "identifier": "acme/weather:1",
        "runtimeArguments": [{"type": "named", "name": "-e", "value": f"D={key}"}],
        "packageArguments": [{"type": "named", "name": "--key", "value": key}],
        "environmentVariables": [{"name": "E_KEY", "value": key}, {"name": "F", "default": key}],
    }
    asked = {"k": {"type": "string", "default": key}}
    bundle = {
        "manifest_version": "0.3",
        "user_config": asked,
        "server": {
            "mcp_config": {
                "command": "node",
                "args": ["${__dirname}/x.js", f"--key={key}"],
                "env": {"G_KEY": key, "H_KEY": "${user_config.k}"},
            }
        },
    }
    smithery = {
        "startCommand": {
            "configSchema": {"properties": {"k": {"default": key}}},
            "commandFunction": "env: { K_KEY: config.k }",
        },
        "env": {"L_KEY": key},
    }
    read = found(
        tmp_path,
        {
            "mcp.json": json.dumps({"mcpServers": {"weather": entry}}),
            "server.json": json.dumps({"packages": [package]}),
            "manifest.json": json.dumps(bundle),
            "smithery.yaml": json.dumps(smithery),
            "README.md": f"```sh\ndocker run -e A={key} acme/weather --key {key}\n```\n",
        },
        **{"io.docker.server.metadata": f"env: [{{name: M_KEY, value: {key}}}]"},
    )
    assert len(read.declared) == 6
    said = repr((read.declared, LaunchReport(tuple(read.declared)), read.notes))
    assert key not in said
    assert key[20:] not in said
    assert sum(one.kind.name == "SECRET" for each in read.declared for one in each.dangers) >= 12


def _anything(source: random.Random, depth: int = 0) -> Any:
    keys = (
        *("mcpServers", "servers", "weather", "command", "args", "env", "packages", "transport"),
        *("url", "server", "mcp_config", "user_config", "packageArguments", "variables", "name"),
        *("environmentVariables", "runtimeArguments", "startCommand", "configSchema", "value"),
        *("properties", "required", "type", "inputs", "id", "headers", "manifest_version"),
    )
    kind = source.randrange(8 if depth < 5 else 5)
    if kind < 2:
        return source.choice(
            ["", "docker", "run", "-v", "-e", "${x}", "{PORT}", "named", "a b", "oci"]
        )
    if kind < 5:
        return source.choice([None, True, 3, -1.5e300, "http://[", "http://localhost:99999/x"])
    if kind == 5:
        return [_anything(source, depth + 1) for _ in range(source.randrange(4))]
    return {source.choice(keys): _anything(source, depth + 1) for _ in range(source.randrange(7))}


def test_whatever_shape_a_file_has_it_is_read_without_a_fall(tmp_path: Path):
    source = random.Random(7)
    for _ in range(150):
        files = {name: json.dumps(_anything(source)) for name in ALL}
        read = found(tmp_path, files)
        assert len(read.notes) < 64


def test_json_is_read_as_the_standard_library_reads_it():
    source = random.Random(3)
    agreed = 0
    for _ in range(20_000):
        text = "".join(source.choice('{}[]:,"a 1\n') for _ in range(source.randrange(12)))
        try:
            expected, fits = json.loads(text), True
        except ValueError:
            expected, fits = None, False
        try:
            read, told = _plain(tree.read_json(text.encode())), True
        except tree.Unreadable:
            read, told = None, False
        assert (told, read) == (fits, expected), text
        agreed += fits
    assert agreed > 100


def _plain(node: tree.Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(value) for value in node.value]
    return int(node.value) if isinstance(node.value, tree.Number) else node.value


def test_dangers_are_bounded_with_a_note(tmp_path: Path):
    entry = {"command": "docker", "args": ["run", *["--privileged"] * 150, "acme/weather:1"]}
    servers = {"weather": entry, "other": entry}
    read = found(tmp_path, {"mcp.json": json.dumps({"mcpServers": servers})})
    assert sum(len(one.dangers) for one in read.declared) == declared.MAX_DANGERS
    assert read.notes == [f"{PLACE}mcp.json:1 has 300 dangerous parts; 64 are told."]


HARD = (
    "${",
    "{",
    "<",
    "$(",
    "`",
    "your ",
    "://a:",
    "--k=",
    "curl | sh ",
    "'",
    "\\",
    "a" * 50 + " ",
)


@pytest.mark.parametrize("piece", HARD)
def test_no_text_takes_long(piece: str, tmp_path: Path):
    """What is quadratic in two megabytes does not end within the limit of any test."""
    text = (piece * 4_096)[:4_096]
    entry = {"command": "docker", "args": ["run", "-v", text, "-e", f"A={text}", "x", text, text]}
    script = {"command": "sh", "args": ["-c", text], "env": {"A_KEY": text, "B": text}}
    servers = {f"s{n}": one for n in range(25) for one in (entry, script)}
    lines = "\n".join(["```sh", *[f"docker run -v {text} i"] * 100, "```"])
    manifest = {"manifest_version": 1, "server": {"mcp_config": {"command": text, "args": [text]}}}
    read = found(
        tmp_path,
        {
            "mcp.json": json.dumps({"mcpServers": servers}),
            "README.md": lines,
            "manifest.json": json.dumps(manifest),
            "smithery.yaml": json.dumps({"startCommand": {"commandFunction": text * 4}}),
        },
    )
    assert len(read.declared) >= 26
