"""Where the reports are, and what each server is called."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.errors import BadInput
from mcp_sandbox.merging import places
from mcp_sandbox.merging.places import find, safe


def folder(path: Path, name: str = "report.json") -> Path:
    path.mkdir(parents=True)
    (path / name).touch()
    return path


def names(*folders: Path) -> list[str]:
    return [place.name for place in find(folders).places]


def test_a_folder_is_a_report_or_holds_some_at_any_level(tmp_path: Path):
    folder(tmp_path / "one")
    folder(tmp_path / "deep" / "er" / "two")
    folder(tmp_path / "mcp-sandbox-report-three")
    folder(tmp_path / "four" / "mcp-sandbox-report")
    assert names(tmp_path) == ["four", "one", "three", "two"]
    assert names(tmp_path / "one") == ["one"]
    assert names(tmp_path / "one", tmp_path, tmp_path) == ["four", "one", "three", "two"]


def test_what_a_report_folder_holds_is_not_searched(tmp_path: Path):
    folder(tmp_path / "a")
    folder(tmp_path / "a" / "evidence" / "b")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("trace", sorted(places.TRACES))
def test_a_report_that_is_missing_is_met(tmp_path: Path, trace: str):
    folder(tmp_path / "a", trace)
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == ["a"]


def test_two_servers_of_one_name_are_told_apart_by_their_folders(tmp_path: Path):
    for parts in ("x/night/files", "y/night/files", "x/night/weather", "y/day/weather"):
        folder(tmp_path / parts)
    found = find([tmp_path])
    assert [place.name for place in found.places] == [
        *("day/weather", "night/weather", "x/night/files", "y/night/files"),
    ]
    assert len(found.notes) == 2
    assert "2 servers are called files" in found.notes[0]
    assert str(tmp_path / "x/night/files") in found.notes[0]


def test_names_that_differ_in_what_a_name_cannot_have_differ(tmp_path: Path):
    for name in ("a b", "a?b", "a-b", "A-b"):
        folder(tmp_path / name)
    found = names(tmp_path)
    assert len({name.lower() for name in found}) == 4
    assert all(name.startswith(("a-b", tmp_path.name)) or "-b" in name for name in found)


def test_names_that_differ_in_case_only_are_told_apart(tmp_path: Path):
    folder(tmp_path / "x" / "weather")
    folder(tmp_path / "y" / "Weather")
    assert names(tmp_path) == ["x/weather", "y/Weather"]


def test_the_order_of_the_folders_does_not_matter(tmp_path: Path):
    tops = [folder(tmp_path / str(top) / "same" / "mcp-sandbox-report") for top in range(5)]
    tops += [folder(tmp_path / f"other{top}").parent for top in range(3)]
    first = find(tops)
    for seed in range(10):
        random.Random(seed).shuffle(tops)
        assert find(tops) == first


def test_links_are_not_followed_and_told(tmp_path: Path):
    away = folder(tmp_path / "away" / "secret")
    inside = folder(tmp_path / "in" / "a")
    (tmp_path / "in" / "link").symlink_to(away)
    (tmp_path / "in" / "loop").symlink_to(inside.parent)
    found = find([tmp_path / "in"])
    assert [place.folder for place in found.places] == [inside]
    assert found.notes == ("2 links were not followed.",)
    # A link that was named is what the caller wants.
    assert names(tmp_path / "in" / "link") == ["secret"]


def test_what_is_too_deep_is_told(tmp_path: Path):
    deep = tmp_path.joinpath(*["d"] * 30)
    folder(deep)
    folder(tmp_path / "a")
    found = find([tmp_path])
    assert [place.name for place in found.places] == ["a"]
    assert "too deep" in found.incomplete[0]
    near = tmp_path / "near" / Path(*["n"] * (places.MAX_DEPTH - 1))
    folder(near)
    assert "n" in names(tmp_path / "near")


def test_a_bound_on_entries_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(20):
        folder(tmp_path / str(number))
    monkeypatch.setattr(places, "MAX_ENTRIES", 30)
    found = find([tmp_path])
    assert found.places
    assert found.incomplete == ("Only the first 30 files and folders were looked at.",)


def test_a_bound_on_reports_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(4):
        folder(tmp_path / str(number))
    monkeypatch.setattr(places, "MAX_REPORTS", 3)
    with pytest.raises(BadInput, match="more than 3 reports"):
        find([tmp_path])


def test_a_folder_that_is_none_or_holds_nothing_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    folder(tmp_path / "full")
    for name, words in (("file", "cannot be read"), ("absent", "cannot be read"), ("empty", "no")):
        with pytest.raises(BadInput, match=words) as caught:
            find([tmp_path / "full", tmp_path / name])
        assert str(tmp_path / name) in caught.value.what


@settings(max_examples=300)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_name_means_the_same_everywhere(parts: list[str]):
    name = safe(parts)
    assert name.isascii()
    assert len(name) <= places.MAX_NAME + 9
    for part in name.split("/"):
        assert part not in {"", ".", ".."}
        assert not set(part) - set(places.NAME_CHARACTERS)


def test_a_folder_whose_name_is_no_text_has_a_name(tmp_path: Path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe\n::error::x"
    folder(Path(os.fsdecode(path)))
    (name,) = names(tmp_path)
    assert name == "error-x"
