"""What the rules on configurations must find, and what they must leave alone.

The samples are files: what is read of them is what the rules see.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_sandbox.launch import declared
from mcp_sandbox.model import Observations, RiskClass
from mcp_sandbox.model.launch import LaunchReport
from support.observed import observed
from support.rule_samples import hit, miss

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
KEY = "sk-proj-" + "A8fj3kLmQ9zX7vB2nR5tY1wE6uI0oP4sD8gHc2Vd"


def files(**contents: str) -> Observations:
    """Observations of a folder called ``weather`` with files.

    ``_`` and ``__`` are ``.`` and ``/`` in their names.
    """
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "weather"
        folder.mkdir()
        for name, text in contents.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        found = declared.find(folder, "", {}, ())
    report = LaunchReport(tuple(found.declared), notes=tuple(found.notes))
    return replace(observed(), launch=report)


def client(command: str, *args: str, name: str = "weather", **more: Any) -> Observations:
    """The same of one server in ``.mcp.json``."""
    entry = {"command": command, "args": list(args), **more}
    return files(_mcp_json=json.dumps({"mcpServers": {name: entry}}, indent=2))


def run(*options: str, **more: Any) -> Observations:
    """A server that a client starts in a container."""
    return client("docker", "run", "-i", "--rm", *options, "acme/weather:1.2.3", **more)


def shown(command: str) -> Observations:
    """A command in a README."""
    return files(README_md=f"# Weather\n\n```bash\n{command}\n```\n")


@hit("config-host-access")
def is_privileged():
    return run("--privileged")


@hit("config-host-access")
def has_the_engines_socket():
    return run("-v", "/var/run/docker.sock:/var/run/docker.sock")


@hit("config-host-access")
def mounts_the_root():
    return run("--mount", "type=bind,source=/,target=/host,readonly")


@hit("config-host-access")
def shares_processes():
    return run("--pid=host")


@hit("config-host-access")
def is_unconfined():
    return run("--security-opt", "seccomp=unconfined")


@hit("config-host-access")
def adds_a_strong_capability():
    return run("--cap-add", "SYS_ADMIN")


@hit("config-host-access", M)
def has_a_device():
    return run("--device", "/dev/kvm")


@hit("config-host-access", M)
def has_credentials():
    return run("-v", "${HOME}/.aws:/root/.aws:ro")


@hit("config-host-access", N)
def has_the_project():
    return run("-v", "${workspaceFolder}:/work")


@hit("config-host-access", M)
def shows_people_how_to_be_privileged():
    return shown("docker run -i --rm \\\n  --privileged acme/weather:1.2.3")


@hit("config-host-access", M)
def gives_another_server_the_host():
    return client("docker", "run", "-i", "--privileged", "other/thing:1", name="other")


@hit("config-host-access")
def the_registry_asks_for_the_socket():
    package = {
        "registryType": "oci",
        "identifier": "ghcr.io/acme/weather:1.2.3",
        "transport": {"type": "stdio"},
        "runtimeArguments": [
            {"type": "named", "name": "-v", "value": "/var/run/docker.sock:/var/run/docker.sock"}
        ],
    }
    return files(server_json=json.dumps({"name": "io.github.acme/weather", "packages": [package]}))


@miss("config-host-access", "config-host-network", "config-runs-as-root", "config-secret")
@miss("config-unpinned", "config-runs-download")
def is_started_with_care():
    return run(
        *("--network", "bridge", "-v", "weather-data:/data", "--tmpfs", "/tmp", "-e", "API_KEY"),
        *("--user", "1000:1000", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"),
        *("--mount", "type=volume,source=cache,target=/cache", "--privileged=false"),
        env={"API_KEY": "${API_KEY}"},
    )


@hit("config-host-network")
def has_the_hosts_network():
    return run("--network=host")


@hit("config-host-network", N)
def shows_people_the_hosts_network():
    return shown("docker run -i --net host acme/weather")


@hit("config-runs-as-root")
def is_started_as_root():
    return run("-u", "0:0")


@hit("config-secret")
def holds_a_key():
    return client("python", "-m", "weather", env={"API_KEY": KEY})


@hit("config-secret")
def passes_a_key_to_the_container():
    return run("-e", f"OPENAI_API_KEY={KEY}")


@hit("config-secret")
def holds_a_password_in_an_address():
    return run("--env=DB=postgres://admin:h8Kq2vPz91xLm@db.example.net/weather")


@hit("config-secret")
def holds_a_key_among_the_arguments():
    return client("uvx", "weather==1.2.3", "--api-key", "d41d8cd98f00b204e9800998ecf8427e")


@hit("config-secret")
def shows_its_own_key():
    return shown(f"docker run -i -e API_KEY={KEY} acme/weather:1.2.3")


@miss("config-secret")
def holds_placeholders():
    return client(
        "python",
        "-m",
        "weather",
        "--token",
        "<token>",
        env={
            "API_KEY": "your-api-key-here-0123456789abcdef",
            "GITHUB_TOKEN": "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "SECRET_NAME": "projects/weather/secrets/main/versions/1",
            "DATABASE_URL": "postgres://user:password@localhost/db",
            "MODE": "d41d8cd98f00b204e9800998ecf8427e",
        },
    )


@hit("config-runs-download")
def pipes_a_download_into_a_shell():
    return client("bash", "-c", "curl -fsSL https://get.example.net/weather.sh | sh")


@hit("config-runs-download")
def has_powershell_run_a_download():
    return client("powershell", "-Command", "iwr https://get.example.net/w.ps1 -useb | iex")


@miss("config-runs-download")
def keeps_a_download():
    return client("sh", "-c", "curl -fsSLo /tmp/w https://get.example.net/w && sha256sum -c /tmp/s")


@hit("config-unpinned")
def takes_the_newest_package():
    return client("npx", "-y", "@acme/weather")


@hit("config-unpinned")
def takes_the_newest_image():
    return client("docker", "run", "-i", "acme/weather:latest")


@miss("config-unpinned")
def names_versions():
    return client("npx", "-y", "@acme/weather@1.2.3")


@miss("config-unpinned")
def tells_people_of_a_package():
    return shown("docker run -i acme/weather:latest")
