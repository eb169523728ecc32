"""Signals that end a run: raised at once, but not while something is just coming into being.

Between the moment at which a process or a file exists and the moment at which we know it, nothing
could clear it away. What is made within ``held`` is known before the interruption is raised. Keep
it short: a hold delays the answer to Ctrl-C.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 0.01
"""Seconds after which an interruption that was lost in a finalizer is raised again."""


@dataclass
class _State:
    """Signals belong to the process, so this does too."""

    holds: int = 0
    pending: bool = False


_state = _State()


def arm() -> None:
    """From now on the first signal raises ``KeyboardInterrupt``, and those after it do nothing.

    Not an ``Exception``: libraries that catch every one of those (docker-py is one) let it through.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _swallowed


def disarm() -> None:
    """From now on signals do nothing, so that clearing away is not broken off.

    Not ``SIG_IGN``: Python complains of a signal that came just before, and children inherit it.
    """
    for number in SIGNALS:
        signal.signal(number, _pass)


def ignore() -> None:
    """For the very end: all but ignored signals get their deadly default back with the interpreter.

    Call ``disarm`` before it.
    """
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held() -> Iterator[None]:
    """An interruption within is raised at the end.

    Only the main thread is interrupted; in any other there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.holds += 1
    try:
        yield
    finally:
        _state.holds -= 1
        if _state.pending and not _state.holds:
            _state.pending = False
            raise KeyboardInterrupt


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that an interruption does not leave behind at whatever moment it comes."""
    folder = ""
    try:
        with held():
            folder = tempfile.mkdtemp(prefix=prefix)
        yield Path(folder)
    finally:
        with held():
            if folder:
                shutil.rmtree(folder)


def _interrupt(_number: int, _frame: types.FrameType | None) -> None:
    disarm()
    if _state.holds:
        _state.pending = True
    else:
        raise KeyboardInterrupt


def _swallowed(lost: sys.UnraisableHookArgs) -> None:
    """Raise once more what Python could not raise inside a finalizer: there it is only printed."""
    if lost.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        sys.__unraisablehook__(lost)


def _pass(_number: int, _frame: types.FrameType | None) -> None:
    """Handle a further signal."""
