"""TruffleHog's results and log are read, and nothing that it found is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_sandbox.git import environment as git_environment
from mcp_sandbox.model import IssueKind, ScannerState
from mcp_sandbox.scanners import commits
from mcp_sandbox.scanners.job import Job, ScannerOptions, Stage
from mcp_sandbox.scanners.trufflehog import OnCheckout, OnImage

DATA = Path(__file__).parents[2] / "data" / "scanners" / "trufflehog"
CAPTURED_COMMIT = "b0ad53d82412d8c3b01ef99370b0e0471c2d795a"
WORDS = ("hunter2", "9f3k", "77ab", "41c9x", "svc-user", "example.internal", "not-real")
"""Parts of the invented secrets in the captures."""
CLOSING = '{"level":"info-0","msg":"finished scanning","chunks":4,"trufflehog_version":"3.97.0"}'
SERVER = (
    "import os\n"
    'DB = "postgres://mcp:hunter2-not-real-9f3k@db.example.internal:5432/app"\n'
    'MONGO = "mongodb://mcp:hunter2-not-real-77ab@mongo.example.internal:27017/app"\n'
    'REPO = "https://svc-user:pw-not-real-41c9x@git.example.internal/x.git"\n'
)

GIT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "dev" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "dev@example.com" for who in ("AUTHOR", "COMMITTER")},
}


def git(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=GIT | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, content: str, when: int = 0) -> str:
    """A commit that writes one file; its id."""
    (folder / name).write_text(content)
    git(folder, "add", "--all")
    date = f"{1_700_000_000 + when} +0000"
    git(folder, "commit", "-qm", name, GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str, str]:
    """A checkout whose second commit adds the server, with both ids."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder, commit(folder, "README.md", "Hello\n"), commit(folder, "server.py", SERVER, 1)


def job_of(tmp_path: Path, checkout: Path | None, base: str = "", head: str = "") -> Job:
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "bin").mkdir(exist_ok=True)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return Job(
        checkout=checkout,
        context=checkout,
        dockerfile="",
        image_archive=None,
        base=base,
        head=head,
        work=tmp_path / "work",
        environment={"PATH": path, "HOME": str(tmp_path / "work")},
        timeout=60,
    )


def install(tmp_path: Path, **targets: str) -> None:
    """A program that does what is said for ``filesystem``, ``git`` and ``docker``."""
    cases = "\n".join(f"{name}) {does} ;;" for name, does in targets.items())
    program = tmp_path / "bin" / "trufflehog"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called-$1\nenv > {tmp_path}/seen-$1\n'
        f'case "$1" in\n{cases}\n*) exit 9 ;;\nesac\n'
    )
    program.chmod(0o755)


def says(tmp_path: Path, name: str, stdout: str = "", stderr: str = CLOSING) -> str:
    """Shell text that prints both."""
    (tmp_path / f"{name}.out").write_text(stdout)
    (tmp_path / f"{name}.err").write_text(stderr)
    return f"cat {tmp_path}/{name}.out; cat {tmp_path}/{name}.err >&2"


def captured(name: str, head: str = CAPTURED_COMMIT) -> str:
    return (DATA / name).read_text().replace(CAPTURED_COMMIT, head)


def replay(tmp_path: Path, head: str = CAPTURED_COMMIT) -> None:
    """A program that prints what the real one printed."""
    install(
        tmp_path,
        **{
            name: says(tmp_path, name, captured(f"{name}.jsonl", head), captured(f"{name}.stderr"))
            for name in ("filesystem", "git")
        },
    )


def result(source: str = "Filesystem", detector: str = "URI", raw: str = "s3cr3t-value", **place):
    place = {"file": "server.py", "line": 4} | place
    one = {
        "SourceMetadata": {"Data": {source: place}},
        "DetectorName": detector,
        "DecoderName": "PLAIN",
        "Verified": False,
        "Raw": raw,
        "ExtraData": {"note": raw},
    }
    return json.dumps(one) + "\n"


def scan(tmp_path: Path, checkout: Path, *results: str, stderr: str = CLOSING, **more: str):
    install(tmp_path, filesystem=says(tmp_path, "f", "".join(results), stderr), **more)
    return OnCheckout().run(job_of(tmp_path, checkout))


# --- what it found --------------------------------------------------------------------------------


def test_the_captures_become_issues_on_their_lines(tmp_path, repository):
    folder, base, head = repository
    replay(tmp_path, head)
    run = OnCheckout().run(job_of(tmp_path, folder, base, head))
    assert (run.tool, run.state, run.why, run.version) == (
        "TruffleHog",
        ScannerState.RAN,
        "",
        "3.97.0",
    )
    assert run.details == {"commits": "1"}
    assert [(one.rule, one.path, one.line) for one in run.issues] == [
        ("Postgres", "server.py", 2),
        ("MongoDB", "server.py", 3),
        ("URI", "server.py", 4),
    ]
    for one in run.issues:
        assert one.kind is IssueKind.SECRET
        assert (one.severity, one.verified) == ("unverified", False)
        assert f"It came with commit {head[:12]}." in one.message
    assert not [word for word in WORDS if word in repr(run)]


def test_a_secret_that_a_later_commit_took_out_is_told_by_its_commit(tmp_path, repository):
    folder, base, head = repository
    install(
        tmp_path,
        filesystem=says(tmp_path, "f", "", CLOSING),
        git=says(tmp_path, "g", captured("git.jsonl", head)),
    )
    run = OnCheckout().run(job_of(tmp_path, folder, base, head))
    assert len(run.issues) == 3
    for one in run.issues:
        assert (one.path, one.line) == ("", 0)
        assert f"Commit {head[:12]} has it in server.py, line" in one.message
        assert one.subject == f"commit {head} server.py"
    assert not [word for word in WORDS if word in repr(run)]


def test_what_other_commits_hold_is_not_this_pull_requests(tmp_path, repository):
    folder, base, head = repository
    replay(tmp_path)  # the captured commit is not in this repository
    run = OnCheckout().run(job_of(tmp_path, folder, base, head))
    assert len(run.issues) == 3
    assert not [one for one in run.issues if "commit" in one.message]


def test_a_secret_in_a_commits_message_has_no_file(tmp_path, repository):
    folder, base, head = repository
    said = result("Git", file="", line=0, commit=head)
    install(tmp_path, filesystem=says(tmp_path, "f"), git=says(tmp_path, "g", said))
    (one,) = OnCheckout().run(job_of(tmp_path, folder, base, head)).issues
    assert f"Commit {head[:12]} has it in its author or message." in one.message


def test_secrets_of_one_kind_in_one_file_are_told_apart(tmp_path, repository):
    twice = [result(raw="first-one", line=9), result(raw="other-one", line=4)]
    run = scan(tmp_path, repository[0], *twice, twice[0])
    assert [(one.subject, one.line) for one in run.issues] == [
        ("file server.py", 4),
        ("file server.py (2)", 9),
    ]


def test_absolute_paths_become_relative(tmp_path, repository):
    folder, *_ = repository
    (one,) = scan(tmp_path, folder, result(file=str(folder / "a" / "b.py"))).issues
    assert one.path == "a/b.py"


def test_a_value_in_a_files_name_is_not_told(tmp_path, repository):
    run = scan(tmp_path, repository[0], result(file="keys/s3cr3t-value.txt"))
    assert len(run.issues) == 1
    assert "s3cr3t-value" not in repr(run)


def test_hostile_fields_are_not_repeated(tmp_path, repository):
    odd = result(detector="x\n::error::y", line=-5)
    (one,) = scan(tmp_path, repository[0], odd).issues
    assert (one.rule, one.line) == ("unknown", 0)


def test_a_verified_secret_is_said_to_be_one(tmp_path, repository):
    line = json.dumps(json.loads(result()) | {"Verified": True, "DecoderName": "BASE64"})
    (one,) = scan(tmp_path, repository[0], line).issues
    assert (one.severity, one.verified) == ("verified", True)
    assert "BASE64 decoded; its service accepted it" in one.message


def test_secrets_are_tried_only_when_that_is_asked_for(tmp_path, repository):
    scan(tmp_path, repository[0])
    called = (tmp_path / "called-filesystem").read_text().split()
    assert "--no-verification" in called
    assert "--no-update" in called
    job = replace(job_of(tmp_path, repository[0]), options=ScannerOptions(verify_secrets=True))
    OnCheckout().run(job)
    called = (tmp_path / "called-filesystem").read_text().split()
    assert "--no-verification" not in called
    assert "--no-update" in called


def test_pragmas_are_told_and_not_obeyed(tmp_path, repository):
    folder, *_ = repository
    (folder / "sub").mkdir()
    (folder / "sub" / "key.py").write_text("a = 1\nk = 'v'  # trufflehog:ignore\n")
    copies = tmp_path / "work" / "trufflehog-copies"
    run = scan(tmp_path, folder, result(file=str(copies / "sub" / "key.py"), line=2))
    assert run.disobeyed == ("sub/key.py:2: trufflehog:ignore",)
    assert [(one.path, one.line) for one in run.issues] == [("sub/key.py", 2)]
    called = (tmp_path / "called-filesystem").read_text().splitlines()
    assert called[:3] == ["filesystem", str(folder), str(copies)]
    assert (copies / "sub" / "key.py").read_text() == "a = 1\nk = 'v'  # trufflehog-ignore\n"


def test_the_git_folder_is_excluded_and_the_child_sees_only_its_own(tmp_path, repository):
    scan(tmp_path, repository[0])
    called = (tmp_path / "called-filesystem").read_text().splitlines()
    exclude = Path(called[called.index("--exclude-paths") + 1])
    assert exclude.read_text() == "(^|/)\\.git(/|$)\n"
    seen = (tmp_path / "seen-filesystem").read_text().splitlines()
    names = {line.partition("=")[0] for line in seen}
    assert names <= {"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}


# --- the image ------------------------------------------------------------------------------------


def test_the_image_is_read_from_its_archive(tmp_path, repository):
    folder, *_ = repository
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"x")
    lines = [
        result("Docker", file="/app/server.py", line=0),
        result("Docker", file="/opt/elsewhere.py", line=0),
        result("Docker", file="image-metadata:history:3:created-by", line=0),
    ]
    install(tmp_path, docker=says(tmp_path, "d", "".join(lines)))
    run = OnImage().run(replace(job_of(tmp_path, folder), image_archive=archive))
    assert OnImage().stage is Stage.IMAGE
    assert run.state is ScannerState.RAN
    assert [one.subject for one in run.issues] == [
        "file server.py",
        "image /opt/elsewhere.py",
        "image image-metadata:history:3:created-by",
    ]
    assert {one.path for one in run.issues} == {""}
    called = (tmp_path / "called-docker").read_text().splitlines()
    assert called[:3] == ["docker", "--image", f"file://{archive}"]
    assert "s3cr3t-value" not in repr(run)


def test_what_a_package_brought_along_weighs_less_unless_it_is_valid(tmp_path, repository):
    folder, *_ = repository
    (tmp_path / "image.tar").write_bytes(b"x")
    files = (
        "/./var/lib/dpkg/info/libc6:amd64.md5sums",
        "/app/node_modules/a/guide.md",
        "/venv/lib/python3.13/site-packages/server.py",
        "/var/lib/app/keys",
    )
    lines = [result("Docker", file=file, line=0) for file in files]
    valid = result("Docker", file="/venv/lib/python3.13/site-packages/valid.py", line=0)
    lines.append(valid.replace('"Verified": false', '"Verified": true'))
    install(tmp_path, docker=says(tmp_path, "d", "".join(lines)))
    run = OnImage().run(replace(job_of(tmp_path, folder), image_archive=tmp_path / "image.tar"))
    assert {one.subject.rpartition("/")[2]: one.severity for one in run.issues} == {
        "libc6:amd64.md5sums": "unverified in a package",
        "guide.md": "unverified in a package",
        "keys": "unverified",
        "valid.py": "verified",
        # The author's own, though it is installed: the context has it too.
        "file server.py": "unverified",
    }


def test_without_a_target_it_is_not_used(tmp_path):
    job = job_of(tmp_path, None)
    assert OnCheckout().run(job).state is ScannerState.NOT_USED
    assert OnImage().run(job).state is ScannerState.NOT_USED


# --- what goes wrong ------------------------------------------------------------------------------


def test_not_installed(tmp_path, repository):
    job = replace(job_of(tmp_path, repository[0]), environment={"PATH": str(tmp_path / "bin")})
    run = OnCheckout().run(job)
    assert (run.state, run.why) == (ScannerState.NOT_INSTALLED, "trufflehog is not on PATH.")


def test_exit_code_0_with_nothing_read_is_a_failure(tmp_path, repository):
    run = scan(tmp_path, repository[0], stderr=captured("missing-path.stderr"))
    assert (run.state, run.issues) == (ScannerState.FAILED, ())
    assert run.why == "trufflehog read nothing of the files (encountered errors during scan)."


def test_an_error_in_the_log_is_a_part_left_out_and_its_text_is_not_quoted(tmp_path, repository):
    error = '{"level":"error","msg":"error scanning file","error":"open s3cr3t-value: denied"}\n'
    run = scan(tmp_path, repository[0], result(), stderr=error + CLOSING)
    assert run.state is ScannerState.PARTLY
    assert run.why == "trufflehog could not read all of the files (error scanning file)."
    assert len(run.issues) == 1
    assert "s3cr3t-value" not in repr(run)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("true", "trufflehog did not say that it finished the files."),
        ("exit 1", "trufflehog exited with code 1"),
        ("kill -SEGV $$", "trufflehog was ended by signal 11."),
        ("head -c 300000000 /dev/zero", "trufflehog printed too much"),
        ("exec sleep 600", "trufflehog was not done after"),
        ("echo '[[[['; echo '$CLOSING' >&2", "trufflehog printed something that is no result"),
        ("printf '\\000\\377\\n{}\\n'; echo '$CLOSING' >&2", "trufflehog printed something"),
    ],
)
def test_a_failure_is_one_sentence_and_the_other_part_stays(tmp_path, repository, does, why):
    folder, base, head = repository
    said = says(tmp_path, "g", captured("git.jsonl", head))
    install(tmp_path, filesystem=does.replace("$CLOSING", CLOSING), git=said)
    job = job_of(tmp_path, folder, base, head)
    if "sleep" in does:
        # The commits get what is left of the time: nothing.
        job = replace(job, timeout=0.5)
    run = OnCheckout().run(job)
    assert run.state is ScannerState.FAILED
    assert run.why.startswith(why)
    assert len(run.issues) == (0 if "sleep" in does else 3)


def test_a_broken_history_leaves_the_files(tmp_path, repository):
    folder, base, head = repository
    said = says(tmp_path, "f", captured("filesystem.jsonl"))
    install(tmp_path, filesystem=said, git="exit 1")
    run = OnCheckout().run(job_of(tmp_path, folder, base, head))
    assert run.state is ScannerState.FAILED
    assert len(run.issues) == 3


# --- which commits --------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [("", ""), ("", "f" * 40), ("f" * 40, "f" * 40)])
def test_no_commits_to_read_is_no_fault(tmp_path, repository, given):
    run = replace_commits(tmp_path, repository[0], *given)
    assert run.state is ScannerState.RAN
    assert run.details["commits"].startswith("none: ")


def replace_commits(tmp_path: Path, folder: Path, base: str, head: str):
    install(tmp_path, filesystem=says(tmp_path, "f"))  # any call of git would fail
    return OnCheckout().run(job_of(tmp_path, folder, base, head))


def test_a_base_that_is_nowhere_is_said(tmp_path, repository):
    folder, _, head = repository
    run = replace_commits(tmp_path, folder, "e" * 40, head)
    assert run.state is ScannerState.PARTLY
    assert run.why == (
        "The commits of the pull request were not read: "
        "the base commit eeeeeeeeeeee is not in the checkout."
    )


@pytest.mark.parametrize("bad", ["main", "--output=/tmp/x", "F" * 40, "f" * 39, "f" * 40 + "\n"])
def test_only_whole_ids_are_given_to_git(tmp_path, repository, bad):
    run = replace_commits(tmp_path, repository[0], bad, repository[2])
    assert run.state is ScannerState.PARTLY
    assert "base or head is no commit id" in run.why


def test_a_shallow_clone_is_said_with_its_remedy(tmp_path, repository):
    folder, base, head = repository
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{folder}", str(shallow))
    run = replace_commits(tmp_path, shallow, base, head)
    assert run.state is ScannerState.PARTLY
    assert "is not in the checkout; check out with `fetch-depth: 0`." in run.why


def test_no_repository_and_no_git_are_said(tmp_path, repository):
    folder, base, head = repository
    plain = tmp_path / "plain"
    plain.mkdir()
    assert "is no git repository" in replace_commits(tmp_path, plain, base, head).why
    for name in ("cat", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    alone = replace(
        job_of(tmp_path, folder, base, head), environment={"PATH": str(tmp_path / "bin")}
    )
    assert "git is not installed" in OnCheckout().run(alone).why


def test_commits_without_a_common_one_are_said(tmp_path, repository):
    folder, base, _ = repository
    git(folder, "checkout", "-q", "--orphan", "other")
    head = commit(folder, "other.py", "x\n")
    assert "have no commit in common" in replace_commits(tmp_path, folder, base, head).why


def test_an_old_branch_merged_after_a_newer_base_is_read_whole(tmp_path, repository):
    """``git log`` shows the base before the branch's commits: stopping there would miss them."""
    folder, root, base = repository
    git(folder, "checkout", "-q", "-b", "topic", root)
    old = commit(folder, "topic.py", "x\n", when=-500)
    git(folder, "merge", "-q", "--no-edit", "main", GIT_COMMITTER_DATE="1700000900 +0000")
    head = git(folder, "rev-parse", "HEAD")
    log = git(folder, "log", "--format=%H").split()
    assert log.index(base) < log.index(old), "the case is not the one that is meant"
    wanted = commits.of_pull_request(job_of(tmp_path, folder, base, head), folder)
    assert set(wanted.ids) == {head, old}
    shown = log[: log.index(wanted.since)] if wanted.since else log
    assert set(wanted.ids) <= set(shown)


def test_the_range_is_asked_for_by_ids(tmp_path, repository):
    folder, base, head = repository
    replay(tmp_path, head)
    OnCheckout().run(job_of(tmp_path, folder, base, head))
    called = (tmp_path / "called-git").read_text().splitlines()
    assert called[:6] == ["git", f"file://{folder}", "--branch", head, "--since-commit", base]
    lines = (tmp_path / "seen-git").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    assert seen["GIT_ALLOW_PROTOCOL"] == "file"
    assert Path(seen["TMPDIR"]).is_relative_to(tmp_path / "work")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_can_be_cloned(tmp_path, repository):
    folder, base, head = repository
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 4711, 4711)
    job = job_of(tmp_path, folder, base, head)
    assert commits.of_pull_request(job, folder).ids == (head,)
    clone = ["git", "clone", "-q", f"file://{folder}", str(tmp_path / "clone")]
    bare = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull}
    assert subprocess.run(clone, env=bare, check=False, capture_output=True).returncode == 128
    own = job.environment | git_environment(job.work, folder, "file")
    assert subprocess.run(clone, env=own, check=False, capture_output=True).returncode == 0


def test_the_repositorys_own_programs_are_not_run(tmp_path, repository):
    folder, base, head = repository
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    trap.chmod(0o755)
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "diff.external", "gpg.program"):
        git(folder, "config", name, str(trap))
    git(folder, "config", "remote.origin.url", f"ext::{trap}")
    git(folder, "config", "remote.origin.promisor", "true")
    git(folder, "config", "extensions.partialClone", "origin")
    git(folder, "config", "core.repositoryFormatVersion", "1")
    job = job_of(tmp_path, folder, base, head)
    assert commits.of_pull_request(job, folder).ids == (head,)
    assert "not in the checkout" in commits.of_pull_request(replace(job, base="e" * 40), folder).why
    assert not (tmp_path / "sprung").exists()


# --- the real one ---------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("trufflehog") is None, reason="trufflehog is not installed")
def test_the_real_one_says_what_was_captured(tmp_path, repository):
    folder, base, head = repository
    run = OnCheckout().run(job_of(tmp_path, folder, base, head))
    assert run.state is ScannerState.RAN
    assert {(one.rule, one.path, one.line) for one in run.issues} == {
        ("Postgres", "server.py", 2),
        ("MongoDB", "server.py", 3),
        ("URI", "server.py", 4),
    }
    assert all(f"It came with commit {head[:12]}." in one.message for one in run.issues)
