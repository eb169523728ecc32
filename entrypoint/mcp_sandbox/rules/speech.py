"""What replies say to the model: orders, our own text, the server's insides."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import CallStatus, Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.rules.capability import value_at
from mcp_sandbox.rules.context import ANSWERED, FAILED, VALID, Context, Made
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import is_ours, remainder, said, sent
from mcp_sandbox.rules.secrets import secrets_in
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.wording import Order, judge

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


def _hit(
    made: Made,
    fact: str,
    message: str,
    class_: RiskClass | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Hit:
    return Hit(
        subject=made.subject,
        pointer=made.call.parameter,
        fact=fact,
        message=message,
        class_=class_,
        confidence=confidence,
        session=made.session,
        calls=(made.call,),
    )


@rule(
    RuleInfo(
        id="output-poisoning",
        title="A reply gives the model orders",
        class_=H,
        evidence=Evidence.E5,
        what="A reply holds orders to the model that the request did not hold. The reply goes into "
        "the model's context with the server's authority.",
        proof="The words themselves, after everything that we sent was taken out.",
        quiet_when="The words came from the request, in whatever form they were repeated, or from "
        "another one of ours that the server had kept; or the reply only talks about attacks.",
        fix="Return data as data; address no sentence of a reply to the model.",
        cwe=(1427, 74),
    )
)
def output_poisoning(context: Context) -> Iterator[Hit]:
    """Orders in the server's own words."""
    for made in context.made:
        if made.call.status not in ANSWERED:
            continue
        orders = _orders(context.own(made), sent(made.call))
        if orders and (stored := _stored(made)):
            orders = _orders(remainder(context.own(made), stored), (*sent(made.call), *stored))
        if orders:
            words = "; ".join(f"“{quote(order.quote, 160)}”" for order in orders[:3])
            what = ", ".join(dict.fromkeys(order.signal.value for order in orders))
            hit = _hit(
                made,
                " ".join(sorted({order.signal.name for order in orders})),
                f"The reply gives the model orders ({what}): {words}.",
                confidence=Confidence.HIGH if len(orders) > 1 else Confidence.MEDIUM,
            )
            # One finding a tool: it is the reply that speaks, whichever input it answers.
            yield Hit(**{**vars(hit), "pointer": ""})


def _orders(text: str, ours: tuple[str, ...]) -> list[Order]:
    return [one for one in judge(text) if not one.described and not is_ours(one.quote, ours)]


def _stored(made: Made) -> tuple[str, ...]:
    """What other calls had sent, where it stands in this reply: our text, which was kept.

    Its beginning is enough, because a reply is kept up to a bound only.
    """
    reply = said(made.call)
    return tuple(
        text
        for other in made.session.transcript.calls
        if other is not made.call
        for text in sent(other)
        if len(text) >= _SHORTEST_PROMPT and text[:_TELLING] in reply
    )


_TELLING = 40
"""Characters of a text of ours that nobody else writes by chance."""


@rule(
    RuleInfo(
        id="reflected-prompt",
        title="A reply repeats our prompt injection",
        class_=N,
        evidence=Evidence.E5,
        what="Text that tries to give orders comes back unchanged in a successful reply. Whatever "
        "hostile text reaches this tool reaches the model.",
        proof="The injected text in the reply, word for word.",
        quiet_when="The text is refused, or stands in an error message.",
        fix="Nothing, if returning the text is the tool's job; otherwise leave it out.",
        cwe=(1427,),
    )
)
def reflected_prompt(context: Context) -> Iterator[Hit]:
    """The injected text in a result."""
    for made in context.family("prompt-injection"):
        value = value_at(made.call.arguments, made.call.parameter)
        if (
            made.call.status is CallStatus.RESULT
            and isinstance(value, str)
            and len(value) >= _SHORTEST_PROMPT
            and value in said(made.call)
        ):
            yield _hit(made, "reflected", "The reply repeats the injected text word for word.")


_SHORTEST_PROMPT = 16


@rule(
    RuleInfo(
        id="information-leak",
        title="An error shows the server's insides",
        class_=M,
        evidence=Evidence.E5,
        what="An error that goes to the model holds a stack trace or a string that verifies as a "
        "key. A source file's absolute path alone is a note.",
        proof="The trace or path, quoted; it stands in the reply and not in the request.",
        quiet_when="The error names the tool and the reason only (“Error executing tool x: …”), "
        "repeats what was sent, or names a data file; ordinary calls return such text too, as a "
        "tool for logs or code does.",
        fix="Catch errors at the tool's edge and answer with one sentence of your own; log the "
        "rest.",
        cwe=(209, 497),
    )
)
def information_leak(context: Context) -> Iterator[Hit]:
    """Stack traces, source paths, keys in errors."""
    ordinary: dict[str, str] = {}
    for made in context.made:
        if made.call.status not in ANSWERED:
            continue
        failed = made.call.status in FAILED
        if made.subject not in ordinary:
            ordinary[made.subject] = "\n".join(
                said(valid.call)
                for valid in context.valid(made.subject)
                if valid.call.status is CallStatus.RESULT
            )
        text = context.own(made)
        if match := _TRACE.search(text):
            if failed or (made.call.family != VALID and not _TRACE.search(ordinary[made.subject])):
                yield _hit(
                    made, "trace", f"The error holds a stack trace: “{quote(match[0], 160)}”."
                )
            continue
        if not failed:
            continue
        match = _SOURCE.search(text)
        if match and match[0] not in ordinary[made.subject]:
            yield _hit(
                made,
                "source",
                f"The error names a source file of the server: “{quote(match[0], 160)}”.",
                N,
                Confidence.MEDIUM,
            )
        for what, shown in secrets_in(text):
            yield _hit(made, f"secret {what}", f"The error holds {what} ({shown}).")


_TRACE = re.compile(
    r"Traceback \(most recent call last\)"
    r"|File \"[^\"\n]{1,200}\", line [0-9]+, in [^\n]{1,80}"
    r"|\bat (?:async )?[\w.$<>\[\] ]{0,80} ?\(?(?:file://|node:)?/?[^\s()]{1,160}\.[cm]?[jt]s"
    r":[0-9]+:[0-9]+"
    r"|\bat [\w.$]{3,120}\([\w$]{1,60}\.(?:java|kt|scala):[0-9]+\)"
    r"|goroutine [0-9]+ \[running\]|thread '[^'\n]{1,60}' panicked at"
)
_SOURCE = re.compile(
    r"(?<![\w:/.])/(?:[\w.@-]{1,80}/){1,12}[\w.@-]{1,80}\.(?:py|[cm]?js|ts|go|rb|php|java|rs)\b"
    r"(?::[0-9]+)?"
)
