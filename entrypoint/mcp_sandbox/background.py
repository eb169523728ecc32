"""Work in a thread that nobody has to join, with its outcome in a future.

Daemons: who breaks a run off does not wait for work that cannot be reached any more.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def settle(future: Future[T], work: Callable[[], T]) -> None:
    """Do ``work`` here; what it returns or raises is the future's."""
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again where the outcome is asked for
        future.set_exception(error)


def thread(name: str, work: Callable[[], None]) -> Thread:
    """A daemon that does ``work`` once it is started."""
    return Thread(target=work, name=f"mcp-sandbox-{name}", daemon=True)


def begin(name: str, work: Callable[[], T]) -> Future[T]:
    """Start ``work`` in a thread of its own."""
    future: Future[T] = Future()
    thread(name, lambda: settle(future, work)).start()
    return future
