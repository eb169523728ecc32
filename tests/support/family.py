"""Ends everything that a hostile server started, by process id, whatever it did to hide.

A process that double-forks and calls ``setsid`` leaves its parent, its group and its session. It
cannot leave its nearest living *subreaper*: the kernel makes it that process's child (Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every orphan among its descendants."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def descendants() -> list[int]:
    """Ids of all live processes that descend from this one, parents first; zombies do not count."""
    children: dict[int, list[int]] = {}
    zombies = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything, so the fields count from its end.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(parent), []).append(int(entry.name))
        if state == "Z":
            zombies.add(int(entry.name))
    found = list(children.get(os.getpid(), ()))
    for process in found:
        found.extend(children.get(process, ()))
    return [process for process in found if process not in zombies]


def end_descendants() -> None:
    """Kill all descendants and collect them, until none is left."""
    while found := descendants():
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        collect()
    collect()


def collect() -> None:
    """Wait for every child; call it when all of them are ending."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return
