"""A Python package: resolved by pip inside a build, locked with the SHA-256 of every archive.

pip's report (``pip install --report``, version 1) has the hashes. Wheels are taken where there are
wheels; what has none is built, in the build's container, and that is said.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_sandbox.errors import IndexUnreachable, SandboxError, SourceUnusable
from mcp_sandbox.model import SourceFacts
from mcp_sandbox.sources import recipe
from mcp_sandbox.sources.names import Source
from mcp_sandbox.sources.recipe import Recipe, Wishes

PYTHON = "/venv/bin/python"
PARTS = ("base", "pip", "pypi")
COPIES = ("--from=installed --chown=65532:65532 /venv /venv",)
ENVIRONMENT = {"PATH": "/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]{1,100}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CONSTRAINT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])? ?"
    r"(?:[<>=!~]{1,3} ?[A-Za-z0-9.*!+_-]{1,60}(?:, ?)?){1,8}"
)

_UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|NameResolutionError|Temporary failure in name resolution|"
    r"Max retries exceeded|ReadTimeoutError|SSLError|50[0-9] Server Error"
)
_MISSING = re.compile(
    r"Could not find a version that satisfies the requirement (\S{1,300}).{0,200}?\(from versions: "
)
_OTHER_PYTHON = re.compile(r"require a different python version: ")


@dataclass(frozen=True)
class Archive:
    """One line of the lock."""

    name: str
    version: str
    sha256: str
    built: bool
    """It has no wheel for this platform."""
    yanked: bool

    @property
    def line(self) -> str:
        """As pip reads it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n"


def asking(source: Source, wishes: Wishes) -> dict[str, bytes]:
    """The context whose stage ``lock`` says what the package is. Raises ``SourceUnusable``."""
    extras = f"[{source.extras}]" if source.extras else ""
    pinned = f"=={source.version}\n"
    return context(
        wishes,
        wanted=f"{source.name}{extras}{pinned}",
        main=f"{source.name}{pinned}",
    )


def context(wishes: Wishes, *, wanted: str, main: str) -> dict[str, bytes]:
    """The same for any requirements; ``main`` is the package whose commands are looked for."""
    for one in wishes.constraints:
        if not _CONSTRAINT.fullmatch(one):
            raise SourceUnusable(
                f"--constraint {one[:100]!r} is none of pip's.", next_step="Write it as `mcp<2`."
            )
    return {
        "Dockerfile": recipe.dockerfile(*PARTS),
        "resolve.sh": recipe.template("resolve-pypi.sh"),
        "system.txt": recipe.system(wishes, "python3"),
        "wanted.txt": wanted.encode(),
        "main.txt": main.encode(),
        "constraints.txt": "".join(f"{one}\n" for one in wishes.constraints).encode(),
    }


def made(source: Source, wishes: Wishes, exported: Mapping[str, bytes]) -> Recipe:
    """The image of a package that a build has resolved.

    Raises ``SourceUnusable`` for a package or version that is not there, cannot be installed or has
    nothing to start, and ``IndexUnreachable``.
    """
    archives = resolved(source.text, source.name, source.version, exported)
    command, why = _command(source, wishes, exported)
    lock = "".join(one.line for one in archives).encode()
    files = asking(source, wishes) | {"lock.txt": lock}
    files["Dockerfile"] = recipe.dockerfile(
        *PARTS, copies=COPIES, environment=ENVIRONMENT, command=command
    )
    facts = SourceFacts(
        asked=source.text,
        resolved=f"{source.name} {source.version}",
        lock=recipe.digest(lock),
        packages=tuple(f"{one.name}=={one.version}" for one in archives),
        command=command,
        why=why,
        notes=notes(archives),
    )
    return Recipe(files, facts)


def notes(archives: tuple[Archive, ...]) -> tuple[str, ...]:
    """What a reader has to know of how it was installed."""
    said = []
    built = [f"{one.name} {one.version}" for one in archives if one.built]
    if built:
        said.append(
            f"built from source, because there is no wheel for this platform: {recipe.named(built)}"
            " (what that needed is not in the lock)"
        )
    yanked = [f"{one.name} {one.version}" for one in archives if one.yanked]
    if yanked:
        said.append(f"withdrawn by who published it: {recipe.named(yanked)}")
    return tuple(said)


def resolved(
    asked: str, name: str, version: str, exported: Mapping[str, bytes]
) -> tuple[Archive, ...]:
    """The archives that pip chose, sorted. Raises as ``made``."""
    if "report.json" not in exported:
        raise _refused(asked, name, version, recipe.text(exported, "log"))
    report = recipe.json_object(exported["report.json"], f"What pip says of {asked}")
    items = report.get("install")
    if not isinstance(items, list) or not 0 < len(items) <= recipe.MAX_PACKAGES:
        raise SourceUnusable(f"What pip says of {asked} names no packages, or too many.")
    return tuple(sorted((_archive(asked, one) for one in items), key=lambda one: one.name.lower()))


def _archive(asked: str, item: Any) -> Archive:
    try:
        about, download = item["metadata"], item["download_info"]
        name, version = str(about["name"]), str(about["version"])
        sha256 = str(download["archive_info"]["hashes"]["sha256"])
        path = str(download["url"]).partition("#")[0]
    except (KeyError, TypeError) as error:
        raise SourceUnusable(f"{asked} needs a package that comes without a hash.") from error
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version) and _SHA256.fullmatch(sha256)):
        raise SourceUnusable(f"{asked} needs a package with an unusable name: {name[:100]!r}.")
    return Archive(name, version, sha256, not path.endswith(".whl"), item.get("is_yanked") is True)


def _command(
    source: Source, wishes: Wishes, exported: Mapping[str, bytes]
) -> tuple[tuple[str, ...], str]:
    """What starts the server, and why that."""
    scripts = console_scripts(recipe.text(exported, "entry_points"))
    modules = [
        one for one in recipe.text(exported, "modules").split("\n") if _MODULE.fullmatch(one)
    ]
    if wishes.entry_point in modules and wishes.entry_point not in scripts:
        return (PYTHON, "-m", wishes.entry_point), "as asked"
    found = recipe.chosen(scripts, source.name, wishes, what="command")
    if found is not None:
        return (f"/venv/bin/{found[0]}",), found[1]
    found = recipe.chosen(modules, source.name, wishes, what="module")
    if found is not None:
        return (PYTHON, "-m", found[0]), f"it has no command; {found[1]}"
    raise SourceUnusable(
        f"{source.text} has nothing to start: no command and no module that can be run.",
        next_step="It may be a library; name the package that has the server.",
    )


def console_scripts(text: str) -> list[str]:
    """The commands of an ``entry_points.txt``; none when it cannot be read."""
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None, strict=False
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    return list(parser["console_scripts"]) if parser.has_section("console_scripts") else []


def _refused(asked: str, name: str, version: str, log: str) -> SandboxError:
    """What pip said, as one sentence."""
    detail = recipe.last_lines(log)
    last = log.rpartition("--- again")[2]
    if _UNREACHABLE.search(last):
        return IndexUnreachable(
            f"The package index could not be asked about {asked} from within the build.",
            detail=detail,
        )
    missing = _MISSING.search(last)
    if missing is None:
        why = (
            "its requirements contradict each other"
            if "ResolutionImpossible" in last
            else "see pip's last words"
        )
        return SourceUnusable(f"{asked} cannot be installed: {why}.", detail=detail)
    wanted = missing[1]
    own = re.split(r"[\[=<>!~;]", wanted)[0]
    if own.lower().replace("_", "-") != name.lower().replace("_", "-"):
        return SourceUnusable(
            f"{asked} cannot be installed: it needs {wanted[:100]}, which is not to be had for "
            "this platform.",
            detail=detail,
        )
    known = last[missing.end() :].partition(")")[0].split(", ")
    if version in known:
        why = "has no archive for this platform"
    elif _OTHER_PYTHON.search(last):
        why = "is not there, or is not for the Python of the image"
    elif known == ["none"]:
        return SourceUnusable(
            f"There is no package {name!r} on the package index, or none for this platform.",
            next_step="Check how it is spelt.",
            detail=detail,
        )
    else:
        newest = ", ".join(known[-5:])[:200]
        why = f"is not there for this platform; the newest that are: {newest}"
    return SourceUnusable(f"Version {version} of {name} {why}.", detail=detail)
