"""The image holds the scanners that it names, and they work there without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mcp_sandbox import proc
from support.on_engine import ROOT

pytestmark = pytest.mark.engine


def in_image(image: str, *command: str, stdin: bytes = b"") -> str:
    """What ``sh -c`` prints in a container without a network."""
    done = proc.run(
        (
            *("docker", "run", "--rm", "-i", "--network", "none", "--read-only"),
            *("--tmpfs", "/tmp", "--env", "HOME=/tmp", "--entrypoint", "sh", image, "-c"),
            *command,
        ),
        environment=proc.allowed_environment(os.environ, extra=("DOCKER_HOST",)),
        timeout=180,
        stdin=stdin,
        keep=2**20,
    )
    assert done.succeeded, done.stderr.decode("utf-8", "replace")[-2000:]
    return done.stdout.decode()


def test_every_tool_is_named_and_may_not_be_changed(helper_image: str) -> None:
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()
    shipped = in_image(helper_image, "ls /opt/scanners/bin").split()
    assert {"semgrep", "hadolint"} <= set(shipped) <= {"semgrep", "hadolint", "trivy", "trufflehog"}
    for tool in shipped:
        row = re.search(rf"(?m)^\| \w+ \(`{tool}`.*?\) \| ([\d.]+) \|", notices)
        assert row, f"{tool} is not in the notices"
        # Semgrep alone would wait a minute or two to hear whether there is a newer one.
        only = " --disable-version-check" if tool == "semgrep" else ""
        assert row.group(1) in in_image(helper_image, f"{tool} --version{only} 2>&1")
    assert in_image(helper_image, "find /opt/scanners -type f -perm /222 | head").split() == []
    assert "TruffleHog" in in_image(
        helper_image, "cat /usr/share/doc/mcp-sandbox-action/THIRD_PARTY_NOTICES.md"
    )


def test_semgrep_finds_with_our_rules_and_no_network(helper_image: str) -> None:
    source = (ROOT / "examples" / "vulnerable-server" / "tools.py").read_bytes()
    printed = in_image(
        helper_image,
        "mkdir /tmp/s && cat >/tmp/s/a.py && semgrep scan --metrics=off --json --quiet"
        " --disable-version-check --no-rewrite-rule-ids --no-git-ignore"
        " --config /opt/mcp-sandbox/lib/python3*/site-packages/mcp_sandbox/scanners/semgrep_rules"
        " /tmp/s",
        stdin=source,
    )
    assert '"check_id":"python-command-from-argument"' in printed


def test_what_stands_for_a_release_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "trivy").mkdir()
    done = proc.run(
        (str(ROOT / "scripts" / "build-image.sh"), "mcp-sandbox-test:never"),
        environment=proc.allowed_environment(
            os.environ, extra=("DOCKER_HOST",), MCP_SANDBOX_BUILD_CONTEXTS=str(tmp_path)
        ),
        timeout=60,
    )
    assert done.exit_code == 2
    assert done.stderr.decode() == f"error: there is no folder {tmp_path}/trufflehog.\n"
