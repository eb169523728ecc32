"""What is to be done in one session, and in which order its calls are made.

The order depends on the listings and the seed alone, so a session that broke off can be resumed in
a fresh container by position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from mcp_sandbox.model import Era, Identity, ItemKind, Json, Listing
from mcp_sandbox.probe.hostile import Input, Targets
from mcp_sandbox.probe.inputs import ToolInputs, for_prompt, for_template, for_tool
from mcp_sandbox.probe.listing import NAME_KEY
from mcp_sandbox.probe.wire import MAX_SESSION

VALID = "valid"
"""The family of ordinary calls."""

ORDINARY_ROUNDS = 2
"""An ordinary call may prepare what another needs (write, then read): they are made twice over."""

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


class Order:
    """The calls of a plan over what a server lists. Inputs are made when their turn comes."""

    def __init__(self, plan: Plan, listings: Sequence[Listing]) -> None:
        self._plan = plan
        self._items = {one.kind: one.items for one in listings}
        self._made: list[ToolInputs] = []
        self.not_called: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        """Target -> why its schema is of no use; it is called with guessed arguments."""
        self.left_out: list[str] = []

    @property
    def targets(self) -> int:
        """How many listed items have calls, as far as they have been made."""
        return len(self._made)

    def __iter__(self) -> Iterator[Input]:
        """Ordinary calls of all targets first, then hostile ones, target by target."""
        for inputs in self._make():
            if self._plan.valid:
                yield from inputs.valid
        if self._plan.valid:
            for _ in range(1, ORDINARY_ROUNDS):
                for inputs in self._made:
                    yield from inputs.valid
            for resource in self._items.get(ItemKind.RESOURCES, ()):
                if self._wanted(resource["uri"]):
                    yield _reading(resource["uri"])
        if self._plan.hostile:
            yield from self._hostile()

    def _make(self) -> Iterator[ToolInputs]:
        """The inputs of one target after the other, kept for the rounds that follow."""
        for kind, maker in _MAKERS.items():
            for item in self._items.get(kind, ()):
                if not self._wanted(item[NAME_KEY[kind]]):
                    continue
                inputs = maker(item, self._plan.targets)
                if inputs.problem:
                    self.not_called[item[NAME_KEY[kind]]] = inputs.problem
                if inputs.warning:
                    self.warnings[item[NAME_KEY[kind]]] = inputs.warning
                self._made.append(inputs)
                yield inputs

    def _wanted(self, name: str) -> bool:
        return self._plan.only is None or name in self._plan.only

    def _hostile(self) -> Iterator[Input]:
        ordinary = sum(ORDINARY_ROUNDS * len(inputs.valid) for inputs in self._made)
        share = max(1, (self._plan.max_calls - ordinary) // max(1, len(self._made)))
        for inputs in self._made:
            hostile = iter(inputs.hostile)
            for item in islice(hostile, share):
                if item.target in self._plan.avoid:
                    self.left_out.append(f"{item.target}: hostile inputs after it ended the server")
                    break
                yield item
            else:
                if (item_left := next(hostile, None)) is not None:
                    self.left_out.append(
                        f"{item_left.target}: hostile inputs after the first {share}"
                    )


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
