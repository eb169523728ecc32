"""A server that starts only as its files say, and what those files say that nobody should follow.

The server itself is the judge: it ends at once without the argument and the setting that a file
gives it, and also where anything was applied that must not be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import RiskClass
from support.front_door import QUICK, Done, Door
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

KEY = "ghp_" + "R7tY1wE6uI0oP4sD8gHc2VdA8fj3kLmQ9zX7"
START = f"""\
import os, runpy, sys
told = ["serve", "--cache", *sys.argv[3:4], "--units", "metric"], "fast"
wanted, mode = {{"told": told, "kept": (["kept"], "slow")}}[os.environ["STORY"]]
if sys.argv[1:] != wanted or (mode == "fast" and not os.path.isdir(sys.argv[3])):
    sys.exit(f"usage: serve --cache FOLDER --units UNITS, not {{sys.argv[1:]}}")
if os.environ.get("WEATHER_MODE") != mode:
    sys.exit("WEATHER_MODE is not set")
if os.path.exists("/host") or {KEY!r} in os.environ.values() or os.environ.get("LD_PRELOAD"):
    sys.exit("what must not be applied was applied")
runpy.run_path("/srv/servers/good/server.py", run_name="__main__")
"""
DOCKERFILE = WITH_PYTHON + (
    'COPY start.py /srv/start.py\nENTRYPOINT ["python3", "-B", "/srv/start.py"]\nUSER 65532\n'
)
SERVER_JSON = {
    "name": "io.github.acme/weather",
    "packages": [
        {
            "registryType": "oci",
            "identifier": "ghcr.io/acme/weather:1.0.0",
            "transport": {"type": "stdio"},
            "runtimeArguments": [{"type": "named", "name": "--network", "value": "host"}],
            "packageArguments": [
                {"type": "positional", "value": "serve"},
                {"type": "named", "name": "--cache", "isRequired": True, "format": "directory"},
                {"type": "named", "name": "--units", "default": "metric"},
            ],
            "environmentVariables": [{"name": "WEATHER_MODE", "value": "fast"}],
        }
    ],
}
DANGEROUS = {
    "mcpServers": {
        "weather": {
            "command": "docker",
            "args": ["run", "-i", "--privileged", "-v", "/:/host", "ghcr.io/acme/weather:1.0.0"],
            "env": {"GITHUB_TOKEN": KEY, "LD_PRELOAD": "/host/x.so"},
        }
    }
}
OTHER = {
    "mcpServers": {
        "weather": {
            "command": "npx",
            "args": ["-y", "weather@1.0.0", "serve", "--units", "metric"],
            "env": {"WEATHER_MODE": "fast"},
        }
    }
}
README = "# Weather\n\n```sh\ndocker run -i \\\n  --pid host acme/weather\n```\n"


def story(folder: Path, name: str, files: dict[str, str], more: str) -> Path:
    """A folder called ``weather`` with the server and these files."""
    there = folder / name / "weather"
    contents = {**CORPUS_FILES, "start.py": START, **files}
    contents["Dockerfile"] = f"{DOCKERFILE}ENV STORY={name}\n{more}"
    for path, text in contents.items():
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        (there / path).write_text(text)
    (there / ".git").mkdir()  # places are told from here on
    return there


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, scanner: Scanner) -> dict[str, Done]:
    """Two folders: in one the files are needed, in the other the image knows better."""
    folder = tmp_path_factory.mktemp("stories")
    told = {
        "server.json": json.dumps(SERVER_JSON, indent=1),
        ".mcp.json": json.dumps(DANGEROUS, indent=1),
        ".cursor/mcp.json": '{"mcpServers": ',
        "README.md": README,
    }
    kept = {"mcp.json": json.dumps(OTHER, indent=1)}
    stories = {
        "told": story(folder, "told", told, ""),
        "kept": story(folder, "kept", kept, 'ENV WEATHER_MODE=slow\nCMD ["kept"]\n'),
    }
    words = {name: (place,) for name, place in stories.items()}
    return scanner.scans(words, tmp_path_factory.mktemp("runs"), (*QUICK, "--max-calls", "40"))


def launch(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = done.report["observations"]["launch"]
    return found


def test_the_server_gets_the_argument_and_the_setting_of_its_file(scans: dict[str, Done]):
    done = scans["told"]
    assert done.report["coverage"]["tools"], done.err + shown(done.report)
    assert [one for one in launch(done)["applied"] if one.startswith("server.json")] == [
        "server.json:4: arguments serve --cache '<--cache>' --units metric",
        "server.json:36: WEATHER_MODE=fast",
    ]
    (made,) = [one for one in launch(done)["invented"] if one["name"] == "--cache"]
    assert made["source"] == "server.json:24"
    started = f"  started as python3 -B /srv/start.py serve --cache {made['shown']} --units metric"
    assert started in done.out.splitlines()
    assert "server.json:36: WEATHER_MODE=fast" in (done.folder / "summary.md").read_text()


def test_what_is_dangerous_is_a_finding_on_its_line(scans: dict[str, Done]):
    found = {
        (one["rule"], one["location"]["path"], one["location"]["line"]): one["class"]
        for one in scans["told"].report["findings"]
        if one["rule"].startswith("config-") and one["class"] != RiskClass.NOTE
    }
    assert found == {
        ("config-host-network", "server.json", 13): "medium",
        ("config-host-access", ".mcp.json", 8): "high",
        ("config-host-access", ".mcp.json", 9): "high",
        ("config-secret", ".mcp.json", 14): "high",
        ("config-host-access", "README.md", 5): "medium",
    }, shown(scans["told"].report)


def test_nothing_dangerous_is_applied(scans: dict[str, Done]):
    done = scans["told"]
    (line,) = [one for one in done.out.splitlines() if one.startswith("  not applied: ")]
    assert "--network host (server.json:13)" in line
    for session in done.report["observations"]["sessions"]:
        command = session["container"]["command_line"]
        assert command[command.index("--network") + 1] == "none"
        assert not {"--privileged", "-v", "--volume", "--pid"} & set(command)


def test_a_secret_of_a_file_is_nowhere_in_the_results(scans: dict[str, Done]):
    for path in scans["told"].folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in scans["told"].out + scans["told"].err


def test_what_cannot_be_read_is_told(scans: dict[str, Done]):
    (note,) = [one for one in launch(scans["told"])["notes"] if ".cursor" in one]
    assert note.startswith(".cursor/mcp.json:1 is no JSON")
    assert ".cursor/mcp.json:1 is no JSON" in (scans["told"].folder / "summary.md").read_text()


def test_an_image_that_says_how_it_starts_keeps_its_word(scans: dict[str, Done]):
    done = scans["kept"]
    assert done.report["coverage"]["tools"], done.err + shown(done.report)
    assert launch(done)["applied"] == []
    assert launch(done)["notes"] == [
        "mcp.json:3: the arguments serve --units metric are not applied: the image has a command "
        "of its own."
    ]


def test_the_report_is_judged_again_with_and_without_what_it_says_of_the_start(
    scans: dict[str, Done], tmp_path: Path, door: Door
):
    folder = scans["told"].folder
    assert door.run("judge", folder / "report.json").code == scans["told"].code
    old = scans["told"].report
    del old["observations"]["launch"]
    saved = tmp_path / "old.json"
    saved.write_text(json.dumps(old))
    again = door.run("judge", saved)
    assert again.code in {0, 1}, again.err
    assert "config-secret" not in again.out
