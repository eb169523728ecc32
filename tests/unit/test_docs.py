"""Generated documentation is what its generator returns."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generate()


@pytest.mark.parametrize("name", sorted(GENERATE.GENERATORS))
def test_generated_file_is_fresh(name: str):
    assert GENERATE.is_fresh(name), f"run `python docs/generate.py {name}`"


def test_a_stale_file_is_named_and_mended(tmp_path, monkeypatch, capsys):
    path = tmp_path / "made.txt"
    path.write_text("old")
    monkeypatch.setitem(GENERATE.GENERATORS, "made", (path, lambda: "new"))
    assert GENERATE.main(["--check", "made"]) == 1
    assert "made.txt is stale" in capsys.readouterr().out
    assert path.read_text() == "old"
    assert GENERATE.main(["made"]) == 0
    assert path.read_text() == "new"
    assert GENERATE.main(["--check", "made"]) == 0


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit) as stopped:
        GENERATE.main(["no-such-file"])
    assert stopped.value.code == 2


def test_the_image_of_a_release_stays_in_action_yml(tmp_path, monkeypatch):
    pinned = f"docker://ghcr.io/org/x@sha256:{'ab' * 32}"
    released = tmp_path / "action.yml"
    released.write_text(GENERATE.action().replace("image: Dockerfile", f"image: {pinned}"))
    monkeypatch.setattr(GENERATE, "ACTION", released)
    assert f"  image: {pinned}\n" in GENERATE.action()
    assert GENERATE.action() == released.read_text()
