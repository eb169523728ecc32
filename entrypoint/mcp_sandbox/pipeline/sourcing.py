"""The image of a server that is a package: resolved in one build, made in a second one.

What a package names is resolved anew each time; the second build has a lock with hashes, and the
engine remembers what it came to as long as the lock is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mcp_sandbox import interrupts
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import ImageFacts
from mcp_sandbox.settings import Settings
from mcp_sandbox.sources import npm, pypi
from mcp_sandbox.sources.names import Kind, Source, parse
from mcp_sandbox.sources.recipe import LOCK_STAGE, RESOLVE_STAGE, Recipe, Wishes

PREFIX = "mcp-sandbox-source-"


def image(store: ImageStore, settings: Settings, environment: Mapping[str, str]) -> ImageFacts:
    """The image of ``settings.source``.

    Raises what ``ImageStore.build`` raises, ``SourceUnusable`` and ``IndexUnreachable``.
    """
    source = parse(settings.source or "")
    with interrupts.temporary_folder(PREFIX) as folder:
        recipe = _recipe(store, settings, environment, source, folder / "asking")
        made = store.build(
            _laid_out(folder / "image", recipe.files, recipe.executable),
            dockerfile=None,
            network=settings.build_network,
            timeout=settings.build_timeout,
            environment=environment,
        )
    assert made.build is not None  # noqa: S101 - it was built
    return replace(made, reference=source.text, build=replace(made.build, source=recipe.facts))


def _recipe(
    store: ImageStore,
    settings: Settings,
    environment: Mapping[str, str],
    source: Source,
    folder: Path,
) -> Recipe:
    wishes = Wishes(
        entry_point=settings.entry_point,
        constraints=settings.constraint,
        system_packages=settings.system_packages,
        install_scripts=settings.install_scripts,
    )

    def exported(files: Mapping[str, bytes]) -> dict[str, bytes]:
        return store.export(
            _laid_out(folder, files),
            stage=LOCK_STAGE,
            anew=RESOLVE_STAGE,
            network=settings.build_network,
            timeout=settings.build_timeout,
            environment=environment,
        )

    if source.kind is Kind.PYPI:
        return pypi.made(source, wishes, exported(pypi.asking(source, wishes)))
    return npm.made(source, wishes, exported(npm.asking(source, wishes)))


def _laid_out(
    folder: Path, files: Mapping[str, bytes], executable: frozenset[str] = frozenset()
) -> Path:
    """A folder with these files."""
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name in executable else 0o644)
    return folder
