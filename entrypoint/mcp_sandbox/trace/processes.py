"""Who runs what: the processes of a trace, their programs and their folders."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TASKS = 65_536
"""Tasks that live at the same time."""
DEEPEST = 256
"""Generations that are looked through for an ancestor."""


@dataclass(slots=True, eq=False)
class Process:
    """A process; its threads share this object."""

    pid: int
    parent: Process | None
    program: str
    folder: str
    guessed: bool = False
    """Seen before the call that made it came back; its parent is the likely one."""
    executed: bool = False
    inner: int = 0
    """Its number as it sees it itself, in the folder of processes; 0 is not known."""

    def descends_from(self, other: Process) -> bool:
        """Whether ``other`` made this process, or one of those that made it."""
        parent = self.parent
        for _ in range(DEEPEST):
            if parent is None:
                return False
            if parent is other:
                return True
            parent = parent.parent
        return False


class Processes:
    """The tasks alive, by the number that the tracer gives them."""

    def __init__(self) -> None:
        self._tasks: dict[int, Process] = {}
        self._latest: tuple[Process, bool] | None = None
        """Who began a fork last, and whether of a thread."""
        self.refused = 0
        """Tasks that there was no room for."""

    def of(self, task: int) -> Process:
        """The process of a task; a task never seen belongs to whoever forked last."""
        process = self._tasks.get(task)
        return process if process is not None else self._adopt(task)

    def known(self, task: int) -> Process | None:
        """The process of a task that was seen before."""
        return self._tasks.get(task)

    def forking(self, parent: Process, *, thread: bool) -> None:
        """A fork has begun: the child may be heard of before the call comes back."""
        self._latest = (parent, thread)

    def forked(self, parent: Process, task: int, inner: int, *, thread: bool) -> None:
        """A fork came back with the number of its child, and the number that its maker got."""
        child = self._tasks.get(task)
        if child is None:
            child = parent if thread else Process(task, parent, parent.program, parent.folder)
            self._keep(task, child)
        elif thread and child is not parent:
            self._tasks[task] = parent
        elif child.guessed and not thread:
            child.guessed = False
            child.parent = parent
            if not child.executed:
                child.program = parent.program
        if child is not None and not thread:
            child.inner = inner

    def ended(self, task: int) -> Process | None:
        """Forget a task. The process when this was its first task, the one it is named after."""
        process = self._tasks.pop(task, None)
        if process is None or process.pid != task:
            return None
        # Chains of dead parents must not grow with the length of the trace.
        while (
            process.parent is not None and self._tasks.get(process.parent.pid) is not process.parent
        ):
            process.parent = process.parent.parent
        return process

    def moved(self, task: int, thread: int) -> None:
        """A thread that executed a program took over the number of its process."""
        process = self._tasks.pop(thread, None)
        if process is not None:
            self._tasks[task] = process

    def _adopt(self, task: int) -> Process:
        if self._latest is None:
            process = Process(task, None, "", "", guessed=True)
        else:
            parent, thread = self._latest
            process = (
                parent if thread else Process(task, parent, parent.program, parent.folder, True)
            )
        self._keep(task, process)
        return process

    def _keep(self, task: int, process: Process) -> None:
        if len(self._tasks) < MOST_TASKS:
            self._tasks[task] = process
        else:
            self.refused += 1
