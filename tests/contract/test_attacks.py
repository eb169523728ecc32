"""No attack on those who watch ends in a clean pass.

The command scans every mode of ``tests/servers/attacks``; ``expect.toml`` there says of every
attack whether it has to be in vain, to be reported, or to leave the run inconclusive.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts, Tracing
from support import acting
from support.front_door import Done
from support.on_engine import CORPUS_FILES
from support.scanning import Scanner, missing, shown, unseen

pytestmark = pytest.mark.engine

FAMILY = "attacks"
EXPECT = acting.expectations(FAMILY)
ATTACKS = [(mode, tool) for mode in sorted(EXPECT) for tool in EXPECT[mode]["attacks"]]


@pytest.mark.parametrize("mode", sorted(EXPECT))
def test_an_attacked_run_never_passes(mode: str, scans: dict[str, Done]):
    done = scans[mode]
    assert done.code in {1, 3}, done.err
    assert done.report["verdict"] in {"fail", "inconclusive"}, shown(done.report)


@pytest.mark.parametrize(("mode", "tool"), ATTACKS)
def test_an_attack_is_in_vain_or_told(mode: str, tool: str, scans: dict[str, Done]):
    report, attack = scans[mode].report, EXPECT[mode]["attacks"][tool]
    wanting = missing(report, {f"tools/{tool}": attack.get("finding", [])})
    if "seen" in attack:
        wanting += unseen(report, tool, attack["seen"])
    if "outside" in attack:
        assert unseen(report, tool, attack["outside"], {Tracing.INSIDE})
        assert report["coverage"]["missing"] == [], shown(report)
        assert report["coverage"]["witnesses"]["trace"].startswith("main: opaque")
        wanting += unseen(report, tool, attack["outside"], {Tracing.OUTSIDE})
    if wanting and attack.get("excused"):
        assert report["coverage"]["missing"], shown(report)
    else:
        assert wanting == [], shown(report)


UNREADABLE = """\
USER root
RUN install -m 0111 "$(readlink -f /usr/bin/python3)" /opt/unreadable/python3
USER app
ENTRYPOINT ["/opt/unreadable/python3", "-B", "/srv/servers/good/server.py"]
"""


def test_a_server_that_nobody_may_read_is_traced_from_outside(
    scanner: Scanner, build: Any, tmp_path: Path
):
    """All its sessions are opaque from inside; the second ones are not, and it did nothing."""
    made: ImageFacts = build(acting.WITH_TOOLS + UNREADABLE, CORPUS_FILES)
    done = scanner.modes(made.id, {"none": {}}, tmp_path)["none"]
    sessions = done.report["observations"]["sessions"]
    tracing = Counter((one["transcript"]["role"], one["container"]["tracing"]) for one in sessions)
    roles = ("main", "identity", "stateless")
    assert tracing == Counter(
        [(role, how) for role in roles for how in ("inside", "outside")] + [("untraced", "none")]
    )
    assert done.report["coverage"]["missing"] == [], shown(done.report)
    assert (done.code, done.report["verdict"]) == (0, "pass"), shown(done.report)
