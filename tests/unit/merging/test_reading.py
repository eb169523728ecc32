"""The part of a report that a table needs, out of files that anybody may have written."""

from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.merging import canonical, reading
from mcp_sandbox.merging.reading import server
from mcp_sandbox.model import Coverage, Verdict
from mcp_sandbox.model.answer import SCHEMA_VERSION, Report
from mcp_sandbox.model.locked import Baseline, BaselineState
from mcp_sandbox.report import json as report_json
from unit.merging.folders import DRIFTED, PASSED, put
from unit.report_samples import HOSTILE, finding, hostile_report, sample_report


def read(folder: Path, report: Report) -> reading.Server:
    return server(put(folder, report, alerts=False), "it")


def refused(folder: Path, data: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_bytes(data)
    with pytest.raises(ReportUnreadable) as caught:
        server(folder, "it")
    assert caught.value.what.endswith(".")
    return caught.value.what


def test_what_a_report_comes_to(tmp_path: Path):
    found = read(tmp_path / "a", replace(sample_report(), drift=None))
    assert (found.verdict, found.score, found.multiplier_class) == (Verdict.FAIL, 0.0, "critical")
    assert found.classes == {"critical": 1, "high": 1, "medium": 1, "note": 1}
    assert (found.tools, found.called, found.drift) == (3, 2, None)
    assert (found.reference, found.image) == ("files", "sha256:" + "ab" * 32)
    assert found.worst[0].startswith("critical command-injection tools/read_file#/path: ")
    assert found.scanners == {"hadolint": "not installed"}


def test_drift_counts_and_what_is_accepted_does_not(tmp_path: Path):
    note = finding("runs-as-root", subject="tools/gone")
    accepted = finding(subject="tools/old", suppressed="known")
    drift = (*(DRIFTED.drift or ()), note, accepted)
    found = read(tmp_path / "a", replace(DRIFTED, drift=drift))
    assert (found.drift, found.classes["critical"], found.classes["note"]) == (1, 1, 1)
    assert len(found.changed) == 2
    assert "tools/new: New words." in found.changed[0]
    assert read(tmp_path / "b", replace(DRIFTED, drift=())).drift == 0


def test_a_report_of_a_run_that_broke_off(tmp_path: Path):
    broken = replace(PASSED, verdict=Verdict.ERROR, score=None, observations=None, error="No disk.")
    found = read(tmp_path / "a", replace(broken, baseline=None))
    assert (found.verdict, found.score, found.reference) == (Verdict.ERROR, None, "")
    assert (found.error, found.baseline) == ("No disk.", "")


def test_which_baseline_counted(tmp_path: Path):
    for state in BaselineState:
        found = read(tmp_path / state, replace(PASSED, baseline=Baseline(state)))
        assert found.baseline == state.value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_read_as_the_reader_of_reports_does(tmp_path: Path, text: str):
    report = hostile_report(text)
    found = read(tmp_path / "a", report)
    whole = report_json.load((tmp_path / "a" / "report.json").read_bytes())
    assert whole.observations is not None
    assert found.reference == reading._cut(whole.observations.image.reference)
    assert found.error == reading._cut(whole.error)
    assert found.verdict is whole.verdict
    assert found.missing == (reading._cut(whole.coverage.missing[0]),)


@settings(max_examples=50)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_moves_what_is_read(tmp_path_factory: pytest.TempPathFactory, one: str, two: str):
    report = replace(hostile_report(one or "x"), error=two, verdict=Verdict.PASS)
    found = read(tmp_path_factory.mktemp("a") / "a", report)
    assert found.verdict is Verdict.PASS
    assert found.error == reading._cut(two.encode("utf-8", "backslashreplace").decode())


def test_many_reasons_are_a_few(tmp_path: Path):
    reasons = tuple(f"{number} {'x' * 1000}" for number in range(50))
    found = read(tmp_path / "a", replace(PASSED, coverage=Coverage(missing=reasons)))
    assert len(found.missing) == reading.MAX_SHOWN + 1
    assert found.missing[-1] == "45 more"
    assert max(map(len, found.missing)) == reading.MAX_TEXT


# --- what is no report ----------------------------------------------------------------------------

TEXT = report_json.dump(sample_report())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"{}\n",
        b"[]\n",
        b"not json",
        b"{\n}\n",
        b"{\n}\n" * 5,
        b'{"schema_version": 2}',
        b"[" * 100_000,
        b"{\n" + b'  "a": 1,\n' * 200 + b"}\n",
        b'{\n  "schema_version": 2,\n  "schema_version": 2\n}\n',
    ],
)
def test_what_is_not_a_report_is_refused(tmp_path: Path, data: bytes):
    assert "not a report" in (said := refused(tmp_path / "a", data)) or "truncated" in said


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_report_is_refused_wherever_it_ends(tmp_path: Path, share: float):
    assert "truncated" in refused(tmp_path / "a", TEXT[: int(len(TEXT) * share)])


def test_a_report_of_another_version_is_refused(tmp_path: Path):
    for version in (SCHEMA_VERSION - 1, SCHEMA_VERSION + 1, '"2"', "null"):
        before, after = f'"schema_version": {SCHEMA_VERSION}', f'"schema_version": {version}'
        said = refused(tmp_path / "a", TEXT.replace(before.encode(), after.encode()))
        assert f"schema version {version}" in said
        assert f"reads version {SCHEMA_VERSION}" in said


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('"verdict": "fail"', '"verdict": "fine"', "verdict"),
        ('"score": 0,', '"score": "0",', "score"),
        ('"drift": null', '"drfit": null', "drfit"),
        ('"suppressed": ""', '"suppressed": null', "suppressed"),
        ('  "profile": "default",\n', "", "profile"),
    ],
)
def test_a_damaged_report_names_where(tmp_path: Path, before: str, after: str, named: str):
    assert before.encode() in TEXT
    assert named in refused(tmp_path / "a", TEXT.replace(before.encode(), after.encode(), 1))


def test_what_follows_the_end_is_refused(tmp_path: Path):
    assert "not a report" in refused(tmp_path / "a", TEXT + b"{\n")


def test_a_file_of_a_gigabyte_is_refused_by_its_size(tmp_path: Path):
    (tmp_path / "report.json").touch()
    os.truncate(tmp_path / "report.json", 2**30)
    with pytest.raises(ReportUnreadable, match="1073741824 bytes, and at most"):
        server(tmp_path, "it")


def test_findings_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canonical, "MAX_KEPT", 2_000)
    assert "more than 2000 bytes of findings" in refused(tmp_path / "a", TEXT)


def test_the_observations_cost_no_memory(tmp_path: Path):
    key = b'  "observations": {\n'
    before, after = TEXT.split(key)
    filler = b'        "' + b"x" * 200_000 + b'",\n' + b'      "{": "}",\n' * 1_000
    (tmp_path / "report.json").write_bytes(before + key + filler * 100 + after)
    assert (tmp_path / "report.json").stat().st_size > 20 * 2**20
    server(put(tmp_path / "warm"), "warm")
    tracemalloc.start()
    found = server(tmp_path, "it")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.reference == "files"
    assert peak < 2 * 2**20


def test_links_pipes_and_folders_are_not_opened(tmp_path: Path):
    real = put(tmp_path / "real")
    for name, make in (
        ("link", lambda path: path.symlink_to(real / "report.json")),
        ("pipe", os.mkfifo),
        ("folder", Path.mkdir),
        ("absent", lambda path: None),
    ):
        (tmp_path / name).mkdir()
        make(tmp_path / name / "report.json")
        with pytest.raises(ReportUnreadable, match=r"report\.json"):
            server(tmp_path / name, "it")


def test_a_file_that_breaks_off_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> dict[str, bytes]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(canonical, "keys", fail)
    put(tmp_path / "a")
    with pytest.raises(
        ReportUnreadable, match=r"report\.json cannot be read: Input/output error\."
    ):
        server(tmp_path / "a", "it")


def test_a_server_is_one_line_of_ascii(tmp_path: Path):
    for number, text in enumerate(HOSTILE):
        line = reading.dumped(read(tmp_path / str(number), hostile_report(text)))
        assert line.decode("ascii").isprintable()
        assert json.loads(line)["name"] == "it"
