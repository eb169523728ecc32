"""Servers that are packages, bundles and repositories, scanned by the installed command."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.corpus import SERVERS
from support.front_door import Done, Door
from support.git_host import Host, running
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import shown

pytestmark = pytest.mark.engine

PATIENCE = 400.0
"""Seconds; a first build fetches what later ones find in the builder's cache."""
SHORT = ("--max-calls", "40")


def scan(door: Door, source: str, *options: str, **environment: str) -> Done:
    return door.start("scan", *SHORT, *options, source, **environment).end(within=PATIENCE)


def source_of(done: Done) -> dict[str, Any]:
    """What the report says of where the server is from."""
    report = done.report
    assert done.code == 0, done.err + shown(report)
    assert report["verdict"] == "pass", shown(report)
    image = report["observations"]["image"]
    assert image["launch"]["user"] == "65532:65532"
    found: dict[str, Any] = image["build"]["source"]
    assert image["reference"] == found["asked"]
    return found


def test_a_package_of_pypi_is_resolved_locked_and_run(door: Door):
    done = scan(door, "pypi:mcp-server-time==2026.10.19", "--constraint", "mcp<3")
    found = source_of(done)
    assert found["resolved"] == "mcp-server-time 2026.10.19"
    assert found["command"] == ["/venv/bin/mcp-server-time"]
    assert found["why"] == "the command named like the package"
    assert len(found["lock"]) == 64
    assert "mcp-server-time==2026.10.19" in found["packages"]
    assert len(found["packages"]) > 5
    assert set(done.report["coverage"]["tools"]) == {"get_current_time", "convert_time"}
    (run,) = json.loads((done.folder / "results.sarif").read_bytes())["runs"]
    assert run["automationDetails"]["id"] == "mcp-sandbox/pypi/mcp-server-time/"
    said = (done.folder / "summary.md").read_text()
    assert "pypi:mcp-server-time==2026.10.19" in said
    assert found["lock"][:12] in said


def test_a_package_of_npm_is_resolved_locked_and_run(door: Door):
    found = source_of(scan(door, "npm:@modelcontextprotocol/server-memory@2026.7.4"))
    assert found["command"] == ["/app/node_modules/.bin/mcp-server-memory"]
    assert found["scripts"] is False
    assert "@modelcontextprotocol/server-memory@2026.7.4" in found["packages"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("pypi:mcp-server-time==1.2.3", "Version 1.2.3 of mcp-server-time is not there"),
        ("pypi:mcp-server-no-such-thing==1.0", "There is no package 'mcp-server-no-such-thing'"),
        ("pypi:attrs==26.1.0", "has nothing to start"),
        ("npm:left-pad@1.3.999", "Version 1.3.999 of left-pad is not there"),
        ("npm:left-pad@1.3.0", "has nothing to start"),
        ("mcpb:none.mcpb", "There is no bundle"),
        ("pypi:mcp-server-time", "is none of pypi:NAME==VERSION"),
    ],
)
def test_what_cannot_be_scanned_is_one_sentence(door: Door, source: str, said: str):
    done = scan(door, source)
    assert done.code == 2, done.err
    assert said in done.sentence
    assert done.way_out


def test_a_build_without_a_network_cannot_resolve(door: Door):
    done = scan(door, "pypi:mcp-server-time==2026.10.19", "--build-network", "none")
    assert done.code in {2, 3}, done.err  # the base stages may be in the cache, or not
    assert "cannot" in done.sentence or "could not" in done.sentence


# --- bundles --------------------------------------------------------------------------------------


def bundle(folder: Path, **server: Any) -> Path:
    manifest = {
        "manifest_version": "0.3",
        "name": "good",
        "version": "1.0.0",
        "server": {
            "type": "python",
            "entry_point": "servers/good/server.py",
            "mcp_config": {
                "command": "python",
                "args": ["-B", "${__dirname}/servers/good/server.py"],
                "env": {"API_KEY": "${user_config.api_key}", "MODE": "x"},
            },
        }
        | server,
        "user_config": {"api_key": {"type": "string", "sensitive": True, "required": True}},
    }
    file = folder / "good.mcpb"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("manifest.json", json.dumps(manifest))
        made.writestr("Dockerfile", "FROM scratch\n")  # is not how it is built
        for path in SERVERS.rglob("*.py"):
            made.write(path, f"servers/{path.relative_to(SERVERS)}")
    return file


def test_a_bundle_is_unpacked_and_run(door: Door, tmp_path: Path):
    done = scan(door, f"mcpb:{bundle(tmp_path)}")
    found = source_of(done)
    assert found["command"] == ["/venv/bin/python", "-B", "/opt/bundle/servers/good/server.py"]
    assert found["resolved"] == "good 1.0.0"
    assert "MODE=x" in done.report["observations"]["image"]["launch"]["environment"]
    invented = done.report["observations"]["launch"]["invented"]
    assert [one["name"] for one in invented] == ["API_KEY"]


def test_a_broken_bundle_is_one_sentence(door: Door, tmp_path: Path):
    file = bundle(tmp_path)
    file.write_bytes(file.read_bytes()[:2_000])
    done = scan(door, f"mcpb:{file}")
    assert (done.code, done.sentence) == (2, "The bundle 'good.mcpb' is no zip, or a damaged one.")


# --- repositories ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("host")) as made:
        work = tmp_path_factory.mktemp("work")
        start = 'USER 65532:65532\nENTRYPOINT ["python3", "-B", "/srv/servers/good/server.py"]\n'
        (work / "Dockerfile").write_text(WITH_PYTHON + start)
        (work / "mcp-sandbox.toml").write_text("nobody reads this\n")
        (work / "mcp-sandbox.lock.json").write_text("nor this\n")
        for name, text in CORPUS_FILES.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made.publish("good.git", work)
        empty = tmp_path_factory.mktemp("empty")
        (empty / "README.md").write_text("x")
        made.publish("empty.git", empty)
        yield made


def test_a_commit_of_a_repository_is_built_and_run(door: Door, host: Host):
    trusted = str(host.certificate)
    done = scan(door, f"{host.address}/good.git@v1", GIT_SSL_CAINFO=trusted)
    found = source_of(done)
    assert len(found["resolved"]) == 40
    assert done.report["baseline"]["state"] == "missing"
    (run,) = json.loads((done.folder / "results.sarif").read_bytes())["runs"]
    address = host.address.removeprefix("https://")
    assert run["automationDetails"]["id"] == f"mcp-sandbox/{address}/good/"


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("good.git@v9", 2, "has no ref 'v9'"),
        ("none.git@v1", 2, "is not there, is no repository"),
        ("private.git@v1", 2, "asks for a password"),
        ("empty.git@v1", 2, "Dockerfile"),
    ],
)
def test_a_repository_that_cannot_be_scanned_is_one_sentence(
    door: Door, host: Host, what: str, code: int, said: str
):
    done = scan(door, f"{host.address}/{what}", GIT_SSL_CAINFO=str(host.certificate))
    assert done.code == code, done.err
    assert said in done.sentence
    assert done.way_out


def test_a_host_that_is_not_there_is_the_network_s_fault(door: Door):
    done = scan(door, "https://127.0.0.1:1/x.git@v1")
    assert done.code == 3, done.err
    assert "could not be fetched" in done.sentence
