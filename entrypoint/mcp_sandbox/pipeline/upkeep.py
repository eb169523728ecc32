"""What a scan needs of the machine, and what it may have left there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from mcp_sandbox.errors import EngineFailed, EngineUnavailable
from mcp_sandbox.sandbox import Engine


@dataclass(frozen=True)
class Check:
    """One line of ``doctor``."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(docker_host: str | None, helper_image: str) -> tuple[Check, ...]:
    """Look at everything a scan needs."""
    checks: list[Check] = []
    try:
        engine = Engine(docker_host)
        facts = engine.describe()
        checks.append(Check("engine", True, ", ".join(f"{k} {v}" for k, v in facts.items())))
        present = engine.has_image(helper_image)
        checks.append(
            Check(
                "own image",
                present,
                helper_image if present else f"{helper_image} is not in the engine",
                ""
                if present
                else "Build it: docker buildx build --load -t "
                f"{helper_image} . (scripts/security-scan.sh does).",
            )
        )
    except (EngineUnavailable, EngineFailed) as error:
        checks.append(Check("engine", False, error.what, error.next_step))
    docker = shutil.which("docker")
    checks.append(
        Check(
            "docker CLI with buildx",
            docker is not None,
            docker or "no `docker` on PATH",
            "" if docker else "Needed to build an image; `scan --image REF` works without.",
        )
    )
    return tuple(checks)


def clean(docker_host: str | None) -> tuple[str, ...]:
    """Remove all that carries our label; returns what was removed."""
    return tuple(Engine(docker_host).clean(None))
