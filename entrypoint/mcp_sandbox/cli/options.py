"""The options of ``scan``, made from ``Settings``: a new setting is a new option by itself."""

from __future__ import annotations

import types
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from mcp_sandbox.settings import Settings, option, shown_default

JUDGING = frozenset({"profile", "fail_below", "fail_on", "baseline", "config"})
"""Those options that need no engine: ``judge`` has them too."""


def _choices(annotation: Any) -> list[str] | None:
    """The words an option admits, when it admits only certain words."""
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [str(member) for member in annotation]
    return None


def _metavar(name: str, annotation: Any) -> str:
    """What to type for an option."""
    multiple = typing.get_origin(annotation) is tuple
    if multiple or typing.get_origin(annotation) is types.UnionType:
        annotation = typing.get_args(annotation)[0]
    if words := _choices(annotation):
        return "|".join(words)
    if name in _METAVARS:
        return _METAVARS[name]
    return {int: "N", float: "N", Path: "PATH"}.get(annotation, "TEXT")


_METAVARS = {
    "allow": "HOST[:PORT]",
    "base": "COMMIT",
    "baseline": "auto|none|FILE",
    "baseline_image": "REF",
    "config": "auto|none|FILE",
    "constraint": "SPEC",
    "entry_point": "NAME",
    "env": "NAME=VALUE",
    "head": "COMMIT",
    "helper_image": "REF",
    "http_header": "NAME=VALUE",
    "image": "REF",
    "memory": "SIZE",
    "source": "SOURCE",
    "system_packages": "NAME",
    "trivy_db": "REF",
}


def scan_options() -> list[click.Parameter]:
    """One option per setting; validation is the settings' own, so that every door says the same."""
    made: list[click.Parameter] = []
    for name, field in Settings.model_fields.items():
        if name in {"context", "args"}:
            continue
        if field.annotation is bool:
            made.append(
                click.Option(
                    [option(name), name], help=field.description, is_flag=True, default=None
                )
            )
            continue
        default = shown_default(name)
        told = f"  [default: {default}]" if default else ""
        made.append(
            click.Option(
                [option(name), name],
                help=f"{field.description}{told}",
                multiple=typing.get_origin(field.annotation) is tuple,
                metavar=_metavar(name, field.annotation),
                envvar="MCP_SANDBOX_IMAGE" if name == "helper_image" else None,
            )
        )
    return made
