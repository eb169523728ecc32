"""What differs between two locks, each difference with its direction.

Pure, and the same for the same locks, whatever the order in which they list. Items go by kind and
name; what has no namesake goes by likeness (``baseline.likeness``).

Behaviour is compared by who asked for it. A value of start-up or idle is new when neither had it
before: what merely moved from one to the other is no change. A value of a tool is new when neither
that tool nor start-up nor idle had it: what came unasked before may show in any tool's window. What
only a tool did and is now done unasked is new. A name that was connected to is looked up as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from mcp_sandbox.baseline import likeness
from mcp_sandbox.baseline.items import inside, whole
from mcp_sandbox.baseline.keywords import canonical, escaped, text
from mcp_sandbox.model import Json, Network, Relaxation
from mcp_sandbox.model.locked import (
    BEHAVIOURS,
    IDLE,
    IMAGE,
    SERVER,
    START,
    Behaviour,
    Change,
    Direction,
    Effect,
    Item,
    Lock,
    Part,
)

GAINED, LOST, CHANGED = Direction.GAINED, Direction.LOST, Direction.CHANGED
_UNASKED = (START, IDLE)
_NOTHING = Behaviour()


def compare(old: Lock, new: Lock) -> tuple[Change, ...]:
    """The differences, in the order of a lock file: how it was taken, server, items, behaviour.

    Empty for locks that say the same; the scanner's version, and what was normalised, are no
    difference.
    """
    names, item_changes = _items(old, new)
    return (
        *_settings(old, new),
        *_object(Part.SERVER, "/serverInfo", old.server, new.server),
        *_object(Part.CAPABILITY, "/capabilities", old.capabilities, new.capabilities),
        *_value(Part.INSTRUCTIONS, SERVER, "/instructions", old.instructions, new.instructions),
        *item_changes,
        *_behaviours(old, new, names),
        *_launch(old, new),
        *_ceilings(old, new),
        *_score(old, new),
    )


# --- how the locks were taken ---------------------------------------------------------------------


def _settings(old: Lock, new: Lock) -> Iterator[Change]:
    """Two locks that were taken in different ways cannot be compared in everything."""
    for name in ("profile", "network", "tls"):
        before, after = getattr(old, name), getattr(new, name)
        if before is not after:
            # Without a network less is seen: what is missing then may not be gone.
            less = name == "network" and after is Network.NONE
            effect = Effect.NARROWER if less else Effect.OTHER
            shown = before.value, after.value
            yield Change(Part.SETTING, CHANGED, SERVER, *shown, f"/{name}", effect)
    for subject in sorted(set(new.uncalled) - set(old.uncalled)):
        yield Change(Part.SETTING, GAINED, subject, pointer="/uncalled", effect=Effect.NARROWER)
    for subject in sorted(set(old.uncalled) - set(new.uncalled)):
        yield Change(Part.SETTING, LOST, subject, pointer="/uncalled")


# --- texts and objects ----------------------------------------------------------------------------


def _value(part: Part, subject: str, pointer: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        direction = CHANGED if before and after else GAINED if after else LOST
        yield Change(part, direction, subject, before, after, pointer, Effect.WORDS)


def _object(part: Part, where: str, before: Json, after: Json) -> Iterator[Change]:
    """One change for each member; for the whole where one is no object."""
    if canonical(before) == canonical(after):
        return
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        yield Change(part, CHANGED, SERVER, _text(before), _text(after), where)
        return
    left, right = before or {}, after or {}
    found = False
    for key in sorted(left.keys() | right.keys()):
        if key in left and key in right and canonical(left[key]) == canonical(right[key]):
            continue
        found = True
        direction = CHANGED if key in left and key in right else GAINED if key in right else LOST
        shown = _text(left.get(key)), _text(right.get(key))
        yield Change(part, direction, SERVER, *shown, f"{where}/{escaped(key)}")
    if not found:  # nothing at all, and an object with nothing in it
        yield Change(part, CHANGED, SERVER, text(before), text(after), where)


def _text(value: Json) -> str:
    return "" if value is None else text(value)


# --- items ----------------------------------------------------------------------------------------


def _key(item: Item) -> tuple[str, str]:
    return item.kind.value, item.name


_Row = tuple[Item, str]
"""An item, and all that it says but its name: made once, for it is asked for often."""


def _items(old: Lock, new: Lock) -> tuple[dict[str, str], list[Change]]:
    """New subject -> old subject of what was renamed, and the changes of all items."""
    changed, lost, gained = _by_name(
        [(item, whole(item)) for item in old.items], [(item, whole(item)) for item in new.items]
    )
    matches, gone, added = likeness.renamed(lost, gained)
    over = likeness.taken_over([one for one, _ in changed], [other for _, other in changed])
    taken = {match.new.subject: match.old.name for match in over}
    found = [
        (match.new, [_renamed(match.new, match.old.name), *inside(*match.items)])
        for match in matches
    ]
    for (one, _), (other, _) in changed:
        over_it = [_renamed(other, taken[other.subject])] if other.subject in taken else []
        found.append((other, [*over_it, *inside(one, other)]))
    for item, said in added:
        found.append((item, [Change(Part.ITEM, GAINED, item.subject, after=said)]))
    for item, said in gone:
        found.append((item, [Change(Part.ITEM, LOST, item.subject, before=said)]))
    found.sort(key=lambda one: _key(one[0]))
    names = {match.new.subject: match.old.subject for match in matches}
    return names, [change for _, changes in found for change in changes]


def _renamed(item: Item, name: str) -> Change:
    return Change(Part.ITEM, Direction.RENAMED, item.subject, name, item.name)


def _by_name(
    old: list[_Row], new: list[_Row]
) -> tuple[list[tuple[_Row, _Row]], list[_Row], list[_Row]]:
    """Namesakes that differ, and what has none. Of several with one name, equals go together."""
    waiting: dict[tuple[str, str], dict[str, list[Item]]] = {}
    for item, said in sorted(old, key=_row_key):
        waiting.setdefault(_key(item), {}).setdefault(said, []).append(item)
    rest: list[_Row] = []
    for item, said in sorted(new, key=_row_key):
        if equal := waiting.get(_key(item), {}).get(said):
            equal.pop()
        else:
            rest.append((item, said))
    left: dict[tuple[str, str], deque[_Row]] = {
        key: deque((item, said) for said, items in sides.items() for item in items)
        for key, sides in waiting.items()
    }
    changed: list[tuple[_Row, _Row]] = []
    gained: list[_Row] = []
    for row in rest:
        if namesakes := left.get(_key(row[0])):
            changed.append((namesakes.popleft(), row))
        else:
            gained.append(row)
    return changed, [row for rows in left.values() for row in rows], gained


def _row_key(row: _Row) -> tuple[str, str, str]:
    return *_key(row[0]), row[1]


# --- behaviour ------------------------------------------------------------------------------------


def _behaviours(old: Lock, new: Lock, names: dict[str, str]) -> Iterator[Change]:
    """``names`` leads from a renamed subject to what it was called."""
    gone = set(names.values()) | (
        {item.subject for item in old.items} - {item.subject for item in new.items}
    )
    subjects = (old.behaviour.keys() - gone) | new.behaviour.keys() | names.keys()
    order = {START: "0", IDLE: "1"}
    for subject in sorted(subjects, key=lambda one: (order.get(one, "2"), one)):
        for field in BEHAVIOURS:
            yield from _done(old, new, subject, names.get(subject, subject), field)


def _done(old: Lock, new: Lock, subject: str, before: str, field: str) -> Iterator[Change]:
    unasked = [_of(lock, _UNASKED, field) for lock in (old, new)]
    was, is_now = _of(old, (before,), field), _of(new, (subject,), field)
    part = Part(field)
    for value in sorted(is_now - was - unasked[0]):
        if not _implied(part, value, was | unasked[0]):
            yield Change(part, GAINED, subject, after=value)
    blind = part is Part.ENDPOINT and old.network is not Network.NONE is new.network
    if blind or subject in new.uncalled:  # that it is not seen does not say that it is gone
        return
    for value in sorted(was - is_now - unasked[1]):
        if not _implied(part, value, is_now | unasked[1]):
            yield Change(part, LOST, subject, before=value)


def _of(lock: Lock, subjects: Iterable[str], field: str) -> frozenset[str]:
    return frozenset(
        value for one in subjects for value in getattr(lock.behaviour.get(one, _NOTHING), field)
    )


def _implied(part: Part, value: str, others: frozenset[str]) -> bool:
    """A bare name, where a connection to that name is known."""
    if part is not Part.ENDPOINT or value.startswith("[") or value.count(":") == 1:
        return False
    return any(other.rpartition(":")[0].strip("[]") == value for other in others)


# --- launch, limits, score ------------------------------------------------------------------------


def _launch(old: Lock, new: Lock) -> Iterator[Change]:
    for name, before in vars(old.launch).items():
        after = getattr(new.launch, name)
        if name in {"environment", "exposed_ports", "volumes"}:
            for value in sorted(set(after) - set(before)):
                yield Change(Part.LAUNCH, GAINED, IMAGE, after=value, pointer=f"/{name}")
            for value in sorted(set(before) - set(after)):
                yield Change(Part.LAUNCH, LOST, IMAGE, before=value, pointer=f"/{name}")
        elif before != after:
            was, is_now = (
                text(list(one) if isinstance(one, tuple) else one) for one in (before, after)
            )
            yield Change(Part.LAUNCH, CHANGED, IMAGE, was, is_now, f"/{name}")


_LADDER = list(Relaxation)


def _ceilings(old: Lock, new: Lock) -> Iterator[Change]:
    for name, before in vars(old.ceilings).items():
        after = getattr(new.ceilings, name)
        if before == after:
            continue
        more = after > before
        if name == "relaxation":
            more = _LADDER.index(after) > _LADDER.index(before)
        effect = Effect.WIDER if more else Effect.NARROWER
        yield Change(Part.CEILING, CHANGED, SERVER, f"{before}", f"{after}", f"/{name}", effect)


def _score(old: Lock, new: Lock) -> Iterator[Change]:
    """A score that is lower, or gone; the two profiles' scores are no measure of each other."""
    if old.score == new.score or old.score is None or old.profile is not new.profile:
        return
    after = "" if new.score is None else f"{new.score:g}"
    lower = new.score is None or new.score < old.score
    yield Change(Part.SCORE, LOST if lower else GAINED, SERVER, f"{old.score:g}", after)
