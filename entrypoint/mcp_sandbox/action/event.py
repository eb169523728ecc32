"""What the runner says of the run: the event, its commits, the workspace."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_sandbox.errors import BadInput
from mcp_sandbox.settings import Settings

CHANGES = frozenset({"pull_request", "pull_request_target", "merge_group"})
"""Events on changes that nobody has accepted yet."""
UNSAFE_EVENTS = frozenset({"pull_request_target", "workflow_run"})
"""They run with a token that may write and with secrets, on what a stranger has sent."""

MAX_EVENT = 25 * 2**20
"""Bytes; GitHub's own limit for a payload."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Event:
    """The event of the run."""

    name: str
    base: str = ""
    """Commit that the change starts from; empty when unknown."""
    head: str = ""
    trust: str = "base"
    """Whose lock file and policy count: those of ``base``, or (``tree``) those of the checkout,
    which on a push hold what somebody was allowed to push."""
    repository: str = ""
    """Its name, without its owner's."""


def workspace(environment: Mapping[str, str]) -> Path:
    """The folder of the checkout, as this container sees it. Raises ``BadInput``."""
    text = environment.get("GITHUB_WORKSPACE", "")
    if not text or not Path(text).is_dir():
        raise BadInput(
            "There is no workspace: GITHUB_WORKSPACE names no folder.",
            next_step="This command is for GitHub's runner; elsewhere, use `mcp-sandbox scan`.",
        )
    return Path(text)


def read(environment: Mapping[str, str]) -> Event:
    """The event; a payload that cannot be read has no commits. Nothing in it is trusted."""
    name = environment.get("GITHUB_EVENT_NAME", "")
    repository = environment.get("GITHUB_REPOSITORY", "").rpartition("/")[2]
    event = Event(name, repository=repository)
    try:
        path = Path(environment["GITHUB_EVENT_PATH"])
        with path.open("rb") as file:
            payload = json.loads(file.read(MAX_EVENT))
    except (KeyError, OSError, ValueError, RecursionError):
        return event
    if name in {"pull_request", "pull_request_target"}:
        found = (_at(payload, "pull_request", side, "sha") for side in ("base", "head"))
    elif name == "merge_group":
        found = (_at(payload, "merge_group", f"{side}_sha") for side in ("base", "head"))
    elif name == "push":
        found = (_at(payload, side) for side in ("before", "after"))
    else:
        return event
    base, head = (_commit(text) for text in found)
    trust = "tree" if name == "push" else "base"
    return replace(event, base=base, head=head, trust=trust)


def _at(payload: object, *keys: str) -> object:
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def _commit(text: object) -> str:
    """An id of a commit; the null id, of a branch that is new or gone, is none."""
    if not isinstance(text, str) or not _COMMIT.fullmatch(text) or not text.strip("0"):
        return ""
    return text


def refuse_unsafe(event: Event, *, allowed: bool) -> None:
    """Raise ``BadInput`` for an event on which no stranger's code should run."""
    if event.name in UNSAFE_EVENTS and not allowed:
        raise BadInput(
            f"The event is {event.name}: it would run a stranger's code beside secrets and a "
            "token that may write.",
            next_step="Use `on: pull_request`, or say `allow-unsafe-trigger: true` when only "
            "trusted commits are checked out.",
        )


def refuse_baseless(event: Event, settings: Settings) -> None:
    """Raise ``BadInput`` for a change of which nobody knows what it starts from.

    Its own lock file and policy would count: it would accept itself.
    """
    if event.name not in CHANGES or settings.base or settings.trust == "tree":
        return
    if settings.baseline == settings.config == "none":
        return
    raise BadInput(
        f"The event {event.name} names no base commit, whose lock file and policy would count.",
        next_step="Name it by the input `base`, or say `baseline: none` and `config: none`.",
    )
