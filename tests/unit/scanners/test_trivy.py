"""Trivy's captured reports become issues on the right lines, and its misbehaviour an outcome."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners import ScannerOptions, Stage, merged, trivy, trivy_report
from mcp_sandbox.scanners.places import Places
from mcp_sandbox.scanners.run import ToolFailed
from support.scanners import DATA, FIXTURE, fake, job

TRIVY = DATA / "trivy"
VERSION = """case "$*" in *--version*) echo '{"Version":"0.74.0"}'; exit;; esac\n"""
NO_DOWNLOAD = 'case "$*" in *--download-db-only*) echo "* no such host" >&2; exit 1;; esac\n'


def contents(name: str, places: Places, stage: Stage = Stage.CHECKOUT) -> trivy_report.Contents:
    return trivy_report.contents(trivy_report.results((TRIVY / name).read_bytes()), stage, places)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM a AS b\nRUN x\n\nFROM c\nCOPY --from=b /x /x\n")
    (root / "requirements.txt").write_text("# Werkzeug is needed\nflask==1\nwerkzeug==0.11\n")
    return root


@pytest.fixture
def places(tmp_path: Path, checkout: Path) -> Places:
    return Places(job(tmp_path, checkout, archive=Path("image.tar")))


def report(tmp_path: Path, *results: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {"SchemaVersion": 2, "ArtifactType": "repository", "Results": list(results)} | more
    ).encode()


def scan(tmp_path: Path, script: str, checkout: Path = FIXTURE, timeout: float = 60) -> ScannerRun:
    path = fake(tmp_path, "trivy", VERSION + NO_DOWNLOAD + script)
    return trivy.CHECKOUT.run(job(tmp_path, checkout, path=path, timeout=timeout))


class TestReport:
    def test_a_package_stands_on_the_line_of_its_lock_file(self, places: Places) -> None:
        found = contents("requirements.json", places)
        assert [
            (one.rule, one.severity, one.subject, one.path, one.line, one.fix, one.fixable, one.cwe)
            for one in found.issues
        ] == [
            (
                "CVE-2019-14806",
                "high",
                "package werkzeug 0.11",
                "requirements.txt",
                6,
                "Update Werkzeug to 0.15.3.",
                True,
                (331,),
            ),
            (
                "CVE-2020-28724",
                "medium",
                "package werkzeug 0.11",
                "requirements.txt",
                6,
                "Update Werkzeug to 0.11.6.",
                True,
                (601,),
            ),
        ]
        assert found.details == {"packages in lock files": "7"}
        (jquery,) = contents("package-lock.json", places).issues
        assert (jquery.path, jquery.line) == ("package-lock.json", 11)
        assert jquery.kind is IssueKind.VULNERABILITY
        assert jquery.url.startswith("https://")

    def test_packages_of_the_system_stand_on_the_final_from(self, places: Places) -> None:
        found = contents("image.json", places, Stage.IMAGE).issues
        assert [(one.rule, one.path, one.line, one.fixable) for one in found] == [
            ("CVE-2019-18276", "Dockerfile", 4, False),
            ("CVE-2019-18224", "Dockerfile", 4, True),
        ]
        assert found[0].fix == ""

    def test_without_a_checkout_nothing_stands_anywhere(self, tmp_path: Path) -> None:
        found = contents("image.json", Places(job(tmp_path)), Stage.IMAGE).issues
        assert {(one.path, one.line) for one in found} == {("", 0)}
        assert len(found) == 2

    def test_misconfigurations_stand_on_their_lines(self, places: Places) -> None:
        found = contents("checkout.json", places).issues
        assert [(one.rule, one.severity, one.path, one.line) for one in found] == [
            ("DS-0001", "medium", "Dockerfile", 1),
            ("DS-0002", "high", "Dockerfile", 1),
            ("DS-0005", "low", "Dockerfile", 3),
            ("DS-0026", "low", "Dockerfile", 1),
            ("DS-0029", "high", "Dockerfile", 2),
            ("DS-0031", "critical", "Dockerfile", 4),
        ]
        assert all(one.title and one.fix and one.message for one in found)

    def test_no_line_of_a_file_is_quoted(self, places: Places) -> None:
        found = contents("checkout.json", places)
        assert b"not-a-real-token" in (TRIVY / "checkout.json").read_bytes()
        assert "not-a-real-token" not in repr(found)
        assert "curl sudo" not in repr(found)

    def test_two_of_one_rule_in_one_file_are_told_apart(self, places: Places) -> None:
        one = {"ID": "DS-0005", "Status": "FAIL", "Severity": "LOW", "CauseMetadata": {}}
        results = [{"Target": "Dockerfile", "Misconfigurations": [one, one]}]
        found = trivy_report.contents(results, Stage.CHECKOUT, places).issues
        assert [one.subject for one in found] == ["file Dockerfile", "file Dockerfile 2"]

    def test_what_passed_is_no_issue(self, places: Places) -> None:
        one = {"ID": "DS-0005", "Status": "PASS", "Severity": "LOW"}
        results = [{"Target": "Dockerfile", "Misconfigurations": [one]}]
        assert trivy_report.contents(results, Stage.CHECKOUT, places).issues == ()

    def test_issues_are_bounded(self, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trivy_report, "MAX_ISSUES", 3)
        found = contents("checkout.json", places)
        assert len(found.issues) == 3
        assert found.left_out == ("Trivy: all after the first 3 issues",)

    @pytest.mark.parametrize(
        "text", [b"[]", b"{}", b"null", b'{"SchemaVersion": 1, "ArtifactType": "x"}']
    )
    def test_json_that_is_no_report(self, text: bytes) -> None:
        with pytest.raises(ToolFailed, match="not its report"):
            trivy_report.results(text)

    def test_values_of_the_wrong_type_break_nothing(self, places: Places) -> None:
        strange: list[Any] = [None, 1, "x", [], {}, [[]], {"a": {}}]
        names = (
            "Vulnerabilities",
            "Misconfigurations",
            "Secrets",
            "Licenses",
            "Packages",
            "Target",
        )
        fields = ("PkgName", "PkgIdentifier", "CweIDs", "CauseMetadata", "StartLine", "Locations")
        for value in strange:
            entry = dict.fromkeys(fields, value) | {"Status": "FAIL"}
            for name in names:
                for content in (value, [value], [entry]):
                    for stage in Stage:
                        trivy_report.contents([{name: content}], stage, places)


class TestImage:
    """What is only in the image, and what the checkout has too."""

    def test_a_language_package_stands_on_its_manifests_line(self, places: Places) -> None:
        entry = {
            "VulnerabilityID": "CVE-2019-14806",
            "PkgName": "Werkzeug",
            "InstalledVersion": "0.11",
            "PkgIdentifier": {"PURL": "pkg:pypi/werkzeug@0.11"},
        }
        results: list[dict[str, Any]] = [{"Class": "lang-pkgs", "Vulnerabilities": [entry]}]
        (found,) = trivy_report.contents(results, Stage.IMAGE, places).issues
        assert (found.path, found.line) == ("requirements.txt", 3)
        entry["PkgName"] = "unheard-of"
        (found,) = trivy_report.contents(results, Stage.IMAGE, places).issues
        assert (found.path, found.line) == ("Dockerfile", 1)

    def test_a_secret_stands_in_the_file_it_was_copied_from(
        self, places: Places, checkout: Path
    ) -> None:
        (checkout / "src").mkdir()
        (checkout / "src" / "keys.py").touch()
        (checkout / "keys.py").touch()

        def place(target: str) -> tuple[str, int, str]:
            secret = {
                "RuleID": "x",
                "StartLine": 3,
                "Match": "hunter2",
                "Code": {"Lines": "hunter2"},
            }
            results = [{"Target": target, "Secrets": [secret]}]
            (found,) = trivy_report.contents(results, Stage.IMAGE, places).issues
            assert "hunter2" not in repr(found)
            return found.path, found.line, found.subject

        assert place("/app/src/keys.py") == ("src/keys.py", 3, "file src/keys.py")
        assert place("/app/keys.py") == ("keys.py", 3, "file keys.py")
        for foreign in ("/usr/lib/keys.py", "/app/node_modules/x/keys.py", "/app/../keys.py"):
            assert place(foreign) == ("", 0, f"image file {foreign}")
        assert place("image.tar") == ("", 0, "image configuration")

    def test_a_made_up_dockerfile_agrees_with_the_real_one(self, places: Places) -> None:
        def run(stage: Stage, target: str) -> ScannerRun:
            rules = [
                {"ID": "DS-0002", "Status": "FAIL", "CauseMetadata": {"StartLine": 9}},
                *([{"ID": "DS-9", "Status": "FAIL"}] if stage is Stage.IMAGE else []),
            ]
            held = trivy_report.contents(
                [{"Target": target, "Misconfigurations": rules}], stage, places
            )
            return ScannerRun("Trivy", ScannerState.RAN, issues=held.issues)

        (both,) = merged([run(Stage.CHECKOUT, "Dockerfile"), run(Stage.IMAGE, "image.tar")])
        assert [(one.rule, one.path, one.line) for one in both.issues] == [
            ("DS-0002", "Dockerfile", 9),
            ("DS-9", "", 0),
        ]


class TestRun:
    def test_without_a_database_it_ran_in_part(self, tmp_path: Path) -> None:
        found = scan(tmp_path, f'echo "$@" >args; cat {TRIVY / "checkout.json"}')
        assert found.state is ScannerState.PARTLY
        assert found.why == (
            "Trivy has no vulnerability database: trivy exited with code 1: no such host."
        )
        assert (found.version, len(found.issues)) == ("0.74.0", 6)
        assert found.details["age of the database"] == "no database"
        arguments = (tmp_path / "work" / "args").read_text().split()
        assert arguments[arguments.index("--scanners") + 1] == "secret,misconfig"

    def test_nothing_is_downloaded_while_it_scans(self, tmp_path: Path) -> None:
        scan(tmp_path, f'echo "$@" >args; cat {TRIVY / "checkout.json"}')
        arguments = (tmp_path / "work" / "args").read_text()
        for flag in (
            "--skip-db-update",
            "--skip-java-db-update",
            "--skip-check-update",
            "--skip-vex-repo-update",
            "--skip-version-check",
            "--disable-telemetry",
            "--offline-scan",
        ):
            assert f" {flag} " in arguments
        assert "terraform" not in arguments

    def test_licences_are_asked_for_by_option(self, tmp_path: Path) -> None:
        path = fake(
            tmp_path, "trivy", VERSION + NO_DOWNLOAD + f'echo "$@" >args; cat {TRIVY}/checkout.json'
        )
        one = job(tmp_path, FIXTURE, path=path, options=ScannerOptions(trivy_licences=True))
        trivy.CHECKOUT.run(one)
        assert "secret,misconfig,license" in (tmp_path / "work" / "args").read_text()

    def test_only_licences_that_ask_for_something_are_issues(self, places: Places) -> None:
        licences = [
            {"Severity": "HIGH", "Category": "restricted", "PkgName": "a", "Name": "GPL-3.0-only"},
            {"Severity": "LOW", "Category": "notice", "PkgName": "b", "Name": "MIT"},
        ]
        results = [{"Target": "OS Packages", "Class": "license", "Licenses": licences}]
        (found,) = trivy_report.contents(results, Stage.IMAGE, places).issues
        assert (found.rule, found.kind, found.severity) == (
            "GPL-3.0-only",
            IssueKind.LICENCE,
            "high",
        )
        assert (found.subject, found.path, found.line) == ("package a", "Dockerfile", 4)

    def test_not_installed_and_not_used(self, tmp_path: Path) -> None:
        assert trivy.CHECKOUT.run(job(tmp_path, FIXTURE, path="")).state is (
            ScannerState.NOT_INSTALLED
        )
        assert trivy.CHECKOUT.run(job(tmp_path)).state is ScannerState.NOT_USED
        assert trivy.IMAGE.run(job(tmp_path, FIXTURE)).state is ScannerState.NOT_USED

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("echo hello", "trivy printed something that is not JSON."),
            ("exit 0", "trivy printed something that is not JSON."),
            ("echo '{}'", "trivy printed JSON that is not its report of schema version 2."),
            ("head -c 200000000 /dev/zero", "trivy printed something that is not JSON."),
            ("kill -9 $$", "trivy was ended by signal 9."),
            ("echo boom >&2; exit 2", "trivy exited with code 2: boom."),
        ],
    )
    def test_a_broken_trivy_fails(self, tmp_path: Path, script: str, why: str) -> None:
        found = scan(tmp_path, script)
        assert (found.state, found.why, found.issues) == (ScannerState.FAILED, why, ())

    def test_a_trivy_that_hangs_fails(self, tmp_path: Path) -> None:
        found = scan(tmp_path, "exec cat /dev/zero >/dev/null", timeout=3)
        assert found.state is ScannerState.FAILED
        assert re.fullmatch(r"trivy was not done after [\d.]+ seconds\.", found.why)

    def test_what_it_went_on_without_is_told(self, tmp_path: Path) -> None:
        line = r"2026-01-01T00:00:00Z\tERROR\t[x] No way\n"
        found = scan(tmp_path, f"printf '{line}' >&2; cat {TRIVY}/checkout.json")
        assert found.left_out == ("Trivy: [x] No way",)

    def test_java_archives_need_an_index_and_cost_only_themselves(self, tmp_path: Path) -> None:
        script = (
            'case "$*" in *"**/*.jar"*) cat %s; exit;; esac\n'
            'echo "FATAL no Java DB" >&2; exit 1' % (TRIVY / "image.json")
        )
        path = fake(tmp_path, "trivy", VERSION + NO_DOWNLOAD + script)
        found = trivy.IMAGE.run(job(tmp_path, archive=tmp_path / "image.tar", path=path))
        assert found.state is ScannerState.PARTLY
        assert found.why.endswith(
            "The image's Java archives were not looked into: there is no Java index."
        )
        assert len(found.issues) == 2

    def test_nothing_of_a_scan_stays(self, tmp_path: Path) -> None:
        found = scan(tmp_path, f'touch "$TMPDIR/x" && cat {TRIVY}/checkout.json')
        assert found.issues
        left = {path.name for path in (tmp_path / "work").iterdir()}
        assert left == {"trivy-cache", "trivy-download"}


class TestDisobeyed:
    def test_ignore_files_and_configuration(self, tmp_path: Path, checkout: Path) -> None:
        (checkout / ".trivyignore").write_text("# all\n\nCVE-2019-14806\nDS-0002 exp:2030-01-01\n")
        (checkout / "trivy.yaml").write_text("severity: []\n")
        (checkout / "trivy-secret.yaml").symlink_to("/etc/passwd")
        found = scan(tmp_path, f"cat {TRIVY}/checkout.json", checkout)
        assert found.disobeyed == (
            ".trivyignore:3: ignores CVE-2019-14806",
            ".trivyignore:4: ignores DS-0002 exp:2030-01-01",
            "trivy.yaml:1: configuration of Trivy",
        )

    def test_files_with_comments_are_scanned_without_them(
        self, tmp_path: Path, checkout: Path
    ) -> None:
        (checkout / "Dockerfile").write_text("FROM a\n# trivy:ignore:DS-0005\nADD . /\n")
        (checkout / "notes").write_text("# trivy:ignore:X\n")
        (checkout / "k8s.yml").symlink_to("notes")
        silenced = report(tmp_path, {"Target": "Dockerfile", "Secrets": [{"RuleID": "s"}]})
        heard = report(
            tmp_path,
            {"Target": "Dockerfile", "Misconfigurations": [{"ID": "DS-0005", "Status": "FAIL"}]},
        )
        (tmp_path / "silenced").write_bytes(silenced)
        (tmp_path / "heard").write_bytes(heard)
        script = (
            'for last; do :; done; case "$last" in */copy) '
            f'cp "$last/Dockerfile" {tmp_path}/copied; cat {tmp_path}/heard;; '
            f"*) cat {tmp_path}/silenced;; esac"
        )
        found = scan(tmp_path, script, checkout)
        assert [one.rule for one in found.issues] == ["s", "DS-0005"]
        assert found.disobeyed == ("Dockerfile:2: # trivy:ignore:DS-0005",)
        assert (tmp_path / "copied").read_text() == "FROM a\n# trivy ignore:DS-0005\nADD . /\n"

    def test_the_search_for_comments_is_bounded(
        self, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trivy, "_MAX_FILES", 1)
        found = scan(tmp_path, f"cat {TRIVY}/checkout.json", checkout)
        assert found.left_out == ("comments for Trivy in files after the first 1: obeyed",)

    def test_a_name_that_is_not_text_is_written_as_one(
        self, tmp_path: Path, checkout: Path
    ) -> None:
        name = os.fsdecode(b"\xff.yaml")
        (checkout / name).write_text("# trivy:ignore:X\n")
        found = scan(tmp_path, f"cat {TRIVY}/checkout.json", checkout)
        assert found.disobeyed == ("?.yaml:1: # trivy:ignore:X",)


def test_the_built_dockerfile_is_one_whatever_its_name(tmp_path: Path) -> None:
    path = fake(
        tmp_path,
        "trivy",
        VERSION + NO_DOWNLOAD + f"cp trivy-*/trivy.yaml c; cat {TRIVY}/image.json",
    )
    one = job(tmp_path, FIXTURE, path=path, dockerfile="a/build, this (1)")
    trivy.CHECKOUT.run(one)
    (pattern,) = json.loads((tmp_path / "work" / "c").read_text())["scan"]["file-patterns"]
    kind, _, expression = pattern.partition(":")
    assert kind == "dockerfile"
    assert re.search(expression, "a/build, this (1)")
    trivy.CHECKOUT.run(replace(one, dockerfile="Dockerfile"))
    assert (tmp_path / "work" / "c").read_text() == "{}\n"


def test_folders_of_others_are_not_walked(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in ("servers/this/src", "servers/other", "docs", "servers/a*", "build/deep/er"):
        (root / name).mkdir(parents=True)
    (root / "linked").symlink_to(root / "docs")
    (root / "build" / "Dockerfile").write_text("FROM scratch\n")
    path = fake(
        tmp_path,
        "trivy",
        VERSION + NO_DOWNLOAD + f"cp trivy-*/trivy.yaml c; cat {TRIVY}/image.json",
    )

    def skipped(context: str, dockerfile: str) -> set[str]:
        one = job(tmp_path, root, path=path, dockerfile=dockerfile)
        trivy.CHECKOUT.run(replace(one, context=root / context))
        scan = json.loads((tmp_path / "work" / "c").read_text()).get("scan", {})
        return {str(Path(one).relative_to(root)) for one in scan.get("skip-dirs", [])}

    # No pattern: what it stands for could be more than the folder of that name.
    assert skipped("servers/this", "servers/this/Dockerfile") == {"servers/other", "docs", "build"}
    assert skipped("servers/this", "build/Dockerfile") == {"servers/other", "docs"}
    assert skipped(".", "build/Dockerfile") == set()
    assert skipped("..", "Dockerfile") == set()
