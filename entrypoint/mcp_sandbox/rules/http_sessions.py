"""Whether sessions over HTTP are the server's own, hard to guess, kept apart, and ended."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterator, Sequence

from mcp_sandbox.model import Evidence, RiskClass, RuleInfo
from mcp_sandbox.model.http import HttpQuestion as Q
from mcp_sandbox.rules import http_facts as facts
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

ENOUGH = 3
"""Ids from which on an order tells anything."""
WIDE = 64
"""Bits that an id needs in order not to be guessed."""
LITTLE = 16
"""Steps of a counter, other clients in between."""
NEAR = 2**34
"""Steps of a clock, in nanoseconds."""
MUCH = 4096
"""So many times a clock's step fits into the numbers that it counts in; random ones are further
apart."""


@rule(
    RuleInfo(
        id="http-session-predictable",
        title="A session id can be guessed",
        class_=H,
        evidence=Evidence.E3,
        what="High when the ids of clients that came one after another count up, in steps or with "
        f"the clock: the next one follows from the last. Medium when they differ in fewer than "
        f"{WIDE} bits. Whoever has the id of a session acts in it and reads what comes of it.",
        proof="The ids that the server gave to five clients.",
        quiet_when=f"Ids differ in {WIDE} bits or more and are in no order; there are none.",
        fix="Take the id from the system's random source, 128 bits of it (a UUID of version 4).",
        cwe=(340, 330),
    )
)
def session_predictable(context: Context) -> Iterator[Hit]:
    """Ids that count up, or are short."""
    for checks in facts.each(context):
        ids = checks.sessions
        if len(ids) < ENOUGH or len(set(ids)) < len(ids):
            continue
        if _counts(ids):
            yield facts.hit(
                context, checks, "in order", f"The session ids of {len(ids)} clients count up."
            )
        elif _bits(_varying(ids)) < WIDE:
            yield facts.hit(
                context,
                checks,
                "short",
                f"The session ids of {len(ids)} clients differ in fewer than {WIDE} bits.",
                class_=M,
            )


def _varying(ids: tuple[str, ...], more: str = "") -> list[str]:
    """What is left of each without the beginning and the end that all share.

    ``more``: characters that stay although they are shared, where they stand beside what differs.
    """
    start, end = _shared(ids), 0
    while start and ids[0][start - 1] in more:
        start -= 1
    end = _shared([one[start:][::-1] for one in ids])
    while end and ids[0][-end] in more:
        end -= 1
    return [one[start : len(one) - end] for one in ids]


def _shared(texts: Sequence[str]) -> int:
    """How many characters all of them begin with."""
    columns = zip(*texts, strict=False)  # as long as the shortest
    return sum(1 for _ in itertools.takewhile(lambda one: len(set(one)) == 1, columns))


def _counts(ids: tuple[str, ...]) -> bool:
    """Each is a little larger than the one before, as decimal or as hexadecimal numbers."""
    for base, digits in ((10, string.digits), (16, string.hexdigits)):
        varying = _varying(ids, digits)
        if not all(one and set(one) <= set(digits) for one in varying):
            continue
        numbers = [int(one, base) for one in varying]
        steps = [after - before for before, after in itertools.pairwise(numbers)]
        room = base ** max(len(one) for one in varying)
        little = max(LITTLE, min(NEAR, room // MUCH))
        if all(0 < step <= little for step in steps):
            return True
    return False


def _bits(varying: list[str]) -> int:
    used = set("".join(varying))
    for letters in (string.digits, string.hexdigits.lower(), string.ascii_lowercase):
        if used <= set(letters) | {"-"}:
            size = len(set(letters))
            break
    else:
        size = 64
    length = min(len(one.replace("-", "")) for one in varying)
    return int(length * math.log2(size))


@rule(
    RuleInfo(
        id="http-session-shared",
        title="Two clients are given one session",
        class_=H,
        evidence=Evidence.E3,
        what="Clients that know nothing of one another get the same session id, and with it each "
        "other's event stream, state and subscriptions.",
        proof="The ids that the server gave to five clients.",
        quiet_when="All ids differ; there are none.",
        fix="Make a session, and a transport of the SDK, for every `initialize`.",
        cwe=(488,),
    )
)
def session_shared(context: Context) -> Iterator[Hit]:
    """An id that comes twice."""
    for checks in facts.each(context):
        ids = checks.sessions
        again = sorted({one for one in ids if ids.count(one) > 1})
        if again:
            yield facts.hit(
                context,
                checks,
                "same id",
                f"Of {len(ids)} clients, {ids.count(again[0])} were given the same session.",
            )


@rule(
    RuleInfo(
        id="http-clients-mixed",
        title="One client receives what is another's",
        class_=H,
        evidence=Evidence.E3,
        what="Two clients asked at once, under one id; or one asked while the other's event "
        "stream was open. An answer, or what named the first one's request, came to the second.",
        proof="What the second client received.",
        quiet_when="Notifications for everybody that name nobody's request; each client gets its "
        "own.",
        fix="Share neither transport nor server object between clients.",
        cwe=(488, 362),
    )
)
def clients_mixed(context: Context) -> Iterator[Hit]:
    """Messages that went astray."""
    for checks in facts.each(context):
        for what in checks.crossed:
            yield facts.hit(context, checks, what, what)


@rule(
    RuleInfo(
        id="http-session-fixation",
        title="The client chooses its session's id",
        class_=M,
        evidence=Evidence.E3,
        what="An opening request that brings a session id of its own is answered with that very "
        "id. Who makes a victim's client begin with a known id shares its session.",
        proof="The id in the answer.",
        quiet_when="The request is refused, or another id is given.",
        fix="Make the id on the server, and refuse those that it did not make with 404.",
        cwe=(384,),
    )
)
def session_fixation(context: Context) -> Iterator[Hit]:
    """An id of ours that is given back."""
    for checks in facts.each(context):
        chosen = facts.answer(checks, Q.CHOSEN_SESSION)
        if chosen.result:
            yield facts.hit(
                context,
                checks,
                "chosen",
                "The server took the session id that the client had made up.",
                chosen,
            )


@rule(
    RuleInfo(
        id="http-session-unchecked",
        title="A session that the server never gave is good enough",
        class_=M,
        evidence=Evidence.E3,
        what="The server gives session ids, but lists its tools, or opens an event stream, under "
        "one that nobody was given. A note when it answers without any session: then the id "
        "means nothing, and nothing should rest on it.",
        proof="The answer to that request.",
        quiet_when="It is refused with 400 or 404; the server gives no ids.",
        fix="Answer 404 to a session that is not known, and 400 to a request without one.",
        cwe=(639, 287),
    )
)
def session_unchecked(context: Context) -> Iterator[Hit]:
    """Ids that are not looked up."""
    for checks in facts.each(context):
        if not checks.sessions or not facts.answer(checks, Q.SESSION).result:
            continue
        unknown = facts.answer(checks, Q.UNKNOWN_SESSION)
        stream = facts.answer(checks, Q.UNKNOWN_STREAM)
        without = facts.answer(checks, Q.NO_SESSION)
        if unknown.result:
            said = "A request in a session that nobody was given was answered."
            yield facts.hit(context, checks, "unknown", said, unknown)
        elif facts.streamed(stream):
            said = "The event stream of a session that nobody was given was opened."
            yield facts.hit(context, checks, "stream", said, stream)
        elif without.result:
            said = "A request without a session was answered, though sessions are given."
            yield facts.hit(context, checks, "without", said, without, class_=N)


@rule(
    RuleInfo(
        id="http-session-survives",
        title="A session that was ended goes on",
        class_=M,
        evidence=Evidence.E3,
        what="`DELETE` of the session succeeded, and the session is answered as before. Who got "
        "hold of its id keeps it.",
        proof="The answer after the end.",
        quiet_when="`DELETE` is not supported (405); the session is gone (404).",
        fix="Forget the session, and answer 404 to it.",
        cwe=(613,),
    )
)
def session_survives(context: Context) -> Iterator[Hit]:
    """Answers in a session that was ended."""
    for checks in facts.each(context):
        end, after = facts.answer(checks, Q.END), facts.answer(checks, Q.ENDED_SESSION)
        if facts.succeeded(end) and after.result:
            yield facts.hit(
                context,
                checks,
                "survives",
                f"`DELETE` was answered with status {end.status}, and the session still works.",
                after,
                end,
            )
