"""The hostile server's list of modes, and what a mode is made of.

A mode is a function that takes an honest server and spoils it, most often by replacing one of its
methods. Its name on the command line is the function's, with ``-`` for ``_``; its docstring says
what the server does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from honest import OPENINGS, Message, Server

Mode = Callable[["Hostile"], None]
MODES: dict[str, Mode] = {}
SANDBOX_VARIABLE = "MCP_TEST_IN_SANDBOX"


def mode(function: Mode) -> Mode:
    """Put a function on the list of modes."""
    name = function.__name__.replace("_", "-")
    if name in MODES:
        raise ValueError(f"two modes are called {name}")
    MODES[name] = function
    return function


class Hostile(Server):
    """An honest server whose parts can be replaced."""

    def replace(self, function: Callable[..., Any]) -> None:
        """Use a function instead of the method of the same name."""
        if not hasattr(self, function.__name__):
            raise AttributeError(f"there is no {function.__name__} to replace")
        setattr(self, function.__name__, function)

    def handle(self, method: str) -> Callable[[Callable[[Message], Any]], None]:
        """Use a function instead of the handler of a protocol method."""

        def register(function: Callable[[Message], Any]) -> None:
            self.handlers[method] = function

        return register


def opens(request: Message) -> bool:
    """Whether this is the request that opens a conversation."""
    return request["method"] in OPENINGS


def only_in_sandbox() -> None:
    """End at once (exit code 78) unless the test says that a sandbox holds us."""
    if os.environ.get(SANDBOX_VARIABLE) != "1":
        print(f"this mode runs only with {SANDBOX_VARIABLE}=1", file=sys.stderr)
        raise SystemExit(78)
