"""Fixtures of more than one file."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from mcp_sandbox import interrupts


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals raise as in the command; everything is put back afterwards."""
    numbers = (*interrupts.SIGNALS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    interrupts.arm()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
