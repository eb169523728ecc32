"""The lock file's shape: what its JSON holds, field by field, and nothing else.

Kept apart from the facts in ``model.locked``: the file is read by people in a diff, so texts are
lists of lines, items and behaviour are keyed by subject, and what is empty is left out.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mcp_sandbox.model import Json, Network, Profile, Relaxation, Tls
from mcp_sandbox.model.locked import LOCK_FILE, LOCK_VERSION

MAX_NAME = 4_096
"""Characters of a subject."""

Subject = Annotated[str, Field(max_length=MAX_NAME)]


class _Strict(BaseModel):
    """No unknown field, no coercion."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class ItemShape(_Strict):
    """One listed tool, prompt, resource or template."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the canonical JSON of the whole item: it has to fit the rest."""
    title: str = ""
    description: list[str] = []
    """Line by line."""
    definition: Json = {}
    """All the rest, as listed."""


class BehaviourShape(_Strict):
    """What was done in one place, sorted."""

    endpoints: list[str] = []
    """``NAME:PORT`` of what was connected to, a bare ``NAME`` of what was only looked up."""
    programs: list[str] = []
    """Names of the programs started, without folder and version."""
    writes: list[str] = []
    """Paths made, changed or removed outside temporary folders; attempts count."""
    reads: list[str] = []
    """Paths opened outside the folders of programs and libraries."""


class LaunchShape(_Strict):
    """How the image says it wants to be started."""

    entrypoint: list[str] = []
    command: list[str] = []
    user: str = ""
    working_dir: str = ""
    environment: list[str] = []
    """``NAME=VALUE``; a digest stands for a value that is long or may be a secret."""
    exposed_ports: list[str] = []
    volumes: list[str] = []


class CeilingsShape(_Strict):
    """The limits that the server lived within. Bytes."""

    memory: int
    cpus: Annotated[float, Field(strict=False)]
    pids: int
    relaxation: Annotated[Relaxation, Field(strict=False)]


class LockShape(_Strict):
    """The whole file."""

    version: Annotated[int, Field(ge=LOCK_VERSION, le=LOCK_VERSION)]
    """Of this schema."""
    scanner: str
    """Version of the scanner that wrote it."""
    profile: Annotated[Profile, Field(strict=False)]
    network: Annotated[Network, Field(strict=False)]
    tls: Annotated[Tls, Field(strict=False)]
    score: Annotated[float | None, Field(ge=0, le=100)] = None
    """By the scanner's own rules alone, without notes."""
    server: Json = None
    """``serverInfo`` as presented."""
    capabilities: Json = None
    instructions: list[str] = []
    """Line by line."""
    items: dict[Subject, ItemShape] = {}
    """``tools/NAME``, ``prompts/NAME``, ``resources/URI``, ``resourceTemplates/URI``."""
    behaviour: dict[Subject, BehaviourShape] = {}
    """By ``start-up``, ``idle``, ``tools/NAME``…; where nothing was done, nothing stands."""
    uncalled: list[str] = []
    """Tools that no call could be made to: of what they do, nothing is known."""
    launch: LaunchShape
    ceilings: CeilingsShape
    normalised: list[str] = []
    """What was replaced because it differs from run to run."""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the lock file."""
    body = LockShape.model_json_schema(mode="validation")
    for definition in (body, *body["$defs"].values()):
        for field in definition.get("properties", {}).values():
            field.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": f"{LOCK_FILE}: what an MCP server presents and does",
    }
