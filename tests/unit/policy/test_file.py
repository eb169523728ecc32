"""The policy file: what it says is what is read, and every mistake has its line and its way out."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.errors import ExitCode, PolicyUnreadable
from mcp_sandbox.model import RiskClass
from mcp_sandbox.model.locked import Acceptance, ClassOverride, Permission, Policy
from mcp_sandbox.policy import INFOS, file
from mcp_sandbox.policy.entries import MAX_DAYS
from mcp_sandbox.policy.reading import MAX_TEXT
from mcp_sandbox.rules import ALL
from mcp_sandbox.settings import Settings

TODAY = date(2026, 11, 21)
ACCEPT = '[[accept]]\nrule = "hang"\nreason = "Known."\nexpires = 2027-01-31\n'


def load(text: str | bytes) -> Policy:
    data = text.encode() if isinstance(text, str) else text
    return file.load(data, rules=(*ALL, *INFOS), today=TODAY, path="server/mcp-sandbox.toml")


def mistake(text: str | bytes) -> str:
    with pytest.raises(PolicyUnreadable) as refused:
        load(text)
    assert refused.value.exit_code is ExitCode.BAD_INPUT
    assert refused.value.next_step
    assert "\n" not in refused.value.what
    assert len(refused.value.what) < 1_000
    return refused.value.what


# --- what is read ---------------------------------------------------------------------------------


def test_nothing_says_nothing():
    assert load("") == Policy(origin="mcp-sandbox.toml", path="server/mcp-sandbox.toml")
    assert load("# only a comment") == load("")


def test_settings_are_kept_as_they_were_written():
    policy = load(
        '[gate]\nfail-on = ["high", "drift"]\nfail-below = 80\n'
        '[launch]\nmemory = "512m"\ncpus = 1\nenv = ["A=b c"]\nargs = ["--stdio"]\n'
        'allow = ["api.example:443"]\nnetwork = "sink"\n'
    )
    assert policy.settings == {
        "fail_on": ["high", "drift"],
        "fail_below": 80,
        "memory": "512m",
        "cpus": 1,
        "env": ["A=b c"],
        "args": ["--stdio"],
        "allow": ["api.example:443"],
        "network": "sink",
    }
    Settings.model_validate({"context": ".", **policy.settings})


def test_every_key_of_gate_and_launch_is_a_setting():
    assert set(file.GATE) | set(file.LAUNCH) <= set(Settings.model_fields)
    assert not set(file.GATE) & set(file.LAUNCH)


def test_acceptances():
    policy = load(
        ACCEPT + '[[accept]]\nrule = "command-injection"\nsubject = "tools/run#/line"\n'
        'about = "in\\n the reply"\nreason = """\nIt is\n  its purpose."""\nexpires = 2026-11-20\n'
        '[[accept]]\nrule = "CVE-2024-1"\ntool = "Trivy"\nreason = "No fix."\nexpires = 2026-12-31'
    )
    assert policy.accept == (
        Acceptance("hang", "Known.", date(2027, 1, 31), line=1),
        Acceptance(
            "command-injection",
            "It is its purpose.",
            date(2026, 11, 20),
            subject="tools/run#/line",
            about="in the reply",
            line=5,
        ),
        Acceptance("CVE-2024-1", "No fix.", date(2026, 12, 31), tool="trivy", line=13),
    )


def test_permissions():
    policy = load(
        '[start-up]\nendpoints = ["API.example:443", "api.example:443"]\nreason = "Licence."\n'
        '[idle]\nreason = "Nothing yet."\n[all]\nprograms = ["git"]\nreason = "It is its work."\n'
        '[tools."a.b/c"]\npaths = ["/data/**"]\nreason = "Its store."\n'
    )
    assert policy.allow == (
        Permission("start-up", "Licence.", endpoints=("api.example:443",), line=1),
        Permission("*", "It is its work.", programs=("git",), line=6),
        Permission("tools/a.b/c", "Its store.", paths=("/data/**",), line=9),
    )


def test_classes():
    policy = load(
        '[classes]\ncoercive-wording = "high"\nshell-spawned = {class = "high", reason = "R."}\n'
        'DL3008 = {class = "note", reason = "R.", tool = "Hadolint"}\n'
        '[tools.a.classes]\nhang = {class = "note", reason = "Slow by nature."}\n'
    )
    assert policy.classes == (
        ClassOverride("coercive-wording", RiskClass.HIGH, line=2),
        ClassOverride("shell-spawned", RiskClass.HIGH, reason="R.", caps=True, line=3),
        ClassOverride("DL3008", RiskClass.NOTE, reason="R.", tool="hadolint", line=4),
        ClassOverride("hang", RiskClass.NOTE, "tools/a", "Slow by nature.", caps=True, line=6),
    )


def test_a_byte_order_mark_and_dos_lines_are_read():
    text = b"\xef\xbb\xbf" + ACCEPT.replace("\n", "\r\n").encode()
    assert load(text) == load(ACCEPT)
    assert "line 3" in mistake(text.replace(b"Known.", b""))


# --- mistakes -------------------------------------------------------------------------------------

MISTAKES = [
    # Unknown words, with the nearest one.
    ("[gat]", 1, "there is no key 'gat'; did you mean 'gate'?"),
    ("\n[gate]\n\nfail-bellow = 3", 4, "did you mean 'fail-below'?"),
    ("[launch]\nmemmory = '1g'", 2, "did you mean 'memory'?"),
    (ACCEPT + "expire = 2027-01-01", 5, "did you mean 'expires'?"),
    (ACCEPT.replace("hang", "hangs"), 2, "there is no rule 'hangs'; did you mean 'hang'?"),
    (ACCEPT.replace("hang", "CVE-2024-1"), 2, "a scanner's rule needs its 'tool'"),
    (ACCEPT + "tool = 'Trivi'", 5, "did you mean 'trivy'?"),
    (ACCEPT + "subject = 'tool/x'", 5, "there is no subject 'tool/x'; did you mean 'tools/NAME'?"),
    (ACCEPT + "subject = 'tools/'", 5, "there is no subject"),
    ("[classes]\nhangs = 'note'", 2, "did you mean 'hang'?"),
    ("[classes]\nhang = 'hihg'", 2, "there is no class 'hihg'; did you mean 'high'?"),
    ("[classes.hang]\nclas = 'high'", 2, "did you mean 'class'?"),
    ("[tools.x]\nendpoint = []", 2, "did you mean 'endpoints'?"),
    ("[tools.x.clases]", 1, "did you mean 'classes'?"),
    ("[start-up]\nclasses = {}", 2, "there is no key 'classes'"),
    # Keys that stand elsewhere.
    ("[gate]\nmemory = 3", 2, "'memory' stands in [launch]"),
    ("[launch]\nfail-on = []", 2, "'fail-on' stands in [gate]"),
    *(
        (f"[launch]\n{key} = 'x'", 2, f"'{key}' is for the command and the action to say")
        for key in ("out", "docker-host", "helper-image", "baseline", "config", "context", "image")
    ),
    ("[gate]\nfail_on = []", 2, "did you mean 'fail-on'?"),
    # Values of settings.
    ("[gate]\nfail-below = 300", 2, "fail-below 300: input should be less"),
    ("[gate]\nfail-below = nan", 2, "fail-below nan"),
    ("[gate]\nfail-below = true", 2, "cannot be true or false"),
    ("[gate]\nfail-on = 'high'", 2, "'fail-on' is a list of texts in quotes"),
    ("[gate]\nfail-on = ['hihg']", 2, "fail-on hihg: input should be 'critical'"),
    ("[gate]\nfail-on = [1]", 2, "'fail-on' is a list of texts in quotes"),
    ("[launch]\nmemory = 2026-01-01", 2, "cannot be a date or a time"),
    ("[launch]\nmemory = ['1g']", 2, "cannot be a list"),
    ("[launch]\nmemory = 'lots'", 2, "memory lots: expected a size"),
    ("[launch]\nenv = ['NO-ASSIGNMENT']", 2, "env: expected NAME=VALUE"),
    ("[launch]\nenv = {A = 'b'}", 2, "'env' is a list of texts in quotes"),
    ("[launch]\nallow = ['*.example.com']", 2, "there are no wildcards"),
    ("gate = 3", 1, "'gate' is a table, not a number"),
    # Acceptances.
    ("accept = 3", 1, "stands below a line [[accept]] of its own"),
    ("[accept]\nrule = 'hang'", 1, "stands below a line [[accept]] of its own"),
    ("accept = [3]", 1, "'accept' is a table, not a number"),
    *(
        (
            "\n".join(line for line in ACCEPT.splitlines() if not line.startswith(key)),
            1,
            f"an acceptance needs '{key}'",
        )
        for key in ("rule", "reason", "expires")
    ),
    (ACCEPT.replace("Known.", " \\n\\t "), 3, f"'reason' has 1 to {MAX_TEXT} characters"),
    (ACCEPT.replace("Known.", "x" * 501), 3, f"'reason' has 1 to {MAX_TEXT} characters"),
    (ACCEPT.replace('"Known."', "true"), 3, "'reason' is a text in quotes, not true or false"),
    (ACCEPT.replace("2027-01-31", "'2027-01-31'"), 4, "'expires' is a day without quotes"),
    (ACCEPT.replace("2027-01-31", "2027-01-31T00:00:00Z"), 4, "'expires' is a day"),
    (ACCEPT.replace("2027-01-31", "12:00:00"), 4, "'expires' is a day"),
    (ACCEPT.replace("2027-01-31", "20270131"), 4, "'expires' is a day"),
    (ACCEPT.replace("2027-01-31", "2027-02-30"), 4, "is no TOML: invalid date"),
    (ACCEPT.replace("2027-01-31", "9999-12-31"), 4, "more than a year ahead"),
    (ACCEPT + "fingerprint = 'abc'", 5, "a fingerprint is 64 hexadecimal digits"),
    (ACCEPT.replace("hang", "ssrf") + ACCEPT.replace("hang", "ssrf"), 5, "line 1 accepts the same"),
    (ACCEPT.replace("hang", "command-injection"), 1, "command-injection can be critical"),
    (ACCEPT.replace("hang", "seed-credential-words"), 1, "can be critical"),
    (ACCEPT.replace("hang", "policy-expired"), 2, "cannot excuse itself"),
    # Permissions.
    ("[start-up]\nendpoints = ['a.example']", 1, "what is allowed needs a 'reason'"),
    ("[tools.x]\nprograms = ['git']", 1, "what is allowed needs a 'reason'"),
    ("[tools.x]\nprograms = ['git']\nreason = ''", 3, "'reason' has 1 to"),
    ("[tools.x]\nendpoints = 'a.example'", 2, "'endpoints' is a list of texts in quotes"),
    ("[tools.x]\nendpoints = [\n'*.com']", 2, "'*.com': *. stands before a domain"),
    ("[tools.x]\npaths = ['/']", 2, "'/': a path is absolute"),
    ("[tools.x]\nprograms = ['/bin/sh']", 2, "'/bin/sh': a program is its name"),
    ("tools = 3", 1, "'tools' is a table of tables"),
    ("[tools]\nx = 3", 2, "'x' is a table, not a number"),
    ("[[tools]]\nx = 3", 1, "'tools' is a table of tables"),
    # Classes.
    ("classes = []", 1, "'classes' is a table"),
    ("[classes]\nhang = 'note'", 2, "a milder class needs a reason"),
    ("[classes]\nhang = {reason = 'x'}", 2, "'hang' needs a 'class'"),
    ("[classes]\nDL1 = {class = 'high', tool = 'hadolint'}", 2, "a scanner's class needs a reason"),
    ("[classes]\npolicy-unused = 'high'", 2, "cannot excuse itself"),
    (
        "[tools.x.classes]\ncommand-injection = {class = 'note', reason = 'x'}",
        2,
        "command-injection is critical and proved by what happened",
    ),
    # What is no TOML, and what is meant to harm.
    ("[gate", 1, "is no TOML"),
    ("x = ", 1, "is no TOML"),
    ("\0", 1, "is no TOML"),
    ("[gate]\n[gate]", 2, "is no TOML: cannot declare ('gate',) twice"),
    ("[gate]\nfail-below = 1\nfail-below = 2", 3, "is no TOML"),
    ("gate.fail-below = 1\n[gate]", 2, "is no TOML"),
    (b"\n# \xff", 2, "is not UTF-8"),
    ("\nx = " + "[" * 100_000, 2, "nested deeper"),
    ("x = " + "{a=" * 50_000, 1, "nested deeper"),
    ("a." * 100_000 + "b = 1", 1, "nested deeper"),
    ("[" + "a." * 100_000 + "b]", 1, "nested deeper"),
]


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_line(text, line, said):
    what = mistake(text)
    assert what.startswith(f"mcp-sandbox.toml line {line}")
    assert said in what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"#" * (10 * 2**20), "larger than 256 KiB"),
        ("x = " + "9" * 5_000, "a number that is too long"),
        ("x = '''", "is no TOML"),
        (
            "".join(
                f"[[accept]]\nrule='hang'\nabout='{n}'\nreason='r'\nexpires=2027-01-01\n"
                for n in range(1_001)
            ),
            "more than 1000 entries",
        ),
    ],
)
def test_a_mistake_of_the_whole_file(text, said):
    assert said in mistake(text)


def test_a_key_that_is_very_long_is_cut():
    assert len(mistake(f"{'k' * 100_000} = 1")) < 300
    assert len(mistake(f"[launch]\nmemory = '{'9' * 100_000}'")) < 300


def test_an_acceptance_lasts_a_year_at_most():
    last = TODAY + timedelta(days=MAX_DAYS)
    assert load(ACCEPT.replace("2027-01-31", str(last))).accept[0].expires == last
    mistake(ACCEPT.replace("2027-01-31", str(last + timedelta(days=1))))
    # One that is over is no mistake of the file: it is told as a finding.
    assert load(ACCEPT.replace("2027-01-31", "0001-01-01")).accept


def test_a_critical_rule_is_accepted_for_something():
    critical = ACCEPT.replace("hang", "command-injection")
    for narrow in ("subject = 'tools/x'", "about = 'x'", f"fingerprint = '{'0' * 64}'"):
        assert load(f"{critical}{narrow}\n").accept[0].rule == "command-injection"


@pytest.mark.parametrize("info", ALL, ids=lambda one: one.id)
def test_a_rule_takes_any_class_unless_it_is_proof(info):
    for class_ in RiskClass:
        text = f"[classes]\n{info.id} = {{class = '{class_}', reason = 'r'}}"
        proof = info.class_ is RiskClass.CRITICAL and info.evidence in {"E1", "E2"}
        if proof and class_ is not RiskClass.CRITICAL:
            mistake(text)
        else:
            assert load(text).classes[0].class_ is class_


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    with suppress(PolicyUnreadable):  # and nothing else
        assert load(data).origin


KEYS = st.sampled_from(
    ["gate", "launch", "classes", "accept", "tools", "start-up", "rule", "reason", "hang", "x"]
)
VALUES = st.recursive(
    st.sampled_from(["1", "'x'", "true", "2027-01-01", "1.5", "12:00:00", "'hang'"]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda one: f"[{', '.join(one)}]")
        | st.dictionaries(KEYS, inner, max_size=2).map(
            lambda one: "{" + ", ".join(f"{k} = {v}" for k, v in one.items()) + "}"
        )
    ),
    max_leaves=6,
)
HEADERS = st.sampled_from(["[{}]", "[[{}]]", "[tools.{}]", "[tools.{}.classes]", "# {}"])


@given(st.lists(st.tuples(HEADERS, KEYS, KEYS, VALUES), max_size=4))
def test_any_shape_is_read_or_refused(parts):
    text = "\n".join(f"{head.format(name)}\n{key} = {value}" for head, name, key, value in parts)
    with suppress(PolicyUnreadable):  # and nothing else
        assert load(text).origin
