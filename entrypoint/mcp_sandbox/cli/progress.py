"""What is going on, on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from mcp_sandbox.report.escape import terminal


class PlainProgress:
    """One line a phase, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def phase(self, name: str) -> None:
        """Print the phase and the time since the start."""
        with suppress(OSError):  # a log that nobody reads is no reason to end a scan
            self._console.print(f"[{time.monotonic() - self._start:6.1f} s] {name}", markup=False)

    def doing(self, what: str) -> None:
        """Calls are too many to print."""


class LiveProgress:
    """A line with the phase, what is being done, and the time."""

    def __init__(self, console: Console) -> None:
        self._start = time.monotonic()
        self._phase = ""
        self._doing = ""
        self._calls = 0
        self._spinner = Spinner("dots")
        self._live = Live(self, console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __rich__(self) -> Spinner:
        """Called by rich at every refresh."""
        line = Text(f"{time.monotonic() - self._start:5.1f} s  {self._phase}")
        if self._doing:
            line.append(f"  {terminal(self._doing)[:60]}  ({self._calls})", style="dim")
        self._spinner.update(text=line)
        return self._spinner

    def phase(self, name: str) -> None:
        """Show a new phase; at once, because many are shorter than a refresh."""
        self._phase, self._doing, self._calls = name, "", 0
        self._live.refresh()

    def doing(self, what: str) -> None:
        """Remember only: this is called for every single call."""
        self._doing = what
        self._calls += 1
