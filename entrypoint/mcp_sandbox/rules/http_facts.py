"""What rules on HTTP ask of the answers, and how they word a hit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import (
    Act,
    Confidence,
    HttpChecks,
    RiskClass,
    Session,
    SinkKind,
    Transport,
)
from mcp_sandbox.model.http import HttpAnswer, HttpQuestion
from mcp_sandbox.rules.annotations import changes, is_byproduct
from mcp_sandbox.rules.context import VALID, Context
from mcp_sandbox.rules.registry import Hit
from mcp_sandbox.rules.surfaces import quote

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - what is looked for
_CHANGES = re.compile(r"(?:POST|PUT|PATCH|DELETE) ")


def answer(checks: HttpChecks, question: HttpQuestion) -> HttpAnswer:
    """What became of a question; an empty answer where it was not asked."""
    found = (one for one in checks.answers if one.question is question)
    return next(found, HttpAnswer(question, ""))


def succeeded(one: HttpAnswer) -> bool:
    """Its status is one of success."""
    return 200 <= one.status < 300  # noqa: PLR2004


def streamed(one: HttpAnswer) -> bool:
    """It is an event stream."""
    return one.status == 200 and one.header("content-type").startswith("text/event-stream")  # noqa: PLR2004


def hit(
    context: Context,
    checks: HttpChecks,
    fact: str,
    message: str,
    *shown: HttpAnswer,
    class_: RiskClass | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Hit:
    """A hit of the server as a whole, shown by answers."""
    asked = f" Asked: “{quote(shown[0].request, 200)}”." if shown else ""
    return Hit(
        subject="server",
        fact=fact,
        message=message + asked,
        class_=class_,
        confidence=confidence,
        session=_held_over(context, checks),
        lines=tuple(f"{checks.evidence}.jsonl:{one.line}" for one in shown if one.line)
        if checks.evidence
        else (),
        settled=True,
    )


def _held_over(context: Context, checks: HttpChecks) -> Session | None:
    """The conversation at that place, whose container is started in the same way."""
    for session in context.sessions:
        http = session.transcript.http
        if http is not None and http.place == checks.place:
            return session
    return None


def everywhere(checks: HttpChecks) -> tuple[str, ...]:
    """Listeners on every address of the machine."""
    return tuple(one for one in checks.listeners if one.rpartition(":")[0].strip("[]") in WILDCARDS)


def reached_everywhere(checks: HttpChecks) -> bool:
    """MCP itself is spoken on every address."""
    port = f":{checks.place.port}"
    return any(one.endswith(port) for one in everywhere(checks))


def older(checks: HttpChecks) -> bool:
    """The transport of 2024-11-05."""
    return checks.place.transport is Transport.SSE


# --- tools that change something ------------------------------------------------------------------


def seen_changing(context: Context) -> tuple[str, ...]:
    """Tools whose ordinary calls changed files, or sent a request that changes something."""
    found = {
        did.subject
        for did in context.did
        if did.made is not None
        and did.made.call.family == VALID
        and (
            (changes(did.event) and not is_byproduct(did.event.object))
            or (did.event.act is Act.UNLINK and did.event.result == "ok")
        )
    }
    found |= {
        one.subject
        for one in context.arrived
        if one.made is not None
        and one.made.call.family == VALID
        and one.event.kind is SinkKind.HTTP
        and _CHANGES.match(one.event.text)
    }
    return tuple(sorted(one for one in found if one.startswith("tools/")))


def said_changing(context: Context) -> tuple[str, ...]:
    """Tools that say themselves that they are not read-only."""
    return tuple(sorted(subject for subject in context.items if _says(context, subject)))


def _says(context: Context, subject: str) -> bool:
    said = context.items[subject].get("annotations")
    if not subject.startswith("tools/") or not isinstance(said, dict):
        return False
    return said.get("readOnlyHint") is False or said.get("destructiveHint") is True


def each(context: Context) -> Iterator[HttpChecks]:
    """Every place that was asked."""
    yield from context.observations.http
