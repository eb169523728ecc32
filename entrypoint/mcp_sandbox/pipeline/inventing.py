"""Give a server what it turns out to lack, a few times: what it names, what its help asks for.

What is invented is part of every container of the run from then on, known to the matcher where it
is secret, and told of in the report. What the user gave is never touched.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from dataclasses import replace

from mcp_sandbox.errors import ServerNotStarted
from mcp_sandbox.launch import help as usage
from mcp_sandbox.launch import slots
from mcp_sandbox.launch.failure import UNCERTAIN
from mcp_sandbox.launch.inventor import Inventor
from mcp_sandbox.launch.seen import Failure, Seen
from mcp_sandbox.model import Relaxation, Tracing, Transport
from mcp_sandbox.model.launch import Needed, StartReason, Where, slot
from mcp_sandbox.pipeline.plans import Plans
from mcp_sandbox.pipeline.running import Held
from mcp_sandbox.sandbox import Given, Server

MAX_RESTARTS = 6
HELP_TIME = 10.0
"""Seconds that ``--help`` may take."""
MAX_HELP = 64 * 2**10
"""Bytes of its answer that are read."""
HELP_GRACE = 0.5
LEAST_TIME = 5.0
"""Seconds that have to be left of the run for another start."""

_ANOTHER_VALUE = frozenset(
    {
        StartReason.EXITED,
        StartReason.NEEDS_NETWORK,
        StartReason.MISSING_SETTING,
        StartReason.CRASHED_AT_IMPORT,
        StartReason.NEVER_ANSWERED,
    }
)
"""Reasons that may lie in a value that was invented, a database that is not there say."""
_LEFT_OUT = frozenset({StartReason.EXITED, StartReason.EXITED_CLEANLY, StartReason.MISSING_SETTING})
"""Reasons that may lie in a setting that is said to be optional."""


class Inventing:
    """What is invented for the server of one run."""

    def __init__(self, plans: Plans, held: Held) -> None:
        """Invent what is known to be required, before the server is started for the first time."""
        tools = plans.tools
        settings, decided = tools.settings, tools.launch
        flags = {word.partition("=")[0] for word in settings.args if word.startswith("-")}
        words = decided.arguments or ()
        self._plans = plans
        self._held = held
        self._environment = dict(tools.environment)
        self._asked_help = False
        self._restarts = 0
        self._inventor = Inventor(
            settings.seed,
            tools.grower.secret,
            taken={pair.partition("=")[0] for pair in settings.env} | flags,
            slotted={one.name for one in decided.needed if any(slot(one.name) in w for w in words)},
        )
        self._inventor.add(one for one in decided.needed if one.required)
        self._hand_over()

    def again(self, seen: Seen, failure: Failure, relaxation: Relaxation) -> bool:
        """Whether there is something new to start the server with; if so it is in the tools."""
        if self._restarts >= MAX_RESTARTS or self._plans.left < LEAST_TIME:
            return False
        if not self._found_something(seen, failure, relaxation):
            return False
        self._restarts += 1
        self._hand_over()
        return True

    def _found_something(self, seen: Seen, failure: Failure, relaxation: Relaxation) -> bool:
        add, reason = self._inventor.add, failure.reason
        said = f"{seen.stderr}\n{seen.stdout}"
        mended = {*self._inventor.opened(said), *self._inventor.written(said)}
        if add(one for one in failure.needed if one.name not in mended) or mended:
            return True
        if reason is StartReason.WRONG_TRANSPORT and add(self._over_stdio(seen.stderr)):
            return True
        if reason in _LEFT_OUT and add(self._new(self._plans.tools.launch.needed)):
            return True
        if reason in UNCERTAIN and not self._asked_help:
            said = self._help(relaxation)
            words = self._plans.tools.launch.arguments or self._plans.tools.sandbox.arguments
            wanted = usage.beyond(usage.required(said), words)
            lacking = [one.name for one in failure.needed if one.where is Where.ENVIRONMENT]
            asked = [one for one in wanted if one.required]
            # One that names its settings was started as a server.
            asked += usage.named(said, lacking) if lacking else self._over_stdio(said)
            if add(self._new(asked)):
                return True
        return reason in _ANOTHER_VALUE and self._inventor.reconsider()

    def _new(self, needed: Iterable[Needed]) -> list[Needed]:
        known = {one.name for one in self._inventor.invented}
        return [one for one in needed if one.name not in known]

    def _over_stdio(self, text: str) -> tuple[Needed, ...]:
        wanted = self._plans.tools.settings.transport
        return () if wanted in {Transport.HTTP, Transport.SSE} else usage.over_stdio(text)

    def _hand_over(self) -> None:
        """Put what was invented into the tools that the next start takes."""
        inventor, tools = self._inventor, self._plans.tools
        files = {path: data for path, data in inventor.files.items() if path not in tools.bait}
        if files:
            tools.sandbox.plant(files, {})
        folders = (*tools.targets.directories, *inventor.folders)
        self._plans.tools = replace(
            tools,
            environment=self._environment | inventor.secrets,
            given=self._given(),
            targets=replace(tools.targets, directories=tuple(dict.fromkeys(folders))),
            bait=tools.bait | files.keys(),
        )
        self._held.launch = replace(
            self._held.launch, invented=inventor.invented, restarts=self._restarts
        )
        self._held.planted = tools.grower.grown

    def _given(self) -> Given:
        inventor, decided = self._inventor, self._plans.tools.launch
        command = None
        if decided.arguments is not None:
            pairs = {name: inventor.value(name) for name in inventor.slotted}
            words = slots.filled(decided.arguments, {n: value for n, (value, _) in pairs.items()})
            shown = slots.filled(decided.arguments, {n: told for n, (_, told) in pairs.items()})
            command = tuple(zip(words, shown, strict=True))
        return Given(inventor.settings, command, inventor.arguments)

    def _help(self, relaxation: Relaxation) -> str:
        """What the server says when it is asked how it is called; bounded, once."""
        self._asked_help = True
        tools = self._plans.tools
        tools.observer.phase("start: --help")
        given = replace(tools.given, arguments=(("--help", "--help"),))
        try:
            server = tools.sandbox.start(
                relaxation=relaxation,
                environment=tools.environment,
                name=tools.name("help"),
                tracing=Tracing.NONE,
                given=given,
            )
        except ServerNotStarted:
            return ""
        said = _read(server, min(HELP_TIME, tools.settings.start_timeout))
        facts = server.finish(grace=HELP_GRACE, find=tools.matcher.find, mask=tools.matcher.mask)
        note = "Asked with --help how it is called."
        self._held.launch = replace(self._held.launch, notes=(*self._held.launch.notes, note))
        return f"{said.decode('utf-8', 'replace')}\n{facts.stderr}"


def _read(server: Server, patience: float) -> bytes:
    """The beginning of its standard output, until it ends or its time is up."""
    deadline = time.monotonic() + patience
    said = bytearray()
    stream = server.stream
    while len(said) < MAX_HELP and not stream.ended:
        rest = deadline - time.monotonic()
        if rest <= 0:
            break
        if select.select([stream], [], [], rest)[0]:
            said += stream.recv() or b""
    return bytes(said[:MAX_HELP])
