"""Where the server was taken from, in a few lines, and how its image is built again."""

from __future__ import annotations

import shlex

from mcp_sandbox.model import REPRODUCTION_IMAGE, Observations

DIGITS = 16
"""Of the lock's digest that are shown."""


def told(observations: Observations | None) -> tuple[str, ...]:
    """One sentence each, to be escaped; nothing for an image and a folder."""
    build = observations.image.build if observations else None
    source = build.source if build else None
    if source is None:
        return ()
    lines = [f"taken from {source.asked}, which is {source.resolved}"]
    if source.lock:
        count = len(source.packages)
        what = f"{count} packages by a lock with hashes" if count else "what it brings along"
        lines.append(f"installed: {what}, sha256 {source.lock[:DIGITS]}")
    if source.command:
        lines.append(f"runs {shlex.join(source.command)}: {source.why}")
    if source.scripts:
        lines.append("packages could run scripts while they were installed")
    return (*lines, *source.notes)


def packed(observations: Observations | None) -> bool:
    """Whether what it was built from is among the results."""
    build = observations.image.build if observations else None
    return build is not None and bool(build.packed)


def build_command(observations: Observations | None) -> str:
    """The command that makes the tested image again; empty when it was not built by the run."""
    build = observations.image.build if observations else None
    if build is None:
        return ""
    command = ["docker", "buildx", "build", "--load", "--tag", REPRODUCTION_IMAGE]
    command += ["--file", build.dockerfile, "--network", build.network]
    source = build.source
    if build.packed:
        return f"{shlex.join(command)} - <{shlex.quote(build.packed)}"
    if source is not None and not source.lock:
        return shlex.join([*command, f"{source.asked.rpartition('@')[0]}#{source.resolved}"])
    return shlex.join([*command, "."]) if source is None else ""
