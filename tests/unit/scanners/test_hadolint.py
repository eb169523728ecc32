"""Hadolint's findings, its parse errors and its absence are three things."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mcp_sandbox.model import IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners import hadolint, hadolint_rules
from mcp_sandbox.scanners.run import ToolFailed
from support.scanners import DATA, FIXTURE, fake, job

CAPTURE = DATA / "hadolint" / "fixture.json"
SOURCE = (FIXTURE / "Dockerfile").read_bytes()
VERSION = 'case "$1" in --version) echo "Haskell Dockerfile Linter 2.15.1"; exit;; esac\n'


def scan(tmp_path: Path, script: str, checkout: Path = FIXTURE, timeout: float = 60) -> ScannerRun:
    path = fake(tmp_path, "hadolint", VERSION + script)
    return hadolint.CHECKOUT.run(job(tmp_path, checkout, path=path, timeout=timeout))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def test_findings_stand_on_whole_lines(tmp_path: Path) -> None:
    found = scan(tmp_path, f"cat {CAPTURE}")
    assert (found.state, found.why, found.version) == (ScannerState.RAN, "", "2.15.1")
    assert [(one.rule, one.severity, one.line, one.subject) for one in found.issues] == [
        ("DL3007", "warning", 1, "file Dockerfile, FROM"),
        ("DL3008", "warning", 2, "file Dockerfile, RUN"),
        ("DL3015", "info", 2, "file Dockerfile, RUN"),
        ("DL3009", "info", 2, "file Dockerfile, RUN"),
        ("DL3020", "error", 3, "file Dockerfile, ADD"),
        ("DL3064", "warning", 4, "file Dockerfile, ENV"),
        ("DL3025", "warning", 5, "file Dockerfile, CMD"),
    ]
    for one in found.issues:
        assert one.kind is IssueKind.DOCKERFILE
        assert (one.path, one.end_line) == ("Dockerfile", one.line)
        assert one.title
        assert one.fix
        assert one.message.endswith(".")
        assert one.url.endswith(f"/{one.rule}")


def test_an_instruction_of_several_lines_is_the_region() -> None:
    source = b"FROM a\nRUN b \\\n && c\nRUN d\n"
    entries = [
        {"code": "DL3008", "level": "info", "line": line, "message": "m", "column": 1}
        for line in (2, 4)
    ]
    found, _ = hadolint.parse_report(json.dumps(entries).encode(), "Dockerfile", source)
    assert [(one.line, one.end_line, one.subject) for one in found] == [
        (2, 3, "file Dockerfile, RUN"),
        (4, 4, "file Dockerfile, RUN 2"),
    ]


def test_a_parse_error_is_no_finding() -> None:
    output = (DATA / "hadolint" / "parse-error.json").read_bytes()
    with pytest.raises(ToolFailed) as failed:
        hadolint.parse_report(output, "Dockerfile", SOURCE)
    assert str(failed.value) == "Hadolint cannot parse Dockerfile, line 2: missing whitespace."


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo nonsense", "hadolint printed something that is not JSON."),
        ("exit 0", "hadolint printed something that is not JSON."),
        ("echo '{}'", "hadolint printed JSON that is not its list of findings."),
        ("echo '[1]'", "hadolint printed JSON that is not its list of findings."),
        ("echo '[{}]'", "hadolint printed a finding without a code, a level or a line."),
        ("head -c 200000000 /dev/zero", "hadolint printed something that is not JSON."),
        ("kill -11 $$", "hadolint was ended by signal 11."),
        ("echo bad config >&2; exit 1", "hadolint exited with code 1: bad config."),
    ],
)
def test_a_broken_hadolint_fails(tmp_path: Path, script: str, why: str) -> None:
    found = scan(tmp_path, script)
    assert (found.state, found.why, found.issues) == (ScannerState.FAILED, why, ())


def test_a_hadolint_that_hangs_fails(tmp_path: Path) -> None:
    found = scan(tmp_path, "exec cat /dev/zero >/dev/null", timeout=0.5)
    assert (found.state, found.why) == (
        ScannerState.FAILED,
        "hadolint was not done after 0.5 seconds.",
    )


def test_not_installed_and_not_used(tmp_path: Path) -> None:
    assert hadolint.CHECKOUT.run(job(tmp_path, FIXTURE, path="")).state is (
        ScannerState.NOT_INSTALLED
    )
    assert hadolint.CHECKOUT.run(job(tmp_path)).state is ScannerState.NOT_USED
    assert hadolint.CHECKOUT.run(job(tmp_path, FIXTURE, dockerfile="")).state is (
        ScannerState.NOT_USED
    )


def test_a_link_out_of_the_checkout_is_not_shown_to_it(tmp_path: Path, checkout: Path) -> None:
    (checkout / "Dockerfile").symlink_to("/etc/passwd")
    found = scan(tmp_path, "cat >seen; echo []", checkout)
    assert found.state is ScannerState.FAILED
    assert found.why == "Dockerfile is not a file of at most 1 MiB in the checkout."
    assert not (tmp_path / "work" / "seen").exists()


def test_comments_and_configuration_are_told_and_not_obeyed(tmp_path: Path, checkout: Path) -> None:
    (checkout / "Dockerfile").write_text(
        "# hadolint global ignore=DL3007\nFROM a\n  #hadolint ignore=DL3008,DL3015\nRUN b\n"
        "RUN <<E\n# shellcheck disable=SC2086\necho $X\nE\n# hadolint is nice\n"
    )
    (checkout / ".hadolint.yaml").write_text("ignored: [DL3008]\n")
    found = scan(tmp_path, 'cat >seen; echo "$@" >args; echo []', checkout)
    assert found.disobeyed == (
        ".hadolint.yaml:1: configuration of Hadolint",
        "Dockerfile:1: # hadolint global ignore=DL3007",
        "Dockerfile:3: #hadolint ignore=DL3008,DL3015",
        "Dockerfile:6: # shellcheck disable=SC2086",
    )
    arguments = (tmp_path / "work" / "args").read_text().split()
    assert "--disable-ignore-pragma" in arguments
    assert arguments[arguments.index("--config") + 1] == str(tmp_path / "work" / "hadolint.yaml")
    seen = (tmp_path / "work" / "seen").read_text()
    assert "shellcheck" not in seen
    assert len(seen.split("\n")) == len((checkout / "Dockerfile").read_text().split("\n"))


def test_every_rule_of_ours_has_a_title_and_a_way_out() -> None:
    table = hadolint_rules._RULES
    assert len(table) > 60
    for code, (title, fix) in table.items():
        assert re.fullmatch(r"DL[134]\d{3}", code)
        assert title
        assert not title.endswith(".")
        assert fix.endswith(".")
    assert hadolint_rules.rule("DL9999").title == "Hadolint's rule DL9999"
    assert hadolint_rules.rule("SC2086").url.endswith("/SC2086")
