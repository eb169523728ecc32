"""What is said in other words: by tools, by the server, by prompts and resources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcp_sandbox.model import Evidence, ItemKind, RiskClass, RuleInfo
from mcp_sandbox.model.locked import SERVER, Change, Direction, Effect, Part
from mcp_sandbox.rules import gained
from mcp_sandbox.rules.context import Compared
from mcp_sandbox.rules.drift_tools import TOOLS, counts, of, schema, values
from mcp_sandbox.rules.drifted import code, hit, named
from mcp_sandbox.rules.gained import Gain
from mcp_sandbox.rules.registry import Hit, drift_rule, severity
from mcp_sandbox.rules.surfaces import quote

C, M, N = RiskClass.CRITICAL, RiskClass.MEDIUM, RiskClass.NOTE
PROMPTS = f"{ItemKind.PROMPTS.value}/"
_TEXTS = frozenset({Part.TITLE, Part.DESCRIPTION, Part.META})
MAX_SHOWN = 3


def _gains(context: Compared, subject: str) -> tuple[Gain, ...]:
    """What the rules on texts say of the new words of a subject."""
    lock, taken = context.drift.baseline.lock, context.drift.taken.lock
    if lock is None:
        return ()
    if subject == SERVER:
        return context.kept("gained server", lambda: gained.of_server(context, lock, taken))
    old = context.kept("old items", lambda: gained.by_subject(lock.items))
    new = context.kept("new items", lambda: gained.by_subject(taken.items))
    was = context.kept("old names", lambda: _old_names(context)).get(subject, subject)
    return context.kept(
        f"gained {subject}",
        lambda: gained.of_item(context, old.get(was), new[subject]) if subject in new else (),
    )


def _old_names(context: Compared) -> dict[str, str]:
    return {
        change.subject: f"{change.subject.partition('/')[0]}/{change.before}"
        for change in context.drift.changes
        if change.part is Part.ITEM and change.direction is Direction.RENAMED
    }


def _worded(context: Compared, change: Change, what: str) -> Hit:
    """A hit whose class is that of the worst of its new words."""
    gains = _gains(context, change.subject)
    if change.part is not Part.ITEM:
        # A prompt's arguments are known by name here, and by number where they are listed.
        listed = change.pointer.startswith("/arguments/")
        gains = gained.worst_at(gains, "/arguments" if listed else change.pointer)
    worst = min((one.class_ for one in gains), key=severity, default=N)
    said = " ".join(one.message for one in gains[:MAX_SHOWN] if one.class_ is worst)
    return hit(
        context,
        change,
        f"{what}{' ' + said if said else ''}",
        class_=worst,
        evidence=Evidence.E5 if worst is not N else None,
    )


def _words(change: Change) -> str:
    """The question on a text that is another, with the words that are new."""
    who = named(change.subject)
    place = f" at {quote(change.pointer, 120)}" if change.part is not Part.DESCRIPTION else ""
    if change.direction is Direction.LOST:
        return f"{who} no longer says{place}: “{quote(change.before, 200)}”."
    verb = "now says" if change.direction is Direction.GAINED else "is described in other words"
    new = gained.words(change.before, change.after)
    return f"{who} {verb}{place}: “{quote(new, 300)}”: intended?"


def _is_text(change: Change) -> bool:
    if change.part in _TEXTS:
        return True
    kept = change.part is Part.ANNOTATION and change.effect in {Effect.STRONGER, Effect.WORDS}
    return kept or (change.part is Part.SCHEMA and change.effect is Effect.WORDS)


@drift_rule(
    RuleInfo(
        id="tool-description-changed",
        title="A tool is described in other words",
        class_=C,
        evidence=Evidence.E3,
        what="A text of a tool differs: title, description, a text or value inside a schema, an "
        "annotation's title, `_meta` or another member. The class is the one that the rules on "
        "texts give to what is new, and a note where they say nothing.",
        proof="The sentences that are new, and what is said of them, in the message.",
        quiet_when="Nothing changed; what was there before is not judged again.",
        fix="Review the words as what they are: text that a model obeys.",
        cwe=(1427, 494),
    )
)
def tool_description_changed(context: Compared) -> Iterator[Hit]:
    """Texts of tools."""
    told: set[tuple[str, str]] = set()
    rest: dict[str, Change] = {}
    for change in of(context, TOOLS, *_TEXTS, Part.ANNOTATION, Part.SCHEMA):
        if _is_text(change):
            told.update((change.subject, one.message) for one in _at(context, change))
            yield _worded(context, change, _words(change))
        elif change.direction is not Direction.LOST:
            rest.setdefault(f"{change.subject}#{change.pointer}", change)
    # Words inside a new parameter, a new value of an enum, or behind a reference.
    for change in rest.values():
        new = [one for one in _at(context, change) if (change.subject, one.message) not in told]
        if any(one.class_ is not N for one in new):
            told.update((change.subject, one.message) for one in new)
            yield _worded(context, change, f"{named(change.subject)} has new words.")
    yield from _unplaced(context, told)


def _at(context: Compared, change: Change) -> tuple[Gain, ...]:
    return gained.worst_at(_gains(context, change.subject), change.pointer)


def _unplaced(context: Compared, told: set[tuple[str, str]]) -> Iterator[Hit]:
    """What the rules say of a tool's new words and no change's place holds: nothing is dropped."""
    first: dict[str, Change] = {}
    whole: set[str] = set()
    for change in of(context, TOOLS, *Part):
        if change.part is Part.ITEM and change.direction is not Direction.RENAMED:
            whole.add(change.subject)
        elif change.part in {*_TEXTS, Part.SCHEMA, Part.ANNOTATION, Part.ITEM}:
            first.setdefault(change.subject, change)
    for subject, change in first.items():
        for one in _gains(context, subject):
            if subject in whole or one.class_ is N or (subject, one.message) in told:
                continue
            base = hit(context, change, f"{named(subject)} has new words. {one.message}")
            yield replace(
                base,
                pointer=one.pointer,
                fact=one.message,
                class_=one.class_,
                evidence=Evidence.E5,
            )


@drift_rule(
    RuleInfo(
        id="instructions-changed",
        title="The server gives other instructions",
        class_=C,
        evidence=Evidence.E3,
        what="The instructions that go into a model's context when the server is connected differ. "
        "The class is the one that the rules on texts give to what is new, and a note where they "
        "say nothing.",
        proof="The sentences that are new, and what is said of them, in the message.",
        quiet_when="Nothing changed.",
        fix="Review the words as what they are: text that a model obeys.",
        cwe=(1427, 494),
    )
)
def instructions_changed(context: Compared) -> Iterator[Hit]:
    """The server's own instructions."""
    for change in context.drift.changes:
        if change.part is not Part.INSTRUCTIONS:
            continue
        if change.direction is Direction.LOST:
            what = f"The server no longer gives instructions: “{quote(change.before, 200)}”."
        else:
            new = gained.words(change.before, change.after)
            what = f"The server gives other instructions: “{quote(new, 300)}”: intended?"
        yield _worded(context, change, what)


@drift_rule(
    RuleInfo(
        id="server-changed",
        title="The server says other things of itself",
        class_=C,
        evidence=Evidence.E3,
        what="Name, version, title or another member of `serverInfo`, or a capability, differs. "
        "The class is the one that the rules on texts give to what is new, and a note where they "
        "say nothing.",
        proof="Both values, in the message.",
        quiet_when="Nothing changed.",
        fix="Bring the lock file up to date.",
    )
)
def server_changed(context: Compared) -> Iterator[Hit]:
    """``serverInfo`` and capabilities."""
    for change in context.drift.changes:
        if change.part in {Part.SERVER, Part.CAPABILITY}:
            what = f"The server's {quote(change.pointer[1:], 80)}: {values(change)}."
            yield _worded(context, change, what)


# --- prompts and resources ------------------------------------------------------------------------


def _other(context: Compared, change: Change) -> Hit:
    """A hit on an item that is no tool."""
    who = named(change.subject)
    if change.part is Part.ITEM:
        if change.direction is Direction.RENAMED:
            kind = who.partition("`")[0]
            what = f"{kind}{code(change.before)} is now called {code(change.after)}."
        else:
            gone = change.direction is Direction.LOST
            what = f"{who} is gone." if gone else f"{who} is new: is it to be offered?"
        return _worded(context, change, what)
    if change.part is Part.SCHEMA and change.effect is not Effect.WORDS:
        one = _worded(context, change, schema(change))
        if counts(change) and one.class_ is N:
            return replace(one, class_=M)
        return one
    return _worded(context, change, _words(change))


_ALL = (Part.ITEM, *sorted(_TEXTS), Part.SCHEMA, Part.ANNOTATION)


@drift_rule(
    RuleInfo(
        id="prompt-changed",
        title="A prompt is new, gone, or reads differently",
        class_=C,
        evidence=Evidence.E3,
        what="A prompt of the listing differs from the baseline's. The class is the one that the "
        "rules on texts give to what is new; medium for a new argument; else a note.",
        proof="The words or the argument, in the message.",
        quiet_when="Nothing changed.",
        fix="Review the words, then bring the lock file up to date.",
        cwe=(1427, 494),
    )
)
def prompt_changed(context: Compared) -> Iterator[Hit]:
    """Prompts."""
    for change in of(context, PROMPTS, *_ALL):
        yield _other(context, change)


@drift_rule(
    RuleInfo(
        id="resource-changed",
        title="A resource is new, gone, or reads differently",
        class_=C,
        evidence=Evidence.E3,
        what="A resource or a resource template of the listing differs from the baseline's. The "
        "class is the one that the rules on texts give to what is new, and a note where they say "
        "nothing.",
        proof="The words, in the message.",
        quiet_when="Nothing changed.",
        fix="Review the words, then bring the lock file up to date.",
        cwe=(1427, 494),
    )
)
def resource_changed(context: Compared) -> Iterator[Hit]:
    """Resources and templates."""
    for change in context.drift.changes:
        kind = gained.kind_of(change.subject)
        if change.part in _ALL and kind in {ItemKind.RESOURCES, ItemKind.TEMPLATES}:
            yield _other(context, change)
