"""What is going on, as a terminal shows it."""

from __future__ import annotations

import io

from rich.console import Console

from mcp_sandbox.cli.progress import LiveProgress


def test_the_live_line_shows_phase_call_and_count_and_no_control_character_of_a_server():
    paper = io.StringIO()
    console = Console(file=paper, width=100, force_terminal=False)
    live = LiveProgress(console)
    live.phase("probe: main")
    live.doing("first")
    live.doing("tool\x1b[31m\r::error::x")
    console.print(live)
    shown = paper.getvalue()
    assert "probe: main" in shown
    assert r"tool\x1b[31m\r::error::x" in shown
    assert "(2)" in shown
    live.phase("stop: main")
    console.print(live)
    assert "(2)" not in paper.getvalue().splitlines()[-1]


def test_every_phase_is_drawn_however_short():
    paper = io.StringIO()
    console = Console(file=paper, width=100, force_terminal=True, legacy_windows=False)
    phases = [f"phase {number}" for number in range(20)]
    with LiveProgress(console) as live:
        for name in phases:
            live.phase(name)
    assert [name for name in phases if name not in paper.getvalue()] == []
