"""One thread, many conversations: generators that wait for a socket or for a time."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from socket import socket

_TICK = 0.05
"""Seconds between two looks at the deadlines."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a conversation waits for; it is sent whether that came before ``until``."""

    sock: socket
    until: float
    """As ``time.monotonic`` counts."""
    write: bool = False


Task = Generator[Wait, bool, None]


class Loop:
    """Runs watchers (called whenever their descriptor is readable) and tasks (one wait at a time).

    A task ends by returning; ``close`` ends those that are left (they see ``GeneratorExit``).
    """

    def __init__(self) -> None:
        # poll, not epoll: standard input may be a file or /dev/null.
        self._selector = selectors.PollSelector()
        self._waiting: dict[Task, Wait] = {}
        self._looked = 0.0

    @property
    def tasks(self) -> int:
        """How many conversations are open."""
        return len(self._waiting)

    def watch(self, descriptor: int | socket, call: Callable[[], None]) -> None:
        """Call ``call`` whenever ``descriptor`` is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def unwatch(self, descriptor: int | socket) -> None:
        """Undo ``watch``."""
        self._selector.unregister(descriptor)

    def start(self, task: Task) -> None:
        """Run ``task`` up to its first wait."""
        self._resume(task, None)

    def step(self, seconds: float) -> None:
        """Wait at most ``seconds``, then serve what is ready and what is overdue."""
        if self._waiting:
            seconds = min(seconds, _TICK)
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Generator):
                self._resume(key.data, True)
            else:
                key.data()
        now = time.monotonic()
        if now - self._looked >= _TICK:
            self._looked = now
            for task in [one for one, wait in self._waiting.items() if wait.until <= now]:
                self._resume(task, False)

    def busy(self) -> bool:
        """Whether something is readable (or a task's turn) at this moment."""
        return bool(self._selector.select(0))

    def close(self) -> None:
        """End every task."""
        for task, wait in list(self._waiting.items()):
            self._selector.unregister(wait.sock)
            task.close()
        self._waiting.clear()

    def _resume(self, task: Task, came: bool | None) -> None:
        wait = self._waiting.pop(task, None)
        if wait is not None:
            self._selector.unregister(wait.sock)
        try:
            wait = next(task) if came is None else task.send(came)
        except StopIteration:
            return
        self._waiting[task] = wait
        self._selector.register(
            wait.sock, selectors.EVENT_WRITE if wait.write else selectors.EVENT_READ, task
        )
