"""What findings on HTTP say and show, whichever rule they come from."""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import Finding, Observations
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.http import HttpQuestion as Q
from mcp_sandbox.report import json as report_json
from mcp_sandbox.rules import evaluate
from support.http_samples import PLACE, asked, told
from unit.report_samples import sample_report


def of(observations: Observations, rule: str) -> list[Finding]:
    return [one for one in evaluate(observations) if one.rule == rule]


def test_a_finding_names_the_line_of_its_answer_and_the_start_of_the_server():
    (one,) = of(asked(told(Q.FOREIGN_HOST, result=True)), "http-dns-rebinding")
    assert one.seen == ("evidence/6-around.jsonl:2",)
    assert one.command[:2] == ("docker", "run")
    assert "POST /mcp; foreign-host" in one.message


def test_two_places_that_do_the_same_are_one_finding():
    made = asked(told(Q.FOREIGN_HOST, result=True))
    other = replace(made.http[0], place=replace(PLACE, path="/sse"))
    assert len(of(replace(made, http=(*made.http, other)), "http-dns-rebinding")) == 1


def test_a_saved_report_is_judged_the_same():
    made = asked(told(Q.FOREIGN_HOST, result=True), told(Q.TWO_LENGTHS, 400, answers=2))
    report: Report = replace(sample_report(), observations=made)
    loaded = report_json.load(report_json.dump(report))
    assert loaded.observations is not None
    assert evaluate(loaded.observations) == evaluate(made)


def test_over_standard_streams_nothing_is_said():
    made = replace(asked(told(Q.FOREIGN_HOST, result=True)), http=())
    assert not [one for one in evaluate(made) if one.rule.startswith("http-")]
