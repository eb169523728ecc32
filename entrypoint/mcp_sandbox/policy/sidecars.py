"""``[launch.sidecar.NAME]``: services that stand beside the server."""

from __future__ import annotations

import re

from mcp_sandbox.errors import BadInput
from mcp_sandbox.model import Json
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.policy.lines import Path
from mcp_sandbox.policy.reading import Reader, kind
from mcp_sandbox.settings import parse_assignment

KEYS = ("image", "port", "env", "user")
MAX_SIDECARS = 4
MAX_ENVIRONMENT = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_USER = re.compile(r"[0-9]{1,9}(?::[0-9]{1,9})?")
_LAST_PORT = 65535


def sidecars(reader: Reader, value: Json) -> tuple[Sidecar, ...]:
    """All of them, in order. Raises ``PolicyUnreadable``."""
    here: Path = ("launch", "sidecar")
    if not isinstance(value, dict):
        reader.fail(here, "each sidecar stands below a line [launch.sidecar.NAME] of its own")
    if len(value) > MAX_SIDECARS:
        reader.fail(here, f"there are at most {MAX_SIDECARS} sidecars")
    found = tuple(_sidecar(reader, (*here, name), name, one) for name, one in value.items())
    ports = [one.port for one in found]
    for number, one in enumerate(found):
        if one.port in ports[:number]:
            reader.fail((*here, one.name, "port"), f"port {one.port} is another sidecar's")
    return found


def _sidecar(reader: Reader, path: Path, name: str, value: Json) -> Sidecar:
    if not _NAME.fullmatch(name):
        reader.fail(path, f"{name[:100]!r} is no name: small letters, digits and '-'")
    table = reader.table(path, value, KEYS)
    for key in ("image", "port"):
        if key not in table:
            reader.fail(path, f"a sidecar needs {key!r}")
    image = reader.text((*path, "image"), table["image"])
    if image.startswith("-") or " " in image:
        reader.fail((*path, "image"), f"{image[:100]!r} is no image reference")
    port = table["port"]
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
        reader.fail((*path, "port"), f"'port' is a number from 1 to {_LAST_PORT}")
    user = reader.optional(path, table, "user")
    if user and (not _USER.fullmatch(user) or int(user.partition(":")[0]) == 0):
        reader.fail((*path, "user"), "'user' is UID or UID:GID, in numbers, and not root")
    environment = _environment(reader, (*path, "env"), table.get("env", {}))
    return Sidecar(name, image, port, environment, user)


def _environment(reader: Reader, path: Path, value: Json) -> tuple[str, ...]:
    if not isinstance(value, dict):
        reader.fail(path, f"'env' is a table of texts, {{ NAME = \"VALUE\" }}, not {kind(value)}")
    if len(value) > MAX_ENVIRONMENT:
        reader.fail(path, f"'env' has at most {MAX_ENVIRONMENT} entries")
    found = []
    for name, text in value.items():
        if not isinstance(text, str):
            reader.fail((*path, name), f"{name[:100]!r} is a text in quotes, not {kind(text)}")
        try:
            found.append(parse_assignment(f"{name}={text}"))
        except (ValueError, BadInput) as error:
            reader.fail((*path, name), str(error))
    return tuple(found)
