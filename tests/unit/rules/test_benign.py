"""Honest servers: nothing above a note, and a score that says so."""

from __future__ import annotations

import pytest

from mcp_sandbox import score
from mcp_sandbox.model import Coverage, RiskClass
from mcp_sandbox.rules import evaluate
from support import benign


def test_the_corpus_is_large_enough():
    assert len(benign.SERVERS) >= 20


@pytest.mark.parametrize("name", sorted(benign.SERVERS))
def test_nothing_above_a_note(name):
    findings = evaluate(benign.observations(name))
    above = [one for one in findings if one.class_ is not RiskClass.NOTE]
    assert [(one.rule, one.subject, one.message) for one in above] == []
    parts = score.detail(findings, Coverage())
    assert parts is not None
    assert score.total(parts) >= 95
