"""Runs the action's image as a step: with the mounts and the environment of GitHub's runner."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from mcp_sandbox.sandbox import Engine
from support import runner

WORKER = 1001
"""The runner's user on a hosted machine."""


class Step:
    """One step, with a workspace and a folder for the runner's files."""

    def __init__(self, folder: Path, image: str, engine: Engine) -> None:
        self.image, self.engine = image, engine
        self.label = f"dev.mcp-sandbox.test-step={secrets.token_hex(4)}"
        self.workspace, self.files = folder / "workspace", folder / "files"
        for made in (self.workspace, self.files):
            made.mkdir()
        os.chown(self.workspace, WORKER, WORKER)

    def run(
        self, script: str, mode: str = "rw", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "GITHUB_WORKSPACE": "/github/workspace",
            "GITHUB_EVENT_NAME": "pull_request",
            # The workspace is no repository: there is no base whose files could count.
            "INPUT_BASELINE": "none",
            "INPUT_CONFIG": "none",
            "HOME": "/github/home",
            **{
                f"GITHUB_{name}": f"/github/file_commands/{name}"
                for name in ("OUTPUT", "STATE", "STEP_SUMMARY")
            },
            **{name.replace("__", "-"): value for name, value in environment.items()},
        }
        socket = self.engine.address.removeprefix("unix://")
        argv = [
            *("docker", "run", "--rm", "--workdir", "/github/workspace", "--label", self.label),
            *("--entrypoint", f"/opt/mcp-sandbox/bin/{script}"),
            *("--volume", f"{socket}:/var/run/docker.sock"),
            *("--volume", f"{self.workspace}:/github/workspace:{mode}"),
            *("--volume", f"{self.files}:/github/file_commands"),
            # A shell that starts the client hands on no name with a hyphen in it.
            *(f"--env={name}={given[name]}" if "-" in name else f"--env={name}" for name in given),
            self.image,
        ]
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": self.engine.address, **given}
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    @property
    def outputs(self) -> dict[str, str]:
        return runner.file_values((self.files / "OUTPUT").read_text())
