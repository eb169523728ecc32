"""Sample files: each is what its ending says, git works with the repositories, none is a secret."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mcp_sandbox import samples
from mcp_sandbox.planted import Matcher, kinds, make, samples_beside, samples_in_scratch

EVERY = kinds.every()
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
REPOSITORY = f"{samples.SCRATCH}/{samples.REPOSITORY}"
REMOTE = f"{samples.SCRATCH}/{samples.REMOTE}"


# --- kinds ----------------------------------------------------------------------------------------


def parts(package: bytes) -> dict[str, ElementTree.Element]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}


def test_every_kind_is_made_small_and_always_the_same() -> None:
    assert set(EVERY) == set(samples.KINDS)
    assert kinds.every() == EVERY
    assert all(0 < len(content) <= 16 * 2**10 for content in EVERY.values())


def test_text_kinds_are_read_by_their_parsers() -> None:
    assert EVERY["txt"].decode().startswith(samples.TEXT)
    assert json.loads(EVERY["json"])["notes"][0]["content"] == samples.TEXT
    assert yaml.safe_load(EVERY["yaml"])["notes"][0]["content"] == samples.TEXT
    rows = list(csv.DictReader(io.StringIO(EVERY["csv"].decode())))
    assert rows[0]["content"] == samples.TEXT
    for kind in ("xml", "svg"):
        ElementTree.fromstring(EVERY[kind])
    compile(EVERY["py"], "notes.py", "exec")


def test_every_offset_of_the_pdf_is_where_its_object_begins() -> None:
    data = EVERY["pdf"]
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF\n\Z", data)[0])
    assert data[start:].startswith(b"xref\n0 ")
    offsets = [int(one) for one in re.findall(rb"(\d{10}) 00000 n \n", data)]
    assert len(offsets) == 9
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(f"{number} 0 obj\n".encode())
    streams = re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", data)
    assert len(streams) == 3
    assert all(int(size) == len(shown) and b"Sample text." in shown for size, shown in streams)


def test_every_chunk_of_the_png_has_its_checksum() -> None:
    data = EVERY["png"]
    at, seen, pixels = 8, [], b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == int.from_bytes(data[at + 8 + size : at + 12 + size])
        seen.append(kind)
        pixels += body if kind == b"IDAT" else b""
        at += 12 + size
    assert seen == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 16 * (1 + 3 * 16)


def test_sound_and_archive_are_read_by_the_standard_library() -> None:
    with wave.open(io.BytesIO(EVERY["wav"])) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (1, 8_000, 800)
    with zipfile.ZipFile(io.BytesIO(EVERY["zip"])) as archive:
        assert archive.read(samples.FILE) == EVERY["txt"]


def test_the_database_has_the_table_that_ordinary_statements_name(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_bytes(EVERY["db"])
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute(f"SELECT * FROM {samples.TABLE}").fetchall()
        assert rows[0] == (1, "First", samples.TEXT)
        connection.execute(f"INSERT INTO {samples.TABLE} (title) VALUES ('x')")


def test_the_document_holds_its_text_and_the_styles_that_it_says_it_has() -> None:
    found = parts(EVERY["docx"])
    texts = [one.text for one in found["word/document.xml"].iter(f"{WORD}t")]
    assert samples.TEXT in texts
    names = [one.get(f"{WORD}val") for one in found["word/styles.xml"].iter(f"{WORD}name")]
    assert {"Normal", "heading 1", "Table Grid"} <= set(names)
    assert "styles.xml" in {one.get("Target") for one in found["word/_rels/document.xml.rels"]}


def test_the_workbook_leads_to_its_sheet() -> None:
    found = parts(EVERY["xlsx"])
    sheets = [one.get("name") for one in found["xl/workbook.xml"].iter(f"{SHEET}sheet")]
    assert sheets == [samples.SHEET]
    (target,) = {one.get("Target") for one in found["xl/_rels/workbook.xml.rels"]}
    cells = [one.get("r") for one in found[f"xl/{target}"].iter(f"{SHEET}c")]
    assert cells == [f"{column}{row}" for row in (1, 2, 3) for column in "ABC"]


@pytest.mark.parametrize("kind", ["docx", "xlsx"])
def test_every_part_of_a_package_has_a_type_and_every_typed_part_is_there(kind: str) -> None:
    found = parts(EVERY[kind])
    named = {one.get("PartName") for one in found["[Content_Types].xml"] if one.get("PartName")}
    assert named == {
        f"/{name}" for name in found if not name.endswith(".rels") and not name.startswith("[")
    }


# --- where they lie -------------------------------------------------------------------------------


def test_no_sample_is_a_secret_and_none_lies_on_a_planted_file() -> None:
    planted = make("r", home="/home/app", directories=("/srv/allow",))
    laid = samples_in_scratch() | samples_beside(("/app", "/srv/allow"))
    everything = b"\0".join(path.encode() + b"\0" + data for path, data in laid.items())
    assert Matcher(planted).find(everything) == ()
    assert not laid.keys() & planted.files.keys()


def test_relative_names_are_found_in_every_folder_but_the_writable_one() -> None:
    assert samples_beside(("/tmp", "/tmp/work")) == {}
    found = samples_beside(("/app", "/"))
    assert found["/app/notes.txt"] == found["/notes.txt"] == EVERY["txt"]
    assert not [path for path in found if "/.git/" in path], "it could not be worked with there"
    assert not [path for path in found if path.endswith(".py")], "a program would import it"
    assert {f"notes.{kind}" for kind in samples.KINDS} - {"notes.py"} <= {
        path.removeprefix("/app/") for path in found
    }


def test_so_many_folders_fit_that_nobody_can_fill_the_image_by_naming_more() -> None:
    found = samples_beside([f"/folder-{number}" for number in range(1_000)])
    assert len({path.split("/")[1] for path in found}) == 5
    assert sum(map(len, found.values())) < 2**18


def test_what_is_to_be_made_is_not_there() -> None:
    laid = "\n".join(samples_in_scratch())
    assert samples.NEW_STEM not in laid
    assert samples.NEW_FOLDER not in laid
    assert f"{samples.SCRATCH}/{samples.SPARE}/" in samples_in_scratch()


# --- git ------------------------------------------------------------------------------------------

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git in the checked-out sample repository, laid out below a folder of the test's."""
    for path, content in samples_in_scratch().items():
        if path.startswith((f"{REPOSITORY}/", f"{REMOTE}/")):
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if path == f"{REPOSITORY}/.git/config":
                content = content.replace(REMOTE.encode(), f"{tmp_path}{REMOTE}".encode())  # noqa: PLW2901
            file.write_bytes(content)
            os.utime(file, (samples.TIME, samples.TIME))

    def run(*arguments: str, folder: str = REPOSITORY) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=tmp_path / folder.lstrip("/"),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_PAGER": "cat"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_git_finds_both_repositories_whole(git: Git) -> None:
    for folder in (REPOSITORY, REMOTE):
        git("fsck", "--strict", folder=folder)
        assert len(git("log", "--format=%H", folder=folder).split()) == 2


def test_git_shows_a_change_of_every_kind(git: Git) -> None:
    status = set(git("status", "--porcelain").splitlines())
    assert status == {"M  README.md", " M notes.txt", "?? draft.txt"}
    assert "+A changed line." in git("diff")
    assert "+A staged line." in git("diff", "--cached")
    assert samples.FILE in git("show", "--stat", "HEAD~0")
    assert git("rev-parse", "--verify", "HEAD~1") == git("rev-parse", f"{samples.TAG}^{{commit}}")
    assert len(git("reflog").splitlines()) == 2


def test_a_look_at_the_repository_rewrites_nothing(git: Git, tmp_path: Path) -> None:
    index = tmp_path / f"{REPOSITORY}/.git/index".lstrip("/")
    before = index.read_bytes()
    git("status")
    assert index.read_bytes() == before


def test_git_works_in_the_repository(git: Git) -> None:
    git("add", samples.FILE)
    git("commit", "-m", "Sample text.")
    assert git("log", "-1", "--format=%an <%ae>").strip() == "Sample Author <author@example.com>"
    git("fetch")
    git("merge", samples.OTHER_BRANCH, "-m", "Merge")
    git("push")
    git("checkout", samples.OTHER_BRANCH)
    assert git("branch", "--format=%(refname:short)").split() == ["develop", "main"]
    pushed = git("rev-parse", samples.BRANCH, folder=REMOTE)
    assert pushed == git("rev-parse", samples.BRANCH)
