"""The servers under ``tests/servers`` that act on their machine: which they are, what they need.

``behaviour/`` does what the behaviour rules look for, ``attacks/`` attacks those who look.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.corpus import SERVERS, python
from support.on_engine import BASE

FAMILIES = ("attacks", "behaviour")

WITH_TOOLS = f"""\
FROM {BASE}
RUN apt-get update \\
 && apt-get install -y --no-install-recommends python3 \\
 && useradd --uid 4000 --create-home app \\
 && install -D /etc/os-release /srv/store/notes.txt \\
 && install -D -m 0111 /bin/cat /opt/unreadable/cat
COPY servers /srv/servers
ENV MCP_TEST_IN_SANDBOX=1
USER app
WORKDIR /home/app
"""
"""Debian's Python, a user with a home, a folder with a note, a program that may be executed and not
read, and the corpus; how to start one of it is left open."""


def start(family: str) -> str:
    """The last line of a Dockerfile that starts a family; its argument is a mode."""
    return f'ENTRYPOINT ["python3", "-B", "/srv/servers/{family}/server.py"]\n'


def script(family: str) -> Path:
    """The program of one family."""
    return SERVERS / family / "server.py"


def modes(family: str) -> list[str]:
    """Names of all modes of a family."""
    listed = subprocess.run(
        python(script(family), "--list"), capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def expectations(family: str) -> dict[str, dict[str, Any]]:
    """``expect.toml`` of a family: mode -> what has to come of it."""
    text = (SERVERS / family / "expect.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def selected(request: pytest.FixtureRequest) -> list[str]:
    """Modes that the selected tests of a file ask for by their parameter."""
    items = [item for item in request.session.items if item.path == request.path]
    calls = [getattr(item, "callspec", None) for item in items]
    return sorted({call.params["mode"] for call in calls if call and "mode" in call.params})
