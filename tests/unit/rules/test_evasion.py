"""Two runs of one plan: what counts as a difference, and what is noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_sandbox.model import CallStatus, SinkKind
from mcp_sandbox.rules import evaluate
from mcp_sandbox.rules.evasion import (
    ANSWER,
    CUT_REPLY,
    ENDPOINT,
    SECRET,
    Difference,
    differences,
    targets,
)
from support.observed import arrived, call, canary, observed
from support.rule_samples import NONCE
from support.rulesnet_samples import four, run

WEB = arrived(SinkKind.HTTP, "c2.example", 80)


def of(one, other):
    return differences([run("main", *one)], [run("untraced", *other)])


def test_an_endpoint_that_only_the_untraced_run_has():
    found = differences([run("main", call())], [run("untraced", call(), sink=(WEB,))])
    assert found == (Difference(ENDPOINT, "server", "", "connection c2.example port 80"),)


def test_an_endpoint_that_only_the_traced_run_has_stands_on_the_other_side():
    found = differences([run("main", call(), sink=(WEB,))], [run("untraced", call())])
    assert found == (Difference(ENDPOINT, "server", "connection c2.example port 80", ""),)


@pytest.mark.parametrize(
    "other",
    [
        replace(WEB, port=8080),
        replace(WEB, host="c3.example"),
        replace(WEB, kind=SinkKind.DNS, port=0),
    ],
)
def test_host_port_and_kind_tell_endpoints_apart(other):
    assert len(differences([run("main", sink=(WEB,))], [run("untraced", sink=(other,))])) == 2


@pytest.mark.parametrize(
    "noise",
    [
        (WEB, WEB),
        (replace(WEB, text="later", count=4, line=99, size=7),),
        (replace(WEB, call=0), replace(WEB, call=2)),
        (WEB, arrived(SinkKind.TAMPER, "here", 1), arrived(SinkKind.DNS, "mcp-server", 0)),
        (replace(WEB, host="C2.example."),),
    ],
)
def test_order_repeats_and_times_are_no_difference(noise):
    assert differences([run("main", sink=(WEB,))], [run("untraced", sink=noise)]) == ()


def test_both_record_types_of_a_name_are_one_question():
    a = arrived(SinkKind.DNS, "a.example", 0, text="A")
    both = (a, replace(a, text="AAAA"))
    assert differences([run("main", sink=(a,))], [run("untraced", sink=both)]) == ()


def test_nonces_in_names_are_no_difference():
    other = "zz81kq07mmab"
    one = run("main", call("ssrf", NONCE), sink=(arrived(SinkKind.DNS, f"{NONCE}.a.example", 0),))
    two = run(
        "untraced",
        call("ssrf", other, nonce=other),
        sink=(arrived(SinkKind.DNS, f"{other}.a.example", 0),),
    )
    assert differences([one], [two]) == ()


def test_a_secret_and_its_way_out_are_compared():
    secret = canary("env:GITHUB_TOKEN")
    loud = run("untraced", call(canaries=secret), stderr_canaries=secret)
    found = differences([run("main", call())], [loud])
    assert [(one.kind, one.untraced) for one in found] == [
        (SECRET, "env:GITHUB_TOKEN in a reply of tools/find"),
        (SECRET, "env:GITHUB_TOKEN in standard error"),
    ]


def test_other_words_are_a_difference_and_both_sides_are_kept():
    (found,) = of([call(said="b a c")], [call(said="Done. a")])
    assert found == Difference(ANSWER, "tools/find", "result: b c", "result: done.")


def test_another_status_is_a_difference():
    (found,) = of([call(said="Same.")], [call(said="Same.", status=CallStatus.TOOL_ERROR)])
    assert (found.main, found.untraced) == ("result: ", "tool-error: ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (call(said="took 12 ms at 10:02"), call(said="took 3 ms at 11:59")),
        (call(said="x y z"), call(said="z x y")),
        (call(status=CallStatus.TIMEOUT, reply=""), call(said="An answer.")),
        (call(said="An answer."), call(status=CallStatus.CLOSED, reply="")),
        (call(said="The request timed out."), call(said="An answer.")),
        (call(said="/app /.mcp-sandbox /tmp"), call(said="/app /tmp")),
        (call(reply="a" * CUT_REPLY), call(reply="b" * CUT_REPLY)),
    ],
)
def test_answers_that_may_differ_do(one, other):
    assert of([one], [other]) == ()


def test_a_tool_whose_ordinary_answers_vary_is_not_compared_by_words():
    one = [call(said="sun"), call(said="rain"), call("size", "A", "hail")]
    other = [call(said="sun"), call(said="sun"), call("size", "A", "snow")]
    assert of(one, other) == ()
    assert of(one[:1], other[2:]) == ()
    assert len(of([one[2]], [other[2]])) == 1


def test_nothing_is_compared_after_a_restart_on_another_position():
    before, later = call(said="kept"), call("size", "A", "kept: 1 note")
    empty = call("size", "A", "nothing is kept")
    whole = [run("main", before, later)]
    parted = [run("untraced", before), run("untraced", empty)]
    assert differences(whole, parted) == ()
    alike = [run("main", before), run("main", later)]
    assert len(differences(alike, parted)) == 1


def test_one_run_alone_differs_from_nothing():
    assert differences([run("main", sink=(WEB,))], []) == ()
    assert differences([], [run("untraced", sink=(WEB,))]) == ()


def test_a_tool_that_flips_a_coin_is_not_reported():
    def side(*said):
        return tuple(call("size", str(at), one) for at, one in enumerate(said))

    runs = (
        run("main", *side("sun", "sun")),
        run("untraced", *side("rain", "sun")),
        run("main again", *side("sun", "rain")),
        run("untraced again", *side("rain", "rain")),
    )
    assert len(differences(runs[:1], runs[1:2])) == 1
    assert [one for one in evaluate(observed(*runs)) if one.rule == "evasion"] == []


def test_the_message_shows_both_sides():
    observations = four(((call(said="b a"),), {}), ((call(said="Done."),), {}))
    (found,) = [one for one in evaluate(observations) if one.rule == "evasion"]
    assert "traced “result: a b”, untraced “result: done.”" in found.message
    assert found.subject == "tools/find"


def test_what_has_to_be_called_again_is_known():
    start = arrived(SinkKind.HTTP, "start.example", 80, 0)
    found = differences(
        [run("main", call())], [run("untraced", call(said="Other."), sink=(WEB, start))]
    )
    assert [one.target for one in found] == ["find", "find", ""]
    assert targets(found) == {"find"}
    assert targets([one for one in found if "start" in one.untraced]) == frozenset()


def test_everything_is_called_again_where_the_call_is_not_known():
    loud = run("untraced", call(), stderr_canaries=canary("env:GITHUB_TOKEN"))
    assert targets(differences([run("main", call())], [loud])) is None


def test_a_second_pair_that_calls_some_targets_only_confirms():
    other = call(said="Other things.", target="list")
    again = run("main again", call(said="b a"))
    runs = (
        run("main", other, call(said="b a")),
        run("untraced", other, call(said="Done.")),
        again,
        run("untraced again", call(said="Done.")),
    )
    found = [one for one in evaluate(observed(*runs)) if one.rule == "evasion"]
    assert [one.subject for one in found] == ["tools/find"]
    assert differences(runs[:1], (again,)) == ()
