"""A run beside its baseline and its policy, as a scan and ``judge`` both see it; no engine."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox import rules
from mcp_sandbox.baseline import file as lock_file
from mcp_sandbox.errors import BadInput, OutputFailed
from mcp_sandbox.model import Network, Observations, Profile, SinkKind, Tracing, Verdict
from mcp_sandbox.model.launch import Decided
from mcp_sandbox.model.locked import (
    LOCK_FILE,
    POLICY_FILE,
    Baseline,
    BaselineState,
    Lock,
    Permission,
    Policy,
)
from mcp_sandbox.pipeline import comparing, judging, learning, scan
from mcp_sandbox.pipeline.judging import Judged, judge, rejudge
from mcp_sandbox.pipeline.locking import old_lock, write_lock
from mcp_sandbox.pipeline.running import Unobserved
from mcp_sandbox.report import json as report_json
from mcp_sandbox.settings import Settings, load
from support.observed import arrived, call, observed, session, tool
from unit.baseline.test_finding import commit, git

DAY = date(2026, 11, 21)
ENVIRONMENT = {"PATH": os.environ["PATH"]}
TOOL = tool("find", "Find a thing by its name.", name="The name.")
HOST = "telemetry.example"
SERVER = (
    f'import socket\n\n@tool("Find a thing by its name.")\ndef find(name):\n    ask("{HOST}")\n'
)


def ran(*hosts: str, tools: tuple[Any, ...] = (TOOL,), **more: Any) -> Observations:
    """A run with nothing missing, in which the tool's call turned to some hosts."""
    kernel = {"network": Network.SINK}
    sink = tuple(arrived(SinkKind.HTTP, host, 80, line=at) for at, host in enumerate(hosts, 1))
    calls = (call(), call("command-injection"))
    main = session(*calls, tools=tools, container={**kernel, "sink": sink})
    untraced = session(
        *calls,
        tools=tools,
        role="untraced",
        container={**kernel, "sink": sink, "tracing": Tracing.NONE},
    )
    return observed(main, untraced, **more)


def settings(**given: Any) -> Settings:
    return load({"image": "things", **given})


def lock_of(observations: Observations) -> Lock:
    taken = comparing.take(observations, Profile.DEFAULT, rules.evaluate(observations))
    assert taken.incomplete == ()
    return taken.lock


BEFORE = lock_of(ran())
USED = Baseline(BaselineState.USED, LOCK_FILE, lock=BEFORE, path=LOCK_FILE)


def judged(observations: Observations, baseline: Baseline | None = USED, **more: Any) -> Judged:
    policy = more.pop("policy", Policy())
    return judge(observations, settings(**more), today=DAY, baseline=baseline, policy=policy)


def conditions(made: Judged) -> dict[str, bool]:
    return {one.name: one.held for one in made.report.gate}


# --- what counts ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder with a lock file, in no repository."""
    made = tmp_path / "server"
    made.mkdir()
    (made / LOCK_FILE).write_bytes(lock_file.dump(BEFORE))
    (made / "server.py").write_text(SERVER)
    return made


def basis(folder: Path, **given: Any) -> comparing.Basis:
    chosen = load({"context": folder, "out": folder / "out", **given})
    return comparing.basis(chosen, ENVIRONMENT, DAY)


def test_the_lock_file_of_the_folder_is_read_with_its_lines(folder: Path):
    baseline = basis(folder).baseline
    assert (baseline.state, baseline.lock, baseline.proposed) == (BaselineState.USED, BEFORE, None)
    line = (folder / LOCK_FILE).read_text().splitlines()[baseline.lines["tools/find"] - 1]
    assert '"tools/find"' in line


def test_none_switches_it_off_and_a_folder_without_one_says_so(folder: Path):
    assert basis(folder, baseline="none").baseline.state is BaselineState.OFF
    (folder / LOCK_FILE).unlink()
    missing = basis(folder).baseline
    assert missing.state is BaselineState.MISSING
    assert LOCK_FILE in missing.why


def test_of_a_pull_request_both_are_read(folder: Path):
    git(folder, "init", "-q", "-b", "main")
    base = commit(folder)
    assert basis(folder, base=base).baseline.proposed is None
    own = replace(BEFORE, score=12.0)
    (folder / LOCK_FILE).write_bytes(lock_file.dump(own))
    baseline = basis(folder, base=base).baseline
    assert (baseline.lock, baseline.proposed, baseline.deleted) == (BEFORE, own, False)
    assert f"of commit {base[:12]}" in baseline.origin
    trusted = basis(folder, base=base, trust="tree").baseline
    assert (trusted.lock, trusted.proposed) == (own, None)
    (folder / LOCK_FILE).unlink()
    baseline = basis(folder, base=base).baseline
    assert (baseline.lock, baseline.deleted, baseline.lines) == (BEFORE, True, {})


def test_a_lock_file_that_a_pull_request_broke_is_refused_before_it_is_merged(folder: Path):
    git(folder, "init", "-q", "-b", "main")
    base = commit(folder)
    (folder / LOCK_FILE).write_text('{"version": 1, "items": [')
    with pytest.raises(BadInput, match=LOCK_FILE):
        basis(folder, base=base)


def test_a_policy_that_a_pull_request_broke_is_refused_before_it_is_merged(folder: Path):
    git(folder, "init", "-q", "-b", "main")
    base = commit(folder)
    (folder / POLICY_FILE).write_text("[gait]\n")
    with pytest.raises(BadInput, match=POLICY_FILE):
        basis(folder, base=base)


def test_a_policy_of_a_pull_request_sets_nothing(folder: Path):
    git(folder, "init", "-q", "-b", "main")
    base = commit(folder)
    (folder / POLICY_FILE).write_text("[gate]\nfail-on = []\n")
    found = basis(folder, base=base)
    assert found.settings.fail_on == settings().fail_on
    assert found.policy.settings == {}


def test_an_option_comes_before_the_policy_and_that_before_the_default(folder: Path):
    (folder / POLICY_FILE).write_text('[gate]\nfail-below = 80\n[launch]\nmemory = "512m"\n')
    found = basis(folder, fail_below="20")
    assert (found.settings.fail_below, found.settings.memory) == (20, 512 * 2**20)
    assert found.policy.overruled == ("fail_below",)
    assert found.policy.origin.endswith(POLICY_FILE)
    assert basis(folder, config="none").settings.memory == settings().memory


def test_a_value_of_the_policy_that_is_out_of_range_names_the_file(folder: Path):
    (folder / POLICY_FILE).write_text("[gate]\nfail-below = 101\n")
    with pytest.raises(BadInput, match=POLICY_FILE) as caught:
        basis(folder)
    assert "fail-below" in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("given", [{}, {"baseline": "out/mcp-sandbox.lock.json"}], ids=str)
def test_results_are_not_written_over_the_lock_file(
    folder: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    out = "out" if given else "."
    with pytest.raises(BadInput, match="folder of the lock file"):
        comparing.keep_apart(load({"context": ".", "out": out, **given}))
    comparing.keep_apart(load({"context": ".", "out": "elsewhere", **given}))


LOCK = lock_file.dump(BEFORE)
SPOILT = {
    "truncated": (LOCK[: len(LOCK) // 2], ""),
    "newer": (LOCK.replace(b'"version": 1\n', b'"version": 99\n'), "99"),
    "twice": (LOCK.replace(b'"items": {', b'"items": {"tools/find": {},'), "tools/find"),
    "large": (b" " * 100 * 2**20, "larger than"),
    "empty": (b"", ""),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
    "nested": (b"[" * 100_000, ""),
    "binary": (b"\xff\xfe\x00", ""),
}
POLICIES = {
    "no-date": ('[[accept]]\nrule = "ssrf"\nreason = "x"\nexpires = "soon"\n', "expires"),
    "no-day": ('[[accept]]\nrule = "ssrf"\nreason = "x"\nexpires = 2026-13-01\n', "no TOML"),
    "rule": ('[[accept]]\nrule = "srrf"\nreason = "x"\nexpires = 2026-12-01\n', "ssrf"),
    "table": ("[gates]\n", "gate"),
    "range": ("[gate]\nfail-below = 101\n", "fail-below"),
    "toml": ("[gate\n", "no TOML"),
}


@pytest.mark.parametrize(
    ("name", "data", "named"),
    [
        *(pytest.param(LOCK_FILE, *one, id=id_) for id_, one in SPOILT.items()),
        *(
            pytest.param(POLICY_FILE, text.encode(), named, id=f"policy-{id_}")
            for id_, (text, named) in POLICIES.items()
        ),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_run_before_it_begins(
    folder: Path, name: str, data: bytes, named: str
):
    """There is no engine here: a run that came so far would end otherwise."""
    (folder / name).write_bytes(data)
    chosen = load(
        {"context": folder, "out": folder / "out", "docker_host": f"unix://{folder}/absent.sock"}
    )
    outcome = scan(chosen, Unobserved(), ENVIRONMENT)
    assert isinstance(outcome.failure, BadInput), outcome.failure
    assert name in outcome.failure.what
    assert named in outcome.failure.what
    assert outcome.failure.next_step
    saved = report_json.load((folder / "out" / "report.json").read_bytes())
    assert saved.verdict is Verdict.ERROR
    assert outcome.lock is None
    assert not (folder / "out" / LOCK_FILE).exists()


# --- a comparison ---------------------------------------------------------------------------------


def test_a_run_like_its_baseline_has_no_drift_and_passes():
    made = judged(ran())
    assert (made.report.changes, made.report.drift) == ((), ())
    assert (made.report.verdict, made.report.score) == (Verdict.PASS, 100)
    assert conditions(made)["no drift"]


def test_a_new_endpoint_is_drift_and_fails_without_being_asked_to():
    made = judged(ran(HOST))
    assert made.report.verdict is Verdict.FAIL
    assert not conditions(made)["no drift"]
    (new,) = [one for one in made.report.drift or () if one.rule == "new-network-endpoint"]
    assert HOST in new.message
    assert new.subject == "tools/find"


def test_why_no_lock_file_is_proposed_is_told():
    seen = ran()
    short = replace(seen, sessions=seen.sessions[1:])
    told = [one for one in judged(short).report.limits if "lock file" in one]
    assert len(told) == 1
    assert told[0].startswith("No lock file is proposed: ")
    assert not [one for one in judged(seen).report.limits if "lock file" in one]


def test_drift_does_not_touch_the_score():
    """It is about what changed, the score about what is."""
    tools = (TOOL, tool("more", "Find more.", name="The name."))
    calls = (call(target="more"), call("command-injection", target="more"))
    seen = ran(tools=tools)
    sessions = tuple(
        replace(one, transcript=replace(one.transcript, calls=(*one.transcript.calls, *calls)))
        for one in seen.sessions
    )
    made = judged(replace(seen, sessions=sessions))
    assert {one.rule for one in made.report.drift or ()} == {"tool-added"}
    assert (made.report.verdict, made.report.score) == (Verdict.FAIL, 100)


def test_switched_off_nothing_is_compared():
    made = judged(ran(HOST), Baseline(BaselineState.OFF), fail_on=("none",))
    assert (made.report.drift, made.report.changes) == (None, ())
    assert made.report.verdict is Verdict.PASS


def test_a_baseline_that_is_missing_is_no_pass_only_for_a_gate_on_drift():
    missing = Baseline(BaselineState.MISSING, LOCK_FILE, why="There is none.")
    assert judged(ran(), missing).report.verdict is Verdict.PASS
    made = judged(ran(), missing, fail_on=("drift",))
    assert made.report.verdict is Verdict.INCONCLUSIVE
    assert [one.rule for one in made.report.drift or ()] == ["baseline-missing"]


@pytest.mark.parametrize("fail_on", ["critical", "drift", "none"])
def test_a_base_that_nobody_could_read_is_never_a_pass(fail_on: str):
    unknown = Baseline(BaselineState.UNREADABLE, LOCK_FILE, why="Check out with fetch-depth: 0.")
    made = judged(ran(), unknown, fail_on=(fail_on,))
    assert made.report.verdict is Verdict.INCONCLUSIVE
    assert "fetch-depth: 0" in " ".join(one.flip for one in made.report.gate if not one.held)


def test_a_policy_that_nobody_could_read_is_never_a_pass():
    unknown = Policy(why="Check out with fetch-depth: 0.")
    made = judged(ran(), Baseline(BaselineState.OFF), policy=unknown)
    assert made.report.verdict is Verdict.INCONCLUSIVE
    assert not conditions(made)["policy"]
    assert judged(ran(HOST), policy=unknown).report.verdict is Verdict.FAIL


def test_what_the_policy_complains_of_costs_no_points(folder: Path):
    """It says nothing of the server."""
    (folder / POLICY_FILE).write_text(
        '[[accept]]\nrule = "ssrf"\nreason = "It was so."\nexpires = 2026-11-20\n'
    )
    found = basis(folder)
    made = judged(ran(), policy=found.policy)
    assert [one.rule for one in made.report.findings] == ["policy-expired"]
    assert (made.report.score, made.report.verdict) == (100, Verdict.FAIL)


def test_the_lock_has_the_score_of_our_own_rules_as_the_policy_leaves_them():
    """Who accepts a finding does not find it again as a score that dropped."""
    seen = ran("stranger.example")
    failed = replace(seen, scanners_requested=("trivy",))
    assert {judged(one).taken.lock.score for one in (seen, failed)} == {70}
    allowed = Permission("*", "It asks there.", endpoints=("stranger.example:80",))
    made = judged(seen, policy=Policy(allow=(allowed,)))
    assert made.taken.lock.score == 100
    assert [one.rule for one in made.report.drift or () if not one.suppressed] == []
    assert made.report.verdict is Verdict.PASS


def test_the_line_of_a_change_is_found_where_the_checkout_names_it(folder: Path):
    seen = ran(HOST)
    placed = comparing.placed(basis(folder).baseline, folder, seen, Profile.DEFAULT)
    made = judged(seen, placed)
    (new,) = [one for one in made.report.drift or () if one.rule == "new-network-endpoint"]
    assert new.location is not None
    assert new.location.path.endswith("server.py")
    assert new.location.line == SERVER.splitlines().index(f'    ask("{HOST}")') + 1


def test_a_change_that_the_checkout_does_not_name_stands_in_the_lock_file(folder: Path):
    seen = ran("elsewhere.example")
    placed = comparing.placed(basis(folder).baseline, folder, seen, Profile.DEFAULT)
    (new,) = [
        one for one in judged(seen, placed).report.drift or () if one.rule == "new-network-endpoint"
    ]
    assert new.location is None or new.location.path == placed.path


# --- once more, from a saved report ---------------------------------------------------------------


def save(made: Judged, path: Path) -> Path:
    path.write_bytes(report_json.dump(made.report))
    return path


def again(path: Path, **given: Any) -> Judged:
    return rejudge(path, settings(**given), ENVIRONMENT, DAY)


def test_a_saved_report_gives_the_same_to_the_byte(folder: Path, tmp_path: Path):
    (folder / POLICY_FILE).write_text(
        '[gate]\nfail-below = 10\n[tools.find]\nendpoints = ["other.example"]\n'
        'reason = "It asks there."\n'
    )
    found = basis(folder)
    seen = ran(HOST, "other.example")
    placed = comparing.placed(found.baseline, folder, seen, Profile.DEFAULT)
    made = judge(seen, found.settings, today=DAY, baseline=placed, policy=found.policy)
    path = save(made, tmp_path / "report.json")
    assert report_json.dump(again(path).report) == path.read_bytes()


def test_what_is_named_counts_instead_of_what_was_saved(folder: Path, tmp_path: Path):
    path = save(judged(ran(HOST)), tmp_path / "report.json")
    assert again(path, baseline="none").report.drift is None
    now = tmp_path / "now.json"
    now.write_bytes(lock_file.dump(lock_of(ran(HOST))))
    assert again(path, baseline=str(now)).report.drift == ()
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[tools.find]\nendpoints = ["{HOST}"]\nreason = "It reports there."\n')
    drift = again(path, config=str(policy)).report.drift or ()
    (new,) = [one for one in drift if one.rule == "new-network-endpoint"]
    assert "It reports there." in new.suppressed


def test_the_profile_is_as_it_was_saved(tmp_path: Path):
    path = save(judged(ran(), profile="seed"), tmp_path / "report.json")
    assert again(path).report.profile is Profile.SEED
    assert again(path, profile="default").report.profile is Profile.DEFAULT


# --- a lock file on disk --------------------------------------------------------------------------


def test_a_lock_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    path = tmp_path / LOCK_FILE
    assert write_lock(path, b"one\n")
    assert not write_lock(path, b"one\n")
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputFailed, match="No space left"):
        write_lock(path, b"two\n")
    assert path.read_bytes() == b"one\n"
    assert [one.name for one in tmp_path.iterdir()] == [LOCK_FILE]


def failing(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_link_beside_it_is_not_written_through(tmp_path: Path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / f"{LOCK_FILE}.partial").symlink_to(tmp_path / "other")
    assert write_lock(tmp_path / LOCK_FILE, b"one\n")
    assert (tmp_path / "other").read_text() == "kept"
    assert not (tmp_path / LOCK_FILE).is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_it_belongs_to_the_owner_of_its_folder(tmp_path: Path):
    os.chown(tmp_path, 12345, 54321)
    write_lock(tmp_path / LOCK_FILE, b"one\n")
    found = (tmp_path / LOCK_FILE).stat()
    assert (found.st_uid, found.st_gid) == (12345, 54321)


def test_the_old_one_may_be_unreadable_but_no_link(tmp_path: Path):
    path = tmp_path / LOCK_FILE
    assert not old_lock(path).there
    path.write_bytes(lock_file.dump(BEFORE))
    assert old_lock(path).usable
    path.write_bytes(lock_file.dump(BEFORE)[:-20])
    old = old_lock(path)
    assert (old.there, old.usable) == (True, False)
    assert old.why
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="link"):
        old_lock(path)


# --- another image as the baseline ----------------------------------------------------------------


def test_what_another_image_did_counts_and_nobody_keeps_it():
    baseline = comparing.of_image("things:1", ran(), Profile.DEFAULT)
    assert (baseline.state, baseline.kept, baseline.lock) == (BaselineState.USED, False, BEFORE)
    lost = judged(ran(), comparing.of_image("things:1", ran(HOST), Profile.DEFAULT))
    assert "stale-baseline" not in {one.rule for one in lost.report.drift or ()}


def test_an_image_that_was_not_seen_whole_is_nothing_to_compare_with():
    short = ran()
    short = replace(short, sessions=short.sessions[1:])
    baseline = comparing.of_image("things:1", short, Profile.DEFAULT)
    assert baseline.state is BaselineState.UNREADABLE
    assert "things:1" in baseline.why
    assert judged(ran(), baseline).report.verdict is Verdict.INCONCLUSIVE


LAUNCH = Decided(arguments=("--from", "a file"))


def test_the_base_image_is_run_with_the_same_seed_and_limits_and_without_scanners(monkeypatch):
    seen: list[tuple[Settings, tuple[object, ...]]] = []

    class Learning:
        def __init__(self, given: Settings, *others: object) -> None:
            seen.append((given, others))

        def learn(self) -> None:
            raise BadInput("There is no image 'things:1'.")

    monkeypatch.setattr(learning, "Learning", Learning)
    chosen = load(
        {
            "context": ".",
            "baseline_image": "things:1",
            "seed": "7",
            "memory": "300m",
            "env": ("A=1",),
        }
    )
    clock = learning.Clock(Unobserved())
    baseline = learning.base_image(chosen, clock, "a" * 12, ENVIRONMENT, LAUNCH)
    assert baseline.state is BaselineState.UNREADABLE
    assert "There is no image 'things:1'." in baseline.why
    ((used, others),) = seen
    assert LAUNCH in others
    assert (used.context, used.image, used.scanners) == (None, "things:1", ())
    assert (used.seed, used.memory, used.env) == (7, 300 * 2**20, ("A=1",))


def test_every_rule_that_may_be_reported_is_listed():
    known = {one.id for one in judging.rule_infos()}
    assert {"policy-expired", "new-network-endpoint", "ssrf"} <= known
    assert sorted(known) == [one.id for one in judging.rule_infos()]
