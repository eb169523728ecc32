"""Bundles that want to be more than a folder of files."""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_sandbox.errors import SourceUnusable
from mcp_sandbox.sources import archive

Make = Callable[[zipfile.ZipFile], None]


def packed(tmp_path: Path, make: Make) -> Path:
    file = tmp_path / "x.mcpb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two entries of one name
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            make(made)
    return file


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    made.compress_type = zipfile.ZIP_DEFLATED
    return made


def test_what_is_in_it_is_laid_out(tmp_path: Path):
    def make(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", "{}")
        made.mkdir("server")
        made.writestr(entry("server/run", stat.S_IFREG | 0o755), "#!")
        made.writestr(entry("server/deep/data", stat.S_IFREG | 0o4600), b"\0" * 100)

    file = packed(tmp_path, make)
    # Who signs a bundle writes behind its end.
    file.write_bytes(file.read_bytes() + b"SIGNATURE" * 100)
    folder = tmp_path / "into"
    archive.unpack(file, folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    assert set(found) == {
        "manifest.json",
        "server",
        "server/run",
        "server/deep",
        "server/deep/data",
    }
    assert stat.S_IMODE(found["server/run"].stat().st_mode) == 0o755
    assert stat.S_IMODE(found["server/deep/data"].stat().st_mode) == 0o644
    assert found["server/deep/data"].read_bytes() == b"\0" * 100
    assert archive.small(found["manifest.json"], 2) == b"{}"
    assert archive.small(found["manifest.json"], 1) is None
    assert archive.small(folder / "none", 1) is None


NAMES = (
    *("../out", "/etc/x", "a/../../x", "a//b", "./a", "a/./b", "a\\..\\b", "C:/x", "a\nb"),
    "x" * 1_001,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str):
    file = packed(tmp_path, lambda made: made.writestr(name, "x"))
    with pytest.raises(SourceUnusable, match="which is no path inside it"):
        archive.unpack(file, tmp_path / "into")
    assert not list((tmp_path / "into").rglob("*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_only_files_and_folders_are_taken(tmp_path: Path, kind: int):
    file = packed(tmp_path, lambda made: made.writestr(entry("a", kind | 0o777), "/etc/passwd"))
    with pytest.raises(SourceUnusable, match="neither file nor folder"):
        archive.unpack(file, tmp_path / "into")


def twice(made: zipfile.ZipFile) -> None:
    made.writestr("a", "1")
    made.writestr("a", "2")


def below_a_file(made: zipfile.ZipFile) -> None:
    made.writestr("a", "1")
    made.writestr("a/b", "2")


@pytest.mark.parametrize(("make", "said"), [(twice, "twice"), (below_a_file, "cannot be unpacked")])
def test_a_name_stands_for_one_file(tmp_path: Path, make: Make, said: str):
    with pytest.raises(SourceUnusable, match=said):
        archive.unpack(packed(tmp_path, make), tmp_path / "into")


def test_a_bomb_goes_off_outside(tmp_path: Path):
    file = packed(tmp_path, lambda made: made.writestr("a", b"\0" * (archive.FREE + 2**20)))
    assert file.stat().st_size < 100_000
    with pytest.raises(SourceUnusable, match="far more than its size suggests"):
        archive.unpack(file, tmp_path / "into")
    assert (tmp_path / "into" / "a").stat().st_size <= archive.FREE


def test_a_size_that_is_declared_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "FREE", 1_000)
    monkeypatch.setattr(archive, "MAX_RATIO", 1)
    file = packed(tmp_path, lambda made: made.writestr("a", b"\0" * 100_000))
    data = bytearray(file.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    file.write_bytes(data)
    with pytest.raises(SourceUnusable):
        archive.unpack(file, tmp_path / "into")
    assert sum(path.stat().st_size for path in (tmp_path / "into").rglob("*")) <= 1_000


def test_entries_are_bounded_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make(made: zipfile.ZipFile) -> None:
        for number in range(50):
            made.writestr(str(number), "")

    file = packed(tmp_path, make)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 49)
    with pytest.raises(SourceUnusable, match="more than 49 entries"):
        archive.unpack(file, tmp_path / "into")
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 1_000)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(SourceUnusable, match="more entries than a bundle may have"):
        archive.unpack(file, tmp_path / "into")


def test_a_directory_of_the_larger_kind_is_refused(tmp_path: Path):
    file = packed(tmp_path, lambda made: made.writestr("a", "x"))
    data = file.read_bytes()
    at = data.rfind(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)
    file.write_bytes(data[:at] + locator + data[at:])
    with pytest.raises(SourceUnusable, match="more entries than a bundle may have"):
        archive.unpack(file, tmp_path / "into")


@pytest.mark.parametrize("keep", [0, 10, 40, -1, -30])
def test_a_truncated_one_is_told(tmp_path: Path, keep: int):
    file = packed(tmp_path, lambda made: made.writestr("a", os.urandom(100)))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SourceUnusable, match="is no zip, or a damaged one"):
        archive.unpack(file, tmp_path / "into")


def test_damaged_content_is_told(tmp_path: Path):
    file = packed(tmp_path, lambda made: made.writestr("a", "hello " * 100))
    data = bytearray(file.read_bytes())
    data[35:45] = b"\xff" * 10
    file.write_bytes(data)
    with pytest.raises(SourceUnusable, match="is no zip, or a damaged one"):
        archive.unpack(file, tmp_path / "into")


def test_an_encrypted_one_is_told(tmp_path: Path):
    file = packed(tmp_path, lambda made: made.writestr("a", "hello"))
    data = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rfind(signature) + offset] |= 1
    file.write_bytes(data)
    with pytest.raises(SourceUnusable, match="is encrypted"):
        archive.unpack(file, tmp_path / "into")


def test_what_is_no_file_is_told(tmp_path: Path):
    with pytest.raises(SourceUnusable, match="There is no bundle"):
        archive.unpack(tmp_path / "none", tmp_path / "into")
    with pytest.raises(SourceUnusable, match="cannot be unpacked"):
        archive.unpack(tmp_path, tmp_path / "into")


def test_a_large_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "MAX_FILE", 10)
    file = packed(tmp_path, lambda made: made.writestr("a", "x"))
    with pytest.raises(SourceUnusable, match="is larger than 0 MiB"):
        archive.unpack(file, tmp_path / "into")
