"""JSON-RPC over a hostile peer's two streams: one thread, no locks, every wait bounded.

A deadline covers writing and waiting together, so a peer that never reads cannot hang us. Nothing
is written from the read loop: answers to the peer's own requests go into a bounded outbox that is
flushed while we wait. Every breach of the protocol is kept with its first raw bytes and a count.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from mcp_sandbox.model import (
    Breach,
    BreachKind,
    ByteStream,
    CallStatus,
    CanaryHit,
    Era,
    Identity,
    Json,
    ServerRequest,
)
from mcp_sandbox.probe import answers
from mcp_sandbox.probe.pipe import BudgetExhausted, Pipe
from mcp_sandbox.probe.wire import (
    MAX_SESSION,
    Line,
    Parser,
    encode,
    encode_params,
    sample,
)

MAX_NOTIFICATIONS = 1_000
"""Beyond this many the peer is said to flood; they are still counted, no longer looked at."""
MAX_SERVER_REQUESTS = 200
"""Beyond this many requests of the peer none is answered any more."""

ENVELOPE = 256
"""Bytes at either end of an unreadable line in which its id is looked for."""

MAX_FAULTY_LINES = 20_000
"""Lines that are no JSON before the conversation is ended: each costs us
more than it costs the peer."""
LOG_BYTES = 4 * 2**20
"""Transcript bytes held back while the peer is at work; more is written out at once."""

KNOWN_NOTIFICATIONS = frozenset(
    "notifications/" + name
    for name in (
        "cancelled",
        "elicitation/complete",
        "message",
        "progress",
        "prompts/list_changed",
        "resources/list_changed",
        "resources/updated",
        "subscriptions/acknowledged",
        "tasks/status",
        "tools/list_changed",
    )
)
"""Every notification a server may send in any released version of the specification."""

Find = Callable[[bytes], tuple[CanaryHit, ...]]
"""Looks for planted secrets in raw bytes."""
Record = Callable[[str, bytes], None]
"""Takes each line of the transcript: ``"in"`` or ``"out"``, and the raw bytes."""


class Reply(NamedTuple):
    """What became of one request of ours."""

    status: CallStatus
    raw: bytes = b""
    body: Json = None
    """The ``result`` or the ``error`` member."""
    milliseconds: float = 0.0
    line: int = 0
    """Line of the answer in the transcript; 0 when none came."""


class Conversation:
    """One peer. ``post`` sends, ``wait`` collects; between the two the caller may do other work."""

    def __init__(
        self,
        stream: ByteStream,
        *,
        era: Era,
        identity: Identity,
        find: Find,
        record: Record,
        budget: int = MAX_SESSION,
    ) -> None:
        self._era = era
        self._identity = identity
        self._find = find
        self._record = record
        self._pipe = Pipe(stream, budget)
        self._parser = Parser()
        self._next_id = 1
        self._waiting: int | None = None
        self._sent_at = 0.0
        self._abandoned: set[int] = set()
        self._reply: Reply | None = None
        self._log: list[tuple[str, bytes]] = []
        self._log_bytes = 0
        self.recorded = 0
        """Lines of the transcript so far."""
        self._breaches: dict[BreachKind, Breach] = {}
        self._requests: dict[str, ServerRequest] = {}
        self._request_count = 0
        self._notification_count = 0
        self._faulty_lines = 0
        self.exhausted = ""
        """Which bound on the whole conversation is reached; empty while none is."""
        self.notifications: dict[str, int] = {}
        self.canaries: list[CanaryHit] = []
        self.stuck = False

    @property
    def closed(self) -> bool:
        """The peer has closed its output."""
        return self._pipe.closed

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """All breaches so far, in order of their first sight."""
        return tuple(self._breaches.values())

    @property
    def server_requests(self) -> tuple[ServerRequest, ...]:
        """Requests of the peer by method."""
        return tuple(self._requests.values())

    def breach(self, kind: BreachKind, detail: str, raw: bytes = b"") -> None:
        """Note a breach; only the first of each kind keeps its sample."""
        known = self._breaches.get(kind)
        self._breaches[kind] = (
            Breach(kind, detail[:300], sample(raw))
            if known is None
            else replace(known, count=known.count + 1)
        )

    def request(self, method: str, params: Json, timeout: float) -> Reply:
        """Send one request and wait for its answer, at most ``timeout`` seconds in all."""
        self.post(method, params)
        return self.wait(timeout)

    def notify(self, method: str, params: Json = None) -> None:
        """Queue a notification; it is written with the next request or wait."""
        message: dict[str, Json] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        self._queue(encode(message))

    def post(self, method: str, params: Json) -> bytes:
        """Send a request; returns the line as sent. One request at a time."""
        return self.post_encoded(method, encode_params(params))

    def post_encoded(self, method: str, params: bytes) -> bytes:
        """``post`` with parameters that were serialised while the peer was busy."""
        number = self._next_id
        self._next_id += 1
        head = b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":' % (number, method.encode())
        line = head + params + b"}\n"
        self._waiting = number
        self._reply = None
        self._sent_at = time.monotonic()
        self._queue(line)
        # The peer is at work now: the time to do our own bookkeeping.
        self._write_log()
        return line

    def wait(self, timeout: float) -> Reply:
        """The answer to the posted request; gives up ``timeout`` seconds after it was posted."""
        deadline = self._sent_at + timeout
        while self._reply is None:
            left = deadline - time.monotonic()
            if self.closed:
                return self._give_up(CallStatus.CLOSED)
            if left <= 0:
                if self._pipe.blocked:
                    # A torn line cannot be continued by another message: the wire ends here.
                    self.stuck = True
                    return self._give_up(CallStatus.STUCK_WRITE)
                return self._give_up(CallStatus.TIMEOUT)
            self._turn(left)
        self._waiting = None
        return self._reply

    def idle(self, seconds: float) -> None:
        """Ask nothing for a while, and take in what comes unasked."""
        self._write_log()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self.closed:
            self._turn(left)

    def end(self) -> None:
        """Flush the bookkeeping; call once, at the end."""
        rest = self._pipe.rest()
        # A line that a bound of ours cut short is no fault of the peer.
        if rest is not None and (rest.skipped or not (self.stuck or self.exhausted)):
            self._take_line(rest)
        self._write_log()

    # --- the loop ---

    def _turn(self, seconds: float) -> None:
        """Wait once and take in what has arrived."""
        try:
            for line in self._pipe.read(seconds):
                self._take_line(line)
        except BudgetExhausted as error:
            self.exhausted = str(error)
            raise

    def _queue(self, line: bytes) -> None:
        self._note("out", line)
        self._pipe.write(line)

    def _give_up(self, status: CallStatus) -> Reply:
        if self._waiting is not None:
            self._abandoned.add(self._waiting)
            if status is CallStatus.TIMEOUT and self._era is Era.HANDSHAKE:
                self.notify(
                    "notifications/cancelled", {"requestId": self._waiting, "reason": "timeout"}
                )
        self._waiting = None
        return Reply(status, milliseconds=(time.monotonic() - self._sent_at) * 1000)

    def _note(self, direction: str, data: bytes) -> None:
        self.recorded += 1
        self._log.append((direction, data))
        self._log_bytes += len(data) + 64
        if self._log_bytes > LOG_BYTES:
            self._write_log()

    def _write_log(self) -> None:
        for direction, data in self._log:
            self._record(direction, data)
        self._log.clear()
        self._log_bytes = 0

    # --- what arrives ---

    def _take_line(self, line: Line) -> None:
        self._note("in", line.data)
        if line.skipped:
            self.breach(
                BreachKind.OVERSIZED_LINE,
                f"a line of {len(line.data) + line.skipped} bytes; the rest was dropped",
                line.data,
            )
            self._release(line.data)
            return
        if not line.terminated:
            self.breach(BreachKind.UNTERMINATED_LINE, "the last line has no newline", line.data)
        if not line.data.strip():
            self.breach(BreachKind.NOT_JSON, "a blank line", line.data)
            self._count_faulty()
            return
        decoded = self._parser.decode(line.data)
        for kind, detail in decoded.faults:
            self.breach(kind, detail, line.data)
        if not decoded.is_json:
            self._release(line.data)
            self._count_faulty()
            return
        value = decoded.value
        if isinstance(value, list):
            self.breach(BreachKind.BATCH, f"a batch of {len(value)}", line.data)
            for message in value[:MAX_SERVER_REQUESTS]:
                self._take_message(message, line.data)
        else:
            self._take_message(value, line.data)

    def _release(self, raw: bytes) -> None:
        """End the wait for an answer that came but cannot be read."""
        if self._waiting is None or self._reply is not None:
            return
        ends = raw[:ENVELOPE] + raw[-ENVELOPE:]
        is_ours = re.search(rb'"id"\s*:\s*%d\s*[,}]' % self._waiting, ends)
        if is_ours and re.search(rb'"(?:result|error)"\s*:', ends):
            self._reply = Reply(
                CallStatus.MALFORMED,
                raw,
                milliseconds=(time.monotonic() - self._sent_at) * 1000,
                line=self.recorded,
            )

    def _count_faulty(self) -> None:
        self._faulty_lines += 1
        if self._faulty_lines > MAX_FAULTY_LINES:
            raise BudgetExhausted(f"the server sent more than {MAX_FAULTY_LINES} faulty lines")

    def _take_message(self, message: Json, raw: bytes) -> None:
        if not isinstance(message, dict):
            self.breach(BreachKind.NOT_AN_OBJECT, f"a {type(message).__name__}", raw)
            return
        if message.get("jsonrpc") != "2.0":
            self.breach(BreachKind.NOT_JSONRPC, 'no "jsonrpc": "2.0"', raw)
        if "method" in message:
            if "id" in message:
                self._take_request(message, raw)
            else:
                self._take_notification(message, raw)
        elif "id" in message or "result" in message or "error" in message:
            self._take_response(message, raw)
        else:
            self.breach(BreachKind.NOT_JSONRPC, "neither request, notification nor answer", raw)

    def _take_response(self, message: dict[str, Json], raw: bytes) -> None:
        number = self._number_of(message.get("id"), raw)
        if number is None:
            self.breach(BreachKind.UNKNOWN_ID, "an answer to no request of ours", raw)
            return
        if number != self._waiting or self._reply is not None:
            if number in self._abandoned:
                self._abandoned.discard(number)
            elif number >= self._next_id:
                self.breach(BreachKind.EARLY_RESPONSE, f"answers {number} before asked", raw)
            elif number >= 1:
                self.breach(BreachKind.DUPLICATE_RESPONSE, f"answers {number} once more", raw)
            else:
                self.breach(BreachKind.UNKNOWN_ID, "an answer to no request of ours", raw)
            return
        self._reply = Reply(
            *self._judge(message, raw),
            milliseconds=(time.monotonic() - self._sent_at) * 1000,
            line=self.recorded,
        )

    def _number_of(self, given: Json, raw: bytes) -> int | None:
        """The id as the integer that we sent, if it can be meant so."""
        if type(given) is int:
            return given
        if not (
            (isinstance(given, float) and given.is_integer())
            or (isinstance(given, str) and re.fullmatch("[0-9]{1,9}", given))
        ):
            return None
        number = int(given)
        self.breach(BreachKind.ID_TYPE_CHANGED, f"id {given!r} for {number}", raw)
        return number

    def _judge(self, message: dict[str, Json], raw: bytes) -> tuple[CallStatus, bytes, Json]:
        if "result" in message and "error" in message:
            self.breach(BreachKind.RESULT_AND_ERROR, "both result and error", raw)
        if "error" in message:
            error = message["error"]
            if not isinstance(error, dict) or type(error.get("code")) is not int:
                self.breach(BreachKind.MALFORMED_RESPONSE, "an error that is no error object", raw)
                return CallStatus.MALFORMED, raw, error
            return CallStatus.RPC_ERROR, raw, error
        result = message.get("result")
        if not isinstance(result, dict):
            self.breach(BreachKind.MALFORMED_RESPONSE, "a result that is no object", raw)
            return CallStatus.MALFORMED, raw, result
        if self._era is Era.STATELESS:
            kind = result.get("resultType")
            if not isinstance(kind, str):
                self.breach(BreachKind.MISSING_RESULT_TYPE, "a result without resultType", raw)
            if kind == "input_required":
                return CallStatus.INPUT_REQUIRED, raw, result
        if result.get("isError") is True:
            return CallStatus.TOOL_ERROR, raw, result
        return CallStatus.RESULT, raw, result

    def _take_notification(self, message: dict[str, Json], raw: bytes) -> None:
        self._notification_count += 1
        if self._notification_count > MAX_NOTIFICATIONS:
            self.breach(
                BreachKind.NOTIFICATION_FLOOD, f"more than {MAX_NOTIFICATIONS} notifications", raw
            )
            return
        method = str(message["method"])[:128]
        if method not in KNOWN_NOTIFICATIONS:
            self.breach(BreachKind.UNKNOWN_NOTIFICATION, f"method {method!r}", raw)
            method = "(unknown)"
        self.notifications[method] = self.notifications.get(method, 0) + 1
        self.canaries.extend(self._find(raw))

    def _take_request(self, message: dict[str, Json], raw: bytes) -> None:
        method = str(message["method"])[:128]
        self._request_count += 1
        if self._request_count > MAX_SERVER_REQUESTS:
            self.breach(
                BreachKind.REQUEST_FLOOD, f"more than {MAX_SERVER_REQUESTS} requests to us", raw
            )
            return
        self.canaries.extend(self._find(raw))
        allowed = answers.permitted(method, self._identity.capabilities)
        if self._era is Era.STATELESS:
            # 2026-07-28: servers must not send requests, and clients must not answer any.
            allowed = False
        if not allowed:
            self.breach(BreachKind.UNDECLARED_REQUEST, f"method {method!r}", raw)
        if method not in answers.ANSWERS:
            method = "(unknown)"
        known = self._requests.get(method)
        self._requests[method] = (
            ServerRequest(method, 1, "answered" if allowed else "refused", sample(raw))
            if known is None
            else replace(known, count=known.count + 1)
        )
        if self._era is Era.STATELESS:
            return
        answer: dict[str, Json] = {"jsonrpc": "2.0", "id": message["id"]}
        if allowed:
            answer["result"] = answers.result(method, self._identity)
        else:
            answer["error"] = {"code": answers.METHOD_NOT_FOUND, "message": "Not supported"}
        self._queue(encode(answer))
