"""One session: open, list, call every tool with ordinary and hostile input, list again.

Calls are sequential, so that each effect belongs to one call. While the peer works on a call, the
previous one is written up: the prober is not the bottleneck. A session that a peer breaks off says
where (``resume_at``), so that the rest of the plan can be held with a fresh container.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mcp_sandbox.model import (
    BreachKind,
    ByteStream,
    Call,
    CallStatus,
    ItemKind,
    Json,
    Listing,
    Moment,
    SessionEnd,
    Transcript,
    Window,
)
from mcp_sandbox.probe import eras, listing
from mcp_sandbox.probe.conversation import (
    Conversation,
    Find,
    Record,
    Reply,
)
from mcp_sandbox.probe.hostile import Input
from mcp_sandbox.probe.pipe import BudgetExhausted
from mcp_sandbox.probe.plan import Order, Plan
from mcp_sandbox.probe.shares import VALID, Shares
from mcp_sandbox.probe.wire import encode_params
from mcp_sandbox.probe.written import Made, written

TIMEOUTS_IN_A_ROW = 3
"""After so many the peer is said to be unresponsive."""
SILENCES = 2
"""A payload that was not answered so often (a framework that drops it, say) is not sent again: each
silence costs a whole call's patience."""

CALL_METHODS: dict[ItemKind, str] = {
    ItemKind.TOOLS: "tools/call",
    ItemKind.PROMPTS: "prompts/get",
    ItemKind.RESOURCES: "resources/read",
    ItemKind.TEMPLATES: "resources/read",
}


class Mark(NamedTuple):
    """When the probe began something; it goes on until the next mark."""

    at: float
    """Seconds since the epoch, by our clock."""
    window: Window
    call: int = 0
    """Number of the call, in its window."""


class Prober:
    """Holds one session. ``open`` first; ``work`` only when it returned True."""

    def __init__(
        self,
        stream: ByteStream,
        plan: Plan,
        *,
        find: Find,
        mask: Callable[[str], str],
        record: Record,
        progress: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._find = find
        self._mask = mask
        self._progress = progress
        self._conversation = Conversation(
            stream,
            era=plan.era,
            identity=plan.identity,
            find=find,
            record=record,
            budget=plan.max_bytes,
        )
        self._opening = eras.Opening(False, "not opened")
        self._first_answer_ms = 0.0
        self._end = SessionEnd.COMPLETED
        self._end_detail = ""
        self._listings: list[Listing] = []
        self._calls: list[Call] = []
        self._not_called: dict[str, str] = {}
        self._left_out: list[str] = []
        self._resume_at: int | None = None
        self._timeouts = 0
        self._silenced: Counter[tuple[str, str]] = Counter()
        self._deadline = 0.0
        self._posted = 0
        self._marks = [Mark(0.0, Window.START)]

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What the probe was doing when, in order."""
        return tuple(self._marks)

    def mark(self, window: Window, call: int = 0) -> None:
        """From now on, what the server does belongs to this."""
        self._marks.append(Mark(time.time(), window, call))

    @property
    def answered(self) -> bool:
        """The peer agreed to talk."""
        return self._opening.agreed

    def open(self, seconds: float | None = None) -> bool:
        """Send the opening message; True when the peer speaks this era of MCP.

        ``seconds`` replaces the plan's ``session_timeout``, for a session that waited its turn.
        """
        plan = self._plan
        self._deadline = time.monotonic() + (plan.session_timeout if seconds is None else seconds)
        try:
            reply, self._opening = eras.open_session(
                self._conversation, plan.era, plan.identity, plan.start_timeout
            )
        except BudgetExhausted as error:
            self._stop(SessionEnd.BUDGET, f"{error}, before it answered")
            return False
        self._first_answer_ms = reply.milliseconds
        if not self._opening.agreed:
            end = {
                CallStatus.CLOSED: SessionEnd.EXITED,
                CallStatus.TIMEOUT: SessionEnd.NEVER_ANSWERED,
                CallStatus.STUCK_WRITE: SessionEnd.STUCK_WRITE,
            }.get(reply.status, SessionEnd.REFUSED)
            self._stop(end, self._opening.detail)
        return self._opening.agreed

    def work(self) -> None:
        """List, call, list again. Whatever breaks it off is kept in the transcript."""
        try:
            self.mark(Window.LISTING)
            first = [self._list(kind, Moment.BEFORE) for kind in ItemKind]
            if all(one.state == listing.TIMED_OUT for one in first):
                self._stop(SessionEnd.UNRESPONSIVE, "no request after the opening was answered")
                return
            self._idle()
            self._run_calls(first)
            self._idle()
            self.mark(Window.LISTING)
            for kind in ItemKind:
                self._list(kind, Moment.AFTER)
        except BudgetExhausted as error:
            self._stop(SessionEnd.BUDGET, str(error))
        except _Ended:
            pass

    def transcript(self) -> Transcript:
        """All that was seen. Call once, at the end."""
        talk = self._conversation
        talk.end()
        opening = self._opening
        return Transcript(
            role=self._plan.role,
            era=self._plan.era,
            identity=self._plan.identity,
            end=self._end,
            end_detail=self._end_detail,
            offered_version=opening.offered,
            version=opening.version,
            server_info=listing.bounded(opening.server_info),
            capabilities=listing.bounded(opening.capabilities),
            instructions=opening.instructions[: listing.MAX_ITEM_TEXT],
            listings=tuple(self._listings),
            calls=tuple(self._calls),
            breaches=talk.breaches,
            server_requests=talk.server_requests,
            notifications=dict(sorted(talk.notifications.items())),
            notification_canaries=tuple(dict.fromkeys(talk.canaries)),
            not_called=self._not_called,
            left_out=tuple(self._left_out),
            resume_at=self._resume_at,
            first_answer_ms=round(self._first_answer_ms, 1),
        )

    def _idle(self) -> None:
        """Wait and ask nothing: what the server does now it does unprompted."""
        if self._plan.idle:
            self._progress("idle")
            self.mark(Window.IDLE)
            self._conversation.idle(min(self._plan.idle, self._deadline - time.monotonic()))
            self._check_alive()

    # --- listing ---

    def _list(self, kind: ItemKind, moment: Moment) -> Listing:
        self._progress(f"{listing.METHODS[kind][0]} ({moment.value})")
        capabilities = self._opening.capabilities
        offered = isinstance(capabilities, dict) and listing.METHODS[kind][1] in capabilities
        taken = listing.take(self._conversation, self._ask, kind, moment, offered=offered)
        items = self._plan.known.setdefault(taken.digest, taken.items)
        if items == taken.items:
            taken = Listing(kind, moment, items, taken.state, taken.digest)
        self._listings.append(taken)
        self._check_alive()
        return taken

    def _ask(self, method: str, params: dict[str, Json]) -> Reply:
        plan = self._plan
        return self._conversation.request(
            method, eras.with_meta(plan.era, plan.identity, params), self._patience()
        )

    # --- calling ---

    def _run_calls(self, listings: list[Listing]) -> None:
        order = Order(self._plan, listings)
        self._not_called, self._left_out = order.not_called, order.left_out
        prepared = self._prepared(order)
        following = next(prepared, None)
        previous: Made | None = None
        while following is not None:
            if isinstance(following, _Wait):
                following = next(prepared, None)
                continue
            if self._posted >= self._plan.max_calls:
                self._left_out.append(f"calls after the first {self._plan.max_calls}")
                break
            position, item, params = following
            self._progress(item.target)
            self._posted += 1
            self.mark(Window.CALL, self._posted)
            sent = self._conversation.post_encoded(CALL_METHODS[item.kind], params)
            line = self._conversation.recorded
            # While the peer works: write up the call before, make the call after.
            if previous is not None:
                self._write_up(previous)
                previous = None
            following = next(prepared, None)
            reply = self._settle(item)
            if item.family == VALID:
                order.heard(item, reply.status, reply.body, clean=not self._find(reply.raw))
            if reply.status in _FATAL or self._too_many_timeouts(item, reply):
                self._write_up(Made(item, sent, reply, line))
                self._resume_at = position + 1
                self._stop_after(item, reply)
            previous = Made(item, sent, reply, line)
            del reply  # or two replies, parsed, are in memory at once
        if previous is not None:
            self._write_up(previous)
        for name, why in order.warnings.items():
            self._conversation.breach(BreachKind.UNUSABLE_SCHEMA, f"{name[:64]}: {why}")

    def _prepared(self, order: Order) -> Iterator[tuple[int, Input, bytes] | _Wait]:
        """Position, input and serialised parameters of each call still to be made."""
        shares = Shares(time.monotonic(), self._deadline)
        for position, item in order:
            if item is None:
                yield _WAIT
                continue
            if position < self._plan.start_at:
                continue
            now = time.monotonic()
            if now > self._deadline:
                return  # inputs cost time too; what was not reached shows in the coverage
            if why := shares.why_not(item, order.targets, now):
                if why not in self._left_out:
                    self._left_out.append(why)
                continue
            known = self._silenced[item.family, item.payload]
            if known >= SILENCES and item.payload and item.family != VALID:
                self._left_out.append(
                    f"{item.target} {item.parameter}: {item.family} {item.payload}, "
                    f"which was never answered {SILENCES} times before"
                )
                continue
            yield position, item, encode_params(self._params(item))

    def _settle(self, item: Input) -> Reply:
        """Wait for the answer; serve ``input_required`` a bounded number of times."""
        reply = self._conversation.wait(self._patience())
        if reply.status is not CallStatus.INPUT_REQUIRED:
            return reply
        params = self._params(item)
        for _ in range(eras.INPUT_ROUNDS):
            if reply.status is not CallStatus.INPUT_REQUIRED:
                break
            params = eras.answer_inputs(self._plan.identity, params, reply.body)
            reply = self._conversation.request(CALL_METHODS[item.kind], params, self._patience())
        return reply

    def _params(self, item: Input) -> dict[str, Json]:
        if item.kind in {ItemKind.RESOURCES, ItemKind.TEMPLATES}:
            params = {"uri": item.arguments["uri"]}
        else:
            params = {"name": item.target, "arguments": item.arguments}
        return eras.with_meta(self._plan.era, self._plan.identity, params)

    def _write_up(self, made: Made) -> None:
        self._calls.append(written(made, len(self._calls) + 1, self._find, self._mask))

    # --- ends ---

    def _patience(self) -> float:
        return max(0.001, min(self._plan.call_timeout, self._deadline - time.monotonic()))

    def _check_alive(self) -> None:
        if self._conversation.exhausted:
            self._stop(SessionEnd.BUDGET, self._conversation.exhausted)
            raise _Ended
        if self._conversation.closed:
            self._stop(SessionEnd.EXITED, "the server closed its output")
            raise _Ended
        if self._conversation.stuck:
            self._stop(SessionEnd.STUCK_WRITE, "the server stopped reading its input")
            raise _Ended
        if time.monotonic() > self._deadline:
            self._stop(SessionEnd.BUDGET, f"after {self._plan.session_timeout:g} s")
            raise _Ended

    def _too_many_timeouts(self, item: Input, reply: Reply) -> bool:
        silent = reply.status is CallStatus.TIMEOUT
        self._silenced[item.family, item.payload] += silent
        self._timeouts = self._timeouts + 1 if silent else 0
        return self._timeouts >= TIMEOUTS_IN_A_ROW or time.monotonic() > self._deadline

    def _stop_after(self, item: Input, reply: Reply) -> None:
        what = f"{item.target} {item.parameter} {item.family} {item.payload}".strip()
        self._check_alive()
        if reply.status is CallStatus.TIMEOUT:
            self._stop(
                SessionEnd.UNRESPONSIVE,
                f"{TIMEOUTS_IN_A_ROW} calls in a row timed out, the last one: {what}",
            )
        raise _Ended

    def _stop(self, end: SessionEnd, detail: str) -> None:
        self._end, self._end_detail = end, detail


class _Wait:
    """In place of a call: the next one depends on the reply to the one before."""


_WAIT = _Wait()


class _Ended(Exception):
    """The peer ended the session; the transcript says how."""


_FATAL = frozenset({CallStatus.CLOSED, CallStatus.STUCK_WRITE})


def run(
    stream: ByteStream,
    plan: Plan,
    *,
    find: Find,
    mask: Callable[[str], str],
    record: Record,
    progress: Callable[[str], None] = lambda _: None,
) -> Transcript:
    """Hold one whole session over ``stream`` and return what was seen.

    ``find`` looks for planted secrets in raw bytes, ``mask`` hides them in text that is kept,
    ``record`` takes every line of the transcript. Never raises for anything the peer does.
    """
    prober = Prober(stream, plan, find=find, mask=mask, record=record, progress=progress)
    if prober.open():
        prober.work()
    return prober.transcript()
