"""No attack on those who watch ends in a clean pass.

The command scans every mode of ``tests/servers/attacks``; ``expect.toml`` there says of every
attack whether it has to be in vain, to be reported, or to leave the run inconclusive.
"""

from __future__ import annotations

from typing import Any

import pytest

from mcp_sandbox.model import ImageFacts
from mcp_sandbox.sandbox import Engine
from support import acting
from support.front_door import Done
from support.on_engine import CORPUS_FILES
from support.scanning import Scanner, missing, shown, unseen

pytestmark = pytest.mark.engine

FAMILY = "attacks"
EXPECT = acting.expectations(FAMILY)
ATTACKS = [(mode, tool) for mode in sorted(EXPECT) for tool in EXPECT[mode]["attacks"]]


@pytest.fixture(scope="module")
def image(build: Any) -> ImageFacts:
    made: ImageFacts = build(acting.WITH_TOOLS + acting.start(FAMILY), CORPUS_FILES)
    return made


@pytest.fixture(scope="module")
def scanner(engine: Engine, docker_host: str | None, helper_image: str) -> Scanner:
    return Scanner(engine, docker_host, helper_image)


@pytest.fixture(scope="module")
def scans(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    scanner: Scanner,
    image: ImageFacts,
) -> dict[str, Done]:
    """One whole scan of each mode that a selected test asks for."""
    wanted = {mode: EXPECT[mode] for mode in acting.selected(request)}
    return scanner.modes(image.id, wanted, tmp_path_factory.mktemp(FAMILY))


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
    if wanting and attack.get("excused"):
        assert report["coverage"]["missing"], shown(report)
    else:
        assert wanting == [], shown(report)
