"""Asks a server what only HTTP can be asked: as another site, as a proxy, with half a request.

No tool is called but one without parameters. The order is from what every client does to what
none should: the last questions may well end the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mcp_sandbox.model import Dial, Era
from mcp_sandbox.model.http import SITE, HttpChecks, HttpQuestion
from mcp_sandbox.probe.http import framing
from mcp_sandbox.probe.http.asking import Asker, Record, changed
from mcp_sandbox.probe.http.clients import NO_VERSION, Clients
from mcp_sandbox.probe.http.exchange import Request
from mcp_sandbox.probe.http.stranger import Stranger

ASKING = 45.0
"""Seconds for all questions; they take two of a quick server."""
Q = HttpQuestion


def ask_all(
    stranger: Stranger,
    dial: Dial,
    *,
    until: float,
    mask: Callable[[str], str],
    record: Record,
) -> HttpChecks:
    """Every question in turn, until ``until`` (as ``time.monotonic`` counts).

    Raises ``EngineFailed``.
    """
    asker = Asker(stranger.place, dial, until, mask, record)
    clients = Clients(stranger, asker)
    unasked: list[str] = []
    for name, step in _steps(stranger, asker, clients):
        if not asker.late:
            step()
        if asker.late:  # by now, at the latest: what was asked at the end had no time
            unasked.append(name)
    return HttpChecks(
        place=stranger.place,
        answers=tuple(asker.answers),
        sessions=tuple(mask(one) for one in clients.sessions),
        crossed=tuple(mask(one) for one in clients.crossed),
        unasked=tuple(unasked),
    )


def _steps(
    stranger: Stranger, asker: Asker, clients: Clients
) -> Iterator[tuple[str, Callable[[], None]]]:
    # A page has none of the user's credentials.
    yield "as another site", lambda: _as_another_site(replace(stranger, own=()), asker)
    yield "in sessions", clients.ask
    yield "with headers that the body denies", lambda: _headers(stranger, asker)
    yield "by other methods", lambda: _methods(stranger, asker)
    yield "with ambiguous lengths", lambda: _lengths(stranger, asker)


def _as_another_site(stranger: Stranger, asker: Asker) -> None:
    place, older = stranger.place, stranger.older
    opening = stranger.opening()
    origin, there = f"http://{SITE}", f"{SITE}:{place.port}"
    asker.ask(Q.ORDINARY, opening, endpoint=older)
    asker.ask(Q.FOREIGN_ORIGIN, changed(opening, Origin=origin), endpoint=older)
    rebound = changed(opening, Host=there, Origin=f"http://{there}")
    asker.ask(Q.FOREIGN_HOST, rebound, endpoint=older)
    asks = Request("OPTIONS", place.path, (("Host", f"{place.host}:{place.port}"),))
    asks = changed(
        asks,
        Origin=origin,
        Access_Control_Request_Method="GET" if older else "POST",
        Access_Control_Request_Headers=None if older else "content-type, mcp-session-id",
    )
    asker.ask(Q.PREFLIGHT, asks)
    if not older:
        # No page can add a header of its own without asking first.
        listing = stranger.post(stranger.requests(), "tools/list", {}, id_=2)
        for question, one in ((Q.TEXT_PLAIN, opening), (Q.TEXT_PLAIN_LIST, listing)):
            plain = changed(one, Origin=origin, Content_Type="text/plain")
            asker.ask(question, changed(plain, Mcp_Method=None, MCP_Protocol_Version=None))
    if place.path != "/":
        path = place.path[:-1] if place.path.endswith("/") else f"{place.path}/"
        behind = changed(replace(opening, path=path), X_Forwarded_Proto="https")
        asker.ask(Q.BEHIND_TLS, behind, stream=older)


def _headers(stranger: Stranger, asker: Asker) -> None:
    """What headers and body of the stateless era say twice."""
    if stranger.older:
        return
    opening = replace(stranger, era=Era.STATELESS).opening()
    if not asker.ask(Q.STATELESS, opening).answer.result:
        return
    asker.ask(Q.OTHER_METHOD, changed(opening, Mcp_Method="ping"))
    if stranger.era is Era.STATELESS:
        asker.ask(Q.UNKNOWN_VERSION, changed(opening, MCP_Protocol_Version=NO_VERSION))


def _methods(stranger: Stranger, asker: Asker) -> None:
    place = stranger.place
    here = f"{place.host}:{place.port}"
    asker.ask(Q.TRACE, Request("TRACE", place.path, (("Host", here), ("X-Trace", SITE))))
    if not stranger.older:
        asker.ask(Q.PUT, changed(stranger.opening(), method="PUT"))
    asker.ask(Q.CONNECT, Request("CONNECT", here, (("Host", here),)), stream=True)


def _lengths(stranger: Stranger, asker: Asker) -> None:
    method = "GET" if stranger.older else "POST"
    for question, data in framing.ambiguous(stranger.place, method):
        asker.raw(question, data)
