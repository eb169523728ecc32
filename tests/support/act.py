"""Runs a workflow with nektos/act on the real engine, and reads back what the step left.

Stand-ins, by act's own means: the published action is a copy of ours whose image is the local one
(act's builder does not know our Dockerfile), and actions of others are small ones that print what
they were given. The checkout is act's copy of the repository.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support.on_engine import BASE, ROOT

RUNNER = f"""\
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends git nodejs
"""
"""What act needs of the machine that a job runs on."""

PATIENCE = 500
"""Seconds; only a broken test waits this long."""


@dataclass(frozen=True)
class Annotation:
    """One annotation that the runner would show."""

    level: str
    text: str
    properties: dict[str, str]


@dataclass
class Ran:
    """One run of a workflow."""

    job: str = ""
    """``success`` or ``failure``."""
    code: int = 0
    """Exit code of the action's container."""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    printed: dict[str, list[str]] = field(default_factory=dict)
    """Step -> the lines that are no commands, in order."""


def read(log: str, step: str) -> Ran:
    """What act's ``--json`` log says of a run; outputs and annotations are those of ``step``."""
    ran = Ran()
    for line in log.splitlines():
        entry: dict[str, Any] = json.loads(line)
        ran.job = entry.get("jobResult", ran.job)
        name = "/".join(entry.get("stepID", ()))
        if entry.get("raw_output"):
            ran.printed.setdefault(name, []).append(entry["msg"].rstrip("\n"))
        if name != step:
            continue
        command = entry.get("command")
        if command == "set-output":
            ran.outputs[entry["name"]] = entry["arg"]
        elif command == "summary":
            ran.summary = entry["content"]
        elif command in {"error", "warning", "notice"}:
            ran.annotations.append(Annotation(command, entry["arg"], entry.get("kvPairs") or {}))
        if found := re.search(r"exit with `FAILURE`: (\d+)", entry.get("msg", "")):
            ran.code = int(found[1])
    return ran


@dataclass(frozen=True)
class Act:
    """act, with what it needs."""

    binary: Path
    docker_host: str
    runner_image: str
    action_image: str
    folder: Path

    def run(self, repository: Path, workflow: Path, event: dict[str, Any]) -> Ran:
        """Run a workflow file as it is, on ``pull_request``."""
        payload = self.folder / "event.json"
        payload.write_text(json.dumps(event))
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        document = yaml.safe_load(workflow.read_text())
        argv = [
            *(self.binary, "pull_request", "--workflows", workflow, "--eventpath", payload),
            *("--platform", f"ubuntu-24.04={self.runner_image}", "--pull=false", "--rm", "--json"),
            *("--container-daemon-socket", self.docker_host, "--action-offline-mode"),
        ]
        for used in sorted(
            step["uses"]
            for job in document["jobs"].values()
            for step in job["steps"]
            if "uses" in step and not step["uses"].startswith("actions/checkout@")
        ):
            name, _, ref = used.partition("@")
            owner, repo, *inner = name.split("/")
            argv += ["--local-repository", f"{owner}/{repo}@{ref}={self._stand_in(repo, inner)}"]
        done = subprocess.run(
            list(map(str, argv)),
            cwd=repository,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": self.docker_host},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        ran = read(done.stdout, "sandbox")
        assert ran.job, done.stderr[-2000:] + done.stdout[-2000:]
        return ran

    def _stand_in(self, repo: str, inner: list[str]) -> Path:
        """A folder with the action of that name."""
        folder = self.folder / repo
        place = folder.joinpath(*inner)
        place.mkdir(parents=True, exist_ok=True)
        if repo == "mcp-sandbox-action":
            document = yaml.safe_load((ROOT / "action.yml").read_text())
            document["runs"]["image"] = f"docker://{self.action_image}"
        else:
            keys = {"upload-sarif": ["sarif_file"], "upload-artifact": ["name", "path"]}
            names = keys[(inner or [repo])[-1]]
            document = {
                "name": repo,
                "description": "Prints what it was given.",
                "inputs": {name: {"description": name} for name in names},
                "runs": {
                    "using": "composite",
                    "steps": [
                        {
                            "shell": "bash",
                            "env": {"FILE": f"${{{{ inputs.{names[-1]} }}}}"},
                            "run": 'stat --format "given %n %u" "$FILE"',
                        }
                    ],
                },
            }
        (place / "action.yml").write_text(yaml.safe_dump(document))
        return folder
