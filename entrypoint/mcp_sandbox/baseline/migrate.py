"""Lock files of older versions, brought to today's shape one version at a time.

A step takes the parsed document of its version and returns that of the next. The first version is
1, so there is no step yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp_sandbox.errors import BaselineUnreadable
from mcp_sandbox.model.locked import LOCK_VERSION

Document = dict[str, Any]
Step = Callable[[Document], Document]

STEPS: dict[int, Step] = {}
"""Version -> what makes the next version of it."""


def migrated(
    document: Document, name: str, *, steps: Mapping[int, Step] = STEPS, newest: int = LOCK_VERSION
) -> Document:
    """The document as ``newest`` would have it. Raises ``BaselineUnreadable``."""
    version = document.get("version")
    if type(version) is not int or version < 0:
        raise BaselineUnreadable(f"{name} is JSON, but no lock file: it has no version")
    if version > newest:
        raise BaselineUnreadable(
            f"{name} is of version {str(version)[:20]} and was written by a newer mcp-sandbox",
            next_step=f"Update mcp-sandbox: this one reads up to version {newest}.",
        )
    while version < newest:
        step = steps.get(version)
        if step is None:
            raise BaselineUnreadable(f"{name} is of version {version}, which is no longer read")
        version += 1
        document = {**step(document), "version": version}
    return document
