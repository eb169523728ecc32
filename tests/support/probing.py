"""Our prober on one stream, as the corpus tests use it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcp_sandbox.model import (
    ContainerFacts,
    Coverage,
    Era,
    Identity,
    ImageFacts,
    LaunchFacts,
    Observations,
    Relaxation,
    Session,
    Transcript,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.probe.inputs import Targets
from mcp_sandbox.probe.plan import Plan
from mcp_sandbox.probe.session import run
from mcp_sandbox.report import json as report_json
from support.stream import PipeStream

IDENTITY = Identity("corpus-test", "1.0.0")
"""It declares no capability: every request of a server but ping is undeclared."""


def hold(stream: PipeStream, plan: dict[str, Any]) -> tuple[Transcript, int]:
    """Hold a session; also returns how many bytes were recorded as received."""
    recorded = Counter[str]()

    def record(direction: str, data: bytes) -> None:
        recorded[direction] += len(data)

    settings = plan | {"era": Era(plan["era"])}
    transcript = run(
        stream,
        Plan(role="main", identity=IDENTITY, targets=Targets(seed=1), **settings),
        find=lambda _: (),
        mask=lambda text: text,
        record=record,
    )
    return transcript, recorded["in"]


def stored(transcript: Transcript) -> bytes:
    """``report.json`` with this transcript. Raises when it cannot be written and read again."""
    container = ContainerFacts(relaxation=Relaxation.NONE, user="", command_line=())
    report = Report(
        verdict=Verdict.INCONCLUSIVE,
        score=None,
        multiplier_class="",
        score_detail=None,
        gate=(),
        findings=(),
        coverage=Coverage(),
        observations=Observations(
            image=ImageFacts("corpus", "sha256:0", LaunchFacts()),
            sessions=(Session(transcript, container),),
        ),
    )
    document = report_json.dump(report)
    report_json.load(document)
    return document


def summary(transcript: Transcript) -> dict[str, Any]:
    """What the tests look at. Raises when the transcript cannot be stored."""
    return {
        "stored": len(stored(transcript)),
        "end": transcript.end,
        "end_detail": transcript.end_detail,
        "version": transcript.version,
        "breaches": {breach.kind: breach.count for breach in transcript.breaches},
        "samples": {breach.kind: breach.sample for breach in transcript.breaches},
        "listings": [
            [one.kind, one.moment, len(one.items), one.state, one.digest]
            for one in transcript.listings
        ],
        "calls": [[call.target[:64], call.status] for call in transcript.calls],
        "requests": {one.method: [one.count, one.answer] for one in transcript.server_requests},
        "notifications": transcript.notifications,
        "not_called": {name[:64]: why for name, why in transcript.not_called.items()},
        "left_out": list(transcript.left_out),
    }
