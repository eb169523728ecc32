"""Real Trivy and real Hadolint, on the checkout that the captures were made of and on hostile ones.

Trivy's database is a real one, small, and made here. Nothing but the image's archive comes from an
engine.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import string
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import Issue, IssueKind, ScannerRun, ScannerState
from mcp_sandbox.scanners import Job, ScannerOptions, Stage, hadolint, merged, trivy, trivy_report
from mcp_sandbox.scanners.places import Places
from support.on_engine import BASE
from support.scanners import DATA, FIXTURE, job

TESTS = Path(__file__).parents[1]
SECRET = "gh" + "p_" + (string.ascii_letters + string.digits)[7:43]
"""An invented token of the form that Trivy knows; written in two parts so that nobody else does."""
NOBODY = 54321

on_its_machine = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="Trivy's package is for x86_64 only"
)


@pytest.fixture(scope="session")
def trivy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with a current database of two vulnerabilities."""
    folder = tmp_path_factory.mktemp("trivy-cache")
    program = folder / "trivy_db"
    subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=TESTS / "trivy_db", check=True, timeout=300
    )
    (folder / "db").mkdir()
    texts = sorted((DATA / "trivy" / "database").glob("*.yaml"))
    subprocess.run([program, folder / "db" / "trivy.db", *texts], check=True, timeout=60)
    now = datetime.now(UTC)
    metadata = {
        "Version": 2,
        "UpdatedAt": (now - timedelta(days=2)).isoformat(),
        "NextUpdate": (now + timedelta(days=1)).isoformat(),
    }
    (folder / "db" / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="session")
def archive(store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the checkout below becomes."""
    folder = tmp_path_factory.mktemp("image")
    installed = folder / "usr" / "lib" / "python3" / "dist-packages" / "Werkzeug-0.11.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.0\nName: Werkzeug\nVersion: 0.11\n")
    (folder / "keys.py").write_text(f'\n\nTOKEN = "{SECRET}"\n')
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY usr /usr\nCOPY keys.py /app/keys.py\n")
    built = store.build(
        folder, dockerfile=None, network="default", timeout=300, environment=os.environ
    )
    store.save(built.id, folder / "image.tar")
    return folder / "image.tar"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The captures' checkout, with a vulnerable package and a secret."""
    root = tmp_path / "checkout"
    shutil.copytree(FIXTURE, root)
    with (root / "requirements.txt").open("a") as file:
        file.write("# a debugger\nWerkzeug==0.11\n")
    (root / "keys.py").write_text(f'\n\nTOKEN = "{SECRET}"\n')
    return root


@pytest.fixture
def made(tmp_path: Path, checkout: Path, trivy_cache: Path) -> Job:
    """The job on that checkout."""
    return job(tmp_path, checkout, timeout=300, options=ScannerOptions(trivy_cache=trivy_cache))


def places(issues: tuple[Issue, ...], kind: IssueKind) -> set[tuple[str, str, int]]:
    return {(one.rule, one.path, one.line) for one in issues if one.kind is kind}


def ran(found: ScannerRun) -> ScannerRun:
    assert (found.state, found.why) == (ScannerState.RAN, "")
    return found


@on_its_machine
class TestTrivy:
    def test_a_package_a_misconfiguration_and_a_secret_on_their_lines(self, made: Job) -> None:
        found = ran(trivy.CHECKOUT.run(made))
        assert found.version == "0.74.0"
        assert found.details["age of the database"].startswith("2 days (")
        assert places(found.issues, IssueKind.VULNERABILITY) == {
            ("CVE-2019-14806", "requirements.txt", 4)
        }
        assert places(found.issues, IssueKind.SECRET) == {("github-pat", "keys.py", 3)}
        assert ("DS-0031", "Dockerfile", 4) in places(found.issues, IssueKind.MISCONFIGURATION)
        assert SECRET not in repr(found)
        assert "not-a-real-token" not in repr(found)
        assert (found.disobeyed, found.left_out) == ((), ())

    def test_it_still_says_of_the_fixture_what_was_captured(
        self, tmp_path: Path, trivy_cache: Path
    ) -> None:
        one = job(tmp_path, FIXTURE, timeout=300, options=ScannerOptions(trivy_cache=trivy_cache))
        captured = trivy_report.results((DATA / "trivy" / "checkout.json").read_bytes())
        expected = trivy_report.contents(captured, Stage.CHECKOUT, Places(one))
        found = ran(trivy.CHECKOUT.run(one))
        assert found.issues == expected.issues
        assert len(found.issues) == 6

    def test_two_runs_say_the_same(self, made: Job) -> None:
        assert merged([trivy.CHECKOUT.run(made)]) == merged([trivy.CHECKOUT.run(made)])

    def test_ignore_files_and_comments_silence_nothing(self, made: Job, checkout: Path) -> None:
        before = trivy.CHECKOUT.run(made).issues
        (checkout / ".trivyignore").write_text("CVE-2019-14806\nDS-0005\ngithub-pat\n")
        (checkout / "trivy.yaml").write_text("severity: [UNKNOWN]\n")
        (checkout / "trivy-secret.yaml").write_text("disable-rules: [github-pat]\n")
        text = (checkout / "Dockerfile").read_text()
        (checkout / "Dockerfile").write_text(
            text.replace("ADD ", "# trivy:ignore:DS-0005\nADD ") + "# trivy:ignore:DS-0002\n"
        )
        found = ran(trivy.CHECKOUT.run(made))
        what = {(one.rule, one.subject) for one in found.issues}
        assert what == {(one.rule, one.subject) for one in before}
        (add,) = (one for one in found.issues if one.rule == "DS-0005")
        assert add.line == 4
        assert {one.split(":")[0] for one in found.disobeyed} == {
            ".trivyignore",
            "trivy.yaml",
            "trivy-secret.yaml",
            "Dockerfile",
        }

    def test_the_built_dockerfile_is_looked_at_whatever_its_name(
        self, made: Job, checkout: Path
    ) -> None:
        (checkout / "Dockerfile").rename(checkout / "build, (this) one")
        found = ran(trivy.CHECKOUT.run(_with(made, "build, (this) one")))
        assert ("DS-0005", "build, (this) one", 3) in places(
            found.issues, IssueKind.MISCONFIGURATION
        )

    def test_another_server_of_the_repository_is_not_this_one(
        self, made: Job, checkout: Path
    ) -> None:
        for name in ("this", "other"):
            (checkout / name).mkdir()
            (checkout / name / "Dockerfile").write_text("FROM debian:latest\nENV API_TOKEN=x\n")
        one = replace(made, context=checkout / "this", dockerfile="this/Dockerfile")
        paths = {found.path for found in ran(trivy.CHECKOUT.run(one)).issues}
        assert paths == {"this/Dockerfile"}

    def test_without_a_database_the_rest_is_done(self, tmp_path: Path, checkout: Path) -> None:
        # A repository that nobody answers for: no download is tried elsewhere.
        options = ScannerOptions(trivy_db="127.0.0.1:9/a:2,127.0.0.1:9/b:2")
        found = trivy.CHECKOUT.run(job(tmp_path, checkout, timeout=300, options=options))
        assert found.state is ScannerState.PARTLY
        assert found.why.startswith("Trivy has no vulnerability database: ")
        assert "127.0.0.1:9" in found.why
        assert places(found.issues, IssueKind.SECRET) == {("github-pat", "keys.py", 3)}
        assert places(found.issues, IssueKind.VULNERABILITY) == set()

    def test_a_hostile_checkout(self, made: Job, checkout: Path, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "requirements.txt").write_text("Werkzeug==0.11\n")
        (tmp_path / "outside" / "keys.py").write_text(f'K = "{SECRET}"\n')
        (checkout / "away").symlink_to(tmp_path / "outside")
        (checkout / "more-keys.py").symlink_to(tmp_path / "outside" / "keys.py")
        os.mkfifo(checkout / "pipe.yaml")
        (checkout / "loop").symlink_to("loop")
        (checkout / "package-lock.json").write_text("{" * 100_000)
        for path in (checkout, *checkout.rglob("*")):
            os.lchown(path, NOBODY, NOBODY)
        found = ran(trivy.CHECKOUT.run(made))
        assert places(found.issues, IssueKind.SECRET) == {("github-pat", "keys.py", 3)}
        assert places(found.issues, IssueKind.VULNERABILITY) == {
            ("CVE-2019-14806", "requirements.txt", 4)
        }

    def test_what_is_no_image_fails(self, tmp_path: Path, trivy_cache: Path) -> None:
        (tmp_path / "image.tar").write_text("nonsense")
        options = ScannerOptions(trivy_cache=trivy_cache)
        found = trivy.IMAGE.run(job(tmp_path, archive=tmp_path / "image.tar", options=options))
        assert found.state is ScannerState.FAILED
        assert found.why.startswith("trivy exited with code 1: ")


@on_its_machine
@pytest.mark.engine
class TestImage:
    def test_packages_and_secrets_of_the_image(
        self, tmp_path: Path, checkout: Path, trivy_cache: Path, archive: Path
    ) -> None:
        (checkout / "Dockerfile").write_text("FROM a AS b\nFROM c\nCOPY . /app\n")
        options = ScannerOptions(trivy_cache=trivy_cache, trivy_licences=True)
        one = job(tmp_path, checkout, archive=archive, timeout=300, options=options)
        found = ran(trivy.IMAGE.run(one))
        assert places(found.issues, IssueKind.VULNERABILITY) == {
            ("CVE-2005-2541", "Dockerfile", 2),
            ("CVE-2019-14806", "requirements.txt", 4),
        }
        assert {one.rule: one.fixable for one in found.issues if one.rule[:3] == "CVE"} == {
            "CVE-2005-2541": False,
            "CVE-2019-14806": True,
        }
        assert places(found.issues, IssueKind.SECRET) == {("github-pat", "keys.py", 3)}
        assert ("DS-0002", "", 0) in places(found.issues, IssueKind.MISCONFIGURATION)
        licences = places(found.issues, IssueKind.LICENCE)
        assert {place[1:] for place in licences} == {("Dockerfile", 2)}
        assert SECRET not in repr(found)

        (both,) = merged([trivy.CHECKOUT.run(one), found])
        assert both.state is ScannerState.RAN
        assert len([one for one in both.issues if one.rule == "CVE-2019-14806"]) == 1
        assert len([one for one in both.issues if one.rule == "github-pat"]) == 1

    def test_without_a_checkout(self, tmp_path: Path, trivy_cache: Path, archive: Path) -> None:
        options = ScannerOptions(trivy_cache=trivy_cache)
        found = ran(trivy.IMAGE.run(job(tmp_path, archive=archive, timeout=300, options=options)))
        assert {one.rule for one in found.issues} >= {"CVE-2005-2541", "CVE-2019-14806"}
        assert {(one.path, one.line) for one in found.issues} == {("", 0)}


class TestHadolint:
    def test_it_still_says_of_the_fixture_what_was_captured(self, tmp_path: Path) -> None:
        captured = (DATA / "hadolint" / "fixture.json").read_bytes()
        source = (FIXTURE / "Dockerfile").read_bytes()
        expected, _ = hadolint.parse_report(captured, "Dockerfile", source)
        found = ran(hadolint.CHECKOUT.run(job(tmp_path, FIXTURE)))
        assert found.issues == expected
        assert found.version == "2.15.1"

    def test_comments_and_configuration_silence_nothing(
        self, tmp_path: Path, checkout: Path
    ) -> None:
        (checkout / "Dockerfile").write_text(
            "FROM debian:13\n# hadolint ignore=DL3008\nRUN apt-get install -y a\n"
            "RUN <<E\n# shellcheck disable=SC2086\necho $X\nE\n"
        )
        (checkout / ".hadolint.yaml").write_text("ignored: [DL3008, DL3015]\n")
        found = ran(hadolint.CHECKOUT.run(job(tmp_path, checkout)))
        assert {one.rule for one in found.issues} >= {"DL3008", "DL3015", "SC2086"}
        assert len(found.disobeyed) == 3

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"FROM a\nNONSENSE!\n", "Hadolint cannot parse Dockerfile, line 2: "),
            (b"\x00\xff\xfe" * 1000, "Hadolint cannot parse Dockerfile, line 1: "),
            (b"", "Hadolint has nothing to say of Dockerfile, but it is no Dockerfile: "),
            (b"# all\n", "Hadolint has nothing to say of Dockerfile, but it is no Dockerfile: "),
            (b"#" * (2**20 + 1), "Dockerfile is not a file of at most 1 MiB in the checkout."),
        ],
    )
    def test_a_dockerfile_that_is_none(
        self, tmp_path: Path, checkout: Path, content: bytes, why: str
    ) -> None:
        (checkout / "Dockerfile").write_bytes(content)
        found = hadolint.CHECKOUT.run(job(tmp_path, checkout))
        assert found.state is ScannerState.FAILED
        assert found.why.startswith(why)

    def test_an_absent_dockerfile_and_a_foreign_one(self, tmp_path: Path, checkout: Path) -> None:
        os.lchown(checkout / "Dockerfile", NOBODY, NOBODY)
        assert len(ran(hadolint.CHECKOUT.run(job(tmp_path, checkout))).issues) == 7
        (checkout / "Dockerfile").unlink()
        found = hadolint.CHECKOUT.run(job(tmp_path, checkout))
        assert (found.state, found.issues) == (ScannerState.FAILED, ())


def _with(made: Job, dockerfile: str) -> Job:
    return job(
        made.work.parent, made.checkout, dockerfile=dockerfile, timeout=300, options=made.options
    )
