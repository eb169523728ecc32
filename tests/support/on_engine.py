"""What the tests build on a real engine, and what they look for there."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import docker.errors

from mcp_sandbox.model import RUN_LABEL
from mcp_sandbox.sandbox import Engine
from mcp_sandbox.sandbox.bundle import volume_name
from support.corpus import SERVERS

ROOT = Path(__file__).parents[2]
"""The checkout."""

BASE = "debian:trixie-slim"
"""The one base image that every engine of ours has."""

WITH_PYTHON = f"""\
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal
COPY servers /srv/servers
"""
"""Debian's small Python and the whole corpus of servers; how to start one is left open."""

CORPUS_FILES = {
    f"servers/{path.relative_to(SERVERS)}": path.read_text() for path in SERVERS.rglob("*.py")
}
"""The context of ``WITH_PYTHON``: path -> text."""

START_HOSTILE = 'ENTRYPOINT ["python3", "-B", "/srv/servers/hostile/server.py"]\n'
"""Starts the hostile server; its argument is a mode."""


def labelled(engine: Engine, label: str) -> list[str]:
    """Ids of everything that carries a label (``NAME`` or ``NAME=VALUE``)."""
    filters = {"label": label}
    found = [one["Id"] for one in engine.api.containers(all=True, filters=filters)]
    found += [one["Id"] for one in engine.api.images(all=True, filters=filters)]
    found += [one["Id"] for one in engine.api.networks(filters=filters)]
    return found + [one["Name"] for one in engine.api.volumes(filters=filters)["Volumes"] or ()]


def remove_bundle(engine: Engine, image: str, label: str = RUN_LABEL) -> None:
    """Remove the volume with the tracer, which outlives a run, unless another run holds it."""
    try:
        engine.api.remove_volume(volume_name(image, label))
    except docker.errors.APIError as error:
        if error.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            raise
