"""Where in the checkout a thing stands that was found in the image.

Only the context and the repository's root are looked into: manifests of other folders describe
other programs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mcp_sandbox.scanners.dockerfile import final_from_line
from mcp_sandbox.scanners.instructions import MAX_BYTES
from mcp_sandbox.scanners.job import Job
from mcp_sandbox.scanners.run import inside, read

MANIFESTS: dict[str, tuple[str, ...]] = {
    "pypi": (
        "requirements.txt",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        "Pipfile",
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
    ),
    "npm": ("package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"),
    "golang": ("go.mod", "go.sum"),
    "cargo": ("Cargo.toml", "Cargo.lock"),
    "gem": ("Gemfile", "Gemfile.lock"),
    "maven": ("pom.xml", "build.gradle", "build.gradle.kts", "gradle.lockfile"),
    "nuget": ("packages.config", "packages.lock.json"),
    "composer": ("composer.json", "composer.lock"),
}
"""Type of a package URL -> files that name its packages, those that people write first."""

_MAX_MANIFEST = 8 * 2**20
_MAX_WORDS = 500_000
_WORD = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._/-]*")
_COMMENT = ("#", "//", ";", "<!--")
_SEPARATORS = re.compile(r"[-_.]+")
# What a distribution or a package manager put there, not the author.
_FOREIGN = frozenset({"usr", "lib", "lib64", "etc", "var", "bin", "sbin", "proc", "sys", "dev"})
_INSTALLED = frozenset({"node_modules", "site-packages", "dist-packages", "vendor", ".venv"})
_MAX_DEPTH = 16


def package_name(name: str) -> str:
    """A package's name as all its spellings share it (PEP 503; harmless to the others)."""
    return _SEPARATORS.sub("-", name.lower())


@lru_cache(maxsize=64)
def _named(data: bytes) -> dict[str, int]:
    """Name of a package -> the first line that holds it as a word."""
    found: dict[str, int] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if line.lstrip().startswith(_COMMENT):
            continue
        for word in _WORD.findall(line):
            found.setdefault(package_name(word.rpartition("node_modules/")[2]), number)
        if len(found) > _MAX_WORDS:
            break
    return found


class Places:
    """The checkout's lines, read once."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dockerfile = job.dockerfile if job.checkout is not None else ""
        self._manifests: dict[str, list[tuple[str, dict[str, int]]]] = {}

    def first_line(self) -> tuple[str, int]:
        """Where things go that have no better place: ``("", 0)`` without a checkout."""
        return (self.dockerfile, 1) if self.dockerfile else ("", 0)

    def base_image(self) -> tuple[str, int]:
        """The ``FROM`` of the final stage."""
        if self.job.checkout is None or not self.dockerfile:
            return "", 0
        source = read(self.job.checkout, self.dockerfile, MAX_BYTES)
        line = final_from_line(source) if source is not None else 0
        return self.dockerfile, line or 1

    def package(self, ecosystem: str, name: str) -> tuple[str, int]:
        """The line of a manifest or lock file that names a package, else the first line."""
        for path, names in self._of(ecosystem):
            line = names.get(package_name(name))
            if line:
                return path, line
        return self.first_line()

    def file(self, path: str) -> str:
        """The file of the context that an author's file in the image was copied from, or empty.

        ``/app/src/server.py`` is ``src/server.py`` or ``server.py`` of the context, whichever is
        there.
        """
        root, context = self.job.checkout, self.job.context
        parts = PurePosixPath(path).parts
        parts = parts[1:] if path.startswith("/") else parts
        if root is None or context is None or not parts or parts[0] in _FOREIGN:
            return ""
        if _INSTALLED & set(parts) or ".." in parts or len(parts) > _MAX_DEPTH:
            return ""
        for start in range(len(parts)):
            candidate = context.joinpath(*parts[start:])
            try:
                there = candidate.is_file() and not candidate.is_symlink()
            except (OSError, ValueError):
                there = False
            if there:
                return inside(root, candidate)
        return ""

    def _of(self, ecosystem: str) -> list[tuple[str, dict[str, int]]]:
        if ecosystem not in self._manifests:
            self._manifests[ecosystem] = list(self._read(ecosystem))
        return self._manifests[ecosystem]

    def _read(self, ecosystem: str) -> list[tuple[str, dict[str, int]]]:
        root, context = self.job.checkout, self.job.context
        if root is None:
            return []
        found: dict[str, dict[str, int]] = {}
        for folder in dict.fromkeys(one for one in (context, root) if one is not None):
            for name in MANIFESTS.get(ecosystem, ()):
                path = _relative(root, folder, name)
                data = read(root, path, _MAX_MANIFEST) if path else None
                if data is not None:
                    found.setdefault(path, _named(data))
        return list(found.items())


def _relative(root: Path, folder: Path, name: str) -> str:
    """The manifest's own path; a link is named by its target."""
    return inside(root, folder / name)
