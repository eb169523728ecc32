"""The list of public servers, and what is measured of one of them."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_sandbox import coverage
from mcp_sandbox.model import (
    Act,
    CallStatus,
    ItemKind,
    Moment,
    Observations,
    Relaxation,
    SinkKind,
    StartAttempt,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.launch import LaunchReport, StartReason
from support.observed import arrived, call, called, did, listings, observed, session, tool

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "servers"))

import listed
import measuring
import page
import scanning
from measuring import Measured

ERROR = CallStatus.TOOL_ERROR
SERVERS = listed.read()
COUNTED = [one for one in SERVERS if not one.older]


def test_there_are_at_least_sixty_of_many_kinds_and_none_of_them_twice():
    assert len(COUNTED) >= 60
    assert len({one.kind for one in COUNTED}) >= 12
    assert {one.source.partition(":")[0] for one in COUNTED} == {"npm", "pypi"}
    assert max(Counter(one.source for one in SERVERS).values()) == 1


@pytest.mark.parametrize(
    "source", ["pypi:thing", "npm:thing", "npm:@a/thing", "pypi:thing>=1", "npm:thing@latest"]
)
def test_what_is_not_pinned_is_refused(tmp_path, source):
    path = tmp_path / "servers.toml"
    path.write_text(f'older = []\n[[server]]\nsource = "{source}"\nkind = "web"\n')
    with pytest.raises(ValueError, match="not pinned"):
        listed.read(path)


def test_what_is_named_twice_is_refused(tmp_path):
    path = tmp_path / "servers.toml"
    one = 'source = "pypi:thing==1"\nkind = "web"\n'
    path.write_text(f"[[server]]\n{one}[[older]]\n{one}")
    with pytest.raises(ValueError, match="twice"):
        listed.read(path)


def test_a_command_line_says_all_that_the_list_says(tmp_path):
    server = listed.Listed(
        "pypi:thing==1",
        "web",
        arguments=("--folder", "/tmp"),
        environment={"MODE": "stdio"},
        constraints=("mcp<2",),
        system_packages=("git",),
        install_scripts=True,
        entry_point="serve",
        memory="1g",
        pids=256,
        cpus=1.5,
    )
    line = scanning.command(server, tmp_path)
    assert line[-3:] == ["--", "--folder", "/tmp"]
    assert {"--env=MODE=stdio", "--constraint=mcp<2", "--system-packages=git"} < set(line)
    assert {"--install-scripts", "--entry-point=serve", "--memory=1g"} < set(line)
    assert {"--pids=256", "--cpus=1.5"} < set(line)
    assert "pypi:thing==1" in line


def test_a_command_line_says_nothing_that_the_list_does_not(tmp_path):
    line = " ".join(scanning.command(listed.Listed("pypi:thing==1", "web"), tmp_path))
    for option in ("install-scripts", "entry-point", "memory", "pids", "cpus", "env", "constraint"):
        assert f"--{option}" not in line


def test_what_a_server_of_the_list_says_is_read_and_what_is_misspelt_is_refused(tmp_path):
    path = tmp_path / "servers.toml"
    one = 'older = []\n[[server]]\nsource = "npm:a@1"\nkind = "web"\nmemory = "1g"\nrank = 7\n'
    path.write_text(one)
    assert listed.read(path) == (listed.Listed("npm:a@1", "web", memory="1g"),)
    path.write_text(f"{one}install-scripts = true\n")
    with pytest.raises(ValueError, match=r"unknown in npm:a@1: install-scripts"):
        listed.read(path)


REPORT = Report(
    verdict=Verdict.PASS,
    score=90.0,
    multiplier_class="clean",
    score_detail=None,
    gate=(),
    findings=(),
    coverage=coverage.Coverage(),
    observations=None,
)


def measure(seen: Observations | None) -> Measured:
    report = replace(
        REPORT,
        coverage=coverage.measure(seen) if seen else coverage.Coverage(),
        observations=seen,
        error="" if seen else "It broke off.",
    )
    return measuring.measure(report, source="pypi:thing==1", commit="abc", seconds=3.0)


def test_a_tool_that_answers_has_accepted():
    found = measure(called(call(), call("ssrf", "http://x/", "No.", status=ERROR)))
    assert (found.listed, found.tools, found.called, found.accepted) == (True, 1, 1, 1)
    assert (found.outside, found.refused, found.transport) == (0, {}, "stdio")


def test_a_tool_that_refuses_has_not_though_a_hostile_input_was_taken():
    found = measure(called(call(said="No such record.", status=ERROR), call("ssrf", "x", "Yes.")))
    assert (found.called, found.accepted, found.outside) == (1, 0, 0)
    assert "No such record." in found.refused["find"]


@pytest.mark.parametrize(
    "witnessed",
    [
        {"sink": (arrived(SinkKind.TLS, "example.com"),)},
        {"kernel": (did(Act.CONNECT, "127.0.0.1:5432", result="ECONNREFUSED", detail="TCP"),)},
    ],
)
def test_a_tool_that_connects_got_past_its_checks(witnessed):
    found = measure(observed(session(call(said="Failed.", status=ERROR), container=witnessed)))
    assert (found.accepted, found.outside, found.refused) == (0, 1, {})


@pytest.mark.parametrize(
    "witnessed",
    [
        {"sink": (arrived(SinkKind.TLS, "example.com", call=0),)},
        {"sink": (arrived(SinkKind.DNS, "example.com"),)},
        {"kernel": (did(Act.CONNECT, "127.0.0.1:0", detail="UDP"),)},
    ],
)
def test_what_connects_outside_the_call_explains_nothing(witnessed):
    found = measure(observed(session(call(said="Failed.", status=ERROR), container=witnessed)))
    assert (found.outside, list(found.refused)) == (0, ["find"])


def test_a_connection_that_good_calls_make_too_explains_nothing():
    everywhere = tuple(
        did(Act.CONNECT, "198.51.100.7:443", call=number, detail="TCP") for number in (1, 2)
    )
    found = measure(
        observed(
            session(
                call(),
                call(said="No such record.", status=ERROR, target="get"),
                tools=(tool(name="The name."), tool("get", "Get.", name="The name.")),
                container={"kernel": everywhere},
            )
        )
    )
    assert (found.accepted, found.outside, list(found.refused)) == (1, 0, ["get"])


def test_a_tool_that_says_that_there_is_no_network_got_past_its_checks():
    said = "write EPROTO 00:error:0A000410:SSL routines::ssl/tls alert handshake failure"
    assert measure(called(call(said=said, status=ERROR))).outside == 1


def test_a_tool_that_wants_a_key_got_past_its_checks():
    assert measure(called(call(said="Missing API key", status=ERROR))).outside == 1


def test_why_a_server_did_not_start():
    seen = replace(
        observed(session(listings=())),
        attempts=(StartAttempt(Relaxation.NONE, "exited", 1, "first\nSet TOKEN."),),
        launch=LaunchReport(reason=StartReason.MISSING_SETTING),
    )
    found = measure(seen)
    assert (found.listed, found.reason) == (False, "missing setting")
    assert found.detail == "first Set TOKEN."


def test_a_list_that_is_not_whole_is_none():
    part = tuple(
        listing
        if listing.kind is not ItemKind.TOOLS
        else replace(listing, state="more than 1000 pages")
        for listing in listings(tool(name="The name."))
        if listing.moment is Moment.BEFORE
    )
    found = measure(
        observed(
            session(call(), listings=part), attempts=(StartAttempt(Relaxation.NONE, "answered"),)
        )
    )
    assert (found.listed, found.reason) == (False, "more than 1000 pages")


def test_a_run_without_observations_is_no_start():
    found = measure(None)
    assert (found.listed, found.reason, found.detail) == (False, "no report", "It broke off.")


BUILT = """\
error: The image could not be built (docker buildx ended with 1).
  | #12 3.0 npm error code EBADPLATFORM
  | #12 ERROR: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1
  | ------
  |  > [installed 3/3] RUN npm ci:
  | 3.013 npm error code EBADPLATFORM
  | 3.014 npm error for another platform
  | ------
  | Dockerfile:44
  | --------------------
  |   44 | >>> RUN npm ci
  | --------------------
  | ERROR: failed to solve
  → Build it by hand.
"""


def failed(error: str, said: str) -> Measured:
    report = replace(REPORT, observations=None, error=error)
    return measuring.measure(report, source="npm:a@1", commit="abc", seconds=3.0, said=said)


def test_a_build_that_failed_is_told_with_the_words_of_its_step():
    found = failed("The image could not be built (docker buildx ended with 1).", BUILT)
    assert found.reason == "image not built"
    assert found.detail == "npm error code EBADPLATFORM npm error for another platform"


def test_what_could_not_be_resolved_is_told_with_the_resolvers_words():
    said = "error: It cannot be installed.\n  | npm error code ERESOLVE\n  → Change it.\n"
    found = failed("It cannot be installed.", said)
    assert (found.reason, found.detail) == ("no report", "npm error code ERESOLVE")
    assert failed("There is none.", "error: There is none.\n").detail == "There is none."


def test_what_was_kept_is_read_again(tmp_path):
    server = listed.Listed("pypi:thing==1", "web")
    assert scanning.kept(server, tmp_path) is None
    found = measure(called(call(said="No.", status=ERROR)))
    scanning.keep(found, server, tmp_path)
    assert scanning.kept(server, tmp_path) == found


def test_the_page_counts_and_lets_no_servers_words_break_its_tables():
    works = Measured("pypi:a==1", "1", "abc", 9, listed=True, transport="stdio", tools=4, called=4)
    works = replace(works, accepted=2, outside=1, refused={"x|`y": "No."})
    silent = Measured("pypi:b==1", "1", "abc", 9, reason="missing setting", detail="a|b\n`c`")
    older = Measured("pypi:a==0", "1", "abc", 9, reason="crashed at import")
    text = page.markdown(
        [
            (listed.Listed("pypi:a==1", "web"), works),
            (listed.Listed("pypi:b==1", "web"), silent),
            (listed.Listed("pypi:a==0", "web", older=True), older),
        ],
        3,
    )
    assert "| all | 2 | 1 (50 %) | 4 | 4 | 2 (50 %) | 1 (25 %) | 75 % |" in text
    assert "`a b c`" in text
    assert "`x y`" in text
    assert "`a==0`" not in text.partition("## Older versions")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
