"""Many reports as one answer: SARIF within GitHub's limits, a table, a page, JSON."""

from __future__ import annotations

import json
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mcp_sandbox.errors import BadInput, OutputFailed, ReportUnreadable
from mcp_sandbox.merging import alerts, files, join, lists, spool, table
from mcp_sandbox.merging.files import Folder
from mcp_sandbox.model import ScannerRun, ScannerState, Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import escape, sarif
from support.sarif_lint import lint
from unit.merging.folders import DRIFTED, PASSED, logs, merge, put, servers
from unit.report_samples import (
    HOSTILE,
    finding,
    hostile_report,
    issue,
    sample_report,
    with_scanners,
)

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def judged(verdict: Verdict, **changes: object) -> Report:
    return replace(PASSED, verdict=verdict, **changes)  # type: ignore[arg-type]


# --- the verdict ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("pass", "pass"), "pass"),
        (("pass", "inconclusive"), "inconclusive"),
        (("inconclusive", "error"), "error"),
        (("error", "fail", "pass"), "fail"),
    ],
)
def test_the_worst_of_all_decides(tmp_path: Path, verdicts: tuple[str, ...], worst: str):
    for number, verdict in enumerate(verdicts):
        put(tmp_path / "in" / str(number), judged(Verdict(verdict)), alerts=verdict != "error")
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.verdict == worst
    assert merged.verdicts == {
        **dict.fromkeys([*Verdict, "unreadable"], 0),
        **{one: verdicts.count(one) for one in verdicts},
    }


def test_what_cannot_be_read_is_named_and_no_pass_and_the_others_are_kept(tmp_path: Path):
    put(tmp_path / "in" / "good")
    data = (put(tmp_path / "in" / "cut") / "report.json").read_bytes()
    (tmp_path / "in" / "cut" / "report.json").write_bytes(data[:900])
    newer = put(tmp_path / "in" / "newer") / "report.json"
    newer.write_bytes(re.sub(rb'"schema_version": \d+', b'"schema_version": 99', data))
    other = put(tmp_path / "in" / "other") / "report.json"
    other.write_text('{"name": "package"}')
    put(tmp_path / "in" / "silent", alerts=False)
    (put(tmp_path / "in" / "lost") / "report.json").unlink()
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert (merged.verdict, merged.problems) == (Verdict.ERROR, 5)
    assert (merged.verdicts["pass"], merged.verdicts["unreadable"]) == (2, 4)
    said = {one["name"]: one["problem"] for one in servers(tmp_path / "out")}
    assert said.pop("good") == ""
    assert "truncated" in said["cut"]
    assert "schema version 99" in said["newer"]
    assert "not a report" in said["other"]
    assert said["silent"] == "There is no results.sarif."
    assert said["lost"] == "There is no report.json."
    table_text = (tmp_path / "out" / "merged.md").read_text()
    assert all(text in table_text for text in said.values())


def test_a_failure_beside_an_unreadable_report_is_a_failure(tmp_path: Path):
    put(tmp_path / "in" / "a", sample_report())
    (put(tmp_path / "in" / "b") / "report.json").write_text("")
    assert merge(tmp_path / "in", out=tmp_path / "out").verdict is Verdict.FAIL


def test_no_readable_report_at_all_is_bad_input_and_still_told(tmp_path: Path):
    for name in "ab":
        (put(tmp_path / "in" / name) / "report.json").write_text("{}")
    with pytest.raises(ReportUnreadable, match="None of 2 reports") as caught:
        merge(tmp_path / "in", out=tmp_path / "out")
    assert caught.value.exit_code == 2
    assert [one["verdict"] for one in servers(tmp_path / "out")] == [None, None]


def test_a_run_that_broke_off_needs_no_sarif(tmp_path: Path):
    put(tmp_path / "in" / "a", judged(Verdict.ERROR, error="No engine."), alerts=False)
    put(tmp_path / "in" / "b")
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert (merged.problems, merged.verdict) == (0, Verdict.ERROR)
    assert len(logs(tmp_path / "out")[0]["runs"]) == 1


def test_a_search_that_ended_at_a_bound_is_no_pass(tmp_path: Path):
    put(tmp_path / "in" / "a")
    put(tmp_path.joinpath("in", *["d"] * 12))
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.verdict is Verdict.ERROR
    assert "too deep" in (tmp_path / "out" / "merged.md").read_text()


# --- the list -------------------------------------------------------------------------------------

LIST = b"""
[[server]]
name = "here"
context = "servers/here"
[[server]]
name = "gone"
image = "registry.example/gone:1"
"""


def test_a_server_of_the_list_without_a_report_is_unreadable(tmp_path: Path):
    for name in ("here", "strange"):
        put(tmp_path / "in" / name, sample_report())
    entries = lists.read(LIST, "servers.toml")
    merged = merge(tmp_path / "in", out=tmp_path / "out", expected=entries)
    assert merged.verdicts["unreadable"] == 1
    assert merged.notes == ("1 servers with a report are not on the list: strange.",)
    found = {one["name"]: one for one in servers(tmp_path / "out")}
    assert found["gone"]["problem"] == "It is on the list and there is no report."
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for log in logs(tmp_path / "out")
        for run in log["runs"]
        for result in run["results"]
    }
    # A server that is a folder of this repository keeps its paths.
    assert {"server/tools.py", "strange/server/tools.py"} <= uris


# --- SARIF ----------------------------------------------------------------------------------------


def test_every_run_has_a_category_of_its_own(tmp_path: Path):
    scanner = ScannerRun("Trivy", ScannerState.RAN, version="1", issues=(issue("CVE-1"),))
    failed = ScannerRun("Semgrep", ScannerState.FAILED)
    for name in ("a", "b"):
        put(tmp_path / "in" / name / "same", with_scanners(scanner, failed))
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.sarif == ("merged.sarif",)
    (log,) = logs(tmp_path / "out")
    assert lint(log) == []
    assert [run["automationDetails"]["id"] for run in log["runs"]] == [
        *("mcp-sandbox/a/same/", "mcp-sandbox/a/same/trivy/"),
        *("mcp-sandbox/b/same/", "mcp-sandbox/b/same/trivy/"),
    ]
    assert merged.results == sum(len(run["results"]) for run in log["runs"])


def test_paths_of_different_servers_are_different(tmp_path: Path):
    for name in ("a", "b"):
        put(tmp_path / "in" / name, sample_report())
    merge(tmp_path / "in", out=tmp_path / "out")
    (log,) = logs(tmp_path / "out")
    for run, name in zip(log["runs"], "ab", strict=True):
        for result in run["results"]:
            physical = result["locations"][0]["physicalLocation"]
            assert physical["artifactLocation"]["uri"].startswith(f"{name}/")
    merge(tmp_path / "in", out=tmp_path / "out", keep_paths=True)
    text = (tmp_path / "out" / "merged.sarif").read_text()
    assert '"uri":"server/tools.py"' in text


def test_files_stay_within_the_limits_of_an_upload(tmp_path: Path, monkeypatch):
    for number in range(45):
        put(tmp_path / "in" / f"{number:02}", sample_report() if number % 2 else PASSED)
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.sarif == ("merged-1.sarif", "merged-2.sarif", "merged-3.sarif")
    written = logs(tmp_path / "out")
    assert [len(log["runs"]) for log in written] == [20, 20, 5]
    assert [lint(log) for log in written] == [[], [], []]
    # The worst first: those with findings.
    assert [bool(run["results"]) for log in written for run in log["runs"]] == (
        [True] * 22 + [False] * 23
    )
    assert len(spool.store(alerts.Run(written[0]["runs"][0])).packed) < 5_000
    monkeypatch.setattr(files, "MAX_PACKED", 5_000)
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert len(merged.sarif) > 10
    assert all(len(log["runs"]) <= 5_000 // 1_500 for log in logs(tmp_path / "out"))
    assert sum(len(log["runs"]) for log in logs(tmp_path / "out")) == 45


def test_what_no_file_takes_is_cut_from_its_end_and_told(tmp_path: Path, monkeypatch):
    many = replace(
        sample_report(),
        findings=tuple(
            finding(subject=f"tools/t{number}", location=replace(LOCATION, line=number + 1))
            for number in range(400)
        ),
    )
    put(tmp_path / "in" / "many", many)
    monkeypatch.setattr(alerts, "MAX_RESULTS", 300)
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.left_out == ("many: 100 results, by a limit of GitHub; its own report has them.",)
    assert len(logs(tmp_path / "out")[0]["runs"][0]["results"]) == 300
    monkeypatch.setattr(files, "MAX_PACKED", 8_000)
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    (run,) = logs(tmp_path / "out")[0]["runs"]
    assert 0 < len(run["results"]) < 300
    assert f"many: {400 - len(run['results'])} results" in merged.left_out[0]
    assert "400" not in (tmp_path / "out" / "merged.md").read_text().split("| Server")[0]


LOCATION = finding().location


def test_our_driver_is_called_what_it_is_called():
    assert alerts.DRIVER == sarif.DRIVER


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda log: log["runs"][0].update(graphs=[]), "graphs"),
        (lambda log: log.update(inlineExternalProperties=[]), "inlineExternalProperties"),
        (lambda log: log["runs"].append(log["runs"][0]), "one tool"),
        (lambda log: result(log).update(suppressions=[]), "suppressions"),
        (lambda log: result(log).update(baselineState="absent"), "baselineState"),
        (lambda log: result(log).update(kind="pass"), "kind"),
        (lambda log: result(log).update(level="none"), "level"),
        (lambda log: result(log).update(ruleId="absent"), "no rule"),
        (lambda log: result(log).update(ruleIndex=9_999), "no rule"),
        (lambda log: result(log).update(message={"text": " \n"}), "blank"),
        (lambda log: result(log).update(message={"text": "x" * 5_000}), "text"),
        (lambda log: result(log).update(locations=[]), "locations"),
        (lambda log: place(log).update(uri="../../etc/passwd"), "leaves"),
        (lambda log: place(log).update(uri="a/%2e%2E/%2E%2E/b"), "leaves"),
        (lambda log: place(log).update(uri="/etc/passwd"), "leaves"),
        (lambda log: place(log).update(uri="javascript:alert(1)"), "uri"),
        (lambda log: place(log).update(uri="a b"), "uri"),
        (lambda log: invocation(log).update(executionSuccessful=False), "executionSuccessful"),
        (lambda log: driver(log).update(informationUri="http://x"), "informationUri"),
        (lambda log: driver(log)["rules"][0].update(helpUri="javascript:1"), "helpUri"),
        (lambda log: driver(log)["rules"].append(driver(log)["rules"][0]), "twice"),
        (lambda log: driver(log).update(name="mcp-sandbox\u202e"), "name"),
    ],
)
def test_a_sarif_file_that_no_scan_writes_is_refused(tmp_path: Path, change, named: str):
    folder = put(tmp_path / "in" / "a", sample_report())
    put(tmp_path / "in" / "b", sample_report())
    log = json.loads((folder / "results.sarif").read_bytes())
    change(log)
    (folder / "results.sarif").write_text(json.dumps(log))
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.problems == 1
    found = {one["name"]: one for one in servers(tmp_path / "out")}
    assert named in found["a"]["problem"]
    assert (found["a"]["runs"], found["b"]["runs"]) == (0, 1)


def result(log):
    return log["runs"][0]["results"][0]


def place(log):
    return result(log)["locations"][0]["physicalLocation"]["artifactLocation"]


def invocation(log):
    return log["runs"][0]["invocations"][0]


def driver(log):
    return log["runs"][0]["tool"]["driver"]


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"version": NaN}', b"\xff"])
def test_a_sarif_file_that_is_none_is_refused(data: bytes):
    with pytest.raises(ReportUnreadable):
        alerts.runs(data, "a", keep_paths=False)


# --- table, page and JSON -------------------------------------------------------------------------


def test_the_worst_server_comes_first(tmp_path: Path):
    put(tmp_path / "in" / "c-pass", judged(Verdict.PASS, score=50.0))
    put(tmp_path / "in" / "d-better", judged(Verdict.PASS, score=51.0))
    put(tmp_path / "in" / "a-inconclusive", judged(Verdict.INCONCLUSIVE, score=None))
    put(tmp_path / "in" / "z-fail", judged(Verdict.FAIL, findings=(finding("arbitrary-read"),)))
    put(tmp_path / "in" / "y-critical", judged(Verdict.FAIL, findings=(finding(),)))
    (put(tmp_path / "in" / "e-unreadable") / "report.json").write_text("")
    merge(tmp_path / "in", out=tmp_path / "out")
    order = [one["name"] for one in servers(tmp_path / "out")]
    assert order == [
        *("y-critical", "z-fail", "e-unreadable", "a-inconclusive", "c-pass", "d-better"),
    ]
    rows = re.findall(r"^\| `(.*?)` \|", (tmp_path / "out" / "merged.md").read_text(), re.MULTILINE)
    assert rows == order
    page = (tmp_path / "out" / "merged.html").read_text()
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == order


def test_drift_is_told_in_words(tmp_path: Path):
    put(tmp_path / "in" / "a", DRIFTED)
    put(tmp_path / "in" / "b")
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert merged.drifted == 1
    text = (tmp_path / "out" / "merged.md").read_text()
    assert "1 differ from their baseline" in text
    alerts_of = {
        run["automationDetails"]["id"]: [one["message"]["text"] for one in run["results"]]
        for run in logs(tmp_path / "out")[0]["runs"]
    }
    assert alerts_of == {"mcp-sandbox/a/": ["New words."], "mcp-sandbox/b/": []}
    assert "## What changed\n\n`a`:\n\n- `critical command-injection tools/new: New words.`" in text


def merge_hostile(folder: Path, texts: list[str]) -> Path:
    for number, text in enumerate(texts):
        put(folder / "in" / f"{number:02}", hostile_report(text))
    merge(folder / "in", out=folder / "out")
    return folder / "out"


def shape(text: str) -> list[tuple[str, str, int]]:
    return [(token.type, token.tag, token.level) for token in PARSER.parse(text)]


def test_hostile_text_changes_no_structure(tmp_path: Path):
    plain = merge_hostile(tmp_path / "plain", ["x"] * len(HOSTILE))
    hostile = merge_hostile(tmp_path / "hostile", list(HOSTILE))
    text = (hostile / "merged.md").read_text()
    assert shape(text) == shape((plain / "merged.md").read_text())
    assert all(one.isprintable() or one == "\n" for one in text)
    for token in PARSER.parse(text):
        for child in token.children or []:
            assert child.type in {
                "text",
                "code_inline",
                "html_inline",
                "strong_open",
                "softbreak",
            } | {"strong_close"}
            if child.type == "html_inline":
                assert child.content in {"<code>", "</code>"}
    page = (hostile / "merged.html").read_text()
    tags = re.compile(r"<(/?[a-z0-9]+)")
    others = re.compile(r"</?(?:br)\b")
    bare = others.sub("", (plain / "merged.html").read_text())
    assert tags.findall(others.sub("", page)) == tags.findall(bare)
    assert "default-src 'none'" in page
    assert not re.search(
        r"<(?:script|img|a|iframe|link)\b|\son[a-z]+=|https?://",
        re.sub(r"<td class=\"text\">.*?</td>", "", page),
    )
    assert all(one.isprintable() or one == "\n" for one in page)
    assert [lint(log) for log in logs(hostile)] == [[] for _ in logs(hostile)]


def test_a_hostile_folder_name_is_harmless(tmp_path: Path):
    for name in ("::error::x", "a|b", "<img src=x>", "\x1b[31m", "..%2f..", "`", "%0a", "x" * 200):
        put(tmp_path / "in" / name, sample_report())
    put(tmp_path / "in" / os.fsdecode(b"\xff"), sample_report())
    merged = merge(tmp_path / "in", out=tmp_path / "out")
    assert (merged.servers, merged.problems) == (9, 0)
    assert [lint(log) for log in logs(tmp_path / "out")] == [[]]
    text = (tmp_path / "out" / "merged.md").read_text()
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "<img" not in text


def test_the_table_is_bounded_and_says_how_much_is_missing(tmp_path: Path):
    from mcp_sandbox.merging.reading import server  # noqa: PLC0415

    one = server(put(tmp_path / "a", hostile_report("\U000e0041" * 1_000)), "a")
    merged = replace(merge(tmp_path / "a", out=tmp_path / "out"), servers=5_000)
    merged = replace(merged, notes=("\U000e0041" * 300,) * 1_000)
    with (tmp_path / "table.md").open("wb") as file:
        table.write_markdown(file, merged, (one for _ in range(5_000)))
    text = (tmp_path / "table.md").read_bytes()
    assert len(text) <= table.MAX_BYTES
    rows = len(re.findall(rb"^\| `", text, re.MULTILINE))
    assert 0 < rows < 5_000
    assert f"… and {5_000 - rows} more servers in `merged.json`.".encode() in text
    assert b"more servers with drift" in text
    assert b"more in `merged.json`" in text


def test_the_page_is_bounded_and_says_how_much_is_missing(tmp_path: Path, monkeypatch):
    for number in range(5):
        put(tmp_path / "in" / str(number))
    monkeypatch.setattr(table, "MAX_ROWS", 3)
    merge(tmp_path / "in", out=tmp_path / "out")
    page = (tmp_path / "out" / "merged.html").read_text()
    assert page.count('<th scope="row">') == 3
    assert "… and 2 more servers in merged.json." in page


# --- order and place ------------------------------------------------------------------------------


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([PASSED, sample_report(), DRIFTED, judged(Verdict.INCONCLUSIVE)]),
            st.sampled_from(["x", "y", "z"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_reports_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    reports: list[tuple[Report, str, bool]],
    shuffler: random.Random,
):
    root = tmp_path_factory.mktemp("order")
    folders = [
        put(root / str(number) / name, report, alerts=alerts)
        for number, (report, name, alerts) in enumerate(reports)
    ]
    merge(*folders, out=root / "one")
    shuffler.shuffle(folders)
    merge(*folders, *folders[:2], out=root / "two")
    assert contents(root / "one") == contents(root / "two")


def test_what_an_earlier_merge_left_is_gone(tmp_path: Path):
    out = tmp_path / "out"
    for number in range(21):
        put(tmp_path / "in" / str(number))
    merge(tmp_path / "in", out=out)
    (out / "mine.txt").touch()
    merge(tmp_path / "in" / "0", out=out)
    assert {path.name for path in out.iterdir()} == {
        *("merged.sarif", "merged.json", "merged.md", "merged.html", "mine.txt"),
    }


def test_results_go_through_no_link(tmp_path: Path):
    put(tmp_path / "in")
    (tmp_path / "target").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "target")
    with pytest.raises(BadInput, match="is a link"):
        Folder(tmp_path / "out")
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "target" / "merged.md.partial").symlink_to(tmp_path / "victim")
    merge(tmp_path / "in", out=tmp_path / "target")
    assert (tmp_path / "victim").read_text() == "kept"
    with pytest.raises(BadInput, match="cannot be used"):
        Folder(tmp_path / "victim" / "below")


def test_results_belong_to_the_owner_of_the_folder(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    put(tmp_path / "in")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 1234, 1234)
    merge(tmp_path / "in", out=tmp_path / "theirs" / "a" / "b")
    found = [*(tmp_path / "theirs").rglob("*")]
    assert len(found) == 6
    assert {path.stat().st_uid for path in found} == {1234}


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(tmp_path: Path):
    folder = Folder(tmp_path / "out")

    def fill() -> None:
        with folder.new("merged.json") as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputFailed, match=r"merged\.json could not be written: No space"):
        fill()
    assert list((tmp_path / "out").iterdir()) == []


def test_every_verdict_has_a_headline():
    assert set(table.HEADLINE) == set(Verdict)
    assert escape.markdown("x") == "`x`"
    assert join.UNREADABLE not in [one.value for one in Verdict]
