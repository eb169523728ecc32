"""What was evaluated, and what keeps a run below the floor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_sandbox import coverage
from mcp_sandbox.model import (
    NOT_USED,
    CallStatus,
    Coverage,
    HttpChecks,
    HttpFacts,
    ItemKind,
    Moment,
    Network,
    Observations,
    Place,
    Relaxation,
    ScannerRun,
    ScannerState,
    SessionEnd,
    SinkKind,
    StartAttempt,
    StopStage,
    ToolOutcome,
    Tracing,
    Transport,
    Witness,
)
from mcp_sandbox.model.http import HttpAnswer, HttpQuestion
from support.observed import (
    OTHER_IDENTITY,
    WITNESSES,
    arrived,
    call,
    called,
    listings,
    observed,
    session,
    tool,
)

ERROR = CallStatus.TOOL_ERROR
FIND = tool(name="The name.")
UNTRACED = session(role="untraced", container={"witnesses": WITNESSES | {"trace": NOT_USED}})


def measure(observations: Observations) -> Coverage:
    """Coverage of a run in which the server was asked with nothing watching too."""
    sessions = observations.sessions
    return coverage.measure(replace(observations, sessions=(*sessions, UNTRACED)))


def outcome(*calls, **more):
    return measure(called(*calls, **more)).tools["find"]


def test_a_run_that_saw_everything_misses_nothing():
    measured = measure(called(call(), call("ssrf", "http://x/")))
    assert measured.missing == ()
    assert measured.tools["find"].outcome is ToolOutcome.CALLED
    assert measured.tools["find"].calls == 2
    assert set(measured.witnesses.values()) == {"complete"}
    assert set(measured.witnesses) == {witness.value for witness in Witness}


# --- tools ----------------------------------------------------------------------------------------


def test_refused():
    found = outcome(call(said="No.", status=ERROR), call("ssrf", "x", "No.", status=ERROR))
    assert found.outcome is ToolOutcome.REFUSED
    assert "No." in found.reason


def test_an_ordinary_call_that_fails_and_a_hostile_one_that_works_is_called():
    found = outcome(call(said="No.", status=ERROR), call("ssrf", "x", "Yes."))
    assert found.outcome is ToolOutcome.CALLED


@pytest.mark.parametrize("status", [CallStatus.CLOSED, CallStatus.TIMEOUT, CallStatus.STUCK_WRITE])
def test_crashed(status):
    found = outcome(call(status=status, reply=""), call("ssrf", "x", "No.", status=ERROR))
    assert found.outcome is ToolOutcome.CRASHED
    assert status.value in found.reason


@pytest.mark.parametrize(
    "said",
    [
        "Missing API key",
        "GITHUB_TOKEN environment variable is not set: token not found",
        "Request failed with status code 401",
        "Unauthorized",
        "Invalid credentials",
        "You need to log in first",
        "Authentication required",
        "API token is invalid.",
        "Search requires an API key",
        '{"error":"No accounts found. Please login first."}',
        "You are not signed in.",
        "Not authenticated",
    ],
)
def test_needs_credentials(said):
    found = outcome(call(said=said, status=ERROR), call("ssrf", "x", said, status=ERROR))
    assert found.outcome is ToolOutcome.NEEDS_CREDENTIALS
    assert measure(called(call(said=said, status=ERROR))).missing == ()


@pytest.mark.parametrize(
    "said",
    [
        "No such file",
        "Row 401.5 not found",
        "Unexpected token '<'",
        "key must be a string",
        "Please give the name of the login",
        "Catalog index not found, please retry",
    ],
)
def test_other_errors_need_no_credentials(said):
    assert outcome(call(said=said, status=ERROR)).outcome is ToolOutcome.REFUSED


def test_not_callable_is_named_and_does_not_miss():
    measured = measure(observed(session(not_called={"find": "its schema cannot be read"})))
    assert measured.tools["find"].outcome is ToolOutcome.NOT_CALLABLE
    assert measured.tools["find"].reason == "its schema cannot be read"
    assert not any("not reached" in one for one in measured.missing)


def test_a_server_that_refuses_whatever_it_is_asked_was_not_tested():
    refusal = call(said="No.", status=ERROR)
    (reason,) = measure(observed(session(refusal))).missing
    assert reason.startswith("No tool did any work")
    assert "'find'" in reason
    works = call("path-traversal", "up", said="Yes.")
    assert measure(observed(session(refusal, works))).missing == ()


@pytest.mark.parametrize(
    "said",
    [
        "[Errno 101] Network is unreachable",
        "getaddrinfo EAI_AGAIN api.example.com",
        "Failed to fetch robots.txt due to a connection issue",
        "All connection attempts failed",
        "No connection to browser extension.",
        "You need to connect to a database before you can read its data",
    ],
)
def test_a_tool_that_wants_a_network_is_named_so_and_was_tested(said):
    measured = measure(observed(session(call(said=said, status=ERROR))))
    assert measured.tools["find"].outcome is ToolOutcome.NEEDS_NETWORK
    assert measured.missing == ()


def test_a_tool_whose_ordinary_call_was_cut_off_at_the_sink_needs_a_network():
    refused = (call(said="EPROTO", status=ERROR), call("ssrf", said="EPROTO", status=ERROR))
    reached = {"sink": (arrived(SinkKind.TLS, "api.example", call=1),)}
    measured = measure(observed(session(*refused, container=reached)))
    assert measured.tools["find"].outcome is ToolOutcome.NEEDS_NETWORK
    for other in (
        arrived(SinkKind.DNS, "api.example", call=1),
        arrived(SinkKind.TLS, "api.example", call=2),
    ):
        measured = measure(observed(session(*refused, container={"sink": (other,)})))
        assert measured.tools["find"].outcome is ToolOutcome.REFUSED


@pytest.mark.parametrize("said", ["No such file", "The network name is too long", "Not connected"])
def test_other_errors_need_no_network(said):
    assert outcome(call(said=said, status=ERROR)).outcome is ToolOutcome.REFUSED


def test_not_reached_misses():
    measured = measure(observed(session()))
    assert measured.tools["find"].outcome is ToolOutcome.NOT_REACHED
    assert any("'find' was not reached" in one for one in measured.missing)


def test_a_tool_that_got_no_hostile_input_before_the_end_is_not_reached():
    broken = session(
        call(),
        call(target="other"),
        call("ssrf", "x", target="other", status=CallStatus.CLOSED, reply=""),
        tools=(FIND, tool("other", name="The name.")),
        end=SessionEnd.EXITED,
        end_detail="the server closed its output",
    )
    measured = measure(observed(broken))
    assert measured.tools["find"].outcome is ToolOutcome.NOT_REACHED
    assert measured.tools["other"].outcome is ToolOutcome.CALLED


def test_a_session_that_took_up_the_rest_reaches_it():
    first = session(
        call(),
        call("ssrf", "x", status=CallStatus.CLOSED, reply=""),
        listings=listings(FIND)[:4],
        end=SessionEnd.EXITED,
        container={"stop": StopStage.EXITED},
    )
    second = session(call("ssrf", "y"))
    measured = measure(observed(first, second))
    assert measured.missing == ()
    assert measured.tools["find"].calls == 3


def test_a_tool_that_is_listed_only_afterwards_was_not_called():
    measured = measure(called(call(), after=(FIND, tool("late"))))
    assert measured.tools["late"].outcome is ToolOutcome.NOT_REACHED
    assert "only after the calls" in measured.tools["late"].reason


def test_what_only_another_client_sees_is_no_duty_of_the_main_session():
    other = session(tools=(FIND, tool("extra")), identity=OTHER_IDENTITY, role="identity")
    assert measure(observed(session(call()), other)).missing == ()


# --- the server and its listings ------------------------------------------------------------------


def test_no_session_at_all():
    made = replace(
        observed(), sessions=(), attempts=(StartAttempt(Relaxation.NONE, "exited at once", 1),)
    )
    assert coverage.measure(made).missing == ("The server did not answer: exited at once.",)


@pytest.mark.parametrize("end", [SessionEnd.NEVER_ANSWERED, SessionEnd.REFUSED, SessionEnd.EXITED])
def test_a_server_that_did_not_answer(end):
    silent = session(listings=(), version="", end=end, end_detail="it said nothing")
    measured = measure(observed(silent))
    assert measured.missing == ("The server did not answer: it said nothing.",)
    assert measured.tools == {}


def test_another_client_does_not_answer_for_the_main_one():
    silent = session(listings=(), version="", end=SessionEnd.NEVER_ANSWERED)
    other = session(call(), identity=OTHER_IDENTITY, role="identity")
    assert "did not answer" in measure(observed(silent, other)).missing[0]


@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize("moment", list(Moment))
def test_a_listing_that_is_not_whole(kind, moment):
    whole = listings(FIND)
    cut = tuple(
        replace(one, state="the cursor repeats")
        if one.kind is kind and one.moment is moment
        else one
        for one in whole
    )
    (missing,) = measure(called(call(), listings=cut)).missing
    assert kind.value in missing
    assert moment.value in missing
    assert "the cursor repeats" in missing


def test_a_second_listing_that_was_never_taken():
    made = called(call(), listings=listings(FIND)[:4], end=SessionEnd.BUDGET, end_detail="9 s")
    assert any("after the calls is not whole" in one for one in measure(made).missing)


# --- witnesses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("witness", list(Witness))
def test_a_witness_that_is_not_complete_misses(witness):
    made = called(call(), container={"witnesses": WITNESSES | {witness.value: "no helper image"}})
    measured = measure(made)
    assert measured.witnesses[witness.value] == "main: no helper image"
    (missing,) = measured.missing
    assert witness.value in missing


@pytest.mark.parametrize("witness", list(Witness))
def test_a_witness_without_a_word_misses(witness):
    left = {key: value for key, value in WITNESSES.items() if key != witness.value}
    assert measure(called(call(), container={"witnesses": left})).missing


@pytest.mark.parametrize("witness", [Witness.TMPFS, Witness.TOP, Witness.CGROUP])
def test_what_a_server_took_with_it_is_told_and_does_not_miss(witness):
    lost = WITNESSES | {witness.value: "the server had exited before"}
    gone = {"witnesses": lost, "stop": StopStage.EXITED}
    measured = measure(called(call(), container=gone))
    assert measured.missing == ()
    assert "had exited" in measured.witnesses[witness.value]


@pytest.mark.parametrize("witness", [Witness.TRACE, Witness.SINK])
def test_the_record_of_a_server_that_ended_by_itself_must_be_whole(witness):
    broken = {"witnesses": WITNESSES | {witness.value: "it broke off"}, "stop": StopStage.EXITED}
    (missing,) = measure(called(call(), container=broken)).missing
    assert "it broke off" in missing


def test_a_main_session_without_the_kernels_record_misses():
    untaken = {"witnesses": WITNESSES | {"trace": NOT_USED}}
    measured = measure(called(call(), container=untaken))
    assert measured.missing == ("The kernel's record was not taken: main.",)
    assert measured.witnesses["trace"] == "main: not used"


def test_one_main_session_of_several_without_the_kernels_record_misses():
    first = session(call(), container={"witnesses": WITNESSES | {"trace": NOT_USED}})
    assert measure(observed(first, session(call()))).missing


@pytest.mark.parametrize("role", ["untraced", "identity", "stateless", "untraced again"])
def test_another_session_may_do_without_the_kernels_record(role):
    other = session(role=role, container={"witnesses": WITNESSES | {"trace": NOT_USED}})
    measured = measure(observed(session(call()), other))
    assert measured.missing == ()
    assert measured.witnesses["trace"] == "complete"


def test_a_trace_that_broke_off_misses_in_any_session():
    other = session(role="identity", container={"witnesses": WITNESSES | {"trace": "opaque: x"}})
    (missing,) = measure(observed(session(call()), other)).missing
    assert "identity: opaque: x" in missing


OPAQUE = "opaque: the tracer could not read the arguments of /opt/cat"


def traced(tracing, state="complete", **more):
    """A session under a tracer of that kind, whose record is in that state."""
    container = {"witnesses": WITNESSES | {"trace": state}, "tracing": tracing}
    return session(call(), container=container, **more)


def test_what_a_tracer_inside_was_not_shown_an_outer_one_was():
    inside, outside = traced(Tracing.INSIDE, OPAQUE), traced(Tracing.OUTSIDE)
    (reason,) = measure(observed(inside)).missing
    assert OPAQUE in reason
    measured = measure(observed(inside, outside))
    assert measured.missing == ()
    assert measured.witnesses["trace"] == f"main: {OPAQUE}"


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (OPAQUE, traced(Tracing.OUTSIDE, "the last line is cut off")),
        (OPAQUE, traced(Tracing.OUTSIDE, OPAQUE)),
        (OPAQUE, traced(Tracing.OUTSIDE, NOT_USED)),
        (OPAQUE, traced(Tracing.OUTSIDE, end=SessionEnd.EXITED)),
        (OPAQUE, traced(Tracing.OUTSIDE, end=SessionEnd.BUDGET)),
        (OPAQUE, traced(Tracing.OUTSIDE, role="identity")),
        (OPAQUE, traced(Tracing.INSIDE)),
        ("3 lines could not be read", traced(Tracing.OUTSIDE)),
        (NOT_USED, traced(Tracing.OUTSIDE)),
    ],
)
def test_nothing_else_stands_in_for_what_a_tracer_inside_was_not_shown(inside, outside):
    assert measure(observed(traced(Tracing.INSIDE, inside), outside)).missing


def test_what_an_outer_tracer_was_not_shown_nothing_else_shows():
    made = observed(traced(Tracing.OUTSIDE, OPAQUE), traced(Tracing.OUTSIDE))
    assert measure(made).missing


def test_a_server_that_was_never_asked_with_nothing_watching_misses():
    assert coverage.measure(observed(session(call()))).missing == (
        "No session was held with nothing watching.",
    )


@pytest.mark.parametrize("role", ["untraced again", "main", "identity"])
def test_no_other_session_is_the_one_with_nothing_watching(role):
    other = session(call(), role=role, container={"tracing": Tracing.NONE})
    assert coverage.measure(observed(session(call()), other)).missing


@pytest.mark.parametrize("end", [SessionEnd.NEVER_ANSWERED, SessionEnd.BROKEN_OFF])
def test_how_the_session_with_nothing_watching_ended_is_no_matter_of_coverage(end):
    held = replace(UNTRACED, transcript=replace(UNTRACED.transcript, end=end))
    assert coverage.measure(observed(session(call()), held)).missing == ()


def test_without_a_network_there_is_no_sink():
    silent = {"witnesses": WITNESSES | {"sink": NOT_USED}, "network": Network.NONE}
    untraced = session(role="untraced", container=silent)
    measured = coverage.measure(observed(session(call(), container=silent), untraced))
    assert measured.missing == ()
    assert measured.witnesses["sink"] == NOT_USED


def test_a_network_without_a_sink_misses():
    lost = {"witnesses": WITNESSES | {"sink": NOT_USED}, "network": Network.SINK}
    (missing,) = measure(called(call(), container=lost)).missing
    assert "'sink'" in missing


@pytest.mark.parametrize("witness", [Witness.LOGS, Witness.INSPECT, Witness.DIFF])
def test_no_other_witness_may_be_done_without(witness):
    unused = {"witnesses": WITNESSES | {witness.value: NOT_USED}}
    assert measure(called(call(), container=unused)).missing


def test_an_untraced_server_that_was_silent_is_no_matter_of_coverage():
    silent = session(
        role="untraced",
        listings=(),
        version="",
        end=SessionEnd.NEVER_ANSWERED,
        container={"witnesses": WITNESSES | {"trace": NOT_USED}},
    )
    assert measure(observed(session(call()), silent)).missing == ()


def test_a_log_is_kept_whatever_the_server_does():
    lost = WITNESSES | {"logs": "9 bytes in the middle were not kept"}
    made = called(call(), container={"witnesses": lost, "stop": StopStage.EXITED})
    assert measure(made).missing


# --- scanners -------------------------------------------------------------------------------------


def scanning(state, *requested, why="it was not there", tool="Trivy"):
    """Coverage of a whole run with one scanner."""
    runs = (ScannerRun(tool, state, "" if state is ScannerState.RAN else why),)
    seen = replace(called(call(), call("ssrf", "x")), scanners=runs, scanners_requested=requested)
    return measure(seen)


@pytest.mark.parametrize("requested", [(), ("trivy",)])
def test_a_scanner_that_ran_misses_nothing(requested):
    measured = scanning(ScannerState.RAN, *requested)
    assert (measured.scanners, measured.missing) == ({"Trivy": "complete"}, ())


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (ScannerState.NOT_INSTALLED, "is not installed"),
        (ScannerState.PARTLY, "ran in part"),
        (ScannerState.NOT_USED, "was not used"),
    ],
)
def test_a_scanner_must_run_whole_only_when_it_was_asked_for(state, told):
    unasked = scanning(state)
    assert unasked.missing == ()
    assert unasked.scanners == {"Trivy": f"{state.value}: it was not there"}
    asked = scanning(state, "hadolint", "trivy")
    assert asked.scanners == unasked.scanners
    assert asked.missing == (
        f"The scanner Trivy {told}: it was not there.",
        "The scanner 'hadolint' was asked for and did not run.",
    )


@pytest.mark.parametrize("requested", [(), ("trivy",)])
def test_a_scanner_that_failed_is_below_the_floor(requested):
    measured = scanning(ScannerState.FAILED, *requested, why="It crashed.")
    assert measured.missing == ("The scanner Trivy failed: It crashed.",)
    assert measured.scanners == {"Trivy": "failed: It crashed"}


def test_a_scanners_reason_is_bounded():
    measured = scanning(ScannerState.FAILED, why="x" * 10_000)
    assert len(measured.missing[0]) < 300
    assert len(measured.scanners["Trivy"]) < 300


# --- over HTTP ------------------------------------------------------------------------------------

PLACE = Place(Transport.HTTP, 8000, "/mcp")
ASKED = HttpAnswer(HttpQuestion.ORDINARY, "POST /mcp", status=200, result=True)


def over_http(*checks: HttpChecks) -> str:
    """What is missing of a server that is spoken to over HTTP."""
    return " ".join(measure(observed(session(http=HttpFacts(PLACE)), http=checks)).missing)


def test_what_only_http_can_be_asked_has_to_be_asked():
    assert "only HTTP" not in " ".join(measure(observed(session())).missing)
    assert "Nothing was asked of what only HTTP can be asked" in over_http()
    assert "HTTP" not in over_http(HttpChecks(PLACE, answers=(ASKED,)))


def test_questions_without_any_answer_miss():
    silent = replace(ASKED, status=0, result=False, why="no whole answer in time")
    assert "No question over HTTP was answered" in over_http(HttpChecks(PLACE, answers=(silent,)))


def test_questions_that_there_was_no_time_for_miss():
    checks = HttpChecks(PLACE, answers=(ASKED,), unasked=("by other methods",))
    assert "no time to ask over HTTP by other methods" in over_http(checks)
