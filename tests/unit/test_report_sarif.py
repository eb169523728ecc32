"""``results.sarif`` says what GitHub reads, no more and no less."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sarif_om as om

from mcp_sandbox.model import (
    Deed,
    Location,
    Profile,
    RiskClass,
    ScannerRule,
    ScannerRun,
    ScannerState,
    Verdict,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.locked import (
    Baseline,
    BaselineState,
    Behaviour,
    Change,
    Direction,
    Lock,
    Part,
)
from mcp_sandbox.report import sarif
from mcp_sandbox.report.rolling_hash import line_hashes
from mcp_sandbox.report.sarif.plain import document
from support.sarif_lint import lint, lint_complete
from unit.drift_samples import CHANGES, DRIFT, LOST, USED, compared, drifted
from unit.report_samples import (
    CHECKOUT,
    HOSTILE,
    RULES,
    finding,
    hostile_report,
    issue,
    sample_report,
    with_scanners,
)


def render(report: Report, **options: Any) -> sarif.Sarif:
    arguments = {"category": "mcp-sandbox/files", "tool_version": "0.1.0", "read": CHECKOUT.get}
    return sarif.render(report, RULES, **{**arguments, **options})


def run_of(report: Report, **options: Any) -> dict[str, Any]:
    (run,) = json.loads(render(report, **options).data)["runs"]
    return run


def with_findings(*findings: Any) -> Report:
    return replace(sample_report(), findings=findings)


def test_each_scanner_that_ran_has_a_run_of_its_own():
    report = with_scanners(
        ScannerRun("Trivy", ScannerState.RAN, version="0.74.0", issues=(issue("CVE-1"),)),
        ScannerRun("Hadolint", ScannerState.RAN),
    )
    log = json.loads(render(report).data)
    assert lint(log) == []
    ours, trivy, hadolint = log["runs"]
    assert not {one["ruleId"] for one in ours["results"]} & {"CVE-1"}
    assert trivy["tool"]["driver"]["name"] == "Trivy"
    assert trivy["automationDetails"]["id"] == "mcp-sandbox/files/trivy/"
    (result,) = trivy["results"]
    assert (result["ruleId"], result["level"]) == ("CVE-1", "warning")
    where = result["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "requirements.txt"
    assert (hadolint["tool"]["driver"]["name"], hadolint["results"]) == ("Hadolint", [])


@pytest.mark.parametrize(
    "state",
    [one for one in ScannerState if one is not ScannerState.RAN],
)
def test_a_scanner_that_did_not_come_to_its_end_has_none(state: ScannerState):
    """An incomplete run would close the alerts on what it did not look at."""
    report = with_scanners(ScannerRun("Trivy", state, "Why.", issues=(issue("CVE-1"),)))
    (ours,) = json.loads(render(report).data)["runs"]
    assert "CVE-1" not in {one["ruleId"] for one in ours["results"]}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_scanner_repeats_hostile_text_as_text(text: str):
    hostile = issue("CVE-1", title=text, message=text, subject=text, fix=text, url=text, path=text)
    report = with_scanners(ScannerRun("Trivy", ScannerState.RAN, version=text, issues=(hostile,)))
    assert lint(json.loads(render(report).data)) == []


def test_the_sample_is_what_github_wants():
    assert lint(json.loads(render(sample_report()).data)) == []


def test_one_run_of_our_own_driver():
    run = run_of(sample_report())
    assert run["tool"]["driver"]["name"] == "mcp-sandbox"
    assert run["tool"]["driver"]["semanticVersion"] == "0.1.0"
    assert run["automationDetails"]["id"] == "mcp-sandbox/files/"
    assert run["invocations"][0]["executionSuccessful"] is True


def test_every_rule_is_listed_without_any_result():
    run = run_of(with_findings())
    assert run["results"] == []
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(
        rule.id for rule in RULES
    )


def test_a_rule_is_described_whole():
    rules = {rule["id"]: rule for rule in run_of(sample_report())["tool"]["driver"]["rules"]}
    rule = rules["command-injection"]
    assert rule["name"] == "CommandInjection"
    assert rule["defaultConfiguration"]["level"] == "error"
    assert rule["properties"] == {
        "precision": "very-high",
        "security-severity": "9.5",
        "tags": ["security", "mcp", "external/cwe/cwe-078", "external/cwe/cwe-077"],
    }
    assert "never through a shell" in rule["help"]["markdown"]
    assert rule["helpUri"].endswith("#command-injection")
    assert rules["arbitrary-read"]["properties"]["security-severity"] == "8.0"
    assert rules["information-leak"]["properties"]["security-severity"] == "5.5"
    assert rules["information-leak"]["defaultConfiguration"]["level"] == "warning"
    assert rules["runs-as-root"]["defaultConfiguration"]["level"] == "note"
    assert "security-severity" not in rules["runs-as-root"]["properties"]


def test_the_seed_profile_ranks_rules_by_the_seed():
    report = replace(sample_report(), profile=Profile.SEED)
    rules = {rule["id"]: rule for rule in run_of(report)["tool"]["driver"]["rules"]}
    assert rules["information-leak"]["properties"]["security-severity"] == "8.0"


def test_tags_are_bounded():
    many = replace(RULES[0], cwe=tuple(range(100, 130)))
    data = sarif.render(with_findings(), [many], category="x", tool_version="1.0.0").data
    (rule,) = json.loads(data)["runs"][0]["tool"]["driver"]["rules"]
    assert len(rule["properties"]["tags"]) == 10


def test_a_result_stands_on_its_line():
    result = run_of(sample_report())["results"][0]
    assert result["ruleId"] == "command-injection"
    assert result["level"] == "error"
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "server/tools.py"},
        "region": {"startLine": 6, "startColumn": 1, "endLine": 6, "endColumn": 33},
    }
    assert location["logicalLocations"] == [
        {"fullyQualifiedName": "mcp:tools/read_file#/path"},
    ]
    assert result["partialFingerprints"] == {
        "primaryLocationLineHash": line_hashes(CHECKOUT["server/tools.py"])[5],
        "mcpSandbox/v1": finding().fingerprint,
    }


def test_columns_count_utf16_units_behind_the_indentation():
    where = Location("a.py", 2, "definition")
    source = "#\n\t x = '\U0001f600'  \n".encode()
    run = run_of(with_findings(finding(location=where)), read={"a.py": source}.get)
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 11}


@pytest.mark.parametrize("line", [1, 7, 11, 12, 13, 10**6])
def test_hash_and_columns_are_left_out_where_there_is_no_text(line: int):
    where = Location("a.py", line, "definition")
    run = run_of(with_findings(finding(location=where)), read={"a.py": b"x\n" * 10}.get)
    result = run["results"][0]
    assert ("primaryLocationLineHash" in result["partialFingerprints"]) == (line <= 11)
    region = result["locations"][0]["physicalLocation"]["region"]
    assert ("endColumn" in region) == (line <= 10)


def test_without_a_checkout_github_computes_the_hash_itself():
    run = run_of(sample_report(), read=None)
    for result in run["results"]:
        assert list(result["partialFingerprints"]) == ["mcpSandbox/v1"]
        assert "endLine" not in result["locations"][0]["physicalLocation"]["region"]


@pytest.mark.parametrize(
    "where",
    [
        None,
        Location("/etc/passwd", 1, "x"),
        Location("../outside.py", 1, "x"),
        Location("", 1, "x"),
        Location("server/tools.py", 0, "x"),
    ],
)
def test_a_finding_without_a_usable_line_stands_on_the_fallback(where: Location | None):
    (result,) = run_of(with_findings(finding(location=where)))["results"]
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "Dockerfile"
    assert physical["region"]["startLine"] == 3
    bare = replace(with_findings(finding(location=where)), observations=None)
    (result,) = run_of(bare)["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_a_path_is_percent_encoded():
    (result,) = run_of(with_findings(finding(location=Location("a b/ü#.py", 1, "x"))))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%20b/%C3%BC%23.py"


def test_suppressed_findings_are_not_uploaded():
    assert run_of(with_findings(finding(suppressed="known")))["results"] == []


def test_findings_of_one_rule_on_one_line_are_one_result():
    group = [finding(subject=f"tools/t{number}") for number in range(30)]
    mild = replace(group[20], class_=RiskClass.MEDIUM)
    (result,) = run_of(with_findings(*group[:20], mild, *group[21:]))["results"]
    assert result["properties"]["findings"] == 30
    assert result["level"] == "error"
    text = result["message"]["text"]
    assert "The same here: tools/t1, " in text
    assert text.endswith(" and 9 more.")
    assert len(text) <= 1_000
    elsewhere = replace(group[1], location=Location("server/tools.py", 10, "definition"))
    assert len(run_of(with_findings(group[0], elsewhere))["results"]) == 2


def test_a_blank_message_is_named():
    (result,) = run_of(with_findings(finding(message=" ")))["results"]
    assert result["message"]["text"] == "(blank)"


def test_worst_first_and_the_cut_is_told():
    many = [
        finding("information-leak", subject=f"tools/{n}", location=Location("x.py", n + 1, "x"))
        for n in range(sarif.MAX_RESULTS + 10)
    ]
    made = render(with_findings(*many, finding()))
    run = json.loads(made.data)["runs"][0]
    assert made.results == len(run["results"]) == sarif.MAX_RESULTS
    assert run["results"][0]["ruleId"] == "command-injection"
    (said,) = made.left_out
    assert said.startswith("11 results")
    assert run["properties"]["leftOut"] == [said]
    assert said in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert render(sample_report()).left_out == ()


def test_the_order_of_findings_does_not_matter():
    report = sample_report()
    turned = replace(report, findings=tuple(reversed(report.findings)))
    assert render(turned).data == render(report).data


def test_nothing_volatile_is_written():
    report = sample_report()
    later = replace(report, run=replace(report.run, started="2027-01-01T00:00:00Z"), versions={})
    assert render(later).data == render(report).data


def test_a_run_that_broke_off_closes_no_alerts():
    made = render(replace(sample_report(), verdict=Verdict.ERROR))
    assert json.loads(made.data)["runs"] == []
    assert made.results == 0


def test_an_inconclusive_run_says_why():
    report = sample_report()
    short = replace(report.coverage, missing=("The tool [x] was not reached.",))
    report = replace(report, verdict=Verdict.INCONCLUSIVE, coverage=short)
    (said,) = run_of(report)["invocations"][0]["toolExecutionNotifications"]
    assert said == {"level": "warning", "message": {"text": r"The tool \[x\] was not reached."}}


def test_a_finding_of_an_unlisted_rule_is_refused():
    with pytest.raises(ValueError, match="not listed: no-such-rule"):
        render(with_findings(replace(finding(), rule="no-such-rule")))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_no_structure(text: str):
    data = render(hostile_report(text), category=text, read=None).data
    assert data.isascii()
    assert lint(json.loads(data)) == []
    plain = render(hostile_report("x"), read=None).data
    assert shape(json.loads(data)) == shape(json.loads(plain))


def shape(node: Any) -> Any:
    """A document without its texts and numbers."""
    if isinstance(node, dict):
        return {key: shape(item) for key, item in node.items()}
    return [shape(item) for item in node] if isinstance(node, list) else None


def test_the_serialiser_keeps_what_equals_a_default():
    result = om.Result(
        message=om.Message(text="x"),
        level="warning",
        rule_index=0,
        suppressions=[om.Suppression(kind="external", state="accepted")],
    )
    assert document(result) == {
        "kind": "fail",
        "level": "warning",
        "message": {"text": "x"},
        "ruleIndex": 0,
        "suppressions": [{"kind": "external", "status": "accepted"}],
    }


# --- drift, and the file that is not uploaded -----------------------------------------------------

LOCK_LINES = b'{\n  "behaviour": {\n    "start-up": {\n'
LOCK = Lock("0.1.0", behaviour={"tools/read_file": Behaviour(programs=("expr",))})
COMPARED = compared(sample_report(), baseline=replace(USED, lock=LOCK))


def test_drift_stands_in_the_run_of_our_own():
    run = run_of(COMPARED)
    assert lint({"runs": [run]}) == []
    found = {one["ruleId"] for one in run["results"]}
    assert found >= {one.rule for one in DRIFT}
    assert not [one for one in run["results"] if "baselineState" in one]
    accepted = tuple(replace(one, suppressed="agreed") for one in DRIFT)
    live = {one["ruleId"] for one in run_of(replace(COMPARED, drift=accepted))["results"]}
    assert not live & {one.rule for one in DRIFT}


def test_a_line_of_the_lock_file_has_a_region_and_a_hash():
    where = Location("server/mcp-sandbox.lock.json", 3, "lock file")
    report = replace(COMPARED, findings=(), drift=(replace(DRIFT[0], location=where),))
    (result,) = run_of(report, read={where.path: LOCK_LINES}.get)["results"]
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == where.path
    assert physical["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 18}
    expected = line_hashes(LOCK_LINES)[2]
    assert result["partialFingerprints"]["primaryLocationLineHash"] == expected


def test_the_complete_file_has_what_was_accepted_and_why():
    sample = replace(COMPARED, drift=(replace(DRIFT[1], suppressed="agreed {0}\x1b"), *DRIFT[2:]))
    run = run_of(sample, complete=True)
    assert lint_complete({"runs": [run]}) == []
    suppressed = {
        one["ruleId"]: one["suppressions"] for one in run["results"] if "suppressions" in one
    }
    assert suppressed == {
        "information-leak": [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "accepted until the rewrite",
            }
        ],
        "tool-description-changed": [
            {"kind": "external", "status": "accepted", "justification": "agreed {0}\\x1b"}
        ],
    }
    assert run["properties"]["baseline"] == USED.origin
    assert [one for one in lint({"runs": [run]}) if "open alert" in one], "it is not for an upload"


def test_the_complete_file_says_what_is_new():
    gone = drifted("new-executable", LOST, class_=RiskClass.NOTE, message="`git` is gone.")
    unseen = finding(subject="tools/run_query", about=(Deed("tools/run_query", "programs", "sh"),))
    told = finding("runs-as-root", location=None, about=())
    score = Change(Part.SCORE, Direction.LOST, "server", "98", "60")
    lower = drifted("score-dropped", score, class_=RiskClass.MEDIUM)
    report = replace(
        COMPARED,
        findings=(finding(), unseen, told),
        drift=(*DRIFT, gone, lower),
        changes=(*CHANGES, score),
    )
    states = {
        one["partialFingerprints"]["mcpSandbox/v1"]: one.get("baselineState")
        for one in run_of(report, complete=True)["results"]
    }
    assert states == {
        finding().fingerprint: "unchanged",
        unseen.fingerprint: "new",
        told.fingerprint: None,
        gone.fingerprint: "absent",
        **{one.fingerprint: "new" for one in (*DRIFT, lower)},
    }
    missing = replace(report, baseline=Baseline(BaselineState.MISSING))
    results = run_of(missing, complete=True)["results"]
    assert not [one for one in results if "baselineState" in one]


def test_the_complete_file_has_the_scanners_that_failed():
    report = with_scanners(
        ScannerRun("Trivy", ScannerState.PARTLY, "No database.", issues=(issue("CVE-1"),)),
        ScannerRun("Hadolint", ScannerState.FAILED, ""),
        ScannerRun("Semgrep", ScannerState.NOT_INSTALLED, "It is not there."),
    )
    _, trivy, hadolint = json.loads(render(report, complete=True).data)["runs"]
    assert [one["ruleId"] for one in trivy["results"]] == ["CVE-1"]
    assert [run["invocations"][0]["executionSuccessful"] for run in (trivy, hadolint)] == [
        False
    ] * 2
    (said, *_) = trivy["invocations"][0]["toolExecutionNotifications"]
    assert said["message"]["text"] == "ran in part: No database."


def test_a_scanner_lists_all_it_looked_for():
    """A rule that is not listed any more leaves its alerts open."""
    rules = (
        ScannerRule("a-rule", "A title", "Mend it.", RiskClass.MEDIUM, (78,)),
        ScannerRule("b-rule", "Another", "Mend that.", RiskClass.NOTE),
    )
    hit = issue("a-rule", title="not the rule's", url="")
    report = with_scanners(
        ScannerRun("Semgrep", ScannerState.RAN, issues=(hit,)),
        ScannerRun("Trivy", ScannerState.RAN, issues=(issue("CVE-1"),)),
    )
    log = json.loads(render(report, scanner_rules={"Semgrep": rules}).data)
    assert lint(log) == []
    _, semgrep, trivy = (run["tool"]["driver"]["rules"] for run in log["runs"])
    assert [rule["id"] for rule in semgrep] == ["a-rule", "b-rule"]
    assert semgrep[0]["shortDescription"]["text"] == "A title"
    assert semgrep[0]["properties"]["tags"] == ["security", "external/cwe/cwe-078"]
    assert semgrep[0]["properties"]["security-severity"] == "5.5"
    assert semgrep[1]["defaultConfiguration"]["level"] == "note"
    assert [rule["id"] for rule in trivy] == ["CVE-1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_no_structure_of_the_complete_file(text: str):
    data = render(hostile_report(text), category=text, read=None, complete=True).data
    assert data.isascii()
    assert lint_complete(json.loads(data)) == []
    plain = render(hostile_report("x"), read=None, complete=True).data
    logs = [json.loads(one) for one in (data, plain)]
    for run in (run for log in logs for run in log["runs"]):
        # Which of two findings of one rule is first is told by their subjects.
        run["results"].sort(key=lambda one: one["partialFingerprints"]["mcpSandbox/v1"])
    assert shape(logs[0]) == shape(logs[1])


# --- the lint itself ------------------------------------------------------------------------------


def first_result(run: dict[str, Any]) -> dict[str, Any]:
    return run["results"][0]


def first_rule(run: dict[str, Any]) -> dict[str, Any]:
    return run["tool"]["driver"]["rules"][0]


def artifact(run: dict[str, Any]) -> dict[str, Any]:
    return first_result(run)["locations"][0]["physicalLocation"]["artifactLocation"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda run: run["automationDetails"].update(id="x"), "no slash"),
        (lambda run: run["invocations"][0].update(executionSuccessful=False), "invocation failed"),
        (lambda run: first_rule(run)["properties"].update({"security-severity": 8.0}), "severity"),
        (lambda run: first_rule(run)["properties"].update({"security-severity": "High"}), "High"),
        (lambda run: first_rule(run)["properties"].update(tags=["security"] * 11), "11 tags"),
        (lambda run: first_rule(run)["properties"].update(tags=[]), "not tagged"),
        (lambda run: first_rule(run).pop("help"), "no help"),
        (lambda run: first_rule(run).update(defaultConfiguration={}), "no default level"),
        (lambda run: first_rule(run)["shortDescription"].update(text="x" * 1025), "too long"),
        (lambda run: run["tool"]["driver"]["rules"].append(first_rule(run)), "duplicate rule"),
        (lambda run: first_result(run).update(ruleId="unknown"), "no listed rule"),
        (lambda run: first_result(run).update(ruleIndex=3), "no listed rule"),
        (lambda run: first_result(run).pop("level"), "no explicit level"),
        (lambda run: first_result(run).update(kind="pass"), "did not fail"),
        (lambda run: first_result(run).update(suppressions=[]), "open alert"),
        (lambda run: first_result(run).update(baselineState="absent"), "open alert"),
        (lambda run: first_result(run)["message"].update(text="x" * 1001), "1001 characters"),
        (lambda run: first_result(run)["message"].update(text=" "), "message of 1 char"),
        (lambda run: first_result(run)["locations"].clear(), "0 locations"),
        (lambda run: artifact(run).update(uri="../x"), "leaves the checkout"),
        (lambda run: artifact(run).update(uri="a/%2e%2e/x"), "leaves the checkout"),
        (lambda run: artifact(run).update(uri="file:///x"), "not relative"),
        (lambda run: artifact(run).update(uri="a b"), "not percent-encoded"),
        (
            lambda run: first_result(run)["partialFingerprints"].update(
                primaryLocationLineHash="abc"
            ),
            "line hash",
        ),
        (lambda run: run["results"].append(first_result(run)), "two results of one rule"),
        (lambda run: run.update(results=[first_result(run)] * 5001), "5001 results"),
    ],
)
def test_the_lint_bites(spoil: Callable[[dict[str, Any]], object], sentence: str):
    written = json.loads(render(sample_report()).data)
    spoil(written["runs"][0])
    assert [text for text in lint(written) if sentence in text]


def test_the_lint_finds_two_runs_of_one_category():
    written = json.loads(render(sample_report()).data)
    written["runs"].append(copy.deepcopy(written["runs"][0]))
    assert [text for text in lint(written) if text.startswith("duplicate category")]
