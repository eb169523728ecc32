"""One realistic report, its rules and its checkout, for every test that prints a report."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from mcp_sandbox import scanned
from mcp_sandbox.model import (
    COMPLETE,
    Act,
    BuildFacts,
    Call,
    CallStatus,
    CanaryHit,
    CgroupCounters,
    Confidence,
    ContainerFacts,
    Coverage,
    Deduction,
    Deed,
    Era,
    Evidence,
    FileChange,
    Finding,
    GateCondition,
    HttpChecks,
    Identity,
    ImageFacts,
    Issue,
    IssueKind,
    ItemKind,
    KernelEvent,
    LaunchFacts,
    Listing,
    Location,
    Moment,
    Observations,
    Place,
    Reached,
    Relaxation,
    RiskClass,
    RuleInfo,
    RunFacts,
    ScannerRun,
    ScoreDetail,
    Session,
    SessionEnd,
    SinkEvent,
    SinkKind,
    StartAttempt,
    StopStage,
    TmpfsEntry,
    ToolCoverage,
    ToolOutcome,
    Transcript,
    Transport,
    Verdict,
    Window,
)
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.http import HttpAnswer, HttpQuestion
from unit import drift_samples

CHECKOUT = {
    "server/tools.py": (
        b"from mcp import FastMCP\r\n"
        b"\r\n"
        b"mcp = FastMCP('files')\r\n"
        b"\r\n"
        b"@mcp.tool()\r\n"
        b"def read_file(path: str) -> str:\r\n"
        b'    """Reads a file of the workspace and returns its text."""\r\n'
        b"\r\n"
        b"@mcp.tool()\r\n"
        b"def run_query(sql: str) -> str:\r\n"
        b'    """Runs one read-only query against the sample database."""\r\n'
    ),
    "Dockerfile": (
        b'FROM debian:trixie-slim\nCOPY server /server\nCMD ["python3", "/server/tools.py"]\n'
    ),
}

RULES = (
    RuleInfo(
        id="command-injection",
        title="A tool runs a command that its argument carries",
        class_=RiskClass.CRITICAL,
        evidence=Evidence.E2,
        what="An argument of a tool reaches a shell. Whoever writes the argument runs commands.",
        proof="A command sent as an argument left a result that only its execution computes.",
        quiet_when="The computed result stands in the request itself.",
        fix="Pass arguments as a list to the program, never through a shell.",
        cwe=(78, 77),
    ),
    RuleInfo(
        id="arbitrary-read",
        title="A tool reads files outside its folder",
        class_=RiskClass.HIGH,
        evidence=Evidence.E1,
        what="A path argument leaves the folder that the tool is meant for.",
        proof="The content of a planted file came back.",
        quiet_when="The planted file is inside the folder.",
        fix="Resolve the path and compare it with the folder before opening it.",
        cwe=(22,),
    ),
    RuleInfo(
        id="information-leak",
        title="An error shows the inside of the server",
        class_=RiskClass.MEDIUM,
        evidence=Evidence.E5,
        what="A stack trace or an absolute path stands in an error.",
        proof="The text of the error.",
        quiet_when="The path was part of the request.",
        fix="Answer with a short message and log the rest.",
        seed_class=RiskClass.HIGH,
        cwe=(209,),
    ),
    RuleInfo(
        id="runs-as-root",
        title="The image does not set a user",
        class_=RiskClass.NOTE,
        evidence=Evidence.E3,
        what="Without USER in the Dockerfile the server runs as root wherever it is started.",
        proof="The image's configuration.",
        quiet_when="A user other than root is set.",
        fix="Add a USER line.",
        cwe=(250,),
    ),
    *drift_samples.RULES,
)

COMMAND = ("docker", "run", "--rm", "-i", "--network", "none", "--read-only", "sha256:" + "ab" * 32)


def finding(rule: str = "command-injection", **changes: object) -> Finding:
    """One finding of ``RULES``, with its fields changed as wanted."""
    info = next(one for one in RULES if one.id == rule)
    subject = str(changes.get("subject", "tools/read_file#/path"))
    base = Finding(
        rule=rule,
        class_=info.class_,
        confidence=Confidence.HIGH,
        evidence=info.evidence,
        subject=subject,
        message=f"{info.title}: seen at {subject}.",
        fingerprint=sha256(f"{rule} {subject}".encode()).hexdigest(),
        location=Location("server/tools.py", 6, "definition"),
        reproducer=(
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file",'
            '"arguments":{"path":"$(expr 41 \\\\* 271)"}}}',
        ),
        command=COMMAND,
        seen=("evidence/1-main.jsonl:4", "evidence/1-main.jsonl:5"),
        about=(Deed("tools/read_file", "programs", "expr"),),
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # the caller names real fields


FINDINGS = (
    finding(),
    finding(
        "arbitrary-read",
        subject="tools/read_file#/path",
        message="The planted /root/.ssh/id_rsa came back through `path`.",
    ),
    finding(
        "information-leak",
        subject="tools/run_query#/sql",
        location=Location("server/tools.py", 10, "definition"),
    ),
    finding("runs-as-root", subject="server", location=None, reproducer=(), command=()),
    finding(
        "information-leak",
        subject="tools/run_query",
        location=Location("server/tools.py", 10, "definition"),
        suppressed="accepted until the rewrite",
    ),
)


def _session() -> Session:
    call = Call(
        number=1,
        kind=ItemKind.TOOLS,
        target="read_file",
        parameter="/path",
        family="command-substitution",
        payload="dollar",
        nonce="9f3a",
        arguments={"path": "$(expr 41 \\* 271)", "depth": 1.5, "flags": [None, True]},
        status=CallStatus.RESULT,
        reply='{"content":[{"type":"text","text":"11111"}]}',
        reply_bytes=44,
        expected="11111",
        proven=True,
        canaries=(CanaryHit("file:/root/.ssh/id_rsa", "base64"),),
        milliseconds=3.25,
        line=4,
        answer=5,
    )
    transcript = Transcript(
        role="main",
        era=Era.HANDSHAKE,
        identity=Identity("mcp-sandbox", "1", {"roots": {"listChanged": True}}),
        end=SessionEnd.COMPLETED,
        offered_version="2025-11-25",
        version="2025-11-25",
        server_info={"name": "files", "version": "1.0"},
        capabilities={"tools": {}},
        listings=(
            Listing(
                ItemKind.TOOLS,
                Moment.BEFORE,
                ({"name": "read_file", "inputSchema": {"type": "object"}}, {"name": "run_query"}),
            ),
        ),
        calls=(call,),
        notifications={"notifications/message": 2},
        not_called={"mail": "needs credentials"},
    )
    container = ContainerFacts(
        relaxation=Relaxation.WRITABLE_ROOT,
        user="65532:65532",
        command_line=COMMAND,
        exit_code=0,
        stop=StopStage.STDIN_CLOSED,
        stderr="listening\n",
        stderr_bytes=10,
        processes_at_start=("python3 /server/tools.py",),
        changes=(FileChange("added", "/tmp/x"),),
        cgroup=CgroupCounters(memory_peak=31 * 2**20, pids_peak=3),
        tmpfs=(TmpfsEntry("/tmp/x", "file", 3, "abc"),),
        tmpfs_canaries=(("/tmp/x", CanaryHit("env:API_KEY", "plain")),),
        kernel=(KernelEvent(Act.EXEC, "/usr/bin/expr", window=Window.CALL, call=1, line=214),),
        sink=(SinkEvent(SinkKind.DNS, "example.com", text="A", line=3),),
        witnesses={"inspect": COMPLETE, "cgroup": "no peak counter in this kernel"},
    )
    return Session(transcript, container, evidence="1-main")


def sample_report() -> Report:
    """A server with one finding of each class, one of them suppressed twice, and full coverage."""
    return Report(
        verdict=Verdict.FAIL,
        score=0.0,
        multiplier_class="critical",
        score_detail=ScoreDetail(
            static=97.0,
            deductions=(Deduction("information-leak", 1, 3.0),),
            multiplier=0.0,
            decided_by=(FINDINGS[0].fingerprint,),
            arithmetic="(100 - 3) × 0 = 0",
        ),
        gate=(
            GateCondition("score", "0", "at least 80", held=False, flip="Mend what costs points."),
            GateCondition("critical findings", "1", "0", held=False),
            GateCondition("medium findings", "1", "any", held=True),
        ),
        findings=FINDINGS,
        coverage=Coverage(
            tools={
                "read_file": ToolCoverage(ToolOutcome.CALLED, calls=41),
                "run_query": ToolCoverage(ToolOutcome.CALLED, calls=38),
                "mail": ToolCoverage(ToolOutcome.NEEDS_CREDENTIALS, "asks for MAIL_TOKEN"),
            },
            witnesses={"inspect": COMPLETE, "cgroup": "no peak counter in this kernel"},
            scanners={"hadolint": "not installed"},
        ),
        observations=Observations(
            image=ImageFacts(
                reference="files",
                id="sha256:" + "ab" * 32,
                launch=LaunchFacts(command=("python3", "/server/tools.py")),
                size_bytes=90 * 2**20,
                build=BuildFacts("Dockerfile", 3, 1200),
            ),
            planted=("env:API_KEY", "file:/root/.ssh/id_rsa"),
            attempts=(
                StartAttempt(Relaxation.NONE, "exited at once", 1, "Read-only file system\n"),
                StartAttempt(Relaxation.WRITABLE_ROOT, "answered"),
            ),
            sessions=(_session(),),
            definitions={
                "": Location("Dockerfile", 3, "command"),
                "tools/read_file": Location("server/tools.py", 6, "definition"),
            },
            reached=Reached(
                Transport.STDIO,
                seconds=0.84,
                asked=("3123 /mcp (localhost): an answer in MCP",),
                also=(Place(Transport.HTTP, 3123, "/mcp"),),
            ),
            http=(
                HttpChecks(
                    Place(Transport.HTTP, 3123, "/mcp"),
                    listeners=("127.0.0.1:3123",),
                    answers=(
                        HttpAnswer(
                            HttpQuestion.ORDINARY,
                            "POST /mcp; Host: localhost:3123",
                            status=200,
                            result=True,
                            headers=(("content-type", "application/json"),),
                            text='{"jsonrpc": "2.0"',
                            line=2,
                        ),
                    ),
                    sessions=("9f2d", "11c0"),
                    evidence="6-around",
                ),
            ),
        ),
        versions={"mcp-sandbox": "0.1.0", "engine": "28.0.4"},
        run=RunFacts("r1", "2026-11-21T09:00:00Z", 42.5, {"build": 10.0, "probe": 30.25}),
    )


HOSTILE = (
    "\x1b[31mred\x1b[0m \x9b31m \x07",
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "::error file=a.py::gone\n::set-output name=score::100",
    "x ##[error]y",
    "`` ` ``` ```````` |",
    "```\n# Verdict: pass\n```",
    "\u202egpj.exe\u2066\u2069",
    "zero\u200bwidth\u2060 tag\U000e0041\U000e0042 \ufe01\U000e0101",
    "](https://evil.example){} [x](1) {0} {{0}} \\[ \\",
    "| a | b |\n| --- | --- |",
    "a\\|b\\\\|c | |",
    "@someone #1 org/repo#2 www.evil.example https://evil.example a@b.example :+1:",
    "<!-- --> <details open> &lt;b&gt; &#124; <!",
    "$$math$$ $`x`$ ~~s~~ __b__ **b** ![i](https://evil.example/i.png)",
    "line\r\nfeed\rreturn\u2028sep\u2029para\x85nel\x0b\x0c",
    "{{ 7*7 }} {% raw %} {# #}",
    "\ud800 lone \udfff",
    "\x00\x7f\x80",
    " ",
    "   padded   ",
    "    four spaces\n\tTab",
    "-" * 5000,
    "`" * 3000,
    "[" * 3000,
)
"""What a server may say in order to break out of the place where we print it."""


def with_scanners(*runs: ScannerRun) -> Report:
    """The sample with what scanners brought."""
    sample = sample_report()
    assert sample.observations is not None
    found = scanned.findings(runs, {})
    seen = replace(sample.observations, scanners=runs)
    return replace(sample, findings=(*sample.findings, *found), observations=seen)


def issue(rule: str, **changes: Any) -> Issue:
    made = Issue(
        rule=rule,
        kind=IssueKind.VULNERABILITY,
        severity="high",
        title="A hole",
        message="Werkzeug 0.11 has a hole.",
        subject="package Werkzeug 0.11",
        path="requirements.txt",
        line=1,
        url="https://advisory.example/1",
        cwe=(331,),
    )
    return replace(made, **changes)


def hostile_report(text: str) -> Report:
    """The sample with one hostile text in every place that a stranger can fill."""
    base = sample_report()
    assert base.observations is not None
    bad = replace(
        base.findings[0],
        subject=f"tools/{text}#/{text}",
        message=text,
        location=Location(text, 7, text),
        reproducer=(text, text),
        command=("docker", "run", text),
    )
    suppressed = replace(base.findings[4], subject=text, message=text, suppressed=text)
    attempt = StartAttempt(Relaxation.NONE, text, 1, text)
    session = replace(
        base.observations.sessions[0],
        container=replace(
            base.observations.sessions[0].container,
            stderr=text,
            user=text,
            command_line=("docker", text),
            witnesses={text: text},
        ),
        transcript=replace(
            base.observations.sessions[0].transcript,
            end_detail=text,
            server_info={"name": text, text: text},
            not_called={text: text},
            left_out=(text,),
        ),
    )
    bad_report = replace(
        base,
        findings=(bad, *base.findings[1:4], suppressed),
        gate=(GateCondition(text, text, text, held=False, flip=text),),
        coverage=Coverage(
            tools={text: ToolCoverage(ToolOutcome.CRASHED, text, 1)},
            witnesses={text: text},
            scanners={text: text},
            missing=(text,),
        ),
        observations=replace(
            base.observations,
            image=replace(base.observations.image, reference=text, id=text),
            attempts=(attempt,),
            sessions=(session,),
            definitions={"": Location(text, 3, text), f"tools/{text}": Location(text, 1, text)},
            left_out=(text,),
        ),
        error=text,
        versions={text: text},
        limits=(text,),
    )
    return drift_samples.hostile(bad_report, text)
