"""What the rules on texts say of the words that are new, and of no others.

The rules run over the texts of an item as the baseline has them and as they are now. What they say
of the new ones, and did not say of the old ones, is gained. Because a rule names one of several
equal orders only, they also run over the sentences that are new by themselves: an order that is
added behind an older one of its kind counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mcp_sandbox.model import ItemKind, Json, Observations, RiskClass, Session
from mcp_sandbox.model.locked import SERVER, Item, Lock
from mcp_sandbox.rules import metadata, steering
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.invisible import oddities
from mcp_sandbox.rules.registry import REGISTERED, severity
from mcp_sandbox.rules.surfaces import NAME_KEY, Kind, Surface, strings_of, texts_of

TEXT_RULES = (
    metadata.hidden_instruction,
    metadata.schema_poisoning,
    metadata.encoded_instruction,
    metadata.invisible_text,
    metadata.secret_in_metadata,
    metadata.cleartext_endpoint,
    steering.coercive_wording,
    steering.tool_shadowing,
    steering.side_channel_parameter,
)
_INVISIBLE = metadata.invisible_text.__name__
MAX_SENTENCES = 5_000
"""Of one text; what follows counts as one sentence."""


@dataclass(frozen=True)
class Gain:
    """What a rule on texts says of new words."""

    class_: RiskClass
    pointer: str
    message: str


class _Texts(Context):
    """One item, or the server's own words, as the rules on texts see them."""

    def __init__(
        self, observations: Observations, texts: list[Surface], items: dict[str, dict[str, Json]]
    ) -> None:
        super().__init__(observations)
        self._texts = texts
        self._listed = items

    @cached_property
    def surfaces(self) -> tuple[Surface, ...]:
        """The texts that are judged."""
        return tuple(self._texts)

    @cached_property
    def items(self) -> dict[str, dict[str, Json]]:
        """The item that they are of."""
        return self._listed


@dataclass(frozen=True)
class _Said:
    rule: str
    pointer: str
    fact: str
    class_: RiskClass
    message: str


def listed(item: Item) -> dict[str, Json]:
    """An item as a server lists it."""
    made: dict[str, Json] = {NAME_KEY[item.kind]: item.name}
    if item.title:
        made["title"] = item.title
    if item.description:
        made["description"] = item.description
    return made | item.definition if isinstance(item.definition, dict) else made


def of_item(context: Context, old: Item | None, new: Item) -> tuple[Gain, ...]:
    """What is gained from an item to the one that it became; ``None`` for one that is new."""
    session = _session(context.observations)
    sides = []
    for item in (old, new):
        made = {} if item is None else listed(item)
        texts = [
            Surface(new.subject, pointer, kind, text, session, new.kind)
            for pointer, kind, text in texts_of(made)
            if old is None or old.name != new.name or pointer != f"/{NAME_KEY[new.kind]}"
        ]
        sides.append(_Texts(context.observations, texts, {new.subject: made}))
    return _gained(context, sides[0], sides[1])


def of_server(context: Context, old: Lock, new: Lock) -> tuple[Gain, ...]:
    """The same of instructions and ``serverInfo``."""
    session = _session(context.observations)
    sides = []
    for lock in (old, new):
        texts = [("/instructions", lock.instructions)] if lock.instructions else []
        texts += [(where, text) for where, _, text in strings_of(lock.server, "/serverInfo")]
        texts += [
            (where, text) for where, _, text in strings_of(lock.capabilities, "/capabilities")
        ]
        surfaces = [
            Surface(SERVER, where, Kind.DESCRIPTION, text, session, None) for where, text in texts
        ]
        sides.append(_Texts(context.observations, surfaces, {}))
    return _gained(context, sides[0], sides[1])


def _session(observations: Observations) -> Session | None:
    return observations.sessions[0] if observations.sessions else None


def _gained(context: Context, before: _Texts, after: _Texts) -> tuple[Gain, ...]:
    old, new = _said(before), _said(after)
    found = _not_said_before(old, new)
    texts = list(_new_sentences(before.surfaces, after.surfaces))
    if texts:
        known = _by_rule(old)
        more = _odd(after.surfaces) > _odd(before.surfaces)
        for one in _said(_Texts(context.observations, texts, after.items)):
            hidden = one.rule == _INVISIBLE and more
            if hidden or not any(one.fact in fact for fact in known.get(one.rule, ())):
                found.append(one)
    gains = {Gain(one.class_, one.pointer, one.message): None for one in found}
    return tuple(sorted(gains, key=lambda one: (severity(one.class_), one.pointer, one.message)))


def _said(context: _Texts) -> list[_Said]:
    """What the rules say, rule by rule; the name of an item is no fact of its words."""
    classes = {one.check: one.info.class_ for one in REGISTERED.values()}
    return [
        _Said(
            check.__name__,
            hit.pointer,
            hit.fact.removeprefix(hit.pointer).strip(),
            hit.class_ or classes[check],
            hit.message,
        )
        for check in TEXT_RULES
        for hit in check(context)
    ]


def _by_rule(said: list[_Said]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in said:
        found.setdefault(one.rule, []).append(one.fact)
    return found


def _not_said_before(old: list[_Said], new: list[_Said]) -> list[_Said]:
    """What is new: not said at that place, nor moved from another, nor only a part of it."""
    kept: Counter[tuple[str, str, str]] = Counter()
    worst: dict[tuple[str, str], list[_Said]] = {}
    moved: Counter[tuple[str, str]] = Counter()
    for one in old:
        kept[one.rule, one.pointer, one.fact] += 1
        worst.setdefault((one.rule, one.pointer), []).append(one)
        moved[one.rule, one.fact] += 1
    found = []
    for one in new:
        there = worst.get((one.rule, one.pointer), ())
        milder = [other for other in there if severity(other.class_) > severity(one.class_)]
        if any(one.fact in other.fact for other in there if other not in milder):
            moved[one.rule, one.fact] -= 1
        else:
            found.append(one)
    left = []
    for one in found:
        if moved[one.rule, one.fact] > 0 and not worst.get((one.rule, one.pointer)):
            moved[one.rule, one.fact] -= 1
        else:
            left.append(one)
    return left


def _odd(texts: Iterable[Surface]) -> int:
    """How many hidden characters there are."""
    return sum(odd.count for surface in texts for odd in oddities(surface.text))


_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")


def _new_sentences(before: Iterable[Surface], after: Iterable[Surface]) -> Iterator[Surface]:
    """Each text of now without the sentences that any text had before."""
    known = {" ".join(one.split()) for surface in before for one in _SENTENCE.split(surface.text)}
    for surface in after:
        if surface.kind is Kind.NAME:
            continue
        sentences = _SENTENCE.split(surface.text, maxsplit=MAX_SENTENCES)
        new = [one for one in sentences if " ".join(one.split()) not in known]
        if new:
            text = surface.text if len(new) == len(sentences) else " ".join(new)
            yield Surface(
                surface.subject, surface.pointer, surface.kind, text, surface.session, surface.lists
            )


def words(before: str, after: str) -> str:
    """The sentences of ``after`` that ``before`` does not have; all of it where each is there."""
    known = {" ".join(one.split()) for one in _SENTENCE.split(before)}
    new = [one for one in _SENTENCE.split(after) if " ".join(one.split()) not in known]
    return " ".join(new) or after


def worst_at(gains: Iterable[Gain], pointer: str) -> tuple[Gain, ...]:
    """The gains at a pointer, below it, or on what it belongs to; worst first."""
    parent = pointer.rpartition("/")[0]
    return tuple(
        one
        for one in gains
        if one.pointer == pointer or one.pointer.startswith(f"{pointer}/") or one.pointer == parent
    )


def by_subject(items: Iterable[Item]) -> Mapping[str, Item]:
    """Subject -> its first item."""
    found: dict[str, Item] = {}
    for item in items:
        found.setdefault(item.subject, item)
    return found


def kind_of(subject: str) -> ItemKind | None:
    """The list that a subject stands in; ``None`` for the server's own."""
    head = subject.partition("/")[0]
    return ItemKind(head) if head in set(ItemKind) and "/" in subject else None
