"""A server that is a package, a bundle or a repository: what it is taken from, and its image.

What a package names is resolved anew each time, in one build; the second build has a lock with
hashes, and the engine remembers what it came to as long as the lock is the same. The files of a
bundle and of a repository are laid out for the whole run: they are what scanners look at, and what
tells how the server is started. No policy and no lock file is taken from them: their author is who
is examined.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mcp_sandbox import interrupts, locate
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import EVIDENCE, ImageFacts, SourceFacts
from mcp_sandbox.pipeline.results import MAX_TRANSCRIPT, PACKED, Results
from mcp_sandbox.settings import Settings
from mcp_sandbox.sources import archive, bundle, checkout, npm, pypi
from mcp_sandbox.sources.names import Kind, Source, parse
from mcp_sandbox.sources.recipe import LOCK_STAGE, RESOLVE_STAGE, Recipe, Wishes

PREFIX = locate.FETCHED


@contextmanager
def brought(
    settings: Settings, phase: Callable[[str], None], environment: Mapping[str, str]
) -> Iterator[Settings]:
    """The settings with the folder of what was fetched or unpacked; the same where nothing is.

    Raises ``SourceUnusable`` and ``IndexUnreachable``.
    """
    source = None if settings.source is None else parse(settings.source)
    if source is None or source.kind not in {Kind.BUNDLE, Kind.GIT}:
        yield settings
        return
    with interrupts.temporary_folder(PREFIX) as folder:
        phase("source")
        if source.kind is Kind.BUNDLE:
            context = folder / bundle.FOLDER
            archive.unpack(Path(source.name), context)
        else:
            checkout.fetch(source, folder, environment)
            context = folder / checkout.FOLDER
        # Commits that the user names are of another repository.
        yield settings.model_copy(update={"context": context, "base": "", "head": ""})


def image(
    store: ImageStore, settings: Settings, environment: Mapping[str, str], results: Results
) -> ImageFacts:
    """The image of ``settings.source``; its files are laid out (see ``brought``).

    What an image of ours is built from is kept among the results. Raises what ``ImageStore.build``
    raises, ``SourceUnusable`` and ``IndexUnreachable``.
    """
    return _Making(store, settings, environment, parse(settings.source or "")).image(results)


def is_bundle(settings: Settings) -> bool:
    """Whether the files of the run are a bundle's: no Dockerfile among them is the image's."""
    return settings.source is not None and parse(settings.source).kind is Kind.BUNDLE


class _Making:
    """The builds of one source."""

    def __init__(
        self,
        store: ImageStore,
        settings: Settings,
        environment: Mapping[str, str],
        source: Source,
    ) -> None:
        self._store = store
        self._settings = settings
        self._environment = environment
        self._source = source
        self._wishes = Wishes(
            entry_point=settings.entry_point,
            constraints=settings.constraint,
            system_packages=settings.system_packages,
            install_scripts=settings.install_scripts,
        )

    def image(self, results: Results) -> ImageFacts:
        """Build it."""
        source, context = self._source, self._settings.context
        if source.kind is Kind.GIT:
            assert context is not None  # noqa: S101 - it was fetched
            facts = SourceFacts(source.text, resolved=checkout.commit(context))
            return self._told(self._built(context, self._settings.dockerfile), facts)
        with interrupts.temporary_folder(PREFIX) as folder:
            recipe = self._recipe(folder / "asking")
            # A bundle is part of the context: what is beside it is ours.
            place = folder / "image" if context is None else context.parent
            place.mkdir(exist_ok=True)
            _lay_out(place, recipe.files)
            made = self._told(self._built(place, None), recipe.facts)
            return self._kept(made, self._store.packed(place, MAX_TRANSCRIPT), results)

    def _kept(
        self, made: ImageFacts, packed: Iterator[bytes] | None, results: Results
    ) -> ImageFacts:
        if packed is None:
            return made
        with results.evidence(PACKED) as write:
            for chunk in packed:
                write(chunk)
        assert made.build is not None  # noqa: S101 - it was built
        return replace(made, build=replace(made.build, packed=f"{EVIDENCE}/{PACKED}"))

    def _told(self, made: ImageFacts, facts: SourceFacts) -> ImageFacts:
        assert made.build is not None  # noqa: S101 - it was built
        build = replace(made.build, source=facts)
        return replace(made, reference=self._source.text, build=build)

    def _built(self, context: Path, dockerfile: Path | None) -> ImageFacts:
        return self._store.build(
            context,
            dockerfile=dockerfile,
            network=self._settings.build_network,
            timeout=self._settings.build_timeout,
            environment=self._environment,
        )

    def _recipe(self, folder: Path) -> Recipe:
        source, wishes = self._source, self._wishes
        if source.kind is Kind.PYPI:
            asked = pypi.asking(source, wishes)
            return pypi.made(source, wishes, self._exported(folder, asked))
        if source.kind is Kind.NPM:
            asked = npm.asking(source, wishes)
            return npm.made(source, wishes, self._exported(folder, asked))
        context = self._settings.context
        assert context is not None  # noqa: S101 - it was unpacked
        read = bundle.read(
            source,
            archive.small(context / bundle.MANIFEST, bundle.MAX_MANIFEST),
            archive.small(context / bundle.PROJECT, bundle.MAX_MANIFEST),
        )
        needs = bundle.asking(read, wishes)
        found = None if needs is None else self._exported(folder, needs)
        with Path(source.name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return bundle.made(source, read, wishes, digest, found)

    def _exported(self, folder: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """What a build says of these files."""
        folder.mkdir()
        _lay_out(folder, files)
        return self._store.export(
            folder,
            stage=LOCK_STAGE,
            anew=RESOLVE_STAGE,
            network=self._settings.build_network,
            timeout=self._settings.build_timeout,
            environment=self._environment,
        )


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o644)  # the same whatever our umask is
