"""An npm package: resolved by npm inside a build, locked with the hash of every archive.

The lock file (``package-lock.json``, version 3) has all that is needed: hashes, commands (``bin``),
and which packages would run a script of theirs while they are installed.

An optional package that is not to be had is left out of the lock by npm, and then missed in it by
``npm ci``, which compares the two: what asks for it is taken out of the lock, and that is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_sandbox.errors import IndexUnreachable, SandboxError, SourceUnusable
from mcp_sandbox.model import SourceFacts
from mcp_sandbox.sources import recipe
from mcp_sandbox.sources.names import Source
from mcp_sandbox.sources.recipe import Recipe, Wishes

PARTS = ("base", "node", "npm")
TOOLS = ("python3-venv",)
COMPILERS = ("g++", "make", "pkgconf")
"""What scripts build native modules with; left behind, as npm is."""
NODE = "--from=node /opt/node/bin/node /usr/local/bin/node"
MAX_PATH = 1_000
"""Characters of a path in a lock that are looked at."""
MAX_OPTIONAL = 10_000
"""Wishes for optional packages in a lock."""
_CONSTRAINT = re.compile(
    r"(?P<name>(?:@[a-z0-9~-][a-z0-9._~-]{0,99}/)?[a-z0-9~-][a-z0-9._~-]{0,199})"
    r"@(?P<range>[0-9A-Za-z^~<>=.*| +-]{1,60})"
)
_UNREACHABLE = re.compile(
    r"\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|"
    r"ERR_SOCKET_TIMEOUT|CERT_[A-Z_]+|SELF_SIGNED_CERT\w*|UNABLE_TO_\w+|E50[0-9]|E429)\b"
)
_NO_VERSION = re.compile(r"No matching version found for (\S{1,300}?)\.?(?:\s|$)")
_NO_PACKAGE = re.compile(r"'(\S{1,300}?)' (?:could not be found|is not in this registry)")


def asking(source: Source, wishes: Wishes) -> dict[str, bytes]:
    """The context whose stage ``lock`` says what the package is. Raises ``SourceUnusable``."""
    overrides = {}
    for one in wishes.constraints:
        match = _CONSTRAINT.fullmatch(one)
        if match is None:
            raise SourceUnusable(
                f"--constraint {one[:100]!r} is none of npm's.", next_step="Write it as `zod@^3`."
            )
        overrides[match["name"]] = match["range"]
    package: dict[str, Any] = {
        "name": "server-under-test",
        "version": "0.0.0",
        "private": True,
        "dependencies": {source.name: source.version},
    }
    if overrides:
        package["overrides"] = overrides
    return {
        "Dockerfile": recipe.dockerfile(*PARTS),
        "resolve.sh": recipe.template("resolve-npm.sh"),
        **node(wishes),
        "system.txt": recipe.system(wishes),
        "package.json": json.dumps(package, indent=2).encode(),
    }


def node(wishes: Wishes) -> dict[str, bytes]:
    """What the stage ``node`` of the templates wants in its context."""
    tools = (*TOOLS, *COMPILERS) if wishes.install_scripts else TOOLS
    return {
        "node.txt": recipe.template("node.txt"),
        "tools.txt": "".join(f"{one}\n" for one in tools).encode(),
    }


def made(source: Source, wishes: Wishes, exported: Mapping[str, bytes]) -> Recipe:
    """The image of a package that a build has resolved.

    Raises ``SourceUnusable`` for a package or version that is not there, cannot be installed or has
    nothing to start, and ``IndexUnreachable``.
    """
    if "package-lock.json" not in exported:
        raise _refused(source, recipe.text(exported, "log"))
    lock, left_out = _without_unavailable(source, exported["package-lock.json"])
    packages = _packages(source, lock)
    own = packages.get(f"node_modules/{source.name}", {})
    if own.get("version") != source.version:
        raise SourceUnusable(f"npm did not resolve {source.text} to that version.")
    commands = own.get("bin")
    names = [str(one) for one in commands] if isinstance(commands, dict) else []
    found = recipe.chosen(names, source.name, wishes, what="command")
    if found is None:
        raise SourceUnusable(
            f"{source.text} has nothing to start: its package.json names no `bin`.",
            next_step="It may be a library; name the package that has the server.",
        )
    files = asking(source, wishes)
    files["package-lock.json"] = lock
    files["npmrc"] = f"ignore-scripts={str(not wishes.install_scripts).lower()}\n".encode()
    command = (f"/app/node_modules/.bin/{found[0]}",)
    copies = (NODE, "--from=installed --chown=65532:65532 /app /app")
    files["Dockerfile"] = recipe.dockerfile(*PARTS, copies=copies, command=command)
    facts = SourceFacts(
        asked=source.text,
        resolved=f"{source.name} {source.version}",
        lock=recipe.digest(lock),
        packages=tuple(
            sorted(
                f"{path.rpartition('node_modules/')[2]}@{about.get('version', '')}"[:300]
                for path, about in packages.items()
                if path
            )
        ),
        command=command,
        why=found[1],
        scripts=wishes.install_scripts,
        notes=(*_unavailable(left_out), *_notes(own, packages, wishes)),
    )
    return Recipe(files, facts)


def _without_unavailable(source: Source, lock: bytes) -> tuple[bytes, list[str]]:
    """The lock without wishes for optional packages that are nowhere in it, and their names.

    As bytes the same when there are none. Raises ``SourceUnusable``.
    """
    packages = _packages(source, lock)
    optional = {
        path: wishes
        for path, about in packages.items()
        if isinstance(wishes := about.get("optionalDependencies"), dict)
    }
    if sum(map(len, optional.values())) > MAX_OPTIONAL:
        raise SourceUnusable(f"What npm says of {source.text} names too many optional packages.")
    names: set[str] = set()
    kept = {}
    for path, wishes in optional.items():
        folders = _folders(path)
        missing = {name for name in wishes if not any(one + name in packages for one in folders)}
        kept[path] = {name: wish for name, wish in wishes.items() if name not in missing}
        names |= missing
    if not names:
        return lock, []
    whole = recipe.json_object(lock, f"What npm says of {source.text}")
    for path, wishes in kept.items():
        whole["packages"][path]["optionalDependencies"] = wishes
    return json.dumps(whole, indent=2).encode() + b"\n", sorted(names)


def _folders(path: str) -> list[str]:
    """Where Node looks for a package from this path: beside it, and beside what is around it."""
    found = []
    place = path[:MAX_PATH]
    while place:
        found.append(f"{place}/node_modules/")
        place = place.rpartition("node_modules/")[0].rstrip("/")
    return [*found, "node_modules/"]


def _unavailable(names: Sequence[str]) -> tuple[str, ...]:
    """The sentence about them."""
    said = f"optional packages that are not to be had were left out: {recipe.named(names)}"
    return (said,) if names else ()


def _packages(source: Source, lock: bytes) -> dict[str, dict[str, Any]]:
    found = recipe.json_object(lock, f"What npm says of {source.text}").get("packages")
    if not isinstance(found, dict) or len(found) > recipe.MAX_PACKAGES:
        raise SourceUnusable(f"What npm says of {source.text} names no packages, or too many.")
    return {path: about for path, about in found.items() if isinstance(about, dict)}


def _notes(
    own: Mapping[str, Any], packages: Mapping[str, Mapping[str, Any]], wishes: Wishes
) -> tuple[str, ...]:
    """What a reader has to know of how it was installed."""
    said = []
    scripts = sorted(
        path.rpartition("node_modules/")[2]
        for path, about in packages.items()
        if about.get("hasInstallScript") is True
    )
    if scripts:
        did = "ran while they were installed" if wishes.install_scripts else "were not run"
        said.append(f"install scripts of these packages {did}: {recipe.named(scripts)}")
    bare = sorted(
        path.rpartition("node_modules/")[2]
        for path, about in packages.items()
        if path and not about.get("integrity") and not (about.get("inBundle") or about.get("link"))
    )
    if bare:
        said.append(f"without a hash: {recipe.named(bare)}")
    if deprecated := own.get("deprecated"):
        said.append(f"deprecated by who published it: {str(deprecated)[:300]}")
    return tuple(said)


def _refused(source: Source, log: str) -> SandboxError:
    """What npm said, as one sentence."""
    detail = recipe.last_lines(log)
    if _UNREACHABLE.search(log):
        return IndexUnreachable(
            f"The package index could not be asked about {source.text} from within the build.",
            detail=detail,
        )
    if version := _NO_VERSION.search(log):
        if version[1] == f"{source.name}@{source.version}":
            return SourceUnusable(
                f"Version {source.version} of {source.name} is not there.", detail=detail
            )
        return SourceUnusable(
            f"{source.text} cannot be installed: it needs {version[1][:100]}, which is not there.",
            detail=detail,
        )
    if package := _NO_PACKAGE.search(log):
        wanted = package[1]
        if wanted.rpartition("@")[0] == source.name:
            return SourceUnusable(
                f"There is no package {source.name!r} on the package index.",
                next_step="Check how it is spelt.",
                detail=detail,
            )
        return SourceUnusable(
            f"{source.text} cannot be installed: it needs {wanted[:100]}, which is not there.",
            detail=detail,
        )
    return SourceUnusable(
        f"{source.text} cannot be installed: see npm's last words.", detail=detail
    )
