"""What a scan needs of the machine, and what it may have left there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_sandbox import proc
from mcp_sandbox.errors import EngineFailed, EngineUnavailable
from mcp_sandbox.sandbox import Engine


@dataclass(frozen=True)
class Check:
    """One line of ``doctor``."""

    name: str
    ok: bool
    found: str
    advice: str = ""


BUILDX_TIMEOUT = 20.0
"""Seconds."""


def examine(
    docker_host: str | None, helper_image: str, environment: Mapping[str, str]
) -> tuple[Check, ...]:
    """Look at everything a scan needs. ``environment``: where ``docker`` is looked for."""
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
    checks.append(_buildx(environment))
    return tuple(checks)


def _buildx(environment: Mapping[str, str]) -> Check:
    name, advice = (
        "docker CLI with buildx",
        "Needed to build an image; `scan --image` works without.",
    )
    if shutil.which("docker", path=environment.get("PATH")) is None:
        return Check(name, False, "no `docker` on PATH", advice)
    try:
        result = proc.run(
            ["docker", "buildx", "version"],
            environment=proc.allowed_environment(environment),
            timeout=BUILDX_TIMEOUT,
        )
    except OSError as error:
        return Check(name, False, f"`docker` cannot be run: {error.strerror}", advice)
    told = (result.stdout or result.stderr).decode("utf-8", "replace").strip().splitlines()
    found = told[0][:200] if told else "`docker buildx version` said nothing"
    return Check(name, result.succeeded, found, "" if result.succeeded else advice)


def clean(docker_host: str | None, run_id: str | None = None) -> tuple[str, ...]:
    """Remove all that carries our label, or one run's; returns what was removed."""
    with Engine(docker_host) as engine:
        return tuple(engine.clean(run_id))


MAX_CANDIDATES = 200
"""Running containers among which our own is looked for."""


def image_of(docker_host: str | None, marker: str) -> str:
    """The id of the image of the container that holds the file ``marker``; empty when none does.

    A container knows its own id by nothing that is always there: a shared network brings another's
    host name and files. Raises ``EngineFailed``, and ``EngineUnavailable`` when nothing answers.
    """
    with Engine(docker_host) as engine:
        return engine.image_with(marker, MAX_CANDIDATES)
