"""What servers answer over HTTP, made by hand; for each rule on it a hit and a near miss."""

from __future__ import annotations

from typing import Any

from mcp_sandbox.model import (
    Act,
    HttpChecks,
    HttpFacts,
    Observations,
    Place,
    RiskClass,
    SinkKind,
    Transport,
)
from mcp_sandbox.model.http import SITE, HttpAnswer
from mcp_sandbox.model.http import HttpQuestion as Q
from support.observed import arrived, call, did, observed, session, tool
from support.rule_samples import hit, miss

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
PLACE = Place(Transport.HTTP, 8000, "/mcp")
OLDER = Place(Transport.SSE, 8000, "/sse")
RANDOM = (
    "3572517ec2abc66eeec008656c3c9c51",
    "2a7b9d364fc4e56586786143914f7df9",
    "c1d636b66bc6108c96e04e5c5cf70453",
    "7d047c21f75f72b8ee603b692b12f205",
    "fd574107d1694a888ae7fec44cd8dfed",
)
ANY, REPEATED = "*", f"http://{SITE}"


def told(question: Q, status: int = 200, *, result: bool = False, **more: Any) -> HttpAnswer:
    """An answer to a question; ``headers`` as a mapping with ``_`` for ``-``."""
    headers = {name.replace("_", "-"): value for name, value in more.pop("headers", {}).items()}
    return HttpAnswer(
        question,
        f"POST /mcp; {question.value}",
        status=status,
        result=result,
        headers=tuple(headers.items()),
        line=2,
        **more,
    )


def refused(*questions: Q, status: int = 403) -> tuple[HttpAnswer, ...]:
    """Those questions, each refused."""
    return tuple(told(one, status) for one in questions)


def asked(
    *answers: HttpAnswer,
    place: Place = PLACE,
    listeners: tuple[str, ...] = ("127.0.0.1:8000",),
    said: dict[str, Any] | None = None,
    **more: Any,
) -> Observations:
    """Observations of a server that was asked; ordinary requests are answered.

    ``said``: what else is known of its one session.
    """
    known = {one.question for one in answers}
    ordinary = () if Q.ORDINARY in known else (told(Q.ORDINARY, result=True),)
    checks = HttpChecks(
        place, listeners=listeners, answers=(*ordinary, *answers), evidence="6-around", **more
    )
    held = session(http=HttpFacts(place), **(said or {}))
    return observed(held, http=(checks,))


# --- other sites ----------------------------------------------------------------------------------


@hit("http-dns-rebinding")
def answers_under_any_name():
    return asked(told(Q.FOREIGN_HOST, result=True), told(Q.FOREIGN_ORIGIN, result=True))


@hit("http-dns-rebinding")
def streams_under_any_name():
    return asked(told(Q.FOREIGN_HOST, result=True), place=OLDER)


@miss("http-dns-rebinding", "http-foreign-origin", "http-cors", "http-cross-site-request")
def refuses_other_sites():
    return asked(
        *refused(Q.FOREIGN_ORIGIN, Q.PREFLIGHT, Q.TEXT_PLAIN, Q.TEXT_PLAIN_LIST),
        *refused(Q.FOREIGN_HOST, status=421),
    )


@miss("http-dns-rebinding", "http-foreign-origin", "http-no-authentication")
def answers_nobody_without_a_token():
    questions = (Q.ORDINARY, Q.FOREIGN_ORIGIN, Q.FOREIGN_HOST)
    return asked(*refused(*questions, status=401), said={"tools": (_writes(),)})


@hit("http-foreign-origin")
def checks_the_host_alone():
    return asked(told(Q.FOREIGN_ORIGIN, result=True), told(Q.FOREIGN_HOST, 421))


@miss("http-foreign-origin")
def says_it_of_the_host_already():
    return asked(told(Q.FOREIGN_ORIGIN, result=True), told(Q.FOREIGN_HOST, result=True))


def _open(question: Q, origin: str, *, result: bool = False, **headers: str) -> HttpAnswer:
    named = {"access_control_allow_origin": origin, **headers}
    return told(question, 200, result=result, headers=named)


@hit("http-cors")
def opens_everything_to_everybody():
    return asked(
        _open(Q.FOREIGN_ORIGIN, ANY, result=True),
        _open(Q.PREFLIGHT, ANY, access_control_allow_headers="Content-Type, mcp-session-id"),
    )


@hit("http-cors")
def repeats_any_origin_with_credentials():
    allowed = {"access_control_allow_credentials": "true", "access_control_allow_headers": "*"}
    return asked(
        _open(Q.FOREIGN_ORIGIN, REPEATED, result=True, **allowed),
        _open(Q.PREFLIGHT, REPEATED, **allowed),
    )


@hit("http-cors")
def opens_the_older_stream():
    return asked(_open(Q.FOREIGN_ORIGIN, ANY, result=True), _open(Q.PREFLIGHT, ANY), place=OLDER)


@hit("http-cors", M)
def opens_the_older_stream_to_readers():
    return asked(_open(Q.FOREIGN_ORIGIN, ANY, result=True), told(Q.PREFLIGHT, 405), place=OLDER)


@hit("http-cors", M)
def lets_no_json_through():
    return asked(_open(Q.FOREIGN_ORIGIN, ANY, result=True), told(Q.PREFLIGHT, 405))


@hit("http-cors")
def shows_the_session_too():
    headers = "Content-Type, mcp-session-id"
    return asked(
        _open(Q.FOREIGN_ORIGIN, ANY, result=True, access_control_expose_headers="Mcp-Session-Id"),
        _open(Q.PREFLIGHT, ANY, access_control_allow_headers=headers),
        sessions=RANDOM,
    )


@hit("http-cors", M)
def keeps_the_session_to_itself():
    headers = "Content-Type, mcp-session-id"
    return asked(
        _open(Q.FOREIGN_ORIGIN, ANY, result=True),
        _open(Q.PREFLIGHT, ANY, access_control_allow_headers=headers),
        sessions=RANDOM,
    )


@hit("http-cors", N)
def opens_what_needs_a_token():
    return asked(
        told(Q.ORDINARY, 401),
        _open(Q.PREFLIGHT, ANY, access_control_allow_headers="content-type, authorization"),
        told(Q.FOREIGN_ORIGIN, 401, headers={"access_control_allow_origin": ANY}),
    )


@miss("http-cors")
def names_its_own_page():
    own = "https://inspector.example"
    return asked(_open(Q.FOREIGN_ORIGIN, own, result=True), _open(Q.PREFLIGHT, own))


@hit("http-cross-site-request")
def obeys_plain_text():
    plain = (Q.TEXT_PLAIN, Q.TEXT_PLAIN_LIST)
    return asked(*(told(one, result=True) for one in plain))


@hit("http-cross-site-request", M)
def obeys_plain_text_in_a_session():
    return asked(told(Q.TEXT_PLAIN, result=True), told(Q.TEXT_PLAIN_LIST, 400))


@miss("http-cross-site-request")
def wants_json():
    return asked(*refused(Q.TEXT_PLAIN, Q.TEXT_PLAIN_LIST, status=415))


def _writes() -> Any:
    return {**tool(name="The name."), "annotations": {"readOnlyHint": False}}


EVERYWHERE = ("0.0.0.0:8000",)


@hit("http-no-authentication")
def says_that_it_writes():
    return asked(listeners=EVERYWHERE, said={"tools": (_writes(),)})


@hit("http-no-authentication")
def was_seen_to_write():
    made = session(
        call(),
        http=HttpFacts(PLACE),
        container={"kernel": (did(Act.WRITE, "/srv/notes/one.md", 1),)},
    )
    checks = HttpChecks(PLACE, listeners=("[::]:8000",), answers=(told(Q.ORDINARY, result=True),))
    return observed(made, http=(checks,))


@hit("http-no-authentication")
def was_seen_to_post():
    sent = arrived(SinkKind.HTTP, "api.example", call=1, text="POST /orders HTTP/1.1\r\n")
    made = session(call(), http=HttpFacts(PLACE), container={"sink": (sent,)})
    checks = HttpChecks(PLACE, listeners=EVERYWHERE, answers=(told(Q.ORDINARY, result=True),))
    return observed(made, http=(checks,))


@hit("http-no-authentication", N)
def writes_for_its_own_machine():
    return asked(said={"tools": (_writes(),)})


@miss("http-no-authentication")
def only_reads():
    reads = {**tool(name="The name."), "annotations": {"readOnlyHint": True}}
    return asked(listeners=EVERYWHERE, said={"tools": (reads,)})


@miss("http-no-authentication")
def says_nothing_of_what_it_changes():
    return asked(listeners=EVERYWHERE)


@hit("http-listens-everywhere")
def on_every_address():
    return asked(listeners=("127.0.0.1:9229", "0.0.0.0:8000"))


@hit("http-listens-everywhere")
def on_every_address_of_ipv6():
    return asked(listeners=("[::]:8000",))


@miss("http-listens-everywhere")
def on_loopback():
    return asked(listeners=("127.0.0.1:8000", "[::1]:8000"))


@hit("http-redirect")
def sends_a_token_in_the_clear():
    to = {"location": "http://localhost:8000/mcp/"}
    return asked(told(Q.BEHIND_TLS, 307, headers=to))


@hit("http-redirect")
def sends_its_clients_elsewhere():
    return asked(told(Q.BEHIND_TLS, 302, headers={"location": "//evil.example/mcp"}))


@miss("http-redirect")
def stays_within_tls():
    to = {"location": "https://localhost:8000/mcp/"}
    return asked(told(Q.BEHIND_TLS, 307, headers=to))


@miss("http-redirect")
def moves_relatively():
    return asked(told(Q.BEHIND_TLS, 308, headers={"location": "/mcp/"}))


@miss("http-redirect")
def moves_nothing():
    return asked(told(Q.BEHIND_TLS, headers={"location": "http://evil.example/"}))


# --- sessions -------------------------------------------------------------------------------------


def given(*ids: str, **more: Any) -> Observations:
    """Session ids."""
    return asked(told(Q.SESSION, result=True), sessions=ids, **more)


@hit("http-session-predictable")
def counts_sessions():
    return given("session-7", "session-8", "session-9", "session-10", "session-11")


@hit("http-session-predictable")
def takes_the_time():
    return given(*(f"s{1_795_287_917_260 + 64 * n}" for n in range(5)))


@hit("http-session-predictable")
def takes_the_time_into_a_uuid():
    return given(*(f"7d48{n:04x}-e5de-11f1-aa2b-02fc00000001" for n in range(40, 45)))


@hit("http-session-predictable", M)
def takes_short_ones():
    return given("40645e", "0273a2", "c4e112", "9a0d3f", "1b77e0")


@miss("http-session-predictable", "http-session-shared")
def takes_random_ones():
    return given(*RANDOM)


@miss("http-session-predictable")
def takes_the_time_and_chance():
    return given(*(f"{1_795_287_917_260 + n}-{one}" for n, one in enumerate(RANDOM)))


@miss("http-session-predictable", "http-session-shared")
def gives_none():
    return asked(told(Q.SESSION, result=True))


@hit("http-session-shared")
def gives_one_to_all():
    return given(*[RANDOM[0]] * 5)


@hit("http-clients-mixed")
def tells_one_what_another_asked():
    return asked(crossed=("What one client had asked for came over another client's stream.",))


@miss("http-clients-mixed")
def keeps_them_apart():
    return given(*RANDOM)


@hit("http-session-fixation")
def takes_the_clients():
    return _chosen(result=True)


def _chosen(*, result: bool) -> Observations:
    return asked(
        told(Q.SESSION, result=True), told(Q.CHOSEN_SESSION, result=result), sessions=RANDOM
    )


@miss("http-session-fixation")
def gives_its_own():
    return _chosen(result=False)


def _looked_up(*answers: HttpAnswer) -> Observations:
    return asked(told(Q.SESSION, result=True), *answers, sessions=RANDOM)


@hit("http-session-unchecked")
def takes_any_session():
    return _looked_up(told(Q.UNKNOWN_SESSION, result=True), told(Q.NO_SESSION, result=True))


STREAM = {"content_type": "text/event-stream; charset=utf-8"}


@hit("http-session-unchecked")
def opens_any_stream():
    return _looked_up(told(Q.UNKNOWN_SESSION, 404), told(Q.UNKNOWN_STREAM, headers=STREAM))


@hit("http-session-unchecked", N)
def needs_no_session():
    return _looked_up(told(Q.UNKNOWN_SESSION, 404), told(Q.NO_SESSION, result=True))


@miss("http-session-unchecked")
def knows_its_sessions():
    gone = refused(Q.UNKNOWN_SESSION, Q.UNKNOWN_STREAM, status=404)
    return _looked_up(*gone, *refused(Q.NO_SESSION, status=400))


@miss("http-session-unchecked")
def gives_no_sessions():
    return asked(told(Q.SESSION, result=True), told(Q.UNKNOWN_SESSION, result=True))


@hit("http-session-survives")
def only_says_that_it_ends():
    return _looked_up(told(Q.END, 204), told(Q.ENDED_SESSION, result=True))


@miss("http-session-survives")
def ends_no_sessions():
    return _looked_up(told(Q.END, 405), told(Q.ENDED_SESSION, result=True))


@miss("http-session-survives")
def ends_its_sessions():
    return _looked_up(told(Q.END, 200), told(Q.ENDED_SESSION, 404))


# --- the wire -------------------------------------------------------------------------------------


@hit("http-request-smuggling")
def reads_the_first_length():
    return asked(told(Q.TWO_LENGTHS, 400, answers=2))


@hit("http-request-smuggling", N)
def goes_on_after_two_kinds_of_length():
    return asked(told(Q.BOTH_LENGTHS, 400, answers=2))


@miss("http-request-smuggling")
def answers_once():
    return asked(
        told(Q.BOTH_LENGTHS, 400),
        told(Q.TWO_LENGTHS, 400),
        told(Q.BARE_LINE_FEED, 200),
        told(Q.OVERSIZED_CHUNK, 0, answers=0),
    )


@hit("http-method")
def gives_headers_back():
    return asked(told(Q.TRACE, text=f"TRACE /mcp HTTP/1.1\r\nX-Trace: {SITE}\r\n"))


@hit("http-method")
def opens_a_tunnel():
    return asked(told(Q.CONNECT))


@hit("http-method", N)
def takes_put_for_post():
    return asked(told(Q.PUT, result=True))


@miss("http-method")
def refuses_other_methods():
    return asked(*refused(Q.TRACE, Q.PUT, Q.CONNECT, status=405))


@miss("http-method")
def shows_a_page_to_everybody():
    return asked(told(Q.TRACE, text="<h1>Welcome</h1>"), told(Q.PUT, 200))


@hit("http-version-ignored")
def speaks_any_version():
    return asked(told(Q.SESSION, result=True), told(Q.UNKNOWN_VERSION, result=True))


@miss("http-version-ignored")
def knows_its_versions():
    return asked(told(Q.SESSION, result=True), told(Q.UNKNOWN_VERSION, 400))


@hit("http-header-mismatch")
def believes_the_body():
    return asked(told(Q.STATELESS, result=True), told(Q.OTHER_METHOD, result=True))


@miss("http-header-mismatch")
def compares_the_two():
    return asked(told(Q.STATELESS, result=True), told(Q.OTHER_METHOD, 400))
