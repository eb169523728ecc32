"""The repairs of one session: who was refused, what is tried instead, and what was taken.

Kept tool by tool. A repaired call that is refused in other words has come further: its own repairs
are tried before the alternatives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mcp_sandbox.model import Call, CallStatus, ItemKind, Json
from mcp_sandbox.probe.hostile import Input, Targets
from mcp_sandbox.probe.inputs import VALID, Accepted, subject
from mcp_sandbox.probe.known import Known
from mcp_sandbox.probe.refusal import is_about_input, said, texts
from mcp_sandbox.probe.repair import Repaired, canonical, repairs

_ACCEPTED = frozenset({CallStatus.RESULT, CallStatus.INPUT_REQUIRED})
_MAX_REFUSALS = 8
CUT = "…"
"""The one key of arguments that were too long to be kept."""


@dataclass
class _Tool:
    """What is known of one tool's ordinary calls."""

    accepted: bool = False
    beyond: bool = False
    """It was refused for want of a network or a key, or not answered: nothing is repaired."""
    refusals: dict[str, tuple[Json, tuple[str, ...]]] = field(default_factory=dict)
    """Arguments as text -> arguments and what was said of them."""
    made: list[Input] = field(default_factory=list)
    """Kept, because a call is known by its identity while the session lasts."""
    answered: bool = False
    """The call made last was."""
    seen: tuple[int, int] = (-1, -1)
    """What was known, and how many tools accepted something, when it was tried last."""


class Repairs:
    """Tell it every ordinary reply; ask it for the calls of a tool that refused."""

    def __init__(self, targets: Targets, allowance: int) -> None:
        """``allowance``: the most calls of the session."""
        self._targets = targets
        self._left = allowance
        self._known = Known()
        self._tools: dict[str, _Tool] = {}
        self._takers = 0
        self.bases: dict[str, Accepted] = {}
        """Tool -> the repaired arguments that it took."""

    def heard(self, item: Input, status: CallStatus, body: Json, *, clean: bool) -> None:
        """Take in the reply to an ordinary call. ``clean``: it holds no planted secret."""
        if item.kind is not ItemKind.TOOLS or item.family != VALID:
            return
        tool = self._tools.setdefault(item.target, _Tool())
        tool.answered = True
        if status in _ACCEPTED:
            self._takers += not tool.accepted
            tool.accepted = True
            if item.payload:
                self.bases.setdefault(item.target, Accepted(item.arguments, item.learned))
            if clean and status is CallStatus.RESULT:
                self._known.learn(item.target, body)
            return
        said_now = texts(body)
        if not is_about_input(status, said(said_now)):
            tool.beyond = True
        key = canonical(item.arguments)
        if key in tool.refusals or len(tool.refusals) < _MAX_REFUSALS:
            tool.refusals[key] = item.arguments, said_now

    def calls(self, listed: Json, name: str, most: int) -> Iterator[Input]:
        """At most ``most`` better calls of a tool, each made when the one before was answered."""
        tool = self._tools.get(name)
        if tool is None or tool.accepted or tool.beyond or not tool.refusals:
            return
        now = self._known.count, self._takers
        if tool.seen == now:
            return
        again, tool.seen = tool.seen != (-1, -1), now
        about = subject(listed, self._targets)
        refusals = list(tool.refusals.values())
        tried = [arguments for arguments, _ in refusals]
        heard = {said(words) for _, words in refusals}
        waiting: deque[Repaired] = deque()
        for arguments, words in reversed(refusals) if again else refusals:
            waiting += repairs(about, arguments, words, self._known, tried)
        if again and tool.made:
            last = tool.made[-1]  # what it lacked then may be there now
            waiting.insert(min(1, len(waiting)), Repaired(last.arguments, last.learned))
        for _ in range(most):
            if not waiting or self._left <= 0:
                return
            better = waiting.popleft()
            made = _input(name, better, len(tool.made) + 1)
            tool.made.append(made)
            tried.append(better.arguments)
            tool.answered = False
            self._left -= 1
            yield made
            if not tool.answered or tool.accepted or tool.beyond:
                return
            words = tool.refusals.get(canonical(better.arguments), (None, ()))[1]
            if said(words) not in heard:
                heard.add(said(words))
                further = repairs(about, better.arguments, words, self._known, tried)
                twice = {canonical(one.arguments) for one in further}
                rest = [one for one in waiting if canonical(one.arguments) not in twice]
                waiting = deque((*further, *rest))


def accepted_in(calls: Sequence[Call]) -> dict[str, Accepted]:
    """Tool -> the first repaired arguments that it took; without those too long to be kept."""
    found: dict[str, Accepted] = {}
    for call in calls:
        taken = call.status in _ACCEPTED and call.kind is ItemKind.TOOLS
        if taken and call.family == VALID and call.payload and CUT not in call.arguments:
            found.setdefault(call.target, Accepted(call.arguments, call.learned))
    return found


def _input(name: str, better: Repaired, number: int) -> Input:
    return Input(
        kind=ItemKind.TOOLS,
        target=name,
        parameter="",
        family=VALID,
        payload=f"repaired-{number}",
        nonce="",
        arguments=better.arguments,
        expected="",
        effect="",
        learned=better.learned,
    )
