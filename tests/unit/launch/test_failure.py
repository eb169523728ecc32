"""One reason of a closed list for what a start left behind; and when a limit less may help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_sandbox.launch.failure import judge, may_lack_a_resource, unlisted
from mcp_sandbox.launch.seen import Failure, Seen
from mcp_sandbox.model import SessionEnd, Transport
from mcp_sandbox.model.launch import StartReason

EXITED = Seen(SessionEnd.EXITED, exit_code=1, machine="x86_64", image_architecture="amd64")
SILENT = Seen(SessionEnd.NEVER_ANSWERED, machine="x86_64", image_architecture="amd64")
PORT = (8080,)


KEYTAR = """[WARN] [StorageManager] Failed to initialize: Error: Cannot find module '../keytar.node'
Require stack:
- /app/node_modules/keytar/lib/keytar.js
[WARN] [StorageManager] User Access Token Store will be disabled.
"""
THROWN = """/app/node_modules/acme/dist/auth/handler.js:27
            throw new Error('nobody knows who asks');
                  ^

Error: nobody knows who asks
    at new Handler (/app/node_modules/acme/dist/auth/handler.js:27:19)

Node.js v24.19.0
"""
UNBUILT = """node:internal/modules/cjs/loader:1517
  const err = new Error(message);
              ^

Error: Cannot find module '../build/Release/keytar.node'
Require stack:
- /app/node_modules/keytar/lib/keytar.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1517:15)
"""
CHAINED = """Traceback (most recent call last):
  File "/app/a.py", line 1, in <module>
ModuleNotFoundError: No module named 'acme'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 3, in <module>
RuntimeError: no backend
"""
SURVIVED = """Traceback (most recent call last):
  File "/app/a.py", line 1, in <module>
ModuleNotFoundError: No module named 'extras'
Traceback (most recent call last):
  File "/app/a.py", line 9, in <module>
ConnectionError: Connection refused
"""


def exited(stderr: str, code: int = 1, **more: object) -> Seen:
    return replace(EXITED, stderr=stderr, exit_code=code, **more)  # type: ignore[arg-type]


def silent(**more: object) -> Seen:
    return replace(SILENT, **more)  # type: ignore[arg-type]


CASES: dict[str, tuple[Seen, StartReason]] = {
    "another processor": (
        replace(EXITED, end=None, image_architecture="arm64", detail="exec format error"),
        StartReason.ARCHITECTURE,
    ),
    "another processor, silent": (
        replace(EXITED, image_architecture="arm64", exit_code=255),
        StartReason.ARCHITECTURE,
    ),
    "a script without its interpreter": (
        exited("exec /app/run: Exec format error", 126),
        StartReason.ARCHITECTURE,
    ),
    "no such program": (
        replace(EXITED, end=None, detail='exec: "srv": executable file not found in $PATH'),
        StartReason.NOT_RUNNABLE,
    ),
    "a shell finds no program": (exited("sh: 1: srv: not found", 127), StartReason.NOT_RUNNABLE),
    "a setting": (exited("KeyError: 'ACME_API_KEY'"), StartReason.MISSING_SETTING),
    "a setting, and it stays": (
        silent(stderr="ACME_API_KEY is not set"),
        StartReason.MISSING_SETTING,
    ),
    "a setting, on its output": (
        exited("", stdout="Error: ACME_API_KEY is not set"),
        StartReason.MISSING_SETTING,
    ),
    "a usage": (exited("Usage: server <folder>"), StartReason.MISSING_SETTING),
    "names": (
        exited("getaddrinfo ENOTFOUND api.acme.example", hosts=("api.acme.example",)),
        StartReason.NEEDS_NETWORK,
    ),
    "certificates": (
        exited("x509: certificate signed by unknown authority"),
        StartReason.NEEDS_NETWORK,
    ),
    "a folder": (
        exited("OSError: [Errno 30] Read-only file system: '/app/logs'"),
        StartReason.NEEDS_WRITABLE_FOLDER,
    ),
    "a folder, in Node": (
        exited("Error: EACCES: permission denied, mkdir '/data'"),
        StartReason.NEEDS_WRITABLE_FOLDER,
    ),
    "killed for memory": (exited("", 137, oom_killed=True), StartReason.NEEDS_MEMORY),
    "a full heap": (
        exited("FATAL ERROR: Reached heap limit - JavaScript heap out of memory", 134),
        StartReason.NEEDS_MEMORY,
    ),
    "an import": (
        exited("ModuleNotFoundError: No module named 'mcp.server.fastmcp'"),
        StartReason.CRASHED_AT_IMPORT,
    ),
    "an import, in Node": (
        exited("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /app/x.js"),
        StartReason.CRASHED_AT_IMPORT,
    ),
    "a warning, then an error of its own": (exited(KEYTAR + THROWN), StartReason.EXITED),
    "a warning and nothing else": (exited(KEYTAR), StartReason.CRASHED_AT_IMPORT),
    "an error of its own, and what led to it": (
        exited("connect ECONNREFUSED 127.0.0.1:5432\n" + THROWN),
        StartReason.NEEDS_NETWORK,
    ),
    "Go, without its service": (
        exited(
            '{"level":"fatal","message":"Authentication failed - check your Slack tokens","error":'
            '"Post \\"https://slack.com/api/auth.test\\": remote error: tls: handshake failure"}\n'
            "Error: Command failed: /app/slack-mcp-server --transport stdio"
        ),
        StartReason.NEEDS_NETWORK,
    ),
    "its own command line names stdio": (
        exited("Error: Command failed: /app/server --transport stdio", told_stdio=True),
        StartReason.EXITED,
    ),
    "an unbuilt part": (exited(UNBUILT), StartReason.CRASHED_AT_IMPORT),
    "a chain": (exited(CHAINED), StartReason.CRASHED_AT_IMPORT),
    "an import that was survived": (exited(SURVIVED), StartReason.NEEDS_NETWORK),
    "an import in a warning of Python's": (
        exited("/a.py:1: UserWarning: Cannot find module x\n  warnings.warn(x)\nValueError: 3"),
        StartReason.EXITED,
    ),
    "names in code, behind a warning": (
        exited(KEYTAR + "Error: appId, and appSecret are required"),
        StartReason.MISSING_SETTING,
    ),
    "no folder to unpack in": (
        exited(
            "Failed to determine location for extracting embedded files.\n"
            "DOTNET_BUNDLE_EXTRACT_BASE_DIR is not set, and a read-write cache directory couldn't "
            "be created.",
            159,
        ),
        StartReason.NEEDS_WRITABLE_FOLDER,
    ),
    "a class that has lost a part": (
        exited("AttributeError: 'Server' object has no attribute 'list_resources'"),
        StartReason.CRASHED_AT_IMPORT,
    ),
    "nothing where something was expected": (
        exited("AttributeError: 'NoneType' object has no attribute 'split'"),
        StartReason.EXITED,
    ),
    "a folder to make, in Node": (
        exited("Error: ENOENT: no such file or directory, mkdir '/home/server/.thing'"),
        StartReason.NEEDS_WRITABLE_FOLDER,
    ),
    "a file that is not there, in Node": (
        exited("Error: ENOENT: no such file or directory, open '/srv/thing'"),
        StartReason.EXITED,
    ),
    "silent, for want of a network": (
        silent(stderr="write EPROTO 00:error:0A000410:SSL routines::ssl/tls alert handshake"),
        StartReason.NEEDS_NETWORK,
    ),
    "a C library": (
        exited("./srv: /lib/libc.so.6: version `GLIBC_2.38' not found (required by ./srv)"),
        StartReason.CRASHED_AT_IMPORT,
    ),
    "stdio wanted of one that listens": (
        silent(ports=PORT, wanted=Transport.STDIO),
        StartReason.WRONG_TRANSPORT,
    ),
    "listens, and no MCP there": (
        silent(ports=PORT, found="8080 /: status 404"),
        StartReason.WRONG_TRANSPORT,
    ),
    "http wanted of one that does not listen": (
        replace(SILENT, end=SessionEnd.COMPLETED, wanted=Transport.HTTP),
        StartReason.WRONG_TRANSPORT,
    ),
    "needs --stdio": (
        silent(stderr="Connection input stream is not set. Use --stdio"),
        StartReason.WRONG_TRANSPORT,
    ),
    "credentials": (
        silent(ports=PORT, needs_credentials=True, found="status 401"),
        StartReason.NEEDS_CREDENTIALS,
    ),
    "language server": (
        silent(stdout="Content-Length: 52\\r\\n\\r\\n"),
        StartReason.ANOTHER_PROTOCOL,
    ),
    "a page": (silent(stdout="<!DOCTYPE html><html>"), StartReason.ANOTHER_PROTOCOL),
    "ssh": (silent(stdout="SSH-2.0-OpenSSH_9.9\\r\\n"), StartReason.ANOTHER_PROTOCOL),
    "other JSON": (silent(stdout='{"type": "ready"}'), StartReason.ANOTHER_PROTOCOL),
    "refused": (
        replace(SILENT, end=SessionEnd.REFUSED, detail="method not found"),
        StartReason.ANOTHER_PROTOCOL,
    ),
    "a banner": (silent(stdout="Welcome! Press any key"), StartReason.PRINTED_TO_STDOUT),
    "done at once": (exited("", 0), StartReason.EXITED_CLEANLY),
    "done at once, with a banner": (exited("", 0, stdout="Bye"), StartReason.EXITED_CLEANLY),
    "an error of its own": (exited("panic: index out of range", 2), StartReason.EXITED),
    "a log in JSON": (exited("", 2, stdout='{"level": "info"}'), StartReason.EXITED),
    "silence": (SILENT, StartReason.NEVER_ANSWERED),
    "silence, listens elsewhere": (
        silent(stderr="Server running on http://10.0.0.1:3000"),
        StartReason.WRONG_TRANSPORT,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason(case: str):
    seen, reason = CASES[case]
    failure = judge(seen)
    assert failure.reason is reason, failure
    assert failure.what
    assert not failure.what.endswith(".")
    assert failure.way_out.endswith(".")


def test_every_reason_has_a_case():
    assert {reason for _, reason in CASES.values()} == set(StartReason)


def test_the_outcome_names_the_settings_and_nothing_that_differs_between_runs():
    failure = judge(exited("12:00:01 ACME_URL and ACME_KEY must be set"))
    assert failure.outcome == "missing setting: ACME_URL, ACME_KEY"
    assert judge(exited("12:00:01 panic")).outcome == "exited with an error"


@pytest.mark.parametrize(
    ("case", "helps"),
    [
        ("a folder", True),
        ("killed for memory", True),
        ("an error of its own", True),
        ("done at once", True),
        ("no such program", True),
        ("a setting", False),
        ("a setting, and it stays", False),
        ("another processor", False),
        ("an import", True),
        ("names", False),
        ("silence", False),
        ("language server", False),
        ("stdio wanted of one that listens", False),
    ],
)
def test_a_limit_less_may_help(case: str, helps: bool):
    seen, _ = CASES[case]
    assert may_lack_a_resource(judge(seen), seen) is helps


def test_a_child_that_was_killed_for_memory_is_a_matter_of_limits():
    seen = silent(oom_killed=True)
    assert may_lack_a_resource(judge(seen), seen)


def test_a_setting_and_a_folder_may_be_a_matter_of_limits():
    seen = exited("ACME_KEY is not set\nEROFS: read-only file system, mkdir '/app/x'")
    failure = judge(seen)
    assert failure.reason is StartReason.MISSING_SETTING
    assert may_lack_a_resource(failure, seen)


@pytest.mark.parametrize(
    "text",
    [
        "'/" + "a/" * 200_000 + " Permission denied",
        "listening " * 100_000,
        "exec: " * 100_000,
        "failed to create " * 50_000,
        "\x00" * 1_000_000,
        "connect attempts " * 100_000,
    ],
)
def test_hostile_text_is_bounded(text: str):
    for seen in (exited(text), silent(stderr=text), silent(stdout=text[:256])):
        failure = judge(seen)
        assert isinstance(failure, Failure)
        assert len(failure.what) < 1_000


def test_the_way_out_of_a_crash_at_import_depends_on_what_the_image_was_made_of():
    said = "Error: Cannot find module 'zod'"
    ways = {one: judge(exited(said, source=one)).way_out for one in ("", "pypi", "npm", "mcpb")}
    assert "--constraint" in ways["pypi"]
    assert "--install-scripts" in ways["npm"]
    assert ways[""] == ways["mcpb"]
    assert "--" not in ways[""]


def test_a_part_that_was_not_built_is_named():
    failure = judge(exited(UNBUILT, source="npm"))
    assert "build/Release/keytar.node" in failure.what
    assert failure.way_out.startswith("Let packages run their scripts with --install-scripts")
    assert "--" not in judge(exited(UNBUILT)).way_out
    assert "built" not in judge(exited("Error: Cannot find module './a.js'", source="npm")).what


@pytest.mark.parametrize(
    ("seen", "state", "reason", "words"),
    [
        (
            replace(silent(), end=SessionEnd.COMPLETED, hosts=("supabase.com",)),
            "answered by error -32603: fetch failed",
            StartReason.NEEDS_NETWORK,
            "(answered by error -32603: fetch failed); it asked for supabase.com",
        ),
        (
            exited("", services=("127.0.0.1:3306",)),
            "broke off: closed",
            StartReason.NEEDS_NETWORK,
            "ended while it was asked for its tools; it asked for 127.0.0.1:3306",
        ),
        (
            replace(silent(), end=SessionEnd.COMPLETED),
            "answered by error -32603: ACME_API_KEY is not set",
            StartReason.MISSING_SETTING,
            "it names ACME_API_KEY",
        ),
        (exited("panic: 3", 2), "broke off: closed", StartReason.EXITED, "with code 2"),
    ],
)
def test_why_one_that_answered_lists_nothing(
    seen: Seen, state: str, reason: StartReason, words: str
):
    failure = unlisted(seen, state)
    assert failure is not None
    assert failure.reason is reason
    assert failure.what.endswith(words)


def test_a_list_that_is_refused_for_no_reason_has_none():
    seen = replace(silent(), end=SessionEnd.COMPLETED, hosts=("telemetry.acme.example",))
    assert unlisted(seen, "answered by error -32603: Internal error") is None


def test_a_service_beside_it_that_is_not_there_is_the_network():
    assert judge(exited("", services=("127.0.0.1:6379",))).reason is StartReason.NEEDS_NETWORK
    assert judge(exited("", 0, services=("127.0.0.1:6379",))).reason is StartReason.EXITED_CLEANLY
