"""What a person reads on the terminal: what was not done stands there, not only in the report."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from mcp_sandbox.cli.printing import print_report
from mcp_sandbox.model import (
    COMPLETE,
    Coverage,
)
from mcp_sandbox.model.answer import Report
from unit.report_samples import sample_report


def printed(report: Report) -> str:
    paper = io.StringIO()
    print_report(Console(file=paper, soft_wrap=True), report, folder=None)
    return paper.getvalue()


def test_a_scanner_that_did_not_do_all_is_named_with_its_reason():
    states = {"Trivy": "ran in part: no vulnerability database", "Hadolint": COMPLETE}
    text = printed(replace(sample_report(), coverage=Coverage(scanners=states)))
    assert "  Trivy: ran in part: no vulnerability database\n" in text
    assert "Hadolint" not in text


def test_a_place_that_packets_could_leave_to_stands_at_the_top():
    sample = sample_report()
    assert sample.observations is not None
    opened = replace(sample.observations, allowed=("api.example:443",))
    text = printed(replace(sample, observations=opened))
    assert "  packets could leave to: api.example:443\n" in text
    assert "packets could leave" not in printed(sample)
