"""How the server was started, in a few lines: by which file's word, with what made up for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mcp_sandbox.model import REPRODUCTION_IMAGE, Observations
from mcp_sandbox.model.launch import Danger, DangerKind, Invented

SHOWN = 4
"""Things of one kind that are named."""
MAX_COMMAND = 200
TOLD = frozenset(DangerKind) - {DangerKind.UNPINNED}
"""Dangers that are worth a word beside their findings: what could have been applied."""


def told(observations: Observations) -> tuple[str, ...]:
    """One sentence each, to be escaped; nothing where only the image spoke."""
    launch = observations.launch
    dangers = [bad for one in launch.declared for bad in one.dangers if bad.kind in TOLD]
    changed = launch.applied or launch.invented or launch.restarts or launch.sidecars
    if not (changed or dangers):
        return ()
    lines = []
    if command := started_as(observations):
        lines.append(
            f"started as {command[:MAX_COMMAND]}{'…' if len(command) > MAX_COMMAND else ''}"
        )
    if launch.applied:
        lines.append(f"told by files: {_some(list(launch.applied))}")
    if launch.invented:
        lines.append(f"made up for it: {_some([_invented(one) for one in launch.invented])}")
    if launch.restarts:
        times = "once" if launch.restarts == 1 else f"{launch.restarts} times"
        lines.append(f"started again {times} to find out what it needs")
    if launch.sidecars:
        lines.append(f"beside it in its network: {_some(list(launch.sidecars))}")
    if dangers:
        lines.append(f"not applied: {_some(list(dict.fromkeys(map(_danger, dangers))))}")
    return tuple(lines)


def started_as(observations: Observations) -> str:
    """The server's own command; empty when it was never started."""
    launch = observations.image.launch
    for session in observations.sessions:
        line = session.container.command_line
        names = {REPRODUCTION_IMAGE, observations.image.id}
        at = next((at for at in range(len(line) - 1, -1, -1) if line[at] in names), None)
        if at is not None:
            return shlex.join((*launch.entrypoint, *(line[at + 1 :] or launch.command)))
    return ""


def _invented(one: Invented) -> str:
    value = f"={one.shown}" if one.shown else ""
    return f"{one.name}{value} ({one.source})"


def _danger(one: Danger) -> str:
    return f"{one.option} ({one.path}:{one.line})" if one.line else f"{one.option} ({one.path})"


def _some(texts: Sequence[str]) -> str:
    more = f"; {len(texts) - SHOWN} more in the report" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more
