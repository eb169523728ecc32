"""What is to be done in one session, and in which order its calls are made.

The order depends on the listings and the seed alone, so a session that broke off can be resumed in
a fresh container by position. Repairs of refused calls depend on replies too: they have a fixed
share of the positions, used or not, so that what follows them stands where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from mcp_sandbox.model import CallStatus, Era, Identity, ItemKind, Json, Listing
from mcp_sandbox.probe import paths
from mcp_sandbox.probe.hints import words
from mcp_sandbox.probe.hostile import Input, Targets
from mcp_sandbox.probe.inputs import Accepted, ToolInputs, for_prompt, for_template, for_tool
from mcp_sandbox.probe.listing import NAME_KEY
from mcp_sandbox.probe.repairing import Repairs
from mcp_sandbox.probe.wire import MAX_SESSION

VALID = "valid"
"""The family of ordinary calls."""

ORDINARY_ROUNDS = 2
"""An ordinary call may prepare what another needs (write, then read): they are made twice over."""

REPAIRS = 4
"""Most repaired calls of a tool after the first round of ordinary calls."""
MORE_REPAIRS = 2
"""And after the second one, for a tool that may find by then what it lacked."""
_REPAIRED = 10
"""At most this part of a session's calls are repairs."""

_OPENING = frozenset(
    (
        *("set", "init", "initialize", "initialise", "configure", "connect", "login", "open"),
        *("start", "launch", "select", "use", "create", "new", "write", "register", "begin"),
        *("load", "import", "upload", "navigate", "goto"),
    )
)
"""A tool named so makes what others need: its calls come before theirs."""
_ENDING = frozenset(
    (
        *("delete", "remove", "drop", "destroy", "kill", "terminate", "close", "clear", "reset"),
        *("uninstall", "purge", "move", "rename", "unlink", "end", "stop", "shutdown"),
        *("disconnect", "logout"),
    )
)
"""A tool named so takes away what others need: its calls come after theirs."""

_MAKERS: dict[ItemKind, Callable[[Json, Targets], ToolInputs]] = {
    ItemKind.TOOLS: for_tool,
    ItemKind.PROMPTS: for_prompt,
    ItemKind.TEMPLATES: for_template,
}


@dataclass(frozen=True)
class Plan:
    """What to do in one session. Times in seconds."""

    role: str
    era: Era
    identity: Identity
    targets: Targets
    hostile: bool = True
    valid: bool = True
    start_timeout: float = 30.0
    call_timeout: float = 10.0
    session_timeout: float = 600.0
    max_calls: int = 5_000
    max_bytes: int = MAX_SESSION
    start_at: int = 0
    """Position in the order of calls; the calls before it are not repeated."""
    avoid: frozenset[str] = frozenset()
    """Targets that get no further hostile input (they ended earlier sessions)."""
    only: frozenset[str] | None = None
    """Targets that are called at all; ``None`` for every one."""
    idle: float = 0.0
    """Seconds of waiting before the first call and after the last one."""
    known: dict[str, tuple[Json, ...]] = field(default_factory=dict)
    """Digest -> items of listings seen before; equal listings share one copy in memory."""
    bases: dict[str, Accepted] = field(default_factory=dict)
    """Tool -> repaired arguments that it took in a session that this one takes up."""


class Turn(NamedTuple):
    """A call in its position."""

    position: int
    item: Input | None
    """None: no call, but all replies so far have to be told before the next one is asked for."""


class Order:
    """The calls of a plan over what a server lists. Inputs are made when their turn comes."""

    def __init__(self, plan: Plan, listings: Sequence[Listing]) -> None:
        self._items = {one.kind: one.items for one in listings}
        kind = paths.common_kind(self._items.get(ItemKind.TOOLS, ()))
        plan = replace(plan, targets=replace(plan.targets, kind=kind))
        self._plan = plan
        self._made: list[ToolInputs] = []
        self._tools = self._listed(ItemKind.TOOLS)
        most = (REPAIRS + MORE_REPAIRS) * len(self._tools)
        self._allowance = min(plan.max_calls // _REPAIRED, most) if plan.valid else 0
        self._repairs = Repairs(plan.targets, self._allowance)
        self.not_called: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        """Target -> why its schema is of no use; it is called with guessed arguments."""
        self.left_out: list[str] = []

    @property
    def targets(self) -> int:
        """How many listed items have calls, as far as they have been made."""
        return len(self._made)

    def heard(self, item: Input, status: CallStatus, body: Json, *, clean: bool) -> None:
        """Tell the reply to an ordinary call. ``clean``: it holds no planted secret."""
        self._repairs.heard(item, status, body, clean=clean)

    def __iter__(self) -> Iterator[Turn]:
        """Ordinary calls of all targets first, then hostile ones, target by target."""
        position = 0
        for position, item in enumerate(self._first()):
            yield Turn(position, item)
        position += 1
        if self._plan.valid:
            yield from self._repaired(position, REPAIRS)
            position += REPAIRS * len(self._tools)
            for _ in range(1, ORDINARY_ROUNDS):
                for inputs in self._made:
                    for item in inputs.valid:
                        yield Turn(position, item)
                        position += 1
            yield from self._repaired(position, MORE_REPAIRS)
            position += MORE_REPAIRS * len(self._tools)
        for item in self._last():
            yield Turn(position, item)
            position += 1

    def _first(self) -> Iterator[Input]:
        """The first round of ordinary calls."""
        for inputs in self._make():
            if self._plan.valid:
                yield from inputs.valid

    def _repaired(self, position: int, most: int) -> Iterator[Turn]:
        """What was refused, asked again; ``most`` positions for each tool."""
        yield Turn(position, None)
        for number, item in enumerate(self._tools):
            first = position + most * number
            for at, call in enumerate(self._repairs.calls(item, item["name"], most)):
                yield Turn(first + at, call)
                yield Turn(first + at, None)

    def _last(self) -> Iterator[Input]:
        """Resources, and hostile input."""
        if self._plan.valid:
            for resource in self._items.get(ItemKind.RESOURCES, ()):
                if self._wanted(resource["uri"]):
                    yield _reading(resource["uri"])
        if self._plan.hostile:
            yield from self._hostile()

    def _listed(self, kind: ItemKind) -> list[Json]:
        """What is called of a kind; tools that make things first, those that end things last."""
        items = [one for one in self._items.get(kind, ()) if self._wanted(one[NAME_KEY[kind]])]
        if kind is ItemKind.TOOLS:
            items.sort(key=lambda one: _rank(one["name"]))
        return items

    def _make(self) -> Iterator[ToolInputs]:
        """The inputs of one target after the other, kept for the rounds that follow."""
        for kind, maker in _MAKERS.items():
            for item in self._listed(kind):
                inputs = maker(item, self._plan.targets)
                if inputs.problem:
                    self.not_called[item[NAME_KEY[kind]]] = inputs.problem
                if inputs.warning:
                    self.warnings[item[NAME_KEY[kind]]] = inputs.warning
                self._made.append(inputs)
                yield inputs

    def _wanted(self, name: str) -> bool:
        return self._plan.only is None or name in self._plan.only

    def _as_listed(self) -> list[ToolInputs]:
        """Hostile input goes from tool to tool as they are listed: what it leaves, others read."""
        place = {item["name"]: at for at, item in enumerate(self._items.get(ItemKind.TOOLS, ()))}
        last = len(place)
        return sorted(
            self._made,
            key=lambda one: (
                place.get(one.hostile.target, last) if one.hostile.kind is ItemKind.TOOLS else last
            ),
        )

    def _hostile(self) -> Iterator[Input]:
        ordinary = sum(ORDINARY_ROUNDS * len(inputs.valid) for inputs in self._made)
        left = self._plan.max_calls - ordinary - self._allowance
        share = max(1, left // max(1, len(self._made)))
        bases = self._plan.bases | self._repairs.bases
        listed = {item["name"]: item for item in self._tools} if bases else {}
        for inputs in self._as_listed():
            made = inputs.hostile
            if made.kind is ItemKind.TOOLS and made.target in bases:
                # The same inputs in the same order, around arguments that the tool takes.
                item = listed[made.target]
                made = for_tool(item, self._plan.targets, bases[made.target]).hostile
            hostile = iter(made)
            for one in islice(hostile, share):
                if one.target in self._plan.avoid:
                    self.left_out.append(f"{one.target}: hostile inputs after it ended the server")
                    break
                yield one
            else:
                if (item_left := next(hostile, None)) is not None:
                    self.left_out.append(
                        f"{item_left.target}: hostile inputs after the first {share}"
                    )


def _rank(tool: str) -> int:
    """When a tool is called: -1 before most, 1 after them."""
    said = frozenset(words(tool[:200]))
    return 1 if said & _ENDING else -1 if said & _OPENING else 0


def _reading(uri: str) -> Input:
    return Input(
        kind=ItemKind.RESOURCES,
        target=uri,
        parameter="",
        family=VALID,
        payload="",
        nonce="",
        arguments={"uri": uri},
        expected="",
        effect="",
    )
