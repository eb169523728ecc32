"""What the commands that run a server have in common: options to settings, progress to stderr."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mcp_sandbox import pipeline
from mcp_sandbox.cli.printing import Paper
from mcp_sandbox.cli.progress import LiveProgress, PlainProgress
from mcp_sandbox.settings import Settings
from mcp_sandbox.sources import names as source_names

SERVER_ARGUMENTS = f"{__name__}.server_arguments"


class ScanCommand(click.Command):
    """Keeps what follows ``--`` for the server: click would take its first word for the folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See ``click.Command``."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[SERVER_ARGUMENTS] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """See ``click.Command``."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that were given: a policy may set the others."""
    return {name: value for name, value in options.items() if value not in {None, ()}}


def given(here: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what comes after ``--`` and from the environment."""
    values = named(options)
    if isinstance(place := values.get("context"), str):
        if source_names.is_one(place) and "source" not in values:
            values["source"] = values.pop("context")
        else:
            values["context"] = Path(place)
    if arguments := here.meta.get(SERVER_ARGUMENTS, ()):
        values["args"] = arguments
    if host := os.environ.get("DOCKER_HOST"):
        values.setdefault("docker_host", host)
    return values


def scanned(settings: Settings, *, quiet: bool) -> pipeline.Outcome:
    """Do the whole job. Raises ``SandboxError`` when not even a report can be written."""
    environment = pipeline.child_environment(os.environ)
    console = Paper(stderr=True)
    if quiet:
        return pipeline.scan(settings, pipeline.Unobserved(), environment)
    if not console.is_terminal:
        return pipeline.scan(settings, PlainProgress(console), environment)
    with LiveProgress(console) as live:
        return pipeline.scan(settings, live, environment)
