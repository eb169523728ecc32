"""What a reviewer has to ask himself about a change, in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_sandbox.model import ItemKind
from mcp_sandbox.model.locked import (
    ARGUMENT,
    IDLE,
    IMAGE,
    START,
    Change,
    Direction,
    Effect,
    Part,
)

MAX_NAME = 200
"""Characters shown of a name, a host or a path inside a question."""

_KINDS = {
    ItemKind.TOOLS.value: "{}",
    ItemKind.PROMPTS.value: "the prompt {}",
    ItemKind.RESOURCES.value: "the resource {}",
    ItemKind.TEMPLATES.value: "the resource template {}",
}
_NAMED = {**_KINDS, ItemKind.TOOLS.value: "the tool {}"}
_WHEN = {START: " at start-up", IDLE: " while nothing is asked of it"}
_PROPERTIES = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_OUTPUT = "outputSchema"
_ARGUMENTS = "arguments"
"""Of a prompt: its parameters."""


@dataclass(frozen=True)
class Question:
    """A sentence with a hole, ``{}``, for each name that a stranger has chosen."""

    text: str
    names: tuple[str, ...] = ()

    def said(self, show: Callable[[str], str]) -> str:
        """The sentence, each name as ``show`` has it."""
        return self.text.format(*map(show, self.names))

    def __str__(self) -> str:
        """The sentence with its names in backticks, as they came."""
        return self.said(lambda name: f"`{name}`")


def ask(change: Change) -> Question:
    """The reviewer's question; a statement where there is nothing to decide."""
    subject, names = _subject(change)
    if change.part is Part.ITEM:
        text, more = _item(change, subject)
        own = names or ((change.after,) if more else ())
        return _question(text, (*more, *own))
    text, more = _PARTS.get(change.part, _behaviour)(change)
    return _question(f"{subject} {text}", (*names, *more))


def _question(text: str, names: tuple[str, ...]) -> Question:
    shown = tuple(name if len(name) <= MAX_NAME else name[:MAX_NAME] + "…" for name in names)
    return Question(text[0].upper() + text[1:], shown)


_Said = tuple[str, tuple[str, ...]]


def _subject(change: Change) -> _Said:
    kind, slash, name = change.subject.partition("/")
    if slash and kind in _KINDS:
        return (_NAMED if change.part is Part.ITEM else _KINDS)[kind], (name,)
    if change.subject == IMAGE:
        return "the image", ()
    return "the server", ()


# --- whole items, texts ---------------------------------------------------------------------------


def _item(change: Change, who: str) -> _Said:
    """The sentence, and a name that stands before the item's own."""
    if change.direction is Direction.GAINED:
        return f"{who} is new: is it to be offered?", ()
    if change.direction is Direction.LOST:
        return f"{who} is gone.", ()
    if change.direction is Direction.RENAMED:
        kind = change.subject.partition("/")[0]
        old = change.before.removeprefix(f"{kind}/")
        named = who if "{}" in who else f"{who} {{}}"
        return f"{named} is now called {{}}: is it the same one?", (old,)
    return f"{who} is another: intended?", ()


_TELLING = ": do they tell a model to do anything?"


def _description(change: Change) -> _Said:
    if change.direction is Direction.GAINED:
        return "now has a description: does it tell a model to do anything?", ()
    if change.direction is Direction.LOST:
        return "no longer has a description.", ()
    return f"is described in other words{_TELLING}", ()


def _instructions(change: Change) -> _Said:
    if change.direction is Direction.LOST:
        return "no longer gives instructions.", ()
    what = "now gives" if change.direction is Direction.GAINED else "gives other"
    return f"{what} instructions{_TELLING}", ()


def _title(change: Change) -> _Said:
    return f"has another title{_tail(change)}", ()


# --- schemas and annotations ----------------------------------------------------------------------


def _schema(change: Change) -> _Said:
    tokens = [one.replace("~1", "/").replace("~0", "~") for one in change.pointer.split("/")]
    places = [
        position
        for position, token in list(enumerate(tokens))[1:-1]
        if (token in _PROPERTIES or (position == 1 and token == _ARGUMENTS))
        and tokens[position - 1] not in _PROPERTIES
    ]
    output = _OUTPUT in tokens[:2]
    tail = _tail(change)
    if places and places[-1] == len(tokens) - 2:
        return _parameter(change, tokens[-1], output=output)
    keyword = tokens[-1]
    of = ""
    names: tuple[str, ...] = ()
    if places:
        of, names = f" for {_noun(output)} {{}}", (tokens[places[-1] + 1],)
    if change.effect is Effect.WORDS:
        return f"has other words{of} ({{}}){_TELLING}", (
            *names,
            keyword,
        )
    if change.effect is Effect.WIDER:
        verb = "may return" if output else "now takes"
        return f"{verb} more than before{of} ({{}}): intended?", (*names, keyword)
    if change.effect is Effect.NARROWER:
        verb = "returns" if output else "takes"
        return f"{verb} less than before{of} ({{}}): do its callers know?", (*names, keyword)
    return f"has another {'output' if output else 'input'} schema{of} ({{}}){tail}", (
        *names,
        keyword,
    )


def _noun(output: bool) -> str:
    return "the field" if output else "the parameter"


_NEWS_TO_CALLERS = ": do its callers know?"
_INPUT = {
    (Direction.GAINED, Effect.NARROWER): f"has a new required parameter {{}}{_NEWS_TO_CALLERS}",
    (Direction.CHANGED, Effect.WIDER): "takes more than before for the parameter {}: intended?",
    (Direction.CHANGED, Effect.NARROWER): "takes less than before for the parameter {}"
    + _NEWS_TO_CALLERS,
    (Direction.CHANGED, Effect.WORDS): f"has other words for the parameter {{}}{_TELLING}",
}
_ANY_INPUT = {
    Direction.GAINED: "has a new optional parameter {}: intended?",
    Direction.LOST: f"no longer takes the parameter {{}}{_NEWS_TO_CALLERS}",
}
_ANY_OUTPUT = {
    Direction.GAINED: "now returns the field {}: intended?",
    Direction.LOST: "no longer returns the field {}.",
}


def _parameter(change: Change, name: str, *, output: bool) -> _Said:
    if output:
        other = "describes the field {} otherwise: intended?"
        return _ANY_OUTPUT.get(change.direction, other), (name,)
    other = _ANY_INPUT.get(change.direction, "has another schema for the parameter {}: intended?")
    return _INPUT.get((change.direction, change.effect), other), (name,)


def _annotation(change: Change) -> _Said:
    name = change.pointer.rpartition("/")[2] or "its annotations"
    if change.effect is Effect.WEAKER:
        return "no longer promises what {} said: intended?", (name,)
    if change.effect is Effect.STRONGER:
        return "promises more than before ({}): does it keep that?", (name,)
    return "has another annotation {}: intended?", (name,)


# --- behaviour ------------------------------------------------------------------------------------


def _behaviour(change: Change) -> _Said:
    lost = change.direction is Direction.LOST
    value = change.before if lost else change.after
    verb, object_ = _deed(change.part, value)
    when = _WHEN.get(change.subject, "")
    if lost:
        return f"no longer {verb}s{object_}{when}.", (value,)
    return f"now {verb}s{object_}{when}: intended?", (value,)


def _deed(part: Part, value: str) -> tuple[str, str]:
    named = ARGUMENT in value
    if part is Part.ENDPOINT:
        if value.endswith("/udp"):
            return "send", " datagrams to {}"
        if named:
            return "connect", " to what its argument names ({})"
        name, colon, port = value.rpartition(":")
        looked_up = not (colon and port.isdigit() and name)
        return ("look", " up the name {}") if looked_up else ("connect", " to {}")
    if part is Part.PROGRAM:
        return "run", " the program that its argument names ({})" if named else " {}"
    verb = "write" if part is Part.WRITE else "read"
    return verb, " what its argument names ({})" if named else " {}"


# --- the rest -------------------------------------------------------------------------------------


def _fact(what: str) -> Callable[[Change], _Said]:
    """A value with a name: the last part of its pointer, where there is one."""

    def said(change: Change) -> _Said:
        name = change.pointer.rpartition("/")[2]
        named = " {}" if name else ""
        verb = {Direction.GAINED: "has more of", Direction.LOST: "has less of"}
        if change.part is not Part.LAUNCH:
            verb = {Direction.GAINED: "now has", Direction.LOST: "no longer has"}
        start = verb.get(change.direction, "has changed")
        return f"{start} the {what}{named}{_tail(change)}", (name,) if name else ()

    return said


def _ceiling(change: Change) -> _Said:
    name = change.pointer.rpartition("/")[2] or "limits"
    if change.effect is Effect.WIDER:
        return "ran with a higher limit ({}): is that needed?", (name,)
    return "ran with another limit ({}).", (name,)


def _score(change: Change) -> _Said:
    if not change.after:
        return "has no score any more ({} before): why?", (change.before,)
    if change.direction is Direction.LOST:
        return "has a lower score ({} before, {} now): why?", (change.before, change.after)
    return "has another score ({} before, {} now).", (change.before, change.after)


def _setting(change: Change) -> _Said:
    name = change.pointer.rpartition("/")[2]
    if name == "uncalled":
        if change.direction is Direction.LOST:
            return "can be called now, and could not before.", ()
        return "could be called before and cannot be now: why?", ()
    return "was run with another setting ({}) than the baseline: is that meant?", (name,)


def _tail(change: Change) -> str:
    return "." if change.direction is Direction.LOST else ": intended?"


_PARTS: dict[Part, Callable[[Change], _Said]] = {
    Part.TITLE: _title,
    Part.DESCRIPTION: _description,
    Part.INSTRUCTIONS: _instructions,
    Part.SCHEMA: _schema,
    Part.ANNOTATION: _annotation,
    Part.META: _fact("field"),
    Part.SERVER: _fact("field"),
    Part.CAPABILITY: _fact("capability"),
    Part.LAUNCH: _fact("launch setting"),
    Part.CEILING: _ceiling,
    Part.SCORE: _score,
    Part.SETTING: _setting,
}
