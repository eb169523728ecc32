"""The action's inputs: every setting under its own name, read from ``INPUT_*``.

The runner hands each input over as an environment variable, its name in upper case with spaces as
``_`` and hyphens kept, and an input that was not given as an empty one. Anything may be in it.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_sandbox.errors import BadInput
from mcp_sandbox.settings import Settings, load, shown_default

PREFIX = "INPUT_"

OWN = frozenset({"docker_host", "helper_image"})
"""Settings that are no inputs: the action finds both by itself."""

BUNDLE = "mcpb:"
"""What a source begins with that is a file."""

UNSAFE = "allow-unsafe-trigger"
_UNSAFE_HELP = (
    "Run on `pull_request_target` and `workflow_run` too, where a stranger's commands would run "
    "beside a token that may write."
)
_FILES = frozenset({"baseline", "config"})
_WORDS = frozenset({"auto", "none"})
"""What may stand where a file is named."""
_ONE_A_LINE = frozenset({"args", "constraint", "env", "http_header"})
"""Lists in whose items a comma is an ordinary character."""

_OPTION = re.compile(r"(?<![\w`-])--([a-z][a-z-]*[a-z])")

NEXT_STEP = "See action.yml, or docs/configuration.md, for the inputs there are."


@dataclass(frozen=True)
class Input:
    """One input."""

    name: str
    default: str
    """Empty when there is none, or when it depends."""
    description: str

    @property
    def told(self) -> str:
        """The description with the default."""
        return (
            f"{self.description} Default: `{self.default}`." if self.default else self.description
        )


def known() -> tuple[Input, ...]:
    """All inputs, in the order of the settings."""
    made = [
        Input(name.replace("_", "-"), shown_default(name), _description(name))
        for name in Settings.model_fields
        if name not in OWN
    ]
    return (*made, Input(UNSAFE, "false", _UNSAFE_HELP))


def _description(name: str) -> str:
    """The setting's own words, where they are not of the command line."""
    if name == "context":
        return "Folder with the server's Dockerfile, inside the workspace (default: all of it)."
    if name == "args":
        return "Arguments for the server itself, one a line."
    text = Settings.model_fields[name].description or ""
    return text.replace("; may be repeated", ", one a line").replace("or repeated", "or one a line")


def read(environment: Mapping[str, str]) -> dict[str, str]:
    """Input name -> value, those that are empty left out.

    Raises ``BadInput`` for an input that there is not.
    """
    names = {one.name for one in known()}
    given: dict[str, str] = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in names:
            near = difflib.get_close_matches(name.replace("_", "-"), names, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else "."
            raise BadInput(f"There is no input `{name[:100]}`{hint}", next_step=NEXT_STEP)
        if value.strip():
            given[name] = value.strip()
    return given


def flag(given: Mapping[str, str], name: str) -> bool:
    """A boolean as YAML writes it. Raises ``BadInput``."""
    value = given.get(name, "false")
    if value.lower() not in {"true", "false"}:
        raise BadInput(
            f"Input `{name}` is {value[:100]!r}, neither true nor false.", next_step=NEXT_STEP
        )
    return value.lower() == "true"


def settings(given: Mapping[str, str], workspace: Path, **found: Any) -> Settings:
    """The settings of a run; ``found`` are those that are no inputs, or that an input overrides.

    Paths stay inside the workspace. Raises ``BadInput`` (see ``named``).
    """
    values: dict[str, Any] = dict(found)
    for name, text in given.items():
        if name != UNSAFE:
            values[name.replace("-", "_")] = _value(given, name, text)
    if not {"image", "source"} & values.keys():
        values.setdefault("context", ".")
    values.setdefault("out", shown_default("out"))
    for name in ("context", "out", "trivy_cache", *_FILES):
        if name in values and not (name in _FILES and values[name] in _WORDS):
            place = _inside(workspace, name.replace("_", "-"), values[name])
            values[name] = str(place) if name in _FILES else place
    bundle = str(values.get("source", "")).removeprefix(BUNDLE)
    if bundle != values.get("source", ""):
        values["source"] = f"{BUNDLE}{_inside(workspace, 'source', bundle)}"
    return load(values)


def _value(given: Mapping[str, str], name: str, text: str) -> object:
    annotation = Settings.model_fields[name.replace("-", "_")].annotation
    if annotation is bool:
        return flag(given, name)
    if typing.get_origin(annotation) is tuple:
        parts = re.split(r"\r?\n", text)
        if name not in _ONE_A_LINE:
            parts = [word for part in parts for word in part.split(",")]
        return tuple(part.strip() for part in parts if part.strip())
    if re.search(r"[\r\n]", text):
        raise BadInput(f"Input `{name}` has more than one line.", next_step=NEXT_STEP)
    return text


def _inside(workspace: Path, name: str, value: str) -> Path:
    """A path below the workspace, links followed."""
    place = (workspace / value).resolve()
    if not place.is_relative_to(workspace.resolve()):
        raise BadInput(
            f"Input `{name}` is {value[:200]!r}, which is not inside the workspace.",
            next_step="Name a place in the checkout, relative to its root.",
        )
    return workspace / value


def named(error: BadInput) -> BadInput:
    """The same error in the words of a workflow: inputs instead of options."""
    names = {one.name for one in known()}

    def put(match: re.Match[str]) -> str:
        return f"`{match[1]}`" if match[1] in names else match[0]

    what, step = (_OPTION.sub(put, text) for text in (error.what, error.next_step))
    changed = type(error)(f"Input {what}" if what.startswith("`") else what, detail=error.detail)
    changed.next_step = NEXT_STEP if step == BadInput.next_step else step
    return changed
