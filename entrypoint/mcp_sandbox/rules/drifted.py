"""What the rules on changes share: how a change is said, where it stands, what shows it."""

from __future__ import annotations

import json
from dataclasses import replace

from mcp_sandbox.model import Confidence, Deed, Evidence, Location, RiskClass
from mcp_sandbox.model.locked import (
    BEHAVIOURS,
    IDLE,
    START,
    Change,
    Direction,
    Part,
)
from mcp_sandbox.rules.context import Compared
from mcp_sandbox.rules.gained import kind_of
from mcp_sandbox.rules.registry import Hit
from mcp_sandbox.rules.surfaces import quote

LOCKED = frozenset({Part.ITEM, *map(Part, BEHAVIOURS)})
"""What a lock file lists entry by entry."""
VERBS: dict[Part, str] = {
    Part.ENDPOINT: "connects to",
    Part.PROGRAM: "runs",
    Part.WRITE: "writes",
    Part.READ: "reads",
}
_KINDS = {
    "prompts": "The prompt ",
    "resources": "The resource ",
    "resourceTemplates": "The resource template ",
}


def code(name: str, length: int = 120) -> str:
    """A stranger's name inside a sentence."""
    return f"`{quote(name, length)}`"


def named(subject: str) -> str:
    """A subject as the beginning of a sentence."""
    kind, slash, name = subject.partition("/")
    if slash and kind_of(subject):
        return f"{_KINDS.get(kind, '')}{code(name)}"
    return "The image" if subject == "image" else "The server"


def when(subject: str) -> str:
    """Where something is done, where that is no call."""
    return {START: " at start-up", IDLE: " while nothing is asked of it"}.get(subject, "")


def verb(part: Part, value: str) -> str:
    """What is done with an object."""
    if part is Part.ENDPOINT and ":" not in value and "<" not in value:
        return "looks up"
    return VERBS[part]


def told(change: Change) -> str:
    """A change in a few words: the entry of the lock file that it is of."""
    value = change.after or change.before
    if change.part in VERBS:
        done = f"{verb(change.part, value)} {code(value, 200)}{when(change.subject)}"
        return f"{named(change.subject)} {done}"
    what = change.part.value
    if change.part is Part.ITEM:
        return f"{named(change.subject)} ({what})"
    place = f" at {quote(change.pointer, 160)}" if change.pointer else ""
    return f"{named(change.subject)}, {what}{place}: “{quote(value, 160)}”"


def lock_line(context: Compared, subject: str, *, whole: bool = False) -> Location | None:
    """The subject's line in the lock file of the checkout; its first one for the whole file."""
    baseline = context.drift.baseline
    line = baseline.lines.get(subject, 1 if whole and baseline.lines else 0)
    return Location(baseline.path, line, "lock file") if baseline.path and line else None


def where(context: Compared, change: Change) -> Location | None:
    """The line that changed, else the one that defines the subject, else the lock file's."""
    known = context.drift.place(change)
    definitions = context.observations.definitions
    if known is None and change.subject in definitions:
        return definitions[change.subject]
    return known or lock_line(context, change.subject)


def hit(
    context: Compared,
    change: Change,
    message: str,
    *,
    class_: RiskClass | None = None,
    confidence: Confidence = Confidence.HIGH,
    evidence: Evidence | None = None,
    location: Location | None = None,
) -> Hit:
    """A hit for a change. Equal changes are equal facts, whatever runs they were seen in."""
    value = change.after if change.direction is not Direction.LOST else change.before
    fact = json.dumps([change.part.value, change.direction.value, change.before, value])
    if change.part not in LOCKED and change.direction is Direction.CHANGED:
        fact = json.dumps([change.part.value, change.direction.value, change.effect.value, value])
    one = Hit(
        subject=change.subject,
        fact=fact,
        message=message,
        pointer=change.pointer,
        class_=class_,
        confidence=confidence,
        evidence=evidence,
        lists=kind_of(change.subject),
        location=location or where(context, change),
        settled=True,
    )
    return _shown(context, change, one)


def _shown(context: Compared, change: Change, one: Hit) -> Hit:
    """With what shows it: the call for what was done, the listing for what is listed."""
    if change.part in VERBS and change.direction is Direction.GAINED:
        deed = Deed(change.subject, change.part.value, change.after)
        seen = context.drift.taken.seen.get((change.subject, change.part.value, change.after))
        if seen is None:
            return replace(one, about=(deed,), lists=None)
        return replace(
            one,
            about=(deed,),
            lists=None,
            session=seen.session,
            calls=() if seen.call is None else (seen.call,),
            kernel=seen.kernel,
            sink=seen.sink,
        )
    sessions = context.sessions
    if change.direction is Direction.LOST or not one.lists or not sessions:
        return one
    return replace(one, session=sessions[0])
