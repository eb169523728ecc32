"""Things of the image find their line in the checkout, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sandbox.scanners import places as places_module
from mcp_sandbox.scanners.places import Places
from support.scanners import job


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "Dockerfile").write_text("FROM a\n")
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("ecosystem", "file", "text", "name", "line"),
    [
        ("pypi", "requirements.txt", "# foo-bar\nfoo==1\nFoo_Bar[x]>=2\n", "foo.bar", 3),
        ("pypi", "pyproject.toml", '[project]\ndependencies = [\n  "foo>=1",\n]\n', "Foo", 3),
        ("pypi", "uv.lock", '[[package]]\nname = "foo"\n', "foo", 2),
        ("npm", "package.json", '{\n "dependencies": {\n  "@a/b": "1"}}\n', "@a/b", 3),
        ("npm", "package-lock.json", '{\n"node_modules/x/node_modules/b": {}}', "b", 2),
        ("golang", "go.mod", "module m\nrequire host.example/x/y v1.2.3\n", "host.example/x/y", 2),
        ("cargo", "Cargo.toml", '[dependencies]\nfoo = "1"\n', "foo", 2),
    ],
)
def test_a_package_is_found_where_people_write_it(
    tmp_path: Path, checkout: Path, *, ecosystem: str, file: str, text: str, name: str, line: int
) -> None:
    (checkout / file).write_text(text)
    assert Places(job(tmp_path, checkout)).package(ecosystem, name) == (file, line)


def test_a_part_of_a_word_is_no_package(tmp_path: Path, checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("foobar==1\nmy-foo==2\n")
    found = Places(job(tmp_path, checkout))
    assert found.package("pypi", "foo") == ("Dockerfile", 1)
    assert found.package("npm", "foobar") == ("Dockerfile", 1)


def test_a_manifest_that_leads_out_or_is_too_large_is_not_read(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside.txt").write_text("foo==1\n")
    (checkout / "requirements.txt").symlink_to("../outside.txt")
    assert Places(job(tmp_path, checkout)).package("pypi", "foo") == ("Dockerfile", 1)
    (checkout / "requirements.txt").unlink()
    (checkout / "requirements.txt").write_text("foo==1\n")
    assert Places(job(tmp_path, checkout)).package("pypi", "foo") == ("requirements.txt", 1)
    monkeypatch.setattr(places_module, "_MAX_MANIFEST", 3)
    assert Places(job(tmp_path, checkout)).package("pypi", "foo") == ("Dockerfile", 1)


def test_a_dockerfile_that_does_not_parse_has_a_first_line(tmp_path: Path, checkout: Path) -> None:
    (checkout / "Dockerfile").write_text("NONSENSE\n")
    assert Places(job(tmp_path, checkout)).base_image() == ("Dockerfile", 1)
    (checkout / "Dockerfile").unlink()
    assert Places(job(tmp_path, checkout)).base_image() == ("Dockerfile", 1)
