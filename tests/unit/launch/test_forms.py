"""Every form of file, as projects really write it: what it says of a start, and on which line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_sandbox.launch import commands
from mcp_sandbox.model import Transport
from unit.launch.folder import bad, found, needs, sample

ENV, FLAG, POSITIONAL = "environment", "flag", "positional"


def test_a_registry_file_of_2025_12(tmp_path: Path):
    read = found(tmp_path, {"server.json": sample("server-2025-12.json")})
    assert read.notes == []
    image, package = read.declared
    assert (image.path, image.line, image.form) == (
        "servers/weather/server.json",
        20,
        "server.json",
    )
    assert (image.names_image, image.ours, image.trusted) == (True, True, True)
    assert image.arguments == ("serve", "--cache", "<--cache>", "--units", "metric")
    assert (image.transport, image.port, image.url_path) == (Transport.HTTP, 8080, "/mcp")
    assert needs(image) == {
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "PORT": (ENV, "number", True, "8080"),
        "LOG_LEVEL": (ENV, "choice", False, "info"),
        "--cache": (FLAG, "folder", True, ""),
        "STATION": (ENV, "text", True, ""),
    }
    assert bad(image) == [("--network host", 32)]
    assert (package.names_image, package.arguments) == (False, ("serve",))
    assert needs(package) == {"WEATHER_API_KEY": (ENV, "secret", True, "")}


def test_a_registry_file_in_snake_case(tmp_path: Path):
    (one,) = found(tmp_path, {"server.json": sample("server-2025-07.json")}).declared
    assert (one.names_image, one.arguments, one.transport) == (True, ("</data>",), Transport.STDIO)
    assert needs(one) == {
        "/data": (POSITIONAL, "folder", True, ""),
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "WEATHER_REGION": (ENV, "choice", True, ""),
    }
    assert one.needed[1].choices == ("eu", "us")
    assert bad(one) == [("--mount type=bind,src={data},dst=/data", 12)]


def test_an_image_of_the_registry_without_a_version(tmp_path: Path):
    text = sample("server-2025-07.json").replace(b'      "version": "1.0.0",\n', b"")
    (one,) = found(tmp_path, {"server.json": text}).declared
    assert bad(one)[-1] == ("acme/weather", 8)


def test_a_whole_command_as_runtime_arguments(tmp_path: Path):
    """As some write it: ``run``, flags with the value ``true``, the image itself."""
    flags = [
        {"type": "positional", "value": "run"},
        {"type": "named", "name": "-i", "value": "true", "format": "boolean"},
        {"type": "named", "name": "--rm", "value": "true"},
        {"type": "named", "name": "--init", "value": "false"},
        {"type": "named", "name": "--privileged", "value": "true"},
        {"type": "named", "name": "--pid=host"},
        {"type": "positional", "value": "acme/weather"},
        {"type": "named", "name": "--network", "value": "host"},
    ]
    package = {"registryType": "oci", "identifier": "a/weather:1", "runtimeArguments": flags}
    (one,) = found(tmp_path, {"server.json": json.dumps({"packages": [package]})}).declared
    assert [option for option, _ in bad(one)] == ["--privileged", "--pid host"]


def test_a_registry_file_with_addresses_only_says_so(tmp_path: Path):
    remotes = {"name": "a/b", "remotes": [{"type": "sse", "url": "https://weather.example/sse"}]}
    read = found(tmp_path, {"server.json": json.dumps(remotes)})
    assert read.declared == []
    assert read.notes == [
        "servers/weather/server.json names addresses only: nothing was taken from it."
    ]


@pytest.mark.parametrize("name", ["manifest.json", "mcpb/manifest.json", "dxt/manifest.json"])
def test_a_bundles_manifest(name: str, tmp_path: Path):
    (one,) = found(tmp_path, {name: sample("manifest.json")}).declared
    assert (one.path, one.line, one.form) == (f"servers/weather/{name}", 9, "mcpb")
    assert (one.names_image, one.arguments) == (False, ("--data", "<folder>"))
    assert needs(one) == {
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "WEATHER_UNITS": (ENV, "text", False, "metric"),
        "WEATHER_MODE": (ENV, "text", True, "desktop"),
        "folder": (POSITIONAL, "folder", True, ""),
    }
    assert one.needed[0].source == f"servers/weather/{name}:21"


def test_the_manifest_of_a_web_page_is_none_of_ours(tmp_path: Path):
    page = {"name": "weather", "manifest_version": 3, "action": {"default_popup": "a.html"}}
    read = found(tmp_path, {"manifest.json": json.dumps(page)})
    assert (read.declared, read.notes) == ([], [])


def test_a_configuration_of_claude_desktop(tmp_path: Path):
    read = found(tmp_path, {"claude_desktop_config.json": sample("claude_desktop_config.json")})
    assert read.notes == []
    other, one = read.declared
    assert (other.name, other.ours, other.needed, other.dangers) == ("filesystem", False, (), ())
    assert (one.form, one.line, one.names_image) == ("claude", 7, True)
    assert one.arguments == ("--units", "metric")
    assert needs(one) == {
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "WEATHER_MODE": (ENV, "text", True, "desktop"),
    }
    assert bad(one) == [("--network host", 11)]


def test_what_only_a_mount_would_bring_is_needed(tmp_path: Path):
    words = [
        *("run", "-i", "-v", "${HOME}/.kube/config:/kubeconfig:ro", "-v", "notes:/srv/notes"),
        *("--mount", "type=bind,src=/Users/me,dst=/projects/", "-e", "KUBECONFIG=/kubeconfig"),
        *("-e", "WEATHER_UNITS=us", "acme/weather:1", "--notes=/srv/notes/a.md", "/projects/one"),
        "/projects-too",
    ]
    entry = {"command": "docker", "args": words}
    (one,) = found(tmp_path, {".mcp.json": json.dumps({"mcpServers": {"weather": entry}})}).declared
    assert one.arguments == ("--notes=</srv/notes/a.md>", "</projects/one>", "/projects-too")
    assert needs(one) == {
        "KUBECONFIG": (ENV, "file", True, ""),
        "WEATHER_UNITS": (ENV, "text", True, "us"),
        "/srv/notes/a.md": (POSITIONAL, "file", True, ""),
        "/projects/one": (POSITIONAL, "folder", True, ""),
    }


def test_a_configuration_of_cursor_with_comments(tmp_path: Path):
    (one,) = found(tmp_path, {".cursor/mcp.json": sample("cursor-mcp.json")}).declared
    assert (one.form, one.transport) == ("cursor", Transport.HTTP)
    assert (one.port, one.url_path, one.dangers) == (9321, "/weather/mcp", ())


def test_a_configuration_of_vs_code_with_inputs(tmp_path: Path):
    (one,) = found(tmp_path, {".vscode/mcp.json": sample("vscode-mcp.json")}).declared
    assert (one.form, one.transport, one.names_image) == ("vscode", Transport.STDIO, False)
    assert one.arguments == ("--units", "metric")
    assert needs(one) == {
        "WEATHER_THING": (ENV, "secret", True, ""),
        "WEATHER_STATION": (ENV, "text", True, ""),
        "WEATHER_MODE": (ENV, "text", True, "editor"),
    }


@pytest.mark.parametrize("name", ["mcp.json", ".mcp.json"])
def test_a_projects_own_configuration(name: str, tmp_path: Path):
    entry = {"command": "node", "args": ["dist/index.js", "/srv"], "env": {"WEATHER_KEY": ""}}
    read = found(tmp_path, {name: json.dumps({"mcpServers": {"weather": entry}})})
    (one,) = read.declared
    assert (one.ours, one.arguments) == (True, ("/srv",))
    assert needs(one) == {"WEATHER_KEY": (ENV, "secret", True, "")}


def test_a_file_of_smithery(tmp_path: Path):
    read = found(tmp_path, {"smithery.yaml": sample("smithery.yaml")})
    (one,) = read.declared
    assert (one.form, one.line, one.transport) == ("smithery", 2, Transport.STDIO)
    assert one.arguments is None
    assert needs(one) == {
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "WEATHER_UNITS": (ENV, "choice", False, "metric"),
    }
    assert read.notes == [
        "servers/weather/smithery.yaml:2 asks for account in a way that only its own client knows."
    ]


def test_a_file_of_smithery_for_a_container(tmp_path: Path):
    (one,) = found(tmp_path, {"smithery.yaml": sample("smithery-container.yaml")}).declared
    assert (one.transport, one.port, one.url_path) == (Transport.HTTP, 8081, "/mcp")
    assert needs(one) == {
        "WEATHER_MODE": (ENV, "text", True, "hosted"),
        "PORT": (ENV, "port", True, "8081"),
    }


def test_labels_of_an_image(tmp_path: Path):
    metadata = (
        "name: weather\nimage: acme/weather\ncommand: [--transport, sse]\n"
        "secrets:\n  - name: weather.key\n    env: WEATHER_API_KEY\n"
        "env:\n  - name: WEATHER_UNITS\n    value: us\n  - name: WEATHER_CITY\n"
    )
    labels = {"io.docker.server.metadata": metadata}
    (one,) = found(tmp_path, {}, **labels).declared
    assert (one.path, one.line, one.form) == ("label io.docker.server.metadata", 0, "labels")
    assert (one.names_image, one.arguments) == (True, None)
    assert needs(one) == {
        "WEATHER_API_KEY": (ENV, "secret", True, ""),
        "WEATHER_UNITS": (ENV, "text", True, "us"),
        "WEATHER_CITY": (ENV, "text", False, ""),
    }


def test_the_registrys_label_says_which_entry_is_meant(tmp_path: Path):
    servers = {
        name: {"command": "uvx", "args": [name], "env": {"UNITS": "us"}}
        for name in ("rain-mcp", "mcp-server-sun")
    }
    files = {".mcp.json": json.dumps({"mcpServers": servers})}
    label = {"io.modelcontextprotocol.server.name": "io.github.acme/sun"}
    ours = [one.name for one in found(tmp_path, files, **label).declared if one.ours]
    assert ours == ["mcp-server-sun"]


def test_a_readme_is_a_hint(tmp_path: Path):
    read = found(tmp_path, {"README.md": sample("README.md")})
    assert read.notes == []
    first, configured, redis = read.declared
    assert (first.form, first.line, first.trusted) == ("README", 6, False)
    assert (first.name, first.ours) == ("ghcr.io/acme/weather:latest", True)
    assert first.arguments == ("--units", "metric")
    assert first.needed == ()
    assert bad(first) == [("--network host", 7), ("-v ~/.ssh:/keys:ro", 8)]
    assert (configured.line, configured.trusted) == (18, False)
    assert bad(configured) == [("--privileged", 20)]
    assert (redis.ours, redis.port, redis.dangers) == (False, 6379, ())


def test_what_stands_for_a_value_in_a_readme_is_one_word(tmp_path: Path):
    text = "```sh\ndocker run -e KEY=<your api key> -i acme/weather:1 serve\n```\n"
    (one,) = found(tmp_path, {"README.md": text}).declared
    assert (one.name, one.arguments) == ("acme/weather:1", ("serve",))


def test_a_default_beside_a_reference_is_a_value(tmp_path: Path):
    env = {"WEATHER_UNITS": "${UNITS:-metric}", "WEATHER_CITY": "${CITY}"}
    entry = {"command": "node", "args": ["x.js"], "env": env}
    (one,) = found(tmp_path, {".mcp.json": json.dumps({"mcpServers": {"w": entry}})}).declared
    assert [each.value for each in one.needed] == ["metric", ""]


def test_the_order_is_that_of_precedence(tmp_path: Path):
    files = {
        "README.md": sample("README.md"),
        "smithery.yaml": sample("smithery.yaml"),
        ".vscode/mcp.json": sample("vscode-mcp.json"),
        "claude_desktop_config.json": sample("claude_desktop_config.json"),
        "manifest.json": sample("manifest.json"),
        "server.json": sample("server-2025-07.json"),
    }
    labels = {"io.docker.server.metadata": "env: [{name: WEATHER_CITY}]"}
    forms = [one.form for one in found(tmp_path, files, **labels).declared]
    assert list(dict.fromkeys(forms)) == [
        *("server.json", "mcpb", "claude", "vscode", "smithery", "labels", "README")
    ]


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ("package.json", '{"name": "@acme/sun-mcp"}'),
        ("pyproject.toml", '[project]\nname = "mcp_server_sun"\n'),
    ],
)
def test_a_package_is_known_by_its_manifest(manifest: str, text: str, tmp_path: Path):
    servers = {
        "a": {"command": "npx", "args": ["-y", "@acme/sun-mcp@1.0.0", "--fast"]},
        "b": {"command": "npx", "args": ["-y", "other@1.0.0"]},
    }
    files = {manifest: text, "mcp.json": json.dumps({"mcpServers": servers})}
    one, other = found(tmp_path, files).declared
    assert (one.ours, one.arguments, other.ours) == (True, ("--fast",), False)


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("node dist/index.js --a b", "--a b"),
        ("node --import tsx src/index.ts --a", "--a"),
        ("python -m weather --a", "--a"),
        ("python3.12 -u server.py x", "x"),
        ("uv --directory /srv run weather.py x", "x"),
        ("uv run python -m weather x", "x"),
        ("uvx --from weather-mcp weather x", "x"),
        ("npx -y @acme/weather@1.0.0 x", "x"),
        ("java -jar server.jar x", "x"),
        ("deno run -A main.ts x", "x"),
        ("./weather x y", "x y"),
        ("docker run -i acme/weather x", "x"),
        ("sudo docker run -i acme/weather x", "x"),
        ("node", ""),
    ],
)
def test_which_arguments_are_the_servers_own(line: str, own: str):
    assert " ".join(commands.command(line.split()).own) == own


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mcp-server-weather", "ghcr.io/acme/weather:1.0", True),
        ("@acme/weather-mcp@1.2.3", "weather_mcp==4", True),
        ("weather", "weather-admin", False),
        ("mcp-server", "mcp-server", True),
        ("mcp-server", "weather", False),
        ("", "weather", False),
    ],
)
def test_names_of_one_server(one: str, other: str, same: bool):
    assert commands.Names.of([one]).has(other) is same
    assert commands.Names.of([other]).has(one) is same
