"""What an image of a source is built from: a template, a lock with hashes, and what is said of it.

Nothing here reads or runs a package: a build resolves it, in containers of its own, and hands its
answer over as a few files, which may be whatever the package wanted them to be.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_sandbox.errors import SourceUnusable
from mcp_sandbox.model import SourceFacts

LOCK_STAGE = "lock"
"""The stage that a build exports: what was resolved."""
RESOLVE_STAGE = "resolved"
"""The stage that is run anew each time: what it names may be published at any moment."""

MAX_PACKAGES = 5_000
MAX_NAMED = 20
"""Packages that a sentence names."""
LOG_LINES = 15
KEPT = ("/home/server",)
"""The home: writable, as it is where people run a package."""

_SYSTEM = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
_BASE = ("ca-certificates",)


@dataclass(frozen=True)
class Wishes:
    """What a user wants of the image."""

    entry_point: str = ""
    """Command of the package; empty for the one that suggests itself."""
    constraints: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    install_scripts: bool = False


@dataclass(frozen=True)
class Recipe:
    """A build context, and what is said of it."""

    files: dict[str, bytes]
    """Name -> content; ``Dockerfile`` is one of them."""
    facts: SourceFacts


def template(name: str) -> bytes:
    """A file of ``templates/``."""
    return importlib.resources.files(__package__).joinpath("templates", name).read_bytes()


def digest(lock: bytes) -> str:
    """How a lock is known."""
    return hashlib.sha256(lock).hexdigest()


def dockerfile(
    *parts: str,
    copies: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> bytes:
    """A Dockerfile of templates; with a ``command``, what they made becomes an image of its own.

    ``copies`` are the arguments of its COPY instructions. Raises ``SourceUnusable`` for an
    environment that no Dockerfile can hold.
    """
    made = [template(f"{part}.Dockerfile").decode("ascii") for part in parts]
    if command:
        made.append("\nFROM base\n")
        made += [f"COPY {one}\n" for one in copies]
        made += [f"ENV {_assignment(*pair)}\n" for pair in (environment or {}).items()]
        # Said, so that nobody takes its absence for something that the package lacks.
        made.append("HEALTHCHECK NONE\n")
        # In memory and writable when it runs: many a program keeps something there.
        made.append(f"VOLUME {json.dumps(KEPT)}\n")
        made.append("USER 65532:65532\nWORKDIR /home/server\n")
        made.append(f"ENTRYPOINT {json.dumps(list(command))}\n")
        made += [f"CMD {json.dumps(list(arguments))}\n"] if arguments else []
    return "".join(made).encode("utf-8")


def _assignment(name: str, value: str) -> str:
    if not _VARIABLE.fullmatch(name) or not value.isprintable():
        raise SourceUnusable(f"The variable {name[:100]!r} cannot be set in an image.")
    escaped = re.sub(r'([\\"$])', r"\\\1", value)
    return f'{name}="{escaped}"'


def system(wishes: Wishes, *needed: str) -> bytes:
    """Debian's packages for ``system.txt``. Raises ``SourceUnusable`` for what is no name."""
    for name in wishes.system_packages:
        if not _SYSTEM.fullmatch(name):
            raise SourceUnusable(f"--system-packages {name[:100]!r} is no name of a package.")
    names = sorted({*_BASE, *needed, *wishes.system_packages})
    return "".join(f"{name}\n" for name in names).encode()


def chosen(
    commands: Sequence[str], package: str, wishes: Wishes, *, what: str
) -> tuple[str, str] | None:
    """The command that starts a package, and why that one; ``None`` when it has none.

    ``what`` is how its kind is called. Raises ``SourceUnusable`` when a wish is not among them, and
    when nothing tells which one is meant.
    """
    usable = sorted(name for name in set(commands) if _COMMAND.fullmatch(name))
    listed = named(usable)
    if wishes.entry_point:
        if wishes.entry_point in usable:
            return wishes.entry_point, "as asked"
        raise SourceUnusable(
            f"{package} has no {what} {wishes.entry_point[:100]!r}; it has {listed or 'none'}.",
            next_step="Name one of them with --entry-point, or leave it out.",
        )
    if not usable:
        return None
    own = [name for name in usable if _normal(name) == _normal(package)]
    if own:
        return own[0], f"the {what} named like the package"
    if len(usable) == 1:
        return usable[0], f"its only {what}"
    likely = [name for name in usable if "mcp" in name.lower()]
    if len(likely) == 1:
        return likely[0], f"its only {what} with mcp in the name"
    raise SourceUnusable(
        f"{package} has several {what}s, and none tells that it is the server: {listed}.",
        next_step="Name one of them with --entry-point.",
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.rpartition("/")[2]).lower()


def named(names: Sequence[str]) -> str:
    """Names in one line, not too many."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(name[:100] for name in names[:MAX_NAMED]) + more


def last_lines(log: str) -> str:
    """The end of a log, for the detail of an error."""
    return "\n".join(line[:500] for line in log.rstrip().splitlines()[-LOG_LINES:])


def text(exported: Mapping[str, bytes], name: str) -> str:
    """A file that a build has left; empty when it has not."""
    return exported.get(name, b"").decode("utf-8", "replace")


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """Raises ``SourceUnusable`` for what is no JSON object."""
    try:
        made = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceUnusable(f"{what} cannot be read: it is no JSON.") from error
    if not isinstance(made, dict):
        raise SourceUnusable(f"{what} cannot be read: it is no JSON object.")
    return made
