"""Tools that are new, gone or renamed, and what they take, return and promise."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import Evidence, ItemKind, RiskClass, RuleInfo
from mcp_sandbox.model.locked import Change, Direction, Effect, Part
from mcp_sandbox.rules.context import Compared
from mcp_sandbox.rules.drifted import code, hit, named
from mcp_sandbox.rules.registry import Hit, drift_rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
TOOLS = f"{ItemKind.TOOLS.value}/"


def of(context: Compared, kind: str, *parts: Part) -> Iterator[Change]:
    """The changes of some parts of what is listed in one list."""
    for change in context.drift.changes:
        if change.part in parts and change.subject.startswith(kind):
            yield change


# --- whole tools ----------------------------------------------------------------------------------


@drift_rule(
    RuleInfo(
        id="tool-added",
        title="A tool is new",
        class_=M,
        evidence=Evidence.E3,
        what="The server lists a tool that the baseline does not have, and none of the "
        "baseline's is gone that is like it. What it says and does is judged by the other rules.",
        proof="The listing.",
        quiet_when="It is another name of a tool of the baseline.",
        fix="Review the tool, then bring the lock file up to date.",
    )
)
def tool_added(context: Compared) -> Iterator[Hit]:
    """Tools that are gained."""
    for change in of(context, TOOLS, Part.ITEM):
        if change.direction is Direction.GAINED:
            yield hit(
                context, change, f"The tool {named(change.subject)} is new: is it to be offered?"
            )


@drift_rule(
    RuleInfo(
        id="tool-removed",
        title="A tool is gone",
        class_=N,
        evidence=Evidence.E3,
        what="A tool of the baseline is no longer listed.",
        proof="The listing.",
        quiet_when="It has another name now.",
        fix="Bring the lock file up to date.",
    )
)
def tool_removed(context: Compared) -> Iterator[Hit]:
    """Tools that are lost."""
    for change in of(context, TOOLS, Part.ITEM):
        if change.direction is Direction.LOST:
            yield hit(context, change, f"The tool {named(change.subject)} is gone.")


@drift_rule(
    RuleInfo(
        id="tool-renamed",
        title="A tool has another name",
        class_=H,
        evidence=Evidence.E3,
        what="A tool of the baseline is listed under another name: a note when nothing else of it "
        "changed, otherwise medium. High when the name is that of another tool of the baseline: "
        "what somebody allowed by that name is something else now.",
        proof="Both names; the likeness of texts and schema.",
        quiet_when="Nothing of the baseline that is gone is like it: then it is a new tool.",
        fix="Bring the lock file up to date; do not give one tool the name of another.",
        cwe=(451,),
    )
)
def tool_renamed(context: Compared) -> Iterator[Hit]:
    """Names that changed hands."""
    old = context.drift.baseline.lock
    names = {item.subject for item in old.items} if old else set()
    others = {
        change.subject
        for change in context.drift.changes
        if change.part is not Part.ITEM and change.direction is not Direction.LOST
    }
    for change in of(context, TOOLS, Part.ITEM):
        if change.direction is not Direction.RENAMED:
            continue
        before, after = code(change.before), code(change.after)
        if change.subject in names:
            message = f"The name {after} now stands for what {before} was: intended?"
            yield hit(context, change, message)
        else:
            message = f"The tool {before} is now called {after}: is it the same one?"
            yield hit(context, change, message, class_=M if change.subject in others else N)


# --- schemas and annotations ----------------------------------------------------------------------


@drift_rule(
    RuleInfo(
        id="tool-schema-widened",
        title="A tool takes or returns more than before",
        class_=M,
        evidence=Evidence.E3,
        what="A parameter is new, optional or required, or a type, an enum, a bound or a pattern "
        "lets more pass than before. A change that cannot be decided (another pattern, another "
        "default, a union that cannot be compared) counts as well.",
        proof="The keyword with both values; its place is the JSON pointer.",
        quiet_when="The two schemas let the same pass, however they are written.",
        fix="Review what the tool does with it, then bring the lock file up to date.",
        cwe=(20,),
    )
)
def tool_schema_widened(context: Compared) -> Iterator[Hit]:
    """Schemas that are wider, or cannot be compared; new required parameters."""
    for change in of(context, TOOLS, Part.SCHEMA):
        if counts(change):
            yield hit(context, change, schema(change))


@drift_rule(
    RuleInfo(
        id="tool-schema-narrowed",
        title="A tool takes or returns less than before",
        class_=N,
        evidence=Evidence.E3,
        what="A parameter is gone, or less is let pass than before.",
        proof="The keyword with both values; its place is the JSON pointer.",
        quiet_when="The two schemas let the same pass.",
        fix="Tell the callers, and bring the lock file up to date.",
    )
)
def tool_schema_narrowed(context: Compared) -> Iterator[Hit]:
    """Schemas that are narrower."""
    for change in of(context, TOOLS, Part.SCHEMA):
        if change.effect is Effect.NARROWER and not counts(change):
            yield hit(context, change, schema(change))


def counts(change: Change) -> bool:
    """A regression: what is decided to be harmless is none."""
    required = change.effect is Effect.NARROWER and change.direction is Direction.GAINED
    return required or change.effect in {Effect.WIDER, Effect.OTHER}


_PROPERTIES = frozenset({"properties", "patternProperties"})


def schema(change: Change) -> str:
    """The reviewer's question on a schema, or on a prompt's arguments."""
    parts = [one.replace("~1", "/").replace("~0", "~") for one in change.pointer.split("/")[1:]]
    who = named(change.subject)
    output = parts[:1] == ["outputSchema"]
    noun = "field" if output else "parameter"
    last = parts[-1] if parts else ""
    is_name = len(parts) > 1 and (parts[-2] in _PROPERTIES or parts[-2:-1] == ["arguments"])
    if is_name and change.direction is Direction.GAINED:
        kind = "required" if change.effect is Effect.NARROWER else "optional"
        return f"{who} has a new {kind} {noun} {code(last)}: intended?"
    if is_name and change.direction is Direction.LOST:
        return f"{who} no longer has the {noun} {code(last)}: do its callers know?"
    places = [at for at, one in enumerate(parts[:-1]) if one in _PROPERTIES]
    of = f" for the {noun} {code(parts[places[-1] + 1])}" if places else ""
    if last == "required":
        value = code(change.after or change.before)
        is_now = "is now required" if change.effect is Effect.NARROWER else "is no longer required"
        return f"The {noun} {value} of {who} {is_now}: do its callers know?"
    verb = "returns" if output else "takes"
    amount = {Effect.WIDER: "more", Effect.NARROWER: "less"}.get(change.effect, "something else")
    return (
        f"{who} {verb} {amount} than before{of} ({last or 'schema'}: {values(change)}): intended?"
    )


def values(change: Change) -> str:
    """Both values, for a sentence."""
    before = f"“{quote(change.before, 120)}”" if change.before else "none"
    after = f"“{quote(change.after, 120)}”" if change.after else "none"
    if change.direction is Direction.GAINED:
        return f"new {after}"
    if change.direction is Direction.LOST:
        return f"no longer {before}"
    return f"{before} became {after}"


@drift_rule(
    RuleInfo(
        id="annotation-weakened",
        title="A tool promises less than before",
        class_=H,
        evidence=Evidence.E3,
        what="A hint that promised something is gone or says the contrary: `readOnlyHint` or "
        "`idempotentHint` was true, `destructiveHint` or `openWorldHint` was false. Medium for an "
        "annotation that nobody can judge.",
        proof="The hint with both values; one that is missing means what the protocol says.",
        quiet_when="A hint is written down that meant the same without, or promises more.",
        fix="Say why the tool may now do what it promised not to do.",
        cwe=(451,),
    )
)
def annotation_weakened(context: Compared) -> Iterator[Hit]:
    """Promises that are lost."""
    for change in of(context, TOOLS, Part.ANNOTATION):
        if change.effect not in {Effect.WEAKER, Effect.OTHER}:
            continue
        name = change.pointer.rpartition("/")[2]
        weaker = change.effect is Effect.WEAKER
        message = (
            f"{named(change.subject)} no longer promises `{name}: {quote(change.before, 40)}`"
            if weaker and change.before
            else f"{named(change.subject)} has another annotation {code(name)} ({values(change)})"
        )
        yield hit(context, change, f"{message}: intended?", class_=None if weaker else M)
