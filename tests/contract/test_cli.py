"""The installed command on a real engine: whatever goes wrong is one sentence, and leaves nothing.

The ``door`` fixture looks, after every test, for containers, images, volumes, networks, processes
and temporary files of that test's runs.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.sandbox import Engine
from support import acting
from support.front_door import PATIENCE, PROMISED, QUICK, Done, Door, Running
from support.on_engine import (
    BASE,
    CORPUS_FILES,
    START_HOSTILE,
    WITH_PYTHON,
    labelled,
    remove_bundle,
)

pytestmark = pytest.mark.engine

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_bytes())
HONEST = "crlf-lines"
"""The mode of the corpus that answers everything as it should."""
PHASE_LINE = re.compile(r"\[ *\d+\.\d s\] [a-z][a-z :-]*[0-9a-z-]*")
FAULTLESS = ("runs-as-root", "reflected-prompt")
"""What the honest server's image is told besides."""

Scan = Callable[..., Done]


def check_report(done: Done, verdict: str) -> dict[str, Any]:
    """The written report: whole, of the schema, and with this verdict."""
    report = done.report
    jsonschema.validate(report, SCHEMA)
    assert report["verdict"] == verdict
    assert "summary.md" in done.files()
    assert not [name for name in done.files() if name.endswith(".partial")]
    return report


def check_broken(done: Done, code: int, verdict: str = "error") -> dict[str, Any]:
    """One sentence, a way out, no traceback, and a partial report without SARIF."""
    assert done.code == code, done.err
    assert done.sentence.endswith(".")
    assert done.way_out
    assert "Traceback" not in done.err
    assert "results.sarif" not in done.files()
    assert done.out.splitlines()[0].split()[0] == verdict.upper()
    report = check_report(done, verdict)
    assert report["score"] is None
    if verdict == "error":
        assert done.sentence in report["error"]
    return report


# --- a run that goes well, and what can be done with its report -----------------------------------


@pytest.fixture(scope="module")
def honest(
    tmp_path_factory: pytest.TempPathFactory,
    docker_host: str | None,
    helper_image: str,
    corpus_image: ImageFacts,
    engine: Engine,
) -> Done:
    """One whole scan of an honest server."""
    folder = tmp_path_factory.mktemp("honest")
    made = Door(folder, docker_host, "--helper-image", helper_image, *QUICK)
    done = made.run("scan", "--image", corpus_image.id, "--", HONEST)
    remove_bundle(engine, helper_image, made.label)
    assert labelled(engine, made.label) == []
    assert made.left_here() == []
    return done


def test_a_whole_scan(honest: Done):
    assert honest.code == 0, honest.err
    report = check_report(honest, "pass")
    assert honest.files() == {
        *("evidence", "report.json", "summary.md"),
        *("results.sarif", "results-full.sarif", "mcp-sandbox.lock.json"),
    }
    assert {one["rule"] for one in report["findings"]} <= set(FAULTLESS)
    assert honest.out.startswith(f"PASS  score {report['score']:g}  (")
    assert honest.out.endswith(f"report: {honest.folder}\n")
    for line in honest.err.splitlines():
        assert PHASE_LINE.fullmatch(line), line
    names = {path.name for path in (honest.folder / "evidence").iterdir()}
    sessions = ("1-main", "2-untraced", "3-identity", "4-stateless")
    assert {f"{name}.jsonl" for name in sessions} <= names
    assert {f"{name}.trace" for name in sessions if name != "2-untraced"} <= names
    assert "2-untraced.trace" not in names


def test_judge_says_what_the_scan_said(honest: Done, door: Door):
    again = door.run("judge", "--json", honest.folder / "report.json", DOCKER_HOST="unix:///none")
    assert (again.code, again.err) == (0, "")
    assert again.out == (honest.folder / "report.json").read_text()


def test_judge_honours_its_own_gate_and_profile(honest: Done, door: Door):
    report = honest.folder / "report.json"
    gated = door.run("judge", "--fail-below", "99.5", report)
    assert (gated.code, gated.err) == (1, "")
    assert "gate failed: score (" in gated.out
    seed = door.run("judge", "--profile", "seed", "--json", report)
    assert json.loads(seed.out)["profile"] == "seed"


def test_only_json_and_nothing_else(door: Door, corpus_image: ImageFacts):
    options = ["--json", "--quiet", "--fail-below", "100", "--image", corpus_image.id]
    done = door.run("scan", *options, "--", HONEST)
    assert (done.code, done.err) == (1, "")
    assert done.out == (door.out / "report.json").read_text()
    assert check_report(done, "fail")["score"] < 100
    assert "results.sarif" in done.files()


def test_a_result_of_an_earlier_run_does_not_stay(honest: Done, door: Door):
    shutil.copytree(honest.folder, door.out)
    (door.out / "mine.txt").write_text("kept")
    done = door.run("scan", "--image", "mcp-sandbox-test/absent:none")
    check_broken(done, 2)
    assert done.files() == {"evidence", "report.json", "summary.md", "mine.txt"}
    assert list((door.out / "evidence").iterdir()) == []


def test_two_scans_at_once(door: Door, corpus_image: ImageFacts, tmp_path: Path):
    arguments = ["--image", corpus_image.id, "--", HONEST]
    running = [door.start("scan", "--out", tmp_path / name, *arguments) for name in ("one", "two")]
    for done in [one.end() for one in running]:
        assert done.code == 0, done.err
        check_report(done, "pass")


def test_results_belong_to_the_folders_owner(door: Door, tmp_path: Path):
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, 54321)
    owner = tmp_path.stat()
    done = door.run("scan", "--image", BASE, "--out", tmp_path / "new" / "deep", "--", "true")
    check_broken(done, 3, "inconclusive")
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {path.name for path in made} >= {"report.json", "summary.md", "evidence", "1-main.jsonl"}
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {
        (owner.st_uid, owner.st_gid)
    }


# --- the folder and its build ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "server"
    for name, text in CORPUS_FILES.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (made / "Dockerfile").write_text(WITH_PYTHON + START_HOSTILE)
    return made


def test_a_folder_is_built_and_arguments_reach_the_server(door: Door, folder: Path):
    done = door.run("scan", folder, "--", HONEST)
    assert done.code == 0, done.err
    report = check_report(done, "pass")
    assert report["observations"]["image"]["build"]["dockerfile"] == "Dockerfile"
    container = report["observations"]["sessions"][0]["container"]
    assert container["command_line"][-1] == HONEST


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (lambda at: (at / "Dockerfile").unlink(), [], "'Dockerfile'"),
        (shutil.rmtree, [], "server'"),
        (lambda at: (shutil.rmtree(at), at.write_text("x")), [], "not a folder"),
        (lambda at: None, ["--dockerfile", "../home"], "outside the build context"),
        (lambda at: None, ["--dockerfile", "absent"], "'absent'"),
    ],
    ids=["no-dockerfile", "missing", "a-file", "outside", "no-such-dockerfile"],
)
def test_a_folder_that_cannot_be_built(
    door: Door, folder: Path, make: Callable[[Path], object], options: list[str], named: str
):
    make(folder)
    done = door.run("scan", folder, *options)
    check_broken(done, 2)
    assert named in done.sentence


FAILS = r"""FROM %s
RUN printf 'a\033[31mred\033]0;title\007\n::error::forged\n\r::warning::too\nthe reason\n'; exit 7
"""


def test_a_build_that_fails_shows_the_end_of_its_log_escaped(door: Door, folder: Path):
    (folder / "Dockerfile").write_text(FAILS % BASE)
    done = door.run("scan", folder)
    report = check_broken(done, 2)
    assert "the reason" in done.detail
    assert r"\x1b[31mred\x1b]0;title\x07" in done.detail
    assert "\x1b" not in done.err
    assert [line for line in done.err.splitlines() if line.lstrip().startswith("::")] == []
    assert report["observations"] is None


def test_a_build_that_takes_too_long(door: Door, folder: Path):
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nRUN sleep 600 # {door.label}\n")
    done = door.run("scan", "--build-timeout", "2", folder)
    check_broken(done, 2)
    assert "within 2 seconds" in done.sentence
    assert "--build-timeout" in done.way_out


# --- images that cannot be started ----------------------------------------------------------------


@pytest.mark.parametrize(
    "reference", ["mcp-sandbox-test/absent:none", "sha256:" + "0" * 64, "UPPER::x"]
)
def test_an_image_that_is_nowhere(door: Door, reference: str):
    done = door.run("scan", "--image", reference)
    check_broken(done, 2)
    assert reference in done.sentence


def test_an_image_that_names_no_command(door: Door, build: Callable[..., ImageFacts]):
    image = build("FROM scratch\nCOPY . /\n", {"f": ""})
    done = door.run("scan", "--image", image.id)
    report = check_broken(done, 2)
    assert "neither an ENTRYPOINT nor a CMD" in done.sentence
    assert report["observations"]["image"]["id"] == image.id


def test_a_command_that_is_not_in_the_image(door: Door):
    done = door.run("scan", "--image", BASE, "--", "no-such-program")
    report = check_broken(done, 3, "inconclusive")
    assert "could not start the server" in done.sentence
    assert "no-such-program" in done.detail
    attempts = report["observations"]["attempts"]
    assert all(one["outcome"].startswith("not started: ") for one in attempts)


@pytest.fixture
def foreign_image(engine: Engine, docker_host: str | None) -> Iterator[tuple[str, str]]:
    """An image whose program no machine of this engine can run, and the machine it is for."""
    other = "amd64" if engine.describe()["architecture"] == "aarch64" else "arm64"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        program = tarfile.TarInfo("server")
        program.mode, program.size = 0o755, 4
        tar.addfile(program, io.BytesIO(b"\x7fELF"))
    entrypoint = 'ENTRYPOINT ["/server"]'
    made = subprocess.run(
        ["docker", "import", "--platform", f"linux/{other}", "--change", entrypoint, "-"],
        input=archive.getvalue(),
        stdout=subprocess.PIPE,
        check=True,
    )
    image = made.stdout.decode().strip()
    yield image, other
    engine.api.remove_image(image)


def test_an_image_for_another_machine(door: Door, foreign_image: tuple[str, str]):
    image, other = foreign_image
    done = door.run("scan", "--image", image)
    check_broken(done, 3, "inconclusive")
    assert f"the image is for {other}" in done.sentence


def test_a_server_that_exits_at_once(door: Door, corpus_image: ImageFacts):
    done = door.run("scan", "--image", corpus_image.id, "--", "exits-at-once-3")
    report = check_broken(done, 3, "inconclusive")
    assert "it names API_KEY, after 1 restart with invented settings" in done.sentence
    assert "API_KEY is not set" in done.detail
    attempts = report["observations"]["attempts"]
    # What it lacks is given to it, and no limit relaxed for it.
    assert [one["relaxation"] for one in attempts] == ["none", "none"]
    assert {one["exit_code"] for one in attempts} == {3}
    assert all("API_KEY is not set" in one["stderr"] for one in attempts)
    # That a relaxation was tried does not say that it was needed.
    assert [one for one in report["findings"] if one["rule"].startswith("needs-")] == []


def test_a_server_that_never_answers(door: Door, corpus_image: ImageFacts):
    options = ["--start-timeout", "1", "--image", corpus_image.id]
    done = door.run("scan", *options, "--", "never-answers")
    report = check_broken(done, 3, "inconclusive")
    assert "within 1 seconds" in done.sentence
    assert "--start-timeout" in done.way_out
    assert len(report["observations"]["attempts"]) == 1


def test_without_our_own_image_it_is_never_a_pass(door: Door, corpus_image: ImageFacts):
    options = ["--helper-image", "nothing:here", "--image", corpus_image.id]
    done = door.run("scan", *options, "--", HONEST)
    assert done.code == 3
    report = check_report(done, "error")
    assert "nothing:here" in report["error"]
    assert "nothing:here" in done.err


# --- servers that need a little more --------------------------------------------------------------

NEEDS = """\
#!/bin/sh
case $1 in
    root) touch /var/tmp/written || exit 1 ;;
    memory) python3 -c 'bytearray(300 << 20)' || exit 1 ;;
    user) test "$(id -u)" = 0 || exit 1 ;;
esac
exec python3 -B /srv/servers/hostile/server.py crlf-lines
"""


@pytest.fixture(scope="module")
def needy_image(build: Callable[..., ImageFacts]) -> ImageFacts:
    """Starts only when it is given what its argument names."""
    more = "COPY --chmod=755 needs.sh /needs.sh\n" + 'ENTRYPOINT ["/needs.sh"]\n'
    return build(WITH_PYTHON + more, CORPUS_FILES | {"needs.sh": NEEDS})


@pytest.mark.parametrize(
    ("need", "rule", "starts"),
    [
        ("root", "needs-writable-root", 2),
        ("memory", "needs-more-memory", 3),
        ("user", "needs-image-user", 4),
    ],
)
def test_what_a_server_needs_is_given_and_told(
    door: Door, needy_image: ImageFacts, need: str, rule: str, starts: int
):
    done = door.run("scan", "--fail-on", "medium", "--image", needy_image.id, "--", need)
    report = done.report
    assert len(report["observations"]["attempts"]) == starts
    assert report["observations"]["attempts"][-1]["outcome"] == "answered"
    assert {name: one["outcome"] for name, one in report["coverage"]["tools"].items()} == {
        "echo": "called",
        "add": "called",
    }
    found = [one for one in report["findings"] if one["rule"].startswith("needs-")]
    assert [one["rule"] for one in found] == [rule]
    # The gate turns on the class alone: with it 1, without it 0.
    medium = found[0]["class"] == "medium"
    assert done.code == (1 if medium else 0), done.err
    check_report(done, "fail" if medium else "pass")
    if medium:
        other = door.run("judge", "--fail-on", "critical", done.folder / "report.json")
        assert other.code == 0


# --- the results folder ---------------------------------------------------------------------------


def test_a_disk_that_fills_up_meanwhile(door: Door, corpus_image: ImageFacts):
    """The limit on a file's size stands for the disk: nothing can be written beyond it."""
    room = ["prlimit", "--fsize=65536"]
    done = door.run("scan", "--image", corpus_image.id, "--", HONEST, under=room)
    report = check_broken(done, 3)
    assert "could not be written" in done.sentence
    assert "free some space" in done.way_out
    assert report["error"]


def test_a_full_disk(door: Door, corpus_image: ImageFacts, tmp_path: Path):
    """A file system of 64 KiB: the transcript does not fit, and the report not beside it."""
    place = tmp_path / "small"
    place.mkdir()
    inner = (
        'mount -t tmpfs -o size=64k tmpfs "$0" && "$@"; code=$?; cp -r "$0" "$0.seen"; exit $code'
    )
    under = ["unshare", "--mount", "--map-root-user", "sh", "-c", inner, str(place)]
    done = door.run(
        "scan", "--out", place / "out", "--image", corpus_image.id, "--", HONEST, under=under
    )
    assert done.code == 3
    assert "No space left on device" in done.sentence
    assert "free some space" in done.way_out
    # What stands there from the start on has to do: it does not look clean.
    seen = replace(done, folder=tmp_path / "small.seen" / "out")
    assert check_report(seen, "error")["error"].startswith("The run did not come to its end.")
    assert "results.sarif" not in seen.files()


def test_standard_output_that_cannot_be_written(door: Door):
    full = ["sh", "-c", '"$@" >/dev/full', "sh"]
    done = door.run("scan", "--json", "--image", "mcp-sandbox-test/absent:none", under=full)
    assert done.code == 3, done.err
    assert "Standard output could not be written: No space left on device" in done.sentence


# --- progress on a terminal -----------------------------------------------------------------------


def test_a_terminal_gets_live_progress_and_no_text_of_the_servers(
    door: Door, corpus_image: ImageFacts
):
    ours, theirs = pty.openpty()
    words = door.argv("scan", "--image", corpus_image.id, "--", "escapes-in-texts")
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=door.environment | {"TERM": "xterm", "COLUMNS": "200"},
        cwd=door.home,
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while select.select([terminal], [], [], PATIENCE)[0]:
            try:
                shown += terminal.read(65536)
            except OSError:  # the other end is closed
                break
    assert process.wait(PATIENCE) in {0, 1}
    text = shown.decode()
    assert "probe: main" in text
    assert r"escape\x1b" in text
    # All control sequences are rich's own: colours, and the moving of the cursor.
    assert {found[-1] for found in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]", text)} <= set("mKAhl")
    assert re.findall(r"\x1b[^\[]", text) == []
    assert [c for c in text if ord(c) < 32 and c not in "\r\n\x1b"] == []
    assert [line for line in re.split(r"[\r\n]", text) if line.lstrip().startswith("::")] == []


def test_debug_shows_where_it_failed(door: Door):
    done = door.run("--debug", "scan", "--image", "mcp-sandbox-test/absent:none")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.sentence


# --- signals --------------------------------------------------------------------------------------

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL


def check_interrupted(running: Running) -> dict[str, Any]:
    done = running.end(within=PROMISED)
    report = check_broken(done, 3)
    assert done.sentence == "Interrupted."
    assert "Nothing is left running" in done.way_out
    return report


@pytest.mark.parametrize("signals", [[INT], [TERM], [INT, TERM]])
def test_interrupted_while_building(door: Door, folder: Path, signals: list[signal.Signals]):
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nRUN sleep 600 # {door.label}\n")
    running = door.start("scan", folder)
    running.wait_for("] build")
    for number in signals:
        running.signal(number)
    report = check_interrupted(running)
    assert report["observations"] is None


@pytest.mark.parametrize(
    ("mode", "phase", "signals"),
    [
        (HONEST, "plant", [TERM]),
        ("never-answers", "start: main", [INT]),
        ("never-answers", "start: main", [TERM, TERM]),
        ("hangs-in-a-call", "probe: main", [INT, INT]),
        ("hangs-in-a-call", "probe: main", [TERM]),
        ("hangs-in-a-call", "probe: main", [HUP]),
        ("ignores-goodbye", "stop: main", [INT]),
        ("ignores-goodbye", "stop: main", [TERM, INT]),
    ],
)
def test_interrupted_in_any_phase(
    door: Door, corpus_image: ImageFacts, mode: str, phase: str, signals: list[signal.Signals]
):
    slow = ["--start-timeout", "60", "--call-timeout", "60"]
    running = door.start("scan", *slow, "--image", corpus_image.id, "--", mode)
    running.wait_for(f"] {phase}\n")
    for number in signals:
        running.signal(number)
    observations = check_interrupted(running)["observations"]
    assert observations["image"]["id"] == corpus_image.id
    if phase == "stop: main":
        main = observations["sessions"][0]["transcript"]
        assert main["end"] == "broken-off"
        assert {one["items"][0]["name"] for one in main["listings"] if one["items"]} == {"echo"}
        assert len(main["calls"]) > 2


@pytest.fixture(scope="module")
def acting_image(build: Callable[..., ImageFacts]) -> ImageFacts:
    """The servers that act on their machine; its arguments are one of them and a mode."""
    return build(acting.WITH_TOOLS + 'ENTRYPOINT ["python3", "-B"]\n', CORPUS_FILES)


SERVERS = "/srv/servers"
HANGING = (f"{SERVERS}/hostile/server.py", "hangs-in-a-call")
GOOD = (f"{SERVERS}/hostile/server.py", HONEST)
UNREADABLE = (f"{SERVERS}/attacks/server.py", "unreadable")
TWO_FACED = (f"{SERVERS}/behaviour/server.py", "two-faced")


ENDED = {
    "probe: main": [],
    "probe: beside": ["main"],
    "trace from outside": ["main", "untraced", "identity"],
    "compare again": ["main", "untraced", "identity"],
}
"""Roles of the sessions that have been held to their end when a phase begins."""


@pytest.mark.parametrize(
    ("server", "phase", "jobs"),
    [
        (HANGING, "probe: main", 4),
        (HANGING, "probe: main", 1),
        (GOOD, "probe: beside", 1),
        (GOOD, "probe: beside", 4),
        (UNREADABLE, "trace from outside", 4),
        (TWO_FACED, "compare again", 4),
        (TWO_FACED, "compare again", 1),
    ],
)
def test_interrupted_with_several_sessions(
    door: Door, acting_image: ImageFacts, server: tuple[str, str], phase: str, jobs: int
):
    before = ENDED[phase]
    options = ["--jobs", str(jobs), "--call-timeout", "60", "--max-calls", "100"]
    running = door.start("scan", *options, "--image", acting_image.id, "--", *server)
    running.wait_for(f"] {phase}\n")
    running.signal(TERM if jobs == 1 else INT)
    report = check_interrupted(running)
    sessions = report["observations"]["sessions"]
    ends = [(one["transcript"]["role"], one["transcript"]["end"]) for one in sessions]
    assert ends[: len(before)] == [(role, "completed") for role in before]
    assert {end for _, end in ends[len(before) :]} <= {"broken-off", "completed", "refused"}
    if not before:
        assert ends[0] == ("main", "broken-off")
        assert len(ends) <= jobs
    for one in sessions:
        assert (running.folder / "evidence" / f"{one['evidence']}.jsonl").is_file()


@pytest.mark.parametrize("jobs", [1, 4])
def test_however_many_sessions_are_held_at_once(door: Door, corpus_image: ImageFacts, jobs: int):
    done = door.run("scan", "--jobs", jobs, "--image", corpus_image.id, "--", HONEST)
    assert done.code == 0, done.err
    sessions = check_report(done, "pass")["observations"]["sessions"]
    assert [one["evidence"] for one in sessions] == [
        "1-main",
        "2-untraced",
        "3-identity",
        "4-stateless",
    ]


@pytest.fixture
def killed(door: Door, corpus_image: ImageFacts, engine: Engine) -> Iterator[None]:
    """A run that was killed while its server was starting: it could not clear anything away."""
    running = door.start("scan", "--image", corpus_image.id, "--", "never-answers")
    running.wait_for("] start: main")
    running.signal(KILL)
    assert running.process.wait(PATIENCE) == -KILL
    assert labelled(engine, door.label)
    report = json.loads((door.out / "report.json").read_bytes())
    assert (report["verdict"], "did not come to its end" in report["error"]) == ("error", True)
    return


@pytest.mark.usefixtures("killed")
def test_the_next_run_sweeps_what_a_kill_left(door: Door, engine: Engine):
    absent = "mcp-sandbox-test/absent:none"
    door.run("scan", "--image", absent)
    assert labelled(engine, door.label)  # it may still be alive, for all that run knows
    door.run("scan", "--image", absent, MCP_SANDBOX_TEST_SWEEP_AGE="-100000")
    assert labelled(engine, door.label) == []


@pytest.mark.usefixtures("killed")
def test_clean_removes_what_a_kill_left_and_nothing_else(
    door: Door, engine: Engine, base_image: ImageFacts
):
    mine = engine.api.create_container(base_image.id, ["cat"], labels={"mine": "1"})["Id"]
    try:
        done = door.run("clean")
        assert (done.code, done.err) == (0, "")
        *removed, count = done.out.splitlines()
        assert count == f"{len(removed)} removed"
        assert {line.split()[0] for line in removed} >= {"image"}
        assert labelled(engine, door.label) == []
        assert engine.api.inspect_container(mine)
        assert engine.api.inspect_image(base_image.id)
    finally:
        engine.api.remove_container(mine)
    assert door.run("clean").out == "0 removed\n"


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_finds_what_is_there(door: Door, helper_image: str):
    done = door.run("doctor", MCP_SANDBOX_IMAGE=helper_image)
    assert (done.code, done.err) == (0, "")
    assert [line.split(":")[0] for line in done.out.splitlines()] == [
        "found    engine",
        "found    own image",
        "found    docker CLI with buildx",
    ]


def test_doctor_says_what_to_do_about_what_is_missing(door: Door, tmp_path: Path):
    done = door.run("doctor", MCP_SANDBOX_IMAGE="nothing:here", PATH=str(tmp_path))
    assert (done.code, done.err) == (3, "")
    lines = done.out.splitlines()
    assert lines[1] == "missing  own image: nothing:here is not in the engine"
    assert "docker buildx build --load -t nothing:here" in lines[2]
    assert lines[3] == "missing  docker CLI with buildx: no `docker` on PATH"
    assert "--image" in lines[4]
