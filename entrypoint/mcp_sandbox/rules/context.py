"""What rules ask of the observations: calls with their sessions, listed items, their texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

from mcp_sandbox.model import (
    Call,
    CallStatus,
    ItemKind,
    Json,
    KernelEvent,
    Location,
    Moment,
    Observations,
    Session,
    SinkEvent,
)
from mcp_sandbox.model.locked import Baseline, Change, Taken
from mcp_sandbox.rules.replies import own_words
from mcp_sandbox.rules.surfaces import NAME_KEY, Surface, surfaces

ANSWERED = frozenset({CallStatus.RESULT, CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR})
FAILED = frozenset({CallStatus.TOOL_ERROR, CallStatus.RPC_ERROR})
VALID = "valid"

T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """A call and the session it was made in."""

    session: Session
    call: Call

    @property
    def subject(self) -> str:
        """``tools/NAME`` and its like."""
        return f"{self.call.kind.value}/{self.call.target}"


@dataclass(frozen=True)
class Did:
    """Something that the kernel recorded, with its session and the call that it belongs to."""

    session: Session
    event: KernelEvent
    made: Made | None
    """``None`` outside the calls."""

    @property
    def subject(self) -> str:
        """The called item, or the server as a whole."""
        return self.made.subject if self.made else "server"


@dataclass(frozen=True)
class Arrived:
    """Something that arrived at the sink, with its session and the call that it belongs to."""

    session: Session
    event: SinkEvent
    made: Made | None

    @property
    def subject(self) -> str:
        """The called item, or the server as a whole."""
        return self.made.subject if self.made else "server"


class Context:
    """One run's observations with the indexes that several rules need."""

    def __init__(self, observations: Observations) -> None:
        self.observations = observations
        self._kept: dict[str, object] = {}

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """A value that several rules of a module share: made once per run of the rules."""
        if name not in self._kept:
            self._kept[name] = make()
        return cast("T", self._kept[name])

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The conversations, in order."""
        return self.observations.sessions

    @cached_property
    def made(self) -> tuple[Made, ...]:
        """Every call, in order."""
        return tuple(
            Made(session, call) for session in self.sessions for call in session.transcript.calls
        )

    @cached_property
    def _numbered(self) -> dict[tuple[int, int], Made]:
        return {(id(made.session), made.call.number): made for made in self.made}

    @cached_property
    def did(self) -> tuple[Did, ...]:
        """All that the kernel recorded, session by session, in order."""
        return tuple(
            Did(session, event, self._numbered.get((id(session), event.call)))
            for session in self.sessions
            for event in session.container.kernel
        )

    @cached_property
    def arrived(self) -> tuple[Arrived, ...]:
        """All that arrived at the sink, session by session, in order."""
        return tuple(
            Arrived(session, event, self._numbered.get((id(session), event.call)))
            for session in self.sessions
            for event in session.container.sink
        )

    def own(self, made: Made) -> str:
        """The server's own words in a reply: what it said without what we had sent."""
        key = id(made.call)
        if key not in self._own:
            self._own[key] = own_words(made.call)
        return self._own[key]

    @cached_property
    def _own(self) -> dict[int, str]:
        return {}

    @cached_property
    def surfaces(self) -> tuple[Surface, ...]:
        """Every text that the server lists."""
        return tuple(surfaces(self.sessions))

    def family(self, *families: str) -> Iterator[Made]:
        """The calls of some payload families."""
        return (made for made in self.made if made.call.family in families)

    @cached_property
    def by_target(self) -> dict[str, tuple[Made, ...]]:
        """Subject -> its calls."""
        found: dict[str, list[Made]] = {}
        for made in self.made:
            found.setdefault(made.subject, []).append(made)
        return {subject: tuple(calls) for subject, calls in found.items()}

    def valid(self, subject: str) -> tuple[Made, ...]:
        """The ordinary calls of a target: what hostile ones are compared with."""
        return tuple(made for made in self.by_target.get(subject, ()) if made.call.family == VALID)

    @cached_property
    def items(self) -> dict[str, dict[str, Json]]:
        """Subject -> the item as it was listed first."""
        found: dict[str, dict[str, Json]] = {}
        for session in self.sessions:
            for listing in session.transcript.listings:
                key = NAME_KEY[listing.kind]
                for item in listing.items:
                    if isinstance(item, dict) and isinstance(item.get(key), str):
                        found.setdefault(f"{listing.kind.value}/{item[key]}", item)
        return found

    @cached_property
    def sibling_names(self) -> frozenset[str]:
        """Names of all tools and prompts this server lists."""
        return frozenset(
            str(item["name"]) for item in self.items.values() if isinstance(item.get("name"), str)
        )

    @cached_property
    def lower_names(self) -> frozenset[str]:
        """The same in lower case, as they stand in a sentence."""
        return frozenset(name.lower() for name in self.sibling_names)

    @cached_property
    def effects(self) -> frozenset[tuple[int, str]]:
        """(position of the session, path) of all that exists in a tmpfs or was changed."""
        return frozenset(
            (position, path)
            for position, session in enumerate(self.sessions)
            for path in (
                *(entry.path for entry in session.container.tmpfs),
                *(one.path for one in session.container.changes if one.kind != "deleted"),
            )
        )

    @cached_property
    def _positions(self) -> dict[int, int]:
        return {id(session): position for position, session in enumerate(self.sessions)}

    def exists(self, made: Made) -> bool:
        """The file that proves the call is there, in the call's own container."""
        effect = made.call.effect
        return bool(effect) and (self._positions[id(made.session)], effect) in self.effects

    def declared(self, made: Made) -> str:
        """What the server says of the called parameter, lower case.

        Name, title and description of the item and of the parameter, ``_`` read as a space.
        """
        return self._said.get((made.subject, made.call.parameter)) or self._say(made)

    @cached_property
    def _said(self) -> dict[tuple[str, str], str]:
        return {}

    def _say(self, made: Made) -> str:
        item = self.items.get(made.subject, {})
        parts: list[str] = [made.call.target, made.call.parameter.replace("/", " ")]
        parts += [str(item[key]) for key in ("title", "description") if key in item]
        for value in described_by(item.get("inputSchema"), made.call.parameter):
            parts.append(value)
        said = " ".join(parts).replace("_", " ").lower()[:20_000]
        self._said[made.subject, made.call.parameter] = said
        return said

    def parameter_text(self, made: Made) -> str:
        """The parameter's own name, title and description, lower case, ``_`` read as a space."""
        item = self.items.get(made.subject, {})
        parts = [made.call.parameter.rpartition("/")[2]]
        parts += described_by(item.get("inputSchema"), made.call.parameter)
        return " ".join(parts).replace("_", " ").lower()[:20_000]

    def listed(self, session: Session, kind: ItemKind, moment: Moment) -> tuple[Json, ...] | None:
        """The items of a listing that is whole, else ``None``."""
        for listing in session.transcript.listings:
            if listing.kind is kind and listing.moment is moment:
                return listing.items if listing.state == "complete" else None
        return None


@dataclass(frozen=True)
class Drift:
    """A run beside its baseline."""

    changes: tuple[Change, ...]
    """From the baseline to what was taken."""
    taken: Taken
    baseline: Baseline
    place: Callable[[Change], Location | None]
    """The line of the checkout that a change stands on, where that is known better than by the
    definition of its subject."""


class Compared(Context):
    """The observations of a run, and how it differs from its baseline."""

    def __init__(self, observations: Observations, drift: Drift) -> None:
        super().__init__(observations)
        self.drift = drift


def described_by(schema: Json, pointer: str) -> list[str]:
    """Title and description of the property that a JSON pointer into the arguments names."""
    node = schema
    for raw in pointer.split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict):
            return []
        properties = node.get("properties")
        if isinstance(properties, dict) and part in properties:
            node = properties[part]
        else:
            node = node.get("items")
    if not isinstance(node, dict):
        return []
    return [str(node[key]) for key in ("title", "description", "format") if key in node]


def compact(value: Json) -> str:
    """One line of JSON, equal for equal values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
