"""Servers that do not start as they are: what is invented for them, and why the others never do."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_sandbox.model.launch import StartReason
from support.front_door import Done
from support.on_engine import CORPUS_FILES, WITH_PYTHON
from support.scanning import Scanner, shown

pytestmark = pytest.mark.engine

ENTRY = 'ENTRYPOINT ["python3", "-B", "/srv/servers/starting/server.py"]\n'
SHORT = ("--max-calls", "6", "--start-timeout", "3")

LACKS: dict[str, tuple[set[str], int]] = {
    "leak": ({"ACME_API_KEY", "ACME_BASE_URL", "DATABASE_URL"}, 4),
    "options": ({"--api-key", "folder"}, 1),
    "usage": ({"--token", "stdio"}, 1),
    "stdio": ({"--stdio"}, 1),
    "names": ({"ACME_ID", "ACME_SECRET"}, 1),
    "keys": ({"ACME_OAUTH_CREDENTIALS", "/srv/acme/acme.keys.json"}, 3),
}
"""Mode -> the names of what is invented, and how often the server is started again for it."""
FAILS: dict[str, tuple[StartReason, str]] = {
    "stubborn": (StartReason.MISSING_SETTING, "ACME_LICENCE"),
    "offline": (StartReason.NEEDS_NETWORK, "db.acme.example"),
    "folder": (StartReason.NEEDS_WRITABLE_FOLDER, "/sys/acme-logs"),
    "memory": (StartReason.NEEDS_MEMORY, "memory"),
    "imports": (StartReason.CRASHED_AT_IMPORT, "its own code"),
    "listens": (StartReason.WRONG_TRANSPORT, "port 3000"),
    "language": (StartReason.ANOTHER_PROTOCOL, "Language Server Protocol"),
    "banner": (StartReason.PRINTED_TO_STDOUT, "Welcome to Acme"),
    "clean": (StartReason.EXITED_CLEANLY, "code 0"),
    "fails": (StartReason.EXITED, "code 3"),
    "silent": (StartReason.NEVER_ANSWERED, "3 seconds"),
    "program": (StartReason.NOT_RUNNABLE, "could not start"),
    "processor": (StartReason.ARCHITECTURE, "another processor"),
}
"""Mode -> the reason, and what its sentence says."""
OPTIONS = {"listens": ("--transport", "stdio"), "memory": ("--memory", "32m")}
REDIS = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server
VOLUME /data
ENTRYPOINT ["redis-server", "--dir", "/data"]
"""
BESIDE = """\
[launch.sidecar.cache]
image = "IMAGE"
port = 6379
"""
"""A policy with a sidecar."""
OWN_IMAGES = {
    "program": 'ENTRYPOINT ["/srv/no-such-program"]\n',
    "processor": 'COPY --chmod=755 other /srv/other\nENTRYPOINT ["/srv/other"]\n',
}


@pytest.fixture(scope="module")
def scans(
    build: Any, scanner: Scanner, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Done]:
    files = CORPUS_FILES | {"other": "no program of any processor\n"}
    common = build(WITH_PYTHON + ENTRY, files).id
    images = {mode: build(WITH_PYTHON + more, files).id for mode, more in OWN_IMAGES.items()}
    folder = tmp_path_factory.mktemp("modes")
    policy = {name: folder / f"{name}.toml" for name in ("none", "beside")}
    policy["none"].write_text("")
    policy["beside"].write_text(BESIDE.replace("IMAGE", build(REDIS).id))

    def words(mode: str) -> tuple[object, ...]:
        config = policy.get(mode, policy["none"])
        more = () if mode in images else ("--", mode)
        image = images.get(mode, common)
        return *SHORT, *OPTIONS.get(mode, ()), "--image", image, "--config", config, *more

    return scanner.scans(
        {mode: words(mode) for mode in (*LACKS, *FAILS, "beside", "unlisted")}, folder
    )


def launch(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = done.report["observations"]["launch"]
    return found


@pytest.mark.parametrize("mode", LACKS)
def test_a_server_is_given_what_it_lacks(mode: str, scans: dict[str, Done]):
    done, (names, restarts) = scans[mode], LACKS[mode]
    assert done.report["verdict"] in {"pass", "fail"}, shown(done.report) + done.err
    assert {one["name"] for one in launch(done)["invented"]} == names
    assert launch(done)["restarts"] == restarts
    assert launch(done)["reason"] is None
    relaxed = {one["container"]["relaxation"] for one in done.report["observations"]["sessions"]}
    assert relaxed == {"none"}  # a missing setting is no reason to relax a limit
    summary = (done.folder / "summary.md").read_text()
    for name in names:
        assert name in summary
        assert name in done.out + done.err


def test_a_secret_is_kept_nowhere(scans: dict[str, Done]):
    done = scans["options"]
    keys = [one for one in launch(done)["invented"] if one["kind"] == "secret"]
    assert [one["shown"] for one in keys] == [""]
    sessions = done.report["observations"]["sessions"]
    (line,) = {tuple(one["container"]["command_line"]) for one in sessions}
    assert line[-3:] == ("options", "--api-key=<planted:argument:--api-key>", "/tmp")
    found = [one["rule"] for one in done.report["findings"] if "argument:" in one["message"]]
    assert found == []  # that it stands in the server's own command line is our doing


def test_an_invented_key_that_leaves_is_a_finding(scans: dict[str, Done]):
    (found,) = [
        one for one in scans["leak"].report["findings"] if one["rule"] == "canary-exfiltrated"
    ]
    assert "env:ACME_API_KEY" in found["message"]
    assert "acme.example" in found["message"]
    assert scans["leak"].code == 1
    assert "env:ACME_API_KEY" in scans["leak"].report["observations"]["planted"]
    quiet = [one["rule"] for one in scans["options"].report["findings"]]
    assert "canary-exfiltrated" not in quiet


def test_a_database_is_a_file_where_no_other_will_do(scans: dict[str, Done]):
    (found,) = [one for one in launch(scans["leak"])["invented"] if one["kind"] == "database"]
    assert found["shown"] == "sqlite:////tmp/sample.db"


def test_a_service_stands_beside_the_server(scans: dict[str, Done]):
    done = scans["beside"]
    assert done.report["verdict"] == "pass", shown(done.report) + done.err
    (told,) = launch(done)["sidecars"]
    assert told.startswith("cache: ")
    assert told.endswith("on port 6379")
    assert "beside it in its network: cache: " in done.out
    top = (done.folder / "summary.md").read_text().partition("## ")[0]
    assert "beside it in its network: cache: " in top
    # It is not taken for something of the server's own.
    assert {one["rule"] for one in done.report["findings"]} == {"runs-as-root"}
    assert done.report["observations"]["reached"]["transport"] == "stdio"


def test_what_was_opened_is_a_file_of_the_kind_that_its_name_tells(scans: dict[str, Done]):
    found = {one["name"]: one for one in launch(scans["keys"])["invented"]}
    assert found["ACME_OAUTH_CREDENTIALS"]["shown"] == "/srv/settings/client.json"
    assert found["/srv/acme/acme.keys.json"]["where"] == "file"


def test_a_server_that_answers_and_lists_nothing_has_its_reason(scans: dict[str, Done]):
    done = scans["unlisted"]
    assert done.code == 3, done.err
    assert launch(done)["reason"] == StartReason.NEEDS_NETWORK.value
    assert "it asked for 127.0.0.1:3306" in launch(done)["why"]
    assert (
        "**Why it lists no tools:** `needs a network`" in (done.folder / "summary.md").read_text()
    )


@pytest.mark.parametrize("mode", FAILS)
def test_a_server_that_never_starts_has_one_reason(mode: str, scans: dict[str, Done]):
    done, (reason, words) = scans[mode], FAILS[mode]
    assert done.code == 3, done.err
    assert launch(done)["reason"] == reason.value, done.err
    assert words in done.sentence
    assert done.way_out
    assert done.report["score"] is None
    assert f"Why it did not start:** `{reason.value}`" in (done.folder / "summary.md").read_text()


def test_every_reason_is_shown_by_a_server():
    elsewhere = {StartReason.NEEDS_CREDENTIALS}  # by those that ask for a token
    assert {reason for reason, _ in FAILS.values()} | elsewhere == set(StartReason)


@pytest.mark.parametrize("mode", ["stubborn", "language", "silent", "listens", "processor"])
def test_no_limit_is_relaxed_where_none_is_to_blame(mode: str, scans: dict[str, Done]):
    attempts = scans[mode].report["observations"]["attempts"]
    assert {one["relaxation"] for one in attempts} == {"none"}, attempts


@pytest.mark.parametrize("mode", ["folder", "memory", "fails"])
def test_limits_are_relaxed_for_one_that_ends_by_itself(mode: str, scans: dict[str, Done]):
    attempts = scans[mode].report["observations"]["attempts"]
    assert len({one["relaxation"] for one in attempts}) == 4, attempts
