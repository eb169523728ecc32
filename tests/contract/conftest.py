"""What the tests with a real engine share. No engine is a failure of such a test, never a skip."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest

from mcp_sandbox import proc
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import ImageFacts
from mcp_sandbox.sandbox import Engine
from support import acting
from support.front_door import QUICK, Done, Door
from support.on_engine import (
    BASE,
    CORPUS_FILES,
    ROOT,
    START_HOSTILE,
    WITH_PYTHON,
    labelled,
    remove_bundle,
)
from support.sarif_judges import complaints, modules, schema
from support.scanning import Scanner

__all__ = ["complaints", "modules", "schema"]
"""Fixtures that are defined elsewhere."""

Build = Callable[..., ImageFacts]
Scans = dict[str, Done]


@pytest.fixture(scope="session")
def docker_host() -> str | None:
    """The engine's address, as the command would find it."""
    return os.environ.get("DOCKER_HOST")


@pytest.fixture(scope="session")
def engine(docker_host: str | None) -> Iterator[Engine]:
    with Engine(docker_host) as found:
        yield found


@pytest.fixture(scope="session")
def store(docker_host: str | None) -> Iterator[ImageStore]:
    """The images of this test session; removed at its end."""
    made = ImageStore(docker_host, f"test-{secrets.token_hex(4)}")
    yield made
    made.remove_built()
    made.close()


@pytest.fixture(scope="session")
def base_image(store: ImageStore) -> ImageFacts:
    return store.take(BASE)


@pytest.fixture(scope="session")
def build(store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds an image of a Dockerfile's text and files."""

    def make(dockerfile: str, files: Mapping[str, str] | None = None) -> ImageFacts:
        folder: Path = tmp_path_factory.mktemp("context")
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return store.build(
            folder, dockerfile=None, network="default", timeout=300, environment=os.environ
        )

    return make


@pytest.fixture(scope="session")
def helper_image(docker_host: str | None, engine: Engine) -> Iterator[str]:
    """The image of this checkout, built as its users build it; the builder's cache makes it quick.

    The volume that runs made of it goes with the session.
    """
    tag = f"mcp-sandbox-test-{secrets.token_hex(4)}"
    fixed = {} if docker_host is None else {"DOCKER_HOST": docker_host}
    done = proc.run(
        (str(ROOT / "scripts" / "build-image.sh"), tag),
        environment=proc.allowed_environment(os.environ, **fixed),
        timeout=900,
    )
    assert done.succeeded, done.stderr.decode("utf-8", "replace")[-2000:]
    id_ = str(engine.api.inspect_image(tag)["Id"])
    yield id_
    remove_bundle(engine, id_)
    engine.api.remove_image(tag, force=True)


@pytest.fixture(scope="session")
def corpus_image(build: Build) -> ImageFacts:
    """The hostile server; its argument is a mode."""
    return build(WITH_PYTHON + START_HOSTILE, CORPUS_FILES)


@pytest.fixture
def door(
    tmp_path: Path, docker_host: str | None, helper_image: str, engine: Engine
) -> Iterator[Door]:
    """The installed command; afterwards nothing that it made is left."""
    made = Door(tmp_path, docker_host, "--helper-image", helper_image, *QUICK)
    yield made
    made.close()
    remove_bundle(engine, helper_image, made.label)  # which stays for the next run
    assert labelled(engine, made.label) == []
    assert made.left_here() == []


# --- families of servers that act on their machine: a file of tests names one, FAMILY -------------


@pytest.fixture(scope="session")
def scanner(engine: Engine, docker_host: str | None, helper_image: str) -> Scanner:
    """Scans modes of a family, and looks that nothing is left of it."""
    return Scanner(engine, docker_host, helper_image)


@pytest.fixture(scope="session")
def family_images(build: Build) -> dict[str, ImageFacts]:
    """Family -> its image, whose argument is a mode."""
    return {
        family: build(acting.WITH_TOOLS + acting.start(family), CORPUS_FILES)
        for family in acting.FAMILIES
    }


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, family_images: dict[str, ImageFacts]) -> ImageFacts:
    """The image of the file's family."""
    return family_images[request.module.FAMILY]


@pytest.fixture(scope="session")
def scanned(
    scanner: Scanner,
    family_images: dict[str, ImageFacts],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Collection[str]], Scans]:
    """Gives one whole scan of each of a family's modes, made once however many files ask for it."""
    kept: dict[tuple[str, str], Done] = {}

    def give(family: str, modes: Collection[str]) -> Scans:
        expected = acting.expectations(family)
        wanted = {mode: expected[mode] for mode in modes if (family, mode) not in kept}
        made = scanner.modes(family_images[family].id, wanted, tmp_path_factory.mktemp(family))
        kept.update({(family, mode): done for mode, done in made.items()})
        return {mode: kept[family, mode] for mode in modes}

    return give


@pytest.fixture(scope="module")
def scans(
    request: pytest.FixtureRequest, scanned: Callable[[str, Collection[str]], Scans]
) -> Scans:
    """One whole scan of each mode that a selected test of the file asks for."""
    return scanned(request.module.FAMILY, acting.selected(request))
