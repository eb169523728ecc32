"""Our rules hit what they are for and spare its twin, and nothing in a checkout steers Semgrep."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mcp_sandbox.model import Confidence, IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners import semgrep
from mcp_sandbox.scanners.job import Job, Stage

ROOT = Path(__file__).parents[3]
TWINS = ROOT / "tests" / "semgrep"
SECRET = 'TOKEN = "ghp_Zk3vQ9sT1mB7xR5nW2cY8dL4fH6jP0aGqE1u"'
FAKE = "#!/bin/sh\n"


def job(checkout: Path | None, work: Path, *, path: str = "", context: Path | None = None) -> Job:
    work.mkdir(exist_ok=True)
    return Job(
        checkout=checkout,
        context=context,
        dockerfile="",
        image_archive=None,
        base="",
        head="",
        work=work,
        environment={"PATH": path or os.environ["PATH"], "HOME": str(work), "LANG": "C.UTF-8"},
        timeout=240,
    )


def scan(checkout: Path, tmp_path: Path, context: Path | None = None) -> ScannerRun:
    return semgrep.Semgrep().run(job(checkout, tmp_path / "work", context=context))


def faked(tmp_path: Path, script: str) -> ScannerRun:
    """A scan of one source with a Semgrep that does what ``script`` says."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "semgrep"
    program.write_text(FAKE + script)
    program.chmod(0o755)
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "server.py").write_text(SECRET)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    return semgrep.Semgrep().run(job(tmp_path / "checkout", tmp_path / "work", path=path))


def places(run: ScannerRun) -> list[tuple[str, str, int]]:
    return [(issue.rule, issue.path, issue.line) for issue in run.issues]


# --- the rules ------------------------------------------------------------------------------------


def test_every_rule_hits_its_example_and_spares_the_twin(tmp_path: Path) -> None:
    done = subprocess.run(
        (
            shutil.which("semgrep") or pytest.fail("semgrep is not on PATH: use scripts/test.sh"),
            "scan",
            "--test",
            "--json",
            "--metrics=off",
            "--disable-version-check",
            f"--config={semgrep.RULES}",
            str(TWINS),
        ),
        check=False,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        cwd=tmp_path,
    )
    report = json.loads(done.stdout)
    checked = {
        rule: check for file in report["results"].values() for rule, check in file["checks"].items()
    }
    failed = {rule: check for rule, check in checked.items() if not check["passed"]}
    assert (failed, done.returncode) == ({}, 0), done.stderr.decode()[-2000:]
    assert set(checked) == {rule.id for rule in semgrep.catalogue()}


@pytest.mark.parametrize("mark", ["ruleid", "ok"])
def test_every_rule_has_a_hit_and_a_twin(mark: str) -> None:
    marked: set[str] = set()
    for file in TWINS.iterdir():
        for line in re.findall(rf"(?:#|//) {mark}: (.*)", file.read_text()):
            marked |= {name.strip() for name in line.split(",")}
    assert marked == {rule.id for rule in semgrep.catalogue()}
    assert len(marked) >= 24


def test_every_rule_says_what_a_reader_needs() -> None:
    ids = [
        rule["id"]
        for path in semgrep.RULES.glob("*.yaml")
        for rule in yaml.safe_load(path.read_text())["rules"]
    ]
    assert sorted(ids) == [rule.id for rule in semgrep.catalogue()]
    assert len(set(ids)) == len(ids)
    for rule in semgrep.catalogue():
        assert rule.severity in {"critical", "high", "medium", "low"}
        assert rule.confidence in set(Confidence)
        assert rule.cwe
        assert all(isinstance(number, int) for number in rule.cwe)
        assert rule.message.endswith(".")
        assert rule.fix.endswith(".")
        assert not rule.title.endswith(".")
        assert len(rule.title) <= 70


# --- the examples ---------------------------------------------------------------------------------


def test_each_hole_of_the_vulnerable_example_is_hit_on_its_line(tmp_path: Path) -> None:
    run = scan(ROOT, tmp_path, ROOT / "examples" / "vulnerable-server")
    path = "examples/vulnerable-server/tools.py"
    lines = (ROOT / path).read_text().splitlines()

    def line(text: str) -> int:
        return next(number for number, one in enumerate(lines, start=1) if text in one)

    assert places(run) == [
        ("python-path-from-argument", path, line("with target.open(")),
        ("python-command-from-argument", path, line("                command,")),
        ("python-sql-from-argument", path, line("connection.execute(query)")),
        ("python-url-from-argument", path, line("request.urlopen(url")),
        ("instruction-in-description", path, line("and not tell the user about")),
        ("instruction-in-description", path, line('"""Add two numbers.')),
    ]
    assert (run.state, run.left_out) == (ScannerState.RAN, ())
    assert {issue.kind for issue in run.issues} == {IssueKind.SOURCE}
    assert [issue.severity for issue in run.issues][:2] == ["high", "critical"]
    assert run.issues[0].cwe == (22,)
    sure = {rule.id: rule.confidence for rule in semgrep.catalogue()}
    assert {issue.confidence for issue in run.issues} > {Confidence.MEDIUM}
    assert all(issue.confidence is sure[issue.rule] for issue in run.issues)


def test_the_careful_example_is_clean(tmp_path: Path) -> None:
    run = scan(ROOT, tmp_path, ROOT / "examples" / "sandboxed-server")
    assert (places(run), run.state, run.why) == ([], ScannerState.RAN, "")
    assert int(run.details["files"]) >= 5
    assert run.version


# --- a checkout has no say ------------------------------------------------------------------------


def test_ignore_files_pragmas_and_names_are_told_and_not_obeyed(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "src").mkdir(parents=True)
    (checkout / ".semgrepignore").write_text("*\n")
    (checkout / ".gitignore").write_text("*\n")
    (checkout / "semgrep.yml").write_text("rules: []\n")
    (checkout / "src" / "server.py").write_text(f"x = 1\n{SECRET}  # nosemgrep\n")
    (checkout / "src" / "-.min.js").write_text(SECRET.replace("TOKEN", "const token"))
    (checkout / "src" / "a\n::error::.py").write_text(SECRET)
    run = scan(checkout, tmp_path)
    assert places(run) == [
        ("secret-in-code", "src/-.min.js", 1),
        ("secret-in-code", "src/a ::error::.py", 1),
        ("secret-in-code", "src/server.py", 2),
    ]
    assert run.disobeyed == (
        ".semgrepignore: not read",
        "semgrep.yml: not read",
        "src/server.py:2: nosemgrep",
    )


def test_links_other_peoples_code_and_tests_are_not_looked_at(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("node_modules/a.js", "env/a.py", "tests/a.py", "src/test_a.py", ".git/a.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(SECRET)
    (checkout / "env" / "pyvenv.cfg").touch()
    (tmp_path / "outside.py").write_text(SECRET)
    (checkout / "src" / "link.py").symlink_to(tmp_path / "outside.py")
    run = scan(checkout, tmp_path)
    assert (run.issues, run.details["files"]) == ((), "0")
    assert run.details["files of tests, left out"] == "2"
    # What is built counts, wherever it lies.
    built = scan(checkout, tmp_path, checkout / "tests")
    assert places(built) == [("secret-in-code", "tests/a.py", 1)]


def test_what_could_not_be_read_is_told(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "good.py").write_text(SECRET)
    (checkout / "large.py").write_text("#" * (semgrep.MAX_FILE + 1))
    (checkout / "no.py").write_text("def f(:\n  x = = 1\n")
    run = scan(checkout, tmp_path)
    assert run.state is ScannerState.PARTLY
    assert places(run) == [("secret-in-code", "good.py", 1)]
    assert [entry.partition(":")[0] for entry in run.left_out] == ["large.py", "no.py"]


# --- what Semgrep may do --------------------------------------------------------------------------


def test_a_missing_semgrep_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    given = job(tmp_path / "checkout", tmp_path / "work", path=str(tmp_path))
    assert semgrep.Semgrep().run(given).state is ScannerState.NOT_INSTALLED


def test_without_a_checkout_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert semgrep.Semgrep().run(job(None, tmp_path / "work")).state is ScannerState.NOT_USED
    assert semgrep.Semgrep().stage is Stage.CHECKOUT


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo it broke >&2; exit 2", "semgrep exited with code 2: it broke."),
        ("kill -9 $$", "semgrep was ended by signal 9."),
        ("echo nonsense", "semgrep printed something that is not JSON."),
        ("echo '{}'", "semgrep printed JSON without results."),
        (
            """echo '{"results": [{"check_id": "other", "path": "x"}]}'""",
            "semgrep reports a rule or a file that it was not given.",
        ),
        (
            """echo '{"results": [], "errors": [{"message": "bad rule in /a/b.yaml"}]}'""",
            "semgrep says: bad rule in b.yaml",
        ),
    ],
)
def test_a_failure_is_one_sentence_and_never_clean(tmp_path: Path, script: str, why: str) -> None:
    run = faked(tmp_path, script)
    assert (run.state, run.why, run.issues) == (ScannerState.FAILED, why, ())


def test_a_source_that_was_passed_over_in_silence_is_told(tmp_path: Path) -> None:
    run = faked(tmp_path, """echo '{"results": [], "errors": [], "paths": {"scanned": []}}'""")
    assert (run.state, run.left_out) == (ScannerState.PARTLY, ("server.py: passed over",))


def test_semgrep_sees_copies_and_an_environment_of_ours(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    faked(tmp_path, f'{{ pwd; echo "$@"; env; }} >{seen}; exit 2')
    text = seen.read_text()
    assert str(tmp_path / "checkout") not in text
    assert "SEMGREP_SEND_METRICS=off" in text
    assert "--disable-nosem" in text
    assert list((tmp_path / "work").iterdir()) == []
