"""No packet leaves a scan: the counters of the engine's network stand still, whatever is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.sandbox import Engine
from support import acting
from support.on_engine import BASE
from support.scanning import Scanner

pytestmark = pytest.mark.engine

FAMILY = "behaviour"
BRIDGE = Path("/sys/class/net/docker0/statistics")
"""Of the machine that the engine runs on: every packet of a container goes through it."""
GATEWAY = "172.17.0.1"


def passed() -> int:
    """Packets that have gone through the engine's bridge, in both directions."""
    return sum(int((BRIDGE / name).read_text()) for name in ("rx_packets", "tx_packets"))


def test_a_thief_reaches_nobody_and_the_counter_would_have_seen_it(
    engine: Engine, scanner: Scanner, image: ImageFacts, tmp_path: Path
):
    wanted = {"thief": acting.expectations(FAMILY)["thief"]}
    before = passed()
    report = scanner.modes(image.id, wanted, tmp_path)["thief"].report
    assert passed() == before
    tried = [
        event["host"]
        for session in report["observations"]["sessions"]
        for event in session["container"]["sink"]
        if event["kind"] in {"http", "tcp", "tls"}
    ]
    assert len(tried) > 3
    assert any(one["rule"] == "canary-exfiltrated" for one in report["findings"])
    made = engine.api.create_container(
        BASE,
        ["bash", "-c", f"echo > /dev/tcp/{GATEWAY}/9"],
        labels={"dev.mcp-sandbox.test": "bridge"},
    )
    try:
        engine.api.start(made["Id"])
        engine.api.wait(made["Id"], timeout=30)
    finally:
        engine.remove_container(made["Id"])
    assert passed() > before
