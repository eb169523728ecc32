"""Findings name all that they are about, or nothing: a permission must not see a part."""

from __future__ import annotations

from mcp_sandbox.model import Act, Deed, Profile, RiskClass, SinkKind, Window
from mcp_sandbox.rules import ALL, evaluate
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import MAX_ABOUT, Hit, Rule, findings_of
from support.observed import arrived, call, called, did, observed, session
from support.rule_samples import HITS

INFO = next(info for info in ALL if info.id == "unexpected-process")
HELD = session(call())


def about(*hits: Hit):
    (found,) = findings_of(Rule(INFO, lambda _: hits), Context(observed(HELD)), Profile.DEFAULT)
    return found.about


def hit(*kernel, **more) -> Hit:
    return Hit("server", "fact", "It did.", session=HELD, kernel=tuple(kernel), **more)


GIT, SH = did(Act.EXEC, "/bin/git"), did(Act.EXEC, "/bin/sh")
MAY = [Deed("tools/find", "programs", name) for name in ("git", "sh")]


def test_the_objects_of_all_hits_are_named_sorted_and_once():
    assert about(hit(SH), hit(GIT), hit(GIT, SH)) == tuple(MAY)


def test_one_hit_without_an_object_leaves_none():
    assert about(hit(GIT), hit()) == ()
    assert about(hit(GIT), hit(did(Act.PTRACE, "child"))) == ()
    assert about(hit(GIT), hit(GIT, did(Act.PTRACE, "child"))) == ()


def test_what_a_check_names_goes_before_what_it_shows():
    assert about(hit(GIT, about=tuple(MAY))) == tuple(MAY)


def test_more_than_can_be_named_are_none():
    many = [did(Act.EXEC, f"/bin/p{number}x") for number in range(MAX_ABOUT + 1)]
    assert len(about(hit(*many[:-1]))) == MAX_ABOUT
    assert about(hit(*many)) == ()


def endpoints(observations, rule):
    (found,) = [one for one in evaluate(observations) if one.rule == rule]
    return [(one.subject, one.object) for one in found.about]


def test_unprompted_traffic_names_every_endpoint_of_its_domain():
    events = [arrived(SinkKind.DNS, f"h{number}.telemetry.example", call=0) for number in range(6)]
    last = arrived(SinkKind.TLS, "other.telemetry.example", port=8443, call=0, window=Window.IDLE)
    made = observed(
        session(call(), container={"sink": tuple(events)}),
        session(call(), container={"sink": (last,)}, role="untraced"),
    )
    told = endpoints(made, "unprompted-network")
    assert len(told) == 7
    assert ("idle", "other.telemetry.example:8443") in told


def test_an_undeclared_endpoint_names_every_tool_and_port():
    one = arrived(SinkKind.TLS, "a.odd.example", port=443, call=1)
    two = arrived(SinkKind.TLS, "b.odd.example", port=8443, call=2)
    made = called(call(), call(), container={"sink": (one, two)})
    assert endpoints(made, "undeclared-endpoint") == [
        ("tools/find", "a.odd.example:443"),
        ("tools/find", "b.odd.example:8443"),
    ]


def test_an_opened_credential_names_every_file_of_its_store():
    keys = [f"/home/a/.ssh/{name}" for name in ("id_ecdsa", "id_ed25519", "id_rsa")]
    made = called(call(), container={"kernel": tuple(did(Act.OPEN, key) for key in keys)})
    found = [one for one in evaluate(made) if one.rule == "credential-file-opened"]
    assert [deed.object for one in found for deed in one.about] == keys


def test_the_samples_of_the_rules_that_a_permission_speaks_to_name_their_objects():
    for rule in ("unprompted-network", "undeclared-endpoint", "shell-spawned"):
        found = [one for sample in HITS[rule] for one in evaluate(sample.make())]
        mine = [one for one in found if one.rule == rule and one.class_ is not RiskClass.NOTE]
        assert mine
        assert all(one.about for one in mine)
