"""What a policy does to findings, what it cannot do, and what is said of its own entries."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.model import (
    COMPLETE,
    NOT_USED,
    RISK_ORDER,
    Coverage,
    Deed,
    Evidence,
    Finding,
    RiskClass,
    ToolCoverage,
    ToolOutcome,
)
from mcp_sandbox.model.locked import Acceptance, ClassOverride, Permission, Policy
from mcp_sandbox.policy import INFOS, Applied, apply
from mcp_sandbox.policy.apply import EXACTLY, PARTS, PERMITTED
from mcp_sandbox.policy.objects import EVERYWHERE
from mcp_sandbox.rules import ALL
from mcp_sandbox.rules.registry import COMPARING
from support.observed import finding

TODAY = date(2026, 11, 21)
LATER = date(2027, 1, 31)
C, H, M, N = RISK_ORDER
BY_ID = {info.id: info for info in ALL}
CALLED = ToolCoverage(ToolOutcome.CALLED)
WHOLE = Coverage(
    tools={"find": CALLED, "a#b": CALLED},
    witnesses={"sink": COMPLETE},
    scanners={"Trivy": COMPLETE, "Semgrep": "ran in part: no rules"},
)
DRIFT_RULES = frozenset({"tool-added", "new-network-endpoint", "new-executable", "new-file-access"})


def one(rule: str = "hang", class_: RiskClass = M, **changes) -> Finding:
    return replace(finding(class_, rule), **{"subject": "tools/find", **changes})


def accept(rule: str = "hang", **changes) -> Acceptance:
    return replace(Acceptance(rule, "Known.", LATER, line=7), **changes)


def applied(policy: Policy, *findings: Finding, coverage: Coverage = WHOLE, drift=()) -> Applied:
    return apply(findings, policy, TODAY, coverage=coverage, drift=drift, drift_rules=DRIFT_RULES)


def suppressed(policy: Policy, found: Finding) -> str:
    return applied(policy, found).findings[0].suppressed


def complaints(policy: Policy, *findings: Finding, **more) -> list[tuple[str, RiskClass, str]]:
    told = applied(policy, *findings, **more).complaints
    return [(each.rule, each.class_, each.message) for each in told]


# --- acceptances ----------------------------------------------------------------------------------

MATCHES = [
    (accept(), one(), True),
    (accept("ssrf"), one(), False),
    (accept(subject="tools/find"), one(), True),
    (accept(subject="tools/find"), one(subject="tools/find#/path"), True),
    (accept(subject="tools/find#/path"), one(subject="tools/find#/path"), True),
    (accept(subject="tools/find#/path"), one(subject="tools/find#/other"), False),
    (accept(subject="tools/find"), one(subject="tools/finder"), False),
    (accept(subject="tools/fin"), one(), False),
    (accept(about="TELEMETRY.example"), one(message="It asked telemetry.example for."), True),
    (accept(about="telemetry.example"), one(message="It asked evil.example for."), False),
    (accept(fingerprint="0" * 64), one(), True),
    (accept(fingerprint="1" * 64), one(), False),
    (accept(subject="tools/find", about="nothing", fingerprint="0" * 64), one(), False),
    # A rule of ours is not a scanner's of the same name.
    (accept(), one(tool="Trivy"), False),
    (accept(tool="trivy"), one(tool="Trivy"), True),
    (accept(tool="trivy"), one(tool="Hadolint"), False),
    (accept(tool="trivy"), one(), False),
]


@pytest.mark.parametrize(("entry", "found", "fits"), MATCHES)
def test_an_acceptance_is_for_what_it_names(entry, found, fits):
    told = suppressed(Policy(accept=(entry,)), found)
    assert told == ("Accepted until 2027-01-31: Known." if fits else "")


def test_the_day_itself_is_within_it():
    for expires, counts in ((TODAY, True), (TODAY - timedelta(days=1), False)):
        assert bool(suppressed(Policy(accept=(accept(expires=expires),)), one())) == counts


def test_what_lasts_longest_is_named_and_none_of_both_is_unused():
    shorter = accept(expires=TODAY, reason="Shorter.", subject="tools/find")
    policy = Policy(accept=(shorter, accept()))
    assert suppressed(policy, one()) == "Accepted until 2027-01-31: Known."
    assert complaints(policy, one()) == []


def test_drift_is_accepted_like_all_else():
    done = applied(Policy(accept=(accept("tool-added"),)), drift=[one("tool-added")])
    assert done.drift[0].suppressed
    assert done.complaints == ()


def test_a_proved_and_critical_finding_can_be_accepted():
    found = one("command-injection", C, evidence=Evidence.E2)
    assert suppressed(Policy(accept=(accept("command-injection"),)), found)


def test_what_did_not_count_before_keeps_its_own_reason():
    assert suppressed(Policy(accept=(accept(),)), one(suppressed="by us")) == "by us"


# --- the policy's own faults ----------------------------------------------------------------------


def test_an_acceptance_past_its_date_accepts_nothing_and_is_told():
    policy = Policy(accept=(accept(expires=date(2026, 11, 20)),), path="mcp-sandbox.toml")
    done = applied(policy, one())
    assert not done.findings[0].suppressed
    (told,) = done.complaints
    assert (told.rule, told.class_) == ("policy-expired", M)
    assert "was until 2026-11-20" in told.message
    assert (told.location.path, told.location.line) == ("mcp-sandbox.toml", 7)
    # Also where the run saw less than it should: a date needs no run.
    assert complaints(policy, coverage=Coverage(missing=("Something.",)))[0][0] == "policy-expired"


def test_without_a_place_in_the_repository_a_complaint_has_none():
    assert applied(Policy(accept=(accept(),))).complaints[0].location is None


def test_an_acceptance_of_nothing_is_unused():
    ((rule, class_, message),) = complaints(Policy(accept=(accept(),)), one("ssrf"))
    assert (rule, class_) == ("policy-unused", M)
    assert message == "The acceptance of hang accepts nothing: none found."


def test_an_acceptance_for_a_tool_that_is_not_there_says_so():
    ((_, _, message),) = complaints(Policy(accept=(accept(subject="tools/gone#/x"),)))
    assert "the server lists no such tool" in message


BLIND = [
    (accept(), {"missing": ("The list is not whole.",)}, False),
    (accept(), {"witnesses": {"sink": NOT_USED}}, False),
    (accept(), {"witnesses": {"sink": "lost its end"}}, False),
    (accept(), {"witnesses": {}}, False),
    (accept(), {}, True),
    *(
        (accept(subject=subject), {"tools": {"find": ToolCoverage(outcome), "b": CALLED}}, told)
        for outcome in ToolOutcome
        for subject, told in (
            ("tools/find", outcome is ToolOutcome.CALLED),
            ("tools/find#/x", outcome is ToolOutcome.CALLED),
            ("", outcome is ToolOutcome.CALLED),
            ("tools/b", True),
            ("tools/gone", True),
            ("server", True),
        )
    ),
    (accept("CVE-1", tool="trivy"), {}, True),
    (accept("CVE-1", tool="trivy"), {"witnesses": {}}, True),
    (accept("CVE-1", tool="semgrep"), {}, False),
    (accept("CVE-1", tool="hadolint"), {}, False),
]


@pytest.mark.parametrize(("entry", "less", "told"), BLIND)
def test_what_could_not_be_looked_at_is_not_called_unused(entry, less, told):
    assert bool(complaints(Policy(accept=(entry,)), coverage=replace(WHOLE, **less))) == told


def test_an_acceptance_of_drift_waits_for_its_change_and_is_no_fault():
    policy = Policy(accept=(accept("tool-added"),))
    ((rule, class_, _),) = complaints(policy)
    assert (rule, class_) == ("policy-unused", N)
    assert complaints(policy, drift=None) == []
    overdue = Policy(accept=(accept("tool-added", expires=date(2026, 11, 1)),))
    assert complaints(overdue)[0][:2] == ("policy-expired", M)


def test_entries_for_a_tool_that_is_not_there_are_told_once():
    policy = Policy(
        allow=(Permission("tools/gone", "r", programs=("git",), line=3),),
        classes=(
            ClassOverride("hang", H, "tools/gone", line=2),
            ClassOverride("hang", H, "tools/find", line=9),
            ClassOverride("crash", H),
        ),
    )
    ((rule, class_, message),) = complaints(policy)
    assert (rule, class_) == ("policy-unused", M)
    assert "tools/gone" in message
    assert complaints(policy, coverage=replace(WHOLE, missing=("It.",))) == []
    assert complaints(replace(policy, allow=(Permission(EVERYWHERE, "r"),), classes=())) == []


def test_complaints_stand_in_the_order_of_the_file_and_are_told_apart():
    policy = Policy(
        accept=(accept(line=30), accept("crash", line=10), accept(subject="server", line=20)),
        path="p",
    )
    told = applied(policy).complaints
    assert [each.location.line for each in told] == [10, 20, 30]
    assert len({each.fingerprint for each in told}) == 3
    moved = Policy(accept=(accept(line=99),), path="p")
    assert applied(moved).complaints[0].fingerprint == told[2].fingerprint


def test_a_policy_cannot_excuse_its_own_faults():
    told = applied(Policy(accept=(accept(),))).complaints
    hidden = Policy(
        accept=(accept("policy-unused"),),
        classes=(ClassOverride("policy-unused", N, reason="quiet", caps=True),),
    )
    assert applied(hidden, *told).findings == told


# --- classes --------------------------------------------------------------------------------------

CLASSED = [
    (M, H, False, "", H),
    (N, H, False, "", H),
    (H, H, False, "", H),
    (H, M, True, "r", M),
    (N, M, True, "r", N),
    (C, M, True, "r", M),
    (H, M, False, "r", M),
    # Never milder without a reason.
    (H, M, True, "", H),
    (H, N, False, "", H),
]


@pytest.mark.parametrize(("found", "to", "caps", "reason", "becomes"), CLASSED)
def test_a_class_is_another(found, to, caps, reason, becomes):
    policy = Policy(classes=(ClassOverride("hang", to, reason=reason, caps=caps),))
    assert applied(policy, one(class_=found)).findings[0].class_ is becomes
    assert applied(policy, drift=[one(class_=found)]).drift[0].class_ is becomes


@pytest.mark.parametrize("evidence", Evidence)
def test_what_is_proved_and_critical_stays_so(evidence):
    policy = Policy(classes=(ClassOverride("hang", N, reason="r", caps=True),))
    proved = evidence in {Evidence.E1, Evidence.E2}
    found = applied(policy, one(class_=C, evidence=evidence)).findings[0]
    assert found.class_ is (C if proved else N)


def test_the_class_of_a_tool_goes_before_that_of_all():
    policy = Policy(
        classes=(ClassOverride("hang", H), ClassOverride("hang", N, "tools/find", "r", caps=True))
    )
    for order in (policy, replace(policy, classes=policy.classes[::-1])):
        done = applied(order, one(), one(subject="tools/a#b"), one(subject="server"))
        assert {each.subject: each.class_ for each in done.findings} == {
            "tools/find": N,
            "tools/a#b": H,
            "server": H,
        }


def test_a_scanners_class_is_not_ours():
    policy = Policy(classes=(ClassOverride("hang", H, reason="r", tool="trivy"),))
    assert applied(policy, one()).findings[0].class_ is M
    assert applied(policy, one(tool="Trivy")).findings[0].class_ is H


def test_the_worst_come_first_again():
    policy = Policy(classes=(ClassOverride("hang", N, reason="r", caps=True),))
    done = applied(policy, one(class_=H), one("crash", M))
    assert [each.rule for each in done.findings] == ["crash", "hang"]


# --- permissions ----------------------------------------------------------------------------------

GIT = Deed("tools/find", "programs", "git")
SH = Deed("tools/find", "programs", "sh")
MAY_GIT = Permission("tools/find", "It is its work.", programs=("git",))
OBJECTS = {"endpoints": "api.example:443", "programs": "git", "paths": "/home/a/.netrc"}


def asks(rule: str, *about: Deed, class_: RiskClass = H, evidence: Evidence = Evidence.E3):
    return one(rule, class_, about=about, evidence=evidence)


def deed_of(key: str) -> Deed:
    return Deed("tools/find", min(PARTS[key]), OBJECTS[key])


def permission_of(key: str) -> Permission:
    return Permission("tools/find", "It is its work.", **{key: (OBJECTS[key],)})


@pytest.mark.parametrize("rule", PERMITTED)
def test_a_permission_speaks_to_these_rules(rule):
    key = PERMITTED[rule]
    found = asks(rule, deed_of(key))
    policy = Policy(allow=(permission_of(key),))
    assert suppressed(policy, found) == "Allowed: It is its work."
    # Not where nobody gave a reason, nor of what is critical, proved, or a scanner's.
    assert not suppressed(Policy(allow=(replace(permission_of(key), reason=""),)), found)
    assert not suppressed(policy, replace(found, class_=C))
    assert not suppressed(policy, replace(found, evidence=Evidence.E1))
    assert not suppressed(policy, replace(found, evidence=Evidence.E2))
    assert not suppressed(policy, replace(found, tool="Semgrep"))
    assert not suppressed(policy, replace(found, about=()))
    for other in set(OBJECTS) - {key}:
        assert not suppressed(Policy(allow=(permission_of(other),)), asks(rule, deed_of(other)))


@pytest.mark.parametrize(
    "info", [one for one in ALL if one.id not in PERMITTED], ids=lambda i: i.id
)
def test_a_permission_speaks_to_no_other_rule(info):
    every = tuple(permission_of(key) for key in OBJECTS)
    for key in OBJECTS:
        assert not suppressed(Policy(allow=every), asks(info.id, deed_of(key)))


def test_all_that_a_finding_is_about_must_be_allowed():
    policy = Policy(allow=(MAY_GIT,))
    assert not suppressed(policy, asks("unexpected-process", GIT, SH))
    both = Policy(allow=(MAY_GIT, Permission(EVERYWHERE, "A shell.", programs=("sh",))))
    told = suppressed(both, asks("unexpected-process", GIT, SH))
    assert told == "Allowed: It is its work.; A shell."


def test_a_permission_is_for_its_place():
    found = asks("unexpected-process", replace(GIT, subject="start-up"))
    assert not suppressed(Policy(allow=(MAY_GIT,)), found)
    assert suppressed(Policy(allow=(replace(MAY_GIT, subject="start-up"),)), found)


def test_a_credential_is_allowed_by_its_own_path_only():
    key = Deed("tools/find", "reads", "/home/a/.netrc")
    folder = Policy(allow=(Permission(EVERYWHERE, "r", paths=("/home/**",)),))
    assert suppressed(folder, asks("new-file-access", key))
    assert not suppressed(folder, asks("credential-file-opened", key))
    assert set(PERMITTED) >= EXACTLY


def test_a_class_is_set_before_a_permission_is_asked():
    """A class made milder with a reason opens the way for a permission with another."""
    policy = Policy(
        allow=(MAY_GIT,), classes=(ClassOverride("shell-spawned", H, reason="r", caps=True),)
    )
    assert suppressed(policy, asks("shell-spawned", GIT, class_=C))
    raised = Policy(allow=(MAY_GIT,), classes=(ClassOverride("shell-spawned", C),))
    assert not suppressed(raised, asks("shell-spawned", GIT, class_=H))


def test_every_rule_of_the_table_is_there():
    assert set(PERMITTED) <= set(BY_ID)
    assert {rule for rule in PERMITTED if rule in COMPARING} == DRIFT_RULES - {"tool-added"}
    assert set(PERMITTED.values()) == set(PARTS) == set(OBJECTS)


# --- laws -----------------------------------------------------------------------------------------

RULES = st.sampled_from(["hang", "unexpected-process", "shell-spawned", "tool-added", "CVE-1"])
SUBJECTS = st.sampled_from(["tools/find", "tools/find#/x", "tools/gone", "server"])
DEEDS = st.sampled_from([GIT, SH, replace(GIT, subject="start-up")])
TOOLS = st.sampled_from(["", "", "Trivy"])
FINDINGS = st.lists(
    st.builds(
        lambda rule, class_, evidence, subject, about, tool: replace(
            finding(class_, rule), evidence=evidence, subject=subject, about=about, tool=tool
        ),
        RULES,
        st.sampled_from(RISK_ORDER),
        st.sampled_from(Evidence),
        SUBJECTS,
        st.lists(DEEDS, max_size=2, unique=True).map(tuple),
        TOOLS,
    ),
    max_size=6,
)
REASONS = st.sampled_from(["", "Because."])
LOWER = TOOLS.map(str.casefold)
POLICIES = st.builds(
    Policy,
    accept=st.lists(
        st.builds(
            Acceptance,
            rule=RULES,
            reason=st.just("Because."),
            expires=st.sampled_from([TODAY - timedelta(days=1), TODAY, LATER]),
            subject=st.one_of(st.just(""), SUBJECTS),
            tool=LOWER,
            line=st.integers(1, 9),
        ),
        max_size=4,
    ).map(tuple),
    allow=st.lists(
        st.builds(
            Permission,
            subject=st.sampled_from(["tools/find", "start-up", EVERYWHERE]),
            reason=REASONS,
            programs=st.sampled_from([("git",), ("sh",), ("git", "sh")]),
        ),
        max_size=3,
    ).map(tuple),
    classes=st.lists(
        st.builds(
            ClassOverride,
            rule=RULES,
            class_=st.sampled_from(RISK_ORDER),
            subject=st.sampled_from(["", "tools/find", "tools/find#/x"]),
            reason=REASONS,
            tool=LOWER,
            caps=st.booleans(),
        ),
        max_size=3,
        unique_by=lambda each: (each.rule, each.tool, each.subject),
    ).map(tuple),
)


@given(FINDINGS, POLICIES)
def test_twice_is_once(findings, policy):
    once = applied(policy, *findings, drift=findings)
    assert applied(policy, *once.findings, drift=once.drift) == once


@given(FINDINGS, POLICIES, st.randoms())
def test_the_order_does_not_matter(findings, policy, chance: random.Random):
    def shuffled(values):
        return tuple(chance.sample(values, len(values)))

    other = replace(
        policy,
        accept=shuffled(policy.accept),
        classes=shuffled(policy.classes),
    )
    first, second = applied(policy, *findings), applied(other, *shuffled(findings))
    key = repr
    assert sorted(first.findings, key=key) == sorted(second.findings, key=key)
    assert sorted(first.complaints, key=key) == sorted(second.complaints, key=key)


@given(FINDINGS, POLICIES)
def test_nothing_is_lost_and_nothing_changes_but_class_and_suppression(findings, policy):
    done = applied(policy, *findings).findings

    def bare(found):
        return repr(replace(found, suppressed="", class_=N))

    assert sorted(map(bare, done)) == sorted(map(bare, findings))


@given(FINDINGS, POLICIES)
def test_nothing_is_milder_or_suppressed_without_a_reason(findings, policy):
    bare = replace(
        policy,
        accept=(),
        allow=tuple(replace(each, reason="") for each in policy.allow),
        classes=tuple(replace(each, reason="") for each in policy.classes),
    )

    def order(found):
        return repr(replace(found, class_=N)), RISK_ORDER.index(found.class_)

    before = sorted(findings, key=order)
    after = sorted(applied(bare, *findings).findings, key=order)
    for old, new in zip(before, after, strict=True):
        assert not new.suppressed
        assert RISK_ORDER.index(new.class_) <= RISK_ORDER.index(old.class_)
    for each in applied(policy, *findings).findings:
        assert not each.suppressed or "Because." in each.suppressed


@given(FINDINGS, POLICIES)
def test_only_an_acceptance_silences_what_is_proved_and_critical(findings, policy):
    done = applied(replace(policy, accept=()), *findings).findings
    proved = {Evidence.E1, Evidence.E2}
    for each in findings:
        if each.class_ is C and each.evidence in proved:
            assert each in done


# --- the catalogue --------------------------------------------------------------------------------


@pytest.mark.parametrize("info", INFOS, ids=lambda one: one.id)
def test_what_is_wrong_with_a_policy_is_a_rule_like_others(info):
    assert info.id not in BY_ID
    for said in (info.title, info.what, info.proof, info.quiet_when, info.fix):
        assert said
        assert said == said.strip()
    assert not info.title.endswith(".")
