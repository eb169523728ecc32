"""Puts one question after another to a server, each on a connection of its own, each bounded.

What was asked and what came goes to the evidence; what rules look at is kept as an ``HttpAnswer``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mcp_sandbox.model import Dial, Json, Place
from mcp_sandbox.model.http import NOBODYS, HttpAnswer, HttpQuestion
from mcp_sandbox.probe.http import framing, reading
from mcp_sandbox.probe.http.events import TooManyFields
from mcp_sandbox.probe.http.exchange import Broken, Exchange, Head, Request
from mcp_sandbox.probe.http.requests import SESSION_ID

QUESTION = 3.0
"""Seconds for one question."""
MAX_REQUEST = 500
MAX_VALUE = 300
MAX_TEXT = 300
MAX_EVIDENCE = 4096
_SHOWN = frozenset(
    {
        "host",
        "origin",
        "content-type",
        "content-length",
        "transfer-encoding",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "x-forwarded-proto",
        "access-control-request-method",
        "access-control-request-headers",
    }
)
"""Headers of a request that a reader wants to see."""
_KEPT = frozenset(
    {
        "allow",
        "content-type",
        "location",
        "www-authenticate",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-expose-headers",
    }
)
"""Headers of an answer that rules look at."""

Record = Callable[[str, bytes], None]


class Asked(NamedTuple):
    """One answer with what only the next question needs of it."""

    answer: HttpAnswer
    head: Head | None = None
    message: dict[str, Json] = {}  # noqa: RUF012 - never changed
    endpoint: str = ""


@dataclass
class Asker:
    """Asks on ``dial`` until ``until`` (as ``time.monotonic`` counts)."""

    place: Place
    dial: Dial
    until: float
    mask: Callable[[str], str]
    record: Record
    answers: list[HttpAnswer] = field(default_factory=list)
    """Those that are kept, in order."""
    _lines: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def late(self) -> bool:
        """There is no time for another question."""
        return time.monotonic() >= self.until

    def ask(
        self,
        question: HttpQuestion,
        request: Request,
        *,
        keep: bool = True,
        stream: bool = False,
        endpoint: bool = False,
    ) -> Asked:
        """``stream``: only the head is waited for. ``endpoint``: that event is the answer.

        Raises ``EngineFailed``.
        """
        until = min(self.until, time.monotonic() + QUESTION)
        self._note("out", _written(request))
        asked = Asked(HttpAnswer(question, shown(request)))
        exchange: Exchange | None = None
        body = b""
        try:
            exchange = Exchange(self.dial(self.place.port, until))
            head = exchange.ask(request, until)
            asked = Asked(self._headed(asked.answer, head), head)
            if endpoint and head.media_type == "text/event-stream":
                to = reading.endpoint(exchange, until)
                body = to.encode()
                asked = asked._replace(
                    answer=replace(asked.answer, result=bool(to) and head.status == 200),  # noqa: PLR2004
                    endpoint=to,
                )
            elif not stream:
                found, body = reading.first(exchange, head, until)
                asked = asked._replace(
                    answer=replace(asked.answer, result="result" in found), message=found
                )
        except (Broken, TooManyFields, ConnectionError) as error:
            asked = asked._replace(answer=replace(asked.answer, why=self.mask(str(error))[:200]))
        except TimeoutError:
            asked = asked._replace(answer=replace(asked.answer, why="no whole answer in time"))
        finally:
            if exchange is not None:
                exchange.close()
        return self._kept(asked, body, keep=keep)

    def raw(self, question: HttpQuestion, data: bytes) -> None:
        """Send bytes as they are, and count the answers. Raises ``EngineFailed``."""
        until = min(self.until, time.monotonic() + QUESTION)
        self._note("out", data)
        answer = HttpAnswer(question, _first_lines(data), answers=0)
        try:
            connection = self.dial(self.place.port, until)
        except (ConnectionError, TimeoutError) as error:
            self._kept(Asked(replace(answer, why=f"no connection ({error})"[:200])), b"", keep=True)
            return
        statuses: tuple[int, ...] = ()
        with contextlib.closing(connection):
            try:
                connection.send(data, until)
                statuses = framing.statuses(connection, until)
            except (ConnectionError, TimeoutError) as error:
                answer = replace(answer, why=str(error)[:200])
        answer = replace(answer, status=statuses[0] if statuses else 0, answers=len(statuses))
        said = f"statuses: {', '.join(map(str, statuses)) or 'none'}"
        self._kept(Asked(answer), said.encode(), keep=True)

    def _headed(self, answer: HttpAnswer, head: Head) -> HttpAnswer:
        kept = tuple(
            (name, self.mask(value)[:MAX_VALUE]) for name, value in head.headers if name in _KEPT
        )
        return replace(answer, status=head.status, headers=kept[:16])

    def _kept(self, asked: Asked, body: bytes, *, keep: bool) -> Asked:
        text = self.mask(body.decode("utf-8", "replace"))
        lines = [f"{asked.answer.status} {asked.answer.why}".strip()]
        if asked.head is not None:
            lines += [f"{name}: {value}" for name, value in asked.head.headers[:64]]
        line = self._note("in", "\n".join([*lines, "", text])[:MAX_EVIDENCE].encode())
        answer = replace(asked.answer, text=text[:MAX_TEXT], line=line)
        if keep:
            self.answers.append(answer)
        return asked._replace(answer=answer)

    def settle(self, *, result: bool) -> None:
        """What the last answer that was kept comes to, where that shows elsewhere."""
        self.answers[-1] = replace(self.answers[-1], result=result)

    def _note(self, direction: str, data: bytes) -> int:
        with self._writing:
            self.record(direction, data[:MAX_EVIDENCE])
            self._lines += 1
            return self._lines


def changed(request: Request, *, method: str = "", **headers: str | None) -> Request:
    """The request with headers added or replaced (``_`` for ``-``), or taken out (``None``)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    known = {name.lower() for name in named}
    kept = [(name, value) for name, value in request.headers if name.lower() not in known]
    added = [(name, value) for name, value in named.items() if value is not None]
    return replace(request, method=method or request.method, headers=(*kept, *added))


def shown(request: Request) -> str:
    """Its first line and the headers that matter, without what differs from run to run."""
    named = [
        f"{name}: {'…' if name.lower() == SESSION_ID and value != NOBODYS else value}"
        for name, value in request.headers
        if name.lower() in _SHOWN
    ]
    path, query, _ = request.path.partition("?")
    return "; ".join([f"{request.method} {path}{query and '?…'}", *named])[:MAX_REQUEST]


def _written(request: Request) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    return "\n".join([*lines, "", ""]).encode() + request.body


def _first_lines(data: bytes) -> str:
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    first, *lines = head.split("\r\n")
    named = [line for line in lines if line.partition(":")[0].lower() in _SHOWN]
    return "; ".join([first.removesuffix(" HTTP/1.1"), *named])[:MAX_REQUEST]
